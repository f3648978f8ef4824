// SPDX-License-Identifier: Apache-2.0
#include "rule/set.h"

#include "base/cleanup.h"
#include "rule/index.h"
#include "rule/matcher.h"

#include <errno.h>
#include <nettle/sha2.h>
#include <stdarg.h>
#include <stdlib.h>

#define WHAT_MAX 384

static int fail_text(struct rule_parse *p, unsigned line, unsigned column, int code,
                     const char *what)
{
    error_set(p->e, code, "%s", what);
    error_place(p->e, p->file, line, column);
    return code;
}

int rule_fail_at(struct rule_parse *p, unsigned line, unsigned column, int code, const char *format,
                 ...)
{
    char what[WHAT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return fail_text(p, line, column, code, what);
}

int rule_fail(struct rule_parse *p, const struct rule_yaml *at, int code, const char *format, ...)
{
    char what[WHAT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return fail_text(p, at->line, at->column, code, what);
}

int rule_fail_memory(struct rule_parse *p)
{
    return rule_fail_at(p, 0, 0, -ENOMEM, "out of memory");
}

// Edit distance of short words, with an end at `most`.
static size_t distance(struct str a, struct str b, size_t most)
{
    size_t row[65];
    if (a.n > 64 || b.n > 64)
        return most;
    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t change = diagonal + (a.p[i - 1] != b.p[j - 1]);
            size_t shorter = row[j] < row[j - 1] ? row[j] : row[j - 1];
            diagonal = row[j];
            row[j] = change < shorter + 1 ? change : shorter + 1;
        }
    }
    return row[b.n] < most ? row[b.n] : most;
}

const char *rule_nearest(struct str word, const char *const *words, size_t n)
{
    size_t best = word.n < 4 ? 2 : 4; // farther is no help
    const char *nearest = NULL;
    for (size_t i = 0; i < n; i++) {
        size_t d = distance(word, str_from(words[i]), best);
        if (d < best) {
            best = d;
            nearest = words[i];
        }
    }
    return nearest;
}

struct rule_expr *rule_expr_new(struct rule_parse *p, enum rule_op op, size_t n)
{
    struct rule_expr *expr = arena_new(p->arena, struct rule_expr);
    if (!expr)
        return NULL;
    expr->op = op;
    expr->n = (uint32_t)n;
    expr->child = n ? arena_array(p->arena, struct rule_expr *, n) : NULL;
    return n && !expr->child ? NULL : expr;
}

struct rule_expr *rule_expr_leaf(struct rule_parse *p, struct rule_leaf *leaf)
{
    struct rule_expr *expr = rule_expr_new(p, RULE_OP_LEAF, 0);
    if (expr)
        expr->leaf = leaf;
    return expr;
}

static int field_add(struct rule_set *set, struct str name)
{
    if (set->n_fields == set->cap_fields) {
        size_t cap = set->cap_fields ? set->cap_fields * 2 : 32;
        struct str *fields = realloc(set->fields, cap * sizeof *fields);
        if (!fields)
            return -ENOMEM;
        set->fields = fields;
        set->cap_fields = cap;
    }
    char *copy = strndup(name.p ? name.p : "", name.n);
    if (!copy)
        return -ENOMEM;
    struct str *field = &set->fields[set->n_fields];
    *field = (struct str){copy, name.n};
    int r = map_put(&set->field_index, *field, (void *)(uintptr_t)(set->n_fields + 1));
    if (r < 0) {
        free(copy);
        return r;
    }
    set->n_fields++;
    return 0;
}

static void fields_cut(struct rule_set *set, size_t n)
{
    while (set->n_fields > n) {
        struct str name = set->fields[--set->n_fields];
        map_remove(&set->field_index, name);
        free((char *)name.p);
    }
}

