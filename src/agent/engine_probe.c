// SPDX-License-Identifier: Apache-2.0
// What the engine holds of the kernel's programs: two rings, the map of judged hashes, the counters.
#include "agent/engine_private.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

// At the start, and again after the sensor was restarted. What was left in the old rings is taken first.
int engine_open_probes(struct engine *e)
{
    int *fds = e->role->probes;
    for (int i = 0; i < GIVE_PROBE_NEEDED; i++)
        if (fds[i] < 0)
            return 0; // not all given yet
    struct ring *structural = NULL, *bulk = NULL;
    struct probe_counters *counters = NULL;
    int r = ring_open(fds[GIVE_PROBE_STRUCTURAL], RING_STRUCTURAL_BYTES, &structural);
    if (r == 0)
        r = ring_open(fds[GIVE_PROBE_BULK], RING_BULK_BYTES, &bulk);
    if (r == 0)
        r = probe_counters_map(fds[GIVE_PROBE_COUNTERS], &counters);
    if (r < 0) {
        ring_close(structural);
        ring_close(bulk);
        role_problem(e->role, "the kernel's rings cannot be read: %s", strerror(-r));
        return r;
    }
    // A plain poll() returns at once while anything is in a ring, so it would take every record by itself.
    int rings_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event edge = {.events = EPOLLIN | EPOLLET};
    if (rings_fd < 0 || epoll_ctl(rings_fd, EPOLL_CTL_ADD, fds[GIVE_PROBE_STRUCTURAL], &edge) < 0 ||
        epoll_ctl(rings_fd, EPOLL_CTL_ADD, fds[GIVE_PROBE_BULK], &edge) < 0)
        role_problem(e->role, "the rings cannot be waited for: %s", strerror(errno));
    if (e->rings_fd >= 0)
        close(e->rings_fd);
    e->rings_fd = rings_fd;
    pthread_mutex_lock(&e->lock);
    ring_close(e->structural);
    ring_close(e->bulk);
    probe_counters_unmap(e->counters);
    e->structural = structural;
    e->bulk = bulk;
    e->counters = counters;
    e->seen = (struct counters){0};
    pthread_mutex_unlock(&e->lock);
    return 0;
}

int engine_judged(void *context, const struct gate_question *q, uint64_t full, uint64_t tail,
                  uint32_t tail_bytes, uint64_t environment)
{
    struct engine *e = context;
    struct judged judged = {.full = full,
                            .inode = q->inode,
                            .tail = tail,
                            .tail_bytes = tail_bytes,
                            .environment = environment,
                            .flags = JUDGED_ENVIRONMENT};
    return probe_judged_set(e->role->probes[GIVE_PROBE_JUDGED], q->tid, &judged);
}

// The kernel inherits flags from now on; what runs already is told once.
void engine_flag_all(struct engine *e)
{
    int fd = openat(e->env.proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *proc = fd < 0 ? NULL : fdopendir(fd);
    if (!proc) {
        if (fd >= 0)
            close(fd);
        return;
    }
    struct dirent *entry;
    e->flags_behind = false;
    act_budget(e);
    while ((entry = readdir(proc))) {
        uint64_t pid;
        if (!isdigit((unsigned char)entry->d_name[0]) ||
            str_to_u64(str_from(entry->d_name), &pid) < 0)
            continue;
        Tiercel__ProcessId id = TIERCEL__PROCESS_ID__INIT;
        pthread_mutex_lock(&e->lock);
        if (tree_find(e->tree, (uint32_t)pid, &id)) {
            uint32_t flags = tree_flags(e->tree, &id);
            if (flags)
                act_flags(e, &id, flags);
        }
        pthread_mutex_unlock(&e->lock);
    }
    closedir(proc);
}
