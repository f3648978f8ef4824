// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "rule/index.h"
#include "rule/leaf.h"
#include "rule/matcher.h"
#include "rule/memo.h"

#include <errno.h>

#define HITS_MAX 64
#define IDENTIFIERS_MAX 64
#define FIRST_BUDGET 100000u // about 1 ms: what vectorscan can do is left to it then

// What is known of one field in the record at hand.
struct seen {
    uint64_t fetched, scanned; // the record for which that was done, by its number
    struct rule_value value;
    char digits[24];
    uint64_t *bits;  // slots that may be true, and behind them
    uint64_t *sure;  // those of them that are
    uint64_t *ready; // slots whose own database the scratch has room for
    uint32_t *where; // of each slot reported: which text of the field
    size_t words;
    uint64_t *kept;         // the memo's bits and sure ones of this text, or NULL
    struct rule_memo *memo; // of a field with a database
};

struct rule_scratch {
    hs_scratch_t *hs;
    struct rule_regex_scratch *regex;
    struct seen *seen; // per field
    size_t n_fields;
    uint64_t number; // of the record at hand, from 1
    uint64_t *candidates;
    void *memory; // of all bits and places
};

struct match {
    const struct rule_set *set;
    struct rule_scratch *scratch;
    const struct rule_record *record;
    struct arena *arena;
    unsigned limits;
    bool
        failed; // a scan did not run to its end: nothing may be concluded from what it did not report
};

// One text on its way through the databases.
struct scan {
    const struct rule_matcher *matcher;
    uint64_t *bits, *sure;
};

static bool room_for(struct rule_scratch *s, const hs_database_t *db)
{
    return !db || hs_alloc_scratch(db, &s->hs) == HS_SUCCESS;
}

