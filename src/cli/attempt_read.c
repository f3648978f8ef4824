// SPDX-License-Identifier: Apache-2.0
#include "cli/attempt_read.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define CHANGES_FILE_LIMIT ((size_t)16 << 20)

static int changes_path(const struct args *args, char ret[512], struct error *e)
{
    const char *given = args_text(args, "changes", NULL),
               *journal = args_text(args, "journal", JOURNAL_FOLDER);
    struct stat st;
    bool folder = stat(journal, &st) == 0 && S_ISDIR(st.st_mode);
    size_t n = strlen(journal);
    while (n > 1 && journal[n - 1] == '/')
        n--;
    int r = given    ? snprintf(ret, 512, "%s", given)
            : folder ? snprintf(ret, 512, "%.*s/../attempts.jsonl", (int)n, journal)
                     : snprintf(ret, 512, "%.*s.attempts.jsonl", (int)n, journal);
    return r < 512 ? 0 : error_set(e, -ENAMETOOLONG, "the path of the changes is too long");
}

static int read_changes(const char *path, struct attempts *a, struct error *e)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    _cleanup_buf_ struct buf b = {.limit = CHANGES_FILE_LIMIT};
    if (fd < 0)
        return errno == ENOENT ? 0
                               : error_set(e, -errno, "cannot open %s: %s", path, strerror(errno));
    for (;;) {
        char *p = buf_room(&b, 65536);
        ssize_t n = p ? read(fd, p, 65536) : 0;
        if (!p)
            return error_set(e, -EFBIG, "%s is too large", path);
        if (n < 0)
            return error_set(e, -errno, "cannot read %s: %s", path, strerror(errno));
        if (n == 0)
            break;
        b.n += (size_t)n;
    }
    int r = attempts_changes(a, buf_str(&b), e);
    if (r < 0)
        error_place(e, path, e->line, 0);
    return r;
}

static int pass(struct cli *cli, struct journal *j, struct attempts *a, bool first, struct error *e)
{
    int r = journal_seek(j, 0, true, e);
    while (r >= 0) {
        const Tiercel__Batch *batch = NULL;
        r = journal_next(j, attempts_skip, a, &batch, e);
        if (r == -EBADMSG) {
            if (first)
                cli_error(cli, e);
            r = 0;
            continue;
        }
        if (r <= 0)
            return r;
        r = attempts_take(a, batch);
        if (r < 0)
            return error_set(e, r, "out of memory");
    }
    return r;
}

int attempt_read(struct cli *cli, const struct args *args, struct journal **ret_journal,
                 struct attempts **ret, struct error *e)
{
    struct journal *j = NULL;
    struct attempts *a = NULL;
    char path[512];
    int r = journal_open(args_text(args, "journal", JOURNAL_FOLDER), &j, e);
    if (r == 0)
        r = changes_path(args, path, e);
    if (r == 0 && (r = attempts_new(0, &a)) < 0)
        error_set(e, r, "out of memory");
    if (r == 0)
        r = read_changes(path, a, e);
    bool first = true;
    for (int more = 1; r >= 0 && more; first = false) {
        r = pass(cli, j, a, first, e);
        if (r < 0)
            break;
        r = more = attempts_next(a);
        if (r < 0)
            error_set(e, r, "out of memory");
    }
    if (r < 0) {
        attempts_free(a);
        journal_close(j);
        return r;
    }
    *ret = a;
    if (ret_journal)
        *ret_journal = j;
    else
        journal_close(j);
    return 0;
}

int attempt_write(const struct args *args, const struct attempt_change *c, struct error *e)
{
    _cleanup_buf_ struct buf b = {0};
    char path[512];
    int r = changes_path(args, path, e);
    if (r < 0)
        return r;
    _cleanup_close_ int fd =
        open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    attempt_change_print(c, &b);
    if (fd < 0 || b.failed || write(fd, b.p, b.n) != (ssize_t)b.n || fdatasync(fd) < 0)
        return error_set(e, -errno, "cannot write %s: %s", path, strerror(errno));
    return 0;
}
