// SPDX-License-Identifier: Apache-2.0
#include "store/knowledge.h"
#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>

#define WAIT_MS 5000 // for another process's transaction
#define BATCH 1024   // objects of one transaction; each of them whole or not at all

static const char SCHEMA[] =
    "CREATE TABLE IF NOT EXISTS source (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE IF NOT EXISTS rating (seq INTEGER PRIMARY KEY, source INTEGER NOT NULL, "
    "reliability TEXT NOT NULL, learned INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS object (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, "
    "source INTEGER NOT NULL, n INTEGER NOT NULL, kind INTEGER NOT NULL, code TEXT, name TEXT, "
    "text TEXT, source_id TEXT, verb TEXT, target_id TEXT, modified TEXT, tenure TEXT, dated "
    "INTEGER, learned INTEGER, valid_from INTEGER, valid_until INTEGER, grade INTEGER, gone "
    "INTEGER, hash INTEGER);"
    "CREATE INDEX IF NOT EXISTS object_id ON object (id, source, seq);"
    "CREATE INDEX IF NOT EXISTS object_from ON object (source_id) WHERE source_id IS NOT NULL;"
    "CREATE INDEX IF NOT EXISTS object_to ON object (target_id) WHERE target_id IS NOT NULL;"
    "CREATE INDEX IF NOT EXISTS object_kind ON object (kind, name) WHERE kind <> 8;"
    "CREATE TABLE IF NOT EXISTS alias (folded TEXT NOT NULL, seq INTEGER NOT NULL, name TEXT NOT "
    "NULL, PRIMARY KEY (folded, seq)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS alias_seq ON alias (seq);"
    "CREATE TABLE IF NOT EXISTS origin (seq INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY "
    "(seq, name)) WITHOUT ROWID;";

enum statement { HAS, LAST, PUT, ALIAS, ORIGIN, STATEMENTS };
static const char *const statements[STATEMENTS] = {
    [HAS] = "SELECT 1 FROM object WHERE id = ?1 AND source = ?2 AND hash = ?3",
    [LAST] = "SELECT n, modified FROM object WHERE id = ?1 AND source = ?2 ORDER BY seq DESC "
             "LIMIT 1",
    [PUT] = "INSERT INTO object VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, "
            "?13, ?14, ?15, ?16, ?17, ?18, ?19)",
    [ALIAS] = "INSERT OR IGNORE INTO alias VALUES (?1, ?2, ?3)",
    [ORIGIN] = "INSERT OR IGNORE INTO origin VALUES (?1, ?2)",
};

struct knowledge {
    sqlite3 *db;
    sqlite3_stmt *statement[STATEMENTS];
    unsigned pending; // objects in the open transaction
    bool open;        // a transaction is
};

const char *knowledge_kind_name(enum knowledge_kind kind)
{
    static const char *const names[KNOWLEDGE_KINDS] = {
        "group",          "cluster",   "sponsor", "software", "technique",
        "infrastructure", "indicator", "report",  "link",
    };
    return kind < KNOWLEDGE_KINDS ? names[kind] : "object";
}

static int failed(struct knowledge *k, struct error *e)
{
    int code = -EIO;
    switch (sqlite3_errcode(k->db) & 0xff) {
    case SQLITE_BUSY:
        code = -EBUSY;
        break;
    case SQLITE_FULL:
        code = -ENOSPC;
        break;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        code = -EACCES;
        break;
    case SQLITE_CANTOPEN:
        code = -ENOENT;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        code = -EBADMSG;
        break;
    default:
        break;
    }
    return error_set(e, code, "knowledge: %s", sqlite3_errmsg(k->db));
}

