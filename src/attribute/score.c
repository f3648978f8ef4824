// SPDX-License-Identifier: Apache-2.0
#include "attribute/attribute.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

// One setting for everything; how it was found and what it gives: doc/attribution.md.
#define TECHNIQUE_SCALE 0.3 // techniques come in company: each one counts for less
#define PARENT_SCALE 0.3    // another sub-technique of the same parent
#define TECHNIQUE_RECALL 0.7
#define TECHNIQUE_HALF 40.0 // a profile of this size is trusted by half
#define SOFTWARE_RECALL 0.5
#define SOFTWARE_HALF 4.0
#define HOST_SCALE 1.6
#define DOMAIN_SCALE 1.4
#define NETWORK_SCALE 0.3
#define ITEM_CAP 9.0 // nats: what one plant can do at most
#define CLASS_CAP 14.0
#define UNKNOWN_PRIOR 0.5
#define TEMPERATURE 1.0
#define NAME_FROM 0.75
#define MARGIN 0.5
#define SIGNATURE_HOLDERS 2 // a value that more adversaries share is nobody's signature

struct weigh {
    struct intel *k;
    const struct attribute_view *view;
    uint32_t n;        // adversaries
    uint32_t active;   // of them with facts in the view
    uint32_t *size[2]; // techniques and software by adversary
    uint32_t *seen;    // by adversary: stamp of the value that was last walked
    uint32_t stamp;
    double *item; // by adversary: weight of one value
    double *sums[ATTRIBUTE_CLASSES];
};

bool attribute_in_view(const struct attribute_view *v, const struct intel_fact *f)
{
    return (!v->before || (f->since && f->since < v->before)) &&
           !(v->excluded && f->source && v->excluded[f->source]) &&
           !(v->held_out && v->held_out[f->adversary]);
}

// Stamps the adversaries that have the value; how many.
static uint32_t holders(struct weigh *w, const struct intel_value *v)
{
    uint32_t n = 0;
    w->stamp++;
    for (uint32_t i = 0; i < v->n; i++) {
        uint32_t a = v->facts[i].adversary;
        if (w->seen[a] != w->stamp && attribute_in_view(w->view, &v->facts[i])) {
            w->seen[a] = w->stamp;
            n++;
        }
    }
    return n;
}

static void sizes(struct weigh *w, bool *known)
{
    for (uint32_t i = 0; i < w->k->n_values; i++) {
        const struct intel_value *v = w->k->values[i];
        holders(w, v);
        for (uint32_t f = 0; f < v->n; f++) {
            uint32_t a = v->facts[f].adversary;
            if (w->seen[a] != w->stamp)
                continue;
            w->seen[a] = w->stamp - 1;
            known[a] = true;
            if (v->kind == INTEL_TECHNIQUE || v->kind == INTEL_SOFTWARE)
                w->size[v->kind == INTEL_SOFTWARE][a]++;
        }
        w->stamp++;
    }
    for (uint32_t a = 0; a < w->n; a++)
        w->active += known[a];
}

static double recall(const struct weigh *w, bool software, uint32_t a)
{
    double n = w->size[software][a];
    return software ? SOFTWARE_RECALL * n / (n + SOFTWARE_HALF)
                    : TECHNIQUE_RECALL * n / (n + TECHNIQUE_HALF);
}

static enum attribute_class class_of(const struct intel_value *v)
{
    return v->kind <= INTEL_PARENT     ? ATTRIBUTE_TECHNIQUES
           : v->kind == INTEL_SOFTWARE ? ATTRIBUTE_SOFTWARE
                                       : ATTRIBUTE_INFRASTRUCTURE;
}

// ln(p(v|A)/b(v)) for the adversaries that are stamped, where p is a mixture of the profile and the base rate.
static void weigh_profile(struct weigh *w, const struct intel_value *v, uint32_t n, double scale)
{
    bool software = v->kind == INTEL_SOFTWARE;
    double base = (n + 0.5) / (w->active + 1.0);
    for (uint32_t i = 0; n && i < v->n; i++) {
        uint32_t a = v->facts[i].adversary;
        if (w->seen[a] != w->stamp)
            continue;
        double r = recall(w, software, a);
        w->item[a] = fmax(w->item[a], scale * log((r + (1 - r) * base) / base));
    }
}

