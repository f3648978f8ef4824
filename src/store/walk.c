// SPDX-License-Identifier: Apache-2.0
// Reading: files by the catalogue, records by their clear headers, bodies only of what is left. The catalogue may be
// absent or behind: then files are opened and looked through.
#include "store/private.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct source {
    uint64_t number;
    uint64_t size;
    bool by_catalogue; // closed, with a row
};

struct store_walk {
    struct store_filter filter;
    uint8_t (*hosts)[16];
    uint64_t *keys;
    int folder_fd; // -1: one file
    struct catalogue *catalogue;
    struct files rows;
    struct source *sources;
    size_t n, next;
    int fd;
    struct scan scan;
    uint64_t name; // of the file that is read
    struct segment_opener *opener;
    struct store_walk_counts counts;
};

struct store_walk *store_walk_free(struct store_walk *w)
{
    if (w) {
        scan_done(&w->scan);
        catalogue_close(w->catalogue);
        if (w->fd >= 0)
            close(w->fd);
        if (w->folder_fd >= 0)
            close(w->folder_fd);
        segment_opener_free(w->opener);
        free(w->rows.items);
        free(w->sources);
        free(w->hosts);
        free(w->keys);
        free(w);
    }
    return NULL;
}

const struct store_walk_counts *store_walk_counts(const struct store_walk *w)
{
    return &w->counts;
}

static int copy_filter(struct store_walk *w, const struct store_filter *f)
{
    w->filter = *f;
    w->hosts = calloc(f->n_hosts + 1, sizeof *w->hosts);
    w->keys = calloc(f->n_keys + 1, sizeof *w->keys);
    if (!w->hosts || !w->keys)
        return -ENOMEM;
    if (f->n_hosts)
        memcpy(w->hosts, f->hosts, f->n_hosts * sizeof *w->hosts);
    if (f->n_keys)
        memcpy(w->keys, f->keys, f->n_keys * sizeof *w->keys);
    w->filter.hosts = (const uint8_t(*)[16])w->hosts;
    w->filter.keys = w->keys;
    return 0;
}