static int run(struct knowledge *k, const char *sql, struct error *e)
{
    return sqlite3_exec(k->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(k, e);
}

struct knowledge *knowledge_close(struct knowledge *k)
{
    if (k) {
        for (int i = 0; i < STATEMENTS; i++)
            sqlite3_finalize(k->statement[i]);
        sqlite3_close(k->db);
        free(k);
    }
    return NULL;
}

int knowledge_open(const char *file, bool create, struct knowledge **ret, struct error *e)
{
    struct knowledge *k = calloc(1, sizeof *k);
    if (!k)
        return error_set(e, -ENOMEM, "out of memory");
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);
    int r = 0;
    if (sqlite3_open_v2(file, &k->db, flags, NULL) != SQLITE_OK) {
        r = failed(k, e);
        error_way_out(e, "tiercel intel import FILE --db %s makes it", file);
    } else {
        sqlite3_busy_timeout(k->db, WAIT_MS);
        r = run(k,
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA trusted_schema = "
                "OFF; PRAGMA cache_size = -65536;",
                e);
        if (r == 0)
            r = run(k, SCHEMA, e);
    }
    for (int i = 0; r == 0 && i < STATEMENTS; i++)
        if (sqlite3_prepare_v3(k->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &k->statement[i], NULL) != SQLITE_OK)
            r = failed(k, e);
    if (r < 0) {
        knowledge_close(k);
        return r;
    }
    *ret = k;
    return 0;
}

static void bind(sqlite3_stmt *s, int at, struct str text)
{
    sqlite3_bind_text(s, at, text.n ? text.p : "", (int)text.n, SQLITE_STATIC);
}

static struct str column(sqlite3_stmt *s, int at)
{
    const void *p = sqlite3_column_text(s, at);
    return str_bytes(p, p ? (size_t)sqlite3_column_bytes(s, at) : 0);
}

// A statement that is kept: one step, then ready again. 1: a row was there.
static int step(struct knowledge *k, sqlite3_stmt *s, struct error *e)
{
    int code = sqlite3_step(s), r = code == SQLITE_ROW ? 1 : 0;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        r = failed(k, e);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return r;
}

int64_t knowledge_version(struct knowledge *k, struct error *e)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(k->db, "SELECT coalesce(max(seq), 0) FROM object", -1, &s, NULL) !=
        SQLITE_OK)
        return failed(k, e);
    int64_t n = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : failed(k, e);
    sqlite3_finalize(s);
    return n;
}

static int begin(struct knowledge *k, struct error *e)
{
    int r = k->open ? 0 : run(k, "BEGIN IMMEDIATE", e);
    k->open = r == 0;
    return r;
}

int knowledge_commit(struct knowledge *k, struct error *e)
{
    int r = k->open ? run(k, "COMMIT", e) : 0;
    if (r == 0) {
        k->open = false;
        k->pending = 0;
    }
    return r;
}

static int64_t one(struct knowledge *k, const char *sql, struct str name, struct str second,
                   int64_t number, uint64_t now, struct error *e)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(k->db, sql, -1, &s, NULL) != SQLITE_OK)
        return failed(k, e);
    int n = sqlite3_bind_parameter_count(s);
    if (n > 0)
        bind(s, 1, name);
    if (n > 1)
        bind(s, 2, second);
    if (n > 2)
        sqlite3_bind_int64(s, 3, number);
    if (n > 3)
        sqlite3_bind_int64(s, 4, (int64_t)now);
    int code = sqlite3_step(s);
    int64_t r = code == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        r = failed(k, e);
    sqlite3_finalize(s);
    return r;
}

int knowledge_source(struct knowledge *k, struct str name, struct str reliability, uint64_t now,
                     int64_t *ret, struct error *e)
{
    if (!name.n || name.n > KNOWLEDGE_NAME_MAX)
        return error_set(e, -EINVAL, "a source needs a name of at most %d bytes",
                         KNOWLEDGE_NAME_MAX);
    int64_t r = begin(k, e);
    if (r == 0)
        r = one(k, "INSERT OR IGNORE INTO source (name) VALUES (?1)", name, STR_NONE, 0, 0, e);
    int64_t id =
        r < 0 ? r : one(k, "SELECT id FROM source WHERE name = ?1", name, STR_NONE, 0, 0, e);
    if (id > 0 && reliability.n)
        r = one(
            k,
            "INSERT INTO rating (source, reliability, learned) SELECT ?3, ?2, ?4 WHERE ?1 <> '' "
            "AND ?2 <> coalesce((SELECT reliability FROM rating WHERE source = ?3 ORDER BY seq "
            "DESC LIMIT 1), '')",
            name, reliability, id, now, e);
    if (id < 0 || r < 0)
        return (int)(id < 0 ? id : r);
    *ret = id;
    return knowledge_commit(k, e);
}

