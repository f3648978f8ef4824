// SPDX-License-Identifier: Apache-2.0
#define CURL_DISABLE_TYPECHECK
#include "link/http.h"

#include "base/buf.h"
#include "base/cleanup.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_SECONDS 15L
#define REQUEST_SECONDS 120L
#define SLOW_SECONDS 30L // without a byte

// What is used of libcurl; no mutable state but its own.
struct curl {
    void *library;
    __typeof__(curl_global_init) *global_init;
    __typeof__(curl_easy_init) *init;
    __typeof__(curl_easy_cleanup) *cleanup;
    __typeof__(curl_easy_setopt) *set;
    __typeof__(curl_easy_perform) *perform;
    __typeof__(curl_easy_getinfo) *info;
    __typeof__(curl_easy_strerror) *strerror;
    __typeof__(curl_slist_append) *append;
    __typeof__(curl_slist_free_all) *free_all;
};

struct http {
    struct curl curl;
    CURL *easy;
    struct curl_slist *headers;
    struct http_options options;
    struct buf body;
    bool too_long;
    struct http_reply reply;
    char text[CURL_ERROR_SIZE];
};

static int load(struct curl *ret, struct error *e)
{
    struct curl c = {.library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL)};
    const struct {
        const char *name;
        void *to;
    } wanted[] = {
        {"curl_global_init", &c.global_init}, {"curl_easy_init", &c.init},
        {"curl_easy_cleanup", &c.cleanup},    {"curl_easy_setopt", &c.set},
        {"curl_easy_perform", &c.perform},    {"curl_easy_getinfo", &c.info},
        {"curl_easy_strerror", &c.strerror},  {"curl_slist_append", &c.append},
        {"curl_slist_free_all", &c.free_all},
    };
    bool all = c.library;
    for (size_t i = 0; all && i < sizeof wanted / sizeof *wanted; i++) {
        void *symbol = dlsym(c.library, wanted[i].name);
        memcpy(wanted[i].to, &symbol, sizeof symbol);
        all = symbol;
    }
    if (!all || c.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        error_set(e, -ELIBACC, "libcurl cannot be used: %s", all ? "it does not start" : dlerror());
        error_way_out(e, "install the package libcurl4");
        return -ELIBACC;
    }
    *ret = c;
    return 0;
}

// ---- what libcurl calls

static size_t take_body(char *p, size_t one, size_t n, void *context)
{
    struct http *h = context;
    h->too_long |= h->body.n + one * n > HTTP_REPLY_MAX;
    if (h->too_long)
        return 0;
    buf_add(&h->body, p, one * n);
    return h->body.failed ? 0 : one * n;
}

static size_t take_header(char *p, size_t one, size_t n, void *context)
{
    static const struct str name = STR("tiercel-next:");
    struct http *h = context;
    if (one * n > name.n && strncasecmp(p, name.p, name.n) == 0) {
        struct str value = str_trim(str_bytes(p + name.n, one * n - name.n));
        h->reply.has_next = str_to_u64(value, &h->reply.next) == 0;
    }
    return one * n;
}

static int progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct http *h = context;
    (void)a, (void)b, (void)c, (void)d;
    return h->options.go_on && !h->options.go_on(h->options.context);
}

// ---- one connection

static struct curl_blob blob(struct str s)
{
    return (struct curl_blob){(void *)(uintptr_t)s.p, s.n, CURL_BLOB_COPY};
}

