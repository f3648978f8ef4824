// SPDX-License-Identifier: Apache-2.0
#include "attribute/attribute.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define BINS 10
#define DRAWS 2000
#define SHARED_MAX 4096 // cases of one reference

struct run {
    struct intel *k;
    bool *excluded, *held_out;
    struct attribute_result result;
    struct attribute_bench *b;
    double sum[BINS], right[BINS];
    uint32_t count[BINS];
    signed char *top1, *paired; // by case that counted
};

static bool answers(const struct intel_case *c, uint32_t a)
{
    for (uint32_t i = 0; i < c->n_answers; i++)
        if (c->answers[i] == a)
            return true;
    return false;
}

// This case, and each that shares a reference with it.
static void exclude(struct run *r, const struct map *refs, const struct intel_case *c, bool set)
{
    r->excluded[c->source] = set;
    for (uint32_t i = 0; i < c->n_references; i++)
        for (struct intel_case *const *o = map_get(refs, c->references[i]); o && *o; o++)
            r->excluded[(*o)->source] = set;
}

// The baselines see the same view: how many reports or facts each has, and the overlap of the sets.
static void baselines(struct run *r, const struct intel_case *c, const struct attribute_view *view,
                      bool *ret_frequency, bool *ret_jaccard)
{
    uint32_t n = r->k->n_adversaries, most = INTEL_NONE, near = INTEL_NONE;
    double *facts = calloc(n + 1, sizeof *facts), *shared = calloc(n + 1, sizeof *shared);
    double best = -1;
    for (uint32_t i = 0; facts && shared && i < r->k->n_values; i++) {
        const struct intel_value *v = r->k->values[i];
        for (uint32_t f = 0; f < v->n; f++)
            if (attribute_in_view(view, &v->facts[f]))
                facts[v->facts[f].adversary]++;
    }
    for (uint32_t i = 0; facts && shared && i < c->n_values; i++) {
        const struct intel_value *v = c->values[i];
        for (uint32_t f = 0, last = INTEL_NONE; f < v->n; f++) {
            uint32_t a = v->facts[f].adversary;
            if (a != last && attribute_in_view(view, &v->facts[f]))
                shared[last = a]++;
        }
    }
    for (uint32_t a = 0; facts && shared && a < n; a++) {
        if (facts[a] > 0 && (most == INTEL_NONE || facts[a] > facts[most]))
            most = a;
        double j = shared[a] / (facts[a] + c->n_values - shared[a]);
        if (shared[a] > 0 && j > best) {
            best = j;
            near = a;
        }
    }
    *ret_frequency = most != INTEL_NONE && answers(c, most);
    *ret_jaccard = near != INTEL_NONE && answers(c, near);
    free(facts);
    free(shared);
}

static void calibrate(struct run *r, const struct attribute_result *s, bool right, double p_right)
{
    double p = s->n_top ? s->top[0].probability : 0;
    uint32_t bin = p >= 1 ? BINS - 1 : (uint32_t)(p * BINS);
    r->sum[bin] += p;
    r->right[bin] += right;
    r->count[bin]++;
    r->b->log_score += log(fmax(p_right, 1e-6));
    // Over the candidates told in full, the unknown one and the right one; what is left is below 1e-2 in all.
    double brier = s->unknown.probability * s->unknown.probability + (1 - p_right) * (1 - p_right);
    for (uint32_t i = 0; i < s->n_top; i++)
        brier += s->top[i].probability * s->top[i].probability;
    r->b->brier += brier;
}

