// SPDX-License-Identifier: Apache-2.0
// One execve asks for the file, for its `#!` interpreter, for the ELF loader. Which of them a question is about is only
// believed where the file is, by device and inode, the one that the file before it names: a failed exec leaves an
// expectation behind, and a caller could use that to have a program taken for a loader.
#include "sensor/gate_listing.h"
#include "sensor/gate_private.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIFETIME_NS 10000000000ULL
#define CHAIN_WAYS 8u

// The expectation of this thread; `put`: else a free place, or the oldest of the few where it may stand (one that is
// pushed out makes a loader pass for a program). With the lock held.
static struct gate_chain *chain_of(struct gate *g, pid_t tid, bool put)
{
    struct gate_chain *oldest = NULL;
    for (unsigned i = 0; i < CHAIN_WAYS; i++) {
        struct gate_chain *c = &g->chains[((unsigned)tid + i) % GATE_CHAINS];
        if (c->tid == tid)
            return c;
        if (!c->tid)
            c->until = 0;
        if (!oldest || c->until < oldest->until)
            oldest = c;
    }
    return put ? oldest : NULL;
}

// A path as the caller's root and directory have it, from the kernel's cache only: it was looked up just now, and
// a file system that answers slowly must not be asked.
static bool same_file(const struct gate_thread *t, const char *path, uint64_t device,
                      uint64_t inode)
{
    struct stat st;
    int fd = gate_open_of_thread(t->gate->proc, t->q.tid, path);
    bool same = fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
    if (fd >= 0)
        close(fd);
    return same;
}

// Where the sandbox does not grant openat2 (its flags are behind a pointer that no filter can read) the name decides, for
// a loader that only root can have put there.
static bool system_loader(const struct gate_thread *t, enum gate_part part)
{
    struct str name = str_basename(t->q.path);
    return part == GATE_ELF_LOADER && t->q.owner == 0 && !(t->q.mode & 022) &&
           (str_starts(name, STR("ld-")) || str_starts(name, STR("ld.so"))) &&
           (str_starts(t->q.path, STR("/usr/lib")) || str_starts(t->q.path, STR("/lib")));
}

void gate_chain_take(struct gate_thread *t)
{
    struct gate *g = t->gate;
    char interpreter[GATE_PATH];
    pid_t pid = 0;
    uint64_t start = 0;
    enum gate_part part = GATE_FILE;

    pthread_mutex_lock(&g->chains_lock);
    struct gate_chain *c = chain_of(g, t->q.tid, false);
    if (c && t->q.asked_ns < c->until) {
        pid = c->pid;
        start = c->start;
        part = c->part;
        memcpy(interpreter, c->interpreter, strlen(c->interpreter) + 1);
    }
    if (c)
        c->tid = 0;
    pthread_mutex_unlock(&g->chains_lock);
    if (!pid || (!same_file(t, interpreter, t->q.device, t->q.inode) && !system_loader(t, part)))
        return;
    t->q.part = part;
    t->q.pid = pid;
    t->q.start = start;
}

void gate_chain_put(struct gate_thread *t)
{
    struct gate *g = t->gate;
    struct str next = t->image.interpreter;

    if (!next.n || next.n >= GATE_PATH)
        return;
    pthread_mutex_lock(&g->chains_lock);
    struct gate_chain *c = chain_of(g, t->q.tid, true);
    c->tid = t->q.tid;
    c->pid = t->q.pid;
    c->start = t->q.start;
    c->until = gate_now() + LIFETIME_NS;
    c->part = t->image.kind == GATE_IMAGE_SCRIPT ? GATE_SCRIPT_INTERPRETER : GATE_ELF_LOADER;
    memcpy(c->interpreter, next.p, next.n);
    c->interpreter[next.n] = 0;
    pthread_mutex_unlock(&g->chains_lock);
}

void gate_chain_drop(struct gate_thread *t)
{
    struct gate *g = t->gate;
    pthread_mutex_lock(&g->chains_lock);
    struct gate_chain *c = chain_of(g, t->q.tid, false);
    if (c)
        c->tid = 0;
    pthread_mutex_unlock(&g->chains_lock);
}
