// SPDX-License-Identifier: Apache-2.0
// bench-store FOLDER EVENTS [HOSTS] [BATCH]: fills a store with made-up events of servers (programs started, connections,
// names, files) and says how fast it took them. Then `tiercel hunt --in FOLDER` has something to look through.
#include "store/store.h"
#include "base/cleanup.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#define GROUP 64 // records of one commit
#define RECORD_ROOM (4 << 20)

static struct arena arena;
static unsigned seed = 1;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static ProtobufCBinaryData text(const char *format, unsigned a, unsigned b)
{
    char *p = arena_alloc(&arena, 96);
    int n = snprintf(p, 96, format, a, b);
    return (ProtobufCBinaryData){(size_t)n, (uint8_t *)p};
}

static unsigned pick(unsigned n)
{
    return (unsigned)rand_r(&seed) % n;
}

static Tiercel__Process *process_of(void)
{
    static const char *const programs[] = {"/usr/bin/grep", "/usr/bin/sed",     "/bin/sh",
                                           "/usr/bin/cat",  "/usr/bin/python3", "/usr/sbin/nginx",
                                           "/usr/bin/awk",  "/usr/bin/git"};
    Tiercel__Process *p = arena_new(&arena, Tiercel__Process);
    unsigned program = pick(8);
    tiercel__process__init(p);
    p->id = arena_new(&arena, Tiercel__ProcessId);
    tiercel__process_id__init(p->id);
    p->id->pid = 1000 + pick(30000);
    p->id->start = 1000000ull * pick(1000000);
    p->parent = arena_new(&arena, Tiercel__ProcessId);
    tiercel__process_id__init(p->parent);
    p->parent->pid = 700 + pick(20);
    p->image = arena_new(&arena, Tiercel__File);
    tiercel__file__init(p->image);
    p->image->has_path = p->image->has_inode = p->image->has_sha256 = true;
    p->image->path = text(programs[program], 0, 0);
    p->image->inode = 1000 + program;
    p->image->sha256 = (ProtobufCBinaryData){32, arena_zero(&arena, 32)};
    memset(p->image->sha256.data, (int)program + 1, 32);
    p->argv = arena_array(&arena, ProtobufCBinaryData, 3);
    p->n_argv = 3;
    p->argv[0] = p->image->path;
    p->argv[1] = text("--file=/srv/data/%u/part-%u", pick(200), pick(50));
    p->argv[2] = text("-v%u", pick(4), 0);
    p->lineage = arena_new(&arena, Tiercel__Lineage);
    tiercel__lineage__init(p->lineage);
    p->lineage->role = (char *)(pick(4) ? "cron" : "web");
    return p;
}

static void fill(Tiercel__Event *e, uint64_t id)
{
    tiercel__event__init(e);
    e->has_id = e->has_time = true;
    e->id = id;
    e->time = 1790000000000000000ull + id * 1000000;
    e->process = process_of();
    switch (pick(4)) {
    case 0:
    case 1:
        e->kind_case = TIERCEL__EVENT__KIND_EXEC;
        e->exec = arena_new(&arena, Tiercel__Exec);
        tiercel__exec__init(e->exec);
        break;
    case 2:
        e->kind_case = TIERCEL__EVENT__KIND_CONNECT;
        e->connect = arena_new(&arena, Tiercel__Connect);
        tiercel__connect__init(e->connect);
        e->connect->destination = arena_new(&arena, Tiercel__Address);
        tiercel__address__init(e->connect->destination);
        e->connect->destination->has_ip = e->connect->destination->has_port = true;
        e->connect->destination->ip = (ProtobufCBinaryData){4, arena_zero(&arena, 4)};
        e->connect->destination->ip.data[0] = 10;
        e->connect->destination->ip.data[3] = (uint8_t)pick(200);
        e->connect->destination->port = 443;
        break;
    default:
        e->kind_case = TIERCEL__EVENT__KIND_FILE;
        e->file = arena_new(&arena, Tiercel__FileChange);
        tiercel__file_change__init(e->file);
        e->file->has_action = true;
        e->file->action = TIERCEL__FILE_CHANGE__ACTION__WRITE;
        e->file->file = arena_new(&arena, Tiercel__File);
        tiercel__file__init(e->file->file);
        e->file->file->has_path = true;
        e->file->file->path = text("/srv/data/%u/out-%u", pick(200), pick(1000));
    }
}

