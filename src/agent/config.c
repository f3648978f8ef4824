// SPDX-License-Identifier: Apache-2.0
#include "agent/config.h"
#include "base/cleanup.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <yaml.h>

struct reader {
    struct config *config;
    const char *file;
    struct error *e;
    unsigned seen; // bits, keys of the table
};

static int bad(struct reader *r, const yaml_mark_t *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int bad(struct reader *r, const yaml_mark_t *at, const char *format, ...)
{
    char text[320];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    error_set(r->e, -EINVAL, "%s", text);
    error_place(r->e, r->file, (unsigned)at->line + 1, (unsigned)at->column + 1);
    return -EINVAL;
}

// ---- one value each

static int take_mode(struct config *c, struct str v, struct error *e)
{
    if (!str_eq(v, STR("prevent")) && !str_eq(v, STR("detect")))
        return error_set(e, -EINVAL, "mode is 'prevent' or 'detect'");
    c->prevent = str_eq(v, STR("prevent"));
    return 0;
}

static int take_path(struct str v, char *ret, size_t size, struct error *e)
{
    if (v.n == 0 || v.p[0] != '/' || memchr(v.p, 0, v.n))
        return error_set(e, -EINVAL, "a path that begins with '/' is wanted");
    if (v.n >= size)
        return error_set(e, -EINVAL, "the path is longer than %zu bytes", size - 1);
    memcpy(ret, v.p, v.n);
    ret[v.n] = 0;
    return 0;
}

static int take_rules(struct config *c, struct str v, struct error *e)
{
    return take_path(v, c->rules, sizeof(c->rules), e);
}

static int take_exceptions(struct config *c, struct str v, struct error *e)
{
    return take_path(v, c->exceptions, sizeof(c->exceptions), e);
}

static int take_state(struct config *c, struct str v, struct error *e)
{
    return take_path(v, c->state, sizeof(c->state), e);
}

static int take_run(struct config *c, struct str v, struct error *e)
{
    return take_path(v, c->run, sizeof(c->run), e);
}

static int take_deadline(struct config *c, struct str v, struct error *e)
{
    uint64_t n;
    if (str_to_u64(v, &n) < 0 || n < 5 || n > 1000)
        return error_set(e, -EINVAL, "deadline_ms is a number from 5 to 1000");
    c->deadline_ms = (uint32_t)n;
    return 0;
}

// "256 MiB", or bytes.
static int take_bytes(struct str v, uint64_t *ret)
{
    static const struct {
        struct str unit;
        unsigned shift;
    } units[] = {{STR("KiB"), 10}, {STR("MiB"), 20}, {STR("GiB"), 30}};
    uint64_t n;
    unsigned shift = 0;
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
        if (str_ends(v, units[i].unit)) {
            shift = units[i].shift;
            v = str_trim(str_bytes(v.p, v.n - units[i].unit.n));
        }
    if (str_to_u64(v, &n) < 0 || n > (1ull << 50) >> shift)
        return -EINVAL;
    *ret = n << shift;
    return 0;
}

static int take_journal_bytes(struct config *c, struct str v, struct error *e)
{
    uint64_t n;
    if (take_bytes(v, &n) < 0 || n < 4u << 20)
        return error_set(e, -EINVAL,
                         "journal_bytes is a number of bytes, at least 4 MiB, such as '256 MiB'");
    c->journal_bytes = n;
    return 0;
}

static int take_cpu(struct config *c, struct str v, struct error *e)
{
    uint64_t n;
    if (str_to_u64(v, &n) < 0 || n > 10000 || (n && n < 5))
        return error_set(e, -EINVAL, "cpu_budget is a percentage of one core, 5 to 10000, or 0");
    c->cpu_percent = (uint32_t)n;
    return 0;
}

static int take_memory(struct config *c, struct str v, struct error *e)
{
    uint64_t n;
    if (take_bytes(v, &n) < 0 || (n && n < 32u << 20))
        return error_set(
            e, -EINVAL,
            "memory_budget is a number of bytes, at least 32 MiB, such as '96 MiB', or 0");
    c->memory_bytes = n;
    return 0;
}

static int take_address(struct config *c, struct str v, struct error *e)
{
    if (c->n_deny == ROLE_DENY_MAX)
        return error_set(e, -E2BIG, "more than %d addresses to deny", ROLE_DENY_MAX);
    int r = config_address(v, &c->deny[c->n_deny], e);
    c->n_deny += r == 0;
    return r;
}

static int take_protected_folder(struct config *c, struct str v, struct error *e)
{
    return protect_add_folder(&c->protect, v, e);
}

static int take_protected_allow(struct config *c, struct str v, struct error *e)
{
    return protect_add_allow(&c->protect, v, e);
}

static int take_folder(struct str v, char *list, size_t size, struct error *e)
{
    size_t at = 0;
    while (list[at])
        at += strlen(list + at) + 1;
    if (at + v.n + 2 > size)
        return error_set(e, -E2BIG, "the paths are longer than %zu bytes together", size - 2);
    return take_path(v, list + at, size - at - 1, e);
}

static int take_web_root(struct config *c, struct str v, struct error *e)
{
    return take_folder(v, c->web_roots, sizeof(c->web_roots), e);
}

static int take_quarantine_bytes(struct config *c, struct str v, struct error *e)
{
    uint64_t n;
    if (take_bytes(v, &n) < 0 || n < 1u << 20)
        return error_set(
            e, -EINVAL, "quarantine_bytes is a number of bytes, at least 1 MiB, such as '256 MiB'");
    c->quarantine_bytes = n;
    return 0;
}

static int take_allow(struct config *c, struct str v, struct error *e)
{
    struct sensor_address a;
    if (c->n_allow == ROLE_ALLOW_MAX)
        return error_set(e, -E2BIG, "more than %d addresses to allow", ROLE_ALLOW_MAX);
    int r = config_address(v, &a, e);
    if (r < 0)
        return r;
    struct response_address *to = &c->allow[c->n_allow++];
    *to = (struct response_address){.bytes = a.family == AF_INET ? 4 : 16,
                                    .prefix = (uint8_t)a.prefix};
    memcpy(to->ip, a.address, sizeof(to->ip));
    return 0;
}

static const struct key {
    struct str name;
    bool list;
    int (*take)(struct config *c, struct str value, struct error *e);
} keys[] = {
    {STR("mode"), false, take_mode},
    {STR("rules"), false, take_rules},
    {STR("exceptions"), false, take_exceptions},
    {STR("state"), false, take_state},
    {STR("run"), false, take_run},
    {STR("deadline_ms"), false, take_deadline},
    {STR("journal_bytes"), false, take_journal_bytes},
    {STR("cpu_budget"), false, take_cpu},
    {STR("memory_budget"), false, take_memory},
    {STR("deny_addresses"), true, take_address},
    {STR("protected_folders"), true, take_protected_folder},
    {STR("protected_allow"), true, take_protected_allow},
    {STR("web_roots"), true, take_web_root},
    {STR("contain_allow"), true, take_allow},
    {STR("quarantine_bytes"), false, take_quarantine_bytes},
};
#define KEYS (sizeof(keys) / sizeof(*keys))

int config_address(struct str text, struct sensor_address *ret, struct error *e)
{
    struct str rest = text, address;
    char name[INET6_ADDRSTRLEN];
    str_split(&rest, '/', &address);
    bool whole = address.n == text.n;
    struct sensor_address a = {0};
    if (address.n >= sizeof(name) || memchr(address.p, 0, address.n))
        return error_set(e, -EINVAL, "not an address: '" STR_FMT "'", STR_ARG(text));
    memcpy(name, address.p, address.n);
    name[address.n] = 0;
    a.family = inet_pton(AF_INET, name, a.address) == 1    ? AF_INET
               : inet_pton(AF_INET6, name, a.address) == 1 ? AF_INET6
                                                           : 0;
    if (!a.family)
        return error_set(e, -EINVAL, "not an address: '" STR_FMT "'", STR_ARG(text));
    unsigned bits = a.family == AF_INET ? 32 : 128;
    uint64_t prefix = bits;
    if (!whole && (str_to_u64(rest, &prefix) < 0 || prefix > bits))
        return error_set(e, -EINVAL, "the prefix of '" STR_FMT "' is not a number from 0 to %u",
                         STR_ARG(text), bits);
    for (unsigned i = (unsigned)prefix; i < bits; i++)
        if (a.address[i / 8] & 0x80 >> i % 8)
            return error_set(e, -EINVAL, "'" STR_FMT "' has bits set behind its prefix",
                             STR_ARG(text));
    a.prefix = (uint32_t)prefix;
    *ret = a;
    return 0;
}

// ---- the file

static struct str scalar(const yaml_node_t *n)
{
    return str_bytes(n->data.scalar.value, n->data.scalar.length);
}

static int take_one(struct reader *r, const struct key *key, const yaml_node_t *n)
{
    struct error e = {0};
    if (n->type != YAML_SCALAR_NODE)
        return bad(r, &n->start_mark, "'" STR_FMT "' wants a single value", STR_ARG(key->name));
    int result = key->take(r->config, scalar(n), &e);
    return result < 0 ? bad(r, &n->start_mark, "%.300s", e.what) : 0;
}

// "- /srv/data: database" is a mapping of one pair in YAML; it is taken as the text that it looks like.
static int take_pair_of_list(struct reader *r, const struct key *key, yaml_document_t *document,
                             const yaml_node_t *n)
{
    char text[2 * PROTECT_PATH + 4];
    struct error e = {0};
    const yaml_node_pair_t *pair = n->data.mapping.pairs.start;
    bool one = n->data.mapping.pairs.top == pair + 1;
    const yaml_node_t *left = one ? yaml_document_get_node(document, pair->key) : NULL;
    const yaml_node_t *right = one ? yaml_document_get_node(document, pair->value) : NULL;
    if (!left || !right || left->type != YAML_SCALAR_NODE || right->type != YAML_SCALAR_NODE)
        return bad(r, &n->start_mark, "'" STR_FMT "' wants single values, or 'PATH: WHO'",
                   STR_ARG(key->name));
    int size = snprintf(text, sizeof(text), STR_FMT ": " STR_FMT, STR_ARG(scalar(left)),
                        STR_ARG(scalar(right)));
    if (size < 0 || (size_t)size >= sizeof(text))
        return bad(r, &n->start_mark, "the pair is too long");
    int result = key->take(r->config, str_bytes(text, (size_t)size), &e);
    return result < 0 ? bad(r, &n->start_mark, "%.300s", e.what) : 0;
}

static int take_value(struct reader *r, const struct key *key, yaml_document_t *document,
                      const yaml_node_t *value)
{
    if (!key->list)
        return take_one(r, key, value);
    if (value->type != YAML_SEQUENCE_NODE)
        return bad(r, &value->start_mark, "'" STR_FMT "' wants a list", STR_ARG(key->name));
    for (yaml_node_item_t *i = value->data.sequence.items.start; i < value->data.sequence.items.top;
         i++) {
        const yaml_node_t *n = yaml_document_get_node(document, *i);
        int result = n->type == YAML_MAPPING_NODE && key->take == take_protected_allow
                         ? take_pair_of_list(r, key, document, n)
                         : take_one(r, key, n);
        if (result < 0)
            return result;
    }
    return 0;
}

static int unknown_key(struct reader *r, const yaml_node_t *n)
{
    struct str name = scalar(n);
    bad(r, &n->start_mark, "unknown key '" STR_FMT "'", (int)(name.n < 60 ? name.n : 60), name.p);
    char known[240] = "";
    for (size_t i = 0; i < KEYS; i++)
        snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", i ? ", " : "",
                 keys[i].name.p);
    error_way_out(r->e, "known are: %s", known);
    return -EINVAL;
}

