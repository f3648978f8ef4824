// SPDX-License-Identifier: Apache-2.0
#include "store/attempts.h"

#include "base/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define BUSY_MS 5000
#define ID_DIGITS 16

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS attempt(id TEXT PRIMARY KEY, campaign INTEGER, begin_ns INTEGER,"
    " end_ns INTEGER, outcome INTEGER, detections INTEGER, hosts INTEGER, quick INTEGER,"
    " sum INTEGER, json BLOB);"
    "CREATE INDEX IF NOT EXISTS attempt_begin ON attempt(begin_ns);"
    "CREATE TABLE IF NOT EXISTS member(name TEXT PRIMARY KEY, attempt TEXT) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS member_attempt ON member(attempt);"
    "CREATE TABLE IF NOT EXISTS evidence(attempt TEXT, host BLOB, from_ns INTEGER, to_ns INTEGER,"
    " PRIMARY KEY(attempt, host)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS used(attempt TEXT, kind INTEGER, value BLOB, text TEXT, others "
    "INTEGER,"
    " PRIMARY KEY(attempt, kind, value)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS change(n INTEGER PRIMARY KEY, line TEXT);"
    "CREATE TABLE IF NOT EXISTS status(one INTEGER PRIMARY KEY, line TEXT);"
    "CREATE TABLE IF NOT EXISTS sealed(one INTEGER PRIMARY KEY, before_ns INTEGER);"
    "CREATE TEMP TABLE IF NOT EXISTS put(id TEXT PRIMARY KEY);";

struct store_attempts {
    sqlite3 *db;
    bool quick, open;
    uint64_t sealed; // what began before it was told from data that are not all there any more
};

static int fail(struct store_attempts *s, struct error *e)
{
    int code = sqlite3_errcode(s->db) & 0xff, r = code == SQLITE_FULL       ? -ENOSPC
                                                  : code == SQLITE_NOMEM    ? -ENOMEM
                                                  : code == SQLITE_BUSY     ? -EBUSY
                                                  : code == SQLITE_CANTOPEN ? -ENOENT
                                                  : code == SQLITE_CORRUPT || code == SQLITE_NOTADB
                                                      ? -EBADMSG
                                                      : -EIO;
    error_set(e, r, "attempts.db: %s", sqlite3_errmsg(s->db));
    if (r == -EBADMSG)
        error_way_out(e, "move it away: all in it but merges and splits by hand is made again");
    return r;
}

static int run(struct store_attempts *s, const char *sql, struct error *e)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(s, e);
}

static sqlite3_stmt *query(struct store_attempts *s, const char *sql)
{
    sqlite3_stmt *q = NULL;
    return sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) == SQLITE_OK ? q : NULL;
}

static void bind_u64(sqlite3_stmt *q, int i, uint64_t value)
{
    if (q)
        sqlite3_bind_int64(q, i, (sqlite3_int64)value);
}

// What a host says of the time may be beyond what SQLite can compare.
static void bind_time(sqlite3_stmt *q, int i, uint64_t ns)
{
    bind_u64(q, i, ns > INT64_MAX ? INT64_MAX : ns);
}

static void bind_text(sqlite3_stmt *q, int i, const char *text, size_t n)
{
    if (q)
        sqlite3_bind_text64(q, i, text ? text : "", n, SQLITE_TRANSIENT, SQLITE_UTF8);
}

static void bind_id(sqlite3_stmt *q, int i, uint64_t id)
{
    char text[ID_DIGITS + 1];
    snprintf(text, sizeof text, "%016" PRIx64, id);
    bind_text(q, i, text, ID_DIGITS);
}

static void bind_bytes(sqlite3_stmt *q, int i, const void *p, size_t n)
{
    if (q)
        sqlite3_bind_blob64(q, i, p ? p : "", n, SQLITE_TRANSIENT);
}

static uint64_t id_of(sqlite3_stmt *q, int column)
{
    const char *text = (const char *)sqlite3_column_text(q, column);
    return text ? strtoull(text, NULL, 16) : 0;
}

// Runs it to its end and frees it. How many rows it changed, or negative errno.
static int done(struct store_attempts *s, sqlite3_stmt *q, struct error *e)
{
    int step = q ? sqlite3_step(q) : SQLITE_ERROR,
        r = step == SQLITE_DONE ? sqlite3_changes(s->db) : fail(s, e);
    sqlite3_finalize(q);
    return r;
}

