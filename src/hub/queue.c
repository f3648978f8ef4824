// SPDX-License-Identifier: Apache-2.0
#include "hub/queue.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <xxhash.h>

#define MAGIC 0x31657565757154ull
#define ITEM_MAX (1u << 20)
#define BEGIN 64u // bytes of the header

struct header {
    uint64_t magic, head, number, dropped, unused[3], check;
};
_Static_assert(sizeof(struct header) == BEGIN, "as in the file");
struct item {
    uint32_t size, check;
};

static int write_header(const struct queue *q)
{
    struct header h = {.magic = MAGIC, .head = q->head, .number = q->number, .dropped = q->dropped};
    h.check = XXH3_64bits(&h, offsetof(struct header, check));
    return pwrite(q->fd, &h, sizeof h, 0) == (ssize_t)sizeof h ? 0 : -EIO;
}

// The item at `at`: its size; 0: none that is whole.
static uint32_t item_at(const struct queue *q, uint64_t at, struct buf *to)
{
    struct item i;
    if (pread(q->fd, &i, sizeof i, (off_t)at) != (ssize_t)sizeof i || i.size == 0 ||
        i.size > ITEM_MAX)
        return 0;
    char *room = buf_room(to, i.size);
    if (!room || pread(q->fd, room, i.size, (off_t)(at + sizeof i)) != (ssize_t)i.size ||
        (uint32_t)XXH3_64bits(room, i.size) != i.check)
        return 0;
    to->n += i.size;
    return i.size;
}

static void recover(struct queue *q)
{
    struct header h;
    _cleanup_buf_ struct buf b = {0};
    bool good = pread(q->fd, &h, sizeof h, 0) == (ssize_t)sizeof h && h.magic == MAGIC &&
                h.check == XXH3_64bits(&h, offsetof(struct header, check)) && h.head >= BEGIN;
    q->head = good ? h.head : BEGIN;
    q->number = good ? h.number : 0;
    q->dropped = good ? h.dropped : 0;
    q->size = q->head;
    for (uint32_t n; (n = item_at(q, q->size, &b)); buf_reset(&b)) {
        q->size += sizeof(struct item) + n;
        q->items++;
    }
}

int queue_open(const char *path, uint64_t limit, struct queue *ret, struct error *e)
{
    struct queue q = {.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600),
                      .limit = limit};
    if (q.fd < 0)
        return error_set(e, -errno, "%s: %s", path, strerror(errno));
    recover(&q);
    if (ftruncate(q.fd, (off_t)q.size) < 0 || write_header(&q) < 0) {
        close(q.fd);
        return error_set(e, -EIO, "%s: cannot be written", path);
    }
    *ret = q;
    return 0;
}

void queue_close(struct queue *q)
{
    if (q->fd >= 0)
        close(q->fd);
    q->fd = -1;
}

// Moves what waits to the begin. The header goes first to the new place's size only when all has been moved: a crash
// between leaves either the old head or, after the header, the new one. Only done where the two do not overlap.
static int compact(struct queue *q)
{
    uint64_t waiting = q->size - q->head, done = 0;
    char piece[65536];
    if (q->head - BEGIN < waiting || q->head == BEGIN)
        return -ENOSPC;
    while (done < waiting) {
        size_t n = waiting - done < sizeof piece ? (size_t)(waiting - done) : sizeof piece;
        if (pread(q->fd, piece, n, (off_t)(q->head + done)) != (ssize_t)n ||
            pwrite(q->fd, piece, n, (off_t)(BEGIN + done)) != (ssize_t)n)
            return -EIO;
        done += n;
    }
    struct queue moved = *q;
    moved.head = BEGIN;
    moved.size = BEGIN + waiting;
    // Cut only after the header is durable; what is behind is not read as items once it is cut.
    if (fdatasync(q->fd) < 0 || write_header(&moved) < 0 || fdatasync(q->fd) < 0 ||
        ftruncate(q->fd, (off_t)moved.size) < 0)
        return -EIO;
    *q = moved;
    return 0;
}

static int drop(struct queue *q)
{
    q->dropped++;
    q->touched = true;
    return write_header(q) < 0 ? -EIO : -ENOSPC;
}

int queue_put(struct queue *q, struct str item)
{
    struct item i = {(uint32_t)item.n, (uint32_t)XXH3_64bits(item.p, item.n)};
    uint64_t need = sizeof i + item.n;
    if (item.n == 0 || item.n > ITEM_MAX)
        return drop(q);
    if (q->size + need > q->limit && (compact(q) < 0 || q->size + need > q->limit))
        return drop(q);
    _cleanup_free_ char *both = malloc(need);
    if (!both)
        return -ENOMEM;
    memcpy(both, &i, sizeof i);
    memcpy(both + sizeof i, item.p, item.n);
    if (pwrite(q->fd, both, need, (off_t)q->size) != (ssize_t)need)
        return ftruncate(q->fd, (off_t)q->size) < 0 ? -EIO : drop(q);
    q->size += need;
    q->items++;
    q->touched = true;
    return 0;
}

int queue_sync(struct queue *q)
{
    int r = q->touched && fdatasync(q->fd) < 0 ? -errno : 0;
    q->touched = false;
    return r;
}

ssize_t queue_peek(struct queue *q, size_t max_items, size_t max_bytes, struct buf *to)
{
    ssize_t n = 0;
    uint64_t at = q->head;
    for (uint32_t size; (size_t)n < max_items && at < q->size; n++) {
        size_t before = to->n;
        size = item_at(q, at, to);
        if (!size)
            return n ? n : -EBADMSG;
        if (n && to->n > max_bytes) {
            to->n = before;
            break;
        }
        buf_add_char(to, '\n');
        at += sizeof(struct item) + size;
    }
    return to->failed ? to->failed : n;
}

int queue_pop(struct queue *q, size_t n, bool dropped)
{
    for (size_t k = 0; k < n && q->items; k++) {
        struct item i;
        if (pread(q->fd, &i, sizeof i, (off_t)q->head) != (ssize_t)sizeof i)
            return -EIO;
        q->head += sizeof i + i.size;
        q->number++;
        q->items--;
        q->dropped += dropped;
    }
    bool empty = q->items == 0;
    if (empty)
        q->head = q->size = BEGIN;
    int r = write_header(q); // first: a head beyond the end would be found empty, not the reverse
    if (r == 0 && empty && ftruncate(q->fd, BEGIN) < 0)
        r = -errno;
    return r;
}
