// SPDX-License-Identifier: Apache-2.0
// state.db. Whatever is in it can be made again from the files, but the notes, what is kept, the filters and the hashes of
// closed files: those are written once. In WAL with synchronous=NORMAL a power loss may take the last transactions, never
// more: recovery reads what they said from the end of the files.
#include "store/private.h"

#include "base/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>

#define BUSY_MS 5000
#define HOSTS_BLOB_MAX ((size_t)16 * STORE_HOSTS_MAX)
#define SCHEMA_VERSION 1

static const char schema[] =
    "BEGIN;"
    "CREATE TABLE file(number INTEGER PRIMARY KEY, size INTEGER, batches INTEGER, events INTEGER,"
    " from_ns INTEGER, to_ns INTEGER, kinds INTEGER, written_ns INTEGER, damaged_at INTEGER,"
    " closed INTEGER, kept INTEGER, sha256 BLOB, chain BLOB);"
    "CREATE TABLE closed(number INTEGER PRIMARY KEY, hosts BLOB, bloom BLOB);"
    "CREATE TABLE host(id BLOB PRIMARY KEY, next INTEGER, first_sequence INTEGER, to_ns INTEGER,"
    " at_ns INTEGER, last BLOB, first BLOB) WITHOUT ROWID;"
    "CREATE TABLE gap(host BLOB, resumed BLOB, first INTEGER, final INTEGER, restarted INTEGER,"
    " from_ns INTEGER, to_ns INTEGER, found_ns INTEGER, file INTEGER, PRIMARY KEY(host, resumed))"
    " WITHOUT ROWID;"
    "CREATE TABLE note(kind TEXT, key BLOB, value BLOB, PRIMARY KEY(kind, key)) WITHOUT ROWID;"
    "PRAGMA user_version=1;"
    "COMMIT;";

enum query {
    BEGIN,
    COMMIT,
    FILES,
    HOSTS,
    PUT_FILE,
    PUT_CLOSED,
    DROP_FILE,
    DROP_CLOSED,
    PUT_HOST,
    CLEAR_HOSTS,
    PUT_GAP,
    DROP_GAPS,
    HAS_GAP,
    COUNT_GAPS,
    GET_CLOSED,
    QUERIES
};

static const char *const text[QUERIES] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [FILES] = "SELECT number,size,batches,events,from_ns,to_ns,kinds,written_ns,damaged_at,closed,"
              "kept,sha256,chain FROM file ORDER BY number",
    [HOSTS] = "SELECT id,next,first_sequence,to_ns,at_ns,last,first FROM host",
    [PUT_FILE] = "INSERT OR REPLACE INTO file(number,size,batches,events,from_ns,to_ns,kinds,"
                 "written_ns,damaged_at,closed,kept,sha256,chain)"
                 " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)",
    [PUT_CLOSED] = "INSERT OR REPLACE INTO closed(number,hosts,bloom) VALUES(?1,?2,?3)",
    [DROP_FILE] = "DELETE FROM file WHERE number=?1",
    [DROP_CLOSED] = "DELETE FROM closed WHERE number=?1",
    [PUT_HOST] = "INSERT OR REPLACE INTO host(id,next,first_sequence,to_ns,at_ns,last,first)"
                 " VALUES(?1,?2,?3,?4,?5,?6,?7)",
    [CLEAR_HOSTS] = "DELETE FROM host",
    [PUT_GAP] = "INSERT OR IGNORE INTO gap(host,resumed,first,final,restarted,from_ns,to_ns,"
                "found_ns,file) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)",
    [DROP_GAPS] = "DELETE FROM gap WHERE file<?1",
    [HAS_GAP] = "SELECT 1 FROM gap WHERE host=?1 AND resumed=?2",
    [COUNT_GAPS] = "SELECT count(*) FROM gap",
    [GET_CLOSED] = "SELECT hosts,bloom FROM closed WHERE number=?1",
};

struct catalogue {
    sqlite3 *db;
    bool open; // a transaction
    sqlite3_stmt *query[QUERIES];
};

