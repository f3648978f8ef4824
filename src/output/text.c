// SPDX-License-Identifier: Apache-2.0
#include "event/leaf.h"
#include "output/output.h"
#include <stdio.h>

static const char *const levels[] = {"", "informational", "low", "medium", "high", "critical"};

unsigned output_severity(struct str level)
{
    for (unsigned i = 1; i < sizeof levels / sizeof *levels; i++)
        if (str_eq(level, str_from(levels[i])))
            return i;
    return 0;
}

struct str output_text(struct str bytes, struct arena *arena)
{
    static const char cut[] = "...", bad[] = "\xef\xbf\xbd";
    char *p = arena_alloc(arena, OUTPUT_VALUE_MAX + sizeof cut);
    size_t n = 0;
    if (!p)
        return STR_NONE;
    while (bytes.n) {
        uint32_t code;
        size_t one = leaf_utf8(bytes, &code);
        bool good = one && code;
        size_t room = good ? one : 3;
        if (n + room > OUTPUT_VALUE_MAX) {
            memcpy(p + n, cut, 3);
            n += 3;
            break;
        }
        memcpy(p + n, good ? bytes.p : bad, room);
        n += room;
        bytes = str_bytes(bytes.p + (one ? one : 1), bytes.n - (one ? one : 1));
    }
    return str_bytes(p, n);
}

// A header field: 1 to `max` printable ASCII bytes, or "-".
static void add_word(struct str s, size_t max, struct buf *to)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n && n < max; i++)
        if (s.p[i] > ' ' && s.p[i] < 127) {
            buf_add_char(to, s.p[i]);
            n++;
        }
    if (n == 0)
        buf_add_char(to, '-');
}

void output_syslog(unsigned severity, uint64_t time_ns, struct str name, struct str id,
                   struct str message, struct buf *to)
{
    static const unsigned by_severity[] = {5, 6, 5, 4, 3, 2}; // notice, info, notice, warning ...
    char time[LEAF_TEXT_MAX];
    size_t n = leaf_print_time(time_ns, time);
    buf_addf(to, "<%u>1 ", 10 * 8 + by_severity[severity < 6 ? severity : 0]);
    // at most six digits of a second
    if (n == 30)
        memcpy(time + 26, "Z", 1), n = 27;
    buf_add(to, time, n);
    buf_add_char(to, ' ');
    add_word(name, 255, to);
    buf_add_str(to, STR(" tiercel - "));
    add_word(id, 32, to);
    buf_add_str(to, STR(" - "));
    buf_add_str(to, message);
}