static const struct file *row_of(const struct store_walk *w, uint64_t number)
{
    size_t low = 0, high = w->rows.n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (w->rows.items[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < w->rows.n && w->rows.items[low].number == number ? &w->rows.items[low] : NULL;
}

static int list(struct store_walk *w, struct error *e)
{
    _cleanup_free_ uint64_t *numbers = NULL;
    size_t n = 0;
    int r = journal_list(w->folder_fd, &numbers, &n);
    if (r < 0)
        return error_set(e, r, "cannot list the segments: %s", strerror(-r));
    w->sources = calloc(n + 1, sizeof *w->sources);
    if (!w->sources)
        return error_set(e, -ENOMEM, "no memory for %zu files", n);
    for (size_t i = 0; i < n; i++) {
        char name[32];
        struct stat st;
        journal_name(numbers[i], name);
        if (fstatat(w->folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue; // retention was faster
        const struct file *row = row_of(w, numbers[i]);
        struct source source = {numbers[i], (uint64_t)st.st_size, row && row->closed};
        if (row && row->damaged_at && row->damaged_at < source.size)
            source.size = row->damaged_at;
        w->counts.bytes += source.size;
        w->sources[w->n++] = source;
    }
    return w->n ? 0 : error_set(e, -ENOENT, "there are no segments");
}

static int open_place(struct store_walk *w, const char *path, struct error *e)
{
    struct stat st;
    struct error ignored = {0};
    if (stat(path, &st) < 0)
        return error_set(e, -errno, "cannot open %s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode)) {
        w->sources = calloc(1, sizeof *w->sources);
        w->fd = open(path, O_RDONLY | O_CLOEXEC);
        if (!w->sources || w->fd < 0)
            return error_set(e, -errno, "cannot open %s: %s", path, strerror(errno));
        w->counts.files = 1;
        w->counts.bytes = (uint64_t)st.st_size;
        scan_init(&w->scan, w->fd, (uint64_t)st.st_size);
        return 0;
    }
    _cleanup_free_ char *events = NULL;
    if (asprintf(&events, "%s/events", path) < 0)
        return error_set(e, -ENOMEM, "no memory");
    bool client = access(events, F_OK) == 0;
    w->folder_fd = open(client ? events : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w->folder_fd < 0)
        return error_set(e, -errno, "cannot open %s: %s", path, strerror(errno));
    // Without the catalogue (of another version, not readable by this user) every file is looked through.
    if (client && catalogue_open(path, true, &w->catalogue, &ignored) == 0 &&
        catalogue_load_files(w->catalogue, &w->rows, &ignored) < 0)
        w->catalogue = catalogue_close(w->catalogue);
    return list(w, e);
}

int store_walk_new(const char *path, const struct store_filter *filter, struct store_walk **ret,
                   struct error *e)
{
    struct store_walk *w = calloc(1, sizeof *w);
    if (!w)
        return error_set(e, -ENOMEM, "no memory");
    w->folder_fd = w->fd = -1;
    int r = copy_filter(w, filter);
    if (r == 0)
        r = segment_opener_new(&w->opener);
    if (r < 0)
        error_set(e, r, "no memory");
    else
        r = open_place(w, path, e);
    if (r < 0) {
        store_walk_free(w);
        return r;
    }
    *ret = w;
    return 0;
}

// ---- what passes

static bool times_touch(const struct store_filter *f, uint64_t from_ns, uint64_t to_ns)
{
    return (!f->from_ns || to_ns >= f->from_ns) && (!f->to_ns || from_ns <= f->to_ns);
}

// May the file have something? 1, 0, negative errno.
static int file_passes(struct store_walk *w, const struct source *source, struct error *e)
{
    const struct store_filter *f = &w->filter;
    const struct file *row = source->by_catalogue ? row_of(w, source->number) : NULL;
    if (!row)
        return 1;
    if (!times_touch(f, row->from_ns, row->to_ns) || (f->kinds && !(row->kinds & f->kinds)))
        return 0;
    return f->n_hosts || f->n_keys ? catalogue_may_have(w->catalogue, source->number, f, e) : 1;
}

static bool batch_passes(const struct store_filter *f, const struct segment_info *info)
{
    if (!times_touch(f, info->from_ns, info->to_ns) || (f->kinds && !(info->kinds & f->kinds)) ||
        (f->detections && !info->n_detections) || (f->skip && f->skip(f->skip_context, info)))
        return false;
    for (size_t i = 0; i < f->n_hosts; i++)
        if (memcmp(f->hosts[i], info->host, 16) == 0)
            return true;
    return f->n_hosts == 0;
}

// Goes on to the next file that may have something. 1; 0: none is left.
static int next_file(struct store_walk *w, struct error *e)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    while (w->next < w->n) {
        const struct source *source = &w->sources[w->next++];
        int r = file_passes(w, source, e);
        if (r < 0)
            return r;
        w->counts.files++;
        if (r == 0) {
            w->counts.files_skipped++;
            w->counts.bytes_done += source->size;
            continue;
        }
        w->fd = open_file(w->folder_fd, source->number, O_RDONLY);
        if (w->fd == -ENOENT) // retention was faster
            continue;
        if (w->fd < 0)
            return error_set(e, w->fd, "cannot open a segment: %s", strerror(-w->fd));
        scan_done(&w->scan);
        scan_init(&w->scan, w->fd, source->size);
        w->name = source->number;
        return 1;
    }
    return 0;
}

// The file is not read any further. 2.
static int end_of_file(struct store_walk *w, const struct error *why, struct error *e)
{
    w->counts.damaged++;
    w->counts.bytes_done += w->scan.end - w->scan.offset;
    w->scan.offset = w->scan.end;
    if (w->name)
        error_set(e, -EBADMSG, "segment %" PRIu64 ": %s", w->name, why->what);
    else
        error_set(e, -EBADMSG, "%s", why->what);
    return 2;
}

static int check(struct store_walk *w, struct str record, uint64_t before, struct error *why)
{
    if (segment_record_whole(record))
        return 0;
    w->scan.offset = before;
    return error_set(why, -EBADMSG, "damaged at byte %" PRIu64 ": the body's check differs",
                     before);
}

int store_walk_next(struct store_walk *w, struct segment_info *ret_info, struct str *ret_record,
                    struct error *e)
{
    for (;;) {
        struct error why = {0};
        uint64_t before = w->scan.offset;
        int r = w->fd < 0 ? 0 : scan_head(&w->scan, ret_info, &why);
        if (r == 0 && w->fd >= 0 && w->folder_fd < 0)
            return 0;
        if (r == 0) {
            r = next_file(w, e);
            if (r <= 0)
                return r;
            continue;
        }
        if (r > 0 && !batch_passes(&w->filter, ret_info)) {
            scan_pass(&w->scan, ret_info);
            w->counts.batches++;
            w->counts.batches_skipped++;
            w->counts.events_skipped += ret_info->n_events;
            w->counts.bytes_done += w->scan.offset - before;
            continue;
        }
        if (r > 0)
            r = scan_take(&w->scan, ret_info, ret_record, &why);
        if (r > 0 && check(w, *ret_record, before, &why) < 0)
            r = -EBADMSG;
        if (r < 0 && r != -EBADMSG && r != -ENOTSUP) {
            *e = why;
            return r;
        }
        if (r < 0)
            return end_of_file(w, &why, e);
        w->counts.batches++;
        w->counts.bytes_done += w->scan.offset - before;
        return 1;
    }
}