static void weigh_host(struct weigh *w, const struct intel_value *v, uint32_t n, double scale)
{
    double base = (n + 0.5) / (w->active + 1.0);
    double weight = scale * log((0.9 + 0.1 * base) / base) / ((double)n * n);
    for (uint32_t i = 0; n && weight > 0 && i < v->n; i++)
        if (w->seen[v->facts[i].adversary] == w->stamp)
            w->item[v->facts[i].adversary] = fmax(w->item[v->facts[i].adversary], weight);
}

// Fills w->item for one observation; how many adversaries have it, or what follows from it.
static uint32_t weigh_value(struct weigh *w, const struct intel_value *v)
{
    const struct intel_value *more = intel_derived(w->k, v);
    bool software = v->kind == INTEL_SOFTWARE, host = v->kind == INTEL_HOST;
    for (uint32_t a = 0; a < w->n; a++)
        w->item[a] = host ? 0 : (software ? 1 : TECHNIQUE_SCALE) * log(1 - recall(w, software, a));
    uint32_t n = holders(w, v);
    if (host)
        weigh_host(w, v, n, HOST_SCALE);
    else
        weigh_profile(w, v, n, software ? 1 : TECHNIQUE_SCALE);
    if (more) {
        uint32_t m = holders(w, more);
        if (host)
            weigh_host(w, more, m, more->kind == INTEL_DOMAIN ? DOMAIN_SCALE : NETWORK_SCALE);
        else
            weigh_profile(w, more, m, TECHNIQUE_SCALE * PARENT_SCALE);
        n = n || more->kind == INTEL_NETWORK ? n : m;
    }
    for (uint32_t a = 0; a < w->n; a++)
        w->item[a] = fmin(w->item[a], ITEM_CAP);
    return n;
}

static void tell(const struct weigh *w, uint32_t a, double prior, struct attribute_candidate *c)
{
    *c = (struct attribute_candidate){.adversary = a, .prior = prior, .score = prior};
    for (int i = 0; i < ATTRIBUTE_CLASSES; i++)
        c->score += c->by_class[i] = fmin(w->sums[i][a], CLASS_CAP);
}

// Who leads with one class left out (-1: none); ties go to the earlier adversary, nobody when unknown is above.
static uint32_t leader(const struct weigh *w, const double *scores, int without, double unknown)
{
    uint32_t best = INTEL_NONE;
    double most = unknown;
    for (uint32_t a = 0; a < w->n; a++) {
        double s = scores[a] - (without < 0 ? 0 : fmin(w->sums[without][a], CLASS_CAP));
        if (s > most) {
            most = s;
            best = a;
        }
    }
    return best;
}

static void rank(struct weigh *w, const bool *known, struct attribute_result *r)
{
    double prior = log((1 - UNKNOWN_PRIOR) / fmax(w->active, 1)), total = 0, most;
    r->unknown = (struct attribute_candidate){.adversary = INTEL_NONE, .prior = log(UNKNOWN_PRIOR)};
    r->unknown.score = most = r->unknown.prior;
    for (uint32_t a = 0; a < w->n; a++) {
        struct attribute_candidate c;
        r->scores[a] = -INFINITY;
        if (!known[a])
            continue;
        tell(w, a, prior, &c);
        r->scores[a] = c.score;
        most = fmax(most, c.score);
        uint32_t at = r->n_top;
        while (at && r->top[at - 1].score < c.score)
            at--;
        if (at >= ATTRIBUTE_TOP)
            continue;
        if (r->n_top < ATTRIBUTE_TOP)
            r->n_top++;
        for (uint32_t i = r->n_top - 1; i > at; i--)
            r->top[i] = r->top[i - 1];
        r->top[at] = c;
    }
    total = exp((r->unknown.score - most) / TEMPERATURE);
    for (uint32_t a = 0; a < w->n; a++)
        total += exp((r->scores[a] - most) / TEMPERATURE);
    for (uint32_t i = 0; i < r->n_top; i++)
        r->top[i].probability = exp((r->top[i].score - most) / TEMPERATURE) / total;
    r->unknown.probability = exp((r->unknown.score - most) / TEMPERATURE) / total;
    for (int c = 0; c < ATTRIBUTE_CLASSES; c++)
        r->without[c] = leader(w, r->scores, c, r->unknown.score);
}

