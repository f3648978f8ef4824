// SPDX-License-Identifier: Apache-2.0
#include "cli/leftover.h"
#include "base/cleanup.h"

#include <bpf/bpf.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <time.h>

static void add_id(struct leftover_ids *ids, uint32_t id)
{
    for (size_t i = 0; i < ids->n; i++)
        if (ids->ids[i] == id)
            return;
    if (ids->n < LEFTOVER_MAX)
        ids->ids[ids->n++] = id;
}

// "prog_id:\t17" is in what the kernel says of a descriptor of a program and of a link.
static void ids_of_descriptor(const char *path, struct leftover_ids *ids)
{
    char line[256];
    unsigned id;
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "prog_id:%u", &id) == 1 && id)
            add_id(ids, id);
}

static void ids_of_process(const char *pid, struct leftover_ids *ids)
{
    char path[320];
    snprintf(path, sizeof path, "/proc/%.20s/fdinfo", pid);
    DIR *folder = opendir(path);
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        snprintf(path, sizeof path, "/proc/%.20s/fdinfo/%.20s", pid, entry->d_name);
        ids_of_descriptor(path, ids);
    }
    closedir(folder);
}

// Every process whose executable is this very file, by device and inode.
static void each_process(const char *program, void (*each)(void *context, const char *pid),
                         void *context)
{
    struct stat wanted, got;
    DIR *proc = stat(program, &wanted) == 0 ? opendir("/proc") : NULL;
    if (!proc)
        return;
    for (struct dirent *entry; (entry = readdir(proc));) {
        char path[64];
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        snprintf(path, sizeof path, "/proc/%.20s/exe", entry->d_name);
        if (stat(path, &got) == 0 && got.st_ino == wanted.st_ino && got.st_dev == wanted.st_dev)
            each(context, entry->d_name);
    }
    closedir(proc);
}

static void hold(void *context, const char *pid)
{
    ids_of_process(pid, context);
}

void leftover_held(const char *program, struct leftover_ids *ret)
{
    ret->n = 0;
    each_process(program, hold, ret);
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

struct living {
    unsigned n;
    struct buf *what;
};

static void lives(void *context, const char *pid)
{
    struct living *l = context;
    l->n++;
    buf_addf(l->what, "  process %.20s\n", pid);
}

static unsigned processes_left(const char *program, struct buf *what)
{
    struct living l = {0, what};
    each_process(program, lives, &l);
    return l.n;
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
