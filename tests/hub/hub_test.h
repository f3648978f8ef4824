// SPDX-License-Identifier: Apache-2.0
// A running hub and hosts for tests: `tiercel-hub serve` on 127.0.0.1 with a state folder of its own, and what an enrolled
// host sends. setup() and teardown() are of the group.
#pragma once
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/test.h"
#include "event/segment_format.h"
#include "link.pb-c.h"
#include "link/http.h"
#include "link/pki.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static char hub[512], folder[64], state[80], people[64], agents[64], authority[4096];
static pid_t served;

struct host {
    uint8_t id[16];
    char key[1024], certificate[4096];
    struct http *http;
    struct segment_writer writer;
    int file;
    uint64_t ends[4096]; // of each record in the file
    unsigned n;
};

// ---- the hub

// Its standard output, and its exit status.
static int run(char *ret, size_t size, const char *format, ...)
{
    char words[256], line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    snprintf(line, sizeof line, "%s --state %s %s 2>/dev/null", hub, state, words);
    FILE *f = popen(line, "r");
    assert_non_null(f);
    size_t n = fread(ret, 1, size - 1, f);
    ret[n] = 0;
    if (n && ret[n - 1] == '\n')
        ret[n - 1] = 0;
    return WEXITSTATUS(pclose(f));
}

static void serve(void)
{
    char line[128] = "";
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    served = fork();
    if (served == 0) {
        dup2(ends[1], 1);
        execl(hub, hub, "serve", "--state", state, "--people", people + 8, "--agents", agents + 8,
              NULL);
        _exit(127);
    }
    close(ends[1]);
    for (size_t n = 0; n < sizeof line - 1 && !strchr(line, '\n'); n++)
        if (read(ends[0], line + n, 1) != 1)
            break;
    assert_non_null(strstr(line, "agents at 127.0.0.1"));
    close(ends[0]);
}

static void stop(void)
{
    int status;
    kill(served, SIGTERM);
    assert_int_equal(waitpid(served, &status, 0), served);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void read_file(const char *path, char *ret, size_t size)
{
    _cleanup_close_ int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, ret, size - 1);
    assert_true(n > 0);
    ret[n] = 0;
}

static int setup(void **context)
{
    char out[256], path[160];
    (void)context;
    ssize_t n = readlink("/proc/self/exe", hub, sizeof hub - 64);
    assert_true(n > 0);
    hub[n] = 0;
    *strrchr(hub, '/') = 0;
    strcat(hub, "/../src/tiercel-hub");
    snprintf(folder, sizeof folder, "/tmp/hub-XXXXXX");
    assert_non_null(mkdtemp(folder));
    chmod(folder, 0755); // as root the hub's roles are other users
    snprintf(state, sizeof state, "%s/state", folder);
    unsigned port = 20000 + (unsigned)getpid() % 5000 * 2;
    snprintf(people, sizeof people, "https://127.0.0.1:%u", port);
    snprintf(agents, sizeof agents, "https://127.0.0.1:%u", port + 1);
    assert_int_equal(run(out, sizeof out, "init"), 0);
    assert_int_equal(run(out, sizeof out, "client add acme --sector steel"), 0);
    snprintf(path, sizeof path, "%s/pki/ca.pem", state);
    read_file(path, authority, sizeof authority);
    serve();
    return 0;
}

static int teardown(void **context)
{
    char line[128];
    (void)context;
    stop();
    snprintf(line, sizeof line, "rm -rf %s", folder);
    return system(line) != 0;
}

// ---- hosts

static void connect_host(struct host *h)
{
    struct error e = {0};
    struct http_options o = {.authority = str_from(authority),
                             .certificate = str_from(h->certificate),
                             .key = str_from(h->key)};
    http_free(h->http);
    assert_int_equal(http_new(&o, &h->http, &e), 0);
}

static EVP_PKEY *host_key(struct host *h)
{
    EVP_PKEY *key;
    _cleanup_buf_ struct buf pem = {0};
    assert_int_equal(pki_key_new(&key), 0);
    assert_int_equal(pki_key_write(key, &pem), 0);
    memcpy(h->key, pem.p, pem.n);
    h->key[pem.n] = 0;
    return key;
}

static void host_certificate(struct host *h, X509 *certificate)
{
    _cleanup_buf_ struct buf pem = {0};
    assert_int_equal(pki_certificate_write(certificate, &pem), 0);
    memcpy(h->certificate, pem.p, pem.n);
    h->certificate[pem.n] = 0;
}

