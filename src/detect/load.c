// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"
#include "base/cleanup.h"
#include "detect/private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define FILE_LIMIT ((size_t)1 << 20)
#define DEPTH_LIMIT 8
#define FILES_LIMIT 20000

int detect_read_file(int folder, const char *name, const char *shown, struct buf *out,
                     struct error *e)
{
    struct stat st;
    _cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0) {
        int r = -errno;
        error_set(e, r, "cannot be read: %s", strerror(-r));
        error_place(e, shown, 0, 0);
        return r;
    }
    if (!S_ISREG(st.st_mode)) {
        error_set(e, -EINVAL, "not a regular file");
        error_place(e, shown, 0, 0);
        return -EINVAL;
    }
    buf_reset(out);
    while (out->n <= FILE_LIMIT) {
        char *room = buf_room(out, 16384);
        if (!room)
            return error_set(e, -ENOMEM, "out of memory");
        ssize_t n = read(fd, room, 16384);
        if (n < 0) {
            int r = -errno;
            error_set(e, r, "cannot be read: %s", strerror(-r));
            error_place(e, shown, 0, 0);
            return r;
        }
        if (n == 0)
            return 0;
        out->n += (size_t)n;
    }
    error_set(e, -E2BIG, "larger than 1 MiB");
    error_place(e, shown, 0, 0);
    return -E2BIG;
}

int detect_load_file(struct detect *d, const char *file, struct error *e)
{
    _cleanup_buf_ struct buf text = {0};
    int r = detect_read_file(AT_FDCWD, file, file, &text, e);
    return r < 0 ? r : rule_set_add(d->set, buf_str(&text), file, e);
}

struct walk {
    struct detect *d;
    void (*problem)(void *context, const struct error *e);
    void *context;
    unsigned problems, files;
};

static void tell(struct walk *w, const struct error *e)
{
    w->problems++;
    if (w->problem)
        w->problem(w->context, e);
}

static void tell_errno(struct walk *w, const char *path, int r, const char *what)
{
    struct error e = {0};
    error_set(&e, r, "%s: %s", what, strerror(-r));
    error_place(&e, path, 0, 0);
    tell(w, &e);
}

static int is_shown(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static bool is_rule(const char *name)
{
    struct str s = str_from(name);
    return str_ends(s, STR(".yml")) && !str_ends(s, STR(".test.yml"));
}

static void walk_folder(struct walk *w, const char *folder, unsigned depth);

static void walk_entry(struct walk *w, const char *folder, const char *name, unsigned depth)
{
    struct stat st;
    struct error e = {0};
    _cleanup_free_ char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0) {
        path = NULL;
        tell_errno(w, folder, -ENOMEM, "not read");
        return;
    }
    if (stat(path, &st) < 0) {
        if (is_rule(name))
            tell_errno(w, path, -errno, "cannot be read");
    } else if (S_ISDIR(st.st_mode)) {
        walk_folder(w, path, depth + 1);
    } else if (is_rule(name)) {
        if (++w->files > FILES_LIMIT)
            tell_errno(w, path, -E2BIG, "more than 20,000 rule files");
        else if (detect_load_file(w->d, path, &e) < 0)
            tell(w, &e);
    }
}

// Sorted by name in each folder, so that the order of rules is the same on every machine.
static void walk_folder(struct walk *w, const char *folder, unsigned depth)
{
    struct dirent **list;
    if (depth > DEPTH_LIMIT) {
        tell_errno(w, folder, -ELOOP, "folders deeper than 8");
        return;
    }
    int n = scandir(folder, &list, is_shown, alphasort);
    if (n < 0) {
        tell_errno(w, folder, -errno, "cannot be read");
        return;
    }
    for (int i = 0; i < n; i++) {
        walk_entry(w, folder, list[i]->d_name, depth);
        free(list[i]);
    }
    free(list);
}

int detect_load(struct detect *d, const char *folder,
                void (*problem)(void *context, const struct error *e), void *context,
                unsigned *ret_problems)
{
    struct walk w = {d, problem, context, 0, 0};
    walk_folder(&w, folder, 0);
    if (ret_problems)
        *ret_problems = w.problems;
    return (int)rule_set_count(d->set);
}

int detect_load_exceptions(struct detect *d, const char *file, struct error *e)
{
    _cleanup_buf_ struct buf text = {0};
    struct arena arena = {0};
    struct exception *list;
    size_t n;
    int r = detect_read_file(AT_FDCWD, file, file, &text, e);
    if (r < 0)
        return r;
    r = exception_parse(buf_str(&text), file, &arena, &list, &n, e);
    if (r < 0) {
        arena_done(&arena);
        return r;
    }
    arena_done(&d->exception_arena);
    d->exception_arena = arena;
    d->exceptions = list;
    d->n_exceptions = n;
    return 0;
}

uint64_t detect_exceptions(const struct detect *d)
{
    uint64_t n = 0;
    for (size_t i = 0; i < d->n_exceptions; i++)
        n += d->exceptions[i].expires_ns > d->now;
    return n;
}
