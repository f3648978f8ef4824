// SPDX-License-Identifier: Apache-2.0
// What a trigger program says of itself: a trigger does things of one kind, each with system calls of its own, and prints
// one line for every event that must be in the journal. test_compare.c reads the lines; both know this form only:
//
//   [absent | count N] KIND FIELD=VALUE FIELD=VALUE ...
//
// KIND is a word of `tiercel events --kind`; FIELD any name that field_find() knows (Sigma's or a descriptor path). In a
// value everything but plain ASCII is %XX; the elements of a list stand between %00. `FIELD=` is "absent, false or
// empty", `FIELD=*` "anything". `absent`: there is no such event; `count N`: there are exactly N. The same line twice
// means two events. To add a trigger: KIND.c beside this (plain C, static), run as KIND SCRATCH-FOLDER by every suite
// that has the agent; it ends with 0, or with 77 and a reason on standard error where this machine cannot do it.
#pragma once
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline void account_begin(const char *kind)
{
    fputs(kind, stdout);
}

static inline void account_field(const char *field)
{
    printf(" %s=", field);
}

static inline void account_value(const void *bytes, size_t n)
{
    const unsigned char *p = (const unsigned char *)bytes;
    for (size_t i = 0; i < n; i++)
        if (p[i] <= ' ' || p[i] >= 0x7f || p[i] == '%' || p[i] == '*')
            printf("%%%02X", p[i]);
        else
            putchar(p[i]);
}

// One field of a list, e.g. Argv; the list ends with NULL.
static inline void account_list(const char *field, char *const *list)
{
    account_field(field);
    for (size_t i = 0; list[i]; i++) {
        if (i)
            fputs("%00", stdout);
        account_value(list[i], strlen(list[i]));
    }
}

// At once, for what a trigger says must be said even where it is killed then.
static inline void account_end(void)
{
    putchar('\n');
    fflush(stdout);
}

static inline void account_pairs(va_list pairs)
{
    const char *field, *value;
    while ((field = va_arg(pairs, const char *))) {
        value = va_arg(pairs, const char *);
        account_field(field);
        if (strcmp(value, "*") == 0)
            putchar('*');
        else
            account_value(value, strlen(value));
    }
}

// A whole line: account("file", "FileAction", "create", "TargetFilename", path, NULL).
static inline void __attribute__((sentinel)) account(const char *kind, ...)
{
    va_list pairs;
    account_begin(kind);
    va_start(pairs, kind);
    account_pairs(pairs);
    va_end(pairs);
    account_end();
}

// There must be no such event: something that failed, or that is not to be seen.
static inline void __attribute__((sentinel)) account_absent(const char *kind, ...)
{
    va_list pairs;
    printf("absent %s", kind);
    va_start(pairs, kind);
    account_pairs(pairs);
    va_end(pairs);
    account_end();
}

// There must be exactly so many.
static inline void __attribute__((sentinel)) account_count(uint64_t n, const char *kind, ...)
{
    va_list pairs;
    printf("count %llu %s", (unsigned long long)n, kind);
    va_start(pairs, kind);
    account_pairs(pairs);
    va_end(pairs);
    account_end();
}

// A number as text, for the calls above; good until sixteen more were asked for.
static inline const char *account_number(uint64_t n)
{
    static char text[16][24];
    static unsigned at;
    char *p = text[at++ % 16];
    snprintf(p, sizeof text[0], "%llu", (unsigned long long)n);
    return p;
}

static inline const char *account_pid(void)
{
    return account_number((uint64_t)getpid());
}

static inline void __attribute__((noreturn)) account_skip(const char *reason)
{
    fprintf(stderr, "%s\n", reason);
    exit(77);
}

static inline void __attribute__((noreturn)) account_failed(const char *what)
{
    perror(what);
    exit(1);
}
