// SPDX-License-Identifier: Apache-2.0
#include "hub/state.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <sys/file.h>
#include <sys/stat.h>

#define FILE_MAX 65536u

static int path_of(const char *state, const char *name, char ret[HUB_PATH_MAX + 64],
                   struct error *e)
{
    int n = snprintf(ret, HUB_PATH_MAX + 64, "%s/%s", state, name);
    return n < 0 || n >= HUB_PATH_MAX + 64 ? error_set(e, -ENAMETOOLONG, "%s: too long", state) : 0;
}

int hub_file_read(const char *state, const char *name, struct buf *to, struct error *e)
{
    char path[HUB_PATH_MAX + 64];
    int r = path_of(state, name, path, e);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *room = buf_room(to, FILE_MAX);
    ssize_t n = fd < 0 || !room ? -1 : read(fd, room, FILE_MAX);
    if (n < 0)
        return error_set(e, room ? -errno : -ENOMEM, "%s: %s", path, strerror(errno));
    to->n += (size_t)n;
    return 0;
}

int hub_file_write(const char *state, const char *name, struct str text, struct error *e)
{
    char path[HUB_PATH_MAX + 64];
    int r = path_of(state, name, path, e);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text.p, text.n) != (ssize_t)text.n || fsync(fd) < 0)
        return error_set(e, -errno, "%s: %s", path, strerror(errno));
    return 0;
}

int hub_certificate_read(const char *state, X509 **ret, struct error *e)
{
    _cleanup_buf_ struct buf certificate = {0};
    int r = hub_file_read(state, "pki/ca.pem", &certificate, e);
    if (r == 0 && pki_certificate_read(buf_str(&certificate), ret) < 0)
        r = error_set(e, -EBADMSG, "%s/pki/ca.pem is damaged", state);
    return r;
}

int hub_authority_read(const char *state, struct pki_authority *ret, struct error *e)
{
    _cleanup_buf_ struct buf certificate = {0}, key = {0};
    struct pki_authority a = {0};
    int r = hub_file_read(state, "pki/ca.pem", &certificate, e);
    if (r == 0)
        r = hub_file_read(state, "pki/ca.key", &key, e);
    if (r < 0)
        return r;
    if (pki_certificate_read(buf_str(&certificate), &a.certificate) < 0 ||
        pki_key_read(buf_str(&key), &a.key) < 0) {
        pki_authority_done(&a);
        r = error_set(e, -EBADMSG, "%s/pki/ca.pem or ca.key is damaged", state);
    } else {
        *ret = a;
    }
    OPENSSL_cleanse(key.p, key.n);
    return r;
}

int hub_state_enter(const char *state, char ret_full[HUB_PATH_MAX], struct error *e)
{
    char full[PATH_MAX];
    struct stat st;
    if (!realpath(state, full) || strlen(full) >= HUB_PATH_MAX || stat(full, &st) < 0) {
        error_set(e, -ENOENT, "%s: no hub has its state there", state);
        error_way_out(e, "make one: tiercel-hub init --state %s", state);
        return -ENOENT;
    }
    if (geteuid() == 0 && st.st_uid != 0 &&
        (setgroups(0, NULL) < 0 || setgid(st.st_gid) < 0 || setuid(st.st_uid) < 0))
        return error_set(e, -errno, "cannot become the owner of %s: %s", full, strerror(errno));
    if (geteuid() != st.st_uid)
        return error_set(e, -EACCES, "%s belongs to user %u: be that or root", full, st.st_uid);
    umask(077);
    memcpy(ret_full, full, strlen(full) + 1);
    return 0;
}

int hub_state_lock(const char *state, struct error *e)
{
    char path[HUB_PATH_MAX + 64];
    int r = path_of(state, "lock", path, e);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set(e, -errno, "%s: %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return error_set(e, -EBUSY, "a hub runs on %s already", state);
    return TAKE_FD(fd);
}

// Lost counters are no loss: nothing is said.
void hub_counters_write(const char *state, const struct hub_counters *c)
{
    char path[HUB_PATH_MAX + 64], other[HUB_PATH_MAX + 64];
    if (path_of(state, "counters.json", path, NULL) < 0 ||
        path_of(state, "counters.new", other, NULL) < 0)
        return;
    _cleanup_fclose_ FILE *f = fopen(other, "we");
    if (!f)
        return;
    fprintf(f,
            "{\"requests\":%llu,\"refused\":%llu,\"enrolled\":%llu,\"commits\":%llu,"
            "\"failed\":%llu,\"bytes\":%llu,\"new\":%llu,\"gaps\":%llu,\"restarted\":%llu,"
            "\"known\":%llu,\"damaged\":%llu}\n",
            (unsigned long long)c->requests, (unsigned long long)c->refused,
            (unsigned long long)c->enrolled, (unsigned long long)c->commits,
            (unsigned long long)c->failed, (unsigned long long)c->bytes,
            (unsigned long long)c->records[0], (unsigned long long)c->records[1],
            (unsigned long long)c->records[2], (unsigned long long)c->records[3],
            (unsigned long long)c->records[4]);
    if (fflush(f) == 0)
        rename(other, path);
}
