// SPDX-License-Identifier: Apache-2.0
#include "intel/import.h"
#include "intel/intel.h"
#include "intel/pattern.h"

#include <errno.h>
#include <jansson.h>
#include <time.h>
#include <xxhash.h>
#include <zlib.h>

static const struct {
    const char *stix;
    enum knowledge_kind kind;
} types[] = {
    {"relationship", KNOWLEDGE_LINK},          {"intrusion-set", KNOWLEDGE_GROUP},
    {"threat-actor", KNOWLEDGE_GROUP},         {"campaign", KNOWLEDGE_CLUSTER},
    {"malware", KNOWLEDGE_SOFTWARE},           {"tool", KNOWLEDGE_SOFTWARE},
    {"attack-pattern", KNOWLEDGE_TECHNIQUE},   {"infrastructure", KNOWLEDGE_INFRASTRUCTURE},
    {"ipv4-addr", KNOWLEDGE_INFRASTRUCTURE},   {"ipv6-addr", KNOWLEDGE_INFRASTRUCTURE},
    {"domain-name", KNOWLEDGE_INFRASTRUCTURE}, {"url", KNOWLEDGE_INFRASTRUCTURE},
    {"indicator", KNOWLEDGE_INDICATOR},        {"report", KNOWLEDGE_REPORT},
};

