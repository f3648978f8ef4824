// SPDX-License-Identifier: Apache-2.0
#include "respond/vault.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/xattr.h>

#define PART 65536u
#define TAGS crypto_secretstream_xchacha20poly1305_ABYTES
static const char magic[8] = "TRCLQ\0\0\1";

struct head {
    char magic[8];
    uint8_t header[crypto_secretstream_xchacha20poly1305_HEADERBYTES];
};

struct attributes { // name, NUL, four bytes of length, value; again
    char text[VAULT_XATTRS];
    uint32_t n;
};

static int write_all(int fd, const void *p, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = write(fd, (const char *)p + done, n - done);
        if (got <= 0)
            return got < 0 ? -errno : -EIO;
        done += (size_t)got;
    }
    return 0;
}

// As many as there are, up to n.
static ssize_t read_all(int fd, void *p, size_t n)
{
    size_t done = 0;
    while (done < n) {
        ssize_t got = read(fd, (char *)p + done, n - done);
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

int vault_key(int folder, uint8_t ret[VAULT_KEY])
{
    if (sodium_init() < 0)
        return -EIO;
    int fd = openat(folder, "key", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0) {
        ssize_t n = read_all(fd, ret, VAULT_KEY);
        close(fd);
        return n == VAULT_KEY ? 0 : n < 0 ? (int)n : -EBADMSG;
    }
    if (errno != ENOENT)
        return -errno;
    // Whole or not at all: a torn key would lose everything that it sealed.
    (void)unlinkat(folder, "key.new", 0);
    fd = openat(folder, "key.new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    crypto_secretstream_xchacha20poly1305_keygen(ret);
    int r = write_all(fd, ret, VAULT_KEY);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    close(fd);
    if (r == 0 && renameat(folder, "key.new", folder, "key") < 0)
        r = -errno;
    if (r == 0)
        (void)fsync(folder);
    return r;
}

// ---- extended attributes

static int read_attributes(int fd, struct attributes *ret)
{
    char names[16384];
    ssize_t n = flistxattr(fd, names, sizeof(names));
    if (n < 0)
        return errno == ENOTSUP ? 0 : -errno;
    for (const char *name = names; name < names + n; name += strlen(name) + 1) {
        size_t length = strlen(name) + 1, room = sizeof(ret->text) - ret->n;
        if (room < length + 4)
            return -E2BIG;
        char *value = ret->text + ret->n + length + 4;
        ssize_t size = fgetxattr(fd, name, value, room - length - 4);
        if (size < 0)
            return errno == ERANGE ? -E2BIG : -errno;
        uint32_t bytes = (uint32_t)size;
        memcpy(ret->text + ret->n, name, length);
        memcpy(ret->text + ret->n + length, &bytes, 4);
        ret->n += (uint32_t)(length + 4) + bytes;
    }
    return 0;
}

static int write_attributes(int fd, const struct attributes *a)
{
    for (uint32_t at = 0; at < a->n;) {
        const char *name = a->text + at, *end = memchr(name, 0, a->n - at);
        uint32_t bytes;
        if (!end || (size_t)(a->text + a->n - end) < 5)
            return -EBADMSG;
        memcpy(&bytes, end + 1, 4);
        const char *value = end + 5;
        if (bytes > (size_t)(a->text + a->n - value))
            return -EBADMSG;
        if (fsetxattr(fd, name, value, bytes, 0) < 0)
            return -errno;
        at = (uint32_t)(value + bytes - a->text);
    }
    return 0;
}

// ---- in

struct sealing {
    const struct vault_work *w;
    crypto_secretstream_xchacha20poly1305_state state;
    int to;
    unsigned char in[PART], out[PART + TAGS];
};

static int put(struct sealing *s, const void *p, size_t n, unsigned char tag)
{
    unsigned long long length;
    crypto_secretstream_xchacha20poly1305_push(
        &s->state, s->out, &length, p, n, (const unsigned char *)&s->w->id, sizeof(s->w->id), tag);
    if (s->w->tick)
        s->w->tick(s->w->context);
    return write_all(s->to, s->out, length);
}

static int hash_file(const struct vault_work *w, int fd, unsigned char *part, uint64_t size,
                     uint8_t ret[32])
{
    crypto_hash_sha256_state hash;
    crypto_hash_sha256_init(&hash);
    uint64_t done = 0;
    ssize_t n;
    while ((n = pread(fd, part, PART, (off_t)done)) > 0) {
        crypto_hash_sha256_update(&hash, part, (size_t)n);
        done += (uint64_t)n;
        if (w->tick)
            w->tick(w->context);
    }
    crypto_hash_sha256_final(&hash, ret);
    return n < 0 ? -errno : done == size ? 0 : -EBUSY;
}

bool vault_same_bytes(const struct vault_work *w, int fd, const struct vault_meta *m)
{
    uint8_t hash[32];
    _cleanup_free_ unsigned char *part = malloc(PART);
    return part && hash_file(w, fd, part, m->size, hash) == 0 &&
           memcmp(hash, m->sha256, sizeof(hash)) == 0;
}

static void fill_meta(struct vault_meta *m, const struct stat *st, const char *path)
{
    *m = (struct vault_meta){
        .size = (uint64_t)st->st_size,
        .device = st->st_dev,
        .inode = st->st_ino,
        .links = st->st_nlink,
        .access_sec = st->st_atim.tv_sec,
        .access_nsec = (uint32_t)st->st_atim.tv_nsec,
        .change_sec = st->st_mtim.tv_sec,
        .change_nsec = (uint32_t)st->st_mtim.tv_nsec,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .mode = st->st_mode & 07777,
    };
    snprintf(m->path, sizeof(m->path), "%s", path);
}

static bool unchanged(int fd, const struct stat *was)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_size == was->st_size &&
           st.st_mtim.tv_sec == was->st_mtim.tv_sec && st.st_mtim.tv_nsec == was->st_mtim.tv_nsec &&
           st.st_ctim.tv_sec == was->st_ctim.tv_sec && st.st_ctim.tv_nsec == was->st_ctim.tv_nsec;
}

static int seal(struct sealing *s, int from, struct vault_meta *meta,
                const struct attributes *attributes)
{
    struct head head;
    memcpy(head.magic, magic, sizeof(magic));
    crypto_secretstream_xchacha20poly1305_init_push(&s->state, head.header, s->w->key);
    int r = hash_file(s->w, from, s->in, meta->size, meta->sha256);
    if (r == 0)
        r = write_all(s->to, &head, sizeof(head));
    if (r == 0)
        r = put(s, meta, sizeof(*meta), 0);
    if (r == 0)
        r = put(s, attributes->text, attributes->n, 0);
    for (uint64_t done = 0; r == 0;) {
        ssize_t n = pread(from, s->in, PART, (off_t)done);
        if (n < 0)
            return -errno;
        done += (uint64_t)n;
        r = put(s, s->in, (size_t)n, n ? 0 : crypto_secretstream_xchacha20poly1305_TAG_FINAL);
        if (n == 0)
            return r < 0 ? r : done == meta->size ? 0 : -EBUSY;
    }
    return r;
}

int vault_seal(const struct vault_work *w, int from, const char *path, int to,
               struct vault_meta *ret, struct error *e)
{
    struct stat st;
    struct vault_meta meta;
    _cleanup_free_ struct sealing *s = calloc(1, sizeof(*s));
    _cleanup_free_ struct attributes *attributes = calloc(1, sizeof(*attributes));
    if (!s || !attributes)
        return error_set(e, -ENOMEM, "out of memory");
    if (fstat(from, &st) < 0)
        return error_set(e, -errno, "%s: %s", path, strerror(errno));
    fill_meta(&meta, &st, path);
    int r = read_attributes(from, attributes);
    if (r < 0)
        return error_set(e, r, "extended attributes of %s: %s", path, strerror(-r));
    meta.xattr_bytes = attributes->n;
    s->w = w;
    s->to = to;
    r = seal(s, from, &meta, attributes);
    if (r == 0 && fsync(to) < 0)
        r = -errno;
    if (r == 0 && !unchanged(from, &st))
        r = -EBUSY;
    if (r < 0) {
        error_set(e, r,
                  r == -EBUSY ? "%s was changed while it was copied" : "%s cannot be copied: %s",
                  path, strerror(-r));
        if (r == -EBUSY)
            error_way_out(e, "kill what writes to it, then try again");
        return r;
    }
    *ret = meta;
    return 0;
}

// ---- out

struct opening {
    const struct vault_work *w;
    crypto_secretstream_xchacha20poly1305_state state;
    int from;
    unsigned char in[PART + TAGS], out[PART];
    unsigned char tag;
};

// The next message, `bytes` of text at most. Its length, or negative errno.
static ssize_t get(struct opening *o, size_t bytes)
{
    unsigned long long length;
    ssize_t n = read_all(o->from, o->in, bytes + TAGS);
    if (n < (ssize_t)TAGS)
        return n < 0 ? n : -EBADMSG;
    if (crypto_secretstream_xchacha20poly1305_pull(
            &o->state, o->out, &length, &o->tag, o->in, (unsigned long long)n,
            (const unsigned char *)&o->w->id, sizeof(o->w->id)) != 0)
        return -EBADMSG;
    if (o->w->tick)
        o->w->tick(o->w->context);
    return (ssize_t)length;
}

static int get_head(struct opening *o, struct vault_meta *meta, struct attributes *attributes)
{
    struct head head;
    if (read_all(o->from, &head, sizeof(head)) != sizeof(head) ||
        memcmp(head.magic, magic, sizeof(magic)) != 0 ||
        crypto_secretstream_xchacha20poly1305_init_pull(&o->state, head.header, o->w->key) != 0 ||
        get(o, sizeof(*meta)) != sizeof(*meta))
        return -EBADMSG;
    memcpy(meta, o->out, sizeof(*meta));
    if (meta->xattr_bytes > VAULT_XATTRS || !memchr(meta->path, 0, sizeof(meta->path)) ||
        get(o, meta->xattr_bytes) != (ssize_t)meta->xattr_bytes)
        return -EBADMSG;
    memcpy(attributes->text, o->out, meta->xattr_bytes);
    attributes->n = meta->xattr_bytes;
    return 0;
}

static int get_bytes(struct opening *o, const struct vault_meta *meta, int to)
{
    crypto_hash_sha256_state state;
    uint8_t hash[32];
    uint64_t left = meta->size;
    crypto_hash_sha256_init(&state);
    while (left) {
        size_t wanted = left < PART ? (size_t)left : PART;
        ssize_t n = get(o, wanted);
        if (n != (ssize_t)wanted || o->tag != 0)
            return -EBADMSG;
        crypto_hash_sha256_update(&state, o->out, (size_t)n);
        int r = to >= 0 ? write_all(to, o->out, (size_t)n) : 0;
        if (r < 0)
            return r;
        left -= (uint64_t)n;
    }
    crypto_hash_sha256_final(&state, hash);
    if (get(o, 0) != 0 || o->tag != crypto_secretstream_xchacha20poly1305_TAG_FINAL ||
        memcmp(hash, meta->sha256, sizeof(hash)) != 0)
        return -EBADMSG;
    return 0;
}

// Owner first: a change of owner takes set-user-id bits and file capabilities away. Times last.
static int put_meta(int to, const struct vault_meta *m, const struct attributes *attributes)
{
    struct timespec times[2] = {{m->access_sec, m->access_nsec}, {m->change_sec, m->change_nsec}};
    if (fchown(to, m->uid, m->gid) < 0 || fchmod(to, m->mode) < 0)
        return -errno;
    int r = write_attributes(to, attributes);
    return r < 0 ? r : futimens(to, times) < 0 || fsync(to) < 0 ? -errno : 0;
}

int vault_open(const struct vault_work *w, int from, int to, struct vault_meta *ret,
               struct error *e)
{
    struct vault_meta meta;
    _cleanup_free_ struct opening *o = calloc(1, sizeof(*o));
    _cleanup_free_ struct attributes *attributes = calloc(1, sizeof(*attributes));
    if (!o || !attributes)
        return error_set(e, -ENOMEM, "out of memory");
    o->w = w;
    o->from = from;
    int r = lseek(from, 0, SEEK_SET) < 0 ? -errno : get_head(o, &meta, attributes);
    if (r == 0)
        r = get_bytes(o, &meta, to);
    if (r == 0 && to >= 0)
        r = put_meta(to, &meta, attributes);
    if (r < 0)
        return error_set(e, r, "the copy in quarantine %s: %s",
                         r == -EBADMSG ? "is damaged or was changed" : "cannot be put back",
                         strerror(-r));
    *ret = meta;
    return 0;
}
