// SPDX-License-Identifier: Apache-2.0
// `tiercel-hub output ...`: files in the state folder, which the running core notices within a second.
#include "base/cleanup.h"
#include "hub/commands.h"
#include "hub/outputs.h"
#include "hub/state.h"
#include "output/output.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/stat.h>

#define TEST_SECONDS 15

static int print_json(json_t *value)
{
    int r = value ? json_dumpf(value, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER) : -1;
    json_decref(value);
    return r < 0 || putchar('\n') == EOF ? -EIO : 0;
}

// Read before the command becomes the state folder's owner, who may not read it.
static int read_authority(const char *path, struct output_config *c, struct error *e)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, c->authority, sizeof c->authority);
    if (n < 0)
        return error_set(e, -errno, "%s: %s", path, strerror(errno));
    if (n == 0 || (size_t)n == sizeof c->authority || !strstr(c->authority, "BEGIN CERTIFICATE"))
        return error_set(e, -EINVAL, "%s: not one PEM certificate of less than 8 KiB", path);
    return 0;
}

static int config_of(const struct hub_options *o, struct output_config *c, struct error *e)
{
    int kind = o->kind ? output_kind_read(o->kind) : -EINVAL;
    if (kind < 0)
        return error_set(e, -EINVAL, "--kind: syslog, cef, ocsf-file, ocsf-http or webhook");
    c->kind = (uint32_t)kind;
    if (strlen(o->words[0]) > OUTPUT_NAME_MAX || (o->to && strlen(o->to) >= sizeof c->to))
        return error_set(e, -EINVAL, "the name or --to is too long");
    snprintf(c->name, sizeof c->name, "%s", o->words[0]);
    snprintf(c->to, sizeof c->to, "%s", o->to ? o->to : "");
    if (o->client && !pki_client_good(str_from(o->client)))
        return error_set(e, -EINVAL, "there is no client '%s'", o->client);
    snprintf(c->client, sizeof c->client, "%s", o->client ? o->client : "");
    c->level = o->level ? output_severity(str_from(o->level)) : 0;
    if (o->level && !c->level)
        return error_set(e, -EINVAL, "--level: informational, low, medium, high or critical");
    int r = output_config_check(c, e);
    return r < 0 || !o->ca ? r : read_authority(o->ca, c, e);
}

int command_output_add(const struct hub_options *o, struct error *e)
{
    static struct output_config c;
    char state[HUB_PATH_MAX];
    uint8_t secret[32];
    int r = config_of(o, &c, e);
    if (r == 0)
        r = hub_state_enter(o->state, state, e);
    if (r < 0)
        return r;
    if (c.kind == OUTPUT_WEBHOOK) {
        if (RAND_bytes(secret, sizeof secret) != 1)
            return error_set(e, -EIO, "no random numbers");
        pki_hex(secret, sizeof secret, c.secret);
    }
    r = output_config_write(state, &c, e);
    if (r == 0 && o->json)
        r = print_json(json_pack("{ss ss ss}", "output", c.name, "kind", output_kind_word(c.kind),
                                 "secret", c.secret));
    else if (r == 0 && c.secret[0])
        printf("%s\nthe secret of its signatures, shown only now; try it: tiercel-hub output test "
               "%s\n",
               c.secret, c.name);
    else if (r == 0)
        printf("output %s added; try it: tiercel-hub output test %s\n", c.name, c.name);
    OPENSSL_cleanse(&c, sizeof c);
    OPENSSL_cleanse(secret, sizeof secret);
    return r;
}

// What core wrote last; NULL before it saw the output.
static json_t *state_of(const char *state, const char *name)
{
    _cleanup_buf_ struct buf text = {0};
    char file[128];
    struct error unused = {0};
    snprintf(file, sizeof file, "outputs/%s/state.json", name);
    return hub_file_read(state, file, &text, &unused) == 0 ? json_loadb(text.p, text.n, 0, NULL)
                                                           : NULL;
}

static json_int_t count(json_t *state, const char *key)
{
    return json_integer_value(json_object_get(state, key));
}

static int list_one(const char *state, const char *name, json_t *list, struct error *e)
{
    static struct output_config c;
    int r = output_config_read(state, name, &c, e);
    if (r < 0)
        return r;
    json_t *s = state_of(state, name);
    const char *why = json_string_value(json_object_get(s, "last_error"));
    if (list)
        json_array_append_new(list, json_pack("{ss ss ss ss so}", "output", c.name, "kind",
                                              output_kind_word(c.kind), "to", c.to, "client",
                                              c.client, "state", s ? json_incref(s) : json_null()));
    else
        printf("%-20s  %-9s  %-12s  %8lld delivered  %6lld waiting  %6lld dropped  %s%s%s\n",
               c.name, output_kind_word(c.kind), c.client[0] ? c.client : "all clients",
               (long long)count(s, "delivered"), (long long)count(s, "waiting"),
               (long long)count(s, "dropped"), c.to, why && why[0] ? "  " : "", why ? why : "");
    json_decref(s);
    return 0;
}

