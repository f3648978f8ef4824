// SPDX-License-Identifier: Apache-2.0
// Files: the watch list (sensor/watch.h) in a thread of its own, so that a slow disk delays neither verdicts nor the
// rings. Where the kernel's programs see files it only keeps their map of roots; else it reads the notification group.
// Bytes are taken off the kernel's queue (16,384 events) apart from looking at them: what comes faster than it can be
// looked at waits in READ_ROOM bytes of our own, and what does not fit there is counted event by event.
#include "agent/engine_private.h"

#include "base/cleanup.h"
#include "sensor/watch.h"
#include "sensor/watch_parse.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <time.h>
#include <unistd.h>

#define GATHER_NS 15000000 // events of this long are taken together: the kernel wakes us once
#define PULL_NS 4000000u   // while we look at some, the queue is emptied this often
#define REFRESH_NS 5000000000u
#define STALE_NS 200000000u
#define FOLD_NS 1000000000u
#define CHUNK_BYTES ((size_t)256 << 10)
#define CHUNKS 32 // READ_ROOM: 8 MiB
#define FOLD_SLOTS 256u
#define FOLD_PATH 256u
#define PENDING 128
#define LAST_ROUNDS 20
#define WAIT_FOR_ROOM 400 // times 2 ms

struct chunk {
    char *bytes; // allocated while in use
    size_t n;
    uint64_t since_ns; // all of it happened after this
};

// The same again and again by one process: told once at once, and once a second how often.
struct fold {
    bool used;
    uint64_t first_ns, count;
    struct watch_change last;
    char path[FOLD_PATH], old_path[FOLD_PATH];
};

struct happening {
    struct watch_change change; // texts in the arena
    uint64_t since_ns, repeated;
};

struct files {
    struct engine *e;
    pthread_t thread;
    pthread_mutex_t lock; // of the members up to the next blank line
    int next_group, next_map;
    bool given, stop;

    int wake_fd, group, map;
    struct watch *w;
    char *declared; // protected folders, each with its NUL
    struct watch_stats said;
    struct chunk chunks[CHUNKS];
    size_t first, n_chunks;
    uint64_t since_ns; // the queue was empty
    uint64_t pulled_ns, refreshed_ns, folded_ns, lost, lost_since_ns;
    uint64_t looking_since_ns;   // of the chunk that is looked at
    uint64_t overflows, thinned; // told as loss
    struct fold folds[FOLD_SLOTS];
    struct arena arena; // of pending
    struct happening pending[PENDING];
    size_t n_pending;
};

static uint64_t now_of(const struct files *f)
{
    return f->e->env.monotonic_ns(&f->e->env);
}

