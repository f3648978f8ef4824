// SPDX-License-Identifier: Apache-2.0
// The running daemon of an enrolled host: its uplink holds nothing but the network, libcurl is in no other role, the
// journal arrives at a hub byte for byte, and neither the hub's end nor the uplink's own hurts the agent.
#include "agent.h"
#include "agent/role_table.h"
#include "event/segment_format.h"
#include "link.pb-c.h"
#include "link/enrolment.h"
#include "link/hub_test.h"
#include <sys/mman.h>

#define ROOM ((size_t)4 << 20)

static struct hub_state {
    uint64_t next;
    uint8_t last[32];
    _Atomic size_t n;
    uint8_t bytes[ROOM];
} * there; // shared with the child that answers

static struct test_hub hub;

static void serve(struct test_hub *h, const char *line, struct str body,
                  struct test_hub_answer *ret)
{
    struct segment_header header;
    (void)h;
    if (strcmp(line, "POST /v1/batches HTTP/1.1") == 0)
        for (size_t at = 0; at < body.n; at += sizeof header + header.compressed) {
            memcpy(&header, body.p + at, sizeof header);
            if (header.sequence != there->next || there->n + body.n > ROOM)
                _exit(1);
            segment_hash(body.p + at, sizeof header + header.compressed, there->last);
            memcpy(there->bytes + there->n, body.p + at, sizeof header + header.compressed);
            there->next++;
            there->n += sizeof header + header.compressed;
        }
    Tiercel__Link__BatchReply a = TIERCEL__LINK__BATCH_REPLY__INIT;
    a.has_next = true;
    a.next = there->next;
    a.has_last = there->next > 0;
    a.last = (ProtobufCBinaryData){32, there->last};
    ret->n = tiercel__link__batch_reply__pack(&a, ret->body);
}

static void enrol(const struct agent *a)
{
    static struct enrolment mine;
    X509 *x = NULL;
    _cleanup_buf_ struct buf request = {0}, ours = {0}, theirs = {0}, text = {0};
    char fresh[160], path[160];
    assert_int_equal(enrolment_make(&mine, &request, NULL), 0);
    assert_int_equal(pki_host_sign(&hub.authority, buf_str(&request),
                                   "acme/000102030405060708090a0b0c0d0e0f", time(NULL), &x),
                     0);
    assert_int_equal(pki_certificate_der(x, &ours), 0);
    assert_int_equal(pki_certificate_der(hub.authority.certificate, &theirs), 0);
    assert_int_equal(enrolment_take(&mine, buf_str(&ours), buf_str(&theirs), NULL), 0);
    X509_free(x);
    strcpy(mine.url, hub.url);
    strcpy(mine.client, "acme");
    enrolment_print(&mine, &text);
    agent_path(a, "state/.hub.pem", fresh);
    agent_path(a, "state/hub.pem", path);
    _cleanup_close_ int fd = open(fresh, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, text.p, text.n), text.n);
    assert_int_equal(rename(fresh, path), 0);
}

static bool all_run(const struct control_status *s)
{
    for (uint32_t i = 0; i < s->n_roles; i++)
        if (s->roles[i].state != CONTROL_ROLE_RUNNING)
            return false;
    return true;
}

static bool is_alone(const struct control_status *s, const void *context)
{
    (void)context;
    return s->n_roles == ROLE_UPLINK && all_run(s) && !s->enrolled;
}

static bool is_sending(const struct control_status *s, const void *context)
{
    const pid_t *not_this = context;
    return s->n_roles == ROLE_COUNT && all_run(s) && s->enrolled &&
           s->uplink.state == CONTROL_LINK_CONNECTED && s->uplink.records >= 2 &&
           (!not_this || s->roles[ROLE_UPLINK].pid != *not_this);
}

static bool is_cut_off(const struct control_status *s, const void *context)
{
    (void)context;
    return s->uplink.state == CONTROL_LINK_UNREACHED && s->uplink.why[0] && s->uplink.failures;
}

static void read_proc(pid_t pid, const char *name, char *ret, size_t size)
{
    char path[64];
    size_t got = 0;
    ssize_t n;
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    while (got < size - 1 && (n = read(fd, ret + got, size - 1 - got)) > 0)
        got += (size_t)n;
    ret[got] = 0;
}