// Lower case without space, '-' and '_': "Deep Panda" is "deep-panda". A value keeps all its characters but the case.
static struct str fold(struct str name, bool value, char out[KNOWLEDGE_NAME_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < name.n && n < KNOWLEDGE_NAME_MAX; i++) {
        char c = name.p[i];
        if (!value && (c == ' ' || c == '-' || c == '_'))
            continue;
        out[n++] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    return str_bytes(out, n);
}

static int put_alias(struct knowledge *k, int64_t seq, struct str name, bool value, struct error *e)
{
    char folded[KNOWLEDGE_NAME_MAX];
    struct str key = fold(name, value, folded);
    if (!key.n)
        return 0;
    sqlite3_stmt *s = k->statement[ALIAS];
    bind(s, 1, key);
    sqlite3_bind_int64(s, 2, seq);
    bind(s, 3, name);
    return step(k, s, e);
}

static int put_row(struct knowledge *k, int64_t source, int64_t n, uint64_t now,
                   const struct knowledge_object *o, struct error *e)
{
    sqlite3_stmt *s = k->statement[PUT];
    const struct str texts[] = {o->code, o->name, o->text};
    bind(s, 1, o->id);
    sqlite3_bind_int64(s, 2, source);
    sqlite3_bind_int64(s, 3, n);
    sqlite3_bind_int(s, 4, (int)o->kind);
    for (int i = 0; i < 3; i++)
        bind(s, 5 + i, texts[i]);
    if (o->kind == KNOWLEDGE_LINK) {
        bind(s, 8, o->from);
        bind(s, 9, o->verb);
        bind(s, 10, o->to);
    }
    bind(s, 11, o->modified);
    bind(s, 12, o->tenure);
    sqlite3_bind_int64(s, 13, n == 1 || !o->changed ? o->created : o->changed);
    sqlite3_bind_int64(s, 14, (int64_t)now);
    sqlite3_bind_int64(s, 15, o->valid_from);
    sqlite3_bind_int64(s, 16, o->valid_until);
    sqlite3_bind_int(s, 17, o->grade);
    sqlite3_bind_int(s, 18, o->gone);
    sqlite3_bind_int64(s, 19, (int64_t)o->hash);
    int r = step(k, s, e);
    int64_t seq = sqlite3_last_insert_rowid(k->db);
    bool value = o->kind == KNOWLEDGE_INFRASTRUCTURE || o->kind == KNOWLEDGE_INDICATOR;
    if (r == 0 && o->kind != KNOWLEDGE_LINK) {
        r = put_alias(k, seq, o->name, value, e);
        if (r == 0 && o->code.n)
            r = put_alias(k, seq, o->code, value, e);
    }
    for (size_t i = 0; r == 0 && i < o->n_aliases; i++)
        r = put_alias(k, seq, o->aliases[i], value, e);
    for (size_t i = 0; r == 0 && i < o->n_origins; i++) {
        sqlite3_bind_int64(k->statement[ORIGIN], 1, seq);
        bind(k->statement[ORIGIN], 2, o->origins[i]);
        r = step(k, k->statement[ORIGIN], e);
    }
    return r;
}

// The version that comes next of an object; 0 when what came is older than what is held.
static int64_t next_of(struct knowledge *k, int64_t source, const struct knowledge_object *o,
                       struct error *e)
{
    sqlite3_stmt *s = k->statement[LAST];
    bind(s, 1, o->id);
    sqlite3_bind_int64(s, 2, source);
    int code = sqlite3_step(s);
    int64_t n = 1;
    if (code == SQLITE_ROW) {
        struct str held = column(s, 1);
        size_t least = held.n < o->modified.n ? held.n : o->modified.n;
        n = sqlite3_column_int64(s, 0) + 1;
        if (least && memcmp(o->modified.p, held.p, least) < 0)
            n = 0;
    } else if (code != SQLITE_DONE) {
        n = failed(k, e);
    }
    sqlite3_reset(s);
    return n;
}

int knowledge_put(struct knowledge *k, int64_t source, uint64_t now,
                  const struct knowledge_object *o, struct error *e)
{
    if (!o->id.n || o->id.n > KNOWLEDGE_NAME_MAX || o->name.n > KNOWLEDGE_NAME_MAX ||
        o->text.n > KNOWLEDGE_TEXT_MAX || o->n_aliases > KNOWLEDGE_ALIASES_MAX ||
        o->n_origins > KNOWLEDGE_ORIGINS_MAX)
        return error_set(e, -ENOSPC, "its id, name, text or lists are over the limit");
    sqlite3_stmt *s = k->statement[HAS];
    bind(s, 1, o->id);
    sqlite3_bind_int64(s, 2, source);
    sqlite3_bind_int64(s, 3, (int64_t)o->hash);
    int r = step(k, s, e);
    if (r)
        return r < 0 ? r : KNOWLEDGE_SAME;
    int64_t n = next_of(k, source, o, e);
    if (n <= 0)
        return n < 0 ? (int)n : KNOWLEDGE_OLDER;
    if (n > KNOWLEDGE_VERSIONS_MAX)
        return error_set(e, -ENOSPC, "%d versions of one object are the most that is kept",
                         KNOWLEDGE_VERSIONS_MAX);
    r = begin(k, e);
    if (r == 0)
        r = run(k, "SAVEPOINT one", e);
    if (r < 0)
        return r;
    r = put_row(k, source, n, now, o, e);
    if (r < 0) {
        sqlite3_exec(k->db, "ROLLBACK TO one; RELEASE one", NULL, NULL, NULL);
        return r;
    }
    r = run(k, "RELEASE one", e);
    if (r == 0 && ++k->pending >= BATCH)
        r = knowledge_commit(k, e);
    return r < 0 ? r : n == 1 ? KNOWLEDGE_NEW : KNOWLEDGE_CHANGED;
}

// ---- reading. ?1 text, ?2 version, ?3 date, ?4 number. A row is in force when no later one of its id and source is.

#define IN_VIEW(t) " " t ".seq <= ?2 AND " t ".dated <= ?3 "
#define IN_FORCE(t)                                                                                \
    IN_VIEW(t)                                                                                     \
    "AND NOT EXISTS (SELECT 1 FROM object later WHERE later.id = " t ".id AND later.source = " t   \
    ".source AND later.seq > " t ".seq AND" IN_VIEW("later") ") AND " t ".gone = 0 "
#define RATING                                                                                     \
    "coalesce((SELECT reliability FROM rating WHERE rating.source = o.source ORDER BY seq DESC "   \
    "LIMIT 1), '')"
#define OBJECT_COLUMNS                                                                             \
    "o.kind, o.id, o.code, o.name, o.text, '', o.tenure, s.name, " RATING                          \
    ", o.dated, o.valid_from, o.valid_until, (SELECT count(*) FROM origin WHERE origin.seq = "     \
    "o.seq), o.grade "

static int read_rows(struct knowledge *k, const char *sql, struct str text, int64_t number,
                     const struct knowledge_view *view, knowledge_each each, void *context,
                     struct error *e)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(k->db, sql, -1, &s, NULL) != SQLITE_OK)
        return failed(k, e);
    char folded[KNOWLEDGE_NAME_MAX], lower[KNOWLEDGE_NAME_MAX];
    bind(s, 1, text);
    sqlite3_bind_int64(s, 2, view->version ? (int64_t)view->version : INT64_MAX);
    sqlite3_bind_int64(s, 3, view->at ? view->at : 99999999);
    int n = sqlite3_bind_parameter_count(s);
    if (n > 3)
        sqlite3_bind_int64(s, 4, number);
    if (n > 5) {
        bind(s, 5, fold(text, false, folded));
        bind(s, 6, fold(text, true, lower));
    }
    int code, r = 0;
    while (r == 0 && (code = sqlite3_step(s)) == SQLITE_ROW) {
        struct knowledge_row row = {
            .kind = (enum knowledge_kind)sqlite3_column_int(s, 0),
            .id = column(s, 1),
            .code = column(s, 2),
            .name = column(s, 3),
            .text = column(s, 4),
            .verb = column(s, 5),
            .tenure = column(s, 6),
            .source = column(s, 7),
            .reliability = column(s, 8),
            .dated = (uint32_t)sqlite3_column_int64(s, 9),
            .valid_from = (uint32_t)sqlite3_column_int64(s, 10),
            .valid_until = (uint32_t)sqlite3_column_int64(s, 11),
            .origins = (uint64_t)sqlite3_column_int64(s, 12),
            .grade = sqlite3_column_int(s, 13),
        };
        r = each(context, &row);
    }
    if (r == 0 && code != SQLITE_DONE)
        r = failed(k, e);
    sqlite3_finalize(s);
    return r;
}

