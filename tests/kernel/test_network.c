// SPDX-License-Identifier: Apache-2.0
// Connections, and what holds for all programs: loss is counted, no capability is needed to read, nothing stays behind,
// and what is missing is said.
#include "fixture.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>

static char *no_environment[] = {NULL};

static struct sockaddr_storage address_of(const char *ip, unsigned port, socklen_t *ret_length)
{
    struct sockaddr_storage a = {0};
    struct sockaddr_in *four = (struct sockaddr_in *)&a;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&a;

    if (inet_pton(AF_INET, ip, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)port);
        *ret_length = sizeof *four;
    } else {
        assert_int_equal(inet_pton(AF_INET6, ip, &six->sin6_addr), 1);
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)port);
        *ret_length = sizeof *six;
    }
    return a;
}

// 0 or negative errno. With `source` the socket is bound first.
static int connect_to(int type, const char *source, unsigned source_port, const char *ip,
                      unsigned port)
{
    socklen_t length, source_length;
    struct sockaddr_storage a = address_of(ip, port, &length);
    _cleanup_close_ int fd = socket(a.ss_family, type | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (source) {
        struct sockaddr_storage b = address_of(source, source_port, &source_length);
        if (bind(fd, (struct sockaddr *)&b, source_length))
            return -errno;
    }
    return connect(fd, (struct sockaddr *)&a, length) ? -errno : 0;
}

static int send_to(const char *ip, unsigned port)
{
    socklen_t length;
    struct sockaddr_storage a = address_of(ip, port, &length);
    _cleanup_close_ int fd = socket(a.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    return sendto(fd, "x", 1, 0, (struct sockaddr *)&a, length) == 1 ? 0 : -errno;
}

static struct str bytes_of(const char *ip, uint8_t out[16])
{
    if (inet_pton(AF_INET, ip, out) == 1)
        return str_bytes(out, 4);
    assert_int_equal(inet_pton(AF_INET6, ip, out), 1);
    return str_bytes(out, 16);
}

static void set_prefix(struct fixture *f, const char *ip, unsigned bits, unsigned action,
                       unsigned rule)
{
    struct net_policy policy = {.action = action, .rule = rule};
    uint8_t out[16];
    assert_int_equal(probe_net_set(&f->fds, bytes_of(ip, out), bits, &policy), 0);
}

static void remove_prefix(struct fixture *f, const char *ip, unsigned bits)
{
    uint8_t out[16];
    assert_int_equal(probe_net_remove(&f->fds, bytes_of(ip, out), bits), 0);
}

static int network_setup(void **state)
{
    const struct probe_mechanism *m;
    struct fixture *f;
    size_t n;

    if (fixture_setup(state))
        return -1;
    f = *state;
    n = probe_mechanisms(f->probe, &m);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(m[i].name, "network deny") && m[i].state != PROBE_WORKS)
            fail_msg("cgroup programs: %s", m[i].reason);
    return 0;
}

static void test_connect_is_reported(void **state)
{
    struct fixture *f = *state;
    uint8_t ip[16];

    drain(f);
    assert_int_equal(connect_to(SOCK_DGRAM, "127.0.0.1", 40123, "127.66.0.9", 53), 0);
    assert_int_equal(connect_to(SOCK_STREAM, NULL, 0, "127.66.0.9", 1), -ECONNREFUSED);
    drain(f);
    struct decoded *udp = find(f, RECORD_CONNECT, getpid(), 0),
                   *tcp = find(f, RECORD_CONNECT, getpid(), 1);
    assert_non_null(udp);
    assert_non_null(tcp);
    assert_null(find(f, RECORD_CONNECT, getpid(), 2));
    Tiercel__Connect *c = udp->event->connect;
    assert_int_equal(c->protocol, IPPROTO_UDP);
    assert_int_equal(c->destination->ip.len, 4);
    assert_memory_equal(c->destination->ip.data, bytes_of("127.66.0.9", ip).p, 4);
    assert_int_equal(c->destination->port, 53);
    assert_non_null(c->source);
    assert_memory_equal(c->source->ip.data, bytes_of("127.0.0.1", ip).p, 4);
    assert_int_equal(c->source->port, 40123);
    assert_false(c->denied);
    assert_true(c->initiated);
    c = tcp->event->connect;
    assert_int_equal(c->protocol, IPPROTO_TCP);
    assert_int_equal(c->destination->port, 1);
    assert_null(c->source);
}

static void test_connect_is_denied_by_the_longest_prefix(void **state)
{
    struct fixture *f = *state;

    set_prefix(f, "127.66.4.0", 24, NET_DENY, 7);
    set_prefix(f, "127.66.4.128", 25, NET_ALLOW, 8);
    set_prefix(f, "127.66.4.200", 32, NET_DENY, 9);
    drain(f);
    assert_int_equal(connect_to(SOCK_DGRAM, NULL, 0, "127.66.4.1", 9), -EPERM);
    assert_int_equal(connect_to(SOCK_STREAM, NULL, 0, "127.66.4.200", 9), -EPERM);
    assert_int_equal(connect_to(SOCK_DGRAM, NULL, 0, "127.66.4.129", 9), 0);
    assert_int_equal(connect_to(SOCK_DGRAM, NULL, 0, "127.66.5.1", 9), 0);
    assert_int_equal(send_to("127.66.4.1", 9), -EPERM);
    drain(f);
    unsigned rules[] = {7, 9, 7};
    for (unsigned i = 0; i < 3; i++) { // denials come by the structural ring, first
        struct decoded *d = find(f, RECORD_CONNECT, getpid(), i);
        assert_non_null(d);
        assert_true(d->event->connect->denied);
        assert_int_equal(d->rule, rules[i]);
    }
    remove_prefix(f, "127.66.4.0", 24);
    remove_prefix(f, "127.66.4.128", 25);
    remove_prefix(f, "127.66.4.200", 32);
    assert_int_equal(connect_to(SOCK_DGRAM, NULL, 0, "127.66.4.1", 9), 0);
    uint8_t ip[16];
    assert_int_equal(probe_net_remove(&f->fds, bytes_of("127.66.4.0", ip), 24), -ENOENT);
}

static void test_connect_inet6(void **state)
{
    struct fixture *f = *state;
    int any = connect_to(SOCK_DGRAM, NULL, 0, "::1", 9);

    if (any == -EAFNOSUPPORT || any == -EADDRNOTAVAIL || any == -ENETUNREACH)
        skip();
    assert_int_equal(any, 0);
    set_prefix(f, "::1", 128, NET_DENY, 3);
    drain(f);
    assert_int_equal(connect_to(SOCK_STREAM, NULL, 0, "::1", 9), -EPERM);
    assert_int_equal(send_to("::1", 9), -EPERM);
    drain(f);
    struct decoded *d = find(f, RECORD_CONNECT, getpid(), 0);
    assert_non_null(d);
    assert_int_equal(d->event->connect->destination->ip.len, 16);
    assert_int_equal(d->rule, 3);
    remove_prefix(f, "::1", 128);
    // An IPv4 address behind an IPv6 socket is the IPv4 address.
    set_prefix(f, "127.66.6.0", 24, NET_DENY, 4);
    assert_int_equal(connect_to(SOCK_DGRAM, NULL, 0, "::ffff:127.66.6.1", 9), -EPERM);
    remove_prefix(f, "127.66.6.0", 24);
    set_prefix(f, "::ffff:127.66.6.0", 120, NET_DENY, 4);
    assert_int_equal(connect_to(SOCK_DGRAM, NULL, 0, "127.66.6.1", 9), -EPERM);
    remove_prefix(f, "::ffff:127.66.6.0", 120);
}

// 0 or negative errno: a TCP connection that begins with data.
static int fast_open_to(const char *ip, unsigned port)
{
    socklen_t length;
    struct sockaddr_storage a = address_of(ip, port, &length);
    _cleanup_close_ int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&a, length) == 1 ? 0 : -errno;
}

