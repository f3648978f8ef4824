// SPDX-License-Identifier: Apache-2.0
#include "store/orders.h"
#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 5000 // for another process's transaction

static const char SCHEMA[] =
    "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;"
    "CREATE TABLE IF NOT EXISTS host_order (client TEXT NOT NULL, sequence INTEGER NOT NULL, host "
    "BLOB NOT NULL, payload BLOB NOT NULL, envelope BLOB, issued INTEGER NOT NULL, expires INTEGER "
    "NOT NULL, what TEXT NOT NULL, by TEXT NOT NULL, PRIMARY KEY (client, sequence)) WITHOUT "
    "ROWID;"
    "CREATE INDEX IF NOT EXISTS host_order_live ON host_order (client, expires);"
    "CREATE INDEX IF NOT EXISTS host_order_unsigned ON host_order (client) WHERE envelope IS NULL;"
    "CREATE TABLE IF NOT EXISTS order_result (client TEXT NOT NULL, sequence INTEGER NOT NULL, "
    "host BLOB NOT NULL, state INTEGER NOT NULL, code INTEGER NOT NULL, response INTEGER NOT NULL, "
    "time INTEGER NOT NULL, what BLOB NOT NULL, PRIMARY KEY (client, sequence, host)) WITHOUT "
    "ROWID;";

struct orders {
    sqlite3 *db;
    sqlite3_stmt *next, *version; // kept: they run often
    int64_t seen;
};

static int failed(struct orders *o, struct error *e)
{
    int code = sqlite3_errcode(o->db) & 0xff;
    int r = code == SQLITE_BUSY || code == SQLITE_LOCKED ? -EBUSY
            : code == SQLITE_FULL                        ? -ENOSPC
            : code == SQLITE_NOMEM                       ? -ENOMEM
                                                         : -EIO;
    return error_set(e, r, "hub.db: %s", sqlite3_errmsg(o->db));
}

struct orders *orders_close(struct orders *o)
{
    if (o) {
        sqlite3_finalize(o->next);
        sqlite3_finalize(o->version);
        sqlite3_close(o->db);
        free(o);
    }
    return NULL;
}

int orders_open(const char *file, struct orders **ret, struct error *e)
{
    static const char next[] =
        "SELECT sequence, envelope FROM host_order o WHERE client = ?1 AND expires > ?3 AND "
        "envelope IS NOT NULL AND (host = ?2 OR host = x'') AND NOT EXISTS (SELECT 1 FROM "
        "order_result r WHERE r.client = ?1 AND r.sequence = o.sequence AND r.host = ?2) ORDER BY "
        "sequence LIMIT 1";
    struct orders *o = calloc(1, sizeof *o);
    if (!o)
        return error_set(e, -ENOMEM, "out of memory");
    o->seen = -1;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, keep = SQLITE_PREPARE_PERSISTENT;
    bool good = sqlite3_open_v2(file, &o->db, flags, NULL) == SQLITE_OK &&
                sqlite3_busy_timeout(o->db, WAIT_MS) == SQLITE_OK &&
                sqlite3_exec(o->db, SCHEMA, NULL, NULL, NULL) == SQLITE_OK &&
                sqlite3_prepare_v3(o->db, next, -1, (unsigned)keep, &o->next, NULL) == SQLITE_OK &&
                sqlite3_prepare_v3(o->db, "PRAGMA data_version", -1, (unsigned)keep, &o->version,
                                   NULL) == SQLITE_OK;
    if (!good) {
        int r = failed(o, e);
        orders_close(o);
        return r;
    }
    *ret = o;
    return 0;
}

// ---- statements. Formats: t text, b bytes with their length, i number.

static sqlite3_stmt *query(struct orders *o, const char *sql, const char *format, ...)
{
    va_list args;
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(o->db, sql, -1, &s, NULL) != SQLITE_OK)
        return NULL;
    va_start(args, format);
    for (int i = 1; *format; i++, format++)
        if (*format == 't') {
            sqlite3_bind_text(s, i, va_arg(args, const char *), -1, SQLITE_TRANSIENT);
        } else if (*format == 'b') {
            const void *p = va_arg(args, const void *);
            size_t n = va_arg(args, size_t);
            sqlite3_bind_blob64(s, i, n ? p : "", n, SQLITE_TRANSIENT); // never NULL
        } else {
            sqlite3_bind_int64(s, i, (sqlite3_int64)va_arg(args, uint64_t));
        }
    va_end(args);
    return s;
}

// Rows that it changed, or negative errno. The statement is used up.
static int change(struct orders *o, sqlite3_stmt *s, struct error *e)
{
    int r = s && sqlite3_step(s) == SQLITE_DONE ? sqlite3_changes(o->db) : failed(o, e);
    sqlite3_finalize(s);
    return r;
}

// The first column of the first row, or negative errno. -ENOENT: no row.
static int64_t number(struct orders *o, sqlite3_stmt *s, struct error *e)
{
    int code = s ? sqlite3_step(s) : SQLITE_ERROR;
    int64_t r = code == SQLITE_ROW    ? sqlite3_column_int64(s, 0)
                : code == SQLITE_DONE ? -ENOENT
                                      : failed(o, e);
    sqlite3_finalize(s);
    return r;
}