int knowledge_find(struct knowledge *k, struct str name, enum knowledge_kind kind,
                   const struct knowledge_view *view, knowledge_each each, void *context,
                   struct error *e)
{
    return read_rows(k,
                     "SELECT " OBJECT_COLUMNS
                     "FROM object o JOIN source s ON s.id = o.source WHERE o.seq IN (SELECT seq "
                     "FROM alias WHERE folded IN (?5, ?6) UNION SELECT seq FROM object WHERE id = "
                     "?1) AND (o.kind = ?4 OR ?4 = 9) AND" IN_FORCE(
                         "o") "ORDER BY o.kind, o.name, o.source LIMIT 1000",
                     name, (int64_t)kind, view, each, context, e);
}

int knowledge_list(struct knowledge *k, enum knowledge_kind kind, struct str part, unsigned limit,
                   const struct knowledge_view *view, knowledge_each each, void *context,
                   struct error *e)
{
    char sql[2048];
    snprintf(sql, sizeof sql,
             "SELECT " OBJECT_COLUMNS
             "FROM object o JOIN source s ON s.id = o.source WHERE o.kind <> 8 AND (o.kind = ?4 OR "
             "?4 = 9) AND (?1 = '' OR instr(lower(o.name), lower(?1)) > 0) AND" IN_FORCE(
                 "o") "ORDER BY o.kind, o.name, o.source LIMIT %u",
             limit);
    return read_rows(k, sql, part, (int64_t)kind, view, each, context, e);
}