int rule_scratch_new(const struct rule_set *set, struct rule_scratch **ret)
{
    struct rule_scratch *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    size_t bytes = 0;
    for (size_t f = 0; f < set->n_fields; f++)
        if (set->matchers[f])
            bytes += 3 * (set->matchers[f]->n / 64 + 1) * 8 + (set->matchers[f]->n + 2) / 2 * 8;
    s->n_fields = set->n_fields;
    s->seen = calloc(set->n_fields, sizeof *s->seen);
    s->candidates = calloc(set->index->words, sizeof *s->candidates);
    s->memory = calloc(1, bytes + 8);
    int r = s->seen && s->candidates && s->memory ? rule_regex_scratch_new(&s->regex) : -ENOMEM;
    char *memory = s->memory;
    for (size_t f = 0; r == 0 && f < set->n_fields; f++) {
        const struct rule_matcher *m = set->matchers[f];
        if (!m)
            continue;
        s->seen[f].words = m->n / 64 + 1;
        s->seen[f].bits = (uint64_t *)(void *)memory;
        s->seen[f].sure = s->seen[f].bits + s->seen[f].words;
        s->seen[f].ready = s->seen[f].sure + s->seen[f].words;
        memory += 3 * s->seen[f].words * 8;
        s->seen[f].where = (uint32_t *)(void *)memory;
        memory += (m->n + 2) / 2 * 8;
        if (!room_for(s, m->db) ||
            (m->literals && !room_for(s, rule_literals_database(m->literals))))
            r = -ENOMEM;
        if (r == 0)
            r = rule_memo_new(2 * s->seen[f].words, &s->seen[f].memo);
    }
    if (r < 0) {
        rule_scratch_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

struct rule_scratch *rule_scratch_free(struct rule_scratch *s)
{
    if (!s)
        return NULL;
    hs_free_scratch(s->hs);
    rule_regex_scratch_free(s->regex);
    for (size_t f = 0; s->seen && f < s->n_fields; f++)
        rule_memo_free(s->seen[f].memo);
    free(s->seen);
    free(s->candidates);
    free(s->memory);
    free(s);
    return NULL;
}

static struct seen *fetch(struct match *m, unsigned field)
{
    struct seen *seen = &m->scratch->seen[field];
    if (seen->fetched == m->scratch->number)
        return seen;
    seen->fetched = m->scratch->number;
    if (field == RULE_FIELD_KEYWORDS) {
        seen->value = (struct rule_value){.type = m->record->each ? RULE_LIST : RULE_ABSENT};
        return seen;
    }
    seen->value = m->record->get(m->record->context, field);
    if (seen->value.type == RULE_NUMBER && !seen->value.text.p) {
        int n = snprintf(seen->digits, sizeof seen->digits, "%lld", (long long)seen->value.number);
        seen->value.text = (struct str){seen->digits, (size_t)n};
    }
    return seen;
}

// The texts of a field one after another; for keywords those of the whole record.
static bool next_text(struct match *m, unsigned field, const struct seen *seen, size_t *position,
                      struct str *ret)
{
    if (field == RULE_FIELD_KEYWORDS)
        return m->record->each && m->record->each(m->record->context, position, ret);
    const struct rule_value *v = &seen->value;
    bool list = v->type == RULE_LIST;
    if (v->type == RULE_ABSENT || *position >= (list ? v->n : 1))
        return false;
    *ret = list ? v->list[*position] : v->text;
    ++*position;
    return true;
}

static void on_literal(void *context, uint32_t slot, bool sure)
{
    const struct scan *s = context;
    uint64_t bit = (uint64_t)1 << slot % 64;
    s->bits[slot / 64] |= bit;
    s->sure[slot / 64] |= sure ? bit : 0;
}

static int on_report(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                     void *context)
{
    (void)from, (void)to, (void)flags;
    const struct scan *s = context;
    on_literal(context, id, s->matcher->how[id] == RULE_BY_DATABASE);
    return 0;
}

static bool scan_database(struct match *m, const hs_database_t *db, struct str text,
                          match_event_handler handler, void *context)
{
    if (text.n <= UINT32_MAX && hs_scan(db, text.p ? text.p : "", (unsigned)text.n, 0,
                                        m->scratch->hs, handler, context) == HS_SUCCESS)
        return true;
    m->failed = true;
    return false;
}

// The slots that may be true of this text and behind them those that are; as they were found before, where it is known.
static const uint64_t *scan_text(struct match *m, const struct rule_matcher *matcher,
                                 const struct seen *seen, struct str text)
{
    const uint64_t *known = rule_memo_find(seen->memo, text);
    if (known)
        return known;
    uint64_t *bits = rule_memo_place(seen->memo, text);
    struct scan s = {matcher, bits, bits + seen->words};
    if (matcher->literals &&
        rule_literals_scan(matcher->literals, m->scratch->hs, text, on_literal, &s) < 0)
        m->failed = true;
    if (matcher->db)
        scan_database(m, matcher->db, text, on_report, &s);
    if (m->failed)
        rule_memo_forget(seen->memo, text);
    return bits;
}

// What was found in one text of a field is said of the field.
static void take_over(struct match *m, const struct rule_matcher *matcher, struct seen *seen,
                      uint32_t text, const uint64_t *found)
{
    uint64_t *candidates = m->scratch->candidates;
    for (size_t w = 0; w < seen->words; w++) {
        uint64_t sure = found[seen->words + w];
        uint64_t fresh = (found[w] & ~seen->bits[w]) | (sure & ~seen->sure[w]);
        seen->bits[w] |= found[w];
        seen->sure[w] |= sure;
        for (; fresh; fresh &= fresh - 1) {
            size_t slot = w * 64 + (size_t)__builtin_ctzll(fresh);
            seen->where[slot] = text;
            for (uint32_t i = matcher->watch_from[slot]; i < matcher->watch_from[slot + 1]; i++)
                candidates[matcher->watch[i] / 64] |= (uint64_t)1 << matcher->watch[i] % 64;
        }
    }
}

static struct seen *scan(struct match *m, unsigned field)
{
    struct seen *seen = fetch(m, field);
    if (seen->scanned == m->scratch->number)
        return seen;
    seen->scanned = m->scratch->number;
    const struct rule_matcher *matcher = m->set->matchers[field];
    if (!matcher)
        return seen;
    memset(seen->bits, 0, 2 * seen->words * sizeof *seen->bits);
    if (!matcher->db && !matcher->literals)
        return seen;
    struct str text;
    uint32_t i = 0;
    for (size_t position = 0; next_text(m, field, seen, &position, &text); i++)
        take_over(m, matcher, seen, i, scan_text(m, matcher, seen, text));
    return seen;
}

static int on_found(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                    void *context)
{
    (void)id, (void)from, (void)to, (void)flags;
    *(bool *)context = true;
    return 0;
}

static int ask_database(struct match *m, struct seen *seen, uint32_t slot, const hs_database_t *db,
                        struct str text)
{
    bool found = false;
    uint64_t bit = (uint64_t)1 << slot % 64;
    if (!(seen->ready[slot / 64] & bit) && !room_for(m->scratch, db)) {
        m->failed = true;
        return -ENOMEM;
    }
    seen->ready[slot / 64] |= bit;
    return scan_database(m, db, text, on_found, &found) ? found : -EIO;
}

// Asks the expression itself. 1 found, 0 not, -ELOOP: the budget ended first; other: no answer.
static int ask(struct match *m, unsigned field, struct seen *seen, uint32_t slot, struct str text)
{
    struct rule_matcher *matcher = m->set->matchers[field];
    const pcre2_code *code = matcher->code[slot];
    bool literal = matcher->how[slot] == RULE_BY_LITERAL;
    const hs_database_t *db = literal ? rule_matcher_known(matcher, slot) : NULL;
    if (!db && literal) {
        int r = rule_regex_match(code, m->scratch->regex, text, FIRST_BUDGET);
        if (r != -ELOOP)
            return r;
        db = rule_matcher_own(matcher, slot);
    }
    return db ? ask_database(m, seen, slot, db, text)
              : rule_regex_match(code, m->scratch->regex, text, RULE_REGEX_BUDGET);
}

static void mark(uint64_t *bits, size_t words, uint32_t slot, bool found)
{
    uint64_t bit = (uint64_t)1 << slot % 64;
    if (found)
        bits[words + slot / 64] |= bit;
    else
        bits[slot / 64] &= ~bit;
}

// Asks, unless the answer for this text is known, and remembers it while the memo has the text.
static int ask_once(struct match *m, const struct rule_leaf *leaf, struct seen *seen,
                    struct str text)
{
    bool reported = m->set->matchers[leaf->field]->how[leaf->slot] != RULE_BY_REGEX;
    uint64_t *known = reported ? rule_memo_find(seen->memo, text) : NULL;
    uint64_t bit = (uint64_t)1 << leaf->slot % 64;
    if (known && known[seen->words + leaf->slot / 64] & bit)
        return 1;
    if (known && !(known[leaf->slot / 64] & bit))
        return 0;
    int r = ask(m, leaf->field, seen, leaf->slot, text);
    if (known && r >= 0)
        mark(known, seen->words, leaf->slot, r);
    return r;
}

static bool by_expression(struct match *m, const struct rule_leaf *leaf, struct seen *seen)
{
    struct str text;
    uint32_t i = 0;
    bool answered = true;
    for (size_t position = 0; next_text(m, leaf->field, seen, &position, &text); i++) {
        int r = ask_once(m, leaf, seen, text);
        m->limits += r == -ELOOP;
        answered = answered && r >= 0;
        if (r > 0) {
            seen->where[leaf->slot] = i;
            mark(seen->bits, seen->words, leaf->slot, true);
            return true;
        }
    }
    if (answered)
        mark(seen->bits, seen->words, leaf->slot, false);
    return false;
}

static bool text_is_true(struct match *m, const struct rule_leaf *leaf)
{
    struct seen *seen = scan(m, leaf->field);
    uint64_t bit = (uint64_t)1 << leaf->slot % 64;
    if (seen->sure[leaf->slot / 64] & bit)
        return true;
    bool reported = seen->bits[leaf->slot / 64] & bit;
    if (!reported && m->set->matchers[leaf->field]->how[leaf->slot] != RULE_BY_REGEX)
        return false;
    return by_expression(m, leaf, seen);
}

static bool one_is_true(const struct rule_leaf *leaf, const struct rule_value *value,
                        struct str text)
{
    int64_t number;
    bool is_number = value->type == RULE_NUMBER;
    switch (leaf->kind) {
    case RULE_LEAF_CIDR:
        return rule_leaf_cidr(leaf, text);
    case RULE_LEAF_COMPARE:
        if (!is_number && str_to_i64(text, &number) < 0)
            return false;
        return rule_leaf_compare(leaf, is_number ? value->number : number);
    case RULE_LEAF_TIME:
        return is_number ? rule_leaf_time_number(leaf, value->number)
                         : rule_leaf_time_text(leaf, text);
    default:
        return false;
    }
}

static bool fields_are_true(struct match *m, const struct rule_leaf *leaf)
{
    const struct seen *a = fetch(m, leaf->field), *b = fetch(m, leaf->other);
    struct str text, other;
    for (size_t i = 0; next_text(m, leaf->field, a, &i, &text);)
        for (size_t j = 0; next_text(m, leaf->other, b, &j, &other);)
            if (rule_leaf_field(leaf, text, other))
                return true;
    return false;
}

static bool leaf_is_true(struct match *m, const struct rule_leaf *leaf)
{
    if (leaf->kind == RULE_LEAF_TEXT)
        return text_is_true(m, leaf);
    if (leaf->kind == RULE_LEAF_FIELD)
        return fields_are_true(m, leaf);
    const struct seen *seen = fetch(m, leaf->field);
    if (leaf->kind == RULE_LEAF_NULL)
        return seen->value.type == RULE_ABSENT;
    if (leaf->kind == RULE_LEAF_EXISTS)
        return seen->value.type != RULE_ABSENT;
    struct str text;
    for (size_t i = 0; next_text(m, leaf->field, seen, &i, &text);)
        if (one_is_true(leaf, &seen->value, text))
            return true;
    return false;
}

static bool is_true(struct match *m, const struct rule_expr *e)
{
    switch (e->op) {
    case RULE_OP_LEAF:
        return leaf_is_true(m, e->leaf);
    case RULE_OP_NOT:
        return !is_true(m, e->child[0]);
    case RULE_OP_NAME:
        return is_true(m, e->child[0]);
    case RULE_OP_AND:
        for (uint32_t i = 0; i < e->n; i++)
            if (!is_true(m, e->child[i]))
                return false;
        return true;
    case RULE_OP_OR:
        for (uint32_t i = 0; i < e->n; i++)
            if (is_true(m, e->child[i]))
                return true;
        return false;
    }
    return false;
}

struct told {
    struct rule_hit hits[HITS_MAX];
    struct str identifiers[IDENTIFIERS_MAX];
    size_t n_hits, n_identifiers;
};

// `found`: the leaf is true, so that it is known which of several texts it was.
static struct str value_of(struct match *m, const struct rule_leaf *leaf, bool found)
{
    const struct seen *seen = fetch(m, leaf->field);
    bool listed = leaf->field == RULE_FIELD_KEYWORDS || seen->value.type == RULE_LIST;
    uint32_t which = leaf->kind == RULE_LEAF_TEXT && found ? seen->where[leaf->slot] : 0;
    struct str text = STR_NONE;
    size_t position = 0;
    for (uint32_t i = 0; listed && i <= which; i++)
        if (!next_text(m, leaf->field, seen, &position, &text))
            return STR_NONE;
    if (!listed)
        text = seen->value.text;
    // Digits live in the scratch and are overwritten by the next record.
    return text.p == seen->digits ? arena_str(m->arena, text) : text;
}

static void tell_leaf(struct match *m, const struct rule_leaf *leaf, bool found, struct told *told)
{
    for (size_t i = 0; i < told->n_hits; i++)
        if (told->hits[i].pattern.p == leaf->source.p)
            return;
    if (told->n_hits < HITS_MAX)
        told->hits[told->n_hits++] = (struct rule_hit){.field = m->set->fields[leaf->field],
                                                       .value = value_of(m, leaf, found),
                                                       .pattern = leaf->source,
                                                       .line = leaf->line};
}

// What made an expression true that is true. A negation is told only where it is a neq.
static void tell(struct match *m, const struct rule_expr *e, struct told *told)
{
    if (e->op == RULE_OP_LEAF) {
        tell_leaf(m, e->leaf, true, told);
        return;
    }
    if (e->op == RULE_OP_NOT) {
        if (e->leaf && fetch(m, e->leaf->field)->value.type != RULE_ABSENT)
            tell_leaf(m, e->leaf, false, told);
        return;
    }
    if (e->op == RULE_OP_NAME) {
        for (size_t i = 0; i < told->n_identifiers; i++)
            if (str_eq(told->identifiers[i], e->name))
                return;
        if (told->n_identifiers < IDENTIFIERS_MAX)
            told->identifiers[told->n_identifiers++] = e->name;
    }
    for (uint32_t i = 0; i < e->n; i++)
        if (is_true(m, e->child[i]))
            tell(m, e->child[i], told);
}

static int report(struct match *m, size_t rule, struct rule_match *ret)
{
    struct told *told = arena_new(m->arena, struct told);
    if (!told)
        return -ENOMEM;
    unsigned limits = m->limits; // telling evaluates again; the limits are counted already
    tell(m, m->set->entries[rule].root, told);
    m->limits = limits;
    *ret = (struct rule_match){.rule = &m->set->entries[rule].rule,
                               .hits = told->hits,
                               .n_hits = told->n_hits,
                               .identifiers = told->identifiers,
                               .n_identifiers = told->n_identifiers};
    return 0;
}

static int evaluate(struct match *m, const struct rule_route *route, struct rule_match **ret,
                    size_t *ret_n)
{
    const uint64_t *candidates = m->scratch->candidates;
    struct rule_match *list = NULL;
    size_t n = 0, cap = 0;
    for (size_t w = 0; w < m->set->index->words; w++) {
        uint64_t open = (candidates[w] & route->rules[w]) | route->always[w];
        for (; open; open &= open - 1) {
            size_t i = w * 64 + (size_t)__builtin_ctzll(open);
            if (!is_true(m, m->set->entries[i].root))
                continue;
            if (n == cap) {
                cap = cap ? cap * 4 : 4;
                struct rule_match *bigger = arena_array(m->arena, struct rule_match, cap);
                if (!bigger)
                    return -ENOMEM;
                if (n)
                    memcpy(bigger, list, n * sizeof *list);
                list = bigger;
            }
            int r = report(m, i, &list[n]);
            if (r < 0)
                return r;
            n++;
        }
    }
    *ret = list;
    *ret_n = n;
    return 0;
}

int rule_match(const struct rule_set *set, struct rule_scratch *scratch, int route,
               const struct rule_record *record, struct arena *arena, const struct rule_match **ret,
               size_t *ret_n, unsigned *ret_limits)
{
    if (route < 0 || (size_t)route >= set->n_routes)
        return -EINVAL;
    struct match m = {.set = set, .scratch = scratch, .record = record, .arena = arena};
    const struct rule_route *r = &set->routes[route];
    if (!r->any) {
        *ret = NULL;
        *ret_n = 0;
        if (ret_limits)
            *ret_limits = 0;
        return 0;
    }
    memset(scratch->candidates, 0, set->index->words * sizeof *scratch->candidates);
    scratch->number++;
    for (size_t i = 0; i < r->n_eager; i++)
        scan(&m, r->eager[i]);
    struct rule_match *list;
    size_t n;
    int result = evaluate(&m, r, &list, &n);
    if (result == 0 && m.failed)
        result = -EIO;
    if (result < 0)
        return result;
    *ret = list;
    *ret_n = n;
    if (ret_limits)
        *ret_limits = m.limits;
    return 0;
}
