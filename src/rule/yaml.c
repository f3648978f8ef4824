// SPDX-License-Identifier: Apache-2.0
#include "rule/yaml.h"

#include "base/map.h"

#include <errno.h>
#include <stdlib.h>
#include <yaml.h>

struct reader {
    yaml_parser_t parser;
    struct arena *arena;
    const char *file;
    struct error *e;
    struct map anchors; // name to node, of one document
    size_t nodes, aliases;
};

static int fail(struct reader *r, yaml_mark_t at, int code, const char *what, const char *way_out)
{
    error_set(r->e, code, "%s", what);
    error_place(r->e, r->file, (unsigned)at.line + 1, (unsigned)at.column + 1);
    if (way_out)
        error_way_out(r->e, "%s", way_out);
    return code;
}

static int next(struct reader *r, yaml_event_t *event)
{
    if (yaml_parser_parse(&r->parser, event))
        return 0;
    if (r->parser.error == YAML_MEMORY_ERROR)
        return error_set(r->e, -ENOMEM, "out of memory");
    yaml_mark_t at = r->parser.problem_mark;
    if (r->parser.error == YAML_READER_ERROR) { // has no mark: count the lines up to the offset
        at = r->parser.mark;
        return fail(r, at, -EINVAL, "the text is not UTF-8, or holds a control character",
                    "write the byte as \"\\xNN\" in double quotes");
    }
    return fail(r, at, -EINVAL, r->parser.problem ? r->parser.problem : "malformed YAML", NULL);
}

static struct rule_yaml *add_node(struct reader *r, const yaml_event_t *event,
                                  enum rule_yaml_kind kind)
{
    if (++r->nodes > RULE_YAML_NODES_MAX) {
        fail(r, event->start_mark, -E2BIG, "more than 100,000 values in one file", "split it");
        return NULL;
    }
    struct rule_yaml *node = arena_new(r->arena, struct rule_yaml);
    if (!node) {
        error_set(r->e, -ENOMEM, "out of memory");
        return NULL;
    }
    node->kind = kind;
    node->line = (unsigned)event->start_mark.line + 1;
    node->column = (unsigned)event->start_mark.column + 1;
    return node;
}

static int node_failed(const struct reader *r)
{
    return r->nodes > RULE_YAML_NODES_MAX ? -E2BIG : -ENOMEM;
}

static int anchor(struct reader *r, const yaml_char_t *name, struct rule_yaml *node)
{
    if (!name)
        return 0;
    struct str key = arena_str(r->arena, str_from((const char *)name));
    if (!key.p || map_put(&r->anchors, key, node) < 0)
        return error_set(r->e, -ENOMEM, "out of memory");
    return 0;
}

static int read_node(struct reader *r, const yaml_event_t *event, unsigned depth,
                     struct rule_yaml **ret);

static int read_scalar(struct reader *r, const yaml_event_t *event, struct rule_yaml **ret)
{
    struct rule_yaml *node = add_node(r, event, RULE_YAML_SCALAR);
    if (!node)
        return node_failed(r);
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->one_line = event->start_mark.line == event->end_mark.line;
    node->text =
        arena_str(r->arena, str_bytes(event->data.scalar.value, event->data.scalar.length));
    if (!node->text.p)
        return error_set(r->e, -ENOMEM, "out of memory");
    *ret = node;
    return anchor(r, event->data.scalar.anchor, node);
}

static int find_alias(struct reader *r, const yaml_event_t *event, struct rule_yaml **ret)
{
    if (++r->aliases > RULE_YAML_ALIASES_MAX)
        return fail(r, event->start_mark, -E2BIG, "more than 64 aliases in one file",
                    "write the values out");
    // An anchor is known when its node has ended, so that no node can contain itself.
    *ret = map_get(&r->anchors, str_from((const char *)event->data.alias.anchor));
    return *ret ? 0
                : fail(r, event->start_mark, -EINVAL, "alias without an anchor before it", NULL);
}

