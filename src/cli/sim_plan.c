// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "cli/sim.h"
#include "cli/when.h"
#include "link/pki.h"

#include <errno.h>

#define COLUMNS_MAX 4

static int copy(struct str s, char *ret, size_t size)
{
    if (s.n == 0 || s.n >= size || memchr(s.p, 0, s.n))
        return -EINVAL;
    memcpy(ret, s.p, s.n);
    ret[s.n] = 0;
    return 0;
}

// The columns of the next line that says something: how many; 0 the end.
static size_t next_line(FILE *f, char **line, size_t *cap, unsigned *number,
                        struct str ret[COLUMNS_MAX + 1])
{
    for (ssize_t n; (n = getline(line, cap, f)) > 0;) {
        struct str rest = str_trim(str_bytes(*line, (size_t)n));
        size_t columns = 0;
        ++*number;
        if (rest.n == 0 || rest.p[0] == '#')
            continue;
        while (columns <= COLUMNS_MAX && str_split(&rest, '\t', &ret[columns])) {
            ret[columns] = str_trim(ret[columns]);
            columns++;
        }
        return columns;
    }
    return 0;
}

static bool host_good(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || (c == '.' && i)))
            return false;
    }
    return s.n > 0 && s.n < 65;
}

static int start_of(struct str s, uint64_t base_ns, uint64_t *ret)
{
    uint64_t after;
    if (s.n == 0 || s.p[0] != '+')
        return when_time(s, base_ns, ret);
    int r = when_duration(str_bytes(s.p + 1, s.n - 1), &after);
    if (r == 0)
        *ret = base_ns + after;
    return r;
}

static int take(struct str c[COLUMNS_MAX], const char *folder, uint64_t base_ns,
                struct sim_line *ret, struct error *e)
{
    char recording[sizeof ret->recording];
    if (!pki_client_good(c[0]) || copy(c[0], ret->client, sizeof ret->client) < 0)
        return error_set(e, -EINVAL, "the first column is no name of a client");
    if (!host_good(c[1]) || copy(c[1], ret->host, sizeof ret->host) < 0)
        return error_set(e, -EINVAL, "a host is 1 to 64 of a-z, 0-9, '-' and '.'");
    if (copy(c[2], recording, sizeof recording) < 0)
        return error_set(e, -EINVAL, "the third column is no folder");
    bool whole = recording[0] == '/' || !strcmp(recording, "-");
    int n = snprintf(ret->recording, sizeof ret->recording, "%s%s%s", whole ? "" : folder,
                     whole ? "" : "/", recording);
    if (n < 0 || (size_t)n >= sizeof ret->recording)
        return error_set(e, -EINVAL, "the recording's path is too long");
    if (start_of(c[3], base_ns, &ret->start_ns) < 0)
        return error_set(e, -EINVAL, "'" STR_FMT "' is neither a time nor +DURATION",
                         (int)(c[3].n < 60 ? c[3].n : 60), c[3].p);
    return 0;
}

static int by_start(const void *a, const void *b)
{
    const struct sim_line *x = a, *y = b;
    if (x->start_ns != y->start_ns)
        return x->start_ns < y->start_ns ? -1 : 1;
    int r = strcmp(x->client, y->client);
    if (r == 0)
        r = strcmp(x->host, y->host);
    return r ? r : strcmp(x->recording, y->recording);
}

int sim_plan_read(FILE *f, const char *name, const char *folder, uint64_t base_ns,
                  struct sim_plan *ret, struct error *e)
{
    _cleanup_free_ char *line = NULL;
    struct sim_plan plan = {0};
    struct str columns[COLUMNS_MAX + 1];
    size_t cap = 0, room = 0, n;
    unsigned number = 0;
    int r = 0;
    while (r == 0 && (n = next_line(f, &line, &cap, &number, columns)) > 0) {
        if (plan.n == room) {
            room = room ? room * 2 : 64;
            struct sim_line *more = realloc(plan.lines, room * sizeof *more);
            if (!more) {
                r = error_set(e, -ENOMEM, "no memory");
                break;
            }
            plan.lines = more;
        }
        if (plan.n == SIM_LINES_MAX)
            r = error_set(e, -EINVAL, "more than %u lines", SIM_LINES_MAX);
        else if (n != COLUMNS_MAX)
            r = error_set(e, -EINVAL, "four columns with tabs: client, host, recording, start");
        else
            r = take(columns, folder, base_ns, &plan.lines[plan.n], e);
        plan.n += r == 0;
    }
    if (r == 0 && !plan.lines)
        r = error_set(e, -EINVAL, "the plan is empty");
    if (r < 0 || !plan.lines) {
        error_place(e, name, number, 0);
        sim_plan_done(&plan);
        return r;
    }
    qsort(plan.lines, plan.n, sizeof *plan.lines, by_start);
    *ret = plan;
    return 0;
}

void sim_plan_done(struct sim_plan *plan)
{
    free(plan->lines);
    *plan = (struct sim_plan){0};
}

int sim_keys_read(FILE *f, const char *name, struct sim_keys *ret, struct error *e)
{
    _cleanup_free_ char *line = NULL;
    struct str columns[COLUMNS_MAX + 1];
    size_t cap = 0, n;
    unsigned number = 0;
    int r = 0;
    ret->n = 0;
    while (r == 0 && (n = next_line(f, &line, &cap, &number, columns)) > 0) {
        if (ret->n == SIM_CLIENTS_MAX || n != 2 || !pki_client_good(columns[0]) ||
            copy(columns[0], ret->of[ret->n].client, sizeof ret->of[0].client) < 0 ||
            copy(columns[1], ret->of[ret->n].key, sizeof ret->of[0].key) < 0)
            r = error_set(e, -EINVAL, "two columns with a tab: client, key; at most %u clients",
                          SIM_CLIENTS_MAX);
        ret->n += r == 0;
    }
    if (r < 0)
        error_place(e, name, number, 0);
    return r;
}
