// SPDX-License-Identifier: Apache-2.0
#include "cli/exceptions.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#define FILE_LIMIT ((size_t)4 << 20)

static int read_old(const char *file, struct buf *out, struct error *e)
{
    _cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return 0;
    while (fd >= 0 && out->n <= FILE_LIMIT) {
        char *room = buf_room(out, 65536);
        ssize_t got = room ? read(fd, room, 65536) : -1;
        if (got == 0)
            return 0;
        if (got < 0)
            break;
        out->n += (size_t)got;
    }
    if (out->n > FILE_LIMIT)
        return error_set(e, -EFBIG, "%s is larger than 4 MiB", file);
    return error_set(e, -errno, "cannot read %s: %s", file, strerror(errno));
}

static int write_new(const char *path, struct str text, struct error *e)
{
    _cleanup_close_ int fd =
        open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    size_t done = 0;
    while (fd >= 0 && done < text.n) {
        ssize_t n = write(fd, text.p + done, text.n - done);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    if (fd >= 0 && done == text.n && fsync(fd) == 0)
        return 0;
    return error_set(e, -errno, "cannot write %s: %s", path, strerror(errno));
}

// The folder of the file, made when missing, locked; a descriptor.
static int lock_folder(const char *file, struct error *e)
{
    char folder[512];
    const char *slash = strrchr(file, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - file) : 1, slash ? file : ".");
    if (mkdir(folder, 0755) < 0 && errno != EEXIST)
        return error_set(e, -errno, "cannot make %s: %s", folder, strerror(errno));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX) < 0) {
        int code = -errno;
        if (fd >= 0)
            close(fd);
        return error_set(e, code, "cannot open %s: %s", folder, strerror(-code));
    }
    return fd;
}

static int check(struct str text, const char *file, struct error *e)
{
    _cleanup_arena_ struct arena arena = {0};
    struct exception *exceptions = NULL;
    size_t n = 0;
    return text.n ? exception_parse(text, file, &arena, &exceptions, &n, e) : 0;
}

int exceptions_add(const char *file, struct str entry, struct error *e)
{
    _cleanup_buf_ struct buf text = {0};
    char path[520];
    if (snprintf(path, sizeof path, "%s.new", file) >= (int)sizeof path)
        return error_set(e, -ENAMETOOLONG, "the name of the file is too long");
    _cleanup_close_ int folder = lock_folder(file, e);
    if (folder < 0)
        return folder;
    int r = read_old(file, &text, e);
    if (r == 0)
        r = check(buf_str(&text), file, e);
    if (r < 0) {
        if (e && r != -EACCES && !e->way_out[0])
            error_way_out(e, "put this right first: nothing was changed");
        return r;
    }
    if (text.n && text.p[text.n - 1] != '\n')
        buf_add_char(&text, '\n');
    buf_add_str(&text, entry);
    r = text.failed ? error_set(e, text.failed, "out of memory") : check(buf_str(&text), file, e);
    if (r == 0)
        r = write_new(path, buf_str(&text), e);
    if (r == 0 && rename(path, file) < 0)
        r = error_set(e, -errno, "cannot replace %s: %s", file, strerror(errno));
    if (r == 0)
        fsync(folder);
    else
        unlink(path);
    return r;
}
