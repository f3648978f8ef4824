// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "hub/outputs.h"
#include "hub/state.h"
#include "output/output.h"
#include <errno.h>
#include <jansson.h>
#include <sys/stat.h>

static const struct {
    const char *word, *schemes; // of the URLs it takes; NULL: none
} kinds[] = {
    [OUTPUT_SYSLOG] = {"syslog", "udp:// tcp:// tls://"},
    [OUTPUT_CEF] = {"cef", "udp:// tcp:// tls://"},
    [OUTPUT_OCSF_FILE] = {"ocsf-file", NULL},
    [OUTPUT_OCSF_HTTP] = {"ocsf-http", "https:// http://"},
    [OUTPUT_WEBHOOK] = {"webhook", "https:// http://"},
};
#define KINDS (sizeof kinds / sizeof *kinds)

int output_kind_read(const char *word)
{
    for (size_t i = 0; i < KINDS; i++)
        if (!strcmp(kinds[i].word, word))
            return (int)i;
    return -EINVAL;
}

const char *output_kind_word(uint32_t kind)
{
    return kind < KINDS ? kinds[kind].word : "unknown";
}

int output_config_check(const struct output_config *c, struct error *e)
{
    if (!pki_client_good(str_from(c->name)) || strlen(c->name) > OUTPUT_NAME_MAX)
        return error_set(e, -EINVAL, "'%s': an output's name is 1 to %d of a-z, 0-9 and '-'",
                         c->name, OUTPUT_NAME_MAX);
    if (c->kind >= KINDS)
        return error_set(e, -EINVAL, "no such kind of output");
    if (!kinds[c->kind].schemes)
        return c->to[0]
                   ? error_set(e, -EINVAL, "%s takes no --to: it writes below the state folder",
                               kinds[c->kind].word)
                   : 0;
    for (struct str rest = str_from(kinds[c->kind].schemes), s; str_split(&rest, ' ', &s);)
        if (str_starts(str_from(c->to), s) && strlen(c->to) > s.n)
            return 0;
    return error_set(e, -EINVAL, "--to for %s begins with one of: %s", kinds[c->kind].word,
                     kinds[c->kind].schemes);
}

static void take(json_t *o, const char *key, char *ret, size_t size)
{
    const char *s = json_string_value(json_object_get(o, key));
    snprintf(ret, size, "%s", s ? s : "");
}

int output_config_read(const char *state, const char *name, struct output_config *ret,
                       struct error *e)
{
    char file[128], kind[32], level[32];
    _cleanup_buf_ struct buf text = {0};
    struct output_config c = {0};
    snprintf(file, sizeof file, "outputs/%.64s/output.json", name);
    int r = hub_file_read(state, file, &text, e);
    if (r < 0)
        return r;
    json_t *o = json_loadb(text.p, text.n, 0, NULL);
    take(o, "to", c.to, sizeof c.to);
    take(o, "client", c.client, sizeof c.client);
    take(o, "secret", c.secret, sizeof c.secret);
    take(o, "authority", c.authority, sizeof c.authority);
    take(o, "kind", kind, sizeof kind);
    take(o, "level", level, sizeof level);
    json_decref(o);
    snprintf(c.name, sizeof c.name, "%.32s", name);
    c.kind = (uint32_t)output_kind_read(kind);
    c.level = output_severity(str_from(level));
    if (output_config_check(&c, e) < 0)
        return error_set(e, -EBADMSG, "%s is damaged", file);
    *ret = c;
    return 0;
}

int output_config_write(const char *state, const struct output_config *c, struct error *e)
{
    static const char *const levels[] = {"", "informational", "low", "medium", "high", "critical"};
    char path[HUB_PATH_MAX + 64], file[128];
    snprintf(path, sizeof path, "%s/outputs", state);
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return error_set(e, -errno, "%s: %s", path, strerror(errno));
    snprintf(path, sizeof path, "%s/outputs/%s", state, c->name);
    if (mkdir(path, 0700) < 0)
        return errno == EEXIST ? error_set(e, -EEXIST, "there is an output '%s' already", c->name)
                               : error_set(e, -errno, "%s: %s", path, strerror(errno));
    snprintf(file, sizeof file, "outputs/%s/output.json", c->name);
    json_t *o = json_pack("{ss ss ss ss ss ss}", "kind", kinds[c->kind].word, "to", c->to, "client",
                          c->client, "level", levels[c->level], "secret", c->secret, "authority",
                          c->authority);
    _cleanup_free_ char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    int r = text ? hub_file_write(state, file, str_from(text), e)
                 : error_set(e, -EINVAL, "what was given is not UTF-8");
    if (r < 0)
        rmdir(path);
    return r;
}
