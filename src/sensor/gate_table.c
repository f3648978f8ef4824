// SPDX-License-Identifier: Apache-2.0
#include "sensor/gate_table.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fanotify.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define CLAIM_PATIENCE_NS                                                                          \
    100000000ULL // a claim older than this is of a holder that died or stands still

int gate_table_create(int *ret_memfd)
{
    int fd = memfd_create("gate", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, sizeof(struct gate_table)) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    *ret_memfd = fd;
    return 0;
}

int gate_table_map(int memfd, struct gate_table **ret)
{
    void *p = mmap(NULL, sizeof(struct gate_table), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_POPULATE, memfd, 0);
    if (p == MAP_FAILED)
        return -errno;
    *ret = p;
    return 0;
}

struct gate_table *gate_table_unmap(struct gate_table *table)
{
    if (table)
        munmap(table, sizeof *table);
    return NULL;
}

void gate_table_arm(struct gate_table *table, bool armed)
{
    atomic_store(&table->armed, armed);
}

void gate_table_engine_gone(struct gate_table *table)
{
    atomic_store(&table->holder[GATE_HOLDER_ENGINE], 0);
    atomic_store(&table->engine_beat, 0);
    atomic_store(&table->restart_wanted, 0);
}

bool gate_table_restart_wanted(const struct gate_table *table)
{
    return atomic_load(&table->restart_wanted);
}

int gate_hold(struct gate_table *table, enum gate_holder role)
{
    struct sched_param fifo = {.sched_priority = 1};
    struct rlimit none = {0, 0};

    // With a pipe core_pattern a dying holder would wait for a helper, whose exec waits for the holder.
    if (prctl(PR_SET_DUMPABLE, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
        return -errno;
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
        gate_count(table, GATE_NOT_LOCKED);
    if (sched_setscheduler(0, SCHED_FIFO, &fifo) < 0 && setpriority(PRIO_PROCESS, 0, -20) < 0)
        gate_count(table, GATE_NOT_RAISED);
    atomic_store(&table->holder[role], getpid());
    return 0;
}

const char *gate_counter_name(enum gate_counter counter)
{
    static const char *const names[GATE_COUNTERS] = {
        [GATE_QUESTIONS] = "questions",
        [GATE_ALLOWED] = "allowed",
        [GATE_DENIED] = "denied",
        [GATE_LATE_DENIED] = "denied after the deadline",
        [GATE_OVERDUE] = "allowed as overdue",
        [GATE_UNREAD_ALLOWED] = "allowed by the warden",
        [GATE_SWEPT] = "freed from a stopped engine",
        [GATE_FAULTED] = "argv gave EFAULT",
        [GATE_STUCK] = "argv did not come in time",
        [GATE_NO_ARGV] = "argv not readable",
        [GATE_HELPER] = "kernel helpers",
        [GATE_VANISHED] = "caller gone",
        [GATE_ANSWER_FAILED] = "answers refused",
        [GATE_UNREMEMBERED] = "verdicts not remembered",
        [GATE_READ_FAILED] = "reads failed",
        [GATE_NOT_RAISED] = "priority not raised",
        [GATE_NOT_LOCKED] = "memory not locked",
        [GATE_RELEASED] = "released by the guardian",
        [GATE_OPENS] = "opens of protected data",
        [GATE_OPENS_DENIED] = "opens denied",
        [GATE_OPENS_OWN] = "opens by the engine",
    };
    return names[counter];
}

uint64_t gate_table_count(const struct gate_table *table, enum gate_counter counter)
{
    return atomic_load(&table->counter[counter]);
}

uint64_t gate_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

int gate_answer(int group, int fd, bool allow)
{
    struct fanotify_response answer = {.fd = fd, .response = allow ? FAN_ALLOW : FAN_DENY};
    return write(group, &answer, sizeof answer) == sizeof answer ? 0 : -errno;
}

static void answer_one(struct gate_table *table, int group, int fd, uint64_t word)
{
    uint64_t asked = word & ~3ULL;
    if (!atomic_compare_exchange_strong(&table->question[fd], &word, asked | GATE_CLAIMED))
        return; // the engine was faster
    int r = gate_answer(group, fd, true);
    if (r == 0)
        gate_count(table, GATE_OVERDUE);
    else if (r != -ENOENT)
        gate_count(table, GATE_ANSWER_FAILED);
    word = asked | GATE_CLAIMED;
    // A refused answer leaves the exec held: the question stays claimed and is tried again.
    if (r == 0 || r == -ENOENT)
        atomic_compare_exchange_strong(&table->question[fd], &word, asked | GATE_ANSWERED);
}

unsigned gate_answer_overdue(struct gate_table *table, int group, uint64_t grace_ns)
{
    uint64_t limit = atomic_load(&table->deadline_ms) * 1000000ULL + grace_ns, now = gate_now();
    unsigned open = 0;

    for (int fd = 0; fd < GATE_FD_SPLIT; fd++) {
        uint64_t word = atomic_load_explicit(&table->question[fd], memory_order_relaxed);
        unsigned phase = word & 3;
        uint64_t asked = word >> 2, age = now > asked ? now - asked : 0;
        if (phase == GATE_FREE || phase == GATE_ANSWERED)
            continue;
        open++;
        if (age > limit + (phase == GATE_CLAIMED ? CLAIM_PATIENCE_NS : 0))
            answer_one(table, group, fd, word);
    }
    return open;
}

unsigned gate_sweep(struct gate_table *table, int group, int from, int to)
{
    unsigned freed = 0;
    for (int fd = from; fd < to; fd++)
        if (gate_answer(group, fd, true) == 0)
            freed++;
    atomic_fetch_add(&table->counter[GATE_SWEPT], freed);
    return freed;
}