static int check_key(struct reader *r, struct map *keys, struct rule_yaml *key)
{
    yaml_mark_t at = {.line = key->line - 1, .column = key->column - 1};
    if (key->kind != RULE_YAML_SCALAR)
        return fail(r, at, -EINVAL, "a key must be a text", NULL);
    if (key->plain && str_eq(key->text, STR("<<")))
        return fail(r, at, -ENOTSUP, "merge keys (<<) are not supported", "write the keys out");
    struct rule_yaml *other = map_get(keys, key->text);
    if (other) {
        error_set(r->e, -EINVAL, "key '" STR_FMT "' is given twice, first in line %u",
                  STR_ARG(key->text), other->line);
        error_place(r->e, r->file, key->line, key->column);
        error_way_out(r->e, "join the two, or name a second selection");
        return -EINVAL;
    }
    return map_put(keys, key->text, key) < 0 ? error_set(r->e, -ENOMEM, "out of memory") : 0;
}

struct items {
    struct rule_yaml **p;
    size_t n, cap;
};

static int items_add(struct items *items, struct rule_yaml *node)
{
    if (items->n == items->cap) {
        size_t cap = items->cap ? items->cap * 2 : 16;
        struct rule_yaml **p = realloc(items->p, cap * sizeof(struct rule_yaml *));
        if (!p)
            return -ENOMEM;
        items->p = p;
        items->cap = cap;
    }
    items->p[items->n++] = node;
    return 0;
}

static int read_children(struct reader *r, struct rule_yaml *node, unsigned depth,
                         struct items *items, struct map *keys)
{
    bool map = node->kind == RULE_YAML_MAP;
    yaml_event_type_t end = map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
    for (;;) {
        yaml_event_t event;
        int result = next(r, &event);
        if (result < 0)
            return result;
        if (event.type == end) {
            yaml_event_delete(&event);
            return 0;
        }
        struct rule_yaml *child;
        result = read_node(r, &event, depth + 1, &child);
        yaml_event_delete(&event);
        if (result == 0 && map && items->n % 2 == 0)
            result = check_key(r, keys, child);
        if (result == 0 && items_add(items, child) < 0)
            result = error_set(r->e, -ENOMEM, "out of memory");
        if (result < 0)
            return result;
    }
}

static int read_collection(struct reader *r, const yaml_event_t *event, unsigned depth,
                           struct rule_yaml **ret)
{
    bool map = event->type == YAML_MAPPING_START_EVENT;
    if (depth >= RULE_YAML_DEPTH_MAX)
        return fail(r, event->start_mark, -E2BIG, "nested deeper than 32 levels", NULL);
    struct rule_yaml *node = add_node(r, event, map ? RULE_YAML_MAP : RULE_YAML_LIST);
    if (!node)
        return node_failed(r);
    struct items items = {0};
    struct map keys = {0};
    int result = read_children(r, node, depth, &items, &keys);
    map_done(&keys);
    if (result == 0) {
        node->n = map ? items.n / 2 : items.n;
        node->items = arena_array(r->arena, struct rule_yaml *, items.n);
        if (!node->items)
            result = error_set(r->e, -ENOMEM, "out of memory");
        else if (items.n)
            memcpy(node->items, items.p, items.n * sizeof(struct rule_yaml *));
    }
    free(items.p);
    if (result < 0)
        return result;
    *ret = node;
    return anchor(r, map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor,
                  node);
}

static int read_node(struct reader *r, const yaml_event_t *event, unsigned depth,
                     struct rule_yaml **ret)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(r, event, ret);
    case YAML_ALIAS_EVENT:
        return find_alias(r, event, ret);
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT:
        return read_collection(r, event, depth, ret);
    default:
        return fail(r, event->start_mark, -EINVAL, "malformed YAML", NULL);
    }
}

static int read_documents(struct reader *r, struct items *documents)
{
    for (;;) {
        yaml_event_t event;
        int result = next(r, &event);
        if (result < 0)
            return result;
        yaml_event_type_t type = event.type;
        if (type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_START_EVENT ||
            type == YAML_DOCUMENT_END_EVENT || type == YAML_STREAM_END_EVENT) {
            map_done(&r->anchors); // anchors hold within one document
            yaml_event_delete(&event);
            if (type == YAML_STREAM_END_EVENT)
                return 0;
            continue;
        }
        struct rule_yaml *node = NULL;
        result = read_node(r, &event, 0, &node);
        if (result == 0 && documents->n >= RULE_YAML_DOCUMENTS_MAX)
            result = fail(r, event.start_mark, -E2BIG, "more than 256 documents in one file", NULL);
        yaml_event_delete(&event);
        if (result == 0 && !rule_yaml_is_null(node) && items_add(documents, node) < 0)
            result = error_set(r->e, -ENOMEM, "out of memory");
        if (result < 0)
            return result;
    }
}