int command_output_list(const struct hub_options *o, struct error *e)
{
    char state[HUB_PATH_MAX], path[HUB_PATH_MAX + 64];
    json_t *list = o->json ? json_array() : NULL;
    int r = hub_state_enter(o->state, state, e);
    snprintf(path, sizeof path, "%s/outputs", r == 0 ? state : "");
    DIR *folder = r == 0 ? opendir(path) : NULL;
    size_t n = 0;
    for (struct dirent *d; r == 0 && folder && (d = readdir(folder));)
        if (pki_client_good(str_from(d->d_name))) {
            r = list_one(state, d->d_name, list, e);
            n++;
        }
    if (folder)
        closedir(folder);
    if (r == 0 && list)
        return print_json(list);
    json_decref(list);
    if (r == 0 && n == 0)
        puts("no outputs yet: tiercel-hub output add NAME --kind KIND --to URL");
    return r;
}

static int known(const struct hub_options *o, char state[HUB_PATH_MAX], char ret[HUB_PATH_MAX + 64],
                 struct error *e)
{
    if (!pki_client_good(str_from(o->words[0])) || strlen(o->words[0]) > OUTPUT_NAME_MAX)
        return error_set(e, -ENOENT, "there is no output '%s'", o->words[0]);
    int r = hub_state_enter(o->state, state, e);
    if (r < 0)
        return r;
    snprintf(ret, HUB_PATH_MAX + 64, "%s/outputs/%s", state, o->words[0]);
    return access(ret, F_OK) < 0 ? error_set(e, -ENOENT, "there is no output '%s'", o->words[0])
                                 : 0;
}

int command_output_remove(const struct hub_options *o, struct error *e)
{
    char state[HUB_PATH_MAX], path[HUB_PATH_MAX + 64], away[HUB_PATH_MAX + 64],
        file[HUB_PATH_MAX + 512];
    int r = known(o, state, path, e);
    if (r < 0)
        return r;
    // Out of core's sight first ('.' begins no output's name), so that it is whole or not there.
    snprintf(away, sizeof away, "%s/outputs/.%s", state, o->words[0]);
    if (rename(path, away) < 0)
        return error_set(e, -errno, "%s: %s", path, strerror(errno));
    DIR *folder = opendir(away);
    for (struct dirent *d; folder && (d = readdir(folder));)
        if (d->d_name[0] != '.') {
            snprintf(file, sizeof file, "%s/%s", away, d->d_name);
            unlink(file);
        }
    if (folder)
        closedir(folder);
    if (rmdir(away) < 0)
        return error_set(e, -errno, "%s: %s", away, strerror(errno));
    return o->json ? print_json(json_pack("{ss}", "removed", o->words[0]))
           : printf("output %s removed\n", o->words[0]) < 0 ? -EIO
                                                            : 0;
}

int command_output_test(const struct hub_options *o, struct error *e)
{
    char state[HUB_PATH_MAX], path[HUB_PATH_MAX + 64], file[128];
    int r = known(o, state, path, e);
    if (r < 0)
        return r;
    struct error unused = {0};
    _cleanup_close_ int lock = hub_state_lock(state, &unused);
    if (lock >= 0) {
        error_way_out(e, "tiercel-hub serve");
        return error_set(e, -ENOTCONN, "the hub does not run, and it is the hub that sends");
    }
    json_t *s = state_of(state, o->words[0]);
    json_int_t before = count(s, "delivered"), dropped = count(s, "dropped");
    json_decref(s);
    snprintf(file, sizeof file, "outputs/%s/test", o->words[0]);
    r = hub_file_write(state, file, STR_NONE, e);
    if (r < 0)
        return r;
    char why[160] = "";
    for (unsigned i = 0; i < TEST_SECONDS * 10; i++) {
        usleep(100000);
        s = state_of(state, o->words[0]);
        const char *said = json_string_value(json_object_get(s, "last_error"));
        bool good = count(s, "delivered") > before, bad = count(s, "dropped") > dropped;
        snprintf(why, sizeof why, "%s", said ? said : "");
        json_decref(s);
        if (good)
            return o->json ? print_json(json_pack("{ss}", "delivered", o->words[0]))
                   : printf("delivered to %s\n", o->words[0]) < 0 ? -EIO
                                                                  : 0;
        if (bad)
            break;
    }
    return error_set(e, -EIO, "output %s did not take it%s%s", o->words[0],
                     why[0] ? ": " : " yet; it stays in the queue", why);
}
