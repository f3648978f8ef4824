// SPDX-License-Identifier: Apache-2.0
// What store_open() does: the files behind the catalogue's last closed one are read, the chains moved on by what the
// catalogue did not know, a torn end cut off. Nothing behind the first damage of such a file was ever acknowledged or
// can be told from what was not, so it is not counted as had: hosts send it again.
#include "store/private.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

struct replay {
    struct store *s;
    struct store_opened *said;
    uint64_t known; // bytes of the file that the catalogue has: their chains are in it
    bool index;     // count into the tail, too
};

static int one_record(struct replay *r, struct segment_info *info, struct str record,
                      uint64_t offset, struct error *e)
{
    struct store *s = r->s;
    struct host *host = host_get(&s->hosts, info->host);
    if (!host)
        return error_set(e, -errno, "no room for more hosts");
    if (offset < r->known) {
        chain_remember(&host->chain, info);
    } else {
        struct gap_row gap;
        enum store_result result = chain_step(&host->chain, info, &gap);
        host->dirty = true;
        r->said->records++;
        gap.gap.found_ns = info->to_ns; // when it was found is not known any more
        gap.file = s->tail.file.number;
        if (result == STORE_GAP || result == STORE_RESTARTED)
            buf_add(&s->gaps, &gap, sizeof gap);
    }
    if (!r->index)
        return 0;
    struct str plain;
    Tiercel__Batch *batch;
    int code = segment_record_plain(s->opener, record, &plain, e);
    if (code == 0)
        code = segment_record_unpack(s->opener, info, plain, &batch, e);
    return code < 0 ? code : tail_count(s, info, host, record, batch);
}

// Reads on until the end or the first damage. 0; *ret_end is where what is good ends; -EBADMSG: damaged there.
static int replay(struct replay *r, struct scan *scan, uint64_t *ret_end, struct error *e)
{
    struct segment_info info;
    struct str record;
    int found;
    for (;;) {
        uint64_t offset = *ret_end = scan->offset;
        found = scan_head(scan, &info, e);
        if (found > 0)
            found = scan_take(scan, &info, &record, e);
        if (found <= 0)
            return found;
        found = segment_record_prove(r->s->opener, record, &info, e);
        if (found == 0)
            found = one_record(r, &info, record, offset, e);
        if (found < 0) {
            scan->offset = offset;
            return found;
        }
    }
}

// A file whose chains alone are wanted, for a catalogue that is made anew.
static int read_closed(struct store *s, const struct file *file, struct store_opened *said,
                       struct error *e)
{
    _cleanup_close_ int fd = open_file(s->events_fd, file->number, O_RDONLY);
    struct replay r = {s, said, 0, false};
    struct scan scan;
    uint64_t end;
    if (fd < 0)
        return fd == -ENOENT ? 0 : error_set(e, fd, "cannot open file %" PRIu64, file->number);
    scan_init(&scan, fd, file->size);
    s->tail.file.number = file->number;
    int code = replay(&r, &scan, &end, e);
    scan_done(&scan);
    return code == -EBADMSG ? 0 : code; // what cannot be read is named by store_verify()
}

// Ends a file at its first damage: cut where nothing good is behind it, else left as it is for whoever looks into it.
static int end_at_damage(struct store *s, struct scan *scan, struct store_opened *said,
                         struct error *e)
{
    struct file *file = &s->tail.file;
    if (scan_good_behind(scan, s->opener)) {
        said->damaged_file = file->number;
        said->damaged_at = file->damaged_at = file->size;
        return 0;
    }
    said->cut += scan->end - file->size;
    if (ftruncate(s->tail.fd, (off_t)file->size) < 0 || fdatasync(s->tail.fd) < 0) {
        int r = -errno;
        return error_set(e, r, "cannot cut a torn file: %s", strerror(-r));
    }
    return 0;
}

// 0, 1: the catalogue is ahead of the file.
static int read_open(struct store *s, uint64_t number, bool last, const struct file *row,
                     struct store_opened *said, struct error *e)
{
    struct replay r = {s, said, row ? row->size : 0, true};
    struct scan scan;
    struct stat st;
    uint64_t end = 0;
    int code = tail_begin(s, number, false, e);
    if (code < 0)
        return code;
    if (fstat(s->tail.fd, &st) < 0)
        return error_set(e, -errno, "cannot read file %" PRIu64, number);
    s->tail.file.written_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u;
    s->tail.file.kept = row && row->kept;
    scan_init(&scan, s->tail.fd, (uint64_t)st.st_size);
    code = replay(&r, &scan, &end, e);
    bool ahead = (code == 0 || code == -EBADMSG) && end < r.known;
    if (code == -EBADMSG && !ahead)
        code = end_at_damage(s, &scan, said, e);
    scan_done(&scan);
    if (ahead)
        return 1;
    if (code < 0)
        return code;
    s->tail.dirty = true;
    if (!last || s->tail.file.damaged_at)
        return tail_close(s, e);
    return 0;
}