static int fail(struct catalogue *c, int code, struct error *e)
{
    int r = -EIO;
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        r = -ENOMEM;
        break;
    case SQLITE_FULL:
        r = -ENOSPC;
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        r = -EBUSY;
        break;
    case SQLITE_CANTOPEN:
        r = -ENOENT;
        break;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        r = -EACCES;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        r = -EBADMSG;
        break;
    default:
        break;
    }
    error_set(e, r, "state.db: %s", c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(code));
    if (r == -EBADMSG)
        error_way_out(e, "move state.db away: the catalogue is made again from the files, what was "
                         "noted about attempts is not");
    return r;
}

// ---- statements: prepared at first use, bound by position

static int get(struct catalogue *c, enum query q, sqlite3_stmt **ret, struct error *e)
{
    if (!c->query[q]) {
        int r =
            sqlite3_prepare_v3(c->db, text[q], -1, SQLITE_PREPARE_PERSISTENT, &c->query[q], NULL);
        if (r != SQLITE_OK)
            return fail(c, r, e);
    }
    *ret = c->query[q];
    return 0;
}

static void bind_u64(sqlite3_stmt *s, int i, uint64_t value)
{
    sqlite3_bind_int64(s, i, (int64_t)value);
}

static void bind_bytes(sqlite3_stmt *s, int i, const void *p, size_t n)
{
    sqlite3_bind_blob64(s, i, p ? p : "", n, SQLITE_STATIC);
}

static uint64_t column_u64(sqlite3_stmt *s, int i)
{
    return (uint64_t)sqlite3_column_int64(s, i);
}

static struct str column_bytes(sqlite3_stmt *s, int i)
{
    const void *p = sqlite3_column_blob(s, i);
    return str_bytes(p, (size_t)sqlite3_column_bytes(s, i));
}

static bool column_copy(sqlite3_stmt *s, int i, void *to, size_t n)
{
    struct str bytes = column_bytes(s, i);
    if (bytes.n != n)
        return false;
    memcpy(to, bytes.p, n);
    return true;
}

// Runs a bound statement to its end. 0 or negative errno.
static int run(struct catalogue *c, sqlite3_stmt *s, struct error *e)
{
    int r;
    do
        r = sqlite3_step(s);
    while (r == SQLITE_ROW);
    int code = r == SQLITE_DONE ? 0 : fail(c, r, e);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return code;
}

static int change(struct catalogue *c, enum query q, sqlite3_stmt **ret, struct error *e)
{
    sqlite3_stmt *begin = NULL;
    int r = c->open ? 0 : get(c, BEGIN, &begin, e);
    if (r == 0 && !c->open) {
        r = run(c, begin, e);
        c->open = r == 0;
    }
    return r < 0 ? r : get(c, q, ret, e);
}

// ---- open, close

static int version_of(struct catalogue *c, int *ret, struct error *e)
{
    sqlite3_stmt *s = NULL;
    int r = sqlite3_prepare_v2(c->db, "PRAGMA user_version", -1, &s, NULL);
    if (r == SQLITE_OK)
        r = sqlite3_step(s);
    if (r == SQLITE_ROW)
        *ret = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    return r == SQLITE_ROW ? 0 : fail(c, r, e);
}

static int prepare(struct catalogue *c, bool read_only, struct error *e)
{
    int version = 0;
    sqlite3_busy_timeout(c->db, BUSY_MS);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    int r = version_of(c, &version, e);
    if (r < 0)
        return r;
    if (version > SCHEMA_VERSION)
        return error_set(e, -ENOTSUP, "state.db has format %d, this program knows %d", version,
                         SCHEMA_VERSION);
    if (read_only)
        return version ? 0 : error_set(e, -ENOENT, "state.db is empty");
    r = sqlite3_exec(c->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;", NULL, NULL,
                     NULL);
    if (r == SQLITE_OK && !version)
        r = sqlite3_exec(c->db, schema, NULL, NULL, NULL);
    return r == SQLITE_OK ? 0 : fail(c, r, e);
}

