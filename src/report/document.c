// SPDX-License-Identifier: Apache-2.0
#include "report/document.h"
#include "base/cleanup.h"
#include "event/json.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((size_t)64 << 20)

static void hex_of(const uint8_t hash[32], char ret[65])
{
    for (size_t i = 0; i < 32; i++)
        snprintf(ret + 2 * i, 3, "%02x", hash[i]);
}

void document_dump(json_t *o, struct buf *out)
{
    char *text = o ? json_dumps(o, JSON_SORT_KEYS | JSON_INDENT(1)) : NULL;
    if (text)
        buf_addf(out, "%s\n", text);
    else
        out->failed = -ENOMEM;
    free(text);
    json_decref(o);
}

void document_json(const struct draft *d, const struct claims *c, struct buf *out)
{
    char root[65], knowledge[17] = "";
    hex_of(d->root, root);
    if (d->request->knowledge)
        snprintf(knowledge, sizeof knowledge, "%016llx",
                 (unsigned long long)d->request->knowledge->version);
    json_t *o = json_pack(
        "{s:s, s:s, s:s, s:{s:s, s:s}, s:{s:s, s:i}, s:s, s:s, s:O}", "format", "tiercel report 1",
        "program", TIERCEL_VERSION, "edition", d->request->for_public ? "public" : "internal",
        "window", "from", c->from, "to", c->to, "counting_rule", "name", ATTEMPT_RULE, "version",
        ATTEMPT_RULE_VERSION, "knowledge", knowledge, "evidence_root", root, "claims", c->all);
    if (o && d->external)
        json_object_set(o, "external_event", d->external);
    document_dump(o, out);
}

// A cell that a spreadsheet would calculate is made text.
static void cell(const char *text, struct buf *out)
{
    buf_add_char(out, '"');
    if (text[0] && strchr("=+-@\t\r", text[0]))
        buf_add_char(out, '\'');
    for (; *text; text++) {
        if (*text == '"')
            buf_add_char(out, '"');
        buf_add_char(out, *text);
    }
    buf_add_char(out, '"');
}

void document_attempts_csv(const struct draft *d, struct buf *out)
{
    buf_add_str(out, STR("client,sector,attempt,begin,outcome,detections,answer\r\n"));
    for (size_t i = 0; i < d->n_attempts; i++) {
        const struct draft_attempt *a = &d->attempts[i];
        const char *begin = json_string_value(json_object_get(a->json, "begin"));
        cell(d->clients[a->client].name, out);
        buf_add_char(out, ',');
        cell(d->clients[a->client].sector, out);
        buf_addf(out, ",%s,%s,\"%s\",%zu,", a->id, begin ? begin : "",
                 attempt_outcome_words(a->outcome),
                 json_array_size(json_object_get(a->json, "detections")));
        cell(a->answer[0] ? a->answer : "unknown", out);
        buf_add_str(out, STR("\r\n"));
    }
}

void document_days_csv(const struct draft *d, struct buf *out)
{
    buf_add_str(out, d->request->for_public ? STR("day,hosts_with_records\r\n")
                                            : STR("day,hosts_with_records,attempts\r\n"));
    for (size_t i = 0; i < d->n_days; i++) {
        char date[32];
        draft_date(d->request->from_ns + i * DRAFT_DAY_NS, date);
        buf_addf(out, "%s,%u", date, d->hosts_of_day[i]);
        if (!d->request->for_public)
            buf_addf(out, ",%u", d->attempts_of_day[i]);
        buf_add_str(out, STR("\r\n"));
    }
}

static int write_file(int folder, const char *name, const struct buf *text, json_t *hashes,
                      struct error *e)
{
    uint8_t hash[32];
    char hex[65];
    _cleanup_close_ int fd =
        text->failed
            ? -1
            : openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (text->failed)
        return error_set(e, text->failed, "%s is too large", name);
    for (size_t at = 0; fd >= 0 && at < text->n;) {
        ssize_t put = write(fd, text->p + at, text->n - at);
        if (put <= 0)
            return error_set(e, put ? -errno : -EIO, "%s cannot be written", name);
        at += (size_t)put;
    }
    if (fd < 0)
        return error_set(e, -errno, "%s cannot be made: %s", name, strerror(errno));
    SHA256((const unsigned char *)text->p, text->n, hash);
    hex_of(hash, hex);
    if (hashes)
        json_object_set_new(hashes, name, json_string(hex));
    return 0;
}