#define LINKS(here, there)                                                                         \
    "SELECT t.kind, t.id, t.code, t.name, max(l.text), l.verb, t.tenure, s.name, '', "             \
    "min(l.dated), min(l.valid_from), max(l.valid_until), count(DISTINCT origin.name), "           \
    "max(l.grade) FROM object l JOIN object t ON t.id = l." there                                  \
    " JOIN source s ON s.id = l.source LEFT JOIN origin ON origin.seq = l.seq WHERE l." here       \
    " = ?1 AND" IN_FORCE("l") "AND" IN_FORCE("t") "GROUP BY l.verb, t.id ORDER BY t.kind, "        \
                                                  "t.name LIMIT 10000"

int knowledge_links(struct knowledge *k, struct str id, bool backwards,
                    const struct knowledge_view *view, knowledge_each each, void *context,
                    struct error *e)
{
    return read_rows(k,
                     backwards ? LINKS("target_id", "source_id") : LINKS("source_id", "target_id"),
                     id, 0, view, each, context, e);
}

int knowledge_aliases(struct knowledge *k, struct str id, const struct knowledge_view *view,
                      knowledge_each each, void *context, struct error *e)
{
    return read_rows(k,
                     "SELECT o.kind, o.id, o.code, a.name, '', '', '', s.name, " RATING
                     ", o.dated, 0, 0, 0, o.grade FROM object o JOIN alias a ON a.seq = o.seq JOIN "
                     "source s ON s.id = o.source WHERE o.id = ?1 AND a.name <> o.name AND a.name "
                     "<> o.code AND" IN_FORCE("o") "ORDER BY a.name LIMIT 1000",
                     id, 0, view, each, context, e);
}

int knowledge_namesakes(struct knowledge *k, struct str id, const struct knowledge_view *view,
                        knowledge_each each, void *context, struct error *e)
{
    return read_rows(
        k,
        "SELECT DISTINCT o.kind, o.id, o.code, o.name, a.name, '', '', s.name, " RATING
        ", o.dated, 0, 0, 0, o.grade FROM object me JOIN alias a ON a.seq = me.seq JOIN alias b ON "
        "b.folded = a.folded JOIN object o ON o.seq = b.seq JOIN source s ON s.id = o.source WHERE "
        "me.id = ?1 AND me.kind <= 1 AND o.id <> ?1 AND o.kind <= 1 AND" IN_FORCE(
            "me") "AND" IN_FORCE("o") "ORDER BY o.name LIMIT 100",
        id, 0, view, each, context, e);
}
