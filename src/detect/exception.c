// SPDX-License-Identifier: Apache-2.0
#include "detect/exception.h"

#include "rule/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define ARGUMENTS_MAX 1024
#define EVERYTHING STR("**")

struct parse {
    const char *file;
    struct arena *arena;
    struct error *e;
};

static int fail(const struct parse *p, const struct rule_yaml *at, const char *what,
                const char *way_out)
{
    error_set(p->e, -EINVAL, "%s", what);
    error_place(p->e, p->file, at->line, at->column);
    if (way_out)
        error_way_out(p->e, "%s", way_out);
    return -EINVAL;
}

// "2026-12-31T00:00:00Z", only UTC.
static int parse_time(struct str s, uint64_t *ret_ns)
{
    char text[32];
    struct tm tm = {0};
    if (s.n == 0 || s.n >= sizeof text)
        return -EINVAL;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (!end || *end)
        return -EINVAL;
    time_t t = timegm(&tm);
    if (t <= 0 || (uint64_t)t > UINT64_MAX / 1000000000u)
        return -EINVAL;
    *ret_ns = (uint64_t)t * 1000000000u;
    return 0;
}

static int parse_argv(const struct parse *p, const struct rule_yaml *node, struct exception *x)
{
    if (node->kind != RULE_YAML_LIST || node->n == 0 || node->n > ARGUMENTS_MAX)
        return fail(p, node, "argv is not a list of 1 to 1,024 arguments",
                    "write [/bin/sh, -c, \"...\"]");
    struct str *argv = arena_array(p->arena, struct str, node->n);
    if (!argv)
        return error_set(p->e, -ENOMEM, "out of memory");
    for (size_t i = 0; i < node->n; i++) {
        if (node->items[i]->kind != RULE_YAML_SCALAR)
            return fail(p, node->items[i], "an argument is not a text", NULL);
        argv[i] = node->items[i]->text;
    }
    if (node->n == 1 && str_eq(argv[0], EVERYTHING))
        return fail(p, node, "argv allows every command line",
                    "name the program at least: [/usr/bin/program, \"**\"]");
    x->argv = argv;
    x->argc = node->n;
    return 0;
}

static int parse_pair(const struct parse *p, const struct rule_yaml *key,
                      const struct rule_yaml *value, struct exception *x)
{
    const struct {
        const char *name;
        struct str *text;
    } texts[] = {{"id", &x->id},           {"rule", &x->rule},     {"role", &x->role},
                 {"service", &x->service}, {"reason", &x->reason}, {"who", &x->who}};
    if (str_eq(key->text, STR("argv")))
        return parse_argv(p, value, x);
    if (value->kind != RULE_YAML_SCALAR || value->text.n == 0)
        return fail(p, value, "not a text", NULL);
    if (str_eq(key->text, STR("expires")))
        return parse_time(value->text, &x->expires_ns) == 0
                   ? 0
                   : fail(p, value, "not a time", "write 2026-12-31T00:00:00Z");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (str_eq(key->text, str_from(texts[i].name))) {
            *texts[i].text = value->text;
            return 0;
        }
    }
    return fail(p, key, "unknown word in an exception",
                "id, rule, role, service, argv, expires, reason, who");
}

static int parse_one(const struct parse *p, const struct rule_yaml *node, struct exception *ret)
{
    struct exception x = {0};
    if (node->kind != RULE_YAML_MAP)
        return fail(p, node, "an exception is a map", "see the comment above the list");
    for (size_t i = 0; i < node->n; i++) {
        int r = parse_pair(p, node->items[2 * i], node->items[2 * i + 1], &x);
        if (r < 0)
            return r;
    }
    // Without these an exception could be forgotten, or allow more than anybody reviewed.
    if (!x.id.n || !x.rule.n || !x.argc || !x.expires_ns || !x.reason.n || !x.who.n)
        return fail(p, node, "an exception needs id, rule, argv, expires, reason and who", NULL);
    *ret = x;
    return 0;
}

int exception_parse(struct str text, const char *file, struct arena *arena, struct exception **ret,
                    size_t *ret_n, struct error *e)
{
    struct parse p = {file, arena, e};
    struct rule_yaml **documents;
    size_t n_documents;
    int r = rule_yaml_parse(arena, text, file, &documents, &n_documents, e);
    if (r < 0)
        return r;
    if (n_documents == 0 || rule_yaml_is_null(documents[0])) {
        *ret = NULL;
        *ret_n = 0;
        return 0;
    }
    const struct rule_yaml *list = documents[0];
    if (n_documents > 1 || list->kind != RULE_YAML_LIST)
        return fail(&p, list, "not one list of exceptions", "each entry begins with `- id:`");
    if (list->n > EXCEPTIONS_MAX)
        return fail(&p, list, "more than 4,096 exceptions", "remove those that have expired");
    struct exception *all = arena_array(arena, struct exception, list->n ? list->n : 1);
    if (!all)
        return error_set(e, -ENOMEM, "out of memory");
    for (size_t i = 0; i < list->n; i++) {
        r = parse_one(&p, list->items[i], &all[i]);
        if (r < 0)
            return r;
    }
    *ret = all;
    *ret_n = list->n;
    return 0;
}

