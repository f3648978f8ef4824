// SPDX-License-Identifier: Apache-2.0
#include "cli/filter.h"
#include "cli/draw.h"

#include <ctype.h>
#include <errno.h>

bool glob_match(struct str pattern, struct str text)
{
    // One point to come back to is enough: a later star makes an earlier one final.
    size_t p = 0, t = 0, star = SIZE_MAX, again = 0;
    while (t < text.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = ++p;
            again = t;
        } else if (p < pattern.n &&
                   (pattern.p[p] == '?' ||
                    tolower((unsigned char)pattern.p[p]) == tolower((unsigned char)text.p[t]))) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star;
            t = ++again;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

static int parse_compare(struct str text, struct filter_field *ret)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        size_t skip = 1;
        if (c == '!' && i + 1 < text.n && text.p[i + 1] == '=') {
            ret->compare = FILTER_IS_NOT;
            skip = 2;
        } else if (c == '=') {
            ret->compare = FILTER_IS;
        } else if (c == '<') {
            ret->compare = FILTER_LESS;
        } else if (c == '>') {
            ret->compare = FILTER_MORE;
        } else {
            continue;
        }
        ret->name = str_trim(str_bytes(text.p, i));
        ret->value = str_trim(str_bytes(text.p + i + skip, text.n - i - skip));
        return ret->name.n ? 0 : -EINVAL;
    }
    return -EINVAL;
}

int filter_parse_field(struct str text, struct filter_field *ret, struct error *e)
{
    struct filter_field f = {0};
    if (parse_compare(text, &f) < 0) {
        error_set(e, -EINVAL, "'" STR_FMT "' is no condition", STR_ARG(text));
        error_way_out(e, "write NAME=VALUE, NAME!=VALUE, NAME<NUMBER or NAME>NUMBER");
        return -EINVAL;
    }
    if (!field_find(NULL, f.name)) {
        const char *nearest = field_nearest(NULL, f.name);
        error_set(e, -EINVAL, "there is no field '" STR_FMT "'", STR_ARG(f.name));
        if (nearest)
            error_way_out(e, "did you mean '%s'?", nearest);
        else
            error_way_out(e, "'tiercel rules fields' lists them");
        return -EINVAL;
    }
    if ((f.compare == FILTER_LESS || f.compare == FILTER_MORE) &&
        str_to_i64(f.value, &f.number) < 0) {
        error_set(e, -EINVAL, "'" STR_FMT "' is no number", STR_ARG(f.value));
        error_way_out(e, "< and > compare numbers; use = with * for text");
        return -EINVAL;
    }
    *ret = f;
    return 0;
}

static bool has_option(const struct args *args, const char *name)
{
    for (const struct option *o = args->command->options; o && o->name; o++)
        if (!strcmp(o->name, name))
            return true;
    return false;
}

static int take(const struct args *args, const char *name, struct str to[FILTER_MAX], size_t *n,
                struct error *e)
{
    const char *value;
    if (!has_option(args, name))
        return 0;
    for (size_t i = 0; (value = args_each(args, name, &i));) {
        if (*n == FILTER_MAX) {
            error_set(e, -E2BIG, "--%s is given more than %d times", name, FILTER_MAX);
            return -E2BIG;
        }
        to[(*n)++] = str_from(value);
    }
    return 0;
}

int filter_parse(const struct args *args, struct filter *ret, struct error *e)
{
    struct filter f = {0};
    struct str fields[FILTER_MAX];
    size_t n = 0;
    int r = take(args, "image", f.images, &f.n_images, e);
    if (r == 0)
        r = take(args, "lineage", f.lineages, &f.n_lineages, e);
    if (r == 0)
        r = take(args, "kind", f.kinds, &f.n_kinds, e);
    if (r == 0)
        r = take(args, "level", f.levels, &f.n_levels, e);
    if (r == 0)
        r = take(args, "rule", f.rules, &f.n_rules, e);
    if (r == 0)
        r = take(args, "field", fields, &n, e);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = filter_parse_field(fields[i], &f.fields[f.n_fields++], e);
    if (r < 0)
        return r;
    f.since_ns = args_time(args, "since", 0);
    f.until_ns = args_time(args, "until", 0);
    if (f.until_ns && f.until_ns < f.since_ns) {
        error_set(e, -EINVAL, "--until is before --since");
        error_way_out(e, "exchange them");
        return -EINVAL;
    }
    *ret = f;
    return 0;
}

static bool in_time(const struct filter *f, uint64_t time)
{
    return (!f->since_ns || time >= f->since_ns) && (!f->until_ns || time <= f->until_ns);
}

static bool any_glob(const struct str *globs, size_t n, struct str text)
{
    for (size_t i = 0; i < n; i++)
        if (glob_match(globs[i], text))
            return true;
    return n == 0;
}

static bool text_is(const struct field_value *v, struct str pattern)
{
    if (v->type != FIELD_LIST)
        return glob_match(pattern, v->text);
    for (size_t i = 0; i < v->n; i++)
        if (glob_match(pattern, v->list[i]))
            return true;
    return false;
}

static bool field_holds(const struct filter_field *f, const Tiercel__Event *event,
                        struct arena *arena)
{
    const char *category = event_category(event);
    const struct field *field = field_find(category, f->name);
    // A name of another log source's is absent here; only where the source gives no names any will do.
    if (!field && !category)
        field = field_find(NULL, f->name);
    struct field_value v = {FIELD_ABSENT, STR_NONE, 0, NULL, 0};
    if (field)
        v = field_get(field, event, arena);
    switch (f->compare) {
    case FILTER_IS:
        return v.type != FIELD_ABSENT && text_is(&v, f->value);
    case FILTER_IS_NOT:
        return v.type == FIELD_ABSENT || !text_is(&v, f->value);
    case FILTER_LESS:
        return v.type == FIELD_NUMBER && v.number < f->number;
    default:
        return v.type == FIELD_NUMBER && v.number > f->number;
    }
}

static bool event_holds(const struct filter *f, const Tiercel__Event *event, struct arena *arena)
{
    const Tiercel__Process *p = event->process;
    struct str role = p && p->lineage ? str_from(p->lineage->role) : STR_NONE;
    if (!any_glob(f->images, f->n_images, process_image(p)) ||
        !any_glob(f->lineages, f->n_lineages, role))
        return false;
    for (size_t i = 0; i < f->n_fields; i++)
        if (!field_holds(&f->fields[i], event, arena))
            return false;
    return true;
}

bool filter_event(const struct filter *f, const Tiercel__Event *event, struct arena *arena)
{
    return in_time(f, event->time) && any_glob(f->kinds, f->n_kinds, str_from(event_kind(event))) &&
           event_holds(f, event, arena);
}

bool filter_detection(const struct filter *f, const Tiercel__Detection *d, struct arena *arena)
{
    if (!in_time(f, d->time) || !any_glob(f->levels, f->n_levels, str_from(d->level)))
        return false;
    if (!any_glob(f->rules, f->n_rules, str_from(d->rule_title)) &&
        !any_glob(f->rules, f->n_rules, str_from(d->rule_id)))
        return false;
    if (!f->n_images && !f->n_lineages && !f->n_fields)
        return true;
    for (size_t i = 0; i < d->n_events; i++)
        if (event_holds(f, d->events[i], arena))
            return true;
    return false;
}