static int multipath_to(const char *ip, unsigned port)
{
    socklen_t length;
    struct sockaddr_storage a = address_of(ip, port, &length);
    _cleanup_close_ int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);

    if (fd < 0)
        return -EPROTONOSUPPORT;
    return connect(fd, (struct sockaddr *)&a, length) ? -errno : 0;
}

static void test_connect_by_other_ways_is_denied(void **state)
{
    struct fixture *f = *state;
    int multipath;

    set_prefix(f, "127.66.8.0", 24, NET_DENY, 5);
    int fast = fast_open_to("127.66.8.1", 9);
    multipath = multipath_to("127.66.8.1", 9);
    remove_prefix(f, "127.66.8.0", 24);
    assert_int_equal(fast, -EPERM);
    assert_true(multipath == -EPERM || multipath == -EPROTONOSUPPORT);
}

static int in_contained_child(struct fixture *f, const char *ip)
{
    int status, go[2];
    char c;

    assert_int_equal(pipe(go), 0);
    pid_t child = fork();
    if (child == 0) {
        close(go[1]);
        if (read(go[0], &c, 1))
            _exit(100);
        pid_t grandchild = fork();
        if (grandchild == 0)
            _exit(-connect_to(SOCK_DGRAM, NULL, 0, ip, 9) & 0xff);
        waitpid(grandchild, &status, 0);
        _exit(WEXITSTATUS(status));
    }
    assert_int_equal(probe_flags_set(f->fds.flags, child, -1, FLAG_CONTAINED), 0);
    close(go[0]);
    close(go[1]);
    waitpid(child, &status, 0);
    return -WEXITSTATUS(status);
}