int rule_field(struct rule_parse *p, struct str name, const struct rule_yaml *at, unsigned column,
               unsigned *ret)
{
    struct rule_set *set = p->set;
    const char *nearest = NULL;
    if (name.n == 0 || name.n > 256 || memchr(name.p, 0, name.n))
        return rule_fail_at(p, at->line, column, -EINVAL, "a field name has 1 to 256 characters");
    if (set->options.field_known &&
        !set->options.field_known(set->options.context, p->category, p->service, name, &nearest)) {
        rule_fail_at(p, at->line, column, -EINVAL, "unknown field '" STR_FMT "'%s" STR_FMT,
                     STR_ARG(name), p->category.n ? " in " : "", STR_ARG(p->category));
        if (nearest)
            error_way_out(p->e, "did you mean '%s'?", nearest);
        return -EINVAL;
    }
    uintptr_t known = (uintptr_t)map_get(&set->field_index, name);
    if (!known) {
        if (set->n_fields >= RULE_FIELDS_MAX)
            return rule_fail_at(p, at->line, column, -E2BIG, "more than 4,096 different fields");
        if (field_add(set, name) < 0)
            return rule_fail_memory(p);
        known = set->n_fields;
    }
    *ret = (unsigned)(known - 1);
    return 0;
}

int rule_set_new(const struct rule_options *options, struct rule_set **ret)
{
    struct rule_set *set = calloc(1, sizeof *set);
    if (!set)
        return -ENOMEM;
    if (options)
        set->options = *options;
    if (field_add(set, STR_NONE) < 0) { // RULE_FIELD_KEYWORDS
        rule_set_free(set);
        return -ENOMEM;
    }
    *ret = set;
    return 0;
}

static void file_free(struct rule_file *file)
{
    arena_done(&file->arena);
    free(file);
}

struct rule_set *rule_set_free(struct rule_set *set)
{
    if (!set)
        return NULL;
    for (size_t i = 0; set->matchers && i < set->n_fields; i++)
        rule_matcher_free(set->matchers[i]);
    free(set->matchers);
    rule_index_free(set->index);
    for (size_t i = 0; i < set->n_routes; i++)
        rule_route_done(&set->routes[i]);
    free(set->routes);
    fields_cut(set, 0);
    free(set->fields);
    map_done(&set->field_index);
    map_done(&set->by_id);
    map_done(&set->by_name);
    free(set->entries);
    free(set->digests);
    while (set->files) {
        struct rule_file *next = set->files->next;
        file_free(set->files);
        set->files = next;
    }
    free(set);
    return NULL;
}

// Keys of a map must be unique over the set: `what` is id or name.
static int claim(struct rule_parse *p, struct map *map, const char *what, struct str key, size_t i)
{
    struct rule_set *set = p->set;
    if (key.n == 0)
        return 0;
    uintptr_t other = (uintptr_t)map_get(map, key);
    if (other) {
        const struct rule_entry *entry = &set->entries[other - 1];
        return rule_fail_at(p, set->entries[i].line, 1, -EINVAL,
                            "%s '" STR_FMT "' is used already, by " STR_FMT ":%u", what,
                            STR_ARG(key), STR_ARG(entry->rule.file), entry->line);
    }
    return map_put(map, key, (void *)(uintptr_t)(i + 1)) < 0 ? rule_fail_memory(p) : 0;
}

static void entries_cut(struct rule_set *set, size_t n)
{
    while (set->n > n) {
        size_t i = --set->n;
        const struct rule *rule = &set->entries[i].rule;
        if (map_get(&set->by_id, rule->id) == (void *)(uintptr_t)(i + 1))
            map_remove(&set->by_id, rule->id);
        if (map_get(&set->by_name, rule->name) == (void *)(uintptr_t)(i + 1))
            map_remove(&set->by_name, rule->name);
    }
}

