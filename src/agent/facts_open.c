// SPDX-License-Identifier: Apache-2.0
#include "agent/facts_open.h"

#include "base/cleanup.h"
#include "sensor/gate_mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOK (O_PATH | O_NOFOLLOW | O_CLOEXEC)

// The mount id of a descriptor, without asking its file system. Negative errno.
static int mount_id(int proc_fd, int fd)
{
    char name[48], text[512];
    snprintf(name, sizeof name, "self/fdinfo/%d", fd);
    _cleanup_close_ int info = openat(proc_fd, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = info < 0 ? -1 : read(info, text, sizeof text - 1);
    if (n < 0)
        return -errno;
    text[n] = 0;
    const char *id = strstr(text, "mnt_id:");
    return id ? atoi(id + strlen("mnt_id:")) : -EINVAL;
}

// Of this mount, in a list of mounts that has it.
static enum mountinfo_kind kind_in(int proc_fd, const char *list, int id)
{
    _cleanup_close_ int fd = openat(proc_fd, list, O_RDONLY | O_CLOEXEC);
    _cleanup_fclose_ FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    enum mountinfo_kind kind = MOUNTINFO_UNKNOWN;
    struct mountinfo_line line;
    char *text = NULL;
    size_t room = 0;
    ssize_t n;
    if (!file)
        return kind;
    fd = -1; // the stream's
    while ((n = getline(&text, &room, file)) > 0)
        if (mountinfo_parse((struct str){text, (size_t)n - (text[n - 1] == '\n')}, &line) == 0 &&
            line.id == id) {
            kind = mountinfo_kind(line.type);
            break;
        }
    free(text);
    return kind;
}

static bool may_ask(int proc_fd, const char *list, int id, bool overlay)
{
    enum mountinfo_kind kind = kind_in(proc_fd, list, id);
    return kind == MOUNTINFO_LOCAL || (overlay && kind == MOUNTINFO_OVERLAY);
}

// Down from the root; each new mount on the way is looked at before anything below it is asked for.
static int walk(int proc_fd, struct str path, bool overlay)
{
    int at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), seen = -1;
    struct str name;
    while (at >= 0 && str_split(&path, '/', &name)) {
        char text[256];
        if (!name.n)
            continue;
        int id = mount_id(proc_fd, at);
        bool good = name.n < sizeof text && !str_eq(name, STR("..")) && id >= 0 &&
                    (id == seen || may_ask(proc_fd, "self/mountinfo", id, overlay));
        snprintf(text, sizeof text, STR_FMT, STR_ARG(name));
        seen = id;
        int next = good ? openat(at, text, LOOK) : -1;
        int problem = good ? errno : EOPNOTSUPP;
        close(at);
        if (next < 0)
            return -problem;
        at = next;
    }
    return at < 0 ? -errno : at;
}

int facts_open_program(int proc_fd, pid_t pid, struct str path, bool overlay)
{
    char name[32], list[32], again[32];
    snprintf(name, sizeof name, "%d/exe", (int)pid);
    snprintf(list, sizeof list, "%d/mountinfo", (int)pid);
    int look = openat(proc_fd, name, O_PATH | O_CLOEXEC);
    if (look < 0 && (!path.n || path.p[0] != '/'))
        return -ENOENT;
    bool running = look >= 0;
    if (!running && (look = walk(proc_fd, path, overlay)) < 0)
        return look;
    int id = mount_id(proc_fd, look), fd = -EOPNOTSUPP;
    if (id >= 0 && may_ask(proc_fd, running ? list : "self/mountinfo", id, overlay)) {
        snprintf(again, sizeof again, "self/fd/%d", look);
        fd = openat(proc_fd, again, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        fd = fd < 0 ? -errno : fd;
    }
    close(look);
    return fd;
}