int store_attempts_open(const char *folder, bool create, struct store_attempts **ret,
                        struct error *e)
{
    _cleanup_free_ char *path = NULL;
    struct store_attempts *s = calloc(1, sizeof *s);
    if (!s || asprintf(&path, "%s/attempts.db", folder) < 0) {
        free(s);
        return error_set(e, -ENOMEM, "no memory");
    }
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, r;
    if (sqlite3_open_v2(path, &s->db, flags | (create ? SQLITE_OPEN_CREATE : 0), NULL) != SQLITE_OK)
        r = fail(s, e);
    else {
        sqlite3_busy_timeout(s->db, BUSY_MS);
        r = run(s,
                "PRAGMA temp_store=MEMORY; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                "PRAGMA trusted_schema=OFF",
                e);
    }
    if (r == 0)
        r = run(s, schema, e);
    if (r < 0) {
        store_attempts_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

struct store_attempts *store_attempts_close(struct store_attempts *s)
{
    if (s) {
        sqlite3_close(s->db); // rolls back
        free(s);
    }
    return NULL;
}

// ---- a run

int store_attempts_begin(struct store_attempts *s, bool quick, struct error *e)
{
    int r = run(s, "BEGIN IMMEDIATE; DELETE FROM put", e);
    if (r < 0)
        return r;
    sqlite3_stmt *q = query(s, "SELECT before_ns FROM sealed");
    s->sealed = q && sqlite3_step(q) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(q, 0) : 0;
    sqlite3_finalize(q);
    s->open = true;
    s->quick = quick;
    return 0;
}

int store_attempts_seal(struct store_attempts *s, uint64_t before_ns, struct error *e)
{
    sqlite3_stmt *q = query(s, "INSERT INTO sealed VALUES(1,?1) ON CONFLICT(one) DO UPDATE"
                               " SET before_ns=max(before_ns,?1)");
    bind_time(q, 1, before_ns);
    int r = done(s, q, e);
    return r < 0 ? r : 0;
}

void store_attempts_cancel(struct store_attempts *s)
{
    if (s->open)
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    s->open = false;
}

// Whose a detection is already; 0: nobody's.
static uint64_t owner_of(struct store_attempts *s, uint64_t name)
{
    sqlite3_stmt *q = query(s, "SELECT attempt FROM member WHERE name=?1");
    bind_id(q, 1, name);
    uint64_t owner = q && sqlite3_step(q) == SQLITE_ROW ? id_of(q, 0) : 0;
    sqlite3_finalize(q);
    return owner;
}

static int put_members(struct store_attempts *s, const struct store_attempt *one, uint64_t owner,
                       struct error *e)
{
    sqlite3_stmt *q = query(s, "INSERT OR REPLACE INTO member(name,attempt) VALUES(?1,?2)");
    int r = q ? 0 : fail(s, e);
    for (size_t i = 0; r == 0 && i < one->n_detections; i++) {
        bind_id(q, 1, one->names[i]);
        bind_id(q, 2, owner);
        if (sqlite3_step(q) != SQLITE_DONE)
            r = fail(s, e);
        sqlite3_reset(q);
    }
    sqlite3_finalize(q);
    return r;
}

static int put_details(struct store_attempts *s, const struct store_attempt *one, struct error *e)
{
    int r = 0;
    for (size_t i = 0; r >= 0 && i < one->n_hosts; i++) {
        sqlite3_stmt *q = query(s, "INSERT OR REPLACE INTO evidence VALUES(?1,?2,?3,?4)");
        bind_id(q, 1, one->id);
        bind_bytes(q, 2, one->hosts[i], 16);
        bind_time(q, 3, one->seen_from_ns);
        bind_time(q, 4, one->seen_to_ns);
        r = done(s, q, e);
    }
    for (size_t i = 0; r >= 0 && i < one->n_means; i++) {
        sqlite3_stmt *q = query(s, "INSERT OR REPLACE INTO used VALUES(?1,?2,?3,?4,?5)");
        bind_id(q, 1, one->id);
        bind_u64(q, 2, one->means[i].kind);
        bind_bytes(q, 3, one->means[i].value, 32);
        bind_text(q, 4, one->means[i].text, strlen(one->means[i].text));
        bind_u64(q, 5, one->means[i].others);
        r = done(s, q, e);
    }
    return r < 0 ? r : 0;
}

// 1: it stands so already.
static int same(struct store_attempts *s, const struct store_attempt *one, uint64_t sum)
{
    sqlite3_stmt *q = query(s, "SELECT 1 FROM attempt WHERE id=?1 AND sum=?2 AND quick=?3");
    bind_id(q, 1, one->id);
    bind_u64(q, 2, sum);
    bind_u64(q, 3, s->quick);
    int r = q && sqlite3_step(q) == SQLITE_ROW;
    sqlite3_finalize(q);
    return r;
}

static int forget(struct store_attempts *s, const char *which, struct error *e)
{
    static const char *const tables[] = {"member", "evidence", "used"};
    char sql[160];
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof tables / sizeof *tables; i++) {
        snprintf(sql, sizeof sql, "DELETE FROM %s WHERE attempt %s", tables[i], which);
        r = run(s, sql, e);
    }
    return r;
}

static int put_whole(struct store_attempts *s, const struct store_attempt *one, uint64_t sum,
                     struct error *e)
{
    char which[32];
    snprintf(which, sizeof which, "='%016" PRIx64 "'", one->id);
    int r = forget(s, which, e);
    if (r < 0)
        return r;
    sqlite3_stmt *q =
        query(s, "INSERT OR REPLACE INTO attempt VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)");
    bind_id(q, 1, one->id);
    bind_u64(q, 2, one->campaign);
    bind_time(q, 3, one->begin_ns);
    bind_time(q, 4, one->end_ns);
    bind_u64(q, 5, one->outcome);
    bind_u64(q, 6, one->n_detections);
    bind_u64(q, 7, one->n_hosts);
    bind_u64(q, 8, s->quick);
    bind_u64(q, 9, sum);
    bind_bytes(q, 10, one->json.p, one->json.n);
    r = done(s, q, e);
    if (r >= 0)
        r = put_members(s, one, one->id, e);
    return r < 0 ? r : put_details(s, one, e);
}

// A quick look sees the end of an attempt that is known: it only grows, until the whole run tells all of it.
static int put_growth(struct store_attempts *s, const struct store_attempt *one, uint64_t owner,
                      struct error *e)
{
    sqlite3_stmt *q = query(s, "UPDATE attempt SET end_ns=max(end_ns,?2), quick=1 WHERE id=?1");
    bind_id(q, 1, owner);
    bind_time(q, 2, one->end_ns);
    int r = done(s, q, e);
    return r < 0 ? r : put_members(s, one, owner, e);
}

int store_attempts_put(struct store_attempts *s, const struct store_attempt *one, struct error *e)
{
    uint64_t sum = XXH3_64bits(one->json.p, one->json.n), owner = 0;
    if (one->json.n > STORE_ATTEMPT_JSON_MAX)
        return error_set(e, -E2BIG, "an attempt of %zu bytes", one->json.n);
    bool sealed = one->begin_ns < s->sealed;
    for (size_t i = 0; (s->quick || sealed) && !owner && i < one->n_detections; i++)
        owner = owner_of(s, one->names[i]);
    if (sealed && owner)
        return 0;
    if (owner && owner != one->id)
        return put_growth(s, one, owner, e);
    sqlite3_stmt *q = query(s, "INSERT OR IGNORE INTO put VALUES(?1)");
    bind_id(q, 1, one->id);
    int r = done(s, q, e);
    if (r < 0 || same(s, one, sum))
        return r < 0 ? r : 0;
    // A quick look never takes the place of what a whole run said, if it knows less of it.
    if (owner) {
        q = query(s, "SELECT 1 FROM attempt WHERE id=?1 AND (quick=0 OR detections>?2)");
        bind_id(q, 1, owner);
        bind_u64(q, 2, one->n_detections);
        bool more = q && sqlite3_step(q) == SQLITE_ROW;
        sqlite3_finalize(q);
        if (more)
            return put_growth(s, one, owner, e);
    }
    return put_whole(s, one, sum, e);
}

int store_attempts_end(struct store_attempts *s, struct str status, struct error *e)
{
    int r = 0;
    if (!s->quick) {
        sqlite3_stmt *q = query(s, "DELETE FROM attempt WHERE begin_ns>=?1"
                                   " AND id NOT IN (SELECT id FROM put)");
        bind_u64(q, 1, s->sealed);
        r = done(s, q, e);
        r = r < 0 ? r : forget(s, "NOT IN (SELECT id FROM attempt)", e);
    }
    if (r == 0) {
        sqlite3_stmt *q = query(s, "INSERT OR REPLACE INTO status VALUES(1,?1)");
        bind_text(q, 1, status.p, status.n);
        r = done(s, q, e);
    }
    if (r >= 0)
        r = run(s, "COMMIT", e);
    if (r < 0)
        store_attempts_cancel(s);
    s->open = false;
    return r;
}

// ---- reading

#define COLUMNS "id,campaign,begin_ns,end_ns,outcome,detections,hosts,quick,json"

static int rows(struct store_attempts *s, sqlite3_stmt *q,
                int (*each)(void *context, const struct store_attempt *one), void *context,
                struct error *e)
{
    int step = SQLITE_ERROR, r = 0;
    while (q && r == 0 && (step = sqlite3_step(q)) == SQLITE_ROW) {
        struct store_attempt one = {
            .id = id_of(q, 0),
            .campaign = (uint64_t)sqlite3_column_int64(q, 1),
            .begin_ns = (uint64_t)sqlite3_column_int64(q, 2),
            .end_ns = (uint64_t)sqlite3_column_int64(q, 3),
            .outcome = (uint32_t)sqlite3_column_int64(q, 4),
            .n_detections = (uint32_t)sqlite3_column_int64(q, 5),
            .n_hosts = (uint32_t)sqlite3_column_int64(q, 6),
            .quick = sqlite3_column_int(q, 7) != 0,
        };
        const void *json = sqlite3_column_blob(q, 8);
        one.json = str_bytes(json, (size_t)sqlite3_column_bytes(q, 8));
        r = each(context, &one);
    }
    if (r == 0 && step != SQLITE_DONE)
        r = fail(s, e);
    sqlite3_finalize(q);
    return r;
}

int store_attempts_each(struct store_attempts *s, uint64_t since_ns, uint64_t limit,
                        int (*each)(void *context, const struct store_attempt *one), void *context,
                        struct error *e)
{
    sqlite3_stmt *q = query(s, "SELECT " COLUMNS " FROM attempt WHERE end_ns>=?1"
                               " ORDER BY begin_ns DESC, id LIMIT ?2");
    bind_time(q, 1, since_ns);
    bind_u64(q, 2, limit && limit < INT64_MAX ? limit : UINT64_MAX); // -1: no limit
    return rows(s, q, each, context, e);
}

int store_attempts_get(struct store_attempts *s, uint64_t id,
                       int (*each)(void *context, const struct store_attempt *one), void *context,
                       struct error *e)
{
    sqlite3_stmt *q = query(s, "SELECT " COLUMNS " FROM attempt WHERE id=?1");
    bind_id(q, 1, id);
    return rows(s, q, each, context, e);
}

int store_attempts_find(struct store_attempts *s, struct str id, uint64_t *ret_id, struct error *e)
{
    char to[ID_DIGITS + 2];
    uint64_t found = 0, own = 0;
    bool several = false;
    if (id.n < 4 || id.n > ID_DIGITS || strspn(id.p, "0123456789abcdef") < id.n)
        return error_set(e, -ESRCH, "'" STR_FMT "': an id is 4 to 16 digits of 0-9, a-f",
                         STR_ARG(id));
    snprintf(to, sizeof to, "%.*sg", (int)id.n, id.p);
    sqlite3_stmt *q = query(s, "SELECT DISTINCT attempt FROM member WHERE name>=?1 AND name<?2");
    bind_text(q, 1, id.p, id.n);
    bind_text(q, 2, to, id.n + 1);
    int step = SQLITE_ERROR;
    while (q && (step = sqlite3_step(q)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(q, 0);
        several = several || found;
        found = id_of(q, 0);
        // An attempt's own id comes before those of the detections in it.
        if (text && id.n >= 12 && strncmp(text, id.p, id.n) == 0)
            own = found;
    }
    int r = step == SQLITE_DONE ? 0 : fail(s, e);
    sqlite3_finalize(q);
    if (r < 0)
        return r;
    if (!found) {
        error_set(e, -ESRCH, "there is no attempt " STR_FMT, STR_ARG(id));
        error_way_out(e, "`tiercel-hub attempts` lists them");
        return -ESRCH;
    }
    if (several && !own)
        return error_set(e, -EEXIST, "several attempts begin with " STR_FMT, STR_ARG(id));
    *ret_id = own ? own : found;
    return 0;
}

static int text_of(struct store_attempts *s, const char *sql, struct buf *ret, uint64_t *ret_n,
                   struct error *e)
{
    sqlite3_stmt *q = query(s, sql);
    uint64_t n = 0;
    int step = SQLITE_ERROR;
    while (q && (step = sqlite3_step(q)) == SQLITE_ROW) {
        buf_add(ret, sqlite3_column_text(q, 0), (size_t)sqlite3_column_bytes(q, 0));
        n++;
    }
    int r = step == SQLITE_DONE ? 0 : fail(s, e);
    sqlite3_finalize(q);
    if (r == 0 && ret->failed)
        r = error_set(e, ret->failed, "no memory");
    if (r == 0 && ret_n)
        *ret_n = n;
    return r;
}

int store_attempts_status(struct store_attempts *s, struct buf *ret, struct error *e)
{
    return text_of(s, "SELECT line FROM status", ret, NULL, e);
}

int store_attempts_change(struct store_attempts *s, struct str line, struct error *e)
{
    sqlite3_stmt *q = query(s, "INSERT INTO change(line) SELECT ?1 WHERE"
                               " (SELECT count(*) FROM change)<?2");
    bind_text(q, 1, line.p, line.n);
    bind_u64(q, 2, STORE_ATTEMPT_CHANGES_MAX);
    int r = done(s, q, e);
    return r < 0 ? r
           : r == 0
               ? error_set(e, -E2BIG, "more than %d merges and splits", STORE_ATTEMPT_CHANGES_MAX)
               : 0;
}

int store_attempts_changes(struct store_attempts *s, struct buf *ret, uint64_t *ret_n,
                           struct error *e)
{
    return text_of(s, "SELECT line FROM change ORDER BY n", ret, ret_n, e);
}

int store_attempts_means(struct store_attempts *s,
                         int (*each)(void *context, const struct store_attempt *of,
                                     const struct store_means *means),
                         void *context, struct error *e)
{
    sqlite3_stmt *q = query(s, "SELECT a.id,a.begin_ns,a.end_ns,u.kind,u.value,u.text,u.others"
                               " FROM used u JOIN attempt a ON a.id=u.attempt"
                               " ORDER BY u.kind,u.value,u.attempt");
    int step = SQLITE_ERROR, r = 0;
    while (q && r == 0 && (step = sqlite3_step(q)) == SQLITE_ROW) {
        struct store_attempt of = {.id = id_of(q, 0),
                                   .begin_ns = (uint64_t)sqlite3_column_int64(q, 1),
                                   .end_ns = (uint64_t)sqlite3_column_int64(q, 2)};
        struct store_means m = {.kind = (uint32_t)sqlite3_column_int64(q, 3),
                                .text = (const char *)sqlite3_column_text(q, 5),
                                .others = (uint32_t)sqlite3_column_int64(q, 6)};
        const void *value = sqlite3_column_blob(q, 4);
        if (sqlite3_column_bytes(q, 4) != 32 || !m.text)
            continue;
        memcpy(m.value, value, 32);
        r = each(context, &of, &m);
    }
    if (r == 0 && step != SQLITE_DONE)
        r = fail(s, e);
    sqlite3_finalize(q);
    return r;
}

int store_attempts_evidence(struct store_attempts *s,
                            int (*each)(void *context, const uint8_t host[16], uint64_t from_ns,
                                        uint64_t to_ns),
                            void *context, struct error *e)
{
    sqlite3_stmt *q = query(s, "SELECT host,from_ns,to_ns FROM evidence");
    int step = SQLITE_ERROR, r = 0;
    while (q && r == 0 && (step = sqlite3_step(q)) == SQLITE_ROW) {
        const uint8_t *host = sqlite3_column_blob(q, 0);
        if (sqlite3_column_bytes(q, 0) == 16)
            r = each(context, host, (uint64_t)sqlite3_column_int64(q, 1),
                     (uint64_t)sqlite3_column_int64(q, 2));
    }
    if (r == 0 && step != SQLITE_DONE)
        r = fail(s, e);
    sqlite3_finalize(q);
    return r;
}