static int one(struct run *r, const struct intel_case *c)
{
    struct attribute_view view = {.before = c->published, .excluded = r->excluded};
    struct attribute_bench *b = r->b;
    struct attribute_result *s = &r->result;
    bool right1 = false, right3 = false, frequency, jaccard;
    double p_right = 0;
    int e = attribute_score(r->k, c->values, c->n_values, &view, s);
    for (uint32_t i = 0; !e && i < s->n_top; i++) {
        if (!answers(c, s->top[i].adversary))
            continue;
        // A candidate nothing speaks for is no find, even where it heads a list of equals.
        bool found =
            s->top[i].score > s->top[i].prior || s->top[i].score > s->top[s->n_top - 1].score;
        right1 = right1 || (i == 0 && found);
        right3 = right3 || (i < 3 && found);
        p_right += s->top[i].probability;
    }
    if (!e) {
        calibrate(r, s, right1, p_right);
        // Only once: the right one is in the list already.
        for (uint32_t i = 0; i < s->n_top; i++)
            if (answers(c, s->top[i].adversary))
                b->brier -= s->top[i].probability * s->top[i].probability;
        b->named += s->named;
        b->named_right += s->named && right1;
        baselines(r, c, &view, &frequency, &jaccard);
        b->frequency1 += frequency;
        b->jaccard1 += jaccard;
        b->half_n[b->n & 1]++;
        b->half_top1[b->n & 1] += right1;
        r->top1[b->n] = right1;
        r->paired[b->n] = (signed char)(right1 - jaccard);
        b->n++;
        b->top1 += right1;
        b->top3 += right3;
    }
    attribute_done(s);
    for (uint32_t i = 0; i < c->n_answers; i++)
        r->held_out[c->answers[i]] = true;
    view.held_out = r->held_out;
    if (!e && !(e = attribute_score(r->k, c->values, c->n_values, &view, s))) {
        b->held_out++;
        b->held_out_named += s->named;
    }
    attribute_done(s);
    for (uint32_t i = 0; i < c->n_answers; i++)
        r->held_out[c->answers[i]] = false;
    return e;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Percentiles of the mean over cases drawn with replacement; the same draws each time.
static void bootstrap(const signed char *values, uint32_t n, double *ret_low, double *ret_high)
{
    uint64_t state = 88172645463325252u;
    double *means = calloc(DRAWS, sizeof *means);
    for (uint32_t d = 0; means && n && d < DRAWS; d++) {
        int64_t sum = 0;
        for (uint32_t i = 0; i < n; i++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            sum += values[state % n];
        }
        means[d] = (double)sum / n;
    }
    if (means) {
        qsort(means, DRAWS, sizeof *means, ascending);
        *ret_low = means[DRAWS / 40];
        *ret_high = means[DRAWS - DRAWS / 40];
        free(means);
    }
}

// Reference to a NULL-terminated list of the cases that have it.
static int index_references(struct intel *k, struct map *refs)
{
    for (uint32_t i = 0; i < k->n_cases; i++)
        for (uint32_t j = 0; j < k->cases[i]->n_references; j++) {
            struct str key = k->cases[i]->references[j];
            struct intel_case **list = map_get(refs, key);
            size_t n = 0;
            while (list && list[n])
                n++;
            struct intel_case **grown =
                n < SHARED_MAX ? reallocarray(list, n + 2, sizeof *grown) : NULL;
            if (!grown)
                return -ENOSPC;
            grown[n] = k->cases[i];
            grown[n + 1] = NULL;
            if (map_put(refs, key, grown)) {
                free(grown);
                return -ENOSPC;
            }
        }
    return 0;
}

int attribute_bench(struct intel *k, uint32_t first, struct attribute_bench *ret)
{
    struct run r = {.k = k, .b = ret};
    struct map refs = {.quota = 1u << 20};
    *ret = (struct attribute_bench){0};
    r.excluded = calloc(k->n_cases + 2, sizeof(bool));
    r.held_out = calloc(k->n_adversaries + 1, sizeof(bool));
    r.top1 = calloc(k->n_cases + 1, 1);
    r.paired = calloc(k->n_cases + 1, 1);
    int e = r.excluded && r.held_out && r.top1 && r.paired ? index_references(k, &refs) : -ENOMEM;
    for (uint32_t i = first; !e && i < k->n_cases; i++) {
        if (!k->cases[i]->n_answers || !k->cases[i]->n_values)
            continue;
        exclude(&r, &refs, k->cases[i], true);
        e = one(&r, k->cases[i]);
        exclude(&r, &refs, k->cases[i], false);
    }
    if (ret->n) {
        ret->brier /= ret->n;
        ret->log_score /= ret->n;
        for (int i = 0; i < BINS; i++)
            ret->ece += fabs(r.sum[i] - r.right[i]) / ret->n;
        bootstrap(r.top1, ret->n, &ret->top1_low, &ret->top1_high);
        bootstrap(r.paired, ret->n, &ret->paired_low, &ret->paired_high);
    }
    struct map_entry *m;
    for (size_t i = 0; (m = map_next(&refs, &i));)
        free(m->value);
    map_done(&refs);
    free(r.excluded);
    free(r.held_out);
    free(r.top1);
    free(r.paired);
    return e;
}
