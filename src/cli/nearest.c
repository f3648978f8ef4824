// SPDX-License-Identifier: Apache-2.0
#include "cli/nearest.h"

#include <ctype.h>

#define WORD_MAX 32

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned nearest_distance(struct str a, struct str b)
{
    unsigned row[3][WORD_MAX + 1] = {0};
    if (a.n > WORD_MAX || b.n > WORD_MAX)
        return UINT32_MAX;
    unsigned *before = row[0], *above = row[1], *now = row[2];
    for (unsigned j = 0; j <= b.n; j++)
        above[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        now[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            int x = tolower((unsigned char)a.p[i - 1]), y = tolower((unsigned char)b.p[j - 1]);
            now[j] = least(least(above[j], now[j - 1]) + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == tolower((unsigned char)b.p[j - 2]) &&
                y == tolower((unsigned char)a.p[i - 2]))
                now[j] = least(now[j], before[j - 2] + 1);
        }
        unsigned *reuse = before;
        before = above;
        above = now;
        now = reuse;
    }
    return above[b.n];
}

bool nearest_offers(struct str typed, struct str candidate, unsigned *ret_distance)
{
    unsigned limit = candidate.n >= 6 ? (unsigned)candidate.n / 3 : 1;
    unsigned distance = nearest_distance(typed, candidate);
    if (typed.n >= 2 && str_starts(candidate, typed))
        distance = 1;
    if (candidate.n < 2 || distance > limit)
        return false;
    *ret_distance = distance;
    return true;
}
