// SPDX-License-Identifier: Apache-2.0
#include "hub/commands.h"
#include "base/cleanup.h"
#include "hub/request.h"
#include "hub/state.h"
#include "os/process.h"
#include "store/registry.h"
#include "store/store.h"
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <time.h>

#define KEY_SECONDS_MAX (366ull * 86400)

static int print_json(json_t *value)
{
    int r = json_dumpf(value, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(value);
    return r < 0 || putchar('\n') == EOF ? -EIO : 0;
}

static void when(uint64_t ns, char ret[32])
{
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static int enter(const struct hub_options *o, char ret_state[HUB_PATH_MAX], struct registry **ret,
                 struct error *e)
{
    char file[HUB_PATH_MAX + 32];
    int r = hub_state_enter(o->state, ret_state, e);
    if (r < 0)
        return r;
    snprintf(file, sizeof file, "%s/hub.db", ret_state);
    return registry_open(file, false, ret, e);
}

int commands_duration(struct str text, uint64_t *ret)
{
    uint64_t n, unit;
    if (text.n < 2)
        return -EINVAL;
    switch (text.p[text.n - 1]) {
    case 's':
        unit = 1;
        break;
    case 'm':
        unit = 60;
        break;
    case 'h':
        unit = 3600;
        break;
    case 'd':
        unit = 86400;
        break;
    default:
        return -EINVAL;
    }
    if (str_to_u64(str_bytes(text.p, text.n - 1), &n) < 0 || n == 0 || n > KEY_SECONDS_MAX / unit)
        return -EINVAL;
    *ret = n * unit;
    return 0;
}

int commands_listen(struct str text, struct hub_listen *ret)
{
    struct hub_listen at = {0};
    uint8_t address[16];
    uint64_t port;
    size_t colon = text.n;
    while (colon > 0 && text.p[colon - 1] != ':')
        colon--;
    if (colon < 2 || str_to_u64(str_bytes(text.p + colon, text.n - colon), &port) < 0 ||
        port == 0 || port > 65535)
        return -EINVAL;
    struct str host = str_bytes(text.p, colon - 1);
    bool six = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (six)
        host = str_bytes(host.p + 1, host.n - 2);
    if (host.n >= sizeof at.address)
        return -EINVAL;
    memcpy(at.address, host.p, host.n);
    at.port = (uint32_t)port;
    if (inet_pton(six ? AF_INET6 : AF_INET, at.address, address) != 1)
        return -EINVAL;
    *ret = at;
    return 0;
}

int command_client_add(const struct hub_options *o, struct error *e)
{
    char state[HUB_PATH_MAX];
    struct registry *registry = NULL;
    const char *name = o->words[0], *sector = o->sector ? o->sector : "";
    if (!pki_client_good(str_from(name)))
        return error_set(e, -EINVAL, "'%s': a client's name is 1 to %d of a-z, 0-9 and '-'", name,
                         PKI_CLIENT_MAX);
    if (strlen(sector) > REGISTRY_NAME_MAX)
        return error_set(e, -EINVAL, "--sector: more than %d bytes", REGISTRY_NAME_MAX);
    int r = enter(o, state, &registry, e);
    if (r == 0)
        r = registry_client_add(registry, name, sector, os_wall_ns(), e);
    registry_close(registry);
    if (r < 0)
        return r;
    if (o->json)
        return print_json(json_pack("{ss ss}", "client", name, "sector", sector));
    printf("client %s added; a key for its hosts: tiercel-hub key new %s\n", name, name);
    return 0;
}

struct listing {
    json_t *json; // NULL: text
    size_t n;
};

static int list_client(void *context, const struct registry_client *c)
{
    struct listing *l = context;
    char added[32];
    when(c->added_ns, added);
    if (l->json)
        json_array_append_new(
            l->json, json_pack("{ss ss ss sI sI sI}", "client", c->name, "sector", c->sector,
                               "added", added, "hosts", (json_int_t)c->hosts, "revoked",
                               (json_int_t)c->revoked, "keys", (json_int_t)c->keys));
    else
        printf("%-32s  %-16s  %6llu hosts  %6llu revoked  %4llu keys  %s\n", c->name, c->sector,
               (unsigned long long)c->hosts, (unsigned long long)c->revoked,
               (unsigned long long)c->keys, added);
    l->n++;
    return 0;
}

int command_client_list(const struct hub_options *o, struct error *e)
{
    char state[HUB_PATH_MAX];
    struct registry *registry = NULL;
    struct listing l = {.json = o->json ? json_array() : NULL};
    int r = enter(o, state, &registry, e);
    if (r == 0)
        r = registry_client_each(registry, list_client, &l, e);
    registry_close(registry);
    if (o->json && r == 0)
        return print_json(l.json);
    json_decref(l.json);
    if (r == 0 && l.n == 0)
        puts("no clients yet: tiercel-hub client add NAME");
    return r;
}

// The SHA-256 of the authority's certificate, by which a host that enrols knows the hub.
static int fingerprint(const char *state, char ret[65], struct error *e)
{
    _cleanup_buf_ struct buf text = {0};
    uint8_t hash[32];
    X509 *certificate = NULL;
    int r = hub_file_read(state, "pki/ca.pem", &text, e);
    if (r < 0)
        return r;
    bool good = pki_certificate_read(buf_str(&text), &certificate) == 0 &&
                X509_digest(certificate, EVP_sha256(), hash, NULL) == 1;
    X509_free(certificate);
    if (!good)
        return error_set(e, -EBADMSG, "pki/ca.pem is damaged");
    pki_hex(hash, sizeof hash, ret);
    return 0;
}

int command_key_new(const struct hub_options *o, struct error *e)
{
    char state[HUB_PATH_MAX], text[REQUEST_KEY_SIZE + 1], until[32], authority[65];
    struct registry *registry = NULL;
    struct registry_key key = {0};
    uint8_t id[4], secret[16];
    uint64_t uses = 1, seconds = 86400, now = os_wall_ns();
    if (o->uses && (str_to_u64(str_from(o->uses), &uses) < 0 || uses < 1 || uses > 100000))
        return error_set(e, -EINVAL, "--uses: 1 to 100000");
    if (o->lasts && commands_duration(str_from(o->lasts), &seconds) < 0)
        return error_set(e, -EINVAL, "--for: a time such as 30m, 24h, 7d, at most a year");
    if (RAND_bytes(id, sizeof id) != 1 || RAND_bytes(secret, sizeof secret) != 1)
        return error_set(e, -EIO, "no random numbers");
    request_key_text(id, secret, text);
    if (request_key_read(str_from(text), key.id, key.hash) < 0)
        return error_set(e, -EIO, "no SHA-256");
    key.uses = (uint32_t)uses;
    key.expires_ns = now + seconds * 1000000000;
    int r = enter(o, state, &registry, e);
    if (r == 0)
        r = fingerprint(state, authority, e);
    if (r == 0)
        r = registry_key_add(registry, o->words[0], &key, now, e);
    registry_close(registry);
    if (r < 0)
        return r;
    when(key.expires_ns, until);
    if (o->json)
        r = print_json(json_pack("{ss ss sI ss ss}", "key", text, "client", o->words[0], "uses",
                                 (json_int_t)uses, "until", until, "fingerprint", authority));
    else if (printf("%s\n", text) < 0 ||
             fprintf(stderr,
                     "for %llu host%s of %s, until %s; it is shown only now.\n"
                     "On the host: tiercel enrol --hub https://THIS-HUB:8444 --key - "
                     "--fingerprint %s\n",
                     (unsigned long long)uses, uses == 1 ? "" : "s", o->words[0], until,
                     authority) < 0)
        r = -EIO;
    OPENSSL_cleanse(text, sizeof text);
    OPENSSL_cleanse(secret, sizeof secret);
    return r;
}

static int list_host(void *context, const struct registry_host *h)
{
    struct listing *l = context;
    char enrolled[32], revoked[32] = "", host[2 * sizeof h->host + 1];
    when(h->enrolled_ns, enrolled);
    if (h->revoked_ns)
        when(h->revoked_ns, revoked);
    pki_hex(h->host, sizeof h->host, host);
    if (l->json)
        json_array_append_new(l->json,
                              json_pack("{ss ss ss ss ss}", "client", h->client, "host", host,
                                        "name", h->name, "enrolled", enrolled, "revoked", revoked));
    else
        printf("%-32s  %s  %-24s  enrolled %s%s%s\n", h->client, host, h->name, enrolled,
               revoked[0] ? "  revoked " : "", revoked);
    l->n++;
    return 0;
}

int command_host_list(const struct hub_options *o, struct error *e)
{
    char state[HUB_PATH_MAX];
    struct registry *registry = NULL;
    struct listing l = {.json = o->json ? json_array() : NULL};
    int r = enter(o, state, &registry, e);
    if (r == 0)
        r = registry_host_each(registry, o->n_words ? o->words[0] : NULL, list_host, &l, e);
    registry_close(registry);
    if (o->json && r == 0)
        return print_json(l.json);
    json_decref(l.json);
    if (r == 0 && l.n == 0)
        puts("no hosts");
    return r;
}

int command_host_revoke(const struct hub_options *o, struct error *e)
{
    char state[HUB_PATH_MAX];
    struct registry *registry = NULL;
    uint8_t host[PKI_HOST_BYTES];
    if (pki_unhex(str_from(o->words[1]), host, sizeof host) < 0)
        return error_set(e, -EINVAL,
                         "'%s': a host is 32 hexadecimal digits (tiercel-hub host list)",
                         o->words[1]);
    int r = enter(o, state, &registry, e);
    if (r == 0)
        r = registry_host_revoke(registry, o->words[0], host, os_wall_ns(), e);
    registry_close(registry);
    if (r < 0)
        return r;
    if (o->json)
        return print_json(json_pack("{ss ss sb}", "client", o->words[0], "host", o->words[1],
                                    "was_revoked", r == 1));
    printf("host %s of %s %s\n", o->words[1], o->words[0],
           r ? "was revoked before" : "revoked: its next request is refused");
    return 0;
}

int command_verify(const struct hub_options *o, struct error *e)
{
    char state[HUB_PATH_MAX], folder[HUB_PATH_MAX + 64];
    struct store_verified v = {0};
    if (!pki_client_good(str_from(o->words[0])))
        return error_set(e, -EINVAL, "there is no client '%s'", o->words[0]);
    int r = hub_state_enter(o->state, state, e);
    if (r < 0)
        return r;
    snprintf(folder, sizeof folder, "%s/clients/%s", state, o->words[0]);
    if (access(folder, F_OK) < 0)
        return error_set(e, -ENOENT, "client '%s' has sent nothing yet", o->words[0]);
    r = store_verify(folder, &v, e);
    if (r < 0)
        return r;
    if (o->json)
        return print_json(json_pack("{ss sb sI sI sI sI}", "client", o->words[0], "proven", 1,
                                    "files", (json_int_t)v.files, "batches", (json_int_t)v.batches,
                                    "hosts", (json_int_t)v.hosts, "gaps", (json_int_t)v.gaps));
    printf("client %s: proven: %llu batches of %llu hosts in %llu files, %llu gaps\n", o->words[0],
           (unsigned long long)v.batches, (unsigned long long)v.hosts, (unsigned long long)v.files,
           (unsigned long long)v.gaps);
    return 0;
}

static int count_client(void *context, const struct registry_client *c)
{
    struct registry_client *sum = context;
    sum->added_ns++;
    sum->hosts += c->hosts;
    sum->revoked += c->revoked;
    sum->keys += c->keys;
    return 0;
}

int command_status(const struct hub_options *o, struct error *e)
{
    char state[HUB_PATH_MAX];
    struct registry *registry = NULL;
    struct registry_client sum = {0};
    _cleanup_buf_ struct buf counters = {0};
    int r = enter(o, state, &registry, e);
    if (r == 0)
        r = registry_client_each(registry, count_client, &sum, e);
    registry_close(registry);
    if (r < 0)
        return r;
    struct error unused = {0};
    int lock = hub_state_lock(state, &unused);
    bool runs = lock == -EBUSY;
    if (lock >= 0)
        close(lock);
    bool has = hub_file_read(state, "counters.json", &counters, &unused) == 0 && counters.n;
    if (o->json) {
        json_t *since = has ? json_loadb(counters.p, counters.n, 0, NULL) : NULL;
        return print_json(
            json_pack("{sb sI sI sI sI so}", "running", runs, "clients", (json_int_t)sum.added_ns,
                      "hosts", (json_int_t)sum.hosts, "revoked", (json_int_t)sum.revoked, "keys",
                      (json_int_t)sum.keys, "since_start", since ? since : json_null()));
    }
    printf("%s; %llu clients, %llu hosts (%llu of them revoked), %llu keys to enrol with\n",
           runs ? "running" : "not running", (unsigned long long)sum.added_ns,
           (unsigned long long)sum.hosts, (unsigned long long)sum.revoked,
           (unsigned long long)sum.keys);
    if (has)
        printf("since its last start: %.*s", (int)counters.n, counters.p);
    return 0;
}