static const struct file *row_of(const struct files *rows, uint64_t number)
{
    for (size_t i = 0; i < rows->n; i++)
        if (rows->items[i].number == number)
            return &rows->items[i];
    return NULL;
}

// Files that retention had taken out of the catalogue when it was stopped.
static int finish_retention(struct store *s, const struct files *rows, const uint64_t *numbers,
                            size_t n, struct error *e)
{
    const struct file *last = NULL;
    for (size_t i = 0; i < rows->n; i++)
        if (rows->items[i].closed)
            last = &rows->items[i];
    for (size_t i = 0; last && i < n && numbers[i] < last->number; i++) {
        char name[32];
        journal_name(numbers[i], name);
        if (!row_of(rows, numbers[i]) && unlinkat(s->events_fd, name, 0) < 0)
            return error_set(e, -errno, "cannot delete %s: %s", name, strerror(errno));
    }
    return 0;
}

// One try. 0; 1: the catalogue is ahead of the files, begin again from all of them.
static int catch_up(struct store *s, const struct files *rows, const uint64_t *numbers, size_t n,
                    bool rebuild, struct store_opened *said, struct error *e)
{
    uint64_t closed = 0;
    int r = 0;
    for (size_t i = 0; r == 0 && i < rows->n; i++) {
        if (!rows->items[i].closed)
            continue;
        closed = rows->items[i].number;
        r = files_add(&s->files, &rows->items[i]);
        if (r == 0 && rebuild)
            r = read_closed(s, &rows->items[i], said, e);
    }
    for (size_t i = 0; r == 0 && i < n; i++)
        if (numbers[i] > closed)
            r = read_open(s, numbers[i], i + 1 == n, rebuild ? NULL : row_of(rows, numbers[i]),
                          said, e);
    // A file in the catalogue as being written to, that is not there at all.
    for (size_t i = 0; r == 0 && !rebuild && i < rows->n; i++)
        if (!rows->items[i].closed && rows->items[i].size &&
            (n == 0 || numbers[n - 1] < rows->items[i].number))
            r = 1;
    return r;
}

static int begin_again(struct store *s, struct store_opened *said, struct error *e)
{
    if (s->tail.fd >= 0)
        close(s->tail.fd);
    s->tail.fd = -1;
    s->tail.file = (struct file){0};
    s->files.n = 0;
    hosts_done(&s->hosts);
    buf_reset(&s->gaps);
    *said = (struct store_opened){.rebuilt = true};
    return catalogue_clear_hosts(s->catalogue, e);
}

int recover(struct store *s, struct store_opened *ret, struct error *e)
{
    struct files rows = {0};
    _cleanup_free_ uint64_t *numbers = NULL;
    size_t n = 0;
    int r = journal_list(s->events_fd, &numbers, &n);
    if (r < 0)
        return error_set(e, r, "cannot list the store's files: %s", strerror(-r));
    r = catalogue_load_files(s->catalogue, &rows, e);
    if (r == 0)
        r = catalogue_load_hosts(s->catalogue, &s->hosts, e);
    if (r == 0)
        r = finish_retention(s, &rows, numbers, n, e);
    ret->rebuilt = rows.n == 0 && n > 0;
    if (r == 0)
        r = catch_up(s, &rows, numbers, n, false, ret, e);
    if (r == 1) {
        r = begin_again(s, ret, e);
        if (r == 0)
            r = catch_up(s, &rows, numbers, n, true, ret, e);
    }
    for (size_t i = 0; r == 0 && i < rows.n; i++)
        if (!rows.items[i].closed && !(s->tail.file.number == rows.items[i].number) &&
            !row_of(&s->files, rows.items[i].number))
            r = catalogue_drop_file(s->catalogue, rows.items[i].number, e);
    free(rows.items);
    if (r < 0)
        return r;
    s->unlisted = true;
    return store_flush(s, e);
}
