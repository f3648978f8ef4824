// SPDX-License-Identifier: Apache-2.0
// The maps, through their descriptors alone.
#include "sensor/probe.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

int probe_guard(int guarded_fd, dev_t device, bool guarded)
{
    uint32_t key = (uint32_t)(major(device) << 20 | minor(device)); // as the kernel keeps s_dev
    uint8_t one = 1;
    int r = guarded ? bpf_map_update_elem(guarded_fd, &key, &one, BPF_ANY)
                    : bpf_map_delete_elem(guarded_fd, &key);

    return r < 0 ? -errno : 0;
}

int probe_watch_set(int watched_fd, uint32_t device, uint64_t inode,
                    const struct watch_value *value)
{
    struct watch_key key = {.inode = inode, .device = device};

    return bpf_map_update_elem(watched_fd, &key, value, BPF_ANY) < 0 ? -errno : 0;
}

int probe_watch_remove(int watched_fd, uint32_t device, uint64_t inode)
{
    struct watch_key key = {.inode = inode, .device = device};
    int r = bpf_map_delete_elem(watched_fd, &key) < 0 ? -errno : 0;

    return r == -ENOENT ? 0 : r;
}

static int net_key(const struct probe_fds *fds, struct str ip, unsigned bits,
                   struct net_prefix4 *ret4, struct net_prefix6 *ret6, int *ret_fd,
                   const void **ret_key)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if ((ip.n != 4 && ip.n != 16) || bits > ip.n * 8)
        return -EINVAL;
    if (ip.n == 16 && bits >= 96 &&
        !memcmp(ip.p, mapped, 12)) { // the programs look these up as IPv4
        ip = (struct str){ip.p + 12, 4};
        bits -= 96;
    }
    if (ip.n == 4) {
        ret4->bits = bits;
        memcpy(ret4->ip, ip.p, 4);
        *ret_fd = fds->net4;
        *ret_key = ret4;
    } else {
        ret6->bits = bits;
        memcpy(ret6->ip, ip.p, 16);
        *ret_fd = fds->net6;
        *ret_key = ret6;
    }
    return *ret_fd < 0 ? -ENOTSUP : 0;
}

int probe_net_set(const struct probe_fds *fds, struct str ip, unsigned bits,
                  const struct net_policy *policy)
{
    struct net_prefix4 key4;
    struct net_prefix6 key6;
    const void *key;
    int fd, r = net_key(fds, ip, bits, &key4, &key6, &fd, &key);

    if (r < 0)
        return r;
    return bpf_map_update_elem(fd, key, policy, BPF_ANY) < 0 ? -errno : 0;
}

int probe_net_remove(const struct probe_fds *fds, struct str ip, unsigned bits)
{
    struct net_prefix4 key4;
    struct net_prefix6 key6;
    const void *key;
    int fd, r = net_key(fds, ip, bits, &key4, &key6, &fd, &key);

    if (r < 0)
        return r;
    return bpf_map_delete_elem(fd, key) < 0 ? -errno : 0;
}

int probe_flags_set(int flags_fd, pid_t pid, int pidfd, uint32_t flags)
{
    uint32_t key = (uint32_t)pid;
    int r = flags ? bpf_map_update_elem(flags_fd, &key, &flags, BPF_ANY)
                  : bpf_map_delete_elem(flags_fd, &key);

    if (r < 0 && !(errno == ENOENT && !flags))
        return -errno;
    if (pidfd >= 0 && syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) < 0 && errno == ESRCH) {
        bpf_map_delete_elem(flags_fd, &key);
        return -ESRCH;
    }
    return 0;
}

void probe_flags_sweep(int flags_fd, uint32_t flags)
{
    uint32_t key, next, value;
    uint32_t *at = NULL;

    // A key that goes meanwhile lets the walk begin anew: it has an end of its own.
    for (unsigned i = 0; i < 400000 && bpf_map_get_next_key(flags_fd, at, &next) == 0; i++) {
        key = next;
        at = &key;
        if (bpf_map_lookup_elem(flags_fd, &key, &value) < 0 || !(value & flags))
            continue;
        value &= ~flags;
        if (value)
            (void)bpf_map_update_elem(flags_fd, &key, &value, BPF_EXIST);
        else
            (void)bpf_map_delete_elem(flags_fd, &key);
    }
}

int probe_flags_get(int flags_fd, pid_t pid, uint32_t *ret)
{
    uint32_t key = (uint32_t)pid, value = 0;

    if (bpf_map_lookup_elem(flags_fd, &key, &value) < 0 && errno != ENOENT)
        return -errno;
    *ret = value;
    return 0;
}

int probe_judged_set(int judged_fd, pid_t tid, const struct judged *judged)
{
    struct judged value = *judged;
    uint32_t key = (uint32_t)tid;
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    value.time = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    return bpf_map_update_elem(judged_fd, &key, &value, BPF_ANY) < 0 ? -errno : 0;
}

struct probe_counters {
    const struct counters *rows;
    size_t n, bytes;
};

int probe_counters_map(int counters_fd, struct probe_counters **ret)
{
    struct bpf_map_info info = {0};
    uint32_t length = sizeof info;
    struct probe_counters *counters;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes;
    void *rows;

    if (bpf_obj_get_info_by_fd(counters_fd, &info, &length) < 0)
        return -errno;
    if (info.value_size != sizeof(struct counters) || !info.max_entries)
        return -EINVAL;
    bytes = (info.max_entries * sizeof(struct counters) + page - 1) / page * page;
    rows = mmap(NULL, bytes, PROT_READ, MAP_SHARED, counters_fd, 0);
    if (rows == MAP_FAILED)
        return -errno;
    counters = malloc(sizeof *counters);
    if (!counters) {
        munmap(rows, bytes);
        return -ENOMEM;
    }
    *counters = (struct probe_counters){rows, info.max_entries, bytes};
    *ret = counters;
    return 0;
}

struct probe_counters *probe_counters_unmap(struct probe_counters *counters)
{
    if (counters) {
        munmap((void *)counters->rows, counters->bytes);
        free(counters);
    }
    return NULL;
}

struct counters probe_counters_sum(const struct probe_counters *counters)
{
    enum { WORDS = sizeof(struct counters) / sizeof(uint64_t) };
    struct counters sum = {0};

    for (size_t i = 0; i < counters->n; i++)
        for (size_t w = 0; w < WORDS; w++)
            ((uint64_t *)&sum)[w] +=
                __atomic_load_n((const uint64_t *)&counters->rows[i] + w, __ATOMIC_RELAXED);
    return sum;
}