int catalogue_open(const char *folder, bool read_only, struct catalogue **ret, struct error *e)
{
    _cleanup_free_ char *path = NULL;
    struct catalogue *c = calloc(1, sizeof *c);
    if (!c || asprintf(&path, "%s/state.db", folder) < 0) {
        free(c);
        return error_set(e, -ENOMEM, "no memory for the catalogue");
    }
    int flags = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    int r = sqlite3_open_v2(path, &c->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    r = r == SQLITE_OK ? prepare(c, read_only, e) : fail(c, r, e);
    if (r < 0) {
        catalogue_close(c);
        return r;
    }
    *ret = c;
    return 0;
}

struct catalogue *catalogue_close(struct catalogue *c)
{
    if (c) {
        for (int i = 0; i < QUERIES; i++)
            sqlite3_finalize(c->query[i]);
        sqlite3_close(c->db); // rolls back
        free(c);
    }
    return NULL;
}

int catalogue_commit(struct catalogue *c, struct error *e)
{
    sqlite3_stmt *s = NULL;
    if (!c->open)
        return 0;
    int r = get(c, COMMIT, &s, e);
    if (r == 0)
        r = run(c, s, e);
    c->open = sqlite3_get_autocommit(c->db) == 0;
    return r;
}

int catalogue_snapshot(struct catalogue *c, struct error *e)
{
    int r = sqlite3_exec(c->db, "BEGIN", NULL, NULL, NULL);
    return r == SQLITE_OK ? 0 : fail(c, r, e);
}

// ---- files

int files_add(struct files *files, const struct file *file)
{
    if (files->n == files->cap) {
        size_t cap = files->cap ? files->cap * 2 : 64;
        struct file *items = reallocarray(files->items, cap, sizeof *items);
        if (!items)
            return -ENOMEM;
        files->items = items;
        files->cap = cap;
    }
    files->items[files->n++] = *file;
    return 0;
}

static int file_of(sqlite3_stmt *s, struct file *ret)
{
    uint64_t *const numbers[] = {&ret->number, &ret->size,       &ret->batches,
                                 &ret->events, &ret->from_ns,    &ret->to_ns,
                                 &ret->kinds,  &ret->written_ns, &ret->damaged_at};
    for (int i = 0; i < 9; i++)
        *numbers[i] = column_u64(s, i);
    ret->closed = sqlite3_column_int(s, 9);
    ret->kept = sqlite3_column_int(s, 10);
    if (!ret->closed)
        return 0;
    return column_copy(s, 11, ret->sha256, 32) && column_copy(s, 12, ret->chain, 32) ? 0 : -EBADMSG;
}

int catalogue_load_files(struct catalogue *c, struct files *ret, struct error *e)
{
    sqlite3_stmt *s = NULL;
    int step, r = get(c, FILES, &s, e);
    if (r < 0)
        return r;
    while (r == 0 && (step = sqlite3_step(s)) != SQLITE_DONE) {
        struct file file = {0};
        if (step != SQLITE_ROW)
            r = fail(c, step, e);
        else if (file_of(s, &file) < 0)
            r = error_set(e, -EBADMSG, "state.db: the row of file %" PRIu64 " is damaged",
                          file.number);
        else if (files_add(ret, &file) < 0)
            r = error_set(e, -ENOMEM, "no memory for the catalogue");
    }
    sqlite3_reset(s);
    return r;
}

int catalogue_put_file(struct catalogue *c, const struct file *file, struct error *e)
{
    const uint64_t numbers[] = {file->number,     file->size,   file->batches, file->events,
                                file->from_ns,    file->to_ns,  file->kinds,   file->written_ns,
                                file->damaged_at, file->closed, file->kept};
    sqlite3_stmt *s = NULL;
    int r = change(c, PUT_FILE, &s, e);
    if (r < 0)
        return r;
    for (int i = 0; i < 11; i++)
        bind_u64(s, i + 1, numbers[i]);
    bind_bytes(s, 12, file->sha256, 32);
    bind_bytes(s, 13, file->chain, 32);
    return run(c, s, e);
}

int catalogue_put_closed(struct catalogue *c, uint64_t number, struct str hosts, struct str bloom,
                         struct error *e)
{
    sqlite3_stmt *s = NULL;
    int r = change(c, PUT_CLOSED, &s, e);
    if (r < 0)
        return r;
    bind_u64(s, 1, number);
    bind_bytes(s, 2, hosts.p, hosts.n);
    bind_bytes(s, 3, bloom.p, bloom.n);
    return run(c, s, e);
}

int catalogue_drop_file(struct catalogue *c, uint64_t number, struct error *e)
{
    const enum query both[] = {DROP_FILE, DROP_CLOSED};
    int r = 0;
    for (int i = 0; r == 0 && i < 2; i++) {
        sqlite3_stmt *s = NULL;
        r = change(c, both[i], &s, e);
        if (r == 0) {
            bind_u64(s, 1, number);
            r = run(c, s, e);
        }
    }
    return r;
}

static bool hosts_have(struct str hosts, const struct store_filter *f)
{
    if (f->n_hosts == 0 || hosts.n > HOSTS_BLOB_MAX)
        return true;
    for (size_t i = 0; i + 16 <= hosts.n; i += 16)
        for (size_t j = 0; j < f->n_hosts; j++)
            if (memcmp(hosts.p + i, f->hosts[j], 16) == 0)
                return true;
    return false;
}

int catalogue_may_have(struct catalogue *c, uint64_t number, const struct store_filter *filter,
                       struct error *e)
{
    sqlite3_stmt *s = NULL;
    int r = get(c, GET_CLOSED, &s, e);
    if (r < 0)
        return r;
    bind_u64(s, 1, number);
    int step = sqlite3_step(s);
    bool may = true;
    if (step == SQLITE_ROW) {
        struct str bloom = column_bytes(s, 1);
        bool key = filter->n_keys == 0;
        for (size_t i = 0; !key && i < filter->n_keys; i++)
            key = bloom_may_have(bloom, filter->keys[i]);
        may = key && hosts_have(column_bytes(s, 0), filter);
    }
    r = step == SQLITE_ROW || step == SQLITE_DONE ? may : fail(c, step, e);
    sqlite3_reset(s);
    return r;
}

// ---- hosts

int catalogue_load_hosts(struct catalogue *c, struct map *hosts, struct error *e)
{
    sqlite3_stmt *s = NULL;
    int step, r = get(c, HOSTS, &s, e);
    if (r < 0)
        return r;
    while (r == 0 && (step = sqlite3_step(s)) != SQLITE_DONE) {
        uint8_t id[16];
        struct host *host = NULL;
        if (step != SQLITE_ROW)
            r = fail(c, step, e);
        else if (!column_copy(s, 0, id, 16))
            r = error_set(e, -EBADMSG, "state.db: the row of a host is damaged");
        else if (!(host = host_get(hosts, id)))
            r = error_set(e, -errno, "no room for more hosts");
        if (!host)
            continue;
        host->chain = (struct chain){.any = true,
                                     .next = column_u64(s, 1),
                                     .first_sequence = column_u64(s, 2),
                                     .to_ns = column_u64(s, 3),
                                     .at_ns = column_u64(s, 4)};
        if (!column_copy(s, 5, host->chain.last, 32) || !column_copy(s, 6, host->chain.first, 32))
            r = error_set(e, -EBADMSG, "state.db: the row of a host is damaged");
    }
    sqlite3_reset(s);
    return r;
}

int catalogue_put_host(struct catalogue *c, const struct host *host, struct error *e)
{
    const struct chain *chain = &host->chain;
    sqlite3_stmt *s = NULL;
    int r = change(c, PUT_HOST, &s, e);
    if (r < 0)
        return r;
    bind_bytes(s, 1, host->id, 16);
    bind_u64(s, 2, chain->next);
    bind_u64(s, 3, chain->first_sequence);
    bind_u64(s, 4, chain->to_ns);
    bind_u64(s, 5, chain->at_ns);
    bind_bytes(s, 6, chain->last, 32);
    bind_bytes(s, 7, chain->first, 32);
    return run(c, s, e);
}

int catalogue_clear_hosts(struct catalogue *c, struct error *e)
{
    sqlite3_stmt *s = NULL;
    int r = change(c, CLEAR_HOSTS, &s, e);
    return r < 0 ? r : run(c, s, e);
}

// ---- gaps

int catalogue_put_gap(struct catalogue *c, const struct gap_row *row, struct error *e)
{
    const struct store_gap *gap = &row->gap;
    sqlite3_stmt *s = NULL;
    int r = change(c, PUT_GAP, &s, e);
    if (r < 0)
        return r;
    bind_bytes(s, 1, gap->host, 16);
    bind_bytes(s, 2, row->resumed, 32);
    bind_u64(s, 3, gap->from);
    bind_u64(s, 4, gap->to);
    bind_u64(s, 5, gap->restarted);
    bind_u64(s, 6, gap->from_ns);
    bind_u64(s, 7, gap->to_ns);
    bind_u64(s, 8, gap->found_ns);
    bind_u64(s, 9, row->file);
    return run(c, s, e);
}

int catalogue_drop_gaps(struct catalogue *c, uint64_t first_file, struct error *e)
{
    sqlite3_stmt *s = NULL;
    int r = change(c, DROP_GAPS, &s, e);
    if (r < 0)
        return r;
    bind_u64(s, 1, first_file);
    return run(c, s, e);
}

int catalogue_has_gap(struct catalogue *c, const uint8_t host[16], const uint8_t resumed[32],
                      struct error *e)
{
    sqlite3_stmt *s = NULL;
    int r = get(c, HAS_GAP, &s, e);
    if (r < 0)
        return r;
    bind_bytes(s, 1, host, 16);
    bind_bytes(s, 2, resumed, 32);
    int step = sqlite3_step(s);
    r = step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : fail(c, step, e);
    sqlite3_reset(s);
    return r;
}

int catalogue_count_gaps(struct catalogue *c, uint64_t *ret)
{
    sqlite3_stmt *s = NULL;
    int r = get(c, COUNT_GAPS, &s, NULL);
    if (r < 0)
        return r;
    if (sqlite3_step(s) == SQLITE_ROW)
        *ret = column_u64(s, 0);
    sqlite3_reset(s);
    return 0;
}

// ---- asked from outside

int catalogue_ask(struct catalogue *c, const char *sql, const struct catalogue_cell *values, int n,
                  int (*row)(void *context, const struct catalogue_cell *cells), void *context,
                  struct error *e)
{
    sqlite3_stmt *s = NULL;
    int step, r = sqlite3_prepare_v2(c->db, sql, -1, &s, NULL);
    if (r != SQLITE_OK)
        return fail(c, r, e);
    for (int i = 0; i < n; i++)
        if (values[i].bytes.p)
            bind_bytes(s, i + 1, values[i].bytes.p, values[i].bytes.n);
        else
            bind_u64(s, i + 1, values[i].number);
    r = 0;
    while (r == 0 && (step = sqlite3_step(s)) != SQLITE_DONE) {
        struct catalogue_cell cells[CATALOGUE_CELLS] = {0};
        int columns = sqlite3_column_count(s);
        for (int i = 0; step == SQLITE_ROW && i < columns && i < CATALOGUE_CELLS; i++)
            if (sqlite3_column_type(s, i) == SQLITE_INTEGER)
                cells[i].number = column_u64(s, i);
            else
                cells[i].bytes = column_bytes(s, i);
        r = step == SQLITE_ROW ? row(context, cells) : fail(c, step, e);
    }
    sqlite3_finalize(s);
    return r;
}

int catalogue_change(struct catalogue *c, const char *sql, const struct catalogue_cell *values,
                     int n, struct error *e)
{
    sqlite3_stmt *begin = NULL;
    int r = c->open ? 0 : get(c, BEGIN, &begin, e);
    if (r == 0 && !c->open) {
        r = run(c, begin, e);
        c->open = r == 0;
    }
    return r < 0 ? r : catalogue_ask(c, sql, values, n, NULL, NULL, e);
}
