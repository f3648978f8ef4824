// SPDX-License-Identifier: Apache-2.0
#include "sensor/gate_argv.h"
#include "bpf/argv_hash.h"
#include "bpf/environment.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define PAGE 4096u
#define PAGES 16u // cached: argv, envp and their strings mostly lie on a few
#define LISTED 4096u
#define KEEP (256u << 10) // of string memory that stays resident between questions
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

struct gate_memory {
    struct {
        uint64_t address; // of the page; odd: nothing
        char bytes[PAGE];
    } page[PAGES];
    struct str environment[LISTED];
    struct str argv[GATE_ARGV_BYTES / 5 + 1]; // a 4-byte pointer and a NUL each, at least
    size_t used;
    char bytes[2 * GATE_ARGV_BYTES];
};

int gate_memory_new(struct gate_memory **ret)
{
    void *p = mmap(NULL, sizeof(struct gate_memory), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return -errno;
    *ret = p;
    return 0;
}

struct gate_memory *gate_memory_free(struct gate_memory *m)
{
    if (m)
        munmap(m, sizeof *m);
    return NULL;
}

static void release(char *p, size_t n)
{
    uintptr_t from = ((uintptr_t)p + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
    n = (n - (from - (uintptr_t)p)) & ~(size_t)(PAGE - 1);
    if (madvise((void *)from, n, MADV_DONTNEED_LOCKED) < 0)
        madvise((void *)from, n, MADV_DONTNEED);
}

static void reset(struct gate_memory *m)
{
    if (m->used > KEEP) {
        release(m->bytes + KEEP, sizeof m->bytes - KEEP);
        release((char *)m->argv, sizeof m->argv);
    }
    m->used = 0;
    for (unsigned i = 0; i < PAGES; i++)
        m->page[i].address = 1;
}

// The caller's bytes from `address` to the end of its page.
static int peek(struct gate_memory *m, pid_t tid, uint64_t address, struct str *ret)
{
    uint64_t start = address & ~(uint64_t)(PAGE - 1);
    unsigned slot = (unsigned)(start / PAGE % PAGES);
    if (m->page[slot].address != start) {
        struct iovec here = {m->page[slot].bytes, PAGE}, there = {(void *)start, PAGE};
        m->page[slot].address = 1;
        ssize_t n = process_vm_readv(tid, &here, 1, &there, 1, 0);
        if (n < 0)
            return -errno;
        if (n != PAGE)
            return -EFAULT;
        m->page[slot].address = start;
    }
    *ret = (struct str){m->page[slot].bytes + (address - start), PAGE - (address - start)};
    return 0;
}

static int read_pointer(struct gate_memory *m, pid_t tid, uint64_t address, unsigned bytes,
                        uint64_t *ret)
{
    uint64_t value = 0;
    char *to = (char *)&value; // little-endian, as the machines we run on are
    for (unsigned have = 0; have < bytes;) {
        struct str s;
        int r = peek(m, tid, address + have, &s);
        if (r < 0)
            return r;
        unsigned n = s.n < bytes - have ? (unsigned)s.n : bytes - have;
        memcpy(to + have, s.p, n);
        have += n;
    }
    *ret = value;
    return 0;
}

// Appends one string with its NUL; *ret is without it.
static int read_string(struct gate_memory *m, pid_t tid, uint64_t address, size_t limit,
                       struct str *ret)
{
    size_t begin = m->used;
    for (;;) {
        struct str s;
        int r = peek(m, tid, address, &s);
        if (r < 0)
            return r;
        const char *nul = memchr(s.p, 0, s.n);
        size_t n = nul ? (size_t)(nul - s.p) + 1 : s.n;
        if (n > limit - m->used)
            return -E2BIG;
        memcpy(m->bytes + m->used, s.p, n);
        m->used += n;
        if (nul)
            break;
        address += n;
    }
    *ret = (struct str){m->bytes + begin, m->used - begin - 1};
    return 0;
}

static bool is_listed(struct str variable)
{
    static const struct str names[] = {
#define X(name) {name "=", sizeof(name)},
        ENVIRONMENT_NAMES(X)
#undef X
    };
    // Most variables differ from most names in their first letter: no call for these.
    for (size_t i = 0; variable.n && i < sizeof names / sizeof *names; i++)
        if (names[i].p[0] == variable.p[0] && str_starts(variable, names[i]))
            return true;
    return false;
}

// All strings of one vector. `list` gets those that `wanted` (NULL: all) accepts.
static int read_vector(struct gate_memory *m, pid_t tid, uint64_t at, unsigned pointer,
                       bool (*wanted)(struct str), struct str *list, size_t cap, size_t *ret_n)
{
    size_t n = 0, seen = 0, limit = m->used + GATE_ARGV_BYTES;
    while (at) {
        uint64_t address;
        struct str s;
        int r = read_pointer(m, tid, at + seen * pointer, pointer, &address);
        if (r < 0)
            return r;
        if (!address)
            break;
        if (++seen > GATE_ARGV_BYTES / (pointer + 1))
            return -E2BIG;
        r = read_string(m, tid, address, limit, &s);
        if (r < 0)
            return r;
        if (wanted && !wanted(s))
            continue;
        if (n == cap)
            return -E2BIG;
        list[n++] = s;
    }
    *ret_n = n;
    return 0;
}

static uint64_t hash(const uint8_t key[16], const char *p, size_t n)
{
    struct argv_hash h;
    argv_hash_init(&h, key);
    argv_hash_add(&h, p, n);
    return argv_hash_value(&h);
}

int gate_argv_read(struct gate_memory *m, pid_t tid, const struct gate_call *call,
                   const uint8_t hash_key[16], struct gate_strings *ret)
{
    struct gate_strings s = {.argv = m->argv, .environment = m->environment};

    reset(m);
    int r = read_vector(m, tid, call->argv, call->pointer, NULL, m->argv,
                        sizeof m->argv / sizeof *m->argv, &s.argc);
    if (r < 0)
        return r;
    if (s.argc == 0) { // since 5.18 the kernel makes an empty argv one empty string
        m->bytes[0] = 0;
        m->argv[0] = (struct str){m->bytes, 0};
        m->used = 1;
        s.argc = 1;
    }
    size_t first = m->argv[0].n + 1, all = m->used;
    s.full = hash(hash_key, m->bytes, all);
    s.tail = hash(hash_key, m->bytes + first, all - first);
    s.tail_bytes = (uint32_t)(all - first);
    r = read_vector(m, tid, call->envp, call->pointer, is_listed, m->environment, LISTED,
                    &s.n_environment);
    if (r < 0)
        return r;
    s.all_environment = hash(hash_key, m->bytes + all, m->used - all);
    *ret = s;
    return 0;
}
