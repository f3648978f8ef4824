// SPDX-License-Identifier: Apache-2.0
// The role that joins: looks every half second at what core wrote (headers only) and runs the joining where there is
// something new. A whole run is made at most a fifth of the time, so that ingest keeps the processor; while whole runs
// take long, a quick look at the newest minutes shows new attempts within seconds. Keeps no state: after a restart
// everything is new. No network, and it never writes where core writes.
#include "base/cleanup.h"
#include "hub/attempts.h"
#include "hub/state.h"
#include "os/process.h"
#include "os/sandbox.h"
#include "store/attempts.h"
#include "store/registry.h"

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <seccomp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define SECOND 1000000000ull
#define LOOK_NS (SECOND / 2)
#define SHARE 4                 // a run waits this many times as long as the last one took
#define LEAST_NS SECOND         // ... and at least this long, with new detections
#define OTHERS_NS (10 * SECOND) // with other news: what an attempt did since
#define LONG_NS (2 * SECOND)    // runs that take longer leave quick looks between them
#define QUICK_NS (60 * SECOND)  // of events that a quick look reads
#define RETRY_NS (10 * SECOND)

struct client {
    char name[PKI_CLIENT_MAX + 1];
    struct store_position position;
    bool hot, news, any; // detections or changes came; anything came; there are detections at all
    uint64_t changes, newest_ns;
    struct timespec changed; // of attempts.db-wal, when the changes were counted
    uint64_t next_ns, took_ns,
        quick_ns; // monotonic: not before; the last whole run; the last quick look
};

static struct role {
    const char *state;
    struct client clients[REGISTRY_CLIENTS_MAX];
    size_t n;
    uint64_t looked_ns;
    struct client *running; // whose whole run is made
    uint64_t running_ns;    // since then
} role;

static void folder_of(const struct client *c, char ret[HUB_PATH_MAX + 64])
{
    snprintf(ret, HUB_PATH_MAX + 64, "%s/clients/%s", role.state, c->name);
}

static void tell(const struct client *c, const struct error *e)
{
    fprintf(stderr, "tiercel-hub: attempts of %s: %s\n", c->name, e->what);
}

// Of merges and splits by hand. The file is opened only where somebody wrote to it.
static uint64_t count_changes(struct client *c, const char *folder)
{
    struct store_attempts *s = NULL;
    struct error unused = {0};
    _cleanup_buf_ struct buf lines = {0};
    char path[HUB_PATH_MAX + 96];
    struct stat st;
    uint64_t n = c->changes;
    snprintf(path, sizeof path, "%s/attempts.db-wal", folder);
    if (stat(path, &st) == 0) {
        if (memcmp(&st.st_mtim, &c->changed, sizeof c->changed) == 0)
            return n;
        c->changed = st.st_mtim;
    }
    if (store_attempts_open(folder, false, &s, &unused) == 0)
        (void)store_attempts_changes(s, &lines, &n, &unused);
    store_attempts_close(s);
    return n;
}

static void look_at(struct client *c)
{
    char folder[HUB_PATH_MAX + 64];
    struct store_news news = {0};
    struct error e = {0};
    folder_of(c, folder);
    if (store_news(folder, &c->position, &news, &e) < 0)
        tell(c, &e);
    uint64_t changes = count_changes(c, folder);
    if (changes != c->changes || news.detections || news.verdicts)
        c->hot = true;
    c->any = c->any || news.detections;
    c->news = c->news || news.batches;
    c->changes = changes;
    uint64_t now = os_wall_ns(); // a host whose clock runs ahead must not hide what others send
    if (news.newest_ns > now)
        news.newest_ns = now;
    if (news.newest_ns > c->newest_ns)
        c->newest_ns = news.newest_ns;
}

static struct client *client_of(const char *name)
{
    for (size_t i = 0; i < role.n; i++)
        if (!strcmp(role.clients[i].name, name))
            return &role.clients[i];
    if (role.n == REGISTRY_CLIENTS_MAX)
        return NULL;
    struct client *c = &role.clients[role.n++];
    memcpy(c->name, name, strlen(name) + 1);
    return c;
}

