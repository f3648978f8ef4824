// SPDX-License-Identifier: Apache-2.0
// How far each attempt came: tactics in ATT&CK's order, and the outcome from what was stopped, read, sent and not seen.
// A count never takes back what is proven: unknown is said only where nothing worse was seen.
#include "attempt/private.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#define WINDOW_AFTER_NS (5ull * 1000000000u) // losses are told for seconds

static const char *const tactics[] = {"reconnaissance",  "resource development",
                                      "initial access",  "execution",
                                      "persistence",     "privilege escalation",
                                      "defense evasion", "credential access",
                                      "discovery",       "lateral movement",
                                      "collection",      "command and control",
                                      "exfiltration",    "impact"};
enum { COLLECTION = 10, EXFILTRATION = 12 };

const char *attempt_tactic(int tactic)
{
    return tactic >= 0 && (size_t)tactic < sizeof tactics / sizeof *tactics ? tactics[tactic]
                                                                            : "none";
}

const char *attempt_outcome_words(enum attempt_outcome outcome)
{
    static const char *const words[] = {
        [ATTEMPT_STOPPED_BEFORE] = "stopped before execution",
        [ATTEMPT_STOPPED_AFTER] = "stopped after it began",
        [ATTEMPT_NOT_STOPPED] = "not stopped",
        [ATTEMPT_UNKNOWN] = "unknown",
        [ATTEMPT_READ] = "protected data read",
        [ATTEMPT_LEFT] = "data left",
    };
    return words[outcome];
}

// "attack.lateral-movement", also with "_".
uint32_t tactics_of(const Tiercel__Detection *d)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < d->n_tags; i++) {
        struct str tag = str_from(d->tags[i]);
        if (!str_starts(tag, STR("attack.")))
            continue;
        for (size_t k = 0; k < sizeof tactics / sizeof *tactics; k++) {
            bool same = strlen(tactics[k]) == tag.n - 7;
            for (size_t c = 0; same && c < tag.n - 7; c++) {
                char x = tag.p[7 + c];
                same = tactics[k][c] == (x == '-' || x == '_' ? ' ' : (char)tolower(x));
            }
            bits |= same ? 1u << k : 0;
        }
    }
    return bits;
}

static int furthest(uint32_t bits)
{
    return bits ? 31 - __builtin_clz(bits) : -1;
}

// What became of each lineage, from all its detections.
static void note_stops(struct attempts *a)
{
    for (size_t i = 0; i < a->n_nodes; i++) {
        a->nodes[i].stopped_last = 0;
        a->nodes[i].stopped_before = true;
    }
    for (size_t i = 0; i < a->n_detections; i++) {
        const struct attempt_detection *d = &a->detections[i];
        struct attempt_node *n = &a->nodes[d->node];
        if (!d->stopped)
            continue;
        n->stopped_last = d->stopped_at > n->stopped_last ? d->stopped_at : n->stopped_last;
        n->stopped_before = n->stopped_before && d->before;
    }
}

static enum attempt_outcome stopped(const struct attempt_node *n)
{
    if (!n->stopped_last || n->acted > n->stopped_last)
        return ATTEMPT_NOT_STOPPED;
    return n->stopped_before && !n->acted ? ATTEMPT_STOPPED_BEFORE : ATTEMPT_STOPPED_AFTER;
}

// ---- what was not seen

struct sight {
    uint8_t what; // BLIND_*
    uint64_t lost;
    bool untold; // no coverage is known
};

static void look(struct attempts *a, const struct attempt_node *n, struct sight *s)
{
    uint64_t from = n->seen_from, to = n->seen_to + WINDOW_AFTER_NS, told = 0;
    uint8_t then = 0;
    bool known = false;
    for (size_t i = 0; i < a->n_blinds; i++) {
        struct blind *b = &a->blinds[i];
        if (memcmp(b->host, n->host, 16) != 0 || b->from > to)
            continue;
        if (!b->coverage && b->to >= from) {
            s->what |= b->what;
            s->lost += b->counted == n->attempt + 1 ? 0 : b->count; // once an attempt
            b->counted = n->attempt + 1;
        } else if (b->coverage && b->from > from) {
            s->what |= b->what;
            known = true;
        } else if (b->coverage && b->from >= told) { // what was said last before it
            then = b->from == told ? (uint8_t)(then | b->what) : b->what;
            told = b->from;
            known = true;
        }
    }
    s->what |= then;
    s->untold = s->untold || !known;
}