static void rest_for(uint64_t ns)
{
    struct timespec t = {.tv_nsec = (long)ns};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

// ---- off the kernel's queue

static void count_lost(struct files *f, struct str bytes)
{
    struct watch_record r;
    if (!f->lost)
        f->lost_since_ns = f->since_ns;
    while (watch_parse(&bytes, &r) == 1)
        f->lost++;
}

// Everything that waits. True: there was something.
static bool pull(struct files *f)
{
    static char spill[CHUNK_BYTES];
    bool any = false;
    for (;;) {
        struct chunk *c = NULL;
        uint64_t before = now_of(f);
        if (f->n_chunks < CHUNKS) {
            c = &f->chunks[(f->first + f->n_chunks) % CHUNKS];
            if (!c->bytes)
                c->bytes = malloc(CHUNK_BYTES);
        }
        char *into = c && c->bytes ? c->bytes : spill;
        ssize_t n = f->group < 0 ? -1 : read(f->group, into, CHUNK_BYTES);
        f->pulled_ns = before;
        if (n <= 0) {
            f->since_ns = before;
            return any;
        }
        any = true;
        if (into == spill) {
            count_lost(f, str_bytes(spill, (size_t)n));
            continue;
        }
        c->n = (size_t)n;
        c->since_ns = f->since_ns;
        f->n_chunks++;
    }
}

// ---- into events

static ProtobufCBinaryData bytes_in(struct arena *arena, struct str s)
{
    struct str copy = arena_str(arena, s);
    return (ProtobufCBinaryData){copy.n, (uint8_t *)copy.p};
}

static void fill_file(Tiercel__File *file, const struct watch_change *c)
{
    file->has_device = file->has_inode = file->has_size = file->has_mode = 1;
    file->has_owner = file->has_changed = 1;
    file->device = (uint64_t)(c->device >> 20) << 8 | (c->device & 0xff) |
                   (uint64_t)(c->device & 0xfff00) << 12;
    file->inode = c->inode;
    file->size = c->size;
    file->mode = c->mode;
    file->owner = c->owner;
    file->changed = c->changed_ns;
}

static void fill_change(Tiercel__FileChange *change, const struct happening *t, struct arena *arena)
{
    const struct watch_change *c = &t->change;
    change->has_action = change->has_folder = change->has_executable = 1;
    change->action = (Tiercel__FileChange__Action)c->action;
    change->folder = c->folder;
    change->executable = c->executable;
    change->has_protected_ = change->has_denied = 1;
    change->protected_ = c->watch == WATCH_PROTECTED;
    change->watch = (char *)watch_word(c->watch);
    change->attribute = (char *)c->attribute;
    change->has_old_mode = c->has_old_mode;
    change->old_mode = c->old_mode;
    change->has_repeated = t->repeated > 0;
    change->repeated = t->repeated;
    change->has_found = c->found;
    change->found = c->found;
    if (c->old_path.n) {
        change->has_old_path = 1;
        change->old_path = bytes_in(arena, c->old_path);
    }
}

// Who did it is a number that may be another's by now: only a process that lived then counts. What was found in a new
// folder is most likely of who made the folder, but not where that has ended (mkdir).
static bool acted(struct engine *e, const struct happening *t, Tiercel__ProcessId *ret)
{
    uint32_t pid = t->change.pid;
    if (t->change.found)
        return pid && tree_find(e->tree, pid, ret);
    return pid && tree_acted(e->tree, pid, t->since_ns, e->clock.boot_to_wall, ret);
}

// With the engine's lock.
static void make_event(struct files *f, const struct happening *t)
{
    struct engine *e = f->e;
    struct arena *arena = &e->open->arena;
    Tiercel__Event *event = arena_new(arena, Tiercel__Event);
    Tiercel__FileChange *change = arena_new(arena, Tiercel__FileChange);
    Tiercel__File *file = arena_new(arena, Tiercel__File);
    Tiercel__Process *process = arena_new(arena, Tiercel__Process);
    Tiercel__ProcessId *id = arena_new(arena, Tiercel__ProcessId);
    if (!event || !change || !file || !process || !id) {
        e->open->dropped++;
        return;
    }
    tiercel__event__init(event);
    tiercel__file_change__init(change);
    tiercel__file__init(file);
    tiercel__process__init(process);
    tiercel__process_id__init(id);
    event->kind_case = TIERCEL__EVENT__KIND_FILE;
    event->file = change;
    event->has_time = 1;
    event->time = e->env.now_ns(&e->env);
    change->file = file;
    if (t->change.known)
        fill_file(file, &t->change);
    if (t->change.action == FILE_DELETE)
        file->has_deleted = file->deleted = 1;
    file->has_path = 1;
    file->path = bytes_in(arena, t->change.path);
    fill_change(change, t, arena);
    if (acted(e, t, id)) {
        process->id = id;
        event->process = process;
    }
    observe_made(e, event);
}

static void publish(struct files *f)
{
    struct engine *e = f->e;
    if (!f->n_pending)
        return;
    pthread_mutex_lock(&e->lock);
    // The journal is behind: the kernel's queue and our chunks hold what comes meanwhile.
    for (int i = 0; i < WAIT_FOR_ROOM &&
                    (e->open->n_events > BATCH_ROOM / 2 || e->open->arena.used > BATCH_LIMIT / 2);
         i++) {
        pthread_mutex_unlock(&e->lock);
        journal_wake(e);
        rest_for(2000000);
        pull(f);
        pthread_mutex_lock(&e->lock);
    }
    observe_structural(e); // who started and ended until now
    for (size_t i = 0; i < f->n_pending; i++)
        make_event(f, &f->pending[i]);
    bool full = batch_full(e) || e->open->urgent;
    pthread_mutex_unlock(&e->lock);
    if (full)
        journal_wake(e);
    f->n_pending = 0;
    arena_reset(&f->arena);
    if (now_of(f) - f->pulled_ns > PULL_NS)
        pull(f);
}

static void add(struct files *f, const struct watch_change *c, uint64_t repeated)
{
    struct happening *t = &f->pending[f->n_pending++];
    *t = (struct happening){.change = *c, .since_ns = f->looking_since_ns, .repeated = repeated};
    t->change.path = arena_str(&f->arena, c->path);
    t->change.old_path = c->old_path.n ? arena_str(&f->arena, c->old_path) : STR_NONE;
    if (f->n_pending == PENDING)
        publish(f);
}

// ---- folding

static uint32_t slot_of(const struct watch_change *c)
{
    uint32_t h = 2166136261u ^ c->pid ^ (uint32_t)c->action << 24;
    for (size_t i = 0; i < c->path.n; i++)
        h = (h ^ (unsigned char)c->path.p[i]) * 16777619u;
    return (h ^ h >> 15) % FOLD_SLOTS;
}

static void unfold(struct files *f, struct fold *slot)
{
    if (slot->used && slot->count)
        add(f, &slot->last, slot->count);
    slot->used = false;
    slot->count = 0;
}

static void collect(void *context, const struct watch_change *c)
{
    struct files *f = context;
    struct fold *slot = &f->folds[slot_of(c)];
    uint64_t now = f->folded_ns;
    struct watch_change *last = &slot->last;
    bool same = slot->used && now - slot->first_ns < FOLD_NS && last->pid == c->pid &&
                last->action == c->action && last->mode == c->mode && last->owner == c->owner &&
                last->attribute == c->attribute && last->executable == c->executable &&
                str_eq(last->path, c->path) && str_eq(last->old_path, c->old_path);
    if (!same) {
        unfold(f, slot);
        add(f, c, 0);
        if (c->path.n > FOLD_PATH || c->old_path.n > FOLD_PATH)
            return;
        slot->used = true;
        slot->first_ns = now;
    } else {
        slot->count++;
    }
    slot->last = *c;
    memcpy(slot->path, c->path.p, c->path.n);
    slot->last.path = str_bytes(slot->path, c->path.n);
    if (c->old_path.n)
        memcpy(slot->old_path, c->old_path.p, c->old_path.n);
    slot->last.old_path = str_bytes(slot->old_path, c->old_path.n);
}

static void unfold_old(struct files *f, bool all)
{
    for (size_t i = 0; i < FOLD_SLOTS; i++)
        if (f->folds[i].used && (all || f->folded_ns - f->folds[i].first_ns >= FOLD_NS))
            unfold(f, &f->folds[i]);
}

// ---- what was lost, and what is covered

static void tell_loss(struct files *f)
{
    struct engine *e = f->e;
    struct watch_stats s = watch_stats(f->w);
    uint64_t overflows = s.overflows - f->overflows, thinned = s.thinned - f->thinned;
    uint64_t to = e->env.now_ns(&e->env);
    if (!f->lost && !overflows && !thinned)
        return;
    pthread_mutex_lock(&e->lock);
    uint64_t from = (f->lost ? f->lost_since_ns : f->looking_since_ns) + e->clock.boot_to_wall;
    batch_loss(e, "file", f->lost, from, to, "more changes of files than the engine could take in");
    batch_loss(e, "file", overflows, from, to,
               "the kernel's queue of file events was full, this often; it does not say how many");
    batch_loss(e, "file", thinned, to - WATCH_THIN_NS, to,
               "times that a busy temporary folder was watched less: creates and deletes in it");
    e->stats->lost_bulk += f->lost + overflows + thinned;
    pthread_mutex_unlock(&e->lock);
    if (f->lost)
        watch_lost(f->w); // new folders may have been among it
    f->lost = 0;
    f->overflows = s.overflows;
    f->thinned = s.thinned;
}

static void tell_row(struct files *f)
{
    struct watch_stats s = watch_stats(f->w);
    struct watch_stats *was = &f->said;
    uint64_t uncovered = s.full + s.refused + s.deep + s.other;
    if (s.roots == was->roots && s.first_refused[0] == was->first_refused[0] &&
        uncovered == was->full + was->refused + was->deep + was->other &&
        s.folders / 64 == was->folders / 64)
        return;
    *was = s;
    struct control_mechanism row = {.works = s.roots ? CONTROL_WORKS : CONTROL_REFUSED};
    snprintf(row.name, sizeof row.name, "watched folders");
    int n = f->map >= 0
                ? snprintf(row.reason, sizeof row.reason, "%llu places, by the kernel's programs",
                           (unsigned long long)s.roots)
                : snprintf(row.reason, sizeof row.reason, "%llu places, %llu folders, by fanotify",
                           (unsigned long long)s.roots, (unsigned long long)s.folders);
    if (uncovered && n > 0 && (size_t)n < sizeof row.reason)
        snprintf(row.reason + n, sizeof row.reason - (size_t)n, "; not covered: %llu, first %.80s",
                 (unsigned long long)uncovered, s.first_refused);
    role_tell(f->e->role, TOLD_MECHANISM, &row, sizeof row, -1);
}

// ---- the thread

static void use_given(struct files *f)
{
    pthread_mutex_lock(&f->lock);
    bool given = f->given;
    int group = f->next_group, map = f->next_map;
    f->next_group = f->next_map = -1;
    f->given = false;
    pthread_mutex_unlock(&f->lock);
    if (!given)
        return;
    // A group that is read already has its marks: the sensor's next one would only leave a gap.
    if (map < 0 && f->group >= 0) {
        if (group >= 0)
            close(group);
        return;
    }
    int old[] = {f->group, f->map};
    f->group = map < 0 ? group : -1;
    f->map = map;
    if (map >= 0) {
        if (group >= 0)
            close(group);
        watch_use_map(f->w, map);
    } else {
        watch_use_group(f->w, group);
    }
    for (int i = 0; i < 2; i++)
        if (old[i] >= 0)
            close(old[i]);
    f->overflows = f->thinned = 0;
    f->refreshed_ns = 0;
    f->since_ns = now_of(f);
}

static void refresh(struct files *f)
{
    if (f->group < 0 && f->map < 0)
        return;
    uint64_t since = now_of(f) - f->refreshed_ns;
    if (f->refreshed_ns && since < (watch_stale(f->w) ? STALE_NS : REFRESH_NS))
        return;
    f->looking_since_ns = f->since_ns;
    watch_refresh(f->w, collect, f);
    publish(f);
    f->refreshed_ns = now_of(f);
    tell_row(f);
}

static void look(struct files *f)
{
    while (f->n_chunks) {
        struct chunk *c = &f->chunks[f->first];
        f->looking_since_ns = c->since_ns;
        f->folded_ns = now_of(f);
        watch_take(f->w, str_bytes(c->bytes, c->n), c->since_ns, collect, f);
        f->first = (f->first + 1) % CHUNKS;
        f->n_chunks--;
        if (f->n_chunks || f->first) { // a flood's memory is given back
            free(c->bytes);
            c->bytes = NULL;
        }
        if (!f->n_chunks)
            f->first = 0;
    }
    watch_rest(f->w);
}

static void *run(void *context)
{
    struct files *f = context;
    bool stop = false;
    unsigned rounds = 0; // since we were asked to stop: what waits is still taken, but not for ever
    while (!stop) {
        struct pollfd fds[] = {{.fd = f->wake_fd, .events = POLLIN},
                               {.fd = f->group, .events = POLLIN}};
        uint64_t ignored;
        int patience = f->n_chunks ? 0 : (int)(STALE_NS / 1000000 * (watch_stale(f->w) ? 1 : 4));
        poll(fds, 2, patience);
        if (fds[0].revents && read(f->wake_fd, &ignored, sizeof ignored) < 0)
            continue;
        pthread_mutex_lock(&f->lock);
        stop = f->stop && (!f->n_chunks || ++rounds > LAST_ROUNDS);
        pthread_mutex_unlock(&f->lock);
        use_given(f);
        if (fds[1].revents && !f->n_chunks && !stop)
            rest_for(GATHER_NS);
        pull(f);
        look(f);
        f->folded_ns = now_of(f);
        watch_tend(f->w, collect, f);
        unfold_old(f, stop);
        publish(f);
        pull(f); // most often nothing: then what comes later came after all that was looked at
        tell_loss(f);
        if (!stop)
            refresh(f);
    }
    for (size_t i = 0; i < f->n_chunks; i++) {
        struct chunk *c = &f->chunks[(f->first + i) % CHUNKS];
        count_lost(f, str_bytes(c->bytes, c->n));
    }
    tell_loss(f);
    return NULL;
}

// ---- for the main thread

static void wake(struct files *f)
{
    uint64_t one = 1;
    if (write(f->wake_fd, &one, sizeof one) < 0)
        return; // the counter is full: it is awake already
}

void files_given(struct engine *e)
{
    struct files *f = e->files;
    const int *fds = e->role->probes;
    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    int *const next[] = {&f->next_group, &f->next_map};
    const int given[] = {fds[GIVE_PROBE_FILES], fds[GIVE_PROBE_WATCHED]};
    for (int i = 0; i < 2; i++) {
        if (*next[i] >= 0)
            close(*next[i]);
        *next[i] = given[i] < 0 ? -1 : dup(given[i]);
    }
    f->given = true;
    pthread_mutex_unlock(&f->lock);
    wake(f);
}

// NULL: none, or no memory.
static char *list_declared(const struct protect_settings *s)
{
    char *list = s ? calloc(1, sizeof s->folders + 1) : NULL;
    for (uint32_t i = 0, at = 0; list && i < s->n_folders && i < PROTECT_FOLDERS; i++)
        at += (uint32_t)snprintf(list + at, PROTECT_PATH, "%s", s->folders[i]) + 1;
    return list;
}

int files_start(struct engine *e)
{
    struct files *f = calloc(1, sizeof *f);
    if (!f)
        return -ENOMEM;
    *f = (struct files){
        .e = e, .next_group = -1, .next_map = -1, .group = -1, .map = -1, .arena.limit = 8u << 20};
    pthread_mutex_init(&f->lock, NULL);
    f->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    f->declared = list_declared(e->protect);
    const struct watch_options options = {
        .env = &e->env, .web = e->role->setup.web_roots, .declared = f->declared};
    int r = f->wake_fd < 0 ? -errno : watch_new(&options, &f->w);
    if (r == 0)
        r = -pthread_create(&f->thread, NULL, run, f);
    if (r < 0) {
        watch_free(f->w);
        if (f->wake_fd >= 0)
            close(f->wake_fd);
        free(f->declared);
        free(f);
        return r;
    }
    e->files = f;
    files_given(e);
    return 0;
}

void files_stop(struct engine *e)
{
    struct files *f = e->files;
    if (!f)
        return;
    e->files = NULL;
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_mutex_unlock(&f->lock);
    wake(f);
    pthread_join(f->thread, NULL);
    watch_free(f->w);
    for (size_t i = 0; i < CHUNKS; i++)
        free(f->chunks[i].bytes);
    arena_done(&f->arena);
    free(f->declared);
    int fds[] = {f->group, f->map, f->next_group, f->next_map, f->wake_fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(f);
}
