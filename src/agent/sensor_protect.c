// SPDX-License-Identifier: Apache-2.0
#include "agent/sensor_protect.h"
#include "os/process.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/stat.h>

#define LOOK_EVERY_NS 10000000000ull // for what was not there
#define NAME "open gate"

static void tell(struct sensor_protect *p, enum control_works works, const char *reason)
{
    struct control_mechanism row = {.works = works};
    if (strncmp(p->told, reason, sizeof(p->told) - 1) == 0)
        return;
    snprintf(p->told, sizeof(p->told), "%s", reason);
    snprintf(row.name, sizeof(row.name), NAME);
    snprintf(row.reason, sizeof(row.reason), "%s", reason);
    if (works != CONTROL_WORKS)
        snprintf(row.instead, sizeof(row.instead), "opens of protected data are not refused");
    (void)role_tell(p->role, TOLD_MECHANISM, &row, sizeof(row), -1);
}

static void tell_counts(struct sensor_protect *p)
{
    struct protect_counts c = protect_marks_counts(p->marks);
    char text[160], more[96] = "";
    if (c.refused || c.left_out)
        snprintf(more, sizeof(more), "; %llu not marked (%.60s)",
                 (unsigned long long)(c.refused + c.left_out),
                 c.left_out ? "more than 65,536" : c.why);
    else if (c.why[0])
        snprintf(more, sizeof(more), "; %.80s", c.why);
    snprintf(text, sizeof(text), "%u folders and %u files are asked about; %u things absent%s",
             c.folders, c.files, c.absent, more);
    tell(p, CONTROL_WORKS, text);
}

// ---- without the gate: the kernel reports opens and denies none

static bool kernel_reports(const struct sensor_protect *p)
{
    return p->marks && p->fds->protected >= 0;
}

static int show(void *context, int folder_fd, const char *name, bool whole)
{
    struct sensor_protect *p = context;
    struct protect_policy policy = {0};
    struct stat st;
    (void)whole; // an entry of a folder stands for all below
    int r = name ? fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) : fstat(folder_fd, &st);
    if (r < 0)
        return -errno;
    if (p->n_shown == sizeof(p->shown) / sizeof(*p->shown))
        return -ENOSPC;
    r = probe_protect_set(p->fds, st.st_dev, st.st_ino, &policy);
    if (r < 0)
        return r;
    p->shown[p->n_shown].device = st.st_dev;
    p->shown[p->n_shown++].inode = st.st_ino;
    return 0;
}

static void hide(void *context, dev_t device, ino_t inode)
{
    struct sensor_protect *p = context;
    size_t kept = 0;
    for (size_t i = 0; i < p->n_shown; i++)
        if (p->shown[i].device == device && p->shown[i].inode == inode)
            (void)probe_protect_remove(p->fds, device, inode);
        else
            p->shown[kept++] = p->shown[i];
    p->n_shown = kept;
}

static void hide_all(struct sensor_protect *p)
{
    while (p->n_shown)
        hide(p, p->shown[0].device, p->shown[0].inode);
}

static void show_all(struct sensor_protect *p)
{
    struct protect_sink sink = {.put = show, .drop = hide, .context = p};
    while (protect_marks_put(p->marks, &sink) > 0)
        ;
}

static void tell_disarmed(struct sensor_protect *p)
{
    tell(p, CONTROL_REFUSED,
         kernel_reports(p) ? "asked in prevent mode only; in detect mode the kernel reports opens"
                           : "asked in prevent mode only; in detect mode opens are not seen");
}

int sensor_protect_start(struct sensor_protect *p, struct role_context *role,
                         const struct probe_fds *fds)
{
    const struct protect_settings *settings;
    char text[128];
    p->role = role;
    p->fds = fds;
    int r = protect_map(role->given[GIVE_PROTECT], &settings);
    if (r == 0)
        r = protect_marks_new(settings, role->setup.scope_pid, &p->marks);
    if (r < 0) {
        snprintf(text, sizeof(text), "what is protected cannot be looked at: %s", strerror(-r));
        tell(p, CONTROL_REFUSED, text);
        return 0;
    }
    tell_disarmed(p);
    return 0;
}

int sensor_protect_fd(const struct sensor_protect *p)
{
    return p->marks && (p->armed || kernel_reports(p)) ? protect_marks_fd(p->marks) : -1;
}

bool sensor_protect_look(struct sensor_protect *p)
{
    uint64_t now = os_monotonic_ns();
    if (!p->marks || (!p->armed && !kernel_reports(p)))
        return false;
    bool some = protect_marks_follow(p->marks);
    if (now - p->looked_ns > LOOK_EVERY_NS) {
        p->looked_ns = now;
        protect_marks_look_again(p->marks);
        some = true;
    }
    if (p->armed)
        return p->wants_group |= some;
    if (some)
        show_all(p);
    return false;
}

// In slices: of much that is protected the rest comes with the next loans of the group, at once one after another.
void sensor_protect_mark(struct sensor_protect *p, int group)
{
    struct protect_group g = {group, FAN_OPEN_PERM};
    struct protect_sink sink = {.put = protect_put_mark, .context = &g, .deep = true};
    if (!p->marks)
        return;
    if (!p->armed) { // the gate denies and records from now on
        hide_all(p);
        protect_marks_again(p->marks);
    }
    p->armed = true;
    int r = protect_marks_put(p->marks, &sink);
    p->wants_group = r > 0;
    if (r < 0)
        role_problem(p->role, "protected data could not be marked: %s", strerror(-r));
    else if (r == 0)
        tell_counts(p);
}

void sensor_protect_mounts_changed(struct sensor_protect *p)
{
    if (p->marks && p->armed)
        protect_marks_again(p->marks);
}

void sensor_protect_disarm(struct sensor_protect *p)
{
    p->armed = p->wants_group = false;
    if (!p->marks)
        return;
    protect_marks_again(p->marks);
    tell_disarmed(p);
}
