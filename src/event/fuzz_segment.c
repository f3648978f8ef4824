// SPDX-License-Identifier: Apache-2.0
// Any bytes as a segment. With an odd first byte the checks of every batch are made right before, so that what lies
// behind them is reached too. Reading stays within the file and its own limits and ends with a defined answer.
#include "event/segment_format.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("segment", MFD_CLOEXEC);
    uint8_t *copy = malloc(size + 1);
    struct segment_reader *r;
    struct segment_info info;
    struct error e = {0};
    Tiercel__Batch *batch;
    int answer;
    if (size == 0 || fd < 0 || !copy)
        goto out;
    memcpy(copy, data + 1, size - 1);
    if (data[0] & 1)
        seal_all(copy, size - 1);
    if (write(fd, copy, size - 1) != (ssize_t)size - 1 || segment_reader_new(fd, &r) < 0)
        goto out;
    while ((answer = segment_next(r, NULL, NULL, &info, &batch, &e)) > 0)
        if (batch->n_events != info.n_events || segment_offset(r) > size - 1)
            abort();
    if (answer < 0 && e.what[0] == 0)
        abort();
    if (answer == -EBADMSG && segment_next(r, NULL, NULL, &info, &batch, NULL) != -EBADMSG)
        abort();
    uint64_t before = segment_offset(r);
    if (answer == -EBADMSG && segment_resync(r) && segment_offset(r) <= before)
        abort();
    segment_reader_free(r);
out:
    free(copy);
    if (fd >= 0)
        close(fd);
    return 0;
}
