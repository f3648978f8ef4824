// SPDX-License-Identifier: Apache-2.0
// Any bytes as a file of the store, read as recovery reads it. With an odd first byte the checks of every record are made
// right before, so that what lies behind them is reached too. Reading stays within the file and ends with an answer.
#include "event/segment_format.h"
#include "store/private.h"

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

static void read_all(int fd, size_t size)
{
    struct segment_opener *opener;
    struct segment_info info;
    struct str record, plain;
    struct map hosts = {0};
    struct keys keys = {0};
    struct scan scan;
    struct error e = {0};
    Tiercel__Batch *batch;
    int r;
    if (segment_opener_new(&opener) < 0)
        return;
    scan_init(&scan, fd, size);
    while ((r = scan_head(&scan, &info, &e)) > 0 &&
           (r = scan_take(&scan, &info, &record, &e)) > 0) {
        struct gap_row gap;
        struct host *host;
        if (scan.offset > size)
            abort();
        if (segment_record_prove(opener, record, &info, &e) < 0 ||
            !(host = host_get(&hosts, info.host)))
            break;
        chain_step(&host->chain, &info, &gap);
        if (chain_step(&host->chain, &info, &gap) != STORE_KNOWN && info.sequence != UINT64_MAX)
            abort();
        if (segment_record_plain(opener, record, &plain, &e) == 0 &&
            segment_record_unpack(opener, &info, plain, &batch, &e) == 0)
            keys_add_batch(&keys, batch);
    }
    if (r < 0 && e.what[0] == 0)
        abort();
    if (r < 0)
        scan_good_behind(&scan, opener);
    scan_done(&scan);
    keys_done(&keys);
    hosts_done(&hosts);
    segment_opener_free(opener);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("segment", MFD_CLOEXEC);
    uint8_t *copy = malloc(size + 1);
    if (size && fd >= 0 && copy) {
        memcpy(copy, data + 1, size - 1);
        if (data[0] & 1)
            seal_all(copy, size - 1);
        if (write(fd, copy, size - 1) == (ssize_t)size - 1)
            read_all(fd, size - 1);
    }
    free(copy);
    if (fd >= 0)
        close(fd);
    return 0;
}