int document_write(const struct draft *d, const struct claims *c, const char *folder,
                   struct error *e)
{
    struct buf files[6] = {{0}};
    static const char *const names[] = {"report.json", "report.txt", "report.html",
                                        "days.csv",    "stix.json",  "attempts.csv"};
    char root[65];
    if (mkdir(folder, 0755) < 0 && errno != EEXIST)
        return error_set(e, -errno, "%s cannot be made: %s", folder, strerror(errno));
    _cleanup_close_ int at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0)
        return error_set(e, -errno, "%s: %s", folder, strerror(errno));
    document_json(d, c, &files[0]);
    buf_add_str(&files[1], buf_str(&c->text));
    document_html(d, c, &files[2]);
    document_days_csv(d, &files[3]);
    document_stix(d, c, &files[4]);
    document_attempts_csv(d, &files[5]);
    size_t n = d->request->for_public ? 5 : 6;
    unlinkat(at, "manifest.sig", 0); // of what stood here before
    json_t *hashes = json_object();
    int r = hashes ? 0 : -ENOMEM;
    if (d->request->for_public && unlinkat(at, names[5], 0) < 0 && errno != ENOENT)
        r = error_set(e, -errno, "%s, of another edition, cannot be removed", names[5]);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = write_file(at, names[i], &files[i], hashes, e);
    for (size_t i = 0; i < 6; i++)
        buf_done(&files[i]);
    _cleanup_buf_ struct buf manifest = {0};
    hex_of(d->root, root);
    document_dump(json_pack("{s:s, s:s, s:o}", "format", "tiercel report 1", "evidence_root", root,
                            "files", hashes),
                  &manifest);
    return r == 0 ? write_file(at, "manifest.json", &manifest, NULL, e) : r;
}

int document_read_file(int folder, const char *name, struct buf *text)
{
    _cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t got = fd < 0 ? -1 : 1;
    text->limit = FILE_MAX + 65536;
    while (got > 0) {
        char *room = buf_room(text, 65536);
        if (!room)
            return -EFBIG;
        got = read(fd, room, 65536);
        text->n += got > 0 ? (size_t)got : 0;
    }
    return got < 0 ? -errno : 0;
}

int document_verify(const char *folder, size_t *ret_files, struct error *e)
{
    _cleanup_close_ int at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_buf_ struct buf manifest = {0};
    const char *name;
    json_t *value;
    int r = at < 0 ? -errno : document_read_file(at, "manifest.json", &manifest);
    if (r < 0)
        return error_set(e, r, "%s: no report's manifest: %s", folder, strerror(-r));
    json_t *o = json_loadb(manifest.p ? manifest.p : "", manifest.n, JSON_REJECT_DUPLICATES, NULL);
    json_t *files = json_object_get(o, "files");
    if (!json_is_object(files) || json_object_size(files) == 0)
        r = error_set(e, -EBADMSG, "manifest.json is damaged");
    json_object_foreach(files, name, value)
    {
        _cleanup_buf_ struct buf text = {0};
        uint8_t hash[32];
        char hex[65];
        if (r < 0 || strchr(name, '/')) {
            r = r < 0 ? r : error_set(e, -EBADMSG, "manifest.json is damaged");
            break;
        }
        int got = document_read_file(at, name, &text);
        SHA256((const unsigned char *)(text.p ? text.p : ""), text.n, hash);
        hex_of(hash, hex);
        if (got < 0 || !json_string_value(value) || strcmp(json_string_value(value), hex) != 0)
            r = error_set(e, -EBADMSG, "%s is not as it was written", name);
    }
    if (r == 0)
        *ret_files = json_object_size(files);
    json_decref(o);
    return r;
}
