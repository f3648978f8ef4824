// SPDX-License-Identifier: Apache-2.0
#include "sensor/contain.h"
#include "base/cleanup.h"
#include "bpf/contain.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "bpf/contain.skel.h"
#pragma GCC diagnostic pop

#define BPF_FS 0xcafe4a11
enum { STATE, ALLOW4, ALLOW6, MAPS };
enum { LINKS = 6 };
static const char *const map_names[MAPS] = {"state", "allow4", "allow6"};

struct contain {
    struct contain_bpf *programs;
    int cgroup, folder; // folder of the pins, -1: none
    int maps[MAPS];     // of the attached programs: ours, or those of an earlier agent
    int links[LINKS];   // -1: not attached
    bool pinned;
    char path[128];
};

static void path_of(const struct contain *c, const char *name, char ret[200])
{
    snprintf(ret, 200, "%s/%s", c->path, name);
}

static int pin(const struct contain *c, int fd, const char *name)
{
    char path[200];
    if (c->folder < 0)
        return 0;
    path_of(c, name, path);
    (void)unlinkat(c->folder, name, 0);
    return bpf_obj_pin(fd, path) < 0 ? -errno : 0;
}

static int get(const struct contain *c, const char *name)
{
    char path[200];
    path_of(c, name, path);
    int fd = bpf_obj_get(path);
    return fd < 0 ? -errno : fd;
}

