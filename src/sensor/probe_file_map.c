// SPDX-License-Identifier: Apache-2.0
// The maps of protected and blocked files, through their descriptors alone.
#include "bpf/file_hash.h"
#include "sensor/probe.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <sys/sysmacros.h>

static struct watch_key key_of(dev_t device, ino_t inode)
{
    return (struct watch_key){.inode = inode,
                              .device = (uint32_t)(major(device) << 20 | minor(device))};
}

static int set(int fd, const struct watch_key *key, const void *value)
{
    if (fd < 0)
        return -ENOTSUP;
    return bpf_map_update_elem(fd, key, value, BPF_ANY) < 0 ? -errno : 0;
}

static int take(int fd, dev_t device, ino_t inode)
{
    struct watch_key key = key_of(device, inode);

    if (fd < 0)
        return -ENOTSUP;
    return bpf_map_delete_elem(fd, &key) < 0 ? -errno : 0;
}

// Bits are only ever set: one too many costs a look into the map. One writer: the sensor.
static int filter_set(int fd, const struct watch_key *key)
{
    uint32_t bit = file_hash(key->device, key->inode), word = bit / 64;
    uint64_t bits;

    if (bpf_map_lookup_elem(fd, &word, &bits) < 0)
        return -errno;
    bits |= 1ull << bit % 64;
    return bpf_map_update_elem(fd, &word, &bits, BPF_ANY) < 0 ? -errno : 0;
}

int probe_protect_set(const struct probe_fds *fds, dev_t device, ino_t inode,
                      const struct protect_policy *policy)
{
    struct watch_key key = key_of(device, inode);
    int r = set(fds->protected, &key, policy);

    return r < 0 ? r : filter_set(fds->protected_filter, &key);
}

int probe_protect_remove(const struct probe_fds *fds, dev_t device, ino_t inode)
{
    return take(fds->protected, device, inode);
}

int probe_block_inode_set(const struct probe_fds *fds, dev_t device, ino_t inode, uint32_t rule)
{
    struct watch_key key = key_of(device, inode);
    struct block_value value = {.rule = rule};
    return set(fds->blocked, &key, &value);
}

int probe_block_inode_remove(const struct probe_fds *fds, dev_t device, ino_t inode)
{
    return take(fds->blocked, device, inode);
}
