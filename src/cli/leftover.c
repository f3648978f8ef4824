// SPDX-License-Identifier: Apache-2.0
#include "cli/leftover.h"
#include "base/cleanup.h"

#include <bpf/bpf.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <time.h>

int leftover_programs(struct leftover_ids *ret)
{
    uint32_t id = 0;
    ret->n = 0;
    while (bpf_prog_get_next_id(id, &id) == 0) {
        if (ret->n == LEFTOVER_MAX)
            return -E2BIG;
        ret->ids[ret->n++] = id;
    }
    return errno == ENOENT ? 0 : -errno;
}

static bool contains(const struct leftover_ids *set, uint32_t id)
{
    for (size_t i = 0; i < set->n; i++)
        if (set->ids[i] == id)
            return true;
    return false;
}

void leftover_added(const struct leftover_ids *before, const struct leftover_ids *now,
                    struct leftover_ids *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < now->n; i++)
        if (!contains(before, now->ids[i]))
            ret->ids[n++] = now->ids[i];
    ret->n = n;
}

static unsigned programs_left(const struct leftover_ids *ours, struct buf *what)
{
    unsigned left = 0;
    for (size_t i = 0; i < ours->n; i++) {
        struct bpf_prog_info info = {0};
        uint32_t size = sizeof info;
        _cleanup_close_ int fd = bpf_prog_get_fd_by_id(ours->ids[i]);
        if (fd < 0)
            continue;
        left++;
        if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0)
            buf_addf(what, "  BPF program %u (%.16s)\n", ours->ids[i], info.name);
    }
    return left;
}

// Processes whose executable is this very file, by device and inode.
static unsigned processes_left(const char *program, struct buf *what)
{
    struct stat wanted, got;
    unsigned left = 0;
    DIR *proc = stat(program, &wanted) == 0 ? opendir("/proc") : NULL;
    if (!proc)
        return 0;
    for (struct dirent *entry; (entry = readdir(proc));) {
        char path[64];
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        snprintf(path, sizeof path, "/proc/%.20s/exe", entry->d_name);
        if (stat(path, &got) < 0 || got.st_ino != wanted.st_ino || got.st_dev != wanted.st_dev)
            continue;
        left++;
        buf_addf(what, "  process %.20s\n", entry->d_name);
    }
    closedir(proc);
    return left;
}

unsigned leftover_check(const struct leftover_ids *ours, const char *program, struct buf *what)
{
    unsigned left = 0;
    for (unsigned try = 0; try < 20; try++) {
        buf_reset(what);
        left = programs_left(ours, what) + processes_left(program, what);
        if (left == 0)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    return left;
}
