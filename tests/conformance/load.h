// SPDX-License-Identifier: Apache-2.0
// What the conformance programs share: files of ../shared/data, JSON lines, and a record of names and values.
#pragma once
#include "base/buf.h"
#include "base/test.h"
#include "rule/rule.h"

#include <jansson.h>
#include <stdlib.h>

static inline const char *shared_path(const char *name)
{
    static char path[4096];
    const char *root = getenv("TIERCEL_SHARED");
    snprintf(path, sizeof path, "%s/data/%s", root ? root : "../shared", name);
    return path;
}

static inline bool read_whole(const char *path, struct buf *ret)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    char block[65536];
    size_t n;
    while ((n = fread(block, 1, sizeof block, f)) > 0)
        buf_add(ret, block, n);
    fclose(f);
    return !ret->failed;
}

// One JSON object a line.
static inline json_t *read_lines(const char *path)
{
    struct buf text = {0};
    json_t *list = json_array();
    assert_true(read_whole(path, &text));
    struct str rest = buf_str(&text), line;
    while (str_split(&rest, '\n', &line))
        if (line.n)
            json_array_append_new(list, json_loadb(line.p, line.n, 0, NULL));
    buf_done(&text);
    return list;
}

// A JSON object as a record. `names` are the fields of the set.
struct json_record {
    const struct rule_set *set;
    json_t *fields;
};

static inline struct rule_value json_value(json_t *v)
{
    if (json_is_string(v))
        return (struct rule_value){.type = RULE_TEXT,
                                   .text = {json_string_value(v), json_string_length(v)}};
    if (json_is_integer(v))
        return (struct rule_value){.type = RULE_NUMBER, .number = json_integer_value(v)};
    if (json_is_boolean(v))
        return (struct rule_value){.type = RULE_TEXT,
                                   .text = json_is_true(v) ? STR("true") : STR("false")};
    return (struct rule_value){.type = RULE_ABSENT};
}

static inline struct rule_value json_get(void *context, size_t field)
{
    const struct json_record *r = context;
    struct str name = rule_set_field(r->set, field);
    char key[300];
    snprintf(key, sizeof key, STR_FMT, STR_ARG(name));
    return json_value(json_object_get(r->fields, key));
}

static inline bool json_each(void *context, size_t *position, struct str *ret)
{
    const struct json_record *r = context;
    size_t i = 0;
    const char *key;
    json_t *value;
    json_object_foreach(r->fields, key, value)
    {
        if (i++ < *position || !json_is_string(value))
            continue;
        *position = i;
        *ret = (struct str){json_string_value(value), json_string_length(value)};
        return true;
    }
    return false;
}
