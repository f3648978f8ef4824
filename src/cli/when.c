// SPDX-License-Identifier: Apache-2.0
#include "cli/when.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define SECOND ((uint64_t)1000000000)
#define DAY ((uint64_t)86400)

int when_duration(struct str s, uint64_t *ret_ns)
{
    static const struct {
        char unit;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', DAY}, {'w', 7 * DAY}};
    uint64_t scale = 1, number;
    if (s.n == 0)
        return -EINVAL;
    char last = s.p[s.n - 1];
    if (last < '0' || last > '9') {
        scale = 0;
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            if (units[i].unit == last)
                scale = units[i].seconds;
        s.n--;
    }
    if (scale == 0 || s.n == 0)
        return -EINVAL;
    int r = str_to_u64(s, &number);
    if (r < 0)
        return r;
    if (number > 100 * 366 * DAY / scale)
        return -ERANGE;
    *ret_ns = number * scale * SECOND;
    return 0;
}

static int local_ns(struct tm *t, bool utc, uint64_t *ret_ns)
{
    t->tm_isdst = -1;
    struct tm given = *t;
    time_t seconds = utc ? timegm(t) : mktime(t);
    // timegm() carries over: the 31st of February would become March.
    if (seconds < 0 || given.tm_mday != t->tm_mday || given.tm_mon != t->tm_mon)
        return -EINVAL;
    *ret_ns = (uint64_t)seconds * SECOND;
    return 0;
}

// HH:MM or HH:MM:SS into t; 0 or -EINVAL.
static int clock_of(const char *s, struct tm *t)
{
    int used = 0;
    unsigned hour, minute, second = 0;
    if (sscanf(s, "%2u:%2u%n", &hour, &minute, &used) != 2)
        return -EINVAL;
    if (s[used] == ':') {
        int more = 0;
        if (sscanf(s + used, ":%2u%n", &second, &more) != 1)
            return -EINVAL;
        used += more;
    }
    if (s[used] || hour > 23 || minute > 59 || second > 59)
        return -EINVAL;
    t->tm_hour = (int)hour;
    t->tm_min = (int)minute;
    t->tm_sec = (int)second;
    return 0;
}

static int date_of(char *s, uint64_t *ret_ns)
{
    int used = 0;
    unsigned year, month, day;
    if (sscanf(s, "%4u-%2u-%2u%n", &year, &month, &day, &used) != 3 || year < 1970 || month < 1 ||
        month > 12 || day < 1 || day > 31)
        return -EINVAL;
    struct tm t = {.tm_year = (int)year - 1900, .tm_mon = (int)month - 1, .tm_mday = (int)day};
    bool utc = false;
    char *clock = s + used;
    if (*clock) {
        if (*clock != 'T' && *clock != ' ')
            return -EINVAL;
        size_t n = strlen(clock);
        if (clock[n - 1] == 'Z') {
            utc = true;
            clock[n - 1] = 0;
        }
        if (clock_of(clock + 1, &t) < 0)
            return -EINVAL;
    }
    return local_ns(&t, utc, ret_ns);
}

static int day_start(uint64_t now_ns, uint64_t days_ago, uint64_t *ret_ns)
{
    time_t seconds = (time_t)(now_ns / SECOND);
    struct tm t;
    localtime_r(&seconds, &t);
    t.tm_hour = t.tm_min = t.tm_sec = 0;
    t.tm_mday -= (int)days_ago;
    t.tm_isdst = -1;
    seconds = mktime(&t);
    if (seconds < 0)
        return -EINVAL;
    *ret_ns = (uint64_t)seconds * SECOND;
    return 0;
}

int when_time(struct str s, uint64_t now_ns, uint64_t *ret_ns)
{
    char text[40];
    uint64_t ago;
    if (s.n == 0 || s.n >= sizeof text || memchr(s.p, 0, s.n))
        return -EINVAL;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    if (strspn(text, "0123456789-:TZ smhdwnoytera") != s.n)
        return -EINVAL;
    if (!strcmp(text, "now")) {
        *ret_ns = now_ns;
        return 0;
    }
    if (!strcmp(text, "today") || !strcmp(text, "yesterday"))
        return day_start(now_ns, text[0] == 'y', ret_ns);
    if (when_duration(s, &ago) == 0) {
        *ret_ns = ago < now_ns ? now_ns - ago : 0;
        return 0;
    }
    if (s.n > 4 && text[4] == '-')
        return date_of(text, ret_ns);
    time_t seconds = (time_t)(now_ns / SECOND);
    struct tm t;
    localtime_r(&seconds, &t);
    if (clock_of(text, &t) < 0)
        return -EINVAL;
    uint64_t at;
    int r = local_ns(&t, false, &at);
    if (r < 0)
        return r;
    *ret_ns = at > now_ns && at > DAY * SECOND ? at - DAY * SECOND : at;
    return 0;
}

static void print_format(uint64_t ns, const char *format, struct buf *out)
{
    char text[64];
    time_t seconds = (time_t)(ns / SECOND);
    struct tm t;
    localtime_r(&seconds, &t);
    if (strftime(text, sizeof text, format, &t))
        buf_add_str(out, str_from(text));
}

void when_print_clock(uint64_t ns, uint64_t now_ns, struct buf *out)
{
    time_t then = (time_t)(ns / SECOND), now = (time_t)(now_ns / SECOND);
    struct tm a, b;
    localtime_r(&then, &a);
    localtime_r(&now, &b);
    bool same = a.tm_year == b.tm_year && a.tm_yday == b.tm_yday;
    print_format(ns, same ? "%H:%M:%S" : "%m-%d %H:%M:%S", out);
}

void when_print_full(uint64_t ns, struct buf *out)
{
    print_format(ns, "%Y-%m-%d %H:%M:%S", out);
    buf_addf(out, ".%03u ", (unsigned)(ns % SECOND / 1000000));
    print_format(ns, "%z", out);
}

void when_print_duration(uint64_t ns, struct buf *out)
{
    double d = (double)ns;
    if (ns < 1000)
        buf_addf(out, "%u ns", (unsigned)ns);
    else if (ns < 1000000)
        buf_addf(out, "%.0f µs", d / 1e3);
    else if (ns < SECOND)
        buf_addf(out, "%.1f ms", d / 1e6);
    else if (ns < 120 * SECOND)
        buf_addf(out, "%.0f s", d / 1e9);
    else if (ns < 7200 * SECOND)
        buf_addf(out, "%.0f min", d / 60e9);
    else if (ns < 2 * DAY * SECOND)
        buf_addf(out, "%.0f h", d / 3600e9);
    else
        buf_addf(out, "%.0f days", d / 86400e9);
}
