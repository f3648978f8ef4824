// SPDX-License-Identifier: Apache-2.0
#include "intel/warning.h"
#include "base/buf.h"
#include "base/cleanup.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <jansson.h>

#define VALUE_MAX 512

int warning_init(struct warning *w)
{
    *w = (struct warning){.arena.limit = 512u << 20, .entries.quota = WARNING_ENTRIES_MAX};
    return 0;
}

void warning_done(struct warning *w)
{
    map_done(&w->entries);
    arena_done(&w->arena);
}

// A letter for the kind, then the value in lower case without a dot at either end.
static struct str text_key(char kind, struct str s, char out[VALUE_MAX + 1])
{
    while (s.n && *s.p == '.')
        s = str_bytes(s.p + 1, s.n - 1);
    while (s.n && s.p[s.n - 1] == '.')
        s.n--;
    if (!s.n || s.n > VALUE_MAX)
        return STR_NONE;
    out[0] = kind;
    for (size_t i = 0; i < s.n; i++)
        out[i + 1] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] + 32) : s.p[i];
    return str_bytes(out, s.n + 1);
}

// Family, length and the bytes that the length leaves.
static struct str prefix_key(int six, unsigned length, const uint8_t address[16], uint8_t out[18])
{
    unsigned bytes = six ? 16 : 4;
    out[0] = (uint8_t)six;
    out[1] = (uint8_t)length;
    for (unsigned i = 0; i < bytes; i++) {
        unsigned keep = length >= 8 * (i + 1) ? 8 : length > 8 * i ? length - 8 * i : 0;
        out[i + 2] = address[i] & (uint8_t)(0xff00 >> keep);
    }
    return str_bytes(out, bytes + 2);
}

// 0: IPv4, 1: IPv6, -1: no address.
static int address_of(struct str s, uint8_t ret[16])
{
    char text[64];
    if (!s.n || s.n >= sizeof text)
        return -1;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    return inet_pton(AF_INET, text, ret) == 1 ? 0 : inet_pton(AF_INET6, text, ret) == 1 ? 1 : -1;
}

static int put(struct warning *w, struct str key, struct str *list)
{
    key = key.n ? arena_str(&w->arena, key) : STR_NONE;
    return key.n ? map_put(&w->entries, key, list) : -EINVAL;
}

static int add_prefix(struct warning *w, struct str s, struct str *list)
{
    uint8_t address[16], key[18];
    uint64_t length = 0;
    struct str rest = s, host = s;
    str_split(&rest, '/', &host);
    int six = address_of(host, address);
    if (six < 0)
        return -EINVAL;
    length = six ? 128 : 32;
    if (host.n < s.n && (str_to_u64(rest, &length) || length > (six ? 128 : 32)))
        return -EINVAL;
    w->lengths[six][length] = true;
    return put(w, prefix_key(six, (unsigned)length, address, key), list);
}

static int add(struct warning *w, struct str type, struct str s, struct str *list)
{
    char key[VALUE_MAX + 1];
    uint8_t address[16];
    if (str_eq(type, STR("cidr")) || address_of(s, address) >= 0)
        return add_prefix(w, s, list);
    if (!str_eq(type, STR("substring")))
        return put(w, text_key(str_eq(type, STR("hostname")) ? 'h' : 's', s, key), list);
    struct str lower = text_key('u', s, key);
    if (w->n_substrings == WARNING_SUBSTRINGS_MAX || !lower.n)
        return -ENOSPC;
    lower = arena_str(&w->arena, str_bytes(lower.p + 1, lower.n - 1));
    if (!lower.n)
        return -ENOMEM;
    w->substrings[w->n_substrings].text = lower;
    w->substrings[w->n_substrings++].list = *list;
    return 0;
}

