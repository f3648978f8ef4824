// SPDX-License-Identifier: Apache-2.0
#include "report/draft.h"

#include <errno.h>
#include <math.h>

#define RULE "counting rule " ATTEMPT_RULE " version 1"
#define DAYS_RULE "counting rule sensor-days version 1"
_Static_assert(ATTEMPT_RULE_VERSION == 1, "the version stands in RULE");

struct speech {
    const struct draft *d;
    struct claims *c;
    size_t watched, hit; // clients with coverage, with attempts
    uint64_t known, harmed;
};

static json_t *evidence(const struct draft *d, bool (*of)(const struct draft_attempt *a))
{
    if (d->request->for_public) // not even numbers of events: they lead to a client
        return NULL;
    json_t *all = json_array();
    for (size_t i = 0; i < d->n_attempts; i++) {
        const struct draft_attempt *a = &d->attempts[i];
        const json_t *one;
        json_t *events = json_array();
        size_t k;
        if (of && !of(a)) {
            json_decref(events);
            continue;
        }
        json_array_foreach(json_object_get(a->json, "detections"), k, one)
            json_array_append(events, json_object_get(one, "id"));
        json_array_append_new(all,
                              json_pack("{s:s, s:s, s:o}", "client", d->clients[a->client].name,
                                        "attempt", a->id, "detections", events));
    }
    return all;
}

static bool is_unknown(const struct draft_attempt *a)
{
    return a->outcome == ATTEMPT_UNKNOWN;
}

static bool is_known(const struct draft_attempt *a)
{
    return a->outcome != ATTEMPT_UNKNOWN;
}

static void say_counts(struct speech *s)
{
    const struct draft *d = s->d;
    struct claim_number n = {.value = (double)d->n_attempts,
                             .unit = "attempts, at least",
                             .rule = RULE,
                             .denominator = "monitored hosts",
                             .of = (double)d->hosts};
    struct claim_number days = {.value = (double)d->sensor_days,
                                .unit = "sensor-days",
                                .rule = DAYS_RULE,
                                .denominator = "monitored hosts",
                                .of = (double)d->hosts};
    if (d->n_attempts)
        claim_add(s->c, CLAIM_OBSERVED, "attempts", &n, evidence(d, NULL),
                  "At least %zu attempts (" RULE ") were recorded between %s and %s on %llu "
                  "monitored hosts of %zu clients.",
                  d->n_attempts, s->c->from, s->c->to, (unsigned long long)d->hosts, s->watched);
    else
        claim_add(s->c, CLAIM_OBSERVED, "attempts", &n, NULL,
                  "No attempt (" RULE ") was recorded between %s and %s on %llu monitored hosts "
                  "of %zu clients, within coverage.",
                  s->c->from, s->c->to, (unsigned long long)d->hosts, s->watched);
    claim_add(s->c, CLAIM_OBSERVED, "coverage", &days, NULL,
              "The exposure was %llu sensor-days (" DAYS_RULE ") between %s and %s, of %llu "
              "that %llu monitored hosts could have given.",
              (unsigned long long)d->sensor_days, s->c->from, s->c->to,
              (unsigned long long)(d->hosts * d->n_days), (unsigned long long)d->hosts);
    claim_add(s->c, CLAIM_OBSERVED, "coverage", NULL, NULL,
              "The records of the monitored hosts between %s and %s have %llu gaps.", s->c->from,
              s->c->to, (unsigned long long)d->gaps);
    if (d->backwards)
        claim_add(s->c, CLAIM_OBSERVED, "clocks", NULL, NULL,
                  "A clock of a monitored host went back by over an hour between %s and %s, so "
                  "dates that rest on it are uncertain.",
                  s->c->from, s->c->to);
}

// 0 of n, one-sided 95 %: the exact bound solves (1 - p)^n = 0.05.
static double bound_of_none(double n)
{
    return 1 - pow(0.05, 1 / n);
}