static void link_name(unsigned i, char ret[8])
{
    snprintf(ret, 8, "link%u", i % 10);
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

// ---- what is pinned already

static uint64_t until_of(int state)
{
    struct contain_state s = {0};
    uint32_t zero = 0;
    return bpf_map_lookup_elem(state, &zero, &s) == 0 ? s.until : 0;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void own_maps(struct contain *c)
{
    struct bpf_map *of[MAPS] = {c->programs->maps.contain_state, c->programs->maps.contain_allow4,
                                c->programs->maps.contain_allow6};
    for (unsigned i = 0; i < MAPS; i++) {
        close_one(&c->maps[i]);
        c->maps[i] = fcntl(bpf_map__fd(of[i]), F_DUPFD_CLOEXEC, 3);
    }
}

// Links whose maps cannot be had are of no use: they are let go.
static void take_over(struct contain *c)
{
    char name[8];
    bool any = false;
    if (c->folder < 0)
        return;
    for (unsigned i = 0; i < LINKS; i++) {
        link_name(i, name);
        c->links[i] = get(c, name);
        any |= c->links[i] >= 0;
    }
    for (unsigned i = 0; any && i < MAPS; i++) {
        close_one(&c->maps[i]);
        c->maps[i] = get(c, map_names[i]);
    }
    c->pinned = any;
    if (!any || c->maps[STATE] < 0 || c->maps[ALLOW4] < 0 || c->maps[ALLOW6] < 0 ||
        until_of(c->maps[STATE]) <= now_ns())
        (void)contain_release(c);
}

// ---- load

static void make_folder(struct contain *c, const char *bpffs, uid_t owner)
{
    struct statfs fs;
    char above[128];
    if (statfs(bpffs, &fs) < 0 || fs.f_type != BPF_FS)
        return;
    snprintf(above, sizeof(above), "%.80s/tiercel", bpffs);
    snprintf(c->path, sizeof(c->path), "%.100s/contain%d", above, CONTAIN_VERSION);
    if ((mkdir(above, 0711) < 0 && errno != EEXIST) ||
        (mkdir(c->path, 0700) < 0 && errno != EEXIST))
        return;
    if (chown(c->path, owner, owner) == 0)
        c->folder = open(c->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int contain_load(int cgroup, const char *bpffs, uid_t owner, struct contain **ret, struct error *e)
{
    struct contain *c = calloc(1, sizeof(*c));
    if (!c)
        return error_set(e, -ENOMEM, "out of memory");
    c->folder = -1;
    for (unsigned i = 0; i < LINKS; i++)
        c->links[i] = -1;
    for (unsigned i = 0; i < MAPS; i++)
        c->maps[i] = -1;
    c->cgroup = fcntl(cgroup, F_DUPFD_CLOEXEC, 3);
    c->programs = contain_bpf__open_and_load();
    if (!c->programs) {
        int r = -errno;
        contain_free(c);
        return error_set(e, r, "the kernel refused the containment programs: %s", strerror(-r));
    }
    own_maps(c);
    make_folder(c, bpffs, owner);
    take_over(c);
    *ret = c;
    return 0;
}

struct contain *contain_free(struct contain *c)
{
    if (!c)
        return NULL;
    for (unsigned i = 0; i < LINKS; i++)
        close_one(&c->links[i]);
    for (unsigned i = 0; i < MAPS; i++)
        close_one(&c->maps[i]);
    close_one(&c->folder);
    close_one(&c->cgroup);
    contain_bpf__destroy(c->programs);
    free(c);
    return NULL;
}

bool contain_active(const struct contain *c)
{
    for (unsigned i = 0; i < LINKS; i++)
        if (c->links[i] >= 0)
            return true;
    return false;
}

// ---- orders

static int put_one(const struct contain *c, const struct response_address *a)
{
    static const uint8_t one = 1;
    struct contain_key4 k4 = {.bits = a->prefix};
    struct contain_key6 k6 = {.bits = a->prefix};
    memcpy(k4.ip, a->ip, sizeof(k4.ip));
    memcpy(k6.ip, a->ip, sizeof(k6.ip));
    return bpf_map_update_elem(a->bytes == 4 ? c->maps[ALLOW4] : c->maps[ALLOW6],
                               a->bytes == 4 ? (void *)&k4 : (void *)&k6, &one, BPF_ANY) < 0
               ? -errno
               : 0;
}

static void empty(int map)
{
    uint8_t key[sizeof(struct contain_key6)];
    while (bpf_map_get_next_key(map, NULL, key) == 0)
        if (bpf_map_delete_elem(map, key) < 0)
            return;
}

static int set_until(const struct contain *c, uint64_t until_ns)
{
    struct contain_state s = {.until = until_ns};
    uint32_t zero = 0;
    return bpf_map_update_elem(c->maps[STATE], &zero, &s, BPF_ANY) < 0 ? -errno : 0;
}

static int attach(struct contain *c)
{
    struct {
        struct bpf_program *program;
        enum bpf_attach_type type;
    } all[LINKS] = {
        {c->programs->progs.contain_out, BPF_CGROUP_INET_EGRESS},
        {c->programs->progs.contain_in, BPF_CGROUP_INET_INGRESS},
        {c->programs->progs.contain_connect4, BPF_CGROUP_INET4_CONNECT},
        {c->programs->progs.contain_connect6, BPF_CGROUP_INET6_CONNECT},
        {c->programs->progs.contain_send4, BPF_CGROUP_UDP4_SENDMSG},
        {c->programs->progs.contain_send6, BPF_CGROUP_UDP6_SENDMSG},
    };
    char name[8];
    int r = 0;
    for (unsigned i = 0; i < MAPS && r == 0; i++)
        r = pin(c, c->maps[i], map_names[i]);
    for (unsigned i = 0; i < LINKS && r == 0; i++) {
        int fd = bpf_link_create(bpf_program__fd(all[i].program), c->cgroup, all[i].type, NULL);
        if (fd < 0)
            return -errno;
        c->links[i] = fd;
        link_name(i, name);
        r = pin(c, fd, name);
    }
    c->pinned = r == 0 && c->folder >= 0;
    return r;
}

int contain_apply(struct contain *c, const struct response_address *allowed, uint32_t n,
                  uint64_t until_ns, bool *ret_pinned)
{
    int r = 0;
    bool whole = true;
    if (n > CONTAIN_ALLOWED)
        return -E2BIG;
    for (unsigned i = 0; i < LINKS; i++)
        whole &= c->links[i] >= 0;
    if (!whole) { // of another agent's half
        if ((r = contain_release(c)) < 0)
            return r;
    } else { // nothing is refused while the list is made anew
        if ((r = set_until(c, 0)) < 0)
            return r;
        empty(c->maps[ALLOW4]);
        empty(c->maps[ALLOW6]);
    }
    for (uint32_t i = 0; i < n && r == 0; i++)
        r = put_one(c, &allowed[i]);
    if (r == 0)
        r = set_until(c, until_ns);
    if (r == 0 && !whole)
        r = attach(c);
    if (r < 0) {
        (void)contain_release(c);
        return r;
    }
    *ret_pinned = c->pinned;
    return 0;
}

int contain_release(struct contain *c)
{
    char name[8];
    int r = 0;
    if (c->maps[STATE] >= 0)
        (void)set_until(c, 0); // also where a name cannot be taken away everything passes
    for (unsigned i = 0; i < LINKS; i++) {
        link_name(i, name);
        if (c->folder >= 0 && unlinkat(c->folder, name, 0) < 0 && errno != ENOENT)
            r = -errno;
        close_one(&c->links[i]);
    }
    for (unsigned i = 0; i < MAPS; i++)
        if (c->folder >= 0)
            (void)unlinkat(c->folder, map_names[i], 0);
    c->pinned = false;
    own_maps(c);
    empty(c->maps[ALLOW4]);
    empty(c->maps[ALLOW6]);
    return r;
}
