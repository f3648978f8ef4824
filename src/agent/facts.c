// SPDX-License-Identifier: Apache-2.0
#include "agent/facts.h"

#include "agent/facts_container.h"
#include "agent/facts_open.h"
#include "base/cleanup.h"
#include "base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define HASHES 8192u
#define NAMES 1024u
#define REQUESTS 256u
#define FILE_MAX_BYTES ((uint64_t)256 << 20)
#define READ_BYTES 65536u
#define OVERLAY_MAGIC 0x794C7630
#define NS_PER_S 1000000000ull

struct hash {
    struct facts_file file;
    uint8_t sha256[FACTS_SHA256];
};
struct name {
    char id[72], text[64];
};

struct facts {
    int proc_fd;
    pthread_t thread;
    pthread_mutex_t lock; // of all that follows
    pthread_cond_t wake;
    bool stop;
    struct facts_program requests[REQUESTS];
    unsigned first, n;
    struct facts_program done[REQUESTS]; // not taken yet
    uint8_t done_sha256[REQUESTS][FACTS_SHA256];
    unsigned first_done, n_done;
    struct name ids[REQUESTS]; // containers asked for; only .id
    unsigned n_ids;
    struct hash hashes[HASHES]; // a ring: the oldest goes
    unsigned next_hash;
    struct map by_file; // struct facts_file -> struct hash
    struct name names[NAMES];
    unsigned next_name;
    struct map by_id; // id -> struct name
    struct facts_stats stats;
    const char *docker, *podman;
};

static struct str key_of(const struct facts_file *file)
{
    return str_bytes(file, sizeof *file);
}

// ---- the thread

// 0 when what was opened is what was asked for. An overlay's own device is not what stat() says of its files.
static int same_file(int fd, const struct facts_program *program)
{
    struct stat st;
    struct statfs fs;
    if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
        return -errno;
    uint64_t changed = (uint64_t)st.st_ctim.tv_sec * NS_PER_S + (uint64_t)st.st_ctim.tv_nsec;
    bool same = st.st_dev == program->file.device && st.st_ino == program->file.inode;
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != program->file.size ||
        changed != program->file.changed_ns || (!same && fs.f_type != OVERLAY_MAGIC))
        return -ESTALE;
    return 0;
}

static int hash_fd(int fd, uint8_t ret[FACTS_SHA256])
{
    static unsigned char room[READ_BYTES]; // one thread
    struct sha256_ctx hash;
    ssize_t n;
    sha256_init(&hash);
    while ((n = read(fd, room, sizeof room)) > 0)
        sha256_update(&hash, (size_t)n, room);
    if (n < 0)
        return -EIO;
    sha256_digest(&hash, FACTS_SHA256, ret);
    return 0;
}

static int hash_program(struct facts *facts, const struct facts_program *program,
                        uint8_t ret[FACTS_SHA256])
{
    _cleanup_close_ int fd = facts_open_program(facts->proc_fd, (pid_t)program->pid,
                                                str_from(program->path), program->judged);
    if (fd < 0)
        return fd;
    int r = same_file(fd, program);
    if (r == 0 && (r = hash_fd(fd, ret)) == 0)
        r = same_file(fd, program); // written meanwhile: the hash of no content that was ever there
    return r;
}

// With the lock held.
static void remember(struct facts *facts, const struct facts_file *file,
                     const uint8_t sha256[FACTS_SHA256])
{
    struct hash *slot = &facts->hashes[facts->next_hash];
    facts->next_hash = (facts->next_hash + 1) % HASHES;
    if (map_get(&facts->by_file, key_of(&slot->file)) == slot)
        map_remove(&facts->by_file, key_of(&slot->file));
    map_remove(&facts->by_file, key_of(file));
    slot->file = *file;
    memcpy(slot->sha256, sha256, FACTS_SHA256);
    map_put(&facts->by_file, key_of(&slot->file), slot);
    facts->stats.hashed++;
}

static void one_program(struct facts *facts)
{
    uint8_t sha256[FACTS_SHA256];
    struct facts_program program = facts->requests[facts->first];
    facts->first = (facts->first + 1) % REQUESTS;
    facts->n--;
    struct hash *known = map_get(&facts->by_file, key_of(&program.file));
    if (known)
        memcpy(sha256, known->sha256, sizeof sha256);
    pthread_mutex_unlock(&facts->lock);
    int r = known ? 0 : hash_program(facts, &program, sha256);
    pthread_mutex_lock(&facts->lock);
    if (r < 0) {
        facts->stats.refused++;
        return;
    }
    if (!known)
        remember(facts, &program.file, sha256);
    if (facts->n_done == REQUESTS) {
        facts->stats.dropped++;
        return;
    }
    unsigned at = (facts->first_done + facts->n_done++) % REQUESTS;
    facts->done[at] = program;
    memcpy(facts->done_sha256[at], sha256, sizeof sha256);
}

static void one_container(struct facts *facts)
{
    struct name found = facts->ids[0];
    memmove(facts->ids, facts->ids + 1, --facts->n_ids * sizeof facts->ids[0]);
    const char *docker = facts->docker, *podman = facts->podman;
    pthread_mutex_unlock(&facts->lock);
    container_name(docker, podman, found.id, found.text);
    pthread_mutex_lock(&facts->lock);
    struct name *slot = &facts->names[facts->next_name];
    facts->next_name = (facts->next_name + 1) % NAMES;
    if (map_get(&facts->by_id, str_from(slot->id)) == slot)
        map_remove(&facts->by_id, str_from(slot->id));
    map_remove(&facts->by_id, str_from(found.id));
    *slot = found; // without a name, too: it is not looked for again
    map_put(&facts->by_id, str_from(slot->id), slot);
}

