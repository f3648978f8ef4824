// SPDX-License-Identifier: Apache-2.0
// The shared memory of the gate. The kernel knows an open question by the descriptor *number* that its reader got, in
// one list for the whole group. So numbers are shared out: the engine's are below GATE_FD_SPLIT (its RLIMIT_NOFILE), the
// warden's from there on (it fills its low descriptors). An answer for a number nobody waits on is ENOENT and harmless,
// so the warden can free questions of a dead engine that never got into the table by answering every number once.
// A question's word is asked_ns << 2 | phase: whoever moves it from OPEN owns the answer.
#pragma once
#include "sensor/gate.h"

enum { GATE_FD_SPLIT = 1024, GATE_WARDEN_READS = 16, GATE_OUTSTANDING = 512 };
enum gate_phase { GATE_FREE, GATE_OPEN, GATE_CLAIMED, GATE_ANSWERED };

enum gate_counter {
    GATE_QUESTIONS, // read by the engine
    GATE_ALLOWED,
    GATE_DENIED,
    GATE_LATE_DENIED,    // the deny came after the deadline: late() was called
    GATE_OVERDUE,        // answered with allow by the warden (or the engine's own watch)
    GATE_UNREAD_ALLOWED, // read by the warden, because the engine did not
    GATE_SWEPT,          // freed without being in the table (dead or stopped engine)
    GATE_FAULTED,        // argv: EFAULT, denied
    GATE_STUCK,          // argv: timeout, denied
    GATE_NO_ARGV,        // argv not readable for another reason, allowed
    GATE_HELPER,         // asked by a thread that is in no execve (a kernel helper), allowed
    GATE_VANISHED,       // the caller was gone before the answer
    GATE_ANSWER_FAILED,  // the kernel refused an answer with other than ENOENT
    GATE_UNREMEMBERED,   // judged() failed, allowed
    GATE_READ_FAILED,    // reading the group failed with other than EAGAIN
    GATE_NOT_RAISED,     // no raised priority
    GATE_NOT_LOCKED,     // memory not locked
    GATE_RELEASED,       // the guardian killed the holders
    GATE_OPENS,          // of the questions: opens of protected data
    GATE_OPENS_DENIED,
    GATE_OPENS_OWN, // by the engine itself
    GATE_COUNTERS,
};

struct gate_table {
    _Atomic uint32_t armed;
    _Atomic uint32_t deadline_ms;
    _Atomic uint64_t engine_beat, warden_beat; // CLOCK_MONOTONIC ns; 0: not there
    _Atomic uint64_t reads; // of the group by the engine, also those that found nothing
    _Atomic uint32_t restart_wanted;
    _Atomic uint32_t top;                 // highest number of a question so far
    _Atomic int32_t holder[GATE_HOLDERS]; // pids
    _Atomic uint64_t counter[GATE_COUNTERS];
    _Atomic uint64_t question[GATE_FD_SPLIT]; // by the engine's descriptor number
};

const char *gate_counter_name(enum gate_counter counter);
uint64_t gate_table_count(const struct gate_table *table, enum gate_counter counter);

static inline void gate_count(struct gate_table *table, enum gate_counter counter)
{
    atomic_fetch_add_explicit(&table->counter[counter], 1, memory_order_relaxed);
}

uint64_t gate_now(void); // CLOCK_MONOTONIC
// 0, or negative errno; -ENOENT: nobody waits on this number (any more).
int gate_answer(int group, int fd, bool allow);
// Allows what is older than the deadline plus `grace_ns`; returns how many questions are open.
unsigned gate_answer_overdue(struct gate_table *table, int group, uint64_t grace_ns);
// Allows every number in [from, to); returns how many were waiting.
unsigned gate_sweep(struct gate_table *table, int group, int from, int to);