// Name or abstain, and how sure: the rules that no probability overrides.
static void decide(struct attribute_result *r)
{
    const char *why = NULL;
    bool signature = false, moved = false;
    const struct attribute_candidate *c = &r->top[0];
    double next = r->unknown.probability;
    if (r->n_top > 1)
        next = fmax(next, r->top[1].probability);
    for (uint32_t i = 0; i < r->n_items; i++)
        signature = signature || (class_of(r->items[i].value) != ATTRIBUTE_TECHNIQUES &&
                                  r->items[i].weight > 0 && r->items[i].holders > 0 &&
                                  r->items[i].holders <= SIGNATURE_HOLDERS);
    if (!r->n_top)
        why = "nothing is known of any adversary here";
    else if (c->probability < NAME_FROM || c->probability - next < MARGIN)
        why = "no candidate is far enough ahead, an unknown adversary included";
    else if (!signature)
        why = "techniques and tools that many share are nobody's signature";
    r->named = !why;
    for (int i = 0; !why && i < ATTRIBUTE_CLASSES; i++)
        moved = moved || (r->without[i] != INTEL_NONE && r->without[i] != c->adversary);
    if (!why && moved)
        why = "another leads when one class of evidence is left out";
    else if (!why && c->by_class[ATTRIBUTE_INFRASTRUCTURE] <= 0)
        why = "it rests on tools and techniques alone, which can be copied";
    r->moderate = !why;
    snprintf(r->reason, sizeof r->reason, "%s", why ? why : "infrastructure and no contrary class");
}

static int prepare(struct weigh *w, struct attribute_result *r, bool **ret_known)
{
    size_t n = w->n ? w->n : 1;
    w->size[0] = calloc(n, sizeof(uint32_t));
    w->size[1] = calloc(n, sizeof(uint32_t));
    w->seen = calloc(n, sizeof(uint32_t));
    w->item = calloc(n, sizeof(double));
    r->scores = calloc(n, sizeof(double));
    *ret_known = calloc(n, sizeof(bool));
    bool all = w->size[0] && w->size[1] && w->seen && w->item && r->scores && *ret_known;
    for (int c = 0; c < ATTRIBUTE_CLASSES; c++)
        all = (w->sums[c] = calloc(n, sizeof(double))) && all;
    w->stamp = 1;
    return all ? 0 : -ENOMEM;
}

int attribute_score(struct intel *k, struct intel_value *const *values, size_t n,
                    const struct attribute_view *view, struct attribute_result *ret)
{
    struct weigh w = {.k = k, .view = view, .n = k->n_adversaries};
    bool *known = NULL;
    *ret = (struct attribute_result){0};
    int r = prepare(&w, ret, &known);
    if (!r) {
        sizes(&w, known);
        ret->n_items = (uint32_t)(n < ATTRIBUTE_VALUES_MAX ? n : ATTRIBUTE_VALUES_MAX);
        ret->left_out = (uint32_t)(n - ret->n_items);
        for (uint32_t i = 0; i < ret->n_items; i++) {
            ret->items[i] = (struct attribute_item){values[i], 0, weigh_value(&w, values[i])};
            for (uint32_t a = 0; a < w.n; a++)
                w.sums[class_of(values[i])][a] += w.item[a];
        }
        rank(&w, known, ret);
        for (uint32_t i = 0; ret->n_top && i < ret->n_items; i++) {
            weigh_value(&w, values[i]);
            ret->items[i].weight = w.item[ret->top[0].adversary];
        }
        decide(ret);
    }
    for (int c = 0; c < ATTRIBUTE_CLASSES; c++)
        free(w.sums[c]);
    free(w.size[0]);
    free(w.size[1]);
    free(w.seen);
    free(w.item);
    free(known);
    return r;
}

void attribute_done(struct attribute_result *r)
{
    free(r->scores);
    r->scores = NULL;
}

const char *attribute_class_name(enum attribute_class c)
{
    static const char *const names[] = {"techniques", "software", "infrastructure"};
    return names[c];
}

const char *attribute_words(double p)
{
    static const struct {
        double below;
        const char *words;
    } rows[] = {{0.05, "almost no chance"}, {0.20, "very unlikely"}, {0.45, "unlikely"},
                {0.55, "roughly even"},     {0.80, "likely"},        {0.95, "very likely"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (p < rows[i].below)
            return rows[i].words;
    return "almost certain";
}