static void test_contained_lineage_reaches_only_what_is_allowed(void **state)
{
    struct fixture *f = *state;

    set_prefix(f, "127.66.7.1", 32, NET_ALLOW, 0);
    assert_int_equal(in_contained_child(f, "127.66.7.1"), 0);
    assert_int_equal(in_contained_child(f, "127.66.7.2"), -EPERM);
    remove_prefix(f, "127.66.7.1", 32);
    assert_int_equal(connect_to(SOCK_DGRAM, NULL, 0, "127.66.7.2", 9), 0);
}

static void test_bad_prefixes_are_refused(void **state)
{
    struct fixture *f = *state;
    struct net_policy policy = {.action = NET_DENY};

    assert_int_equal(probe_net_set(&f->fds, STR("\x7f\0\0\1"), 33, &policy), -EINVAL);
    assert_int_equal(probe_net_set(&f->fds, STR("\x7f\0\0"), 8, &policy), -EINVAL);
    assert_int_equal(probe_net_set(&f->fds, STR_NONE, 0, &policy), -EINVAL);
}

static int ignore(void *context, const void *record, size_t bytes)
{
    (void)record;
    (void)bytes;
    ++*(unsigned *)context;
    return 0;
}

// What the engine does with inherited descriptors; the exit status says which step failed.
static int without_capabilities(struct fixture *f)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {0};
    struct judged j = {.full = 1}, back;
    struct probe_counters *counters;
    struct ring *ring;
    unsigned seen = 0;
    uint32_t flags;

    if (syscall(SYS_setresgid, 65534, 65534, 65534) ||
        syscall(SYS_setresuid, 65534, 65534, 65534) || syscall(SYS_capset, &header, none) ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return 1;
    if (ring_open(f->fds.structural, RING_STRUCTURAL_BYTES, &ring) ||
        ring_drain(ring, 1000, ignore, &seen) < 1 || !seen)
        return 2;
    if (probe_judged_set(f->fds.judged, 1, &j))
        return 3;
    int key = 1;
    if (bpf_map_lookup_elem(f->fds.judged, &key, &back) || back.full != 1 ||
        bpf_map_delete_elem(f->fds.judged, &key))
        return 4;
    if (probe_flags_set(f->fds.flags, getpid(), -1, FLAG_FLAGGED) ||
        probe_flags_get(f->fds.flags, getpid(), &flags) || flags != FLAG_FLAGGED)
        return 5;
    if (probe_counters_map(f->fds.counters, &counters) ||
        !probe_counters_sum(counters).sent[COUNT_FORK])
        return 6;
    if (bpf_map_create(BPF_MAP_TYPE_ARRAY, "no", 4, 4, 1, NULL) >= 0)
        return 7;
    return 0;
}

