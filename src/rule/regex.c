// SPDX-License-Identifier: Apache-2.0
#include "rule/regex.h"

#include "rule/set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

// Work for one value: every step of a pattern calls back (auto callout) and costs one, and the bytes by which the
// position moved; where there are back-references also what comparing them may cost.
#define COMPARED_BYTES 16 // per unit of work
#define HEAP_MAX 1024     // KiB of backtracking, kept from match to match
#define NESTING_MAX 100

static uint32_t options_of(unsigned flags)
{
    uint32_t options = PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C;
    options |= flags & RULE_FLAG_NOCASE ? PCRE2_CASELESS : 0;
    options |= flags & RULE_FLAG_MULTILINE ? PCRE2_MULTILINE : 0;
    options |= flags & RULE_FLAG_DOTALL ? PCRE2_DOTALL : 0;
    return options;
}

static pcre2_code *compile(struct str expression, uint32_t options, int *ret_code,
                           size_t *ret_offset)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context) {
        *ret_code = PCRE2_ERROR_NOMEMORY;
        return NULL;
    }
    pcre2_set_parens_nest_limit(context, NESTING_MAX);
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)(expression.p ? expression.p : ""), expression.n,
                                     options, ret_code, ret_offset, context);
    pcre2_compile_context_free(context);
    return code;
}

int rule_regex_check(struct str expression, unsigned flags, char *ret_message, size_t size,
                     size_t *ret_offset)
{
    int code;
    const char *nul = expression.n ? memchr(expression.p, 0, expression.n) : NULL;
    if (nul) { // vectorscan takes C strings
        snprintf(ret_message, size, "a NUL character, write it as \\x00");
        *ret_offset = (size_t)(nul - expression.p);
        return -EINVAL;
    }
    pcre2_code *compiled = compile(expression, options_of(flags), &code, ret_offset);
    if (compiled) {
        pcre2_code_free(compiled);
        return 0;
    }
    pcre2_get_error_message(code, (PCRE2_UCHAR *)ret_message, size);
    return code == PCRE2_ERROR_NOMEMORY ? -ENOMEM : -EINVAL;
}

int rule_regex_compile(struct str expression, unsigned flags, pcre2_code **ret)
{
    int code;
    size_t offset;
    pcre2_code *compiled =
        compile(expression, options_of(flags) | PCRE2_AUTO_CALLOUT, &code, &offset);
    if (!compiled)
        return code == PCRE2_ERROR_NOMEMORY ? -ENOMEM : -EINVAL;
    *ret = compiled;
    return 0;
}

struct rule_regex_scratch {
    pcre2_match_data *data;
    pcre2_match_context *context;
    size_t work, budget, position; // of the match at hand
    bool compares;                 // the pattern has back-references
};

static int on_step(pcre2_callout_block *block, void *context)
{
    struct rule_regex_scratch *s = context;
    size_t at = block->current_position;
    s->work += 1 + (at > s->position ? at - s->position : s->position - at);
    if (s->compares)
        s->work += (block->subject_length - at) / COMPARED_BYTES;
    s->position = at;
    return s->work > s->budget ? PCRE2_ERROR_MATCHLIMIT : 0;
}

int rule_regex_scratch_new(struct rule_regex_scratch **ret)
{
    struct rule_regex_scratch *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->data = pcre2_match_data_create(1, NULL);
    s->context = pcre2_match_context_create(NULL);
    if (!s->data || !s->context) {
        rule_regex_scratch_free(s);
        return -ENOMEM;
    }
    pcre2_set_heap_limit(s->context, HEAP_MAX);
    pcre2_set_callout(s->context, on_step, s);
    *ret = s;
    return 0;
}

void rule_regex_scratch_free(struct rule_regex_scratch *s)
{
    if (!s)
        return;
    pcre2_match_context_free(s->context);
    pcre2_match_data_free(s->data);
    free(s);
}

int rule_regex_match(const pcre2_code *code, struct rule_regex_scratch *s, struct str text,
                     size_t budget)
{
    uint32_t references = 0;
    pcre2_pattern_info(code, PCRE2_INFO_BACKREFMAX, &references);
    s->work = s->position = 0;
    s->budget = budget;
    s->compares = references > 0;
    int r =
        pcre2_match(code, (PCRE2_SPTR)(text.p ? text.p : ""), text.n, 0, 0, s->data, s->context);
    if (r >= 0)
        return 1;
    return r == PCRE2_ERROR_NOMATCH ? 0 : -ELOOP;
}
