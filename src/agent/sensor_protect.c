// SPDX-License-Identifier: Apache-2.0
#include "agent/sensor_protect.h"
#include "os/process.h"
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>

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

int sensor_protect_start(struct sensor_protect *p, struct role_context *role)
{
    const struct protect_settings *settings;
    char text[128];
    p->role = role;
    int r = protect_map(role->given[GIVE_PROTECT], &settings);
    if (r == 0)
        r = protect_marks_new(settings, role->setup.scope_pid, &p->marks);
    if (r < 0) {
        snprintf(text, sizeof(text), "what is protected cannot be looked at: %s", strerror(-r));
        tell(p, CONTROL_REFUSED, text);
        return 0;
    }
    tell(p, CONTROL_REFUSED, "asked in prevent mode only, once the gate is armed");
    return 0;
}

int sensor_protect_fd(const struct sensor_protect *p)
{
    return p->armed && p->marks ? protect_marks_fd(p->marks) : -1;
}

bool sensor_protect_look(struct sensor_protect *p)
{
    uint64_t now = os_monotonic_ns();
    if (!p->armed || !p->marks)
        return false;
    if (now - p->looked_ns > LOOK_EVERY_NS) {
        p->looked_ns = now;
        protect_marks_look_again(p->marks);
        p->wants_group = true;
    }
    p->wants_group |= protect_marks_follow(p->marks);
    return p->wants_group;
}

// The first time in full, for the gate to be armed with all that is declared; later in slices.
void sensor_protect_mark(struct sensor_protect *p, int group)
{
    struct protect_group g = {group, FAN_OPEN_PERM};
    struct protect_sink sink = {.put = protect_put_mark, .context = &g, .deep = true};
    if (!p->marks)
        return;
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
    tell(p, CONTROL_REFUSED, "asked in prevent mode only, once the gate is armed");
}
