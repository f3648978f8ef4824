// SPDX-License-Identifier: Apache-2.0
#include "rule/regex.h"

#include "rule/set.h"

#include <errno.h>

// PCRE2 counts its match limit anew for each start position, so the limit is the budget divided by the positions: one
// value costs at most some 20 ms.
#define BUDGET 10000000u
#define LIMIT_MOST 1000000u
#define LIMIT_LEAST 32u
#define JIT_STACK_MAX ((size_t)256 << 10)
#define NESTING_MAX 100

static uint32_t options_of(unsigned flags)
{
    uint32_t options = PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C;
    options |= flags & RULE_FLAG_NOCASE ? PCRE2_CASELESS : 0;
    options |= flags & RULE_FLAG_MULTILINE ? PCRE2_MULTILINE : 0;
    options |= flags & RULE_FLAG_DOTALL ? PCRE2_DOTALL : 0;
    return options;
}

static pcre2_code *compile(struct str expression, unsigned flags, int *ret_code, size_t *ret_offset)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context) {
        *ret_code = PCRE2_ERROR_NOMEMORY;
        return NULL;
    }
    pcre2_set_parens_nest_limit(context, NESTING_MAX);
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)(expression.p ? expression.p : ""), expression.n,
                                     options_of(flags), ret_code, ret_offset, context);
    pcre2_compile_context_free(context);
    return code;
}

int rule_regex_check(struct str expression, unsigned flags, char *ret_message, size_t size,
                     size_t *ret_offset)
{
    int code;
    pcre2_code *compiled = compile(expression, flags, &code, ret_offset);
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
    pcre2_code *compiled = compile(expression, flags, &code, &offset);
    if (!compiled)
        return code == PCRE2_ERROR_NOMEMORY ? -ENOMEM : -EINVAL;
    // Where executable memory is refused the interpreter serves, with the same limits.
    pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
    *ret = compiled;
    return 0;
}

int rule_regex_scratch_init(struct rule_regex_scratch *s)
{
    s->data = pcre2_match_data_create(1, NULL);
    s->context = pcre2_match_context_create(NULL);
    s->stack = pcre2_jit_stack_create((size_t)32 << 10, JIT_STACK_MAX, NULL);
    if (!s->data || !s->context || !s->stack) {
        rule_regex_scratch_done(s);
        return -ENOMEM;
    }
    pcre2_jit_stack_assign(s->context, NULL, s->stack);
    pcre2_set_heap_limit(s->context, 256); // KiB, of the interpreter
    return 0;
}

void rule_regex_scratch_done(struct rule_regex_scratch *s)
{
    pcre2_jit_stack_free(s->stack);
    pcre2_match_context_free(s->context);
    pcre2_match_data_free(s->data);
    *s = (struct rule_regex_scratch){0};
}

int rule_regex_match(const pcre2_code *code, const struct rule_regex_scratch *s, struct str text)
{
    size_t limit = BUDGET / (text.n + 1);
    limit = limit > LIMIT_MOST ? LIMIT_MOST : limit < LIMIT_LEAST ? LIMIT_LEAST : limit;
    pcre2_set_match_limit(s->context, (uint32_t)limit);
    int r =
        pcre2_match(code, (PCRE2_SPTR)(text.p ? text.p : ""), text.n, 0, 0, s->data, s->context);
    if (r >= 0)
        return 1;
    return r == PCRE2_ERROR_NOMATCH ? 0 : -ELOOP;
}
