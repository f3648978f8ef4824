// SPDX-License-Identifier: Apache-2.0
#include "cli/rulefiles.h"
#include "base/cleanup.h"
#include "cli/source.h"
#include "event/field.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <sys/stat.h>

#define FILE_LIMIT ((size_t)1 << 20)

void rulefiles_done(struct rulefiles *files)
{
    for (size_t i = 0; i < files->n; i++)
        free(files->paths[i]);
    free(files->paths);
    *files = (struct rulefiles){0};
}

static int add(struct rulefiles *files, const char *path, struct error *e)
{
    if (files->n == RULEFILES_MAX)
        return error_set(e, -E2BIG, "more than %d rule files", RULEFILES_MAX);
    if (files->n == files->cap) {
        size_t cap = files->cap ? files->cap * 2 : 256;
        char **paths = reallocarray(files->paths, cap, sizeof *paths);
        if (!paths)
            return error_set(e, -ENOMEM, "out of memory");
        files->paths = paths;
        files->cap = cap;
    }
    char *copy = strdup(path);
    if (!copy)
        return error_set(e, -ENOMEM, "out of memory");
    files->paths[files->n++] = copy;
    return 0;
}

static bool is_rule(const char *name)
{
    struct str s = str_from(name);
    return (str_ends(s, STR(".yml")) || str_ends(s, STR(".yaml"))) &&
           !str_ends(s, STR(".test.yml"));
}

static int by_path(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

int rulefiles_collect(const char *path, struct rulefiles *files, struct error *e)
{
    struct stat st;
    if (stat(path, &st) < 0) {
        error_set(e, -errno, "cannot read %s: %s", path, strerror(errno));
        error_way_out(e, "name a rule file or a folder of them");
        return -errno;
    }
    if (!S_ISDIR(st.st_mode))
        return add(files, path, e);
    FTS *tree = fts_open((char *const[]){(char *)path, NULL}, FTS_PHYSICAL | FTS_NOCHDIR, by_path);
    if (!tree)
        return error_set(e, -errno, "cannot read %s: %s", path, strerror(errno));
    int r = 0;
    for (FTSENT *entry; r == 0 && (entry = fts_read(tree));) {
        if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR)
            r = error_set(e, -entry->fts_errno, "cannot read %s: %s", entry->fts_path,
                          strerror(entry->fts_errno));
        else if ((entry->fts_info == FTS_F || entry->fts_info == FTS_SL) &&
                 is_rule(entry->fts_name))
            r = add(files, entry->fts_path, e);
    }
    fts_close(tree);
    return r;
}

int rulefile_read(const char *path, char **ret, size_t *ret_n, struct error *e)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        int code = -errno;
        error_set(e, code, "cannot be read: %s", strerror(-code));
        error_place(e, path, 0, 0);
        return code;
    }
    _cleanup_free_ char *text = malloc(FILE_LIMIT + 1);
    if (!text)
        return error_set(e, -ENOMEM, "out of memory");
    size_t n = 0;
    for (ssize_t got = 1; got > 0 && n <= FILE_LIMIT; n += (size_t)got) {
        got = read(fd, text + n, FILE_LIMIT + 1 - n);
        if (got < 0) {
            int code = -errno;
            error_set(e, code, "cannot be read: %s", strerror(-code));
            error_place(e, path, 0, 0);
            return code;
        }
    }
    if (n > FILE_LIMIT) {
        error_set(e, -E2BIG, "larger than 1 MiB");
        error_place(e, path, 0, 0);
        error_way_out(e, "a rule is text of a few hundred lines at most");
        return -E2BIG;
    }
    *ret = TAKE_PTR(text);
    *ret_n = n;
    return 0;
}

int rulefile_add(struct rule_set *set, const char *path, struct error *e)
{
    _cleanup_free_ char *text = NULL;
    size_t n = 0;
    int r = rulefile_read(path, &text, &n, e);
    if (r == 0)
        r = rule_set_add(set, str_bytes(text, n), path, e);
    if (r < 0 && e && !e->file[0])
        error_place(e, path, e->line, e->column);
    return r;
}

static bool field_known(void *context, struct str category, struct str service, struct str field,
                        const char **ret_nearest)
{
    char name[64];
    (void)context;
    if (source_of(STR_NONE, category, service)->state == SOURCE_FOREIGN ||
        category.n >= sizeof name)
        return true;
    memcpy(name, category.p, category.n);
    name[category.n] = 0;
    if (field_find(name, field))
        return true;
    if (ret_nearest)
        *ret_nearest = field_nearest(name, field);
    return false;
}

struct rule_options rulefiles_options(void)
{
    return (struct rule_options){.field_known = field_known};
}
