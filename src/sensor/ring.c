// SPDX-License-Identifier: Apache-2.0
// Layout as linux/bpf.h describes it: a page with the reader's position (writable), a page with the writer's, then the
// data twice in a row, so that no record is ever split for the reader.
#include "sensor/ring.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct ring {
    unsigned long *read_to;          // ours
    const unsigned long *written_to; // the kernel's
    const char *data;
    size_t bytes, page;
};

int ring_open(int fd, size_t bytes, struct ring **ret)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct ring *ring = calloc(1, sizeof *ring);
    void *reader, *writer;

    if (!ring)
        return -ENOMEM;
    reader = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (reader == MAP_FAILED) {
        free(ring);
        return -errno;
    }
    writer = mmap(NULL, page + 2 * bytes, PROT_READ, MAP_SHARED, fd, (off_t)page);
    if (writer == MAP_FAILED) {
        int r = -errno;
        munmap(reader, page);
        free(ring);
        return r;
    }
    *ring = (struct ring){.read_to = reader,
                          .written_to = writer,
                          .data = (char *)writer + page,
                          .bytes = bytes,
                          .page = page};
    *ret = ring;
    return 0;
}

struct ring *ring_close(struct ring *ring)
{
    if (ring) {
        munmap(ring->read_to, ring->page);
        munmap((void *)ring->written_to, ring->page + 2 * ring->bytes);
        free(ring);
    }
    return NULL;
}

int ring_drain(struct ring *ring, unsigned max, ring_take *take, void *context)
{
    unsigned long at = *ring->read_to, end = __atomic_load_n(ring->written_to, __ATOMIC_ACQUIRE);
    unsigned n = 0;
    int r = 0;

    while (at < end && n < max && r >= 0) {
        const char *record = ring->data + (at & (ring->bytes - 1));
        uint32_t header = __atomic_load_n((const uint32_t *)record, __ATOMIC_ACQUIRE);
        size_t bytes = header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

        if (header & BPF_RINGBUF_BUSY_BIT) // still being written
            break;
        if (!(header & BPF_RINGBUF_DISCARD_BIT)) {
            r = take(context, record + BPF_RINGBUF_HDR_SZ, bytes);
            n++;
        }
        at += (bytes + BPF_RINGBUF_HDR_SZ + 7) & ~7ul;
        __atomic_store_n(ring->read_to, at, __ATOMIC_RELEASE);
    }
    return r < 0 ? r : (int)n;
}

size_t ring_waiting(const struct ring *ring)
{
    return __atomic_load_n(ring->written_to, __ATOMIC_ACQUIRE) - *ring->read_to;
}