// What the hub answers; the certificate is in *h when that is 200.
static long enrol(struct host *h, const char *key_text)
{
    struct error e = {0};
    struct http *http;
    struct http_reply reply;
    struct http_options o = {.authority = str_from(authority)};
    Tiercel__Link__EnrolRequest m = TIERCEL__LINK__ENROL_REQUEST__INIT;
    _cleanup_buf_ struct buf csr = {0};
    uint8_t packed[4096];
    char url[128];
    EVP_PKEY *key = host_key(h);
    assert_int_equal(pki_request_new(key, &csr), 0);
    m.key = (char *)(uintptr_t)key_text;
    m.has_csr = m.has_host = true;
    m.csr = (ProtobufCBinaryData){csr.n, (uint8_t *)csr.p};
    m.host = (ProtobufCBinaryData){16, h->id};
    m.host_name = (char *)"web";
    size_t n = tiercel__link__enrol_request__pack(&m, packed);
    assert_int_equal(http_new(&o, &http, &e), 0);
    snprintf(url, sizeof url, "%s/v1/enrol", people);
    assert_int_equal(http_request(http, url, str_bytes(packed, n), &reply, &e), 0);
    long status = reply.status;
    if (status == 200) {
        Tiercel__Link__EnrolReply *r =
            tiercel__link__enrol_reply__unpack(NULL, reply.body.n, (const uint8_t *)reply.body.p);
        X509 *certificate;
        assert_non_null(r);
        assert_string_equal(r->client, "acme");
        assert_string_equal(r->agents_url, agents);
        assert_int_equal(pki_certificate_from_der(
                             str_bytes(r->certificate.data, r->certificate.len), &certificate),
                         0);
        assert_int_equal(X509_check_private_key(certificate, key), 1);
        host_certificate(h, certificate);
        X509_free(certificate);
        tiercel__link__enrol_reply__free_unpacked(r, NULL);
    }
    http_free(http);
    EVP_PKEY_free(key);
    return status;
}

static struct host *host_new(uint8_t which)
{
    static const uint8_t none[32];
    struct host *h = calloc(1, sizeof *h);
    memset(h->id, which, sizeof h->id);
    h->file = memfd_create("records", MFD_CLOEXEC);
    assert_int_equal(segment_writer_init(&h->writer, dup(h->file), none, 0), 0);
    return h;
}

static struct host *host_enrolled(uint8_t which)
{
    char key[128];
    struct host *h = host_new(which);
    assert_int_equal(run(key, sizeof key, "key new acme"), 0);
    assert_int_equal(enrol(h, key), 200);
    connect_host(h);
    return h;
}

static void host_free(struct host *h)
{
    http_free(h->http);
    segment_writer_done(&h->writer);
    close(h->file);
    free(h);
}

// One more record of the host's journal.
static void record(struct host *h, unsigned n_events)
{
    Tiercel__Batch b = TIERCEL__BATCH__INIT;
    Tiercel__Event events[16], *list[16];
    Tiercel__Exec exec = TIERCEL__EXEC__INIT;
    for (unsigned i = 0; i < n_events; i++) {
        tiercel__event__init(&events[i]);
        events[i].has_id = events[i].has_time = true;
        events[i].id = h->n * 100 + i;
        events[i].time = 1000000000ull * (h->n + 1) + i;
        events[i].kind_case = TIERCEL__EVENT__KIND_EXEC;
        events[i].exec = &exec;
        list[i] = &events[i];
    }
    b.events = list;
    b.n_events = n_events;
    b.has_host = true;
    b.host = (ProtobufCBinaryData){16, h->id};
    assert_int_equal(segment_append(&h->writer, &b), 0);
    h->ends[h->n++] = h->writer.size;
}

// Records from..to-1, in memory of the caller.
static struct str records(const struct host *h, unsigned from, unsigned to)
{
    uint64_t begin = from ? h->ends[from - 1] : 0;
    size_t n = h->ends[to - 1] - begin;
    char *p = malloc(n);
    assert_int_equal(pread(h->file, p, n, (off_t)begin), n);
    return str_bytes(p, n);
}

// Status, or negative errno; *ret_next is what the hub wants next, UINT64_MAX when it does not say.
static long post(struct host *h, const char *path, struct str body, uint64_t *ret_next)
{
    struct http_reply reply = {0};
    struct error e = {0};
    char url[128];
    snprintf(url, sizeof url, "%s%s", agents, path);
    int r = http_request(h->http, url, body, &reply, &e);
    *ret_next = UINT64_MAX;
    if (r < 0)
        return r;
    if (reply.has_next)
        *ret_next = reply.next;
    if (reply.status == 200) {
        Tiercel__Link__BatchReply *m =
            tiercel__link__batch_reply__unpack(NULL, reply.body.n, (const uint8_t *)reply.body.p);
        assert_non_null(m);
        assert_true(m->has_next);
        *ret_next = m->next;
        if (m->has_last)
            assert_int_equal(m->last.len, 32);
        tiercel__link__batch_reply__free_unpacked(m, NULL);
    }
    return reply.status;
}

static long post_records(struct host *h, unsigned from, unsigned to, uint64_t *ret_next)
{
    struct str body = records(h, from, to);
    long status = post(h, "/v1/batches", body, ret_next);
    free((char *)(uintptr_t)body.p);
    return status;
}
