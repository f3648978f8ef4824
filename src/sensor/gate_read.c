// SPDX-License-Identifier: Apache-2.0
#include "sensor/gate_private.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS 10000000ULL // start times in /proc are in USER_HZ, 100 on every x86-64 kernel

static void opened(struct gate_thread *t, const struct fanotify_event_metadata *event)
{
    struct gate *g = t->gate;
    t->q = (struct gate_question){.tid = event->pid,
                                  .fd = event->fd,
                                  .asked_ns = gate_now(),
                                  .open = !(event->mask & FAN_OPEN_EXEC_PERM)};
    t->word = t->q.asked_ns << 2 | GATE_OPEN;
    if (event->fd < GATE_FD_SPLIT)
        atomic_store(&g->table->question[event->fd], t->word);
    if ((uint32_t)event->fd > atomic_load_explicit(&g->table->top, memory_order_relaxed))
        atomic_store(&g->table->top, (uint32_t)event->fd);
    gate_count(g->table, GATE_QUESTIONS);
    if (t->q.open)
        gate_count(g->table, GATE_OPENS);
    gate_watch_wake(g);
}

// One read at most, so that a thread never holds a question that waits behind another one.
static bool read_group(struct gate_thread *t)
{
    struct gate *g = t->gate;
    struct fanotify_event_metadata event;

    gate_doing(t, GATE_READING);
    ssize_t n = read(g->group, &event, sizeof event);
    atomic_fetch_add(&g->table->reads, 1);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        gate_count(g->table, GATE_READ_FAILED);
    if (n != sizeof event || event.vers != FANOTIFY_METADATA_VERSION || event.fd < 0)
        return false;
    if (!(event.mask & (FAN_OPEN_EXEC_PERM | FAN_OPEN_PERM))) { // nothing else was asked for
        close(event.fd);
        return false;
    }
    opened(t, &event);
    return true;
}

