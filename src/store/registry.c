// SPDX-License-Identifier: Apache-2.0
#include "store/registry.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>

#define WAIT_MS 5000 // for another process's transaction

static const char SCHEMA[] =
    "PRAGMA journal_mode = WAL;"
    "CREATE TABLE IF NOT EXISTS client (name TEXT PRIMARY KEY, sector TEXT NOT NULL, added INTEGER "
    "NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS enrolment_key (id BLOB PRIMARY KEY, hash BLOB NOT NULL, client "
    "TEXT NOT NULL, uses INTEGER NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS host (client TEXT NOT NULL, host BLOB NOT NULL, name BLOB NOT "
    "NULL, certificate BLOB NOT NULL, enrolled INTEGER NOT NULL, revoked INTEGER NOT NULL, "
    "PRIMARY KEY (client, host)) WITHOUT ROWID;";

struct registry {
    sqlite3 *db;
    sqlite3_stmt *check; // kept, for it runs with each request
};

static int code_of(int sqlite)
{
    switch (sqlite & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return -EACCES;
    case SQLITE_CANTOPEN:
        return -ENOENT;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    default:
        return -EIO;
    }
}

static int failed(struct registry *r, struct error *e)
{
    return error_set(e, code_of(sqlite3_errcode(r->db)), "hub.db: %s", sqlite3_errmsg(r->db));
}

static int run(struct registry *r, const char *sql, struct error *e)
{
    return sqlite3_exec(r->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(r, e);
}

struct registry *registry_close(struct registry *r)
{
    if (r) {
        sqlite3_finalize(r->check);
        sqlite3_close(r->db);
        free(r);
    }
    return NULL;
}

int registry_open(const char *file, bool create, struct registry **ret, struct error *e)
{
    struct registry *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(e, -ENOMEM, "out of memory");
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);
    int code = 0;
    if (sqlite3_open_v2(file, &r->db, flags, NULL) != SQLITE_OK) {
        code = failed(r, e);
    } else {
        sqlite3_busy_timeout(r->db, WAIT_MS);
        code = run(r, "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;", e);
        if (code == 0)
            code = run(r, SCHEMA, e);
    }
    if (code == 0 &&
        sqlite3_prepare_v3(r->db,
                           "SELECT revoked, certificate FROM host WHERE client = ? AND host = ?",
                           -1, SQLITE_PREPARE_PERSISTENT, &r->check, NULL) != SQLITE_OK)
        code = failed(r, e);
    if (code < 0) {
        registry_close(r);
        return code;
    }
    *ret = r;
    return 0;
}

// ---- statements. Formats: t text, b bytes with their length, i number.

static sqlite3_stmt *prepare(struct registry *r, const char *sql, const char *format, va_list args)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(r->db, sql, -1, &s, NULL) != SQLITE_OK)
        return NULL;
    for (int i = 1; *format; i++, format++)
        if (*format == 't') {
            sqlite3_bind_text(s, i, va_arg(args, const char *), -1, SQLITE_TRANSIENT);
        } else if (*format == 'b') {
            const void *p = va_arg(args, const void *);
            sqlite3_bind_blob(s, i, p, va_arg(args, int), SQLITE_TRANSIENT);
        } else {
            sqlite3_bind_int64(s, i, (sqlite3_int64)va_arg(args, uint64_t));
        }
    return s;
}

static sqlite3_stmt *query(struct registry *r, const char *sql, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    sqlite3_stmt *s = prepare(r, sql, format, args);
    va_end(args);
    return s;
}

// How many rows it changed, or negative errno.
static int change(struct registry *r, struct error *e, const char *sql, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    sqlite3_stmt *s = prepare(r, sql, format, args);
    va_end(args);
    int code = s ? sqlite3_step(s) : SQLITE_ERROR;
    if (code != SQLITE_DONE)
        code = failed(r, e);
    else
        code = sqlite3_changes(r->db);
    sqlite3_finalize(s);
    return code;
}

// One number, or negative errno; 0 rows are 0.
static int64_t number(struct registry *r, struct error *e, const char *sql, const char *text)
{
    sqlite3_stmt *s = query(r, sql, text ? "t" : "", text);
    int code = s ? sqlite3_step(s) : SQLITE_ERROR;
    int64_t n = 0;
    if (code == SQLITE_ROW)
        n = sqlite3_column_int64(s, 0);
    else if (code != SQLITE_DONE)
        n = failed(r, e);
    sqlite3_finalize(s);
    return n;
}