static void check_uplink(const struct control_status *s)
{
    static char text[256 << 10];
    char uids[64];
    unsigned uid = role_spec(ROLE_UPLINK)->sandbox.uid;
    for (enum role role = ROLE_PARENT; role < ROLE_COUNT; role++) {
        read_proc(s->roles[role].pid, "maps", text, sizeof text);
        assert_int_equal(strstr(text, "libcurl") != NULL, role == ROLE_UPLINK);
        assert_int_equal(strstr(text, "libcrypto") != NULL, role == ROLE_UPLINK);
    }
    read_proc(s->roles[ROLE_UPLINK].pid, "status", text, sizeof text);
    snprintf(uids, sizeof uids, "Uid:\t%u\t%u\t%u\t%u\n", uid, uid, uid, uid);
    assert_non_null(strstr(text, uids));
    assert_non_null(strstr(text, "CapPrm:\t0000000000000000\n"));
    assert_non_null(strstr(text, "CapEff:\t0000000000000000\n"));
    assert_non_null(strstr(text, "CapBnd:\t0000000000000000\n"));
    assert_non_null(strstr(text, "NoNewPrivs:\t1\n"));
    assert_non_null(strstr(text, "Seccomp:\t2\n"));
    assert_non_null(strstr(text, "Groups:\t \n"));
}

static void check_bytes(const struct agent *a)
{
    static uint8_t journal[ROOM];
    char path[160];
    size_t n = there->n;
    agent_path(a, "state/journal/000000000001.seg", path);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, journal, sizeof journal) >= (ssize_t)n && n > 0);
    assert_memory_equal(journal, there->bytes, n);
}

static void test_enrolled_agent_sends_its_journal(void **state)
{
    (void)state;
    static struct control_status s;
    struct agent a;
    char path[160];
    test_hub_start(&hub, true);
    test_hub_serve(&hub, serve);
    agent_start(&a, "detect");
    agent_wait(&a, "not all roles run", is_alone, NULL, &s);
    enrol(&a);
    for (int i = 0; i < 20; i++)
        assert_int_equal(agent_exec(&a, "/bin/true", "something to tell"), 0);
    agent_wait(&a, "nothing was sent", is_sending, NULL, &s);
    assert_string_equal(s.uplink.hub, hub.url);
    assert_string_equal(s.uplink.client, "acme");
    check_uplink(&s);
    check_bytes(&a);
    // It dies: another goes on where the hub's copy ends, and the hub would end at a record that it has.
    pid_t before = s.roles[ROLE_UPLINK].pid, engine = s.roles[ROLE_ENGINE].pid;
    kill(before, SIGKILL);
    for (int i = 0; i < 20; i++)
        assert_int_equal(agent_exec(&a, "/bin/true", "more to tell"), 0);
    agent_wait(&a, "the uplink was not replaced", is_sending, &before, &s);
    check_bytes(&a);
    // The hub goes: said, and nothing else changes.
    kill(hub.tls, SIGKILL);
    agent_wait(&a, "a hub that is gone was not noticed", is_cut_off, NULL, &s);
    assert_int_equal(agent_exec(&a, "/bin/true", "nobody is told"), 0);
    assert_int_equal(s.roles[ROLE_ENGINE].pid, engine);
    assert_true(all_run(&s));
    agent_path(&a, "state/hub.pem", path);
    assert_int_equal(unlink(path), 0);
    agent_wait(&a, "the uplink did not end with its enrolment", is_alone, NULL, &s);
    assert_int_equal(agent_end(&a, SIGTERM), 0);
    test_hub_end(&hub);
}

static bool is_refused(const struct control_status *s, const void *context)
{
    (void)context;
    return s->enrolled && all_run(s) && s->uplink.state == CONTROL_LINK_REFUSED;
}

static void test_damaged_enrolment_is_said_and_hurts_nothing(void **state)
{
    (void)state;
    static struct control_status s;
    struct agent a;
    char path[160];
    agent_start(&a, "detect");
    agent_wait(&a, "not all roles run", is_alone, NULL, &s);
    agent_path(&a, "state/hub.pem", path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "hub: nonsense\n", 14), 14);
    close(fd);
    agent_wait(&a, "a damaged enrolment was not noticed", is_refused, NULL, &s);
    assert_non_null(strstr(s.uplink.why, "damaged"));
    assert_int_equal(agent_exec(&a, "/bin/true", "works"), 0);
    assert_int_equal(agent_end(&a, SIGTERM), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_enrolled_agent_sends_its_journal),
        cmocka_unit_test(test_damaged_enrolment_is_said_and_hurts_nothing),
    };
    if (geteuid() != 0)
        return 77;
    signal(SIGPIPE, SIG_IGN);
    there = mmap(NULL, sizeof *there, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return there == MAP_FAILED || cmocka_run_group_tests(tests, NULL, NULL);
}
