// SPDX-License-Identifier: Apache-2.0
#include "sensor/protect.h"
#include "bpf/record.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

// What every machine has. `*` stands for any text.
static const struct built_in {
    const char *parent, *name;
    bool folder;
    enum protect_kind kind;
} built_in[] = {
    {"/etc", "shadow", false, PROTECT_PASSWORDS},
    {"/etc", "gshadow", false, PROTECT_PASSWORDS},
    {"/etc", "shadow-", false, PROTECT_PASSWORDS},
    {"/etc", "gshadow-", false, PROTECT_PASSWORDS},
    {"/etc/ssh", "ssh_host_*_key", false, PROTECT_HOST_KEY},
    {"/etc/ssl", "private", true, PROTECT_TLS_KEY},
};
#define BUILT_IN (sizeof(built_in) / sizeof(*built_in))
_Static_assert(BUILT_IN + PROTECT_FOLDERS <= PROTECT_ROOTS, "room for all");

// Helpers that check one password for a server and hand out nothing else. They are not a shell's to steer: set-user-ID,
// so the loader takes no preloaded library, and the program's file is judged when it starts.
static const char *const password_helpers[] = {
    "/usr/sbin/unix_chkpwd",
    "/sbin/unix_chkpwd",
    "/usr/lib/mysql/plugin/auth_pam_tool_dir/auth_pam_tool",
};

// ---- settings

static int take_path(struct str v, char ret[PROTECT_PATH], struct error *e)
{
    while (v.n > 1 && v.p[v.n - 1] == '/')
        v.n--;
    if (v.n < 2 || v.p[0] != '/' || memchr(v.p, 0, v.n))
        return error_set(e, -EINVAL, "a full path is wanted that begins with '/'");
    if (v.n >= PROTECT_PATH)
        return error_set(e, -EINVAL, "the path is longer than %d bytes", PROTECT_PATH - 1);
    struct str rest = {v.p + 1, v.n - 1}, piece;
    while (str_split(&rest, '/', &piece))
        if (!piece.n || str_eq(piece, STR(".")) || str_eq(piece, STR("..")))
            return error_set(e, -EINVAL, "the path may not hold '//', '.' or '..'");
    memset(ret, 0, PROTECT_PATH);
    memcpy(ret, v.p, v.n);
    return 0;
}

int protect_add_folder(struct protect_settings *s, struct str path, struct error *e)
{
    if (s->n_folders == PROTECT_FOLDERS)
        return error_set(e, -E2BIG, "more than %d protected folders", PROTECT_FOLDERS);
    int r = take_path(path, s->folders[s->n_folders], e);
    s->n_folders += r == 0;
    return r;
}

static bool role_word(struct str who)
{
    static const char *const roles[] = {"web",  "database",  "ssh",     "console",
                                        "cron", "container", "package", "service"};
    for (size_t i = 0; i < sizeof(roles) / sizeof(*roles); i++)
        if (str_eq(who, str_from(roles[i])))
            return true;
    return false;
}

int protect_add_allow(struct protect_settings *s, struct str pair, struct error *e)
{
    ssize_t at = str_find(pair, STR(": "));
    if (at < 0)
        return error_set(e, -EINVAL, "'PATH: PROGRAM' or 'PATH: ROLE' is wanted");
    if (s->n_allows == PROTECT_ALLOWS)
        return error_set(e, -E2BIG, "more than %d allowed pairs", PROTECT_ALLOWS);
    struct str who = str_trim(str_bytes(pair.p + at + 2, pair.n - (size_t)at - 2));
    struct protect_allow *a = &s->allows[s->n_allows];
    int r = take_path(str_trim(str_bytes(pair.p, (size_t)at)), a->path, e);
    if (r < 0)
        return r;
    if (who.n && who.p[0] == '/') {
        r = take_path(who, a->who, e);
    } else if (role_word(who)) {
        memset(a->who, 0, sizeof(a->who));
        memcpy(a->who, who.p, who.n);
    } else {
        r = error_set(e, -EINVAL,
                      "'%.*s' is neither a program's full path nor a role (web, database, ...)",
                      (int)(who.n < 40 ? who.n : 40), who.n ? who.p : "");
    }
    s->n_allows += r == 0;
    return r;
}

