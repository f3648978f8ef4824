// SPDX-License-Identifier: Apache-2.0
// Merges and splits by hand: lines of JSON that are only ever added to. They name detections, so that they hold whatever
// data come later.
#include "attempt/private.h"

#include "event/leaf.h"

#include <errno.h>
#include <jansson.h>

#define CHANGES_MAX 10000
#define LINE_MAX_BYTES 8192

static bool name_of(const json_t *v, uint64_t *ret)
{
    const char *text = json_string_value(v);
    uint64_t value = 0;
    if (!text || strlen(text) != 16)
        return false;
    for (; *text; text++) {
        const char *digits = "0123456789abcdef", *d = strchr(digits, *text);
        if (!d)
            return false;
        value = value << 4 | (uint64_t)(d - digits);
    }
    *ret = value;
    return true;
}

static bool parse(const json_t *o, struct attempt_change *ret)
{
    const char *time = json_string_value(json_object_get(o, "time")),
               *who = json_string_value(json_object_get(o, "who")),
               *what = json_string_value(json_object_get(o, "what")),
               *why = json_string_value(json_object_get(o, "why"));
    const json_t *names = json_object_get(o, "detections");
    if (!time || !who || !what || !why || leaf_parse_time(str_from(time), &ret->time) < 0)
        return false;
    ret->split = strcmp(what, "split") == 0;
    if (!ret->split && strcmp(what, "merge") != 0)
        return false;
    snprintf(ret->who, sizeof ret->who, "%s", who);
    snprintf(ret->why, sizeof ret->why, "%s", why);
    ret->n_names = json_array_size(names);
    if (ret->n_names < 2 || ret->n_names > ATTEMPT_CHANGE_NAMES)
        return false;
    for (size_t i = 0; i < ret->n_names; i++)
        if (!name_of(json_array_get(names, i), &ret->names[i]))
            return false;
    return true;
}

int attempts_changes(struct attempts *a, struct str text, struct error *e)
{
    struct str line;
    for (unsigned number = 1; text.n && str_split(&text, '\n', &line); number++) {
        struct attempt_change c = {0};
        if (line.n == 0)
            continue;
        json_t *o = line.n <= LINE_MAX_BYTES
                        ? json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, NULL)
                        : NULL;
        bool good = o && parse(o, &c);
        json_decref(o);
        if (!good) {
            error_set(e, -EBADMSG, "this is no merge or split");
            error_place(e, "", number, 0);
            error_way_out(e, "mend that line; one cut short by a crash may go");
            return -EBADMSG;
        }
        if (!room(a, &a->changes, a->n_changes, &a->cap_changes, sizeof *a->changes, CHANGES_MAX))
            return error_set(e, -E2BIG, "more than %d merges and splits", CHANGES_MAX);
        a->changes[a->n_changes++] = c;
    }
    return 0;
}

const struct attempt_change *attempts_change(const struct attempts *a, size_t i)
{
    return i < a->n_changes ? &a->changes[i] : NULL;
}

bool attempt_touched(const struct attempts *a, const struct attempt *one,
                     const struct attempt_change *c)
{
    for (size_t i = 0; i < c->n_names; i++) {
        size_t at = (size_t)(uintptr_t)map_get(&a->names, MAP_KEY(c->names[i]));
        if (at && &a->all[a->nodes[a->detections[at - 1].node].attempt] == one)
            return true;
    }
    return false;
}