struct sender {
    uint8_t id[16];
    struct segment_writer w;
};

static int one_record(struct sender *s, unsigned n, uint64_t *id, char *to, size_t *ret)
{
    Tiercel__Batch b = TIERCEL__BATCH__INIT;
    uint64_t before = s->w.size;
    arena_reset(&arena);
    b.has_host = true;
    b.host = (ProtobufCBinaryData){16, s->id};
    b.events = arena_array(&arena, Tiercel__Event *, n);
    for (; b.n_events < n; b.n_events++)
        fill(b.events[b.n_events] = arena_new(&arena, Tiercel__Event), (*id)++);
    int r = segment_append(&s->w, &b);
    if (r < 0)
        return r;
    *ret = (size_t)(s->w.size - before);
    r = pread(s->w.fd, to, *ret, (off_t)before) == (ssize_t)*ret ? 0 : -1;
    return r < 0 || ftruncate(s->w.fd, 0) < 0 ? -1 : (s->w.size = 0, 0);
}

int main(int argc, char **argv)
{
    struct error e = {0};
    struct store *store;
    static const uint8_t zero[32];
    static struct sender senders[1000];
    uint64_t events = argc > 2 ? strtoull(argv[2], NULL, 10) : 0, id = 1, taken = 0;
    unsigned hosts = argc > 3 ? (unsigned)atoi(argv[3]) : 100;
    unsigned batch = argc > 4 ? (unsigned)atoi(argv[4]) : 500;
    _cleanup_free_ char *room = malloc((size_t)GROUP * RECORD_ROOM / 16);
    double inside = 0;
    if (!events || !room || !hosts || hosts > 1000 || !batch) {
        fprintf(stderr, "usage: bench-store FOLDER EVENTS [HOSTS] [BATCH]\n");
        return 2;
    }
    mkdir(argv[1], 0700);
    for (unsigned i = 0; i < hosts; i++) {
        memcpy(senders[i].id, &(uint32_t){i + 1}, 4);
        int fd = memfd_create("sender", MFD_CLOEXEC);
        if (fd < 0 || fcntl(fd, F_SETFL, O_APPEND) < 0 ||
            segment_writer_init(&senders[i].w, fd, zero, 0) < 0)
            return 1;
    }
    if (store_open(argv[1], NULL, &store, NULL, &e) < 0) {
        error_print(&e, stderr);
        return 1;
    }
    for (unsigned host = 0; taken < events;) {
        struct store_record group[GROUP];
        size_t used = 0, n;
        for (size_t i = 0; i < GROUP; i++, host = (host + 1) % hosts, used += n) {
            if (one_record(&senders[host], batch, &id, room + used, &n) < 0)
                return 1;
            group[i] = (struct store_record){.bytes = {room + used, n}};
        }
        double before = seconds();
        if (store_append(store, group, GROUP, id, &e) < 0 || store_commit(store, &e) < 0) {
            error_print(&e, stderr);
            return 1;
        }
        inside += seconds() - before;
        taken += (uint64_t)GROUP * batch;
    }
    struct store_totals t;
    store_totals(store, &t);
    printf("%llu events of %llu hosts in %llu files, %.1f bytes each; %.2f million/s durable\n",
           (unsigned long long)t.events, (unsigned long long)t.hosts, (unsigned long long)t.files,
           (double)t.bytes / (double)t.events, (double)t.events / inside / 1e6);
    store_close(store);
    arena_done(&arena);
    return 0;
}
