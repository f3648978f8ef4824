// SPDX-License-Identifier: Apache-2.0
#include "store/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTE_MAX ((size_t)1 << 20)

// ---- open, close

static int lock(struct store *s, const char *folder, struct error *e)
{
    char *path;
    if (asprintf(&path, "%s/events", folder) < 0)
        return error_set(e, -ENOMEM, "no memory for a store");
    int r = mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
    s->events_fd = r < 0 ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r == 0 && s->events_fd < 0)
        r = -errno;
    if (r < 0)
        error_set(e, r, "cannot open %s: %s", path, strerror(-r));
    free(path);
    if (r == 0 && flock(s->events_fd, LOCK_EX | LOCK_NB) < 0) {
        r = errno == EWOULDBLOCK ? -EBUSY : -errno;
        error_set(e, r, "another process writes to the store %s", folder);
    }
    return r;
}

int store_open(const char *folder, const struct store_options *options, struct store **ret,
               struct store_opened *ret_opened, struct error *e)
{
    struct store_opened opened = {0};
    struct store *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(e, -ENOMEM, "no memory for a store");
    s->events_fd = s->tail.fd = -1;
    s->file_bytes = options && options->file_bytes ? options->file_bytes : STORE_FILE_BYTES;
    s->tail.hosts.limit = (size_t)16 * STORE_HOSTS_MAX;
    s->folder = strdup(folder);
    s->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    s->tail.sha = EVP_MD_CTX_new();
    int r = s->folder && s->md && s->tail.sha ? segment_opener_new(&s->opener) : -ENOMEM;
    if (r < 0)
        error_set(e, r, "no memory for a store");
    else
        r = lock(s, folder, e);
    if (r == 0)
        r = catalogue_open(folder, false, &s->catalogue, e);
    if (r == 0)
        r = recover(s, &opened, e);
    if (r == 0)
        catalogue_count_gaps(s->catalogue, &s->n_gaps);
    if (r < 0) {
        store_close(s);
        return r;
    }
    if (ret_opened)
        *ret_opened = opened;
    *ret = s;
    return 0;
}

struct store *store_close(struct store *s)
{
    if (!s)
        return NULL;
    catalogue_close(s->catalogue);
    if (s->tail.fd >= 0)
        close(s->tail.fd);
    if (s->events_fd >= 0)
        close(s->events_fd);
    struct buf *const bufs[] = {&s->tail.hosts, &s->gaps,  &s->iov,
                                &s->touched,    &s->found, &s->taken};
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        buf_done(bufs[i]);
    keys_done(&s->tail.keys);
    EVP_MD_CTX_free(s->tail.sha);
    EVP_MD_free(s->md);
    segment_opener_free(s->opener);
    hosts_done(&s->hosts);
    free(s->files.items);
    free(s->folder);
    free(s);
    return NULL;
}

// ---- hosts

static void chain_tell(const struct chain *chain, struct store_chain *ret)
{
    *ret = (struct store_chain){.next = chain->next, .to_ns = chain->to_ns, .at_ns = chain->at_ns};
    memcpy(ret->last, chain->last, sizeof ret->last);
}

void store_next(const struct store *s, const uint8_t host[16], struct store_chain *ret)
{
    const struct host *found = map_get(&s->hosts, str_bytes(host, 16));
    const struct chain none = {0};
    chain_tell(found ? &found->chain : &none, ret);
}

bool store_host_each(const struct store *s, size_t *position, uint8_t ret_host[16],
                     struct store_chain *ret)
{
    struct map_entry *entry;
    while ((entry = map_next(&s->hosts, position))) {
        const struct host *host = entry->value;
        if (!host->chain.any)
            continue;
        memcpy(ret_host, host->id, 16);
        chain_tell(&host->chain, ret);
        return true;
    }
    return false;
}

// ---- gaps

struct gaps_context {
    int (*each)(void *context, const struct store_gap *gap);
    void *context;
};

static int gap_row(void *context, const struct catalogue_cell *cells)
{
    struct gaps_context *c = context;
    struct store_gap gap = {.from = cells[1].number,
                            .to = cells[2].number,
                            .restarted = cells[3].number != 0,
                            .from_ns = cells[4].number,
                            .to_ns = cells[5].number,
                            .found_ns = cells[6].number};
    if (cells[0].bytes.n != sizeof gap.host)
        return 0;
    memcpy(gap.host, cells[0].bytes.p, sizeof gap.host);
    return c->each(c->context, &gap);
}

// Those not yet in the catalogue are told after those that are.
static int gaps_pending(struct store *s, const uint8_t *host, uint64_t from_ns, uint64_t to_ns,
                        struct gaps_context *c)
{
    const struct gap_row *rows = (const struct gap_row *)s->gaps.p;
    int r = 0;
    for (size_t i = 0; r == 0 && i < s->gaps.n / sizeof *rows; i++) {
        const struct store_gap *g = &rows[i].gap;
        if ((!host || memcmp(host, g->host, 16) == 0) && (!from_ns || g->to_ns >= from_ns) &&
            (!to_ns || g->from_ns <= to_ns))
            r = c->each(c->context, g);
    }
    return r;
}

int store_gaps(struct store *s, const uint8_t *host, uint64_t from_ns, uint64_t to_ns,
               int (*each)(void *context, const struct store_gap *gap), void *context,
               struct error *e)
{
    struct gaps_context c = {each, context};
    const struct catalogue_cell values[] = {
        {.number = from_ns},
        {.number = to_ns ? to_ns : INT64_MAX},
        {.bytes = host ? str_bytes(host, 16) : STR_NONE},
    };
    int r =
        catalogue_ask(s->catalogue,
                      host ? "SELECT host,first,final,restarted,from_ns,to_ns,found_ns FROM gap "
                             "WHERE to_ns>=?1 AND from_ns<=?2 AND host=?3 ORDER BY found_ns"
                           : "SELECT host,first,final,restarted,from_ns,to_ns,found_ns FROM gap "
                             "WHERE to_ns>=?1 AND from_ns<=?2 ORDER BY found_ns",
                      values, host ? 3 : 2, gap_row, &c, e);
    return r ? r : gaps_pending(s, host, from_ns, to_ns, &c);
}

