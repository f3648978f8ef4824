// SPDX-License-Identifier: Apache-2.0
#include "link/enrolment.h"

#include <errno.h>
#include <string.h>

int enrolment_url(struct str text, char *ret, size_t size, struct error *e)
{
    struct str rest = str_trim(text);
    if (rest.n && rest.p[rest.n - 1] == '/')
        rest.n--;
    if (!str_starts(rest, STR("https://")) || rest.n == 8 || memchr(rest.p + 8, '/', rest.n - 8) ||
        rest.n >= size)
        return error_set(e, -EINVAL, "'" STR_FMT "' is not https://HOST:PORT",
                         (int)(rest.n < 200 ? rest.n : 200), rest.p);
    for (size_t i = 0; i < rest.n; i++)
        if (rest.p[i] <= ' ' || rest.p[i] >= 127)
            return error_set(e, -EINVAL, "the address has a character that none has");
    memcpy(ret, rest.p, rest.n);
    ret[rest.n] = 0;
    return 0;
}

// ---- the file

void enrolment_print(const struct enrolment *enrolment, struct buf *out)
{
    buf_addf(out, "hub: %s\nclient: %s\n", enrolment->url, enrolment->client);
    if (enrolment->proxy[0])
        buf_addf(out, "proxy: %s\n", enrolment->proxy);
    buf_addf(out, "%s%s%s", enrolment->key, enrolment->certificate, enrolment->authority);
}

static int take_line(struct str line, const char *name, char *ret, size_t size)
{
    struct str value = line, word;
    if (!str_split(&value, ':', &word) || !str_eq(word, str_from(name)))
        return 0;
    value = str_trim(value);
    if (value.n >= size || memchr(value.p, 0, value.n))
        return -EBADMSG;
    memcpy(ret, value.p, value.n);
    ret[value.n] = 0;
    return 0;
}

// The block that begins here, with its last line.
static int take_block(struct str *rest, char *ret, size_t size)
{
    static const struct str end = STR("\n-----END ");
    ssize_t at = str_find(*rest, end);
    const char *stop = at < 0 ? NULL : memchr(rest->p + at + 1, '\n', rest->n - (size_t)at - 1);
    size_t n = stop ? (size_t)(stop - rest->p) + 1 : 0;
    if (n == 0 || n >= size || ret[0])
        return -EBADMSG;
    memcpy(ret, rest->p, n);
    ret[n] = 0;
    rest->p += n;
    rest->n -= n;
    return 0;
}

int enrolment_parse(struct str text, struct enrolment *ret, struct error *e)
{
    struct enrolment got = {0};
    struct error why = {0};
    int r = text.n == 0 || text.n > ENROLMENT_BYTES_MAX || memchr(text.p, 0, text.n) ? -EBADMSG : 0;
    while (r == 0 && text.n) {
        struct str line;
        if (str_starts(text, STR("-----BEGIN CERTIFICATE"))) {
            r = got.certificate[0] ? take_block(&text, got.authority, sizeof got.authority)
                                   : take_block(&text, got.certificate, sizeof got.certificate);
        } else if (str_starts(text, STR("-----BEGIN "))) {
            r = take_block(&text, got.key, sizeof got.key);
        } else if (str_split(&text, '\n', &line)) {
            r = take_line(line, "hub", got.url, sizeof got.url);
            if (r == 0)
                r = take_line(line, "client", got.client, sizeof got.client);
            if (r == 0)
                r = take_line(line, "proxy", got.proxy, sizeof got.proxy);
        }
    }
    if (r == 0 && (!got.key[0] || !got.certificate[0] || !got.authority[0]))
        r = -EBADMSG;
    if (r == 0)
        r = enrolment_url(str_from(got.url), got.url, sizeof got.url, &why);
    if (r < 0) {
        error_set(e, -EBADMSG, "the enrolment is damaged%s%s", why.what[0] ? ": " : "", why.what);
        error_way_out(e, "enrol the host again: tiercel enrol");
        return -EBADMSG;
    }
    *ret = got;
    return 0;
}

int enrolment_host(struct str text, uint8_t ret[16])
{
    struct str hex = str_trim(text);
    uint8_t host[16];
    if (hex.n != 32)
        return -EINVAL;
    for (size_t i = 0; i < 32; i++) {
        char c = hex.p[i];
        int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (v < 0)
            return -EINVAL;
        host[i / 2] = (uint8_t)(i % 2 ? host[i / 2] | v : v << 4);
    }
    memcpy(ret, host, sizeof host);
    return 0;
}
