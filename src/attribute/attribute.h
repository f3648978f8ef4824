// SPDX-License-Identifier: Apache-2.0
// Who may it have been? Weighs observations against what is known and says so in contributions that add up, with an
// unknown adversary among the candidates. Pure and deterministic: the same knowledge, view and observations give the
// same answer. The model, its constants and its figures: doc/attribution.md.
// To add a class of evidence: enum attribute_class, its weight in score.c, a name in attribute_class_name.
#pragma once
#include "intel/intel.h"

#define ATTRIBUTE_TOP 5          // candidates told in full
#define ATTRIBUTE_VALUES_MAX 512 // observations weighed; more are counted as left out

enum attribute_class {
    ATTRIBUTE_TECHNIQUES,
    ATTRIBUTE_SOFTWARE,
    ATTRIBUTE_INFRASTRUCTURE,
    ATTRIBUTE_CLASSES
};

// Which part of the knowledge counts.
struct attribute_view {
    uint32_t before;      // only facts first known before this day (20231130); 0: all
    const bool *excluded; // by source; NULL: none
    const bool *held_out; // by adversary; NULL: none
};

bool attribute_in_view(const struct attribute_view *v, const struct intel_fact *f);

struct attribute_candidate {
    uint32_t adversary; // INTEL_NONE: somebody not known
    double prior;       // nats
    double by_class[ATTRIBUTE_CLASSES];
    double score; // prior and classes, added up
    double probability;
};

struct attribute_item {
    const struct intel_value *value;
    double weight;    // for the first named candidate, nats
    uint32_t holders; // adversaries of the view that have it
};

struct attribute_result {
    struct attribute_candidate top[ATTRIBUTE_TOP]; // named ones, best first
    uint32_t n_top;
    struct attribute_candidate unknown;
    struct attribute_item items[ATTRIBUTE_VALUES_MAX];
    uint32_t n_items, left_out;
    uint32_t
        without[ATTRIBUTE_CLASSES]; // who leads with that class left out; INTEL_NONE: nobody known
    bool named;                     // else it abstains
    bool moderate;                  // more than low confidence
    char reason[160];               // why it abstains, or why the confidence is low
    double *scores; // by adversary, nats, prior included; -INFINITY: not in the view
};

// 0 or -ENOMEM. Free with attribute_done.
int attribute_score(struct intel *k, struct intel_value *const *values, size_t n,
                    const struct attribute_view *view, struct attribute_result *ret);
void attribute_done(struct attribute_result *r);
const char *attribute_class_name(enum attribute_class c);
const char *attribute_words(double probability); // ICD 203: "very likely"

struct attribute_bench {
    uint32_t n, top1, top3, named, named_right;
    uint32_t frequency1, jaccard1;     // top-1 of the baselines
    uint32_t held_out, held_out_named; // the right one taken away, and then a name given
    uint32_t half_n[2], half_top1[2];  // cases with an even and an odd place
    double brier, ece, log_score;
    double top1_low, top1_high;     // 95 %, bootstrap over cases
    double paired_low, paired_high; // top-1 over Jaccard
};
// Every case of k with an actor, from number `first` on. What comes from it or from a case that shares a reference with it
// is not counted as known meanwhile.
int attribute_bench(struct intel *k, uint32_t first, struct attribute_bench *ret);