static const char *text_of(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

// One word for the same report wherever it is cited: its address without scheme, "www." and what follows '#'.
static struct str origin_of(const json_t *reference)
{
    struct str url = str_from(text_of(reference, "url"));
    ssize_t at = str_find(url, STR("://"));
    if (at >= 0)
        url = str_bytes(url.p + at + 3, url.n - (size_t)at - 3);
    if (str_starts(url, STR("www.")))
        url = str_bytes(url.p + 4, url.n - 4);
    at = str_find(url, STR("#"));
    if (at >= 0)
        url.n = (size_t)at;
    while (url.n && url.p[url.n - 1] == '/')
        url.n--;
    if (!url.n)
        url = str_from(text_of(reference, "source_name"));
    if (url.n > KNOWLEDGE_NAME_MAX)
        url.n = KNOWLEDGE_NAME_MAX;
    return url;
}

struct lists {
    struct str aliases[KNOWLEDGE_ALIASES_MAX], origins[KNOWLEDGE_ORIGINS_MAX];
    size_t n_aliases, n_origins;
};

static const char *take_lists(const json_t *o, struct knowledge_object *ret, struct lists *lists)
{
    static const char *const names[] = {"aliases", "x_mitre_aliases"};
    size_t i;
    json_t *x;
    for (int n = 0; n < 2; n++) {
        json_array_foreach(json_object_get(o, names[n]), i, x)
        {
            struct str alias = str_from(json_string_value(x));
            if (!json_is_string(x) || alias.n > KNOWLEDGE_NAME_MAX)
                return "an alias is no text or too long";
            if (lists->n_aliases == KNOWLEDGE_ALIASES_MAX)
                return "too many aliases";
            lists->aliases[lists->n_aliases++] = alias;
        }
    }
    json_array_foreach(json_object_get(o, "external_references"), i, x)
    {
        const char *code = text_of(x, "external_id");
        if (*code && !ret->code.n && str_starts(str_from(text_of(x, "source_name")), STR("mitre-")))
            ret->code = str_from(code);
        struct str origin = *code ? STR_NONE : origin_of(x);
        if (!origin.n)
            continue;
        if (lists->n_origins == KNOWLEDGE_ORIGINS_MAX)
            return "too many references";
        lists->origins[lists->n_origins++] = origin;
    }
    ret->aliases = lists->aliases;
    ret->n_aliases = lists->n_aliases;
    ret->origins = lists->origins;
    ret->n_origins = lists->n_origins;
    return NULL;
}

static const char *take_tenure(const json_t *o, struct knowledge_object *ret)
{
    static const char *const tenures[] = {"owned", "dedicated", "shared", "cdn"};
    const json_t *said = json_object_get(o, "x_tiercel_tenure");
    if (!said)
        return NULL;
    for (size_t i = 0; json_is_string(said) && i < 4; i++)
        if (!strcmp(json_string_value(said), tenures[i])) {
            ret->tenure = str_from(tenures[i]);
            return NULL;
        }
    return "x_tiercel_tenure is owned, dedicated, shared or cdn";
}

struct values {
    struct arena *arena;
    struct lists *lists;
};

static int add_value(void *context, const struct pattern *comparison,
                     const struct pattern_constant *constant)
{
    struct values *v = context;
    (void)comparison;
    struct str text = pattern_constant_text(v->arena, constant);
    if (!text.n || text.n > KNOWLEDGE_NAME_MAX)
        return 0;
    if (v->lists->n_aliases == KNOWLEDGE_ALIASES_MAX)
        return -ENOSPC;
    v->lists->aliases[v->lists->n_aliases++] = text;
    return 0;
}

// What a pattern asks to be equal to, the indicator is found by. Of other languages only the text is kept.
static const char *take_pattern(struct arena *arena, const json_t *o,
                                const struct knowledge_object *ret, struct lists *lists)
{
    const char *language = text_of(o, "pattern_type");
    struct pattern *p = NULL;
    struct values values = {arena, lists};
    if (ret->kind != KNOWLEDGE_INDICATOR || (*language && strcmp(language, "stix") != 0))
        return NULL;
    struct error e = {0};
    if (pattern_parse(arena, ret->text, &p, &e)) {
        const char *why = arena_cstr(arena, str_from(e.what));
        return why ? why : "the pattern can't be read";
    }
    return pattern_equals(p, add_value, &values) ? "a pattern with over 256 values" : NULL;
}

// Fills *ret with views of o; why it is wrong, or NULL.
static const char *take(struct arena *arena, const json_t *o, struct knowledge_object *ret,
                        struct lists *lists)
{
    bool link = ret->kind == KNOWLEDGE_LINK;
    const json_t *grade = json_object_get(o, "confidence");
    ret->id = str_from(text_of(o, "id"));
    ret->name = str_from(text_of(o, *text_of(o, "name") ? "name" : "value"));
    ret->text = str_from(text_of(o, ret->kind == KNOWLEDGE_INDICATOR ? "pattern" : "description"));
    ret->modified = str_from(text_of(o, "modified"));
    ret->created = intel_date(text_of(o, "created"));
    ret->changed = intel_date(text_of(o, "modified"));
    ret->valid_from = intel_date(text_of(o, link ? "start_time" : "valid_from"));
    ret->valid_until = intel_date(text_of(o, link ? "stop_time" : "valid_until"));
    ret->gone = json_is_true(json_object_get(o, "revoked")) ||
                json_is_true(json_object_get(o, "x_mitre_deprecated"));
    ret->grade = json_is_integer(grade) ? (int)json_integer_value(grade) : -1;
    if (grade && (!json_is_integer(grade) || json_integer_value(grade) < 0 ||
                  json_integer_value(grade) > 100))
        return "confidence is no number from 0 to 100";
    if (str_find(ret->id, STR("--")) < 1 || ret->id.n > 128)
        return "no id of the form TYPE--UUID";
    if (link) {
        ret->from = str_from(text_of(o, "source_ref"));
        ret->verb = str_from(text_of(o, "relationship_type"));
        ret->to = str_from(text_of(o, "target_ref"));
        if (!ret->from.n || !ret->verb.n || !ret->to.n || ret->from.n > 128 || ret->to.n > 128 ||
            ret->verb.n > 128)
            return "a relationship needs source_ref, relationship_type and target_ref";
    } else if (ret->kind == KNOWLEDGE_INDICATOR ? !ret->text.n : !ret->name.n) {
        return ret->kind == KNOWLEDGE_INDICATOR ? "no pattern" : "no name or value";
    }
    if (str_starts(ret->id, STR("domain-name--")) && ret->name.n > IMPORT_DOMAIN_MAX)
        return "a domain name over 253 bytes";
    if (ret->text.n > KNOWLEDGE_TEXT_MAX)
        return "a text over 64 KiB";
    const char *why = take_tenure(o, ret);
    why = why ? why : take_pattern(arena, o, ret, lists);
    return why ? why : take_lists(o, ret, lists);
}

static void refuse(struct import *i, struct str id, const char *why)
{
    i->refused++;
    if (i->problem)
        i->problem(i->context, i->objects, id, why);
}

static uint64_t hash_of(const json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
    uint64_t hash = text ? XXH3_64bits(text, strlen(text)) : 0;
    free(text);
    return hash;
}

static uint32_t day_of(uint64_t seconds)
{
    struct tm day;
    time_t t = (time_t)seconds;
    if (!gmtime_r(&t, &day))
        return 0;
    return (uint32_t)((day.tm_year + 1900) * 10000 + (day.tm_mon + 1) * 100 + day.tm_mday);
}

static int put(struct import *i, const json_t *o, struct error *e)
{
    struct str type = str_from(text_of(o, "type")), id = str_from(text_of(o, "id"));
    size_t n = 0;
    while (n < sizeof types / sizeof *types && !str_eq(type, str_from(types[n].stix)))
        n++;
    if (!type.n || n == sizeof types / sizeof *types) {
        if (type.n)
            i->unused++;
        else
            refuse(i, id, "no type");
        return 0;
    }
    struct knowledge_object object = {.kind = types[n].kind};
    struct lists lists;
    lists.n_aliases = lists.n_origins = 0;
    arena_reset(&i->arena);
    const char *why = take(&i->arena, o, &object, &lists);
    if (why) {
        refuse(i, id, why);
        return 0;
    }
    if (!object.created)
        object.created = day_of(i->now); // an object without a date is known since it came
    object.hash = hash_of(o);
    int r = knowledge_put(i->knowledge, i->source, i->now, &object, e);
    if (r == -ENOSPC && e && !strncmp(e->what, "knowledge:", 10))
        return r; // the disk is full
    if (r == -ENOSPC)
        refuse(i, id, "over a limit of the store");
    else if (r < 0)
        return r;
    else
        i->counts[r]++;
    return 0;
}

static int finish_object(struct import *i, struct error *e)
{
    const char *why = i->too_deep ? "nested deeper than 64" : i->too_big ? "over 1 MiB" : NULL;
    json_t *o = why ? NULL : json_loadb(i->object.p, i->object.n, JSON_REJECT_DUPLICATES, NULL);
    int r = 0;
    i->objects++;
    if (!json_is_object(o))
        refuse(i, STR_NONE, why ? why : "no JSON object");
    else
        r = put(i, o, e);
    json_decref(o);
    return r;
}

void import_begin(struct import *i)
{
    i->state = IMPORT_HEAD;
    i->object.limit = IMPORT_OBJECT_MAX;
    i->word.limit = 64;
    i->depth = 0;
    i->quoted = i->escaped = false;
    i->bytes = 0;
    buf_reset(&i->object);
    buf_reset(&i->word);
}

void import_done(struct import *i)
{
    buf_done(&i->object);
    buf_done(&i->word);
    arena_done(&i->arena);
}

static bool in_string(struct import *i, char c)
{
    if (!i->quoted) {
        i->quoted = c == '"';
        return i->quoted;
    }
    if (i->escaped)
        i->escaped = false;
    else if (c == '\\')
        i->escaped = true;
    else if (c == '"')
        i->quoted = false;
    return true;
}

// Before the list: the bundle's own members, of which only the name "objects" matters.
static void head(struct import *i, char c)
{
    bool opens = c == '"' && !i->quoted;
    if (in_string(i, c)) {
        if (opens) {
            buf_reset(&i->word);
            i->word.failed = 0;
        } else if (i->quoted && i->depth == 1)
            buf_add_char(&i->word, c);
        if (!i->quoted && i->depth == 1 && str_eq(buf_str(&i->word), STR("objects")))
            i->state = IMPORT_COLON;
    } else if (c == '{' || c == '[') {
        i->depth++;
    } else if ((c == '}' || c == ']') && i->depth) {
        i->depth--;
    }
}

static int object_byte(struct import *i, char c, struct error *e)
{
    if (!i->too_big && !i->too_deep) {
        buf_add_char(&i->object, c);
        i->too_big = i->object.failed;
    }
    if (in_string(i, c))
        return 0;
    if (c == '{' || c == '[') {
        i->depth++;
        i->too_deep |= i->depth > IMPORT_DEPTH_MAX;
    } else if (c == '}' || c == ']') {
        if (--i->depth == 0) {
            i->state = IMPORT_LIST;
            return finish_object(i, e);
        }
    }
    return 0;
}

static int list_byte(struct import *i, char c, struct error *e)
{
    if (c == ']') {
        i->state = IMPORT_END;
    } else if (c == '{') {
        i->state = IMPORT_OBJECT;
        i->depth = 0;
        i->too_big = i->too_deep = i->escaped = i->quoted = false;
        buf_reset(&i->object);
        i->object.failed = 0;
        return object_byte(i, c, e);
    } else if (c == '[') {
        return error_set(e, -EINVAL, "a list among the objects: this is no bundle");
    }
    return 0;
}

int import_feed(struct import *i, struct str piece, struct error *e)
{
    i->bytes += piece.n;
    if (i->bytes > IMPORT_BYTES_MAX)
        return error_set(e, -EFBIG, "a feed over 4 GiB: what came until then is kept");
    int r = 0;
    for (size_t at = 0; r == 0 && at < piece.n && i->state != IMPORT_END; at++) {
        char c = piece.p[at];
        if (i->state == IMPORT_OBJECT)
            r = object_byte(i, c, e);
        else if (i->state == IMPORT_LIST)
            r = list_byte(i, c, e);
        else if (i->state == IMPORT_HEAD)
            head(i, c);
        else if (c == '[')
            i->state = IMPORT_LIST;
        else if (c != ':' && c != ' ' && c != '\n' && c != '\r' && c != '\t')
            i->state = IMPORT_HEAD;
    }
    return r;
}

int import_end(struct import *i, struct error *e)
{
    int r = knowledge_commit(i->knowledge, e);
    if (r == 0 && i->state != IMPORT_END)
        r = error_set(e, -EINVAL,
                      i->state < IMPORT_LIST ? "no list of objects: this is no STIX bundle"
                                             : "the bundle is cut short: what came is kept");
    return r;
}

int import_file(struct import *i, const char *path, struct error *e)
{
    gzFile f = gzopen(path, "rbe");
    if (!f)
        return error_set(e, errno ? -errno : -ENOMEM, "%s can't be opened: %m", path);
    char block[65536];
    int n = 0, r = 0;
    import_begin(i);
    while (r == 0 && (n = gzread(f, block, sizeof block)) > 0)
        r = import_feed(i, str_bytes(block, (size_t)n), e);
    gzclose(f);
    if (r == 0 && n < 0)
        r = error_set(e, -EINVAL, "damaged: what came until then is kept");
    struct error second = {0};
    int ended = import_end(i, r ? &second : e);
    if (r == 0)
        r = ended;
    if (r)
        error_place(e, path, 0, 0);
    return r;
}