static void test_inherited_descriptors_need_no_capability(void **state)
{
    struct fixture *f = *state;
    int status;
    pid_t child = fork();

    if (child == 0)
        _exit(without_capabilities(f));
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_loss_is_counted(void **state)
{
    struct fixture *f = *state;
    char *text = malloc(100001), *argv[] = {"x", text, NULL};
    struct probe_counters *counters;
    enum { EXECS = 90 }; // 32 KiB each: more than the ring holds
    unsigned read_back = 0;

    memset(text, 'x', 100000);
    text[100000] = 0;
    drain(f);
    assert_int_equal(probe_counters_map(f->fds.counters, &counters), 0);
    struct counters before = probe_counters_sum(counters);
    for (int i = 0; i < EXECS; i++) {
        pid_t child = fork();
        if (child == 0) {
            execve(f->marker, argv, no_environment);
            _exit(1);
        }
        waitpid(child, NULL, 0);
    }
    struct counters after = probe_counters_sum(counters);
    uint64_t sent = 0, lost = 0;
    for (int i = 0; i < COUNT_CLASSES; i++) {
        sent += after.sent[i] - before.sent[i];
        lost += after.lost[i] - before.lost[i];
    }
    assert_true(after.lost[COUNT_EXEC] - before.lost[COUNT_EXEC] > 0);
    assert_true(sent + lost >= 3 * EXECS);
    for (int n; (n = ring_drain(f->structural, 1000, ignore, &read_back)) > 0;)
        ;
    assert_true(read_back >= sent); // others may have come since
    assert_int_equal(ring_waiting(f->structural) > RING_STRUCTURAL_BYTES / 2, 0);
    probe_counters_unmap(counters);
    free(text);
}

static int stop_at_second(void *context, const void *record, size_t bytes)
{
    (void)record;
    (void)bytes;
    return ++*(unsigned *)context == 2 ? -EINTR : 0;
}

// A process that sends too many is cut, every record of it is counted, and what must not be lost is not asked.
static void test_a_flood_is_throttled_and_counted(void **state)
{
    struct fixture *f = *state;
    enum { FLOOD = 3000, SHARE = 1000 }; // 100 a second
    struct probe_counters *counters;
    assert_int_equal(probe_counters_map(f->fds.counters, &counters), 0);
    probe_bulk_limit(f->probe, SHARE);
    struct counters before = probe_counters_sum(counters);
    for (int i = 0; i < FLOOD; i++) {
        assert_int_equal(connect_to(SOCK_DGRAM, NULL, 0, "127.66.0.9", 53), 0);
        if (i % 1000 == 0) {
            pid_t child = fork();
            if (child == 0)
                _exit(0);
            waitpid(child, NULL, 0);
        }
    }
    struct counters after = probe_counters_sum(counters);
    probe_bulk_limit(f->probe, 1);
    uint64_t sent = after.sent[COUNT_CONNECT] - before.sent[COUNT_CONNECT];
    uint64_t cut = after.throttled[COUNT_CONNECT] - before.throttled[COUNT_CONNECT];
    uint64_t lost = after.lost[COUNT_CONNECT] - before.lost[COUNT_CONNECT];
    assert_true(sent + cut + lost >= FLOOD);
    assert_true(sent + cut + lost < FLOOD + 200); // others on this machine connect, too
    assert_true(cut > 0 && sent > 0);
    assert_true(after.sent[COUNT_FORK] - before.sent[COUNT_FORK] >= 3);
    probe_counters_unmap(counters);
    drain(f);
}

static void test_ring_drain_stops_where_it_is_told(void **state)
{
    struct fixture *f = *state;
    unsigned n = 0;

    drain(f);
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        waitpid(child, NULL, 0);
    }
    assert_int_equal(ring_drain(f->structural, 1, ignore, &n), 1);
    n = 0;
    assert_int_equal(ring_drain(f->structural, 100, stop_at_second, &n), -EINTR);
    n = 0;
    assert_true(ring_drain(f->structural, 100, ignore, &n) >= 3);
}

