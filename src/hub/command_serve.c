// SPDX-License-Identifier: Apache-2.0
// `init` and `serve`: the two commands that may begin as root.
#include "base/cleanup.h"
#include "hub/commands.h"
#include "hub/signer.h"
#include "hub/state.h"
#include "os/process.h"
#include "store/registry.h"
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#define SERVER_NAMES "DNS:localhost,IP:127.0.0.1,IP:::1"

static int write_certificate(const char *state, const char *name, X509 *certificate,
                             struct error *e)
{
    _cleanup_buf_ struct buf text = {0};
    if (pki_certificate_write(certificate, &text) < 0)
        return error_set(e, -EIO, "%s cannot be written", name);
    return hub_file_write(state, name, buf_str(&text), e);
}

static int write_key(const char *state, const char *name, EVP_PKEY *key, struct error *e)
{
    _cleanup_buf_ struct buf text = {0};
    if (pki_key_write(key, &text) < 0)
        return error_set(e, -EIO, "%s cannot be written", name);
    int r = hub_file_write(state, name, buf_str(&text), e);
    OPENSSL_cleanse(text.p, text.n);
    return r;
}

static int write_pki(const char *state, const char *names, struct error *e)
{
    int64_t now = (int64_t)(os_wall_ns() / 1000000000);
    struct pki_authority a = {0};
    EVP_PKEY *key = NULL;
    X509 *certificate = NULL;
    int r = pki_authority_new("Tiercel hub", now, &a);
    if (r == 0)
        r = pki_key_new(&key);
    if (r == 0)
        r = pki_server_sign(&a, key, names, now, &certificate);
    if (r < 0)
        error_set(e, r, "no certificate for the names '%s'", names);
    if (r == 0)
        r = write_key(state, "pki/ca.key", a.key, e);
    if (r == 0)
        r = write_certificate(state, "pki/ca.pem", a.certificate, e);
    if (r == 0)
        r = write_key(state, "pki/server.key", key, e);
    if (r == 0)
        r = write_certificate(state, "pki/server.pem", certificate, e);
    X509_free(certificate);
    EVP_PKEY_free(key);
    pki_authority_done(&a);
    return r;
}

static int make_folder(const char *state, const char *name, struct error *e)
{
    char path[HUB_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", state, name);
    return mkdir(path, 0700) < 0 ? error_set(e, -errno, "%s: %s", path, strerror(errno)) : 0;
}

int command_init(const struct hub_options *o, struct error *e)
{
    char state[HUB_PATH_MAX], file[HUB_PATH_MAX + 32];
    struct registry *registry = NULL;
    if (mkdir(o->state, 0700) < 0 && errno != EEXIST)
        return error_set(e, -errno, "%s: %s", o->state, strerror(errno));
    // Only an empty folder, or rmdir would not go: a second init would make a second authority.
    if (rmdir(o->state) < 0 || mkdir(o->state, 0700) < 0)
        return error_set(e, -errno, "%s is not empty: is there a hub already?", o->state);
    if (geteuid() == 0 && chown(o->state, HUB_CORE_UID, HUB_CORE_UID) < 0)
        return error_set(e, -errno, "%s: %s", o->state, strerror(errno));
    int r = hub_state_enter(o->state, state, e);
    if (r == 0)
        r = make_folder(state, "pki", e);
    if (r == 0)
        r = make_folder(state, "clients", e);
    if (r == 0)
        r = write_pki(state, o->names ? o->names : SERVER_NAMES, e);
    snprintf(file, sizeof file, "%s/hub.db", state);
    if (r == 0)
        r = registry_open(file, true, &registry, e);
    registry_close(registry);
    if (r < 0)
        return r;
    if (o->json)
        printf("{\"made\":true}\n");
    else
        printf("made %s; next: tiercel-hub client add NAME, tiercel-hub serve\n", state);
    return 0;
}

static int setup_of(const struct hub_options *o, struct hub_setup *s, struct error *e)
{
    char full[PATH_MAX];
    struct stat st;
    const char *agents = o->agents ? o->agents : "127.0.0.1:8443";
    const char *people = o->people ? o->people : "127.0.0.1:8444";
    if (commands_listen(str_from(agents), &s->agents) < 0)
        return error_set(e, -EINVAL, "--agents %s: ADDRESS:PORT", agents);
    if (commands_listen(str_from(people), &s->people) < 0)
        return error_set(e, -EINVAL, "--people %s: ADDRESS:PORT", people);
    if (!realpath(o->state, full) || strlen(full) >= sizeof s->state || stat(full, &st) < 0) {
        error_set(e, -ENOENT, "%s: no hub has its state there", o->state);
        error_way_out(e, "make one: tiercel-hub init --state %s", o->state);
        return -ENOENT;
    }
    memcpy(s->state, full, strlen(full) + 1);
    int n = snprintf(s->agents_url, sizeof s->agents_url, "%s%s", o->url ? "" : "https://",
                     o->url ? o->url : agents);
    if (n < 0 || (size_t)n >= sizeof s->agents_url)
        return error_set(e, -EINVAL, "--agents-url is too long");
    s->core_uid = st.st_uid;
    s->front_uid = geteuid() == 0 ? HUB_FRONT_UID : geteuid();
    s->signer_uid = geteuid() == 0 ? HUB_SIGNER_UID : geteuid();
    s->egress_uid = geteuid() == 0 ? HUB_EGRESS_UID : geteuid();
    if (geteuid() != 0 && geteuid() != st.st_uid)
        return error_set(e, -EACCES, "%s belongs to user %u: be that or root", full, st.st_uid);
    if (geteuid() == 0 && st.st_uid == 0)
        return error_set(e, -EACCES, "%s belongs to root, and core does not run as root", full);
    return 0;
}

int command_serve(const struct hub_options *o, struct error *e)
{
    static struct hub_setup setup;
    int r = setup_of(o, &setup, e);
    if (r < 0)
        return r;
    _cleanup_close_ int lock = hub_state_lock(setup.state, e);
    if (lock < 0)
        return lock;
    if (geteuid() == 0 && fchown(lock, setup.core_uid, setup.core_uid) < 0)
        return error_set(e, -errno, "lock: %s", strerror(errno));
    if ((r = hub_signer_prepare(&setup, e)) < 0)
        return r;
    r = hub_serve(&setup);
    return r < 0 ? error_set(e, r, "the hub ended: %s", strerror(-r)) : 0;
}