static int take_pair(struct reader *r, yaml_document_t *document, const yaml_node_pair_t *pair)
{
    const yaml_node_t *key = yaml_document_get_node(document, pair->key);
    const yaml_node_t *value = yaml_document_get_node(document, pair->value);
    if (key->type != YAML_SCALAR_NODE)
        return bad(r, &key->start_mark, "a key is a single word");
    for (size_t i = 0; i < KEYS; i++) {
        if (!str_eq(keys[i].name, scalar(key)))
            continue;
        if (r->seen & 1u << i)
            return bad(r, &key->start_mark, "'%s' is given twice", keys[i].name.p);
        r->seen |= 1u << i;
        return take_value(r, &keys[i], document, value);
    }
    return unknown_key(r, key);
}

static int take_document(struct reader *r, yaml_document_t *document)
{
    yaml_node_t *root = yaml_document_get_root_node(document);
    if (!root || (root->type == YAML_SCALAR_NODE && root->data.scalar.length == 0))
        return 0; // an empty file changes nothing
    if (root->type != YAML_MAPPING_NODE)
        return bad(r, &root->start_mark, "lines of 'key: value' are wanted");
    int result = 0;
    for (yaml_node_pair_t *p = root->data.mapping.pairs.start;
         p < root->data.mapping.pairs.top && result == 0; p++)
        result = take_pair(r, document, p);
    return result;
}

