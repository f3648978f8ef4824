// SPDX-License-Identifier: Apache-2.0
#include "os/landlock.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

// Of version 1, which every kernel with Landlock has; REFER (2) and TRUNCATE (3) where they are known.
#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FIRST ((1ull << 13) - 1)
#define WRITE                                                                                      \
    (READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                        \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG)
#define REFER (1ull << 13)
#define TRUNCATE (1ull << 14)

static int allow(int ruleset, const char *const *paths, uint64_t access)
{
    for (; paths && *paths; paths++) {
        struct landlock_path_beneath_attr rule = {.allowed_access = access};
        _cleanup_close_ int fd = open(*paths, O_PATH | O_CLOEXEC);
        if (fd < 0)
            continue;
        rule.parent_fd = fd;
        if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
            return -errno;
    }
    return 0;
}

int os_landlock(const char *const *read, const char *const *write, struct error *e)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 0)
        return errno == ENOSYS || errno == EOPNOTSUPP
                   ? 1
                   : error_set(e, -errno, "Landlock: %s", strerror(errno));
    uint64_t more = (version >= 2 ? REFER : 0) | (version >= 3 ? TRUNCATE : 0);
    struct landlock_ruleset_attr all = {.handled_access_fs = FIRST | more};
    _cleanup_close_ int ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    if (ruleset < 0)
        return error_set(e, -errno, "Landlock: %s", strerror(errno));
    int r = allow(ruleset, read, READ);
    if (r == 0)
        r = allow(ruleset, write, WRITE | more);
    if (r == 0 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
                   syscall(SYS_landlock_restrict_self, ruleset, 0) < 0))
        r = -errno;
    return r < 0 ? error_set(e, r, "Landlock: %s", strerror(-r)) : 0;
}
