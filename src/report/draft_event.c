// SPDX-License-Identifier: Apache-2.0
// What a draft takes from elsewhere: an external event with its clauses, and who may have been behind an attempt.
#include "attribute/attribute.h"
#include "report/draft.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define CLAUSES_MAX 64
#define NAME_MAX_BYTES 200

int draft_day(const char *text, uint64_t *ret_ns)
{
    struct tm tm = {0};
    char again[16];
    const char *end = strptime(text, "%Y-%m-%d", &tm);
    time_t at = end && *end == 0 ? timegm(&tm) : -1;
    if (at < 0 || strftime(again, sizeof again, "%Y-%m-%d", &tm) == 0 || strcmp(again, text) != 0)
        return -EINVAL;
    *ret_ns = (uint64_t)at * 1000000000;
    return 0;
}

void draft_date(uint64_t ns, char ret[32])
{
    static const char *const months[] = {"January",   "February", "March",    "April",
                                         "May",       "June",     "July",     "August",
                                         "September", "October",  "November", "December"};
    time_t at = (time_t)(ns / 1000000000);
    struct tm tm;
    gmtime_r(&at, &tm);
    snprintf(ret, 32, "%d %s %d", tm.tm_mday, months[tm.tm_mon % 12], tm.tm_year + 1900);
}

static bool short_text(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));
    size_t n = text ? strlen(text) : 0;
    return n > 0 && n <= NAME_MAX_BYTES && strpbrk(text, "\r\n") == NULL;
}

int draft_external(struct draft *d, struct error *e)
{
    const char *file = d->request->external;
    json_error_t at;
    json_t *clauses, *one;
    size_t i;
    if (!file)
        return 0;
    d->external = json_load_file(file, JSON_REJECT_DUPLICATES, &at);
    if (!d->external) {
        error_set(e, -EINVAL, "not a JSON file: %s", at.text);
        error_place(e, file, at.line > 0 ? (unsigned)at.line : 0, 0);
        return -EINVAL;
    }
    clauses = json_object_get(d->external, "clauses");
    const char *date = json_string_value(json_object_get(d->external, "date"));
    bool good = short_text(d->external, "name") && date && draft_day(date, &d->external_ns) == 0 &&
                json_array_size(clauses) <= CLAUSES_MAX;
    json_array_foreach(clauses, i, one) good = good && short_text(one, "id") &&
                                               short_text(one, "text") &&
                                               json_is_boolean(json_object_get(one, "prohibits"));
    if (good)
        return 0;
    error_set(e, -EINVAL, "not an event with its clauses");
    error_place(e, file, 0, 0);
    error_way_out(e, "{\"name\":..., \"date\":\"2015-09-25\", \"clauses\":[{\"id\":\"1\", "
                     "\"text\":..., \"prohibits\":true}]}");
    return -EINVAL;
}

static size_t addresses(struct intel *k, const json_t *attempt, struct intel_value **values)
{
    const json_t *lineage, *means;
    size_t n = 0, i, j;
    json_array_foreach(json_object_get(attempt, "lineages"), i, lineage)
    {
        json_array_foreach(json_object_get(lineage, "means"), j, means)
        {
            const char *kind = json_string_value(json_object_get(means, "kind"));
            const char *what = json_string_value(json_object_get(means, "what"));
            struct intel_value *v = kind && what && strcmp(kind, "address") == 0
                                        ? intel_value(k, INTEL_HOST, str_from(what))
                                        : NULL;
            for (size_t m = 0; v && m < n; m++)
                v = values[m] == v ? NULL : v;
            if (v && n < ATTRIBUTE_VALUES_MAX)
                values[n++] = v;
        }
    }
    return n;
}

void draft_attribute(struct draft *d)
{
    struct intel *k = d->request->knowledge;
    struct intel_value *values[ATTRIBUTE_VALUES_MAX];
    struct attribute_view all = {0};
    struct attribute_result *result = k ? calloc(1, sizeof *result) : NULL;
    for (size_t i = 0; result && i < d->n_attempts; i++) {
        struct draft_attempt *a = &d->attempts[i];
        size_t n = addresses(k, a->json, values);
        if (n == 0 || attribute_score(k, values, n, &all, result) < 0)
            continue;
        a->weighed = true;
        a->unknown = result->unknown.probability;
        if (result->named && result->n_top) {
            const struct intel_adversary *who = k->adversaries[result->top[0].adversary];
            snprintf(a->answer, sizeof a->answer, "%.*s", (int)who->name.n, who->name.p);
            a->probability = result->top[0].probability;
        }
        attribute_done(result);
    }
    free(result);
}

size_t draft_sectors(const struct draft *d, size_t *first)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n_clients; i++) {
        size_t k = 0;
        while (k < n && strcmp(d->clients[first[k]].sector, d->clients[i].sector) != 0)
            k++;
        if (k == n && d->clients[i].sector[0])
            first[n++] = i;
    }
    return n;
}
