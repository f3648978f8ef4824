// SPDX-License-Identifier: Apache-2.0
#include "agent/mode.h"
#include "base/cleanup.h"
#include "base/str.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int mode_read(const char *state, bool *ret_prevent)
{
    char path[400], text[32];
    snprintf(path, sizeof(path), "%s/mode", state);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    ssize_t n = read(fd, text, sizeof(text));
    if (n < 0)
        return -errno;
    struct str word = str_trim(str_bytes(text, (size_t)n));
    bool prevent = str_eq(word, STR("prevent"));
    if (!prevent && !str_eq(word, STR("detect")))
        return -EINVAL;
    *ret_prevent = prevent;
    return 1;
}

int mode_write(const char *state, bool prevent)
{
    char path[400], fresh[400];
    struct str word = prevent ? STR("prevent\n") : STR("detect\n");
    snprintf(path, sizeof(path), "%s/mode", state);
    snprintf(fresh, sizeof(fresh), "%s/.mode", state);
    _cleanup_close_ int fd =
        open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, word.p, word.n);
    if (n != (ssize_t)word.n || fsync(fd) < 0 || rename(fresh, path) < 0) {
        int r = n >= 0 && n != (ssize_t)word.n ? -ENOSPC : -errno;
        unlink(fresh);
        return r;
    }
    return 0;
}
