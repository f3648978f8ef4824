// SPDX-License-Identifier: Apache-2.0
#include "agent/mode.h"
#include "base/cleanup.h"
#include "base/test.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void test_mode_is_found_again_and_junk_is_not_taken(void **state)
{
    (void)state;
    char folder[] = "/tmp/tiercel-mode-XXXXXX", path[64];
    bool prevent = true;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/mode", folder);
    assert_int_equal(mode_read(folder, &prevent), 0);
    assert_true(prevent); // untouched
    assert_int_equal(mode_write(folder, false), 0);
    assert_int_equal(mode_read(folder, &prevent), 1);
    assert_false(prevent);
    assert_int_equal(mode_write(folder, true), 0);
    assert_int_equal(mode_read(folder, &prevent), 1);
    assert_true(prevent);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(write(fd, "protect\n", 8), 8);
    close(fd);
    prevent = false;
    assert_int_equal(mode_read(folder, &prevent), -EINVAL);
    assert_false(prevent);
    unlink(path);
    assert_int_equal(symlink("/proc/self/comm", path), 0);
    assert_int_equal(mode_read(folder, &prevent), -ELOOP);
    unlink(path);
    rmdir(folder);
    assert_int_equal(mode_write(folder, true), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mode_is_found_again_and_junk_is_not_taken)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
