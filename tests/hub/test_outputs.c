// SPDX-License-Identifier: Apache-2.0
// Outputs of the running hub as receivers meet them: a webhook, syslog over UDP and TCP, lines in a file.
#include "base/cleanup.h"
#include "base/str.h"
#include "base/test.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/hmac.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static char hub[512], folder[64], state[80];
static pid_t served;

static int run(char *ret, size_t size, const char *words)
{
    char line[1024];
    snprintf(line, sizeof line, "%s --state %s %s 2>&1", hub, state, words);
    FILE *f = popen(line, "r");
    assert_non_null(f);
    size_t n = fread(ret, 1, size - 1, f);
    ret[n] = 0;
    return WEXITSTATUS(pclose(f));
}

static void serve(void)
{
    char line[128] = "", people[32], agents[32];
    int ends[2];
    unsigned port = 30000 + (unsigned)getpid() % 5000 * 2;
    snprintf(people, sizeof people, "127.0.0.1:%u", port);
    snprintf(agents, sizeof agents, "127.0.0.1:%u", port + 1);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    served = fork();
    if (served == 0) {
        dup2(ends[1], 1);
        execl(hub, hub, "serve", "--state", state, "--people", people, "--agents", agents, NULL);
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

static int setup(void **context)
{
    char out[512];
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
    assert_int_equal(run(out, sizeof out, "init"), 0);
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

static int receiver(int type, unsigned *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 8), 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

static pid_t ask_for_test(const char *name)
{
    pid_t pid = fork();
    if (pid == 0) {
        char words[64], out[512];
        snprintf(words, sizeof words, "output test %s", name);
        _exit(run(out, sizeof out, words));
    }
    return pid;
}

static int status_of(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WEXITSTATUS(status);
}

static void wait_for(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 20000), 1);
}

struct request {
    char head[4096], *body;
    size_t body_size;
};

static void answer(int listener, const char *reply, struct request *ret)
{
    static char all[65536];
    size_t n = 0;
    char *end = NULL;
    wait_for(listener);
    _cleanup_close_ int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    for (;;) {
        ssize_t more = read(fd, all + n, sizeof all - 1 - n);
        assert_true(more > 0);
        n += (size_t)more;
        all[n] = 0;
        end = strstr(all, "\r\n\r\n");
        char *length = end ? strcasestr(all, "content-length:") : NULL;
        if (length && n == (size_t)(end + 4 - all) + strtoul(length + 15, NULL, 10))
            break;
    }
    ret->body = end + 4;
    ret->body_size = n - (size_t)(end + 4 - all);
    *end = 0;
    snprintf(ret->head, sizeof ret->head, "%.4000s\r\n", all);
    assert_int_equal(write(fd, reply, strlen(reply)), strlen(reply));
}

static void header(const struct request *r, const char *name, char ret[128])
{
    const char *p = strcasestr(r->head, name);
    assert_non_null(p);
    p += strlen(name) + 2;
    snprintf(ret, 128, "%.*s", (int)strcspn(p, "\r\n"), p);
}

static long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec;
}

static void assert_signed(const struct request *r, const char *secret)
{
    char time[128], signature[128], text[65536], wanted[128] = "sha256=";
    uint8_t mac[32];
    unsigned n = sizeof mac;
    header(r, "Tiercel-Timestamp", time);
    header(r, "Tiercel-Signature", signature);
    int size = snprintf(text, sizeof text, "%s.%.*s", time, (int)r->body_size, r->body);
    HMAC(EVP_sha256(), secret, (int)strlen(secret), (uint8_t *)text, (size_t)size, mac, &n);
    for (unsigned i = 0; i < 32; i++)
        sprintf(wanted + 7 + 2 * i, "%02x", mac[i]);
    assert_string_equal(signature, wanted);
    assert_true(labs(atol(time) - now()) < 300);
}

static void test_webhook_is_signed_and_tried_again(void **context)
{
    static struct request first, second;
    char words[256], secret[512], number[128], same[128];
    unsigned port;
    (void)context;
    _cleanup_close_ int fd = receiver(SOCK_STREAM, &port);
    snprintf(words, sizeof words, "output add hook --kind webhook --to http://127.0.0.1:%u/in?a=b",
             port);
    assert_int_equal(run(secret, sizeof secret, words), 0);
    secret[64] = 0;
    pid_t pid = ask_for_test("hook");
    answer(fd, "HTTP/1.1 503 no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", &first);
    assert_true(str_starts(str_from(first.head), STR("POST /in?a=b HTTP/1.1\r\n")));
    assert_signed(&first, secret);
    header(&first, "Tiercel-Delivery", number);
    answer(fd, "HTTP/1.1 204 ok\r\nConnection: close\r\n\r\n", &second);
    assert_signed(&second, secret);
    header(&second, "Tiercel-Delivery", same);
    assert_string_equal(number, same);
    json_t *o = json_loadb(second.body, second.body_size, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(o, "class_uid")), 2004);
    json_decref(o);
    assert_int_equal(status_of(pid), 0);
}

static void test_webhook_that_refuses_is_counted(void **context)
{
    static struct request r;
    char words[256], out[2048];
    unsigned port;
    (void)context;
    _cleanup_close_ int fd = receiver(SOCK_STREAM, &port);
    snprintf(words, sizeof words, "output add bad --kind webhook --to http://127.0.0.1:%u/", port);
    assert_int_equal(run(out, sizeof out, words), 0);
    pid_t pid = ask_for_test("bad");
    answer(fd, "HTTP/1.1 422 no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", &r);
    assert_int_equal(status_of(pid), 1);
    assert_int_equal(run(out, sizeof out, "output list"), 0);
    assert_non_null(strstr(out, "0 waiting       1 dropped"));
    assert_int_equal(run(out, sizeof out, "output remove bad"), 0);
    assert_int_equal(run(out, sizeof out, "output test bad"), 1);
}

