// SPDX-License-Identifier: Apache-2.0
// What a host sees of each kind of event and what it can refuse, from which mechanisms work there. The one table (in
// coverage.c) is the source of `tiercel doctor`, of the Coverage that travels in the journal, and of doc/coverage.md.
// To add a mechanism: its `doctor` name in COVERAGE_MECHANISMS, and it in the `seen` or `denied` of the kinds in the
// table, best first. Rows of `doctor` that decide nothing about a kind go into COVERAGE_OTHERS (a kernel test asks).
#pragma once
#include "base/str.h"

// The number, the name in `doctor`, and how it is called where a kind is seen or refused by it.
#define COVERAGE_MECHANISMS(X)                                                                     \
    X(EVENTS, "process events", "tracepoints")                                                     \
    X(EXEC_SIGNAL, "exec signal", "exec signal")                                                   \
    X(GATE, "gate", "gate")                                                                        \
    X(EXEC_DENY, "exec deny", "LSM")                                                               \
    X(NETWORK, "network deny", "cgroup programs")                                                  \
    X(FLOWS, "flows", "tracing of sockets")                                                        \
    X(DNS, "DNS", "cgroup programs")                                                               \
    X(FILES, "file events", "fentry")                                                              \
    X(FILE_WATCH, "file watch", "fanotify")                                                        \
    X(FILE_DENY, "file deny", "LSM")                                                               \
    X(CREDENTIALS, "credential events", "fentry")                                                  \
    X(PTRACE, "ptrace events", "fentry")                                                           \
    X(MODULES, "module events", "fentry")                                                          \
    X(BPF, "bpf events", "fentry")                                                                 \
    X(MOUNTS, "mount events", "fentry")                                                            \
    X(NAMESPACES, "namespace events", "fentry")                                                    \
    X(SIGNALS, "signal events", "tracepoints")                                                     \
    X(SECURITY_DENY, "security deny", "LSM")

enum coverage_mechanism {
#define COVERAGE_NUMBER(number, name, shown) COVERAGE_##number,
    COVERAGE_MECHANISMS(COVERAGE_NUMBER)
#undef COVERAGE_NUMBER
        COVERAGE_MECHANISM_COUNT
};

#define COVERAGE_PREVENT (1ull << 63) // the host's mode; without it nothing is refused

struct coverage {
    const char *kind; // as in `tiercel events --kind`
    const char *seen; // mechanism; empty: not seen
    char denied[96];  // mechanisms; empty: cannot be refused
    char limit[320];  // what is missing, in words; may be empty
};

// The bit of a mechanism that works, by its name in `doctor`; 0 where it decides nothing by itself.
uint64_t coverage_bit(struct str name);
bool coverage_knows(struct str name); // it has a bit, or is known to need none
size_t coverage_kinds(void);
// `works`: bits of the mechanisms that work, and COVERAGE_PREVENT.
struct coverage coverage_of(size_t kind, uint64_t works);