int rule_yaml_parse(struct arena *arena, struct str text, const char *file, struct rule_yaml ***ret,
                    size_t *ret_n, struct error *e)
{
    if (text.n > RULE_YAML_BYTES_MAX) {
        error_set(e, -E2BIG, "%zu bytes are more than the limit of 1 MiB", text.n);
        error_place(e, file, 0, 0);
        error_way_out(e, "split the file");
        return -E2BIG;
    }
    struct reader r = {.arena = arena, .file = file, .e = e};
    if (!yaml_parser_initialize(&r.parser))
        return error_set(e, -ENOMEM, "out of memory");
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.p ? text.p : ""), text.n);
    struct items documents = {0};
    int result = read_documents(&r, &documents);
    map_done(&r.anchors);
    yaml_parser_delete(&r.parser);
    struct rule_yaml **list = NULL;
    if (result == 0) {
        list = arena_array(arena, struct rule_yaml *, documents.n);
        if (!list)
            result = error_set(e, -ENOMEM, "out of memory");
        else if (documents.n)
            memcpy(list, documents.p, documents.n * sizeof(struct rule_yaml *));
    }
    size_t n = documents.n;
    free(documents.p);
    if (result < 0)
        return result;
    *ret = list;
    *ret_n = n;
    return 0;
}

struct rule_yaml *rule_yaml_get(const struct rule_yaml *map, const char *key)
{
    if (!map || map->kind != RULE_YAML_MAP)
        return NULL;
    struct str name = str_from(key);
    for (size_t i = 0; i < map->n; i++)
        if (str_eq(map->items[2 * i]->text, name))
            return map->items[2 * i + 1];
    return NULL;
}

bool rule_yaml_is_null(const struct rule_yaml *node)
{
    if (node->kind != RULE_YAML_SCALAR || !node->plain)
        return false;
    return node->text.n == 0 || str_eq(node->text, STR("~")) || str_eq(node->text, STR("null")) ||
           str_eq(node->text, STR("Null")) || str_eq(node->text, STR("NULL"));
}

bool rule_yaml_is_bool(const struct rule_yaml *node, bool *ret)
{
    if (node->kind != RULE_YAML_SCALAR || !node->plain)
        return false;
    static const struct str words[] = {{"true", 4},  {"True", 4},  {"TRUE", 4},
                                       {"false", 5}, {"False", 5}, {"FALSE", 5}};
    for (size_t i = 0; i < 6; i++) {
        if (str_eq(node->text, words[i])) {
            *ret = i < 3;
            return true;
        }
    }
    return false;
}

static int hexadecimal(struct str digits, int64_t *ret)
{
    uint64_t value = 0;
    if (digits.n == 0 || digits.n > 16)
        return digits.n ? -ERANGE : -EINVAL;
    for (size_t i = 0; i < digits.n; i++) {
        static const char letters[] = "0123456789abcdef0123456789ABCDEF";
        const char *at = digits.p[i] ? strchr(letters, digits.p[i]) : NULL;
        if (!at)
            return -EINVAL;
        value = value * 16 + (uint64_t)(at - letters) % 16;
    }
    if (value > INT64_MAX)
        return -ERANGE;
    *ret = (int64_t)value;
    return 0;
}

int rule_yaml_number(const struct rule_yaml *node, int64_t *ret)
{
    if (node->kind != RULE_YAML_SCALAR || !node->plain)
        return -EINVAL;
    struct str text = node->text;
    if (str_starts(text, STR("0x")))
        return hexadecimal((struct str){text.p + 2, text.n - 2}, ret);
    if (text.n && text.p[0] == '+')
        text.p++, text.n--;
    // Octal to YAML 1.1, decimal to 1.2: such a value stays the text that it is.
    struct str digits = str_starts(text, STR("-")) ? (struct str){text.p + 1, text.n - 1} : text;
    if (digits.n > 1 && digits.p[0] == '0')
        return -EINVAL;
    return str_to_i64(text, ret);
}