static void say_bounds(struct speech *s)
{
    size_t clients = 0;
    for (size_t i = 0; i < s->d->n_clients; i++)
        clients += s->d->clients[i].known > 0;
    double by[2] = {(double)s->known, (double)clients};
    static const char *const units[] = {"attempts", "clients"};
    for (int i = 0; i < 2; i++) {
        double high = bound_of_none(by[i]);
        struct claim_number n = {.value = 0,
                                 .unit = units[i],
                                 .rule = RULE,
                                 .denominator = units[i],
                                 .of = by[i],
                                 .interval = "exact, one-sided 95 %",
                                 .low = 0,
                                 .high = high};
        claim_add(s->c, CLAIM_ASSESSED, "bound", &n, evidence(s->d, is_known),
                  "With 0 of %.0f %s (" RULE ") between %s and %s, the upper bound on the true "
                  "rate at which protected data is read or sent is %.1f %% by %s (one-sided "
                  "95 %%, if they are independent).",
                  by[i], units[i], s->c->from, s->c->to, 100 * high, i ? "client" : "attempt");
    }
}

static void say_outcomes(struct speech *s)
{
    const struct draft *d = s->d;
    struct claim_number n = {.value = (double)s->harmed,
                             .unit = "attempts with protected data read or sent",
                             .rule = RULE,
                             .denominator = "attempts with a known outcome",
                             .of = (double)s->known};
    uint64_t unknown = d->n_attempts - s->known;
    if (s->known)
        claim_add(s->c, CLAIM_OBSERVED, "outcome", &n, evidence(d, is_known),
                  "On %llu monitored hosts, within coverage, protected data was read or sent in "
                  "%llu of the %llu attempts (" RULE ") with a known outcome between %s and %s.",
                  (unsigned long long)d->hosts, (unsigned long long)s->harmed,
                  (unsigned long long)s->known, s->c->from, s->c->to);
    if (unknown)
        claim_add(s->c, CLAIM_OBSERVED, "outcome", NULL, evidence(d, is_unknown),
                  "The outcome of %llu of the %zu attempts (" RULE ") between %s and %s on %llu "
                  "monitored hosts is unknown, because coverage has a gap.",
                  (unsigned long long)unknown, d->n_attempts, s->c->from, s->c->to,
                  (unsigned long long)d->hosts);
    if (s->known && s->harmed == 0)
        say_bounds(s);
}

// Within how many days of the event as many clients as a cell needs had an attempt; 0: not in the window.
static uint64_t wide_enough(const struct draft *d, uint64_t least)
{
    static const uint64_t steps[] = {7, 14, 31, 92, 366};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        uint64_t clients = 0;
        for (size_t c = 0; c < d->n_clients; c++) {
            bool any = false;
            for (size_t k = 0; k < d->n_attempts; k++)
                any = any ||
                      (d->attempts[k].client == c && d->attempts[k].begin_ns >= d->external_ns &&
                       d->attempts[k].begin_ns < d->external_ns + steps[i] * DRAFT_DAY_NS);
            clients += any;
        }
        if (clients >= least)
            return steps[i];
    }
    return 0;
}

static void say_event(struct speech *s)
{
    const struct draft *d = s->d;
    const char *name = json_string_value(json_object_get(d->external, "name"));
    char date[32];
    const struct draft_attempt *first = NULL;
    draft_date(d->external_ns, date);
    for (size_t i = 0; i < d->n_attempts && !first; i++)
        if (d->attempts[i].begin_ns >= d->external_ns)
            first = &d->attempts[i];
    uint64_t days = first ? (first->begin_ns - d->external_ns) / DRAFT_DAY_NS : 0;
    uint64_t wide = d->request->for_public ? wide_enough(d, DRAFT_LEAST_CLIENTS) : 0;
    if (first && !d->request->for_public)
        claim_add(s->c, CLAIM_OBSERVED, "first attempt", NULL, NULL,
                  "The first attempt between %s and %s was recorded %llu day%s after the event of "
                  "%s.",
                  s->c->from, s->c->to, (unsigned long long)days, days == 1 ? "" : "s", date);
    else if (first && wide && d->attempts[0].begin_ns >= d->external_ns)
        claim_add(s->c, CLAIM_OBSERVED, "first attempt", NULL, NULL,
                  "The first attempt was recorded within %llu days after the event of %s; the day "
                  "is withheld, because it could lead to a client.",
                  (unsigned long long)wide, date);
    else if (first)
        claim_add(s->c, CLAIM_NOT_CLAIMED, "first attempt", NULL, NULL,
                  "When the first attempt after the event of %s was recorded is withheld, because "
                  "it could lead to a client.",
                  date);
    claim_add(s->c, CLAIM_NOT_CLAIMED, "R1", NULL, NULL,
              "Whether any clause of the event \"%s\" applies to these attempts is not claimed: "
              "records of hosts show neither who gave an order nor what a clause covers.",
              name);
    claim_add(s->c, CLAIM_NOT_CLAIMED, "R6", NULL, NULL,
              "Whether attempts became fewer or more after the event of %s is not claimed, because "
              "no baseline with its exposure was compared.",
              date);
}