// ---- totals, retention

void store_totals(const struct store *s, struct store_totals *ret)
{
    struct store_totals t = {.gaps = s->n_gaps};
    for (size_t i = 0; i <= s->files.n; i++) {
        const struct file *f = i < s->files.n ? &s->files.items[i] : &s->tail.file;
        t.files += f->number != 0;
        t.bytes += f->size;
        t.batches += f->batches;
        t.events += f->events;
        if (f->from_ns && (!t.oldest_ns || f->from_ns < t.oldest_ns))
            t.oldest_ns = f->from_ns;
        if (f->to_ns > t.newest_ns)
            t.newest_ns = f->to_ns;
    }
    uint8_t id[16];
    struct store_chain chain;
    for (size_t i = 0; store_host_each(s, &i, id, &chain);)
        t.hosts++;
    *ret = t;
}

int store_keep(struct store *s, const uint8_t host[16], uint64_t from_ns, uint64_t to_ns,
               struct error *e)
{
    uint8_t one[1][16];
    memcpy(one[0], host, 16);
    const struct store_filter filter = {.hosts = one, .n_hosts = 1};
    for (size_t i = 0; i <= s->files.n; i++) {
        bool tail = i == s->files.n;
        struct file *f = tail ? &s->tail.file : &s->files.items[i];
        if (f->number == 0 || f->kept || f->to_ns < from_ns || f->from_ns > to_ns)
            continue;
        int r = tail ? 1 : catalogue_may_have(s->catalogue, f->number, &filter, e);
        if (r < 0)
            return r;
        f->kept = r;
        if (r && (r = catalogue_put_file(s->catalogue, f, e)) < 0)
            return r;
    }
    return 0;
}

// What is missing from the disk without having left the catalogue before is a fault; recovery finishes what is left.
static void unlink_dropped(struct store *s)
{
    size_t left = 0;
    for (size_t i = 0; i < s->files.n; i++) {
        char name[32];
        journal_name(s->files.items[i].number, name);
        if (s->files.items[i].dropped)
            unlinkat(s->events_fd, name, 0); // one that stays is found at the next opening
        else
            s->files.items[left++] = s->files.items[i];
    }
    s->files.n = left;
}

int store_retain(struct store *s, uint64_t before_ns, uint64_t max_bytes, uint64_t *ret_files,
                 struct error *e)
{
    struct store_totals totals;
    store_totals(s, &totals);
    uint64_t deleted = 0, first = s->tail.file.number, gone_ns = 0;
    int r = keep_attempts(s, e);
    // The newest closed file stays: the next one's chain begins at it.
    for (size_t i = 0; r == 0 && i < s->files.n; i++) {
        struct file *f = &s->files.items[i];
        bool old = before_ns && f->written_ns < before_ns;
        bool over = max_bytes && totals.bytes > max_bytes;
        if (f->kept || (!old && !over) || i + 1 == s->files.n) {
            first = f->number < first || !first ? f->number : first;
            continue;
        }
        totals.bytes -= f->size;
        deleted++;
        f->dropped = true;
        // By the hub's clock where a host's runs ahead of it.
        uint64_t to_ns = f->to_ns < f->written_ns ? f->to_ns : f->written_ns;
        gone_ns = to_ns > gone_ns ? to_ns : gone_ns;
        r = catalogue_drop_file(s->catalogue, f->number, e);
    }
    if (r == 0 && deleted)
        r = seal_attempts(s, gone_ns, e);
    if (r == 0 && deleted)
        r = catalogue_drop_gaps(s->catalogue, first, e);
    if (r == 0)
        r = store_commit(s, e);
    if (r < 0) {
        s->broken = true; // the catalogue is read again when it is opened
        return r;
    }
    unlink_dropped(s);
    if (ret_files)
        *ret_files = deleted;
    return 0;
}

// ---- notes

int store_note_put(struct store *s, const char *kind, struct str key, struct str value,
                   struct error *e)
{
    const struct catalogue_cell values[] = {
        {.bytes = str_from(kind)}, {.bytes = key.n ? key : STR("")}, {.bytes = value}};
    if (value.n > NOTE_MAX)
        return error_set(e, -E2BIG, "a note of %zu bytes; %zu are allowed", value.n, NOTE_MAX);
    if (value.n == 0)
        return catalogue_change(s->catalogue, "DELETE FROM note WHERE kind=?1 AND key=?2", values,
                                2, e);
    return catalogue_change(
        s->catalogue, "INSERT OR REPLACE INTO note(kind,key,value) VALUES(?1,?2,?3)", values, 3, e);
}

struct notes_context {
    int (*each)(void *context, struct str key, struct str value);
    void *context;
};

static int note_row(void *context, const struct catalogue_cell *cells)
{
    struct notes_context *c = context;
    return c->each(c->context, cells[0].bytes, cells[1].bytes);
}

int store_note_each(struct store *s, const char *kind,
                    int (*each)(void *context, struct str key, struct str value), void *context,
                    struct error *e)
{
    struct notes_context c = {each, context};
    const struct catalogue_cell values[] = {{.bytes = str_from(kind)}};
    return catalogue_ask(s->catalogue, "SELECT key,value FROM note WHERE kind=?1 ORDER BY key",
                         values, 1, note_row, &c, e);
}
