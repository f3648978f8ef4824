// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "enrich/cgroup.h"
#include "enrich/proc.h"
#include "enrich/role.h"
#include "enrich/users.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *role(const char *image, const char *command)
{
    struct str argv[16], rest = str_from(command), piece;
    size_t n = 0;
    while (n < 16 && str_split(&rest, ' ', &piece))
        argv[n++] = piece;
    return role_of(str_from(image), argv, n);
}

static void test_role_of_servers_by_name_and_version(void **state)
{
    (void)state;
    assert_string_equal(role("/usr/sbin/nginx", "nginx -g daemon"), "web");
    assert_string_equal(role("/usr/sbin/php-fpm8.2", "php-fpm: master"), "web");
    assert_string_equal(role("/usr/lib/postgresql/15/bin/postgres", "postgres -D /x"), "database");
    assert_string_equal(role("/usr/sbin/sshd", "sshd: x [priv]"), "ssh");
    assert_string_equal(role("/usr/bin/containerd-shim-runc-v2", "x"), "container");
    assert_string_equal(role("/usr/bin/dpkg", "dpkg --configure -a"), "package");
    assert_null(role("/usr/bin/bash", "bash"));
    assert_null(role("/usr/sbin/nginxfoo", "nginxfoo"));
    assert_null(role("", ""));
}

static void test_role_of_interpreters_by_their_arguments(void **state)
{
    (void)state;
    assert_string_equal(role("/usr/bin/python3.11", "python3 -m http.server 80"), "web");
    assert_string_equal(role("/usr/bin/python3.11", "/usr/bin/python3 /usr/bin/gunicorn app:app"),
                        "web");
    assert_string_equal(role("/usr/bin/php8.2", "php -S 127.0.0.1:80"), "web");
    assert_string_equal(
        role("/usr/lib/jvm/bin/java", "java -cp x org.apache.catalina.startup.Bootstrap"), "web");
    assert_null(role("/usr/bin/python3.11", "python3 backup.py"));
    assert_null(role("/usr/bin/python3.11", "python3 http.server"));
    // The word stands in a program's text: an attacker's one-liner is no server.
    assert_null(role("/usr/bin/python3.11", "python3 -c x -m http.server"));
    assert_null(role("/usr/bin/php8.2", "php -r evil(); -S x"));
}

static void test_cgroup_unit_and_container(void **state)
{
    (void)state;
    struct str u = cgroup_unit(STR("/system.slice/nginx.service"));
    assert_true(str_eq(u, STR("nginx.service")));
    u = cgroup_unit(STR("/user.slice/user-0.slice/user@0.service/app.slice/x.service"));
    assert_true(str_eq(u, STR("x.service")));
    assert_int_equal(cgroup_unit(STR("/")).n, 0);
    struct str id = cgroup_container(
        STR("/system.slice/"
            "docker-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope"));
    assert_int_equal(id.n, 64);
    assert_int_equal(cgroup_container(STR("/docker/0123456789ab")).n, 12);
    // Digits alone are no container.
    assert_int_equal(cgroup_container(STR("/user.slice/session-123456789012.scope")).n, 0);
    assert_int_equal(cgroup_container(STR("/123456789012")).n, 0);
}

static void test_stat_with_a_hostile_name(void **state)
{
    (void)state;
    struct proc_stat s;
    const char tail[] = " S 77 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1";
    const char *names[] = {"a) R 1", "x\n1 (y) Z 9 9", ") ) )", "", "(("};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[256];
        int n = snprintf(text, sizeof text, "1234 (%s)%s\n", names[i], tail);
        assert_int_equal(proc_parse_stat((struct str){text, (size_t)n}, &s), 0);
        assert_int_equal(s.pid, 1234);
        assert_int_equal(s.parent, 77);
        assert_int_equal(s.start_ns, 4242ull * 10000000);
        assert_true(str_eq(s.name, str_from(names[i])));
    }
    assert_int_equal(proc_parse_stat(STR("12 (x) S 1"), &s), -EBADMSG);
    assert_int_equal(proc_parse_stat(STR("12 )x( S 1"), &s), -EBADMSG);
    assert_int_equal(proc_parse_stat(STR_NONE, &s), -EBADMSG);
    assert_int_equal(
        proc_parse_stat(STR("1 (x) S 1 1 1 0 -1 0 1 0 0 0 0 0 0 0 20 0 1 0 99999999999999999999 1"),
                        &s),
        -EBADMSG);
}

static void test_status_and_cgroup_files(void **state)
{
    (void)state;
    struct proc_status s;
    const struct str text =
        STR("Name:\tx\nUid:\t33\t0\t0\t0\nGid:\t33\t33\t33\t33\nVmSize:\t 10 kB\n"
            "CapEff:\t000001ffffffffff\n");
    assert_int_equal(proc_parse_status(text, &s), 0);
    assert_int_equal(s.uid, 33);
    assert_int_equal(s.euid, 0);
    assert_true(s.capabilities == 0x1ffffffffffull);
    assert_false(s.kernel_thread);
    assert_int_equal(proc_parse_status(STR("Name:\tx\n"), &s), -EBADMSG);
    assert_int_equal(proc_parse_status(STR("Uid:\t1\nGid:\t1\t1\n"), &s), -EBADMSG);
    struct str path =
        proc_parse_cgroup(STR("12:cpu:/a\n1:name=systemd:/b\n0::/c.slice/d.service\n"));
    assert_true(str_eq(path, STR("/c.slice/d.service")));
    path = proc_parse_cgroup(STR("12:cpu:/a\n1:name=systemd:/b:c\n"));
    assert_true(str_eq(path, STR("/b:c")));
}

static void test_users_are_read_again_when_the_file_changes(void **state)
{
    (void)state;
    char path[] = "/tmp/tiercel-users-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    struct env env = env_real(-1);
    struct users *u;
    assert_int_equal(users_new(path, &u), 0);
    assert_int_equal(
        users_parse(u, STR("root:x:0:0::/:\nbad\n:x:5:\nx:y:z\nwww-data:x:33:33\nfirst:x:7\n"
                           "second:x:7:1\nbig:x:4294967296:1\n")),
        4);
    assert_true(write(fd, "late:x:44:1\n", 12) == 12);
    assert_true(str_eq(users_name(u, &env, 44), STR("late"))); // the file replaces what was parsed
    assert_int_equal(users_name(u, &env, 33).n, 0);
    assert_int_equal(users_parse(u, STR("a:x:1\nfirst:x:7\nsecond:x:7:1\n")), 3);
    assert_true(str_eq(users_name(u, &env, 7), STR("first")));
    users_free(u);
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_role_of_servers_by_name_and_version),
        cmocka_unit_test(test_role_of_interpreters_by_their_arguments),
        cmocka_unit_test(test_cgroup_unit_and_container),
        cmocka_unit_test(test_stat_with_a_hostile_name),
        cmocka_unit_test(test_status_and_cgroup_files),
        cmocka_unit_test(test_users_are_read_again_when_the_file_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