static void look(void)
{
    char path[HUB_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/clients", role.state);
    DIR *dir = opendir(path);
    struct dirent *d;
    while (dir && (d = readdir(dir))) {
        struct client *c = pki_client_good(str_from(d->d_name)) ? client_of(d->d_name) : NULL;
        if (c)
            look_at(c);
    }
    if (dir)
        closedir(dir);
    role.looked_ns = os_monotonic_ns();
}

// Whether the parent has gone; its channel says nothing else.
static bool ended(int wait_ms)
{
    struct pollfd fd = {.fd = HUB_CHANNEL, .events = POLLIN};
    return poll(&fd, 1, wait_ms) > 0;
}

static int unless_ended(void *context)
{
    (void)context;
    return ended(0) ? -ECANCELED : 0;
}

static void quick_looks(void)
{
    for (size_t i = 0; i < role.n; i++) {
        struct client *c = &role.clients[i];
        char folder[HUB_PATH_MAX + 64];
        uint64_t now = os_monotonic_ns();
        bool soon = c != role.running && now >= c->next_ns;
        if (!c->hot || soon || c->took_ns < LONG_NS || now < c->quick_ns || c->newest_ns < QUICK_NS)
            continue;
        struct hub_join how = {.from_ns = c->newest_ns - QUICK_NS, .between = unless_ended};
        struct error e = {0};
        folder_of(c, folder);
        int r = hub_attempts_join(folder, &how, NULL, &e);
        if (r < 0 && r != -ECANCELED)
            tell(c, &e);
        uint64_t then = os_monotonic_ns();
        c->quick_ns = then + (then - now) + SECOND;
    }
}

static int between(void *context)
{
    (void)context;
    if (ended(0))
        return -ECANCELED;
    uint64_t now = os_monotonic_ns(), lasted = now - role.running_ns;
    if (now - role.looked_ns > LOOK_NS) {
        look();
        if (lasted > role.running->took_ns)
            role.running->took_ns = lasted;
        quick_looks();
    }
    return 0;
}

static void run_whole(struct client *c)
{
    char folder[HUB_PATH_MAX + 64];
    struct hub_join how = {.between = between};
    struct error e = {0};
    uint64_t start = os_monotonic_ns();
    folder_of(c, folder);
    c->hot = c->news = false;
    role.running = c;
    role.running_ns = start;
    int r = hub_attempts_join(folder, &how, NULL, &e);
    role.running = NULL;
    uint64_t now = os_monotonic_ns(), wait = (now - start) * SHARE;
    c->took_ns = now - start;
    c->next_ns = now + (wait < LEAST_NS ? LEAST_NS : wait);
    if (r < 0 && r != -ECANCELED) {
        tell(c, &e);
        c->hot = true;
        c->next_ns = now + RETRY_NS;
    }
    malloc_trim(0);
}

static void runs(void)
{
    for (size_t i = 0; i < role.n; i++) {
        struct client *c = &role.clients[i];
        uint64_t now = os_monotonic_ns();
        if (now >= c->next_ns && (c->hot || (c->any && c->news && now >= c->next_ns + OTHERS_NS)))
            run_whole(c);
    }
}

int hub_attempts(const struct hub_setup *setup)
{
    static const int calls[] = {SCMP_SYS(unlink),     SCMP_SYS(ftruncate),
                                SCMP_SYS(flock),      SCMP_SYS(pwritev),
                                SCMP_SYS(pwritev2),   SCMP_SYS(fchmodat),
                                SCMP_SYS(chmod),      SCMP_SYS(umask),
                                SCMP_SYS(getdents64), -1};
    role.state = setup->state;
    umask(077);
    (void)setpriority(PRIO_PROCESS, 0, 10); // ingest goes first
    if (hub_enter("tiercel-hub-att", setup->core_uid, OS_OPEN_READ | OS_FILES, calls) < 0)
        return -1;
    while (!ended((int)(LOOK_NS / 1000000))) {
        look();
        runs();
        quick_looks();
    }
    return 0;
}