static CURLcode set_common(struct http *h)
{
    const struct curl *c = &h->curl;
    CURL *easy = h->easy;
    CURLcode bad = 0;
    bad |= c->set(easy, CURLOPT_NOSIGNAL, 1L);
    bad |= c->set(easy, CURLOPT_ERRORBUFFER, h->text);
    bad |= c->set(easy, CURLOPT_PROTOCOLS_STR, h->options.any ? "http,https" : "https");
    bad |= c->set(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    long least = h->options.any ? CURL_SSLVERSION_TLSv1_2 : CURL_SSLVERSION_TLSv1_3;
    bad |= c->set(easy, CURLOPT_SSLVERSION, least);
    bad |= c->set(easy, CURLOPT_FOLLOWLOCATION, 0L);
    bad |= c->set(easy, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
    bad |= c->set(easy, CURLOPT_TIMEOUT, REQUEST_SECONDS);
    bad |= c->set(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    bad |= c->set(easy, CURLOPT_LOW_SPEED_TIME, SLOW_SECONDS);
    bad |= c->set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    bad |= c->set(easy, CURLOPT_WRITEFUNCTION, take_body);
    bad |= c->set(easy, CURLOPT_WRITEDATA, (void *)h);
    bad |= c->set(easy, CURLOPT_HEADERFUNCTION, take_header);
    bad |= c->set(easy, CURLOPT_HEADERDATA, (void *)h);
    bad |= c->set(easy, CURLOPT_NOPROGRESS, 0L);
    bad |= c->set(easy, CURLOPT_XFERINFOFUNCTION, progress);
    bad |= c->set(easy, CURLOPT_XFERINFODATA, (void *)h);
    if (h->options.proxy && h->options.proxy[0])
        bad |= c->set(easy, CURLOPT_PROXY, h->options.proxy);
    return bad;
}

static CURLcode set_identity(struct http *h)
{
    const struct curl *c = &h->curl;
    struct curl_blob authority = blob(h->options.authority),
                     certificate = blob(h->options.certificate), key = blob(h->options.key);
    CURLcode bad = c->set(h->easy, CURLOPT_SSL_VERIFYPEER, 1L);
    bad |= c->set(h->easy, CURLOPT_SSL_VERIFYHOST, 2L);
    if (authority.len)
        bad |= c->set(h->easy, CURLOPT_CAINFO_BLOB, &authority);
    if (certificate.len)
        bad |= c->set(h->easy, CURLOPT_SSLCERT_BLOB, &certificate);
    if (key.len)
        bad |= c->set(h->easy, CURLOPT_SSLKEY_BLOB, &key);
    return bad;
}

int http_new(const struct http_options *options, struct http **ret, struct error *e)
{
    struct http *h = calloc(1, sizeof *h);
    if (!h)
        return error_set(e, -ENOMEM, "no memory");
    h->options = *options;
    int r = load(&h->curl, e);
    if (r < 0) {
        free(h);
        return r;
    }
    h->easy = h->curl.init();
    // No "Expect: 100-continue": it costs a round trip for each body over 1 MiB.
    h->headers = h->curl.append(NULL, "Expect:");
    if (!h->easy || !h->headers || set_common(h) != CURLE_OK || set_identity(h) != CURLE_OK ||
        h->curl.set(h->easy, CURLOPT_HTTPHEADER, h->headers) != CURLE_OK) {
        http_free(h);
        return error_set(e, -ENOMEM, "libcurl does not take its settings");
    }
    *ret = h;
    return 0;
}

struct http *http_free(struct http *h)
{
    if (h) {
        if (h->easy)
            h->curl.cleanup(h->easy);
        h->curl.free_all(h->headers);
        buf_done(&h->body);
        free(h);
    }
    return NULL;
}

int http_headers(struct http *h, const char *const *lines, size_t n)
{
    struct curl_slist *list = h->curl.append(NULL, "Expect:");
    for (size_t i = 0; list && i < n; i++) {
        struct curl_slist *longer = h->curl.append(list, lines[i]);
        if (!longer)
            h->curl.free_all(list);
        list = longer;
    }
    if (!list || h->curl.set(h->easy, CURLOPT_HTTPHEADER, list) != CURLE_OK) {
        h->curl.free_all(list);
        return -ENOMEM;
    }
    h->curl.free_all(h->headers);
    h->headers = list;
    return 0;
}

static int explain(struct http *h, CURLcode code, const char *url, struct error *e)
{
    const char *why = h->text[0] ? h->text : h->curl.strerror(code);
    int r = code == CURLE_ABORTED_BY_CALLBACK                                   ? -ECANCELED
            : h->too_long                                                       ? -EMSGSIZE
            : code == CURLE_PEER_FAILED_VERIFICATION                            ? -EACCES
            : code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL ? -EINVAL
            : code == CURLE_OUT_OF_MEMORY                                       ? -ENOMEM
            : code == CURLE_SSL_CERTPROBLEM                                     ? -EKEYREJECTED
                                                                                : -ENETUNREACH;
    if (r == -EMSGSIZE)
        why = "its answer is too long";
    return error_set(e, r, "%s: %s", url, why);
}

int http_request(struct http *h, const char *url, struct str body, struct http_reply *ret,
                 struct error *e)
{
    const struct curl *c = &h->curl;
    buf_reset(&h->body);
    h->reply = (struct http_reply){0};
    h->too_long = false;
    h->text[0] = 0;
    CURLcode bad = c->set(h->easy, CURLOPT_URL, url);
    if (body.p) {
        bad |= c->set(h->easy, CURLOPT_POST, 1L);
        bad |= c->set(h->easy, CURLOPT_POSTFIELDS, body.p);
        bad |= c->set(h->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
    } else {
        bad |= c->set(h->easy, CURLOPT_HTTPGET, 1L);
    }
    CURLcode code = bad ? CURLE_OUT_OF_MEMORY : c->perform(h->easy);
    if (code != CURLE_OK)
        return explain(h, code, url, e);
    if (c->info(h->easy, CURLINFO_RESPONSE_CODE, &h->reply.status) != CURLE_OK)
        return error_set(e, -EIO, "%s: no status", url);
    h->reply.body = buf_str(&h->body);
    *ret = h->reply;
    return 0;
}

// ---- who is at the other end

static bool show(const struct curl_certinfo *shown, bool (*each)(void *context, struct str pem),
                 void *context)
{
    for (int i = 0; shown && i < shown->num_of_certs; i++)
        for (const struct curl_slist *s = shown->certinfo[i]; s; s = s->next)
            if (strncmp(s->data, "Cert:", 5) == 0 && each(context, str_from(s->data + 5)))
                return true;
    return false;
}

int http_shown(const char *url, const char *proxy, bool (*each)(void *context, struct str pem),
               void *context, struct error *e)
{
    struct http_options options = {.proxy = proxy};
    struct http *h = NULL;
    struct curl_certinfo *shown = NULL;
    int r = http_new(&options, &h, e);
    if (r < 0)
        return r;
    CURLcode bad = h->curl.set(h->easy, CURLOPT_SSL_VERIFYPEER, 0L);
    bad |= h->curl.set(h->easy, CURLOPT_SSL_VERIFYHOST, 0L);
    bad |= h->curl.set(h->easy, CURLOPT_CERTINFO, 1L);
    bad |= h->curl.set(h->easy, CURLOPT_CONNECT_ONLY, 1L);
    bad |= h->curl.set(h->easy, CURLOPT_URL, url);
    CURLcode code = bad ? CURLE_OUT_OF_MEMORY : h->curl.perform(h->easy);
    if (code != CURLE_OK)
        r = explain(h, code, url, e);
    else if (h->curl.info(h->easy, CURLINFO_CERTINFO, &shown) != CURLE_OK)
        r = error_set(e, -EIO, "%s: its certificates cannot be seen", url);
    else
        r = show(shown, each, context);
    http_free(h);
    return r;
}