void gate_lead_give(struct gate_thread *t)
{
    struct gate *g = t->gate;
    if (!atomic_exchange(&t->leads, false))
        return; // the watch was faster, or it has none
    atomic_store(&g->lead, 1);
    syscall(SYS_futex, &g->lead, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void gate_lead_share(struct gate_thread *t)
{
    struct pollfd more = {.fd = t->gate->group, .events = POLLIN};
    if (atomic_load(&t->leads) && poll(&more, 1, 0) == 1 && (more.revents & POLLIN))
        gate_lead_give(t);
}

static void lead_take(struct gate_thread *t)
{
    struct gate *g = t->gate;
    uint32_t one = 1;
    while (!atomic_load(&t->leads)) {
        if (atomic_compare_exchange_strong(&g->lead, &one, 0)) {
            atomic_store(&t->leads, true);
            return;
        }
        one = 1;
        syscall(SYS_futex, &g->lead, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    }
}

bool gate_read_one(struct gate_thread *t)
{
    struct gate *g = t->gate;
    struct pollfd wait[2] = {{.fd = g->group, .events = POLLIN}, {.fd = g->stop, .events = POLLIN}};

    lead_take(t);
    while (!atomic_load(&g->stopping)) {
        // Mostly nothing waits yet: a read before would be in vain.
        poll(wait, 2, -1);
        if (wait[0].revents && read_group(t)) {
            gate_doing(t, GATE_LOOKING);
            gate_lead_share(t);
            return true;
        }
        gate_doing(t, GATE_WAITING);
    }
    gate_lead_give(t); // to the next one, which stops too
    return false;
}

static ssize_t read_proc(const struct gate *g, pid_t tid, const char *what, char *out, size_t size)
{
    char name[64];
    snprintf(name, sizeof name, "%d/%s", (int)tid, what);
    int fd = openat(g->proc, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, out, size - 1);
    int error = errno;
    close(fd);
    if (n < 0)
        return -error;
    out[n] = 0;
    return n;
}

// Fields of /proc/TID/stat behind the name, which may hold anything: 1 is the state. 0: not there.
static uint64_t stat_field(const char *text, unsigned field)
{
    const char *p = strrchr(text, ')');
    for (unsigned i = 0; p && i < field; i++)
        p = strchr(p + 1, ' ');
    return p ? strtoull(p + 1, NULL, 10) : 0;
}

// The thread group and when it started. A lone thread is its leader.
static void identify(struct gate_thread *t)
{
    char text[2048];
    const struct gate *g = t->gate;

    if (g->ops.caller && g->ops.caller(g->ops.context, t->q.tid, &t->q.pid, &t->q.start))
        return;
    t->q.pid = t->q.tid;
    if (read_proc(g, t->q.tid, "stat", text, sizeof text) < 0)
        return;
    if (stat_field(text, 18) != 1) { // num_threads
        char status[2048];
        const char *id;
        if (read_proc(g, t->q.tid, "status", status, sizeof status) > 0 &&
            (id = strstr(status, "\nTgid:")))
            t->q.pid = atoi(id + strlen("\nTgid:"));
        if (t->q.pid != t->q.tid && read_proc(g, t->q.pid, "stat", text, sizeof text) < 0)
            return;
    }
    t->q.start = stat_field(text, 20) * TICK_NS;
}

static void stat_file(struct gate_thread *t)
{
    struct stat st;
    char name[16];
    const struct gate *g = t->gate;

    snprintf(name, sizeof name, "%d", t->q.fd);
    ssize_t n = readlinkat(g->self_fd, name, t->path, sizeof t->path);
    t->q.path = (struct str){t->path, n > 0 ? (size_t)n : 0};
    if (fstat(t->q.fd, &st) == 0) {
        t->q.device = st.st_dev;
        t->q.inode = st.st_ino;
        t->q.size = (uint64_t)st.st_size;
        t->q.ctime_ns = (uint64_t)st.st_ctim.tv_sec * 1000000000ULL + (uint64_t)st.st_ctim.tv_nsec;
        t->q.mode = st.st_mode;
        t->q.owner = st.st_uid;
    }
}

static void describe_file(struct gate_thread *t)
{
    stat_file(t);
    // The only read of a file: the page that the exec itself reads next. Where it is slow the deadline stands.
    ssize_t n = pread(t->q.fd, t->head, sizeof t->head, 0);
    gate_image_parse((struct str){t->head, n > 0 ? (size_t)n : 0}, &t->image);
    if (!t->image.interpreter.n && t->image.interpreter_bytes) {
        n = pread(t->q.fd, t->interpreter, t->image.interpreter_bytes,
                  (off_t)t->image.interpreter_at);
        if (n > 0)
            t->image.interpreter = (struct str){t->interpreter, strnlen(t->interpreter, (size_t)n)};
    }
    t->q.script = t->image.kind == GATE_IMAGE_SCRIPT ? t->image.line : STR_NONE;
}

void gate_describe(struct gate_thread *t)
{
    if (t->q.open) { // nothing is expected of a chain, and nothing of the file is read
        stat_file(t);
        identify(t);
        return;
    }
    describe_file(t);
    gate_chain_take(t);
    if (!t->q.pid)
        identify(t);
}

int gate_read_call(struct gate_thread *t)
{
    char text[256];
    struct timespec pause = {.tv_nsec = 10000};

    for (;;) {
        ssize_t n = read_proc(t->gate, t->q.tid, "syscall", text, sizeof text);
        if (n < 0)
            return (int)n;
        int r = gate_syscall_parse((struct str){text, (size_t)n}, &t->call);
        if (r != GATE_CALL_RUNNING)
            return r;
        // Not asleep yet: it may need this very CPU, and we have the higher priority, so sleep rather than yield.
        if (!gate_still_held(t))
            return -ETIMEDOUT;
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < 2000000)
            pause.tv_nsec *= 2;
    }
}