static void tell(const struct sight *s, char *ret, size_t size)
{
    size_t n = 0;
    if (s->untold) {
        snprintf(ret, size, "what this host could see is not in the data");
        return;
    }
    static const char *const words[] = {"programs", "reads of protected data", "bytes sent"};
    for (size_t i = 0; i < 3; i++)
        if (s->what >> i & 1)
            n += (size_t)snprintf(ret + n, size - n, "%s%s",
                                  n ? ", " : "not all was seen of: ", words[i]);
    if (n && s->lost)
        snprintf(ret + n, size - n, " (%llu records lost)", (unsigned long long)s->lost);
}

static void decide(struct attempts *a, struct attempt *one)
{
    uint64_t first_read = UINT64_MAX;
    struct sight s = {0};
    bool left = false;
    one->outcome = ATTEMPT_STOPPED_BEFORE;
    for (size_t i = 0; i < one->n_nodes; i++) {
        const struct attempt_node *n = &a->nodes[one->nodes[i]];
        enum attempt_outcome o = stopped(n);
        const struct attempt_evidence_list *reads = &n->evidence[ATTEMPT_READS];
        one->outcome = o > one->outcome ? o : one->outcome;
        one->reads += reads->count;
        one->ran += n->evidence[ATTEMPT_RAN].count;
        one->sent += n->sent;
        left = left || n->sent_much;
        if (reads->n && reads->all[0].time < first_read)
            first_read = reads->all[0].time;
        look(a, n, &s);
    }
    for (size_t i = 0; i < one->n_nodes; i++)
        left = left || (first_read != UINT64_MAX && a->nodes[one->nodes[i]].sent_last > first_read);
    one->stopped = one->outcome;
    uint8_t matters = one->outcome == ATTEMPT_STOPPED_BEFORE ? BLIND_PROGRAMS : BLIND_ALL;
    if (s.untold || s.what & matters) {
        tell(&s, one->blind, sizeof one->blind);
        one->outcome = ATTEMPT_UNKNOWN;
    }
    if (one->reads)
        one->outcome = ATTEMPT_READ;
    if (left)
        one->outcome = ATTEMPT_LEFT;
}

static int by_host(const void *p, const void *q)
{
    return memcmp(*(const uint8_t *const *)p, *(const uint8_t *const *)q, 16);
}

static int count_hosts(const struct attempts *a, struct attempt *one)
{
    const uint8_t **hosts = calloc(one->n_nodes, sizeof *hosts);
    if (!hosts)
        return -ENOMEM;
    for (size_t i = 0; i < one->n_nodes; i++)
        hosts[i] = a->nodes[one->nodes[i]].host;
    qsort(hosts, one->n_nodes, sizeof *hosts, by_host);
    for (size_t i = 0; i < one->n_nodes; i++)
        one->n_hosts += i == 0 || memcmp(hosts[i - 1], hosts[i], 16) != 0;
    free(hosts);
    return 0;
}

int outcomes(struct attempts *a)
{
    note_stops(a);
    for (size_t i = 0; i < a->n_all; i++) {
        struct attempt *one = &a->all[i];
        uint32_t tried = 0, reached = 0;
        decide(a, one);
        if (count_hosts(a, one) < 0)
            return -ENOMEM;
        for (size_t k = 0; k < one->n_detections; k++) {
            const struct attempt_detection *d = &a->detections[one->detections[k]];
            tried |= d->tactics;
            reached |= d->stopped && d->before ? 0 : d->tactics;
        }
        reached |= one->reads ? 1u << COLLECTION : 0;
        reached |= one->outcome == ATTEMPT_LEFT ? 1u << EXFILTRATION : 0;
        one->tried = furthest(tried | reached);
        one->reached = furthest(reached);
    }
    return 0;
}
