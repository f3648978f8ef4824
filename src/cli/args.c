// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"
#include "cli/nearest.h"
#include "cli/when.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static const struct option help_option = {"help", 'h', OPTION_FLAG, NULL, "this text", NULL, false};

static const struct option *find_long(const struct command *c, struct str name)
{
    for (const struct option *o = c->options; o && o->name; o++)
        if (str_eq(str_from(o->name), name))
            return o;
    return str_eq(name, STR("help")) ? &help_option : NULL;
}

static const struct option *find_letter(const struct command *c, char letter)
{
    for (const struct option *o = c->options; o && o->name; o++)
        if (o->letter == letter)
            return o;
    return letter == 'h' ? &help_option : NULL;
}

static int unknown(const struct command *c, struct str given, struct error *e)
{
    const char *nearest = NULL;
    unsigned best = UINT32_MAX, distance;
    for (const struct option *o = c->options; o && o->name; o++)
        if (nearest_offers(given, str_from(o->name), &distance) && distance < best) {
            best = distance;
            nearest = o->name;
        }
    error_set(e, -EINVAL, "unknown option '%s" STR_FMT "'", given.n == 1 ? "-" : "--",
              STR_ARG(given));
    if (nearest)
        error_way_out(e, "did you mean '--%s'?", nearest);
    else
        error_way_out(e, "'tiercel help %s' lists its options", c->name);
    return -EINVAL;
}

static bool among(const char *values, struct str value)
{
    struct str rest = str_from(values), word;
    while (str_split(&rest, ' ', &word))
        if (str_eq(word, value))
            return true;
    return false;
}

static int check_value(const struct option *o, const char *value, struct error *e)
{
    uint64_t number;
    struct str s = str_from(value);
    bool good = true;
    const char *way_out = "";
    switch (o->kind) {
    case OPTION_NUMBER:
        good = str_to_u64(s, &number) == 0;
        way_out = "give a whole number";
        break;
    case OPTION_DURATION:
        good = when_duration(s, &number) == 0;
        way_out = "give a duration like 30s, 10m, 2h or 7d";
        break;
    case OPTION_TIME:
        good = when_time(s, now_ns(), &number) == 0;
        way_out = "give 10m (ago), 15:30, 2026-11-23, 2026-11-23T15:30, today or yesterday";
        break;
    case OPTION_CHOICE:
        good = s.n && among(o->values, s);
        break;
    default:
        good = s.n > 0;
        way_out = "give a value";
    }
    if (good)
        return 0;
    error_set(e, -EINVAL, "'%s' is no good value for --%s", value, o->name);
    if (o->kind == OPTION_CHOICE)
        error_way_out(e, "give one of: %s", o->values);
    else
        error_way_out(e, "%s", way_out);
    return -EINVAL;
}

static int add_option(struct args *a, const struct option *o, const char *value, struct error *e)
{
    if (o == &help_option) {
        a->help = true;
        return 0;
    }
    if (!o->repeat && args_has(a, o->name)) {
        error_set(e, -EINVAL, "--%s is given twice", o->name);
        error_way_out(e, "give it once");
        return -EINVAL;
    }
    if (a->n_options == OPTIONS_MAX)
        return error_set(e, -E2BIG, "more than %d options", OPTIONS_MAX);
    if (o->kind != OPTION_FLAG) {
        int r = check_value(o, value, e);
        if (r < 0)
            return r;
    }
    a->options[a->n_options].option = o;
    a->options[a->n_options++].value = value;
    return 0;
}

static int needs_value(const struct option *o, struct error *e)
{
    error_set(e, -EINVAL, "--%s needs a value", o->name);
    error_way_out(e, "--%s %s: %s", o->name, o->argument, o->help);
    return -EINVAL;
}

// One argument that begins with "--". *i moves on when the value is the next argument.
static int parse_long(struct args *a, int argc, char *const *argv, int *i, struct error *e)
{
    const char *text = argv[*i] + 2, *equals = strchr(text, '=');
    struct str name = equals ? str_bytes(text, (size_t)(equals - text)) : str_from(text);
    const struct option *o = find_long(a->command, name);
    if (!o)
        return unknown(a->command, name, e);
    if (o->kind == OPTION_FLAG && equals) {
        error_set(e, -EINVAL, "--%s takes no value", o->name);
        error_way_out(e, "leave '%s' out", equals);
        return -EINVAL;
    }
    if (o->kind == OPTION_FLAG)
        return add_option(a, o, NULL, e);
    if (equals)
        return add_option(a, o, equals + 1, e);
    if (*i + 1 >= argc)
        return needs_value(o, e);
    return add_option(a, o, argv[++*i], e);
}