static void copy_text(sqlite3_stmt *s, int column, char *ret, size_t size)
{
    const void *p = sqlite3_column_blob(s, column);
    size_t n = (size_t)sqlite3_column_bytes(s, column);
    n = n < size ? n : size - 1;
    if (n)
        memcpy(ret, p, n);
    ret[n] = 0;
}

static bool copy_host(sqlite3_stmt *s, int column, uint8_t ret[16])
{
    if (sqlite3_column_bytes(s, column) != 16)
        return false;
    memcpy(ret, sqlite3_column_blob(s, column), 16);
    return true;
}

// ---- giving

static int may_add(struct orders *o, const struct orders_new *n, struct error *e)
{
    int64_t r =
        number(o, query(o, "SELECT count(*) FROM client WHERE name = ?", "t", n->client), e);
    if (r == 0)
        return error_set(e, -ENOENT, "there is no client '%s'", n->client);
    if (r > 0 && n->host) {
        r = number(o,
                   query(o,
                         "SELECT count(*) FROM host WHERE client = ? AND host = ? AND revoked = 0",
                         "tb", n->client, n->host, (size_t)16),
                   e);
        if (r == 0)
            return error_set(e, -ENOENT, "client '%s' has no such host", n->client);
    }
    if (r > 0)
        r = number(o,
                   query(o, "SELECT count(*) FROM host_order WHERE client = ? AND expires > ?",
                         "ti", n->client, n->now_ns),
                   e);
    if (r >= (int64_t)ORDERS_MAX)
        return error_set(e, -ENOSPC, "client '%s' has %u orders that are not over", n->client,
                         ORDERS_MAX);
    return r < 0 ? (int)r : 0;
}

static int insert(struct orders *o, const struct orders_new *n, struct buf *payload,
                  uint64_t *ret_sequence, struct error *e)
{
    uint64_t long_ago = n->now_ns > ORDERS_KEPT_NS ? n->now_ns - ORDERS_KEPT_NS : 0;
    int64_t last =
        number(o,
               query(o, "SELECT ifnull(max(sequence), 0) FROM host_order WHERE client = ?", "t",
                     n->client),
               e);
    if (last < 0)
        return (int)last;
    // The newest stays whatever its age: numbers are never given again.
    int r =
        change(o,
               query(o, "DELETE FROM host_order WHERE client = ? AND expires < ? AND sequence < ?",
                     "tii", n->client, long_ago, (uint64_t)last),
               e);
    if (r > 0)
        r = change(o,
                   query(o,
                         "DELETE FROM order_result WHERE client = ?1 AND sequence NOT IN (SELECT "
                         "sequence FROM host_order WHERE client = ?1)",
                         "t", n->client),
                   e);
    if (r >= 0)
        r = n->make(n->context, (uint64_t)last + 1, payload, e);
    if (r < 0)
        return r;
    r = change(o,
               query(o, "INSERT INTO host_order VALUES (?, ?, ?, ?, NULL, ?, ?, ?, ?)", "tibbiitt",
                     n->client, (uint64_t)last + 1, n->host, n->host ? (size_t)16 : (size_t)0,
                     payload->p, payload->n, n->now_ns, n->expires_ns, n->what, n->by),
               e);
    if (r < 0)
        return r;
    *ret_sequence = (uint64_t)last + 1;
    return 0;
}