static int end(struct registry *r, int code, struct error *e)
{
    if (code >= 0) {
        int committed = run(r, "COMMIT", e);
        if (committed == 0)
            return code;
        code = committed;
    }
    sqlite3_exec(r->db, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

static void take_text(sqlite3_stmt *s, int column, char ret[REGISTRY_NAME_MAX + 1])
{
    int n = sqlite3_column_bytes(s, column);
    if (n > REGISTRY_NAME_MAX)
        n = REGISTRY_NAME_MAX;
    if (n > 0)
        memcpy(ret, sqlite3_column_blob(s, column), (size_t)n);
    ret[n] = 0;
}

static void take_bytes(sqlite3_stmt *s, int column, uint8_t *ret, size_t n)
{
    if (sqlite3_column_bytes(s, column) == (int)n)
        memcpy(ret, sqlite3_column_blob(s, column), n);
}

// ---- clients and keys

int registry_client_add(struct registry *r, const char *name, const char *sector, uint64_t now,
                        struct error *e)
{
    int code = run(r, "BEGIN IMMEDIATE", e);
    if (code < 0)
        return code;
    int64_t n = number(r, e, "SELECT count(*) FROM client", NULL);
    code = n < 0 ? (int)n : 0;
    if (n >= REGISTRY_CLIENTS_MAX)
        code = error_set(e, -ENOSPC, "%d clients are the most that one hub keeps",
                         REGISTRY_CLIENTS_MAX);
    if (code == 0)
        code =
            change(r, e, "INSERT OR IGNORE INTO client VALUES (?, ?, ?)", "tti", name, sector, now);
    if (code == 0)
        code = error_set(e, -EEXIST, "there is a client '%s' already", name);
    code = end(r, code, e);
    return code < 0 ? code : 0;
}

int registry_client_each(struct registry *r,
                         int (*each)(void *context, const struct registry_client *c), void *context,
                         struct error *e)
{
    sqlite3_stmt *s = query(
        r,
        "SELECT name, sector, added, (SELECT count(*) FROM host WHERE client = client.name), "
        "(SELECT "
        "count(*) FROM host WHERE client = client.name AND revoked <> 0), (SELECT count(*) FROM "
        "enrolment_key WHERE client = client.name AND uses > 0) FROM client ORDER BY name",
        "");
    int step = s ? SQLITE_ROW : SQLITE_ERROR, code = 0;
    while (s && code == 0 && (step = sqlite3_step(s)) == SQLITE_ROW) {
        struct registry_client c = {.added_ns = (uint64_t)sqlite3_column_int64(s, 2),
                                    .hosts = (uint64_t)sqlite3_column_int64(s, 3),
                                    .revoked = (uint64_t)sqlite3_column_int64(s, 4),
                                    .keys = (uint64_t)sqlite3_column_int64(s, 5)};
        take_text(s, 0, c.name);
        take_text(s, 1, c.sector);
        code = each(context, &c);
    }
    if (code == 0 && step != SQLITE_DONE)
        code = failed(r, e);
    sqlite3_finalize(s);
    return code;
}

int registry_key_add(struct registry *r, const char *client, const struct registry_key *key,
                     uint64_t now, struct error *e)
{
    int code = run(r, "BEGIN IMMEDIATE", e);
    if (code < 0)
        return code;
    code = change(r, e, "DELETE FROM enrolment_key WHERE uses = 0 OR expires <= ?", "i", now);
    int64_t n =
        code < 0 ? code : number(r, e, "SELECT count(*) FROM client WHERE name = ?", client);
    if (n == 0)
        n = error_set(e, -ENOENT, "there is no client '%s'", client);
    if (n > 0)
        n = number(r, e, "SELECT count(*) FROM enrolment_key WHERE client = ?", client);
    if (n >= REGISTRY_KEYS_MAX)
        n = error_set(e, -ENOSPC, "client '%s' has %d keys that can be used", client,
                      REGISTRY_KEYS_MAX);
    code = n < 0 ? (int)n
                 : change(r, e, "INSERT INTO enrolment_key VALUES (?, ?, ?, ?, ?)", "bbtii",
                          key->id, REGISTRY_KEY_ID, key->hash, 32, client, (uint64_t)key->uses,
                          key->expires_ns);
    code = end(r, code, e);
    return code < 0 ? code : 0;
}

// ---- hosts

int registry_host_each(struct registry *r, const char *client,
                       int (*each)(void *context, const struct registry_host *h), void *context,
                       struct error *e)
{
    sqlite3_stmt *s = query(r,
                            "SELECT client, name, host, certificate, enrolled, revoked FROM host "
                            "WHERE ?1 = '' OR client = ?1 ORDER BY client, host",
                            "t", client ? client : "");
    int step = s ? SQLITE_ROW : SQLITE_ERROR, code = 0;
    while (s && code == 0 && (step = sqlite3_step(s)) == SQLITE_ROW) {
        struct registry_host h = {.enrolled_ns = (uint64_t)sqlite3_column_int64(s, 4),
                                  .revoked_ns = (uint64_t)sqlite3_column_int64(s, 5)};
        take_text(s, 0, h.client);
        take_text(s, 1, h.name);
        take_bytes(s, 2, h.host, sizeof h.host);
        take_bytes(s, 3, h.certificate, sizeof h.certificate);
        code = each(context, &h);
    }
    if (code == 0 && step != SQLITE_DONE)
        code = failed(r, e);
    sqlite3_finalize(s);
    return code;
}

static int host_state(struct registry *r, const char *client, const uint8_t host[16],
                      uint64_t *ret_revoked, uint8_t ret_certificate[32])
{
    int code = -ENOENT;
    sqlite3_bind_text(r->check, 1, client, -1, SQLITE_TRANSIENT);
    sqlite3_bind_blob(r->check, 2, host, 16, SQLITE_TRANSIENT);
    int step = sqlite3_step(r->check);
    if (step == SQLITE_ROW) {
        *ret_revoked = (uint64_t)sqlite3_column_int64(r->check, 0);
        take_bytes(r->check, 1, ret_certificate, 32);
        code = 0;
    } else if (step != SQLITE_DONE) {
        code = code_of(step);
    }
    sqlite3_reset(r->check);
    return code;
}

int registry_host_check(struct registry *r, const char *client, const uint8_t host[16],
                        const uint8_t certificate[32])
{
    uint64_t revoked = 0;
    uint8_t last[32] = {0};
    int code = host_state(r, client, host, &revoked, last);
    return code == 0 && (revoked || memcmp(last, certificate, sizeof last) != 0) ? -EACCES : code;
}

int registry_host_revoke(struct registry *r, const char *client, const uint8_t host[16],
                         uint64_t now, struct error *e)
{
    uint64_t revoked = 0;
    uint8_t unused[32];
    int code = host_state(r, client, host, &revoked, unused);
    if (code < 0)
        return error_set(e, code, "client '%s' has no such host", client);
    if (revoked)
        return 1;
    code = change(r, e, "UPDATE host SET revoked = ? WHERE client = ? AND host = ?", "itb", now,
                  client, host, 16);
    return code < 0 ? code : 0;
}

// ---- enrolment

// The client whose key it is. The key is found by its open half; the secret one is compared in constant time.
static int key_client(struct registry *r, const struct registry_enrolment *n,
                      char ret[REGISTRY_NAME_MAX + 1], struct error *e)
{
    sqlite3_stmt *s =
        query(r, "SELECT hash, client FROM enrolment_key WHERE id = ? AND uses > 0 AND expires > ?",
              "bi", n->key_id, REGISTRY_KEY_ID, n->now);
    int code = -EACCES, step = s ? sqlite3_step(s) : SQLITE_ERROR;
    if (step == SQLITE_ROW) {
        uint8_t hash[32] = {0};
        take_bytes(s, 0, hash, sizeof hash);
        take_text(s, 1, ret);
        if (CRYPTO_memcmp(hash, n->key_hash, sizeof hash) == 0)
            code = 0;
    } else if (step != SQLITE_DONE) {
        code = failed(r, e);
    }
    sqlite3_finalize(s);
    return code == -EACCES ? error_set(e, code, "the enrolment key is not valid (any more)") : code;
}

static int enrol(struct registry *r, const struct registry_enrolment *n, struct error *e)
{
    char client[REGISTRY_NAME_MAX + 1];
    uint64_t revoked = 0;
    uint8_t certificate[32];
    int code = key_client(r, n, client, e);
    if (code < 0)
        return code;
    code = host_state(r, client, n->host, &revoked, certificate);
    if (code == 0 && !revoked) {
        error_set(e, -EEXIST, "this host is enrolled already");
        error_way_out(e, "revoke it first: tiercel-hub host revoke %s HOST", client);
        return -EEXIST;
    }
    if (code < 0 && code != -ENOENT)
        return failed(r, e);
    int64_t hosts = number(r, e, "SELECT count(*) FROM host WHERE client = ?", client);
    if (hosts >= REGISTRY_HOSTS_MAX)
        return error_set(e, -ENOSPC, "client '%s' has %d hosts", client, REGISTRY_HOSTS_MAX);
    code = hosts < 0 ? (int)hosts : n->sign(n->context, client, certificate);
    if (code == 0)
        code = change(r, e, "UPDATE enrolment_key SET uses = uses - 1 WHERE id = ?", "b", n->key_id,
                      REGISTRY_KEY_ID);
    if (code >= 0)
        code = change(r, e, "INSERT OR REPLACE INTO host VALUES (?, ?, ?, ?, ?, 0)", "tbbbi",
                      client, n->host, 16, n->name, (int)strlen(n->name), certificate, 32, n->now);
    return code;
}

int registry_enrol(struct registry *r, const struct registry_enrolment *enrolment, struct error *e)
{
    int code = run(r, "BEGIN IMMEDIATE", e);
    if (code < 0)
        return code;
    code = end(r, enrol(r, enrolment, e), e);
    return code < 0 ? code : 0;
}

int registry_host_name(struct registry *r, const char *client, const uint8_t host[16],
                       char ret[REGISTRY_NAME_MAX + 1])
{
    sqlite3_stmt *s =
        query(r, "SELECT name FROM host WHERE client = ? AND host = ?", "tb", client, host, 16);
    int code = s ? sqlite3_step(s) : SQLITE_ERROR;
    if (code == SQLITE_ROW)
        take_text(s, 0, ret);
    sqlite3_finalize(s);
    return code == SQLITE_ROW ? 0 : code == SQLITE_DONE ? -ENOENT : -EIO;
}

int64_t registry_version(struct registry *r)
{
    return number(r, NULL, "PRAGMA data_version", NULL);
}