int warning_load(struct warning *w, const char *text, size_t n, struct error *e)
{
    static const char *const types[] = {"cidr", "string", "hostname", "substring"};
    json_error_t wrong;
    json_t *o = json_loadb(text, n, 0, &wrong), *x;
    const char *type = json_string_value(json_object_get(o, "type"));
    const char *name = json_string_value(json_object_get(o, "name"));
    struct str *list = arena_new(&w->arena, struct str);
    bool known = false;
    size_t i;
    if (!type || !name || !list) {
        json_decref(o);
        return error_set(e, -EINVAL, "no warninglist: an object with type, name and list");
    }
    *list = arena_str(&w->arena, str_from(name));
    for (i = 0; i < 4; i++)
        known |= !strcmp(type, types[i]);
    w->lists += known;
    w->unused += !known;
    json_array_foreach(json_object_get(o, "list"), i, x)
    {
        if (known && (!json_is_string(x) ||
                      add(w, str_from(type), str_from(json_string_value(x)), list) < 0))
            w->refused++;
    }
    json_decref(o);
    return 0;
}

static int load_file(struct warning *w, const char *path, struct error *e)
{
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    _cleanup_buf_ struct buf b = {.limit = WARNING_FILE_MAX};
    char block[65536];
    size_t n;
    if (!f)
        return error_set(e, -errno, "%s can't be opened: %m", path);
    while (!b.failed && (n = fread(block, 1, sizeof block, f)) > 0)
        buf_add(&b, block, n);
    int r = b.failed || ferror(f) ? error_set(e, -EFBIG, "over 64 MiB, or can't be read")
                                  : warning_load(w, b.p ? b.p : "", b.n, e);
    if (r)
        error_place(e, path, 0, 0);
    return r;
}

int warning_load_path(struct warning *w, const char *path, struct error *e)
{
    DIR *d = opendir(path);
    struct dirent *entry;
    char file[4096];
    int r = 0;
    if (!d)
        return load_file(w, path, e);
    while (r == 0 && (entry = readdir(d)))
        if (str_ends(str_from(entry->d_name), STR(".json")) &&
            snprintf(file, sizeof file, "%s/%s", path, entry->d_name) < (int)sizeof file)
            r = load_file(w, file, e);
    closedir(d);
    return r;
}

// The host of a URL; the text itself when it is none.
static struct str host_of(struct str s)
{
    ssize_t at = str_find(s, STR("://"));
    if (at < 0)
        return s;
    s = str_bytes(s.p + at + 3, s.n - (size_t)at - 3);
    size_t n = 0;
    while (n < s.n && !strchr("/?#:", s.p[n] ? s.p[n] : '/'))
        n++;
    return str_bytes(s.p, n);
}

static struct str find_address(const struct warning *w, int six, const uint8_t address[16])
{
    uint8_t key[18];
    for (int length = six ? 128 : 32; length >= 0; length--) {
        const struct str *list =
            w->lengths[six][length]
                ? map_get(&w->entries, prefix_key(six, (unsigned)length, address, key))
                : NULL;
        if (list)
            return *list;
    }
    return STR_NONE;
}

struct str warning_find(const struct warning *w, struct str value)
{
    char key[VALUE_MAX + 1];
    uint8_t address[16];
    struct str host = host_of(value), whole = text_key('s', value, key);
    const struct str *list = whole.n ? map_get(&w->entries, whole) : NULL;
    for (unsigned i = 0; !list && whole.n && i < w->n_substrings; i++)
        if (str_find(whole, w->substrings[i].text) >= 1)
            list = &w->substrings[i].list;
    if (list)
        return *list;
    int six = address_of(host, address);
    if (six >= 0)
        return find_address(w, six, address);
    if (!text_key('s', host, key).n)
        return STR_NONE;
    list = map_get(&w->entries, text_key('s', host, key));
    for (struct str rest = host, label; !list && rest.n && text_key('h', rest, key).n;) {
        list = map_get(&w->entries, text_key('h', rest, key)); // the name, or one that it is under
        str_split(&rest, '.', &label);
    }
    return list ? *list : STR_NONE;
}
