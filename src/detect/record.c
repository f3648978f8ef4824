// SPDX-License-Identifier: Apache-2.0
#include "detect/record.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

bool record_is_late(const struct field *field)
{
    const char *path = field_path(field);
    return strcmp(path, "process.directory") == 0 || strcmp(path, "process.descriptors") == 0;
}

int record_fields_init(struct record_fields table[RECORD_CATEGORIES], struct rule_set *set)
{
    size_t n = rule_set_fields(set);
    assert(!event_category_at(RECORD_CATEGORIES));
    for (size_t i = 0; i < RECORD_CATEGORIES; i++) {
        struct record_fields *t = &table[i];
        t->category = event_category_at(i);
        if (!t->category)
            return -ENOTSUP;
        t->fields = calloc(n ? n : 1, sizeof(struct field *));
        t->late = calloc(n ? n : 1, sizeof *t->late);
        if (!t->fields || !t->late)
            return -ENOMEM;
        for (size_t j = 0; j < n; j++) {
            t->fields[j] = field_find(t->category, rule_set_field(set, j));
            t->late[j] = t->fields[j] && record_is_late(t->fields[j]);
        }
        t->route = rule_set_route(set, STR("linux"), str_from(t->category), STR_NONE);
        if (t->route < 0)
            return t->route;
    }
    return 0;
}

void record_fields_done(struct record_fields table[RECORD_CATEGORIES])
{
    for (size_t i = 0; i < RECORD_CATEGORIES; i++) {
        free(table[i].fields);
        free(table[i].late);
    }
}

const struct record_fields *record_fields_of(const struct record_fields table[RECORD_CATEGORIES],
                                             const Tiercel__Event *event)
{
    const char *category = event_category(event);
    for (size_t i = 0; category && i < RECORD_CATEGORIES; i++)
        if (strcmp(table[i].category, category) == 0)
            return &table[i];
    return NULL;
}

static void look(struct record *r)
{
    void (*once)(void *context) = r->look;
    r->look = NULL;
    if (once)
        once(r->look_context);
}

static struct rule_value get(void *context, size_t index)
{
    struct record *r = context;
    const struct field *field = r->source->fields[index];
    if (!field)
        return (struct rule_value){.type = RULE_ABSENT};
    if (r->source->late[index])
        look(r);
    struct field_value v = field_get(field, r->event, r->arena);
    switch (v.type) {
    case FIELD_NUMBER:
        return (struct rule_value){.type = RULE_NUMBER, .text = v.text, .number = v.number};
    case FIELD_LIST:
        return (struct rule_value){.type = RULE_LIST, .list = v.list, .n = v.n};
    case FIELD_TEXT:
    case FIELD_BOOL: // rules write true and false
    case FIELD_ADDRESS:
        return (struct rule_value){.type = RULE_TEXT, .text = v.text};
    case FIELD_ABSENT:
        break;
    }
    return (struct rule_value){.type = RULE_ABSENT};
}

// All values of the event, one after another, whatever their field. Positions count up from 0 in one walk.
static bool each(void *context, size_t *position, struct str *ret)
{
    struct record *r = context;
    if (*position == 0) {
        look(r);
        r->walk = NULL;
        r->n_list = 0;
        r->walked = 0;
    }
    while (!r->n_list) {
        r->walk = field_next_leaf(r->walk);
        if (!r->walk)
            return false;
        struct field_value v = field_get(r->walk, r->event, r->arena);
        if (v.type == FIELD_LIST) {
            r->list = v.list;
            r->n_list = v.n;
        } else if (v.type != FIELD_ABSENT) {
            *ret = v.text;
            *position = ++r->walked;
            return true;
        }
    }
    *ret = *r->list++;
    r->n_list--;
    *position = ++r->walked;
    return true;
}

void record_init(struct record *r, const struct record_fields *source, const Tiercel__Event *event,
                 struct arena *arena)
{
    *r = (struct record){.source = source, .event = event, .arena = arena};
    r->asked = (struct rule_record){get, each, r};
}
