// SPDX-License-Identifier: Apache-2.0
// What came to a store since somebody looked last, by the headers of the records, and the gaps in its chains: for readers
// beside the one that writes.
#include "store/attempts.h"

#include "base/cleanup.h"
#include "store/private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static void count(struct store_news *n, const struct segment_info *info)
{
    n->batches++;
    n->events += info->n_events;
    n->detections += info->n_detections;
    n->verdicts += info->n_verdicts;
    if (info->to_ns > n->newest_ns)
        n->newest_ns = info->to_ns;
}

// From p->offset to the end, or to what is not whole (yet).
static int news_of_file(int events_fd, struct store_position *p, struct store_news *ret,
                        struct error *e)
{
    struct stat st;
    _cleanup_close_ int fd = open_file(events_fd, p->file, O_RDONLY);
    if (fd == -ENOENT) // retention was faster
        return 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set(e, fd < 0 ? fd : -errno, "cannot open a segment");
    struct scan scan;
    struct segment_info info;
    struct error why = {0};
    int r;
    scan_init(&scan, fd, (uint64_t)st.st_size);
    scan.offset = p->offset;
    while ((r = scan_head(&scan, &info, &why)) > 0) {
        count(ret, &info);
        scan_pass(&scan, &info);
    }
    p->offset = scan.offset;
    scan_done(&scan);
    if (r < 0 && r != -EBADMSG && r != -ENOTSUP) {
        *e = why;
        return r;
    }
    return 0;
}

int store_news(const char *folder, struct store_position *position, struct store_news *ret,
               struct error *e)
{
    _cleanup_free_ char *events = NULL;
    _cleanup_free_ uint64_t *numbers = NULL;
    struct store_news news = {0};
    size_t n = 0;
    if (asprintf(&events, "%s/events", folder) < 0)
        return error_set(e, -ENOMEM, "no memory");
    _cleanup_close_ int fd = open(events, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 ? -errno : journal_list(fd, &numbers, &n);
    if (r < 0 && r != -ENOENT)
        return error_set(e, r, "cannot list %s: %s", events, strerror(-r));
    for (size_t i = 0; r >= 0 && i < n; i++) {
        if (numbers[i] < position->file)
            continue;
        if (numbers[i] > position->file)
            *position = (struct store_position){.file = numbers[i]};
        r = news_of_file(fd, position, &news, e);
    }
    if (r < 0 && r != -ENOENT)
        return r;
    *ret = news;
    return 0;
}

struct reading {
    int (*each)(void *context, const struct store_gap *gap);
    void *context;
};

static int gap_row_read(void *context, const struct catalogue_cell *cells)
{
    const struct reading *r = context;
    struct store_gap gap = {.from = cells[1].number,
                            .to = cells[2].number,
                            .restarted = cells[3].number != 0,
                            .from_ns = cells[4].number,
                            .to_ns = cells[5].number,
                            .found_ns = cells[6].number};
    if (cells[0].bytes.n != sizeof gap.host)
        return 0;
    memcpy(gap.host, cells[0].bytes.p, sizeof gap.host);
    return r->each(r->context, &gap);
}

int store_gaps_read(const char *folder, int (*each)(void *context, const struct store_gap *gap),
                    void *context, struct error *e)
{
    struct catalogue *c = NULL;
    struct reading reading = {each, context};
    int r = catalogue_open(folder, true, &c, e);
    if (r < 0)
        return r;
    r = catalogue_ask(c,
                      "SELECT host,first,final,restarted,from_ns,to_ns,found_ns FROM gap"
                      " ORDER BY host,from_ns,first,final",
                      NULL, 0, gap_row_read, &reading, e);
    catalogue_close(c);
    return r;
}
