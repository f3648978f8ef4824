// SPDX-License-Identifier: Apache-2.0
// STIX 2.1: a report, its author, and each claim as a note on it. Ids are hashes of what they name, times the window's, so
// that the same draft gives the same bundle. Indicators are not in it.
#include "report/document.h"

#include <openssl/sha.h>
#include <time.h>

// A version 8 UUID: of a hash of the project's own making.
static void id_of(const char *type, const uint8_t root[32], const char *what, char ret[80])
{
    struct buf text = {0};
    uint8_t h[32];
    buf_add(&text, root, 32);
    buf_addf(&text, "%s %s", type, what);
    SHA256((const unsigned char *)(text.p ? text.p : ""), text.n, h);
    buf_done(&text);
    snprintf(ret, 80, "%s--%02x%02x%02x%02x-%02x%02x-8%01x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             type, h[0], h[1], h[2], h[3], h[4], h[5], h[6] & 15, h[7], (h[8] & 63) | 128, h[9],
             h[10], h[11], h[12], h[13], h[14], h[15]);
}

static json_t *object(const char *type, const char *id, const char *time)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", type, "spec_version", "2.1", "id", id,
                     "created", time, "modified", time);
}

void document_stix(const struct draft *d, const struct claims *c, struct buf *out)
{
    char author[80], report[80], note[80], bundle[80], name[160], time[40];
    const json_t *one;
    size_t i;
    time_t at = (time_t)(d->request->to_ns / 1000000000);
    struct tm tm;
    gmtime_r(&at, &tm);
    strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S.000Z", &tm);
    snprintf(name, sizeof name, "Attempts between %s and %s", c->from, c->to);
    id_of("identity", d->root, "author", author);
    id_of("report", d->root, name, report);
    id_of("bundle", d->root, report, bundle);
    json_t *all = json_array(), *o = object("identity", author, time);
    json_object_set_new(o, "name", json_string("Operator of the hub"));
    json_object_set_new(o, "identity_class", json_string("organization"));
    json_array_append_new(all, o);
    o = object("report", report, time);
    json_object_set_new(o, "name", json_string(name));
    json_object_set_new(o, "published", json_string(time));
    json_object_set_new(o, "created_by_ref", json_string(author));
    json_object_set_new(o, "object_refs", json_pack("[s]", author));
    json_array_append_new(all, o);
    json_array_foreach(c->all, i, one)
    {
        id_of("note", d->root, json_string_value(json_object_get(one, "text")), note);
        o = object("note", note, time);
        json_object_set(o, "abstract", json_object_get(one, "kind"));
        json_object_set(o, "content", json_object_get(one, "text"));
        json_object_set_new(o, "created_by_ref", json_string(author));
        json_object_set_new(o, "object_refs", json_pack("[s]", report));
        json_array_append_new(all, o);
    }
    document_dump(json_pack("{s:s, s:s, s:o}", "type", "bundle", "id", bundle, "objects", all),
                  out);
}
