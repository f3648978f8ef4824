// SPDX-License-Identifier: Apache-2.0
#include "enrich/proc.h"

#include <errno.h>

// USER_HZ is 100 on every architecture that Linux has had in this century; the kernel divides by it, we multiply.
#define TICK_NS 10000000u
#define ARGUMENTS_LIMIT 4096

static int number(struct str s, uint32_t *ret)
{
    uint64_t n;
    if (str_to_u64(s, &n) < 0 || n > UINT32_MAX)
        return -EBADMSG;
    *ret = (uint32_t)n;
    return 0;
}

int proc_parse_stat(struct str text, struct proc_stat *ret)
{
    struct proc_stat s = {0};
    const char *open = text.n ? memchr(text.p, '(', text.n) : NULL;
    const char *end = text.n ? memrchr(text.p, ')', text.n) : NULL;
    if (!open || !end || end < open)
        return -EBADMSG;
    s.name = (struct str){open + 1, (size_t)(end - open - 1)};
    if (number(str_trim((struct str){text.p, (size_t)(open - text.p)}), &s.pid) < 0)
        return -EBADMSG;
    struct str rest = str_trim((struct str){end + 1, (size_t)(text.p + text.n - end - 1)}), piece;
    // Fields are numbered as in proc(5): 3 is the state, 4 the parent, 22 the start.
    for (unsigned field = 3; str_split(&rest, ' ', &piece); field++) {
        uint64_t ticks;
        if (field == 3) {
            if (piece.n != 1)
                return -EBADMSG;
            s.state = piece.p[0];
        } else if (field == 4 && number(piece, &s.parent) < 0) {
            return -EBADMSG;
        } else if (field == 22) {
            if (str_to_u64(piece, &ticks) < 0 ||
                __builtin_mul_overflow(ticks, TICK_NS, &s.start_ns))
                return -EBADMSG;
            *ret = s;
            return 0;
        }
    }
    return -EBADMSG;
}

static bool next_word(struct str *line, struct str *ret)
{
    while (line->n && (line->p[0] == ' ' || line->p[0] == '\t'))
        line->p++, line->n--;
    size_t n = 0;
    while (n < line->n && line->p[n] != ' ' && line->p[n] != '\t')
        n++;
    *ret = (struct str){line->p, n};
    line->p += n;
    line->n -= n;
    return n > 0;
}

static int two_numbers(struct str line, uint32_t *ret_real, uint32_t *ret_effective)
{
    struct str real, effective;
    if (!next_word(&line, &real) || !next_word(&line, &effective))
        return -EBADMSG;
    return number(real, ret_real) < 0 || number(effective, ret_effective) < 0 ? -EBADMSG : 0;
}

static int from_hex(struct str s, uint64_t *ret)
{
    uint64_t value = 0;
    if (s.n == 0 || s.n > 16)
        return -EBADMSG;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else
            return -EBADMSG;
        value = value << 4 | digit;
    }
    *ret = value;
    return 0;
}

static bool line_is(struct str line, struct str key, struct str *ret_value)
{
    if (!str_starts(line, key))
        return false;
    *ret_value = str_trim((struct str){line.p + key.n, line.n - key.n});
    return true;
}

int proc_parse_status(struct str text, struct proc_status *ret)
{
    struct proc_status s = {.kernel_thread = true};
    struct str rest = text, line, value;
    bool uid = false, gid = false;
    while (str_split(&rest, '\n', &line)) {
        // The kernel escapes newlines of the name in this file, so a line cannot be forged; the first one counts.
        if (!uid && line_is(line, STR("Uid:"), &value))
            uid = two_numbers(value, &s.uid, &s.euid) == 0;
        else if (!gid && line_is(line, STR("Gid:"), &value))
            gid = two_numbers(value, &s.gid, &s.egid) == 0;
        else if (line_is(line, STR("CapEff:"), &value)) {
            if (from_hex(value, &s.capabilities) < 0)
                return -EBADMSG;
        } else if (str_starts(line, STR("VmSize:")))
            s.kernel_thread = false;
    }
    if (!uid || !gid)
        return -EBADMSG;
    *ret = s;
    return 0;
}

struct str proc_parse_cgroup(struct str text)
{
    struct str rest = text, line, found = STR_NONE;
    while (str_split(&rest, '\n', &line)) {
        struct str id, controllers;
        if (!str_split(&line, ':', &id) || !str_split(&line, ':', &controllers) || !line.p)
            continue;
        if (str_eq(id, STR("0")) && controllers.n == 0)
            return line;
        if (str_eq(controllers, STR("name=systemd")))
            found = line;
    }
    return found;
}

size_t proc_parse_argv(struct str text, struct arena *arena, struct str **ret)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == 0;
    n += text.n && text.p[text.n - 1] != 0;
    if (n > ARGUMENTS_LIMIT)
        n = ARGUMENTS_LIMIT;
    struct str *argv = n ? arena_array(arena, struct str, n) : NULL;
    if (!argv)
        return 0;
    struct str rest = text;
    for (size_t i = 0; i < n; i++)
        str_split(&rest, 0, &argv[i]);
    *ret = argv;
    return n;
}

Tiercel__DescriptorKind proc_descriptor_kind(struct str link)
{
    if (str_starts(link, STR("socket:")))
        return TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_SOCKET;
    if (str_starts(link, STR("pipe:")))
        return TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_PIPE;
    if (str_eq(link, STR("/dev/null")))
        return TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_NULL;
    if (str_starts(link, STR("/dev/pts/")) || str_starts(link, STR("/dev/tty")) ||
        str_eq(link, STR("/dev/console")) || str_starts(link, STR("/dev/hvc")))
        return TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_TERMINAL;
    if (str_starts(link, STR("/")) && !str_starts(link, STR("/dev/")))
        return TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_FILE;
    return TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_OTHER;
}

bool proc_environment_listed(struct str variable)
{
    static const char *const names[] = {
        "LD_PRELOAD",   "LD_AUDIT",      "LD_LIBRARY_PATH", "BASH_ENV", "ENV",     "GCONV_PATH",
        "NODE_OPTIONS", "PYTHONSTARTUP", "PYTHONPATH",      "PERL5OPT", "RUBYOPT", "HISTFILE"};
    const char *equals = variable.n ? memchr(variable.p, '=', variable.n) : NULL;
    if (!equals)
        return false;
    struct str name = {variable.p, (size_t)(equals - variable.p)};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_eq(name, str_from(names[i])))
            return true;
    return false;
}