// One argument of letters: -f, -fv, -n10.
static int parse_letters(struct args *a, int argc, char *const *argv, int *i, struct error *e)
{
    for (const char *p = argv[*i] + 1; *p; p++) {
        const struct option *o = find_letter(a->command, *p);
        if (!o)
            return unknown(a->command, str_bytes(p, 1), e);
        if (o->kind == OPTION_FLAG) {
            int r = add_option(a, o, NULL, e);
            if (r < 0)
                return r;
            continue;
        }
        if (p[1])
            return add_option(a, o, p + 1, e);
        if (*i + 1 >= argc)
            return needs_value(o, e);
        return add_option(a, o, argv[++*i], e);
    }
    return 0;
}

static int check_count(const struct args *a, struct error *e)
{
    const struct command *c = a->command;
    if (a->help || (a->n_words >= c->min_args && a->n_words <= c->max_args))
        return 0;
    if (a->n_words < c->min_args)
        error_set(e, -EINVAL, "%s: an argument is missing", c->name);
    else
        error_set(e, -EINVAL, "%s: '%s' is one argument too many", c->name, a->words[c->max_args]);
    error_way_out(e, "usage: tiercel %s%s%s", c->name, c->arguments ? " " : "",
                  c->arguments ? c->arguments : "");
    return -EINVAL;
}

int args_parse(const struct command *command, int argc, char *const *argv, struct args *ret,
               struct error *e)
{
    struct args a = {.command = command};
    int r = 0;
    bool only_words = false;
    if (argc > ARGS_MAX)
        return error_set(e, -E2BIG, "more than %d arguments", ARGS_MAX);
    a.storage = calloc((size_t)argc + 1, sizeof *a.storage);
    if (!a.storage)
        return error_set(e, -ENOMEM, "out of memory");
    a.words = a.storage;
    for (int i = 0; i < argc && r == 0; i++) {
        if (only_words || argv[i][0] != '-' || argv[i][1] == 0)
            a.storage[a.n_words++] = argv[i];
        else if (!strcmp(argv[i], "--"))
            only_words = true;
        else if (argv[i][1] == '-')
            r = parse_long(&a, argc, argv, &i, e);
        else
            r = parse_letters(&a, argc, argv, &i, e);
    }
    if (r == 0)
        r = check_count(&a, e);
    if (r < 0) {
        args_done(&a);
        return r;
    }
    *ret = a;
    return 0;
}

void args_done(struct args *args)
{
    free(args->storage);
    *args = (struct args){0};
}

static const char *last_value(const struct args *args, const char *name, bool *ret_given)
{
    const char *value = NULL;
    assert(find_long(args->command, str_from(name)));
    *ret_given = false;
    for (size_t i = 0; i < args->n_options; i++)
        if (!strcmp(args->options[i].option->name, name)) {
            *ret_given = true;
            value = args->options[i].value;
        }
    return value;
}

bool args_has(const struct args *args, const char *name)
{
    bool given;
    last_value(args, name, &given);
    return given;
}

const char *args_text(const struct args *args, const char *name, const char *otherwise)
{
    bool given;
    const char *value = last_value(args, name, &given);
    return given ? value : otherwise;
}

// Values were checked by args_parse().
uint64_t args_number(const struct args *args, const char *name, uint64_t otherwise)
{
    const char *value = args_text(args, name, NULL);
    if (value)
        str_to_u64(str_from(value), &otherwise);
    return otherwise;
}

uint64_t args_duration(const struct args *args, const char *name, uint64_t otherwise)
{
    const char *value = args_text(args, name, NULL);
    if (value)
        when_duration(str_from(value), &otherwise);
    return otherwise;
}

uint64_t args_time(const struct args *args, const char *name, uint64_t otherwise)
{
    const char *value = args_text(args, name, NULL);
    if (value)
        when_time(str_from(value), now_ns(), &otherwise);
    return otherwise;
}

const char *args_each(const struct args *args, const char *name, size_t *position)
{
    while (*position < args->n_options) {
        size_t i = (*position)++;
        if (!strcmp(args->options[i].option->name, name))
            return args->options[i].value;
    }
    return NULL;
}
