// SPDX-License-Identifier: Apache-2.0
// Any text as a condition over a few selections: refused, or evaluated alike with and without the candidate index.
#include "rule/rule.h"

#include "base/buf.h"

#include <stdlib.h>

// Bit i of *context: is selection i true?
static struct rule_value get(void *context, size_t field)
{
    unsigned bits = *(const unsigned *)context;
    return (struct rule_value){.type = RULE_TEXT,
                               .text = bits >> (field - 1) & 1 ? STR("yes") : STR("no")};
}

static struct rule_set *build(const uint8_t *data, size_t size, bool always)
{
    struct rule_set *set;
    struct buf b = {0};
    struct error e = {0};
    if (rule_set_new(NULL, &set) < 0)
        abort();
    buf_addf(&b, "title: t\nlogsource: {}\ndetection:\n"
                 "    a: {A: yes}\n    b1: {B: yes}\n    b2: {C: yes}\n    _c: {D: yes}\n"
                 "    nothing: {E|exists: false}\n"
                 "    condition:\n");
    // A list of conditions is an OR: a second one that no string decides switches the index off and adds nothing.
    if (always)
        buf_addf(&b, "        - nothing\n");
    buf_addf(&b, "        - \"");
    for (size_t i = 0; i < size; i++)
        buf_addf(&b, data[i] < 0x80 ? "\\x%02x" : "%c", data[i] < 0x80 ? data[i] : '.');
    buf_addf(&b, "\"\n");
    int r = rule_set_add(set, buf_str(&b), "fuzz.yml", &e);
    buf_done(&b);
    if (r == 0 && rule_set_compile(set, &e) == 0)
        return set;
    return rule_set_free(set);
}

static bool holds(struct rule_set *set, struct rule_scratch *scratch, unsigned bits)
{
    struct rule_record record = {get, NULL, &bits};
    struct arena arena = {0};
    const struct rule_match *matches;
    size_t n;
    if (rule_match(set, scratch, rule_set_route(set, STR_NONE, STR_NONE, STR_NONE), &record, &arena,
                   &matches, &n, NULL) < 0)
        abort();
    arena_done(&arena);
    return n == 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1024)
        return 0;
    struct rule_set *indexed = build(data, size, false), *plain = build(data, size, true);
    if (!indexed != !plain)
        abort();
    if (!indexed)
        return 0;
    struct rule_scratch *one, *two;
    if (rule_scratch_new(indexed, &one) < 0 || rule_scratch_new(plain, &two) < 0)
        abort();
    for (unsigned bits = 0; bits < 16; bits++)
        if (holds(indexed, one, bits) != holds(plain, two, bits))
            abort();
    rule_scratch_free(one);
    rule_scratch_free(two);
    rule_set_free(indexed);
    rule_set_free(plain);
    return 0;
}