static int entry_add(struct rule_parse *p, const struct rule_entry *entry)
{
    struct rule_set *set = p->set;
    if (set->n == set->cap) {
        size_t cap = set->cap ? set->cap * 2 : 32;
        struct rule_entry *entries = realloc(set->entries, cap * sizeof *entries);
        if (!entries)
            return rule_fail_memory(p);
        set->entries = entries;
        set->cap = cap;
    }
    size_t i = set->n++;
    set->entries[i] = *entry;
    set->entries[i].rule.index = (unsigned)i;
    int r = claim(p, &set->by_id, "id", entry->rule.id, i);
    return r < 0 ? r : claim(p, &set->by_name, "name", entry->rule.name, i);
}

static void digest(const void *p, size_t n, uint8_t ret[32])
{
    struct sha256_ctx hash;
    sha256_init(&hash);
    sha256_update(&hash, n, p);
    sha256_digest(&hash, 32, ret);
}

static int digest_add(struct rule_parse *p, struct str text)
{
    struct rule_set *set = p->set;
    if (set->n_digests == set->cap_digests) {
        size_t cap = set->cap_digests ? set->cap_digests * 2 : 32;
        uint8_t(*digests)[32] = realloc(set->digests, cap * sizeof *digests);
        if (!digests)
            return rule_fail_memory(p);
        set->digests = digests;
        set->cap_digests = cap;
    }
    digest(text.p, text.n, set->digests[set->n_digests++]);
    return 0;
}

static int add_documents(struct rule_parse *p, struct str text)
{
    struct rule_yaml **documents;
    size_t n;
    int r = rule_yaml_parse(p->scratch, text, p->file, &documents, &n, p->e);
    if (r < 0)
        return r;
    if (n == 0)
        return rule_fail_at(p, 1, 1, -EINVAL, "no rule in the file");
    for (size_t i = 0; i < n; i++) {
        struct rule_entry entry;
        r = rule_document_parse(p, documents[i], &entry);
        if (r == 0)
            r = entry_add(p, &entry);
        if (r < 0)
            return r;
    }
    return digest_add(p, text);
}

int rule_set_add(struct rule_set *set, struct str text, const char *file, struct error *e)
{
    if (set->matchers)
        return error_set(e, -EINVAL, "the set is compiled: no rule can be added");
    struct rule_file *own = calloc(1, sizeof *own);
    if (!own)
        return error_set(e, -ENOMEM, "out of memory");
    struct arena scratch = {0};
    struct error ignored;
    struct rule_parse p = {.set = set,
                           .arena = &own->arena,
                           .scratch = &scratch,
                           .file = file ? file : "",
                           .e = e ? e : &ignored};
    size_t n = set->n, n_fields = set->n_fields;
    int r = add_documents(&p, text);
    arena_done(&scratch);
    if (r < 0) {
        entries_cut(set, n);
        fields_cut(set, n_fields);
        file_free(own);
        return r;
    }
    own->next = set->files;
    set->files = own;
    return 0;
}

size_t rule_set_count(const struct rule_set *set)
{
    return set->n;
}

const struct rule *rule_set_get(const struct rule_set *set, size_t index)
{
    return index < set->n ? &set->entries[index].rule : NULL;
}

size_t rule_set_fields(const struct rule_set *set)
{
    return set->n_fields;
}

struct str rule_set_field(const struct rule_set *set, size_t index)
{
    return index < set->n_fields ? set->fields[index] : STR_NONE;
}

static int digest_order(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

void rule_set_hash(const struct rule_set *set, uint8_t ret[32])
{
    // Sorted, so that the version does not depend on the order in which a folder was read.
    _cleanup_free_ uint8_t(*sorted)[32] = malloc((set->n_digests + 1) * sizeof *sorted);
    memset(ret, 0, 32);
    if (!sorted)
        return;
    if (set->n_digests)
        memcpy(sorted, set->digests, set->n_digests * sizeof *sorted);
    qsort(sorted, set->n_digests, sizeof *sorted, digest_order);
    digest(sorted, set->n_digests * sizeof *sorted, ret);
}
