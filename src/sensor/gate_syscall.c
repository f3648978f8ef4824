// SPDX-License-Identifier: Apache-2.0
#include "sensor/gate_syscall.h"
#include <errno.h>

#define X32 0x40000000 // __X32_SYSCALL_BIT

// Numbers of execve and execveat for each kind of caller. A 64-bit thread that is asked about is in 59 or 322 and
// never in 11 or 358, which are other calls there that open nothing for execution.
static const struct {
    int64_t number;
    unsigned argv, pointer; // which argument; bytes of a pointer
} calls[] = {
    {59, 1, 8}, {322, 2, 8}, {11, 1, 4}, {358, 2, 4}, {X32 + 520, 1, 4}, {X32 + 545, 2, 4},
};

static int hexadecimal(struct str s, uint64_t *ret)
{
    uint64_t value = 0;
    if (!str_starts(s, STR("0x")) || s.n < 3 || s.n > 18)
        return -EINVAL;
    for (size_t i = 2; i < s.n; i++) {
        char c = s.p[i];
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else
            return -EINVAL;
        value = value << 4 | digit;
    }
    *ret = value;
    return 0;
}

int gate_syscall_parse(struct str line, struct gate_call *ret)
{
    struct str piece;
    int64_t number;
    uint64_t argument[4];

    line = str_trim(line);
    if (str_eq(line, STR("running")))
        return GATE_CALL_RUNNING;
    if (!str_split(&line, ' ', &piece) || str_to_i64(piece, &number) < 0)
        return -EINVAL;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (calls[i].number != number)
            continue;
        for (size_t k = 0; k < 4; k++)
            if (!str_split(&line, ' ', &piece) || hexadecimal(piece, &argument[k]) < 0)
                return -EINVAL;
        ret->argv = argument[calls[i].argv];
        ret->envp = argument[calls[i].argv + 1];
        ret->pointer = calls[i].pointer;
        if (ret->pointer ==
            4) { // the upper halves of the registers are not looked at by the kernel
            ret->argv &= UINT32_MAX;
            ret->envp &= UINT32_MAX;
        }
        return 0;
    }
    return GATE_CALL_OTHER;
}