int config_parse(struct str text, const char *file, struct config *config, struct error *e)
{
    struct reader r = {.config = config, .file = file, .e = e};
    yaml_parser_t parser;
    yaml_document_t document;
    if (text.n > CONFIG_BYTES_MAX)
        return error_set(e, -E2BIG, "%s is larger than %u bytes", file, CONFIG_BYTES_MAX);
    if (!yaml_parser_initialize(&parser))
        return error_set(e, -ENOMEM, "no memory to read %s", file);
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.p ? text.p : ""), text.n);
    int result;
    if (yaml_parser_load(&parser, &document)) {
        result = take_document(&r, &document);
        yaml_document_delete(&document);
    } else {
        result = bad(&r, &parser.problem_mark, "not YAML: %s",
                     parser.problem ? parser.problem : "unreadable");
    }
    yaml_parser_delete(&parser);
    return result;
}

int config_read(const char *file, struct config *config, struct error *e)
{
    _cleanup_free_ char *text = malloc(CONFIG_BYTES_MAX + 1);
    _cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || !text)
        return error_set(e, fd < 0 ? -errno : -ENOMEM, "%s cannot be read: %s", file,
                         strerror(errno));
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return error_set(e, -EINVAL, "%s is not a file", file);
    if (st.st_uid != 0 || st.st_mode & (S_IWGRP | S_IWOTH)) {
        error_set(e, -EPERM, "%s could be written by others than root", file);
        error_way_out(e, "chown root %s && chmod go-w %s", file, file);
        return -EPERM;
    }
    ssize_t n = read(fd, text, CONFIG_BYTES_MAX + 1);
    if (n < 0)
        return error_set(e, -errno, "%s cannot be read: %s", file, strerror(errno));
    return config_parse(str_bytes(text, (size_t)n), file, config, e);
}

void config_default(struct config *ret)
{
    static const char *const rules[] = {"/etc/tiercel/rules", "/usr/local/share/tiercel/rules",
                                        "/usr/share/tiercel/rules"};
    *ret = (struct config){.deadline_ms = 50,
                           .journal_bytes = 256u << 20,
                           .quarantine_bytes = 256u << 20,
                           .cpu_percent = 60,
                           .memory_bytes = 128u << 20,
                           .exceptions = "/etc/tiercel/exceptions.yml",
                           .state = "/var/lib/tiercel",
                           .run = "/run/tiercel"};
    size_t last = sizeof(rules) / sizeof(*rules) - 1, i = 0;
    while (i < last && access(rules[i], R_OK) < 0)
        i++;
    snprintf(ret->rules, sizeof(ret->rules), "%s", rules[i]);
}
