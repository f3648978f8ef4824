// SPDX-License-Identifier: Apache-2.0
#include "enrich/proc.h"

#include "base/cleanup.h"
#include "enrich/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define SMALL_LIMIT ((size_t)16 << 10) // at most PROC_ARGV_LIMIT
#define LINK_LIMIT 4096

// Reads a file up to the limit; the arena holds it. Empty when it cannot be read: a process may end at any time.
static int read_file(int proc_fd, uint32_t pid, const char *name, size_t limit, struct arena *arena,
                     struct str *ret)
{
    char path[64];
    snprintf(path, sizeof path, "%u/%s", pid, name);
    _cleanup_close_ int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    char text[PROC_ARGV_LIMIT];
    size_t n = 0;
    while (n < limit) {
        ssize_t r = read(fd, text + n, limit - n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        if (r == 0)
            break;
        n += (size_t)r;
    }
    *ret = arena_str(arena, (struct str){text, n});
    return ret->p ? 0 : -ENOMEM;
}

static struct str read_link(int proc_fd, uint32_t pid, const char *name, struct arena *arena)
{
    char path[64], target[LINK_LIMIT];
    snprintf(path, sizeof path, "%u/%s", pid, name);
    ssize_t n = readlinkat(proc_fd, path, target, sizeof target);
    return n < 0 ? STR_NONE : arena_str(arena, (struct str){target, (size_t)n});
}

static ProtobufCBinaryData bytes_of(struct str s)
{
    return (ProtobufCBinaryData){s.n, (uint8_t *)s.p};
}

static void read_credentials(int proc_fd, uint32_t pid, struct arena *arena, Tiercel__Process *p,
                             bool *ret_kernel)
{
    struct str text;
    struct proc_status status;
    if (read_file(proc_fd, pid, "status", SMALL_LIMIT, arena, &text) < 0 ||
        proc_parse_status(text, &status) < 0)
        return;
    *ret_kernel = status.kernel_thread;
    Tiercel__Credentials *c = arena_alloc(arena, sizeof *c);
    if (!c)
        return;
    tiercel__credentials__init(c);
    c->has_uid = c->has_gid = c->has_euid = c->has_egid = c->has_capabilities = true;
    c->uid = status.uid;
    c->gid = status.gid;
    c->euid = status.euid;
    c->egid = status.egid;
    c->capabilities = status.capabilities;
    p->credentials = c;
}

// Set once, at login, and inherited: not part of what an exec can have changed.
static void read_login(int proc_fd, uint32_t pid, struct arena *arena, Tiercel__Process *p)
{
    struct str text;
    uint64_t login;
    if (!p->credentials || read_file(proc_fd, pid, "loginuid", 32, arena, &text) < 0 ||
        str_to_u64(str_trim(text), &login) < 0 || login > UINT32_MAX)
        return;
    p->credentials->has_login_uid = true;
    p->credentials->login_uid = (uint32_t)login;
}

static void read_image(int proc_fd, uint32_t pid, struct arena *arena, Tiercel__Process *p)
{
    struct str path = read_link(proc_fd, pid, "exe", arena), deleted = STR(" (deleted)");
    Tiercel__File *f = path.n ? arena_alloc(arena, sizeof *f) : NULL;
    if (!f)
        return;
    tiercel__file__init(f);
    if (str_ends(path, deleted)) {
        f->has_deleted = f->deleted = true;
        path.n -= deleted.n;
    }
    if (str_starts(path, STR("/memfd:")))
        f->has_memory_only = f->memory_only = true;
    f->has_path = true;
    f->path = bytes_of(path);
    char name[64];
    struct stat st;
    snprintf(name, sizeof name, "%u/exe", pid);
    if (fstatat(proc_fd, name, &st, 0) == 0) {
        f->has_device = f->has_inode = f->has_size = f->has_mode = f->has_owner = f->has_changed =
            true;
        // As the kernel's programs and fanotify count: major in the upper bits.
        f->device = (uint64_t)major(st.st_dev) << 20 | minor(st.st_dev);
        f->inode = st.st_ino;
        f->size = (uint64_t)st.st_size;
        f->mode = st.st_mode;
        f->owner = st.st_uid;
        f->changed = (uint64_t)st.st_ctim.tv_sec * 1000000000u + (uint64_t)st.st_ctim.tv_nsec;
    }
    p->image = f;
}

static void read_lists(int proc_fd, uint32_t pid, struct arena *arena, Tiercel__Process *p)
{
    struct str text, *list;
    if (read_file(proc_fd, pid, "cmdline", PROC_ARGV_LIMIT, arena, &text) == 0) {
        size_t n = proc_parse_argv(text, arena, &list);
        p->argv = n ? arena_array(arena, ProtobufCBinaryData, n) : NULL;
        for (size_t i = 0; p->argv && i < n; i++)
            p->argv[p->n_argv++] = bytes_of(list[i]);
        p->has_argv_cut = p->argv_cut = text.n == PROC_ARGV_LIMIT;
    }
    if (read_file(proc_fd, pid, "environ", PROC_ARGV_LIMIT, arena, &text) == 0) {
        size_t n = proc_parse_argv(text, arena, &list);
        p->environment = n ? arena_array(arena, ProtobufCBinaryData, n) : NULL;
        for (size_t i = 0; p->environment && i < n; i++)
            if (proc_environment_listed(list[i]))
                p->environment[p->n_environment++] = bytes_of(list[i]);
    }
}

static void read_descriptors(int proc_fd, uint32_t pid, struct arena *arena, Tiercel__Process *p)
{
    static const char *const names[] = {"fd/0", "fd/1", "fd/2"};
    Tiercel__DescriptorKind *kinds = arena_array(arena, Tiercel__DescriptorKind, 3);
    if (!kinds)
        return;
    for (size_t i = 0; i < 3; i++) {
        char path[64], target[LINK_LIMIT];
        snprintf(path, sizeof path, "%u/%s", pid, names[i]);
        ssize_t n = readlinkat(proc_fd, path, target, sizeof target);
        if (n < 0 && errno != ENOENT)
            return; // not allowed to look: not observed, which is not the same as closed
        kinds[i] = n < 0 ? TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_CLOSED
                         : proc_descriptor_kind((struct str){target, (size_t)n});
    }
    p->descriptors = kinds;
    p->n_descriptors = 3;
}

struct str proc_read_cgroup(int proc_fd, uint32_t pid, struct arena *arena)
{
    struct str text;
    return read_file(proc_fd, pid, "cgroup", SMALL_LIMIT, arena, &text) < 0
               ? STR_NONE
               : proc_parse_cgroup(text);
}

void proc_read_moment(int proc_fd, uint32_t pid, struct arena *arena, Tiercel__Process *p)
{
    bool kernel;
    if (!p->credentials)
        read_credentials(proc_fd, pid, arena, p, &kernel);
    if (!p->has_directory) {
        struct str directory = read_link(proc_fd, pid, "cwd", arena);
        p->has_directory = directory.n > 0;
        p->directory = bytes_of(directory);
    }
    if (!p->n_descriptors)
        read_descriptors(proc_fd, pid, arena, p);
}

int proc_read(int proc_fd, uint32_t pid, uint64_t start_ns, struct arena *arena,
              Tiercel__Process **ret)
{
    struct str text;
    struct proc_stat stat;
    int r = read_file(proc_fd, pid, "stat", SMALL_LIMIT, arena, &text);
    if (r < 0)
        return r;
    r = proc_parse_stat(text, &stat);
    if (r < 0)
        return r;
    if (start_ns && stat.start_ns / 10000000u != start_ns / 10000000u)
        return -ESRCH;
    Tiercel__Process *p = arena_alloc(arena, sizeof *p);
    Tiercel__ProcessId *ids = arena_array(arena, Tiercel__ProcessId, 2);
    if (!p || !ids)
        return -ENOMEM;
    tiercel__process__init(p);
    tiercel__process_id__init(&ids[0]);
    tiercel__process_id__init(&ids[1]);
    ids[0].pid = pid;
    ids[0].start = stat.start_ns;
    ids[1].pid = stat.parent; // its start is not told here
    p->id = &ids[0];
    p->parent = stat.parent ? &ids[1] : NULL;
    p->has_name = true;
    p->name = bytes_of(stat.name);
    p->has_from_proc = p->from_proc = true;
    bool kernel = false;
    read_credentials(proc_fd, pid, arena, p, &kernel);
    read_login(proc_fd, pid, arena, p);
    struct str cgroup = proc_read_cgroup(proc_fd, pid, arena);
    p->has_cgroup_path = cgroup.n > 0;
    p->cgroup_path = bytes_of(cgroup);
    if (!kernel) {
        read_image(proc_fd, pid, arena, p);
        read_lists(proc_fd, pid, arena, p);
        proc_read_moment(proc_fd, pid, arena, p);
    }
    *ret = p;
    return 0;
}
