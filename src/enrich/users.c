// SPDX-License-Identifier: Apache-2.0
#include "enrich/users.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define FILE_LIMIT ((size_t)4 << 20)
#define USERS_LIMIT 65536
#define NAME_LIMIT 256

struct user {
    uint32_t uid;
    struct str name;
};

struct users {
    char *path;
    char *text;
    struct user *list; // by uid, the first line of a uid first
    size_t n;
    uint64_t looked_ns;
    struct timespec changed;
    ino_t inode;
};

int users_new(const char *path, struct users **ret)
{
    struct users *u = calloc(1, sizeof *u);
    if (!u)
        return -ENOMEM;
    u->path = strdup(path);
    if (!u->path) {
        free(u);
        return -ENOMEM;
    }
    *ret = u;
    return 0;
}

struct users *users_free(struct users *u)
{
    if (u) {
        free(u->path);
        free(u->text);
        free(u->list);
        free(u);
    }
    return NULL;
}

static int by_uid(const void *a, const void *b)
{
    const struct user *x = a, *y = b;
    if (x->uid != y->uid)
        return x->uid < y->uid ? -1 : 1;
    return x->name.p < y->name.p ? -1 : x->name.p > y->name.p; // same text: earlier line first
}

int users_parse(struct users *u, struct str text)
{
    _cleanup_free_ char *copy = malloc(text.n + 1);
    _cleanup_free_ struct user *list = NULL;
    size_t n = 0, cap = 0;
    if (!copy)
        return -ENOMEM;
    if (text.n)
        memcpy(copy, text.p, text.n);
    struct str rest = {copy, text.n}, line;
    while (n < USERS_LIMIT && str_split(&rest, '\n', &line)) {
        struct str name, password, number;
        uint64_t uid;
        if (!str_split(&line, ':', &name) || !str_split(&line, ':', &password) ||
            !str_split(&line, ':', &number) || name.n == 0 || name.n > NAME_LIMIT ||
            str_to_u64(number, &uid) < 0 || uid > UINT32_MAX)
            continue;
        if (n == cap) {
            cap = cap ? cap * 2 : 64;
            struct user *bigger = realloc(list, cap * sizeof *list);
            if (!bigger)
                return -ENOMEM;
            list = bigger;
        }
        list[n++] = (struct user){(uint32_t)uid, name};
    }
    if (n)
        qsort(list, n, sizeof *list, by_uid);
    free(u->text);
    free(u->list);
    u->text = TAKE_PTR(copy);
    u->list = TAKE_PTR(list);
    u->n = n;
    return (int)n;
}

static void refresh(struct users *u)
{
    struct stat st;
    _cleanup_close_ int fd = open(u->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return; // the names known so far stay
    if (st.st_ino == u->inode && st.st_mtim.tv_sec == u->changed.tv_sec &&
        st.st_mtim.tv_nsec == u->changed.tv_nsec)
        return;
    size_t size = st.st_size > 0 ? (size_t)st.st_size : 0, n = 0;
    if (size > FILE_LIMIT)
        size = FILE_LIMIT;
    _cleanup_free_ char *text = malloc(size + 1);
    if (!text)
        return;
    while (n < size) {
        ssize_t r = read(fd, text + n, size - n);
        if (r <= 0)
            break;
        n += (size_t)r;
    }
    if (users_parse(u, (struct str){text, n}) < 0)
        return;
    u->inode = st.st_ino;
    u->changed = st.st_mtim;
}

struct str users_name(struct users *u, const struct env *env, uint32_t uid)
{
    uint64_t now = env->monotonic_ns(env);
    if (u->looked_ns == 0 || now - u->looked_ns > 1000000000u) {
        u->looked_ns = now ? now : 1;
        refresh(u);
    }
    size_t low = 0, high = u->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (u->list[middle].uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < u->n && u->list[low].uid == uid ? u->list[low].name : STR_NONE;
}
