// SPDX-License-Identifier: Apache-2.0
// Any bytes as two files of a journal, the second of which grows while it is read. With an odd first byte the checks of
// every batch are made right before. What comes out are whole records in rising order, and reading ends.
#include "event/segment_format.h"
#include "link/spool.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define RECORD_MAX ((size_t)64 << 10)

static void seal_all(uint8_t *p, size_t n)
{
    struct segment_header h;
    for (size_t at = 0; n - at >= sizeof h;) {
        memcpy(&h, p + at, sizeof h);
        if (h.compressed > n - at - sizeof h)
            h.compressed = (uint32_t)(n - at - sizeof h);
        segment_seal(&h, p + at + sizeof h);
        memcpy(p + at, &h, sizeof h);
        at += sizeof h + h.compressed;
    }
}

static int open_memory(void *context, uint64_t from, uint64_t *ret_number)
{
    const int *files = context;
    if (from > 2)
        return -ENOENT;
    *ret_number = from < 2 ? 1 : 2;
    return dup(files[*ret_number - 1]);
}

// Everything there is; `next` is what must come next at least.
static void drain(struct spool *s, uint64_t *next)
{
    static uint8_t room[RECORD_MAX];
    struct spool_part part;
    struct segment_header h;
    while (spool_read(s, room, RECORD_MAX / 2, 1000, &part, NULL) > 0) {
        if (part.first < *next || part.next <= part.first || part.bytes > RECORD_MAX)
            abort();
        size_t at = 0;
        for (unsigned i = 0; i < part.records; i++, at += sizeof h + h.compressed) {
            memcpy(&h, room + at, sizeof h);
            if (at + sizeof h + h.compressed > part.bytes || !segment_header_good(&h) ||
                !segment_body_good(&h, room + at + sizeof h))
                abort();
        }
        if (at != part.bytes || h.sequence + 1 != part.next)
            abort();
        *next = part.next;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int files[2] = {memfd_create("one", MFD_CLOEXEC), memfd_create("two", MFD_CLOEXEC)};
    uint8_t *copy = malloc(size + 1);
    struct spool *s = NULL;
    struct spool_source source = {files, open_memory};
    if (size < 4 || files[0] < 0 || files[1] < 0 || !copy || spool_new(&source, RECORD_MAX, &s) < 0)
        goto out;
    size_t n = size - 4, cut = n * data[1] / 256, rest = n - cut, half = rest * data[2] / 256;
    memcpy(copy, data + 4, n);
    if (data[0] & 1) {
        seal_all(copy, cut);
        seal_all(copy + cut, rest);
    }
    uint64_t next = data[3];
    (void)!write(files[0], copy, cut);
    (void)!write(files[1], copy + cut, half);
    int r = spool_seek(s, next, data[0] & 2 && size >= 36 ? data + size - 32 : NULL, NULL);
    if (r < 0)
        goto out;
    drain(s, &next);
    (void)!write(files[1], copy + cut + half, rest - half);
    drain(s, &next);
out:
    spool_free(s);
    free(copy);
    for (unsigned i = 0; i < 2; i++)
        if (files[i] >= 0)
            close(files[i]);
    return 0;
}