// Greedy with one point to return to: linear in practice, never worse than the product of both lengths.
bool exception_shape(struct str shape, struct str argument)
{
    size_t s = 0, a = 0, star = SIZE_MAX, mark = 0;
    while (a < argument.n) {
        bool escaped = s + 1 < shape.n && shape.p[s] == '\\';
        if (s < shape.n && shape.p[s] == '*') {
            star = s++;
            mark = a;
        } else if (s < shape.n && (escaped ? shape.p[s + 1] == argument.p[a]
                                           : shape.p[s] == '?' || shape.p[s] == argument.p[a])) {
            s += escaped ? 2 : 1;
            a++;
        } else if (star != SIZE_MAX) {
            s = star + 1;
            a = ++mark;
        } else {
            return false;
        }
    }
    while (s < shape.n && shape.p[s] == '*')
        s++;
    return s == shape.n;
}

static struct str str_of(ProtobufCBinaryData b)
{
    return (struct str){(const char *)b.data, b.len};
}

static bool argv_fits(const struct exception *x, const Tiercel__Process *p)
{
    bool open = str_eq(x->argv[x->argc - 1], EVERYTHING);
    size_t fixed = open ? x->argc - 1 : x->argc;
    if (p->argv_cut || (open ? p->n_argv < fixed : p->n_argv != fixed))
        return false;
    for (size_t i = 0; i < fixed; i++)
        if (!exception_shape(x->argv[i], str_of(p->argv[i])))
            return false;
    return true;
}

bool exception_lifts(const struct exception *x, struct str rule_id, const Tiercel__Event *event,
                     uint64_t now_ns)
{
    const Tiercel__Process *p = event->process;
    const Tiercel__Lineage *l = p ? p->lineage : NULL;
    if (!p || x->expires_ns <= now_ns || !str_eq(x->rule, rule_id))
        return false;
    if (x->role.n && !(l && str_eq(x->role, str_from(l->role))))
        return false;
    if (x->service.n && !(l && l->has_service && str_eq(x->service, str_of(l->service))))
        return false;
    return argv_fits(x, p);
}

// Double-quoted YAML. Bytes that are not printable ASCII are written as \xNN, which YAML reads as a code point: only
// those below 0x80 come back as the same byte, so others become `?`, which stands for any one byte.
static void quote(struct buf *out, struct str s, bool shape)
{
    buf_add_char(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool special = shape && (c == '*' || c == '?' || c == '\\');
        if (special)
            buf_add(out, "\\\\", 2);
        if (c == '"' || c == '\\')
            buf_add_char(out, '\\');
        if (c >= 0x80)
            buf_add_char(out, '?');
        else if (c < 0x20 || c == 0x7f)
            buf_addf(out, "\\x%02x", c);
        else
            buf_add_char(out, (char)c);
    }
    buf_add_char(out, '"');
}

static void line(struct buf *out, const char *key, struct str value)
{
    if (value.n == 0)
        return;
    buf_addf(out, "  %s: ", key);
    quote(out, value, false);
    buf_add_char(out, '\n');
}

int exception_append(const Tiercel__Detection *detection, struct str id, uint64_t expires_ns,
                     struct str who, struct str reason, struct buf *out, struct error *e)
{
    const Tiercel__Event *event =
        detection->n_events ? detection->events[detection->n_events - 1] : NULL;
    const Tiercel__Process *p = event ? event->process : NULL;
    if (!p || !p->n_argv || !detection->rule_id || !detection->rule_id[0])
        return error_set(e, -EINVAL,
                         "no exception can be made: the rule has no id (give it one), or the "
                         "detection no command line");
    if (p->argv_cut)
        return error_set(e, -EINVAL, "the command line was too long to be recorded whole");
    if (!id.n || !who.n || !reason.n)
        return error_set(e, -EINVAL, "an exception needs an id, a name and a reason");
    time_t t = (time_t)(expires_ns / 1000000000u);
    struct tm tm;
    char when[32];
    if (!gmtime_r(&t, &tm) || !strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm))
        return error_set(e, -EINVAL, "not a time");
    buf_addf(out, "- id: ");
    quote(out, id, false);
    buf_add_char(out, '\n');
    line(out, "rule", str_from(detection->rule_id));
    if (p->lineage) {
        line(out, "role", str_from(p->lineage->role));
        if (p->lineage->has_service)
            line(out, "service", str_of(p->lineage->service));
    }
    buf_addf(out, "  argv: [");
    for (size_t i = 0; i < p->n_argv; i++) {
        if (i)
            buf_add(out, ", ", 2);
        quote(out, str_of(p->argv[i]), true);
    }
    buf_addf(out, "]\n");
    line(out, "expires", str_from(when));
    line(out, "reason", reason);
    line(out, "who", who);
    return out->failed;
}
