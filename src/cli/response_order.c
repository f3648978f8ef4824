// SPDX-License-Identifier: Apache-2.0
#include "cli/response_order.h"
#include "base/cleanup.h"
#include "cli/draw.h"
#include "cli/found.h"
#include "os/process.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <nettle/sha2.h>
#include <string.h>
#include <unistd.h>

static bool alive(uint32_t pid, uint64_t start)
{
    struct os_process p;
    return os_process_read((pid_t)pid, &p) == 0 &&
           p.start_ns / OS_START_STEP_NS == start / OS_START_STEP_NS;
}

int response_parse_pid(const char *text, struct response_order *ret, struct error *e)
{
    struct os_process p;
    uint64_t pid;
    struct str s = str_from(text);
    if (str_starts(s, STR("pid:")))
        s = str_bytes(s.p + 4, s.n - 4);
    if (str_to_u64(s, &pid) < 0 || pid == 0 || pid > INT32_MAX) {
        error_set(e, -EINVAL, "'%s' is no process number", text);
        error_way_out(e, "give a number like 1234, or #1234 for a detection");
        return -EINVAL;
    }
    int r = os_process_read((pid_t)pid, &p);
    if (r < 0)
        return error_set(e, -ESRCH, "there is no process %llu", (unsigned long long)pid);
    ret->pid = (uint32_t)pid;
    ret->start_ns = p.start_ns;
    return 0;
}

static int of_detection(const Tiercel__Detection *d, struct response_order *ret, struct error *e)
{
    const Tiercel__Process *p = detection_process(d);
    if (!p || !p->id)
        return error_set(e, -ESRCH, "detection %llu names no process", (unsigned long long)d->id);
    const Tiercel__ProcessId *id = p->id;
    if (!alive(id->pid, id->start) && p->lineage && p->lineage->root)
        id = p->lineage->root;
    ret->pid = id->pid;
    ret->start_ns = id->start;
    return 0;
}

int response_parse_detection(const char *text, const char *folder, struct response_order *ret,
                             struct error *e)
{
    struct journal *journal = NULL;
    Tiercel__Detection *d = NULL;
    uint64_t id;
    int r = found_parse_id(text, &id, e);
    if (r < 0 || (r = journal_open(folder, &journal, e)) < 0)
        return r;
    r = found_detection(journal, id, &d, e);
    if (r == 0) {
        ret->detection = id;
        r = of_detection(d, ret, e);
        tiercel__detection__free_unpacked(d, NULL);
    }
    journal_close(journal);
    return r;
}

int response_parse_address(const char *text, struct response_address *ret, struct error *e)
{
    struct response_address a = {0};
    struct str rest = str_from(text), ip;
    char name[INET6_ADDRSTRLEN];
    uint64_t prefix;
    str_split(&rest, '/', &ip);
    bool whole = ip.n == strlen(text);
    if (ip.n < sizeof name) {
        memcpy(name, ip.p, ip.n);
        name[ip.n] = 0;
        a.bytes = inet_pton(AF_INET, name, a.ip) == 1    ? 4
                  : inet_pton(AF_INET6, name, a.ip) == 1 ? 16
                                                         : 0;
    }
    prefix = a.bytes * 8u;
    if (!a.bytes || (!whole && (str_to_u64(rest, &prefix) < 0 || prefix > a.bytes * 8u))) {
        error_set(e, -EINVAL, "'%s' is no address", text);
        error_way_out(e, "give one like 192.0.2.7, 192.0.2.0/24 or 2001:db8::7; a name is blocked "
                         "with `tiercel respond block domain`");
        return -EINVAL;
    }
    a.prefix = (uint8_t)prefix;
    for (unsigned i = a.prefix; i < a.bytes * 8u; i++)
        if (a.ip[i / 8] & 0x80 >> i % 8) {
            error_set(e, -EINVAL, "'%s' has bits set behind its prefix", text);
            error_way_out(e, "leave the prefix out, or set the bits behind it to zero");
            return -EINVAL;
        }
    *ret = a;
    return 0;
}

static int hash_file(const char *path, uint8_t ret[32], struct error *e)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct sha256_ctx hash;
    uint8_t part[65536];
    ssize_t n = 0;
    int r = 0;
    if (fd < 0)
        r = error_set(e, -errno, "'%s' is neither 64 hexadecimal digits nor a file: %s", path,
                      strerror(errno));
    sha256_init(&hash);
    while (r == 0 && (n = read(fd, part, sizeof part)) > 0)
        sha256_update(&hash, (size_t)n, part);
    if (r == 0 && n < 0)
        r = error_set(e, -errno, "cannot read %s: %s", path, strerror(errno));
    if (r == 0)
        sha256_digest(&hash, 32, ret);
    return r;
}

int response_parse_hash(const char *text, uint8_t ret[32], struct error *e)
{
    uint8_t hash[32] = {0};
    size_t n = 0;
    for (; text[n] && n < 65 && isxdigit((unsigned char)text[n]); n++) {
        int c = tolower((unsigned char)text[n]);
        if (n < 64)
            hash[n / 2] = (uint8_t)(hash[n / 2] << 4 | (c <= '9' ? c - '0' : c - 'a' + 10));
    }
    if (n != 64 || text[n])
        return hash_file(text, ret, e);
    memcpy(ret, hash, sizeof hash);
    return 0;
}

int response_parse_domain(const char *text, char ret[RESPONSE_TEXT], struct error *e)
{
    size_t n = strlen(text);
    bool good = n > 0 && n <= 254;
    if (good && text[n - 1] == '.')
        n--;
    for (size_t i = 0; i < n && good; i++)
        good = isalnum((unsigned char)text[i]) || strchr("-_.", text[i]);
    struct response_address a;
    if (!good || response_parse_address(text, &a, NULL) == 0) {
        error_set(e, -EINVAL, "'%s' is no name of the domain name system", text);
        error_way_out(e, "give one like bad.example.com: no scheme, path, port or *");
        return -EINVAL;
    }
    memset(ret, 0, RESPONSE_TEXT);
    for (size_t i = 0; i < n; i++)
        ret[i] = (char)tolower((unsigned char)text[i]);
    return 0;
}

int response_parse_file(const char *text, char ret[RESPONSE_TEXT], struct error *e)
{
    char path[PATH_MAX];
    if (!realpath(text, path))
        return error_set(e, -errno, "%s: %s", text, strerror(errno));
    if (strlen(path) >= RESPONSE_TEXT)
        return error_set(e, -ENAMETOOLONG, "a path of more than %d bytes", RESPONSE_TEXT - 1);
    memset(ret, 0, RESPONSE_TEXT);
    memcpy(ret, path, strlen(path));
    return 0;
}