static void test_syslog_over_udp_and_tcp(void **context)
{
    char words[256], out[512], text[65536];
    unsigned udp, tcp;
    (void)context;
    _cleanup_close_ int datagrams = receiver(SOCK_DGRAM, &udp),
                        streams = receiver(SOCK_STREAM, &tcp);
    snprintf(words, sizeof words, "output add siem --kind cef --to udp://127.0.0.1:%u", udp);
    assert_int_equal(run(out, sizeof out, words), 0);
    snprintf(words, sizeof words, "output add log --kind syslog --to tcp://127.0.0.1:%u", tcp);
    assert_int_equal(run(out, sizeof out, words), 0);
    pid_t pid = ask_for_test("siem");
    wait_for(datagrams);
    ssize_t n = recv(datagrams, text, sizeof text - 1, 0);
    assert_true(n > 0);
    text[n] = 0;
    assert_true(str_starts(str_from(text), STR("<82>1 20")));
    assert_non_null(strstr(text, " tiercel - detection - CEF:0|Tiercel|Tiercel|"));
    assert_int_equal(status_of(pid), 0);
    pid = ask_for_test("log");
    wait_for(streams);
    _cleanup_close_ int fd = accept(streams, NULL, NULL);
    size_t all = 0;
    while ((n = read(fd, text + all, sizeof text - 1 - all)) > 0)
        all += (size_t)n;
    text[all] = 0;
    char *message;
    unsigned long length = strtoul(text, &message, 10); // octet counting
    assert_int_equal(length, strlen(message + 1));
    assert_true(str_starts(str_from(message), STR(" <82>1 20")));
    close(fd);
    fd = -1;
    assert_int_equal(status_of(pid), 0);
}

static void test_lines_in_a_file(void **context)
{
    char out[512], path[160], line[8192];
    (void)context;
    assert_int_equal(run(out, sizeof out, "output add file --kind ocsf-file --to /tmp/x"), 2);
    assert_int_equal(run(out, sizeof out, "output add file --kind ocsf-file"), 0);
    assert_int_equal(status_of(ask_for_test("file")), 0);
    assert_int_equal(status_of(ask_for_test("file")), 0);
    snprintf(path, sizeof path, "%s/outputs/file/ocsf.jsonl", state);
    _cleanup_fclose_ FILE *f = fopen(path, "r");
    assert_non_null(f);
    unsigned n = 0;
    for (; fgets(line, sizeof line, f); n++) {
        json_t *o = json_loads(line, 0, NULL);
        assert_int_equal(json_integer_value(json_object_get(o, "class_uid")), 2004);
        json_decref(o);
    }
    assert_int_equal(n, 2);
}

static void test_metrics_are_read_by_prometheus_rules(void **context)
{
    static char out[32768];
    char words[64];
    (void)context;
    assert_int_equal(run(out, sizeof out, "client add acme"), 0);
    assert_int_equal(run(out, sizeof out, "metrics"), 0);
    assert_non_null(strstr(out, "\ntiercel_hub_up 1\n"));
    assert_non_null(strstr(out, "\ntiercel_hub_hosts{client=\"acme\",state=\"enrolled\"} 0\n"));
    assert_non_null(strstr(out, "\ntiercel_hub_output_delivered_total{output=\"file\"} 2\n"));
    for (struct str rest = str_from(out), line; str_split(&rest, '\n', &line);) {
        char name[128], value[32];
        snprintf(words, sizeof words, "%.40s", line.p);
        if (!line.n || str_starts(line, STR("# HELP ")) || str_starts(line, STR("# TYPE ")))
            continue;
        char copy[256];
        snprintf(copy, sizeof copy, STR_FMT, STR_ARG(line));
        if (sscanf(copy, "%127s %31[0-9]", name, value) != 2)
            fail_msg("no sample: %s", words);
    }
    if (system("command -v promtool >/dev/null") != 0) {
        print_message("promtool is not installed: its check is skipped\n");
        return;
    }
    snprintf(out, sizeof out, "%s --state %s metrics | promtool check metrics", hub, state);
    assert_int_equal(system(out), 0);
}

static void test_queue_outlives_the_hub(void **context)
{
    static struct request r;
    char words[256], out[512];
    unsigned port;
    (void)context;
    int fd = receiver(SOCK_STREAM, &port);
    snprintf(words, sizeof words, "output add late --kind ocsf-http --to http://127.0.0.1:%u/",
             port);
    close(fd); // nobody there
    assert_int_equal(run(out, sizeof out, words), 0);
    assert_int_equal(status_of(ask_for_test("late")), 1);
    stop();
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 8), 0);
    serve();
    answer(fd, "HTTP/1.1 200 ok\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", &r);
    assert_int_equal(r.body[r.body_size - 1], '\n');
    json_t *o = json_loadb(r.body, r.body_size, 0, NULL);
    assert_non_null(o);
    json_decref(o);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_webhook_is_signed_and_tried_again),
        cmocka_unit_test(test_webhook_that_refuses_is_counted),
        cmocka_unit_test(test_syslog_over_udp_and_tcp),
        cmocka_unit_test(test_lines_in_a_file),
        cmocka_unit_test(test_metrics_are_read_by_prometheus_rules),
        cmocka_unit_test(test_queue_outlives_the_hub),
    };
    return cmocka_run_group_tests_name("outputs", tests, setup, teardown);
}