static void test_nothing_stays_behind(void **state)
{
    struct probe *probe;
    struct bpf_map_info info = {0};
    uint32_t length = sizeof info;
    struct error e = {0};
    int fd = -1;

    (void)state;
    assert_int_equal(probe_new(&(struct probe_options){.hash_key = hash_key}, &probe, &e), 0);
    assert_int_equal(bpf_obj_get_info_by_fd(probe_fds(probe).structural, &info, &length), 0);
    probe_free(probe);
    for (int i = 0; i < 200; i++) { // the kernel frees programs and maps after a grace period
        fd = bpf_map_get_fd_by_id(info.id);
        if (fd < 0)
            break;
        close(fd);
        usleep(50000);
    }
    assert_int_equal(fd, -ENOENT);
}

static void test_mechanisms_are_all_told_with_a_reason(void **state)
{
    const struct probe_mechanism *m;
    struct probe *probe;
    struct error e = {0};

    (void)state;
    assert_int_equal(probe_new(&(struct probe_options){.hash_key = hash_key}, &probe, &e), 0);
    size_t n = probe_mechanisms(probe, &m);
    assert_true(n >= 6);
    for (size_t i = 0; i < n; i++) {
        bool needed = !strcmp(m[i].name, "process events") || !strcmp(m[i].name, "exec signal") ||
                      !strcmp(m[i].name, "network deny");
        if (needed)
            assert_int_equal(m[i].state, PROBE_WORKS);
        if (getenv("VM_LSM") && !strcmp(m[i].name, "LSM"))
            assert_int_equal(m[i].state == PROBE_WORKS, !strcmp(getenv("VM_LSM"), "on"));
        printf("# %s: %s (%s)\n", m[i].name,
               m[i].state == PROBE_WORKS     ? "works"
               : m[i].state == PROBE_REFUSED ? "tried and refused"
                                             : "absent",
               m[i].reason);
        assert_true(m[i].reason[0]);
        assert_int_equal(m[i].instead[0] == 0, m[i].state == PROBE_WORKS);
    }
    probe_free(probe);
}

static int fail_as_nobody(void)
{
    struct probe *probe;
    struct error e = {0};

    if (syscall(SYS_setresuid, 65534, 65534, 65534))
        return 1;
    if (probe_new(&(struct probe_options){.hash_key = hash_key}, &probe, &e) != -EPERM)
        return 2;
    return strstr(e.way_out, "root") ? 0 : 3;
}

static void test_without_root_it_is_said(void **state)
{
    int status;
    pid_t child = fork();

    (void)state;
    if (child == 0)
        _exit(fail_as_nobody());
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_without_types_it_is_said(void **state)
{
    struct probe *probe;
    struct error e = {0};

    (void)state;
    assert_int_equal(probe_new(&(struct probe_options){.hash_key = hash_key}, &probe, &e), -ENOENT);
    assert_non_null(strstr(e.what, "BTF"));
    assert_non_null(strstr(e.way_out, "CONFIG_DEBUG_INFO_BTF"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect_is_reported),
        cmocka_unit_test(test_connect_is_denied_by_the_longest_prefix),
        cmocka_unit_test(test_connect_inet6),
        cmocka_unit_test(test_connect_by_other_ways_is_denied),
        cmocka_unit_test(test_contained_lineage_reaches_only_what_is_allowed),
        cmocka_unit_test(test_bad_prefixes_are_refused),
        cmocka_unit_test(test_inherited_descriptors_need_no_capability),
        cmocka_unit_test(test_loss_is_counted),
        cmocka_unit_test(test_a_flood_is_throttled_and_counted),
        cmocka_unit_test(test_ring_drain_stops_where_it_is_told),
        cmocka_unit_test(test_nothing_stays_behind),
        cmocka_unit_test(test_mechanisms_are_all_told_with_a_reason),
        cmocka_unit_test(test_without_root_it_is_said),
    };
    const struct CMUnitTest without_types[] = {cmocka_unit_test(test_without_types_it_is_said)};

    if (cannot_run())
        return 77;
    if (access("/sys/kernel/btf/vmlinux", F_OK))
        return cmocka_run_group_tests(without_types, NULL, NULL);
    return cmocka_run_group_tests(tests, network_setup, fixture_teardown);
}