static void *run(void *context)
{
    struct facts *facts = context;
    struct sched_param lowest = {0};
    sched_setscheduler(0, SCHED_BATCH, &lowest);
    pthread_mutex_lock(&facts->lock);
    while (!facts->stop) {
        if (facts->n_ids)
            one_container(facts);
        else if (facts->n)
            one_program(facts);
        else
            pthread_cond_wait(&facts->wake, &facts->lock);
    }
    pthread_mutex_unlock(&facts->lock);
    return NULL;
}

// ---- the others

int facts_new(int proc_fd, struct facts **ret)
{
    struct facts *facts = calloc(1, sizeof *facts);
    if (!facts)
        return -ENOMEM;
    facts->proc_fd = proc_fd;
    facts->by_file.quota = HASHES;
    facts->by_id.quota = NAMES;
    facts->docker = CONTAINER_DOCKER;
    facts->podman = CONTAINER_PODMAN;
    pthread_mutexattr_t inherit; // a question of the gate may wait for it
    pthread_mutexattr_init(&inherit);
    pthread_mutexattr_setprotocol(&inherit, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&facts->lock, &inherit);
    pthread_mutexattr_destroy(&inherit);
    pthread_cond_init(&facts->wake, NULL);
    int r = pthread_create(&facts->thread, NULL, run, facts);
    if (r) {
        free(facts);
        return -r;
    }
    *ret = facts;
    return 0;
}

struct facts *facts_free(struct facts *facts)
{
    if (!facts)
        return NULL;
    pthread_mutex_lock(&facts->lock);
    facts->stop = true;
    pthread_cond_signal(&facts->wake);
    pthread_mutex_unlock(&facts->lock);
    pthread_join(facts->thread, NULL);
    map_done(&facts->by_file);
    map_done(&facts->by_id);
    free(facts);
    return NULL;
}

bool facts_hash(struct facts *facts, const struct facts_file *file, uint8_t ret[FACTS_SHA256])
{
    pthread_mutex_lock(&facts->lock);
    const struct hash *known = map_get(&facts->by_file, key_of(file));
    if (known)
        memcpy(ret, known->sha256, FACTS_SHA256);
    pthread_mutex_unlock(&facts->lock);
    return known;
}

void facts_ask(struct facts *facts, const struct facts_program *program)
{
    if (program->file.size > FILE_MAX_BYTES || !program->file.inode)
        return;
    pthread_mutex_lock(&facts->lock);
    bool waiting = false;
    for (unsigned i = 0; i < facts->n && !waiting; i++)
        waiting = str_eq(key_of(&facts->requests[(facts->first + i) % REQUESTS].file),
                         key_of(&program->file));
    if (!waiting && facts->n == REQUESTS) {
        facts->stats.dropped++;
    } else if (!waiting) {
        facts->requests[(facts->first + facts->n++) % REQUESTS] = *program;
        pthread_cond_signal(&facts->wake);
    }
    pthread_mutex_unlock(&facts->lock);
}

bool facts_take(struct facts *facts, struct facts_program *ret, uint8_t ret_sha256[FACTS_SHA256])
{
    pthread_mutex_lock(&facts->lock);
    bool any = facts->n_done > 0;
    if (any) {
        *ret = facts->done[facts->first_done];
        memcpy(ret_sha256, facts->done_sha256[facts->first_done], FACTS_SHA256);
        facts->first_done = (facts->first_done + 1) % REQUESTS;
        facts->n_done--;
    }
    pthread_mutex_unlock(&facts->lock);
    return any;
}

bool facts_container(struct facts *facts, struct str id, char ret[64])
{
    ret[0] = 0;
    if (!container_id_good(id))
        return false;
    pthread_mutex_lock(&facts->lock);
    const struct name *known = map_get(&facts->by_id, id);
    bool waiting = known != NULL;
    for (unsigned i = 0; i < facts->n_ids && !waiting; i++)
        waiting = str_eq(str_from(facts->ids[i].id), id);
    if (known)
        memcpy(ret, known->text, sizeof known->text);
    if (!waiting && facts->n_ids < REQUESTS) {
        struct name *asked = &facts->ids[facts->n_ids++];
        memcpy(asked->id, id.p, id.n);
        asked->id[id.n] = asked->text[0] = 0;
        pthread_cond_signal(&facts->wake);
    }
    pthread_mutex_unlock(&facts->lock);
    return ret[0] != 0;
}

struct facts_stats facts_stats(struct facts *facts)
{
    pthread_mutex_lock(&facts->lock);
    struct facts_stats stats = facts->stats;
    pthread_mutex_unlock(&facts->lock);
    return stats;
}

void facts_container_folders(struct facts *facts, const char *docker, const char *podman)
{
    pthread_mutex_lock(&facts->lock);
    facts->docker = docker ? docker : CONTAINER_DOCKER;
    facts->podman = podman ? podman : CONTAINER_PODMAN;
    pthread_mutex_unlock(&facts->lock);
}