int orders_add(struct orders *o, const struct orders_new *n, uint64_t *ret_sequence,
               struct error *e)
{
    struct buf payload = {0};
    uint64_t sequence = 0;
    if (sqlite3_exec(o->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return failed(o, e);
    int r = may_add(o, n, e);
    if (r == 0)
        r = insert(o, n, &payload, &sequence, e);
    buf_done(&payload);
    if (r == 0 && sqlite3_exec(o->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        r = failed(o, e);
    if (r < 0)
        sqlite3_exec(o->db, "ROLLBACK", NULL, NULL, NULL);
    else
        *ret_sequence = sequence;
    return r;
}

// ---- signing and handing out

bool orders_changed(struct orders *o)
{
    int64_t version =
        sqlite3_step(o->version) == SQLITE_ROW ? sqlite3_column_int64(o->version, 0) : -1;
    sqlite3_reset(o->version);
    bool changed = version < 0 || version != o->seen;
    o->seen = version;
    return changed;
}

int orders_next_unsigned(struct orders *o, struct orders_unsigned *ret)
{
    sqlite3_stmt *s = query(o,
                            "SELECT client, sequence, payload FROM host_order WHERE envelope IS "
                            "NULL ORDER BY client, sequence LIMIT 1",
                            "");
    int code = s ? sqlite3_step(s) : SQLITE_ERROR;
    if (code == SQLITE_ROW) {
        *ret = (struct orders_unsigned){.sequence = (uint64_t)sqlite3_column_int64(s, 1)};
        copy_text(s, 0, ret->client, sizeof ret->client);
        buf_add(&ret->payload, sqlite3_column_blob(s, 2), (size_t)sqlite3_column_bytes(s, 2));
    }
    sqlite3_finalize(s);
    return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : -EIO;
}

int orders_put_envelope(struct orders *o, const char *client, uint64_t sequence,
                        struct str envelope)
{
    int r = change(o,
                   query(o,
                         "UPDATE host_order SET envelope = ? WHERE client = ? AND sequence = ? AND "
                         "envelope IS NULL",
                         "bti", envelope.p, envelope.n, client, sequence),
                   NULL);
    return r < 0 ? r : r == 0 ? -ENOENT : 0;
}

int orders_next(struct orders *o, const char *client, const uint8_t host[16], uint64_t now_ns,
                uint64_t *ret_sequence, uint8_t ret[ORDERS_ENVELOPE_MAX], size_t *ret_n)
{
    sqlite3_bind_text(o->next, 1, client, -1, SQLITE_STATIC);
    sqlite3_bind_blob(o->next, 2, host, 16, SQLITE_STATIC);
    sqlite3_bind_int64(o->next, 3, (sqlite3_int64)now_ns);
    int code = sqlite3_step(o->next), r = code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : -EIO;
    if (r == 1) {
        size_t n = (size_t)sqlite3_column_bytes(o->next, 1);
        if (n == 0 || n > ORDERS_ENVELOPE_MAX) {
            r = -EBADMSG;
        } else {
            *ret_sequence = (uint64_t)sqlite3_column_int64(o->next, 0);
            memcpy(ret, sqlite3_column_blob(o->next, 1), n);
            *ret_n = n;
        }
    }
    sqlite3_reset(o->next);
    sqlite3_clear_bindings(o->next);
    return r;
}

// ---- results

int orders_result(struct orders *o, const char *client, const struct orders_result *r)
{
    int n = change(
        o,
        query(o,
              "INSERT OR REPLACE INTO order_result SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE "
              "EXISTS (SELECT 1 FROM host_order WHERE client = ?1 AND sequence = ?2 AND (host = ?3 "
              "OR host = x''))",
              "tibiiiib", client, r->sequence, r->host, sizeof r->host, (uint64_t)r->state,
              (uint64_t)(int64_t)r->code, r->response, r->time_ns, r->what,
              strnlen(r->what, sizeof r->what)),
        NULL);
    return n < 0 ? n : n == 0 ? -ENOENT : 0;
}

int orders_each(struct orders *o, const char *client, uint64_t most,
                int (*each)(void *context, const struct orders_row *row), void *context)
{
    sqlite3_stmt *s =
        query(o,
              "SELECT sequence, host, envelope IS NOT NULL, issued, expires, what, "
              "by, (SELECT count(*) FROM order_result r WHERE r.client = o.client AND "
              "r.sequence = o.sequence) FROM host_order o WHERE client = ? ORDER BY "
              "sequence DESC LIMIT ?",
              "ti", client, most);
    int code = SQLITE_ERROR, r = 0;
    while (s && r == 0 && (code = sqlite3_step(s)) == SQLITE_ROW) {
        struct orders_row row = {.sequence = (uint64_t)sqlite3_column_int64(s, 0),
                                 .is_signed = sqlite3_column_int(s, 2) != 0,
                                 .issued_ns = (uint64_t)sqlite3_column_int64(s, 3),
                                 .expires_ns = (uint64_t)sqlite3_column_int64(s, 4),
                                 .answers = (uint64_t)sqlite3_column_int64(s, 7)};
        row.all = !copy_host(s, 1, row.host);
        copy_text(s, 5, row.what, sizeof row.what);
        copy_text(s, 6, row.by, sizeof row.by);
        r = each(context, &row);
    }
    sqlite3_finalize(s);
    return r ? r : code == SQLITE_DONE ? 0 : -EIO;
}

int orders_results_each(struct orders *o, const char *client, uint64_t sequence,
                        int (*each)(void *context, const struct orders_result *r), void *context)
{
    sqlite3_stmt *s =
        query(o,
              "SELECT host, state, code, response, time, what FROM order_result WHERE "
              "client = ? AND sequence = ? ORDER BY host",
              "ti", client, sequence);
    int code = SQLITE_ERROR, r = 0;
    while (s && r == 0 && (code = sqlite3_step(s)) == SQLITE_ROW) {
        struct orders_result row = {.sequence = sequence,
                                    .state = (uint32_t)sqlite3_column_int64(s, 1),
                                    .code = sqlite3_column_int(s, 2),
                                    .response = (uint64_t)sqlite3_column_int64(s, 3),
                                    .time_ns = (uint64_t)sqlite3_column_int64(s, 4)};
        (void)copy_host(s, 0, row.host);
        copy_text(s, 5, row.what, sizeof row.what);
        r = each(context, &row);
    }
    sqlite3_finalize(s);
    return r ? r : code == SQLITE_DONE ? 0 : -EIO;
}