int protect_share(const struct protect_settings *s, int *ret_memfd)
{
    int fd = memfd_create("protect", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, s, sizeof(*s));
    if (n != sizeof(*s) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) {
        int r = n < 0 || n == sizeof(*s) ? -errno : -EIO;
        close(fd);
        return r;
    }
    *ret_memfd = fd;
    return 0;
}

int protect_map(int memfd, const struct protect_settings **ret)
{
    void *p = mmap(NULL, sizeof(struct protect_settings), PROT_READ, MAP_PRIVATE, memfd, 0);
    if (p == MAP_FAILED)
        return -errno;
    *ret = p;
    return 0;
}

// ---- who is denied

static bool below(struct str path, struct str folder)
{
    return str_starts(path, folder) && (path.n == folder.n || path.p[folder.n] == '/');
}

static bool name_is(struct str pattern, struct str name)
{
    ssize_t star = str_find(pattern, STR("*"));
    if (star < 0 || !pattern.p)
        return str_eq(pattern, name);
    struct str front = {pattern.p, (size_t)star},
               back = {pattern.p + star + 1, pattern.n - (size_t)star - 1};
    return name.n >= front.n + back.n && str_starts(name, front) && str_ends(name, back);
}

enum protect_kind protect_kind(struct str path)
{
    for (size_t i = 0; i < BUILT_IN; i++) {
        const struct built_in *b = &built_in[i];
        struct str parent = str_from(b->parent), name = str_from(b->name);
        if (!str_starts(path, parent) || path.n <= parent.n + 1 || path.p[parent.n] != '/')
            continue;
        struct str rest = {path.p + parent.n + 1, path.n - parent.n - 1};
        if (b->folder ? below(rest, name) : name_is(name, rest))
            return b->kind;
    }
    return PROTECT_DECLARED;
}

static bool allowed(const struct protect_settings *s, struct str path,
                    const struct protect_caller *caller)
{
    for (uint32_t i = 0; i < s->n_allows && i < PROTECT_ALLOWS; i++) {
        struct str who = str_from(s->allows[i].who);
        if (!below(path, str_from(s->allows[i].path)))
            continue;
        if (who.p[0] == '/' ? str_eq(who, caller->program) : str_eq(who, str_from(caller->role)))
            return true;
    }
    return false;
}

static bool helps_with_passwords(struct str program)
{
    for (size_t i = 0; i < sizeof(password_helpers) / sizeof(*password_helpers); i++)
        if (str_eq(program, str_from(password_helpers[i])))
            return true;
    return false;
}

bool protect_denies(const struct protect_settings *s, struct str path,
                    const struct protect_caller *caller)
{
    if (!(caller->flags & (FLAG_SERVICE | FLAG_FLAGGED)) || caller->flags & FLAG_AGENT)
        return false;
    if (caller->flags & FLAG_FLAGGED) // what allows a service does not allow what has been caught
        return true;
    switch (protect_kind(path)) {
    case PROTECT_PASSWORDS:
        if (helps_with_passwords(caller->program))
            return false;
        break;
    case PROTECT_TLS_KEY:
        if (caller->main_process) // it reads its key before it begins to serve
            return false;
        break;
    case PROTECT_HOST_KEY:
    case PROTECT_DECLARED:
        break;
    }
    return !allowed(s, path, caller);
}

// ---- the things themselves

size_t protect_roots(const struct protect_settings *s, bool scoped,
                     char room[PROTECT_FOLDERS][PROTECT_PATH],
                     struct protect_root ret[PROTECT_ROOTS])
{
    size_t n = 0;
    for (size_t i = 0; i < BUILT_IN && !scoped; i++)
        ret[n++] = (struct protect_root){built_in[i].parent, built_in[i].name, built_in[i].folder};
    for (uint32_t i = 0; i < s->n_folders && i < PROTECT_FOLDERS; i++) {
        memcpy(room[i], s->folders[i], PROTECT_PATH);
        char *slash = strrchr(room[i], '/');
        if (!slash)
            continue;
        *slash = 0;
        ret[n++] = (struct protect_root){slash == room[i] ? "/" : room[i], slash + 1, true};
    }
    return n;
}