static void say_sectors(struct speech *s)
{
    size_t first[REGISTRY_CLIENTS_MAX], n = draft_sectors(s->d, first);
    if (s->d->request->for_public && n)
        claim_add(
            s->c, CLAIM_NOT_CLAIMED, "sectors", NULL, NULL,
            "Clients in at least %zu sector%s were watched; the sector cells are withheld, so "
            "that none can be derived from a total.",
            n, n == 1 ? "" : "s");
    else if (n)
        claim_add(s->c, CLAIM_OBSERVED, "sectors", NULL, NULL,
                  "Clients in %zu sector%s were watched.", n, n == 1 ? "" : "s");
}

static void say_who(struct speech *s)
{
    const struct draft *d = s->d;
    if (!d->request->for_public)
        for (size_t i = 0; i < d->n_attempts; i++) {
            const struct draft_attempt *a = &d->attempts[i];
            if (!a->answer[0])
                continue;
            claim_add(
                s->c, CLAIM_ASSESSED, "attribution", NULL,
                json_pack("[{s:s, s:s}]", "client", d->clients[a->client].name, "attempt", a->id),
                "Candidates for attempt %s are %s (%.0f %%) and an unknown adversary "
                "(%.0f %%).",
                a->id, a->answer, 100 * a->probability, 100 * a->unknown);
            claim_likelihood(s->c, a->probability);
        }
    claim_add(s->c, CLAIM_NOT_CLAIMED, "attribution", NULL, NULL,
              d->request->knowledge
                  ? "No group is named for an attempt whose addresses do not support one, as an "
                    "unknown adversary is within the margin."
                  : "No group is named, because no knowledge of adversaries was given.");
    claim_add(s->c, CLAIM_NOT_CLAIMED, "R5", NULL, NULL,
              "Who stands behind any group is not claimed.");
    claim_add(s->c, CLAIM_NOT_CLAIMED, "R3", NULL, NULL,
              "What the intruders were after is unknown; rival hypotheses are not excluded.");
}

int draft_claim(const struct draft *d, struct claims *c, struct error *e)
{
    struct speech s = {.d = d, .c = c};
    for (size_t i = 0; i < d->n_clients; i++) {
        s.watched += d->clients[i].sensor_days > 0;
        s.hit += d->clients[i].attempts > 0;
        s.known += d->clients[i].known;
        s.harmed += d->clients[i].harmed;
    }
    if (d->request->for_public && s.watched < DRAFT_LEAST_CLIENTS) {
        error_set(e, -EPERM,
                  "%zu client%s with coverage: too few for the public, they could be found out",
                  s.watched, s.watched == 1 ? "" : "s");
        error_way_out(e, "at least %d are needed; or --edition internal", DRAFT_LEAST_CLIENTS);
        return -EPERM;
    }
    if (s.watched == 0 && d->n_attempts == 0) {
        claim_add(c, CLAIM_NOT_CLAIMED, "coverage", NULL, NULL,
                  "Nothing can be said about attempts between %s and %s, because no records of "
                  "that time came from a monitored host.",
                  c->from, c->to);
    } else {
        say_counts(&s);
        say_outcomes(&s);
        say_sectors(&s);
    }
    if (d->external)
        say_event(&s);
    if (d->n_attempts)
        say_who(&s);
    return c->failed || c->text.failed ? error_set(e, -ENOMEM, "out of memory") : 0;
}
