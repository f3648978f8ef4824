// SPDX-License-Identifier: Apache-2.0
// A program for the kernel is loaded; one that is refused, and one that is only opened, are no events.
#include "seen.h"
#include <linux/bpf.h>
#include <sys/syscall.h>

static int load(const char *name, int instructions)
{
    struct bpf_insn code[] = {{.code = 0xb7 /* r0 = 0 */}, {.code = 0x95 /* exit */}};
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    attributes.insns = (unsigned long)code;
    attributes.insn_cnt = (unsigned)instructions;
    attributes.license = (unsigned long)"GPL";
    strncpy(attributes.prog_name, name, sizeof attributes.prog_name - 1);
    return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes);
}

static void load_good(const char *name)
{
    if (load(name, 2) >= 0)
        _exit(0);
}

static void load_bad(const char *name)
{
    if (load(name, 1) < 0) // does not end
        _exit(0);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    if (seen_how(argv[1], "bpf", SEEN_NOT) != SEEN_EXACTLY)
        account_skip(
            "functions of the kernel cannot be traced here: programs of others are not seen");
    account("bpf", "ProcessId", account_number((unsigned long)seen_child(load_good, "a_trigger")),
            "ProgramName", "a_trigger", "ProgramType", account_number(BPF_PROG_TYPE_SOCKET_FILTER),
            "Denied", "", NULL);
    account_absent("bpf", "ProcessId", account_number((unsigned long)seen_child(load_bad, "bad")),
                   NULL);
    return 0;
}
