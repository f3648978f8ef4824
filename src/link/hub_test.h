// SPDX-License-Identifier: Apache-2.0
// For tests: the hub's end of the link. `openssl s_server` speaks TLS 1.3 on 127.0.0.1, a child of the test reads the
// requests that come out of it and answers them, one connection after the other. Both end with the test.
#pragma once
#include "base/cleanup.h"
#include "base/test.h"
#include "link/pki.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

struct test_hub {
    struct pki_authority authority;
    char folder[64], url[64];
    pid_t tls, answers;
    int to, from; // of s_server
    bool clients; // certificates are demanded
};

static inline void test_hub_file(const struct test_hub *h, const char *name, struct buf *text,
                                 char ret[128])
{
    snprintf(ret, 128, "%s/%s", h->folder, name);
    _cleanup_close_ int fd = open(ret, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, text->p, text->n), text->n);
    buf_done(text);
    *text = (struct buf){0};
}

static inline int test_hub_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    return ntohs(a.sin_port);
}

static inline void test_hub_tls(struct test_hub *h, const char *listen, const char *key,
                                const char *certificate, const char *authority)
{
    int in[2], out[2];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    h->tls = fork();
    if (h->tls == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(in[0], 0);
        dup2(out[1], 1);
        execlp("openssl", "openssl", "s_server", "-quiet", "-tls1_3", "-accept", listen, "-key",
               key, "-cert", certificate, "-CAfile", authority, "-cert_chain", authority,
               h->clients ? "-Verify" : NULL, "1", "-verify_return_error", NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    h->to = in[1];
    h->from = out[0];
}

static inline bool test_hub_listens(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
}

static inline void test_hub_start(struct test_hub *h, bool clients)
{
    char key[128], certificate[128], authority[128], listen[64];
    _cleanup_buf_ struct buf text = {0};
    EVP_PKEY *pair = NULL;
    X509 *x = NULL;
    *h = (struct test_hub){.clients = clients, .folder = "/tmp/tiercel-hub-XXXXXX"};
    assert_non_null(mkdtemp(h->folder));
    assert_int_equal(pki_authority_new("hub of a test", time(NULL), &h->authority), 0);
    assert_int_equal(pki_key_new(&pair), 0);
    assert_int_equal(
        pki_server_sign(&h->authority, pair, "DNS:localhost,IP:127.0.0.1", time(NULL), &x), 0);
    assert_int_equal(pki_key_write(pair, &text), 0);
    test_hub_file(h, "key.pem", &text, key);
    assert_int_equal(pki_certificate_write(x, &text), 0);
    test_hub_file(h, "certificate.pem", &text, certificate);
    assert_int_equal(pki_certificate_write(h->authority.certificate, &text), 0);
    test_hub_file(h, "authority.pem", &text, authority);
    EVP_PKEY_free(pair);
    X509_free(x);
    int port = test_hub_port();
    snprintf(listen, sizeof listen, "127.0.0.1:%d", port);
    snprintf(h->url, sizeof h->url, "https://127.0.0.1:%d", port);
    test_hub_tls(h, listen, key, certificate, authority);
    for (int i = 0; !test_hub_listens(port); i++) {
        assert_true(i < 200);
        poll(NULL, 0, 50);
    }
}

// One request: its first line, and its body. False: the connection's end.
static inline bool test_hub_request(int fd, struct buf *text, char ret_line[128],
                                    struct str *ret_body)
{
    size_t head = 0, length = 0;
    buf_reset(text);
    while (!head || text->n < head + length) {
        char *room = buf_room(text, 65536);
        ssize_t n = read(fd, room, 65536);
        if (n <= 0)
            return false;
        text->n += (size_t)n;
        ssize_t end = str_find(buf_str(text), STR("\r\n\r\n"));
        if (end < 0 || head)
            continue;
        head = (size_t)end + 4;
        ssize_t at = str_find(str_bytes(text->p, head), STR("Content-Length: "));
        length = at < 0 ? 0 : strtoul(text->p + at + 16, NULL, 10);
    }
    snprintf(ret_line, 128, "%.*s", (int)strcspn(text->p, "\r"), text->p);
    *ret_body = str_bytes(text->p + head, length);
    return true;
}

struct test_hub_answer {
    int status;
    char header[64]; // one line with \r\n, or ""
    uint8_t body[8192];
    size_t n;
};

// `serve` runs in a child: what it keeps must be in shared memory.
static inline void test_hub_serve(struct test_hub *h,
                                  void (*serve)(struct test_hub *h, const char *line,
                                                struct str body, struct test_hub_answer *ret))
{
    h->answers = fork();
    if (h->answers)
        return;
    static struct buf text;
    static struct test_hub_answer a;
    static char out[16384];
    char line[128];
    struct str body;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (test_hub_request(h->from, &text, line, &body)) {
        a = (struct test_hub_answer){.status = 200};
        serve(h, line, body, &a);
        int n = snprintf(out, sizeof out, "HTTP/1.1 %d x\r\nContent-Length: %zu\r\n%s\r\n",
                         a.status, a.n, a.header);
        memcpy(out + n, a.body, a.n);
        if (write(h->to, out, (size_t)n + a.n) < 0)
            break;
    }
    _exit(0);
}

static inline void test_hub_end(struct test_hub *h)
{
    char path[128];
    static const char *const files[] = {"key.pem", "certificate.pem", "authority.pem", "hub.pem"};
    for (int i = 0; i < 2; i++) {
        pid_t pid = i ? h->tls : h->answers;
        if (pid > 0) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
        }
    }
    close(h->to);
    close(h->from);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", h->folder, files[i]);
        unlink(path);
    }
    rmdir(h->folder);
    pki_authority_done(&h->authority);
}
