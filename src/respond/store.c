// SPDX-License-Identifier: Apache-2.0
#include "respond/store.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define MAGIC 0x52435254u // "TRCR"
#define VERSION 1u
#define REWRITE_AT (STORE_SLOTS - 64)

static uint64_t check_of(const struct response *r)
{
    return XXH3_64bits((const char *)r + sizeof(r->check), sizeof(*r) - sizeof(r->check));
}

static bool usable(const struct response *r)
{
    return r->magic == MAGIC && r->version == VERSION && r->check == check_of(r) && r->id &&
           r->state < RESPONSE_STATES && r->n_members <= STORE_MEMBERS &&
           memchr(r->what, 0, sizeof(r->what)) && response_order_valid(&r->order);
}

struct response *store_find(struct store *s, uint64_t id)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->list[i].id == id)
            return &s->list[i];
    return NULL;
}

bool store_active(const struct response *r)
{
    return r->state == RESPONSE_PLANNED || r->state == RESPONSE_UNDOING ||
           (r->state == RESPONSE_APPLIED && response_lasts(r->order.action));
}

size_t store_n_active(const struct store *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += store_active(&s->list[i]);
    return n;
}

static struct response *append(struct store *s)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 32;
        struct response *list = reallocarray(s->list, cap, sizeof(*list));
        if (!list)
            return NULL;
        s->list = list;
        s->cap = cap;
    }
    struct response *r = &s->list[s->n++];
    memset(r, 0, sizeof(*r));
    return r;
}

int store_parse(const void *bytes, size_t n, struct store *ret)
{
    static const struct response empty;
    struct store s = {.folder = -1, .fd = -1};
    size_t last_used = 0;
    for (size_t i = 0; i < n / STORE_SLOT && i < STORE_SLOTS; i++) {
        struct response r;
        memcpy(&r, (const char *)bytes + i * STORE_SLOT, sizeof(r));
        if (memcmp(&r, &empty, sizeof(r)) == 0)
            continue;
        if (!usable(&r)) {
            s.damaged++;
            continue;
        }
        last_used = i + 1;
        struct response *known = store_find(&s, r.id);
        if (!known && !(known = append(&s))) {
            store_done(&s);
            return -ENOMEM;
        }
        *known = r;
        if (r.id > s.last_id)
            s.last_id = r.id;
    }
    s.slots = last_used; // a torn last one is written over
    *ret = s;
    return 0;
}

void store_done(struct store *s)
{
    free(s->list);
    if (s->fd >= 0)
        close(s->fd);
    if (s->folder >= 0)
        close(s->folder);
    *s = (struct store){.folder = -1, .fd = -1};
}

static int parse_file(int fd, struct store *ret)
{
    _cleanup_free_ char *text = malloc((size_t)STORE_SLOTS * STORE_SLOT);
    size_t n = 0;
    ssize_t got = 1;
    while (text && n < (size_t)STORE_SLOTS * STORE_SLOT && got > 0) {
        got = pread(fd, text + n, (size_t)STORE_SLOTS * STORE_SLOT - n, (off_t)n);
        n += got > 0 ? (size_t)got : 0;
    }
    return !text ? -ENOMEM : got < 0 ? -errno : store_parse(text, n, ret);
}

int store_read(const char *state, struct store *ret, struct error *e)
{
    char path[600];
    snprintf(path, sizeof(path), "%.500s/responses/journal", state);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return error_set(e, -errno, "cannot read %s: %s", path, strerror(errno));
    int r = parse_file(fd, ret);
    return r < 0 ? error_set(e, r, "cannot read %s: %s", path, strerror(-r)) : 0;
}

// A file with all its room, whatever the disk becomes. Where it cannot be had the records still go in one by one.
static int make_file(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    (void)!fallocate(fd, 0, 0, (off_t)STORE_SLOTS * STORE_SLOT);
    return fd;
}

static int write_slot(int fd, size_t slot, const struct response *r)
{
    char block[STORE_SLOT] = {0};
    memcpy(block, r, sizeof(*r));
    ssize_t n = pwrite(fd, block, sizeof(block), (off_t)(slot * STORE_SLOT));
    return n == (ssize_t)sizeof(block) ? 0 : n < 0 ? -errno : -ENOSPC;
}

static void forget_finished(struct store *s)
{
    size_t finished = s->n - store_n_active(s), kept = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (!store_active(&s->list[i]) && finished > STORE_FINISHED_KEPT) {
            finished--;
            continue;
        }
        if (kept != i)
            s->list[kept] = s->list[i];
        kept++;
    }
    s->n = kept;
}

// One record for each id, in a new file that takes the old one's place.
static int rewrite(struct store *s)
{
    (void)unlinkat(s->folder, "journal.new", 0);
    int fd = make_file(s->folder, "journal.new");
    int r = fd < 0 ? fd : 0;
    for (size_t i = 0; i < s->n && r == 0; i++)
        r = write_slot(fd, i, &s->list[i]);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (r == 0 && renameat(s->folder, "journal.new", s->folder, "journal") < 0)
        r = -errno;
    if (r < 0) {
        if (fd >= 0)
            close(fd);
        return r;
    }
    (void)fsync(s->folder);
    close(s->fd);
    s->fd = fd;
    s->slots = s->n;
    return 0;
}

int store_load(const char *state, struct store *ret, struct error *e)
{
    struct store s = {.folder = -1, .fd = -1};
    char path[600];
    snprintf(path, sizeof(path), "%.500s/responses", state);
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return error_set(e, -errno, "the folder %s cannot be made: %s", path, strerror(errno));
    _cleanup_close_ int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (folder < 0)
        return error_set(e, -errno, "the folder %s cannot be opened: %s", path, strerror(errno));
    _cleanup_close_ int fd = make_file(folder, "journal");
    int r = fd < 0 ? fd : parse_file(fd, &s);
    if (r < 0)
        return error_set(e, r, "the response journal in %s cannot be used: %s", path, strerror(-r));
    (void)fsync(folder);
    s.folder = TAKE_FD(folder);
    s.fd = TAKE_FD(fd);
    *ret = s;
    return 0;
}

struct response *store_new(struct store *s)
{
    if (store_n_active(s) >= STORE_ACTIVE_MAX)
        return NULL;
    forget_finished(s);
    struct response *r = append(s);
    if (r) {
        r->magic = MAGIC;
        r->version = VERSION;
        r->id = ++s->last_id;
        r->state = RESPONSE_PLANNED;
    }
    return r;
}

int store_write(struct store *s, struct response *r)
{
    r->check = check_of(r);
    if (s->slots >= REWRITE_AT)
        (void)rewrite(
            s); // the list has r as it is now; where it fails the rest of the room is used
    if (s->slots >= STORE_SLOTS)
        return -ENOSPC;
    int code = write_slot(s->fd, s->slots, r);
    if (code == 0 && fdatasync(s->fd) < 0)
        code = -errno;
    s->slots += code == 0;
    return code;
}
