// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"
#include "base/cleanup.h"
#include "intel/intel.h"

#include <errno.h>
#include <jansson.h>
#include <xxhash.h>
#include <zlib.h>

enum node_type { NODE_GROUP, NODE_TECHNIQUE, NODE_SOFTWARE, NODE_CAMPAIGN };

struct node {
    enum node_type type;
    struct intel_adversary *adversary; // of a campaign: set by attributed-to
    struct intel_value *value;
};

struct edge {
    struct node *from, *to;
    struct str source, target;
    uint32_t since;
    bool attributed;
    struct edge *next;
};

struct bundle {
    struct intel *k;
    struct map nodes;
    struct edge *edges, **tail;
};

static const char *text_of(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

// The id that people use (G0009, T1059.004), or the object's own id.
static struct str short_id(const json_t *o)
{
    size_t i;
    json_t *r;
    json_array_foreach(json_object_get(o, "external_references"), i, r)
    {
        const char *id = text_of(r, "external_id");
        if (*id && str_starts(str_from(text_of(r, "source_name")), STR("mitre-")))
            return str_from(id);
    }
    return str_from(text_of(o, "id"));
}

static int aliases(struct bundle *b, struct map *table, const json_t *list, void *value)
{
    size_t i;
    json_t *a;
    int r = 0;
    json_array_foreach(list, i, a) if (json_is_string(a) && !r) r =
        intel_alias_add(b->k, table, str_from(json_string_value(a)), value);
    return r;
}

static int take_node(struct bundle *b, const json_t *o, enum node_type type)
{
    struct node *n = arena_new(&b->k->arena, struct node);
    struct str id = short_id(o), name = str_from(text_of(o, "name"));
    if (!n || !id.n)
        return -EINVAL;
    n->type = type;
    if (type == NODE_GROUP) {
        n->adversary = intel_adversary(b->k, id);
        if (!n->adversary)
            n->adversary = intel_adversary_add(b->k, id, name);
        if (!n->adversary || aliases(b, &b->k->names, json_object_get(o, "aliases"), n->adversary))
            return -ENOSPC;
    } else if (type == NODE_TECHNIQUE) {
        n->value = intel_value(b->k, INTEL_TECHNIQUE, id);
    } else if (type == NODE_SOFTWARE) {
        n->value = intel_value(b->k, INTEL_SOFTWARE, id);
        if (!n->value || intel_alias_add(b->k, &b->k->software, id, &n->value->key) ||
            intel_alias_add(b->k, &b->k->software, name, &n->value->key) ||
            aliases(b, &b->k->software, json_object_get(o, "x_mitre_aliases"), &n->value->key))
            return -ENOSPC;
    }
    struct str key = arena_str(&b->k->arena, str_from(text_of(o, "id")));
    return key.n ? map_put(&b->nodes, key, n) : -EINVAL;
}

static int take_edge(struct bundle *b, const json_t *o)
{
    struct str type = str_from(text_of(o, "relationship_type"));
    bool attributed = str_eq(type, STR("attributed-to"));
    if (!attributed && !str_eq(type, STR("uses")))
        return 0;
    struct edge *e = arena_new(&b->k->arena, struct edge);
    if (!e)
        return -ENOMEM;
    e->source = arena_str(&b->k->arena, str_from(text_of(o, "source_ref")));
    e->target = arena_str(&b->k->arena, str_from(text_of(o, "target_ref")));
    e->since = intel_date(text_of(o, "created"));
    e->attributed = attributed;
    *b->tail = e;
    b->tail = &e->next;
    return 0;
}

static int take_object(struct bundle *b, const json_t *o)
{
    static const struct {
        const char *name;
        enum node_type type;
    } types[] = {
        {"intrusion-set", NODE_GROUP}, {"threat-actor", NODE_GROUP},
        {"malware", NODE_SOFTWARE},    {"tool", NODE_SOFTWARE},
        {"campaign", NODE_CAMPAIGN},   {"attack-pattern", NODE_TECHNIQUE},
    };
    if (!json_is_object(o))
        return -EINVAL;
    if (json_is_true(json_object_get(o, "revoked")) ||
        json_is_true(json_object_get(o, "x_mitre_deprecated")))
        return 0;
    struct str type = str_from(text_of(o, "type"));
    if (str_eq(type, STR("relationship")))
        return take_edge(b, o);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (str_eq(type, str_from(types[i].name)))
            return take_node(b, o, types[i].type);
    return 0;
}

// The length of the JSON object at the start of text, or 0 when it does not end.
static size_t object_length(struct str text)
{
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

static void link_edges(struct bundle *b)
{
    for (struct edge *e = b->edges; e; e = e->next) {
        e->from = map_get(&b->nodes, e->source);
        e->to = map_get(&b->nodes, e->target);
        if (e->attributed && e->from && e->to && e->from->type == NODE_CAMPAIGN)
            e->from->adversary = e->to->adversary;
    }
    for (struct edge *e = b->edges; e; e = e->next) {
        if (e->attributed || !e->from || !e->to || !e->from->adversary || !e->to->value)
            continue;
        if (intel_fact_add(b->k, e->from->adversary->number, e->to->value, e->since, 0))
            b->k->skipped++;
    }
}

int intel_load_bundle(struct intel *k, struct str text, struct error *e)
{
    ssize_t at = str_find(text, STR("\"objects\""));
    struct bundle b = {.k = k, .nodes.quota = 1u << 20};
    b.tail = &b.edges;
    size_t i = at < 0 ? text.n : (size_t)at + 9;
    while (i < text.n && text.p[i] != '[')
        i++;
    if (i >= text.n)
        return error_set(e, -EINVAL, "no list of objects: this is no STIX bundle");
    int r = 0;
    for (i++; i < text.n && text.p[i] != ']'; i++) {
        if (text.p[i] != '{')
            continue;
        size_t n = object_length(str_bytes(text.p + i, text.n - i));
        if (!n) {
            r = error_set(e, -EINVAL, "the bundle ends within an object");
            break;
        }
        json_t *o = n <= INTEL_OBJECT_MAX ? json_loadb(text.p + i, n, 0, NULL) : NULL;
        if (!o || take_object(&b, o))
            k->skipped++;
        json_decref(o);
        i += n - 1;
    }
    link_edges(&b);
    map_done(&b.nodes);
    k->version = XXH3_64bits_withSeed(text.p, text.n, k->version);
    return r;
}

static void case_answers(struct intel *k, struct intel_case *c, json_t *o)
{
    json_t *groups = json_object_get(o, "attack_group");
    const char *actor = text_of(o, "actor");
    size_t n = json_is_array(groups) ? json_array_size(groups) : 1;
    c->answers = arena_array(&k->arena, uint32_t, n ? n : 1);
    for (size_t i = 0; c->answers && i < n; i++) {
        json_t *g = json_is_array(groups) ? json_array_get(groups, i) : groups;
        struct intel_adversary *a = NULL;
        if (json_is_string(g)) {
            a = intel_adversary(k, str_from(json_string_value(g)));
            if (!a)
                a = intel_adversary_add(k, str_from(json_string_value(g)), str_from(actor));
        } else if (*actor) {
            a = intel_adversary(k, str_from(actor));
            if (!a)
                a = intel_adversary_add(k, str_from(actor), str_from(actor));
        }
        if (a)
            c->answers[c->n_answers++] = a->number;
    }
}

static void case_value(struct intel *k, struct intel_case *c, enum intel_kind kind, struct str text)
{
    struct intel_value *v = intel_value(k, kind, text);
    for (uint32_t i = 0; v && i < c->n_values; i++)
        if (c->values[i] == v)
            v = NULL;
    if (v)
        c->values[c->n_values++] = v;
}

static int take_case(struct intel *k, json_t *o, bool learn)
{
    struct intel_case *c = arena_new(&k->arena, struct intel_case);
    json_t *t = json_object_get(o, "techniques"), *s = json_object_get(o, "software");
    json_t *h = json_object_get(o, "indicators"), *refs = json_object_get(o, "references"), *x;
    size_t i, room = json_array_size(t) + json_array_size(s) * 8 + json_array_size(h);
    if (!c || !json_is_object(o) || room > 8192)
        return -EINVAL;
    c->id = arena_str(&k->arena, str_from(text_of(o, "id")));
    c->published = intel_date(text_of(o, "published"));
    c->source = k->n_cases + 1;
    c->values = arena_array(&k->arena, struct intel_value *, room + 1);
    c->references = arena_array(&k->arena, struct str, json_array_size(refs) + 1);
    if (!c->values || !c->references)
        return -ENOMEM;
    json_array_foreach(t, i, x) case_value(k, c, INTEL_TECHNIQUE, str_from(json_string_value(x)));
    json_array_foreach(s, i, x)
    {
        struct str names = str_from(json_string_value(x)), name;
        for (int n = 0; n < 8 && str_split(&names, '|', &name); n++)
            case_value(k, c, INTEL_SOFTWARE, name);
    }
    json_array_foreach(h, i, x) case_value(k, c, INTEL_HOST, str_from(text_of(x, "host")));
    json_array_foreach(refs, i, x)
    {
        struct str ref = arena_str(&k->arena, str_from(json_string_value(x)));
        if (ref.n)
            c->references[c->n_references++] = ref;
    }
    case_answers(k, c, o);
    if ((k->n_cases & (k->n_cases + 1)) == 0) {
        void *grown = reallocarray(k->cases, ((size_t)k->n_cases + 1) * 2, sizeof(void *));
        if (!grown)
            return -ENOMEM;
        k->cases = grown;
    }
    k->cases[k->n_cases++] = c;
    for (uint32_t v = 0; learn && c->n_answers && v < c->n_values; v++)
        if (intel_fact_add(k, c->answers[0], c->values[v], c->published, c->source))
            k->skipped++;
    return 0;
}

int intel_load_cases(struct intel *k, struct str text, bool learn, struct error *e)
{
    struct str rest = text, line;
    uint32_t before = k->n_cases;
    while (str_split(&rest, '\n', &line)) {
        if (!str_trim(line).n)
            continue;
        json_t *o = line.n <= INTEL_OBJECT_MAX ? json_loadb(line.p, line.n, 0, NULL) : NULL;
        if (!o || take_case(k, o, learn))
            k->skipped++;
        json_decref(o);
    }
    if (learn)
        k->version = XXH3_64bits_withSeed(text.p, text.n, k->version);
    return k->n_cases > before ? 0 : error_set(e, -EINVAL, "no case could be read");
}

int intel_load_file(struct intel *k, const char *path, bool learn, struct error *e)
{
    _cleanup_buf_ struct buf text = {.limit = INTEL_FILE_MAX};
    gzFile f = gzopen(path, "rbe");
    if (!f)
        return error_set(e, errno ? -errno : -ENOMEM, "%s can't be opened: %m", path);
    int n = 0;
    char block[65536];
    while (!text.failed && (n = gzread(f, block, sizeof block)) > 0)
        buf_add(&text, block, (size_t)n);
    gzclose(f);
    if (n < 0 || text.failed)
        return error_set(e, text.failed ? text.failed : -EINVAL, "%s is damaged or over %u MiB",
                         path, INTEL_FILE_MAX >> 20);
    // A case file is lines of objects; a bundle is one object whose list of objects comes soon.
    struct str head = str_bytes(text.p, text.n < 4096 ? text.n : 4096);
    int r = str_find(head, STR("\"objects\"")) >= 0 ? intel_load_bundle(k, buf_str(&text), e)
                                                    : intel_load_cases(k, buf_str(&text), learn, e);
    if (r)
        error_place(e, path, 0, 0);
    return r;
}
