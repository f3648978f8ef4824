// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "os/landlock.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

// What a process that may only write below `own` finds. Its exit status: 77 without Landlock, else the first failure.
static int tries(const char *own, const char *other)
{
    struct error e = {0};
    const char *const write[] = {own, NULL}, *const read[] = {"/etc", "/not/there", NULL};
    char path[128], second[128];
    int r = os_landlock(read, write, &e);
    if (r)
        return r == 1 ? 77 : 1;
    if (open("/etc/passwd", O_RDONLY) < 0)
        return 2;
    if (open("/etc/passwd", O_WRONLY) >= 0 || errno != EACCES)
        return 3;
    if (open(other, O_RDONLY | O_DIRECTORY) >= 0 || errno != EACCES)
        return 4;
    snprintf(path, sizeof path, "%s/file", other);
    if (open(path, O_WRONLY | O_CREAT, 0600) >= 0 || errno != EACCES)
        return 5;
    snprintf(path, sizeof path, "%s/file", own);
    snprintf(second, sizeof second, "%s/second", own);
    if (open(path, O_RDWR | O_CREAT | O_TRUNC, 0600) < 0 || rename(path, second) < 0)
        return 6;
    return unlink(second) < 0 ? 7 : 0;
}

static void test_landlock_leaves_only_what_is_named(void **context)
{
    char own[] = "/tmp/landlock-XXXXXX", other[] = "/tmp/landlock-XXXXXX";
    int status;
    (void)context;
    assert_non_null(mkdtemp(own));
    assert_non_null(mkdtemp(other));
    pid_t pid = fork();
    if (pid == 0)
        _exit(tries(own, other));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    rmdir(own);
    rmdir(other);
    if (WEXITSTATUS(status) == 77) {
        print_message("this kernel has no Landlock\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_landlock_leaves_only_what_is_named)};
    return cmocka_run_group_tests_name("landlock", tests, NULL, NULL);
}
