// SPDX-License-Identifier: Apache-2.0
// A flood of bulk records from every CPU while programs start and end: nothing structural is missing, and of the flood
// what was sent, what found no room and what was cut add up to what happened. In a guest exactly; on a machine where
// others connect, too, within what these may have added.
#include "tests/kernel/fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum { FLOODERS = 2, OTHERS = 500 };

static unsigned connects = 400000,
                children = 1500; // of each flooder; fewer where the machine is emulated

struct shared {
    _Atomic uint64_t made;
    _Atomic int ended;
};

struct seen {
    uint64_t of_flood, of_others, forks, exits;
    pid_t flooder[FLOODERS], parent;
};

static int take(void *context, const void *bytes, size_t n)
{
    struct seen *seen = context;
    const struct record *r = bytes;
    assert_true(n >= sizeof *r && r->bytes == n);
    bool ours = false;
    for (int i = 0; i < FLOODERS; i++)
        ours |= r->pid == (uint32_t)seen->flooder[i];
    if (r->kind == RECORD_CONNECT) {
        seen->of_flood += ours;
        seen->of_others += !ours;
    }
    seen->forks += r->kind == RECORD_FORK && r->pid == (uint32_t)seen->parent;
    seen->exits += r->kind == RECORD_EXIT;
    return 0;
}

static void flood(struct shared *shared)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, "127.66.0.9", &to.sin_addr);
    for (unsigned i = 0; i < connects; i++)
        if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
            atomic_fetch_add(&shared->made, 1);
    atomic_fetch_add(&shared->ended, 1);
    _exit(0);
}

static pid_t start_parent(void)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    for (unsigned i = 0; i < children; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        waitpid(child, NULL, 0);
    }
    _exit(0);
}

static uint64_t sum_of(const struct counters *now, const struct counters *was)
{
    return now->sent[COUNT_CONNECT] - was->sent[COUNT_CONNECT] + now->lost[COUNT_CONNECT] -
           was->lost[COUNT_CONNECT] + now->throttled[COUNT_CONNECT] - was->throttled[COUNT_CONNECT];
}

static uint64_t structural_lost(const struct counters *now, const struct counters *was)
{
    uint64_t lost = 0;
    for (int i = 0; i < COUNT_STRUCTURAL_CLASSES; i++)
        lost += now->lost[i] - was->lost[i];
    return lost;
}

// Reads as the engine does, every 20 ms, until all have ended.
static double run_flood(struct fixture *f, struct shared *shared, struct seen *seen)
{
    struct timespec from, to, pause = {.tv_nsec = 20000000};
    drain(f);
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < FLOODERS; i++)
        if ((seen->flooder[i] = fork()) == 0)
            flood(shared);
    seen->parent = start_parent();
    bool parent_ended = false;
    while (atomic_load(&shared->ended) < FLOODERS || !parent_ended) {
        parent_ended |= waitpid(seen->parent, NULL, WNOHANG) == seen->parent;
        ring_drain(f->structural, 100000, take, seen);
        ring_drain(f->bulk, 100000, take, seen);
        nanosleep(&pause, NULL);
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    for (int i = 0; i < FLOODERS; i++)
        waitpid(seen->flooder[i], NULL, 0);
    ring_drain(f->structural, 100000, take, seen);
    ring_drain(f->bulk, 100000, take, seen);
    return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
}

static void check(struct fixture *f, uint32_t share, bool expect_cut)
{
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct probe_counters *counters;
    struct seen seen = {0};
    assert_ptr_not_equal(shared, MAP_FAILED);
    assert_int_equal(probe_counters_map(f->fds.counters, &counters), 0);
    probe_bulk_limit(f->probe, share);
    struct counters was = probe_counters_sum(counters);
    double seconds = run_flood(f, shared, &seen);
    struct counters now = probe_counters_sum(counters);
    uint64_t made = shared->made, counted = sum_of(&now, &was);
    uint64_t cut = now.throttled[COUNT_CONNECT] - was.throttled[COUNT_CONNECT];
    printf("# %lu connects in %.1f s (%.0f a second): %lu read, %lu cut, %lu found no room; %lu of "
           "others; "
           "%lu of %u forks\n",
           made, seconds, (double)made / seconds, seen.of_flood, cut,
           (uint64_t)(now.lost[COUNT_CONNECT] - was.lost[COUNT_CONNECT]), seen.of_others,
           seen.forks, children);
    assert_int_equal(made, (uint64_t)FLOODERS * connects);
    assert_int_equal(structural_lost(&now, &was), 0);
    assert_int_equal(seen.forks, children);
    assert_true(seen.exits >= children);
    assert_in_range(counted, made, made + (getenv("VM_KERNEL") ? 0 : OTHERS));
    // What was sent is what was read: nothing vanishes between the ring and its reader.
    assert_int_equal(now.sent[COUNT_CONNECT] - was.sent[COUNT_CONNECT],
                     seen.of_flood + seen.of_others);
    assert_int_equal(cut > 0, expect_cut);
    probe_bulk_limit(f->probe, 1);
    probe_counters_unmap(counters);
    munmap(shared, sizeof *shared);
}

static void test_flood_that_is_cut(void **state)
{
    check(*state, 100, true);
}

static void test_flood_that_finds_no_room(void **state)
{
    check(*state, 0, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flood_that_is_cut),
        cmocka_unit_test(test_flood_that_finds_no_room),
    };
    if (cannot_run())
        return 77;
    if (getenv("VM_KERNEL")) {
        connects = 40000;
        children = 300;
    }
    return cmocka_run_group_tests_name("flood", tests, fixture_setup, fixture_teardown);
}
