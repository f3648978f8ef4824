// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <stdarg.h>

int error_set(struct error *e, int code, const char *format, ...)
{
    if (!e)
        return code;
    *e = (struct error){.code = code};
    va_list args;
    va_start(args, format);
    vsnprintf(e->what, sizeof e->what, format, args);
    va_end(args);
    return code;
}

void error_place(struct error *e, const char *file, unsigned line, unsigned column)
{
    if (!e)
        return;
    snprintf(e->file, sizeof e->file, "%s", file ? file : "");
    e->line = line;
    e->column = column;
}

void error_way_out(struct error *e, const char *format, ...)
{
    if (!e)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(e->way_out, sizeof e->way_out, format, args);
    va_end(args);
}

static void print_safe(const char *s, FILE *out)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\x%02x", c);
        else
            fputc(c, out);
    }
}

void error_print(const struct error *e, FILE *out)
{
    if (e->file[0]) {
        print_safe(e->file, out);
        if (e->line)
            fprintf(out, ":%u", e->line);
        if (e->line && e->column)
            fprintf(out, ":%u", e->column);
        fputs(": ", out);
    }
    print_safe(e->what, out);
    if (e->way_out[0]) {
        fputs("; ", out);
        print_safe(e->way_out, out);
    }
}
