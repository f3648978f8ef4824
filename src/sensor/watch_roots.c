// SPDX-License-Identifier: Apache-2.0
// What is watched. To add a place: a line in `places`. `~` stands for /root and each folder of /home. What is not there
// is looked for again with every refresh.
#include "base/buf.h"
#include "base/cleanup.h"
#include "sensor/gate_mountinfo.h"
#include "sensor/probe.h"
#include "sensor/watch_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/statfs.h>

#define HOMES_MAX 128u
#define LOOK_AGAIN_NS (10ull * 1000000000u)

static const struct place {
    const char *path;
    uint16_t watch, flags;
} places[] = {
    {"/usr/bin", WATCH_PROGRAM, 0},
    {"/usr/sbin", WATCH_PROGRAM, 0},
    {"/bin", WATCH_PROGRAM, 0}, // most often the same as the first two
    {"/sbin", WATCH_PROGRAM, 0},
    {"/usr/local/bin", WATCH_PROGRAM, WATCH_BELOW},
    {"/usr/local/sbin", WATCH_PROGRAM, WATCH_BELOW},
    {"/usr/libexec", WATCH_PROGRAM, WATCH_BELOW},
    {"/usr/lib/systemd", WATCH_PROGRAM, WATCH_BELOW},
    {"/usr/local/lib/systemd", WATCH_PROGRAM, WATCH_BELOW},
    {"/usr/lib/cron", WATCH_PROGRAM, WATCH_BELOW},
    {"/usr/lib/x86_64-linux-gnu/security", WATCH_PROGRAM, 0}, // PAM modules
    {"/usr/lib/security", WATCH_PROGRAM, 0},
    {"/boot", WATCH_PROGRAM, WATCH_BELOW},
    {"/etc", WATCH_CONFIG, WATCH_BELOW}, // cron, systemd, ssh, pam, ld.so.preload, sudoers, passwd
    {"/var/spool/cron", WATCH_CONFIG, WATCH_BELOW},
    {"/var/spool/at", WATCH_CONFIG, WATCH_BELOW},
    {"/run/systemd/system", WATCH_CONFIG, WATCH_BELOW},
    {"/var/www", WATCH_WEB, WATCH_BELOW},
    {"/srv/www", WATCH_WEB, WATCH_BELOW},
    {"/srv/http", WATCH_WEB, WATCH_BELOW},
    {"/usr/share/nginx/html", WATCH_WEB, WATCH_BELOW},
    {"~", WATCH_HOME, WATCH_NAMES},
    {"~/.ssh", WATCH_HOME, WATCH_BELOW},
    {"~/.config/autostart", WATCH_HOME, WATCH_BELOW},
    {"~/.config/systemd", WATCH_HOME, WATCH_BELOW},
    {"~/.local/share/systemd", WATCH_HOME, WATCH_BELOW},
    {"/var/log", WATCH_LOG, WATCH_BELOW | WATCH_NO_WRITES},
    {"/tmp", WATCH_TEMPORARY, WATCH_BELOW | WATCH_EXECUTABLES},
    {"/var/tmp", WATCH_TEMPORARY, WATCH_BELOW | WATCH_EXECUTABLES},
    {"/dev/shm", WATCH_TEMPORARY, WATCH_BELOW | WATCH_EXECUTABLES},
};

// What a shell or a session reads by itself, and what others are let in by.
static const char *const names[] = {
    ".bashrc",          ".bash_profile", ".bash_login",      ".bash_logout",   ".profile",
    ".zshrc",           ".zshenv",       ".zprofile",        ".zlogin",        ".zlogout",
    ".kshrc",           ".cshrc",        ".tcshrc",          ".login",         ".xinitrc",
    ".xsession",        ".xprofile",     ".xsessionrc",      ".inputrc",       ".vimrc",
    ".pam_environment", ".rhosts",       ".shosts",          ".forward",       ".netrc",
    ".pgpass",          ".my.cnf",       ".git-credentials", ".gitconfig",     ".npmrc",
    ".k5login",         ".bash_history", ".zsh_history",     ".mysql_history", ".psql_history",
};

const char *watch_word(enum watch_class watch)
{
    static const char *const words[WATCH_CLASSES] = {
        [WATCH_ELSEWHERE] = "elsewhere", [WATCH_PROGRAM] = "program",
        [WATCH_CONFIG] = "config",       [WATCH_WEB] = "web",
        [WATCH_HOME] = "home",           [WATCH_LOG] = "log",
        [WATCH_TEMPORARY] = "temporary", [WATCH_PROTECTED] = "protected",
    };
    return watch < WATCH_CLASSES ? words[watch] : words[WATCH_ELSEWHERE];
}

bool watch_name_counts(struct str name)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_eq(name, str_from(names[i])))
            return true;
    return false;
}

// ---- mounts

static void mounts_done(struct watch *w)
{
    for (size_t i = 0; i < w->n_mounts; i++)
        free(w->mounts[i].point);
    free(w->mounts);
    w->mounts = NULL;
    w->n_mounts = 0;
}

static void take_mount(struct watch *w, const struct mountinfo_line *m)
{
    enum mountinfo_kind kind = mountinfo_kind(m->type);
    char *point = malloc(m->point.n + 1);
    if (!point || mountinfo_unescape(m->point, point) < 0) {
        free(point);
        return;
    }
    w->mounts[w->n_mounts++] = (struct watch_mount){
        .point = point,
        .device = m->major << 20 | m->minor,
        .local = kind == MOUNTINFO_LOCAL || kind == MOUNTINFO_OVERLAY,
    };
}

void watch_read_mounts(struct watch *w)
{
    _cleanup_buf_ struct buf text = {.limit = (size_t)8 << 20};
    _cleanup_close_ int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    ssize_t got = 0;
    char *room;
    while (fd >= 0 && (room = buf_room(&text, 65536)) && (got = read(fd, room, 65536)) > 0)
        text.n += (size_t)got;
    mounts_done(w);
    w->mounts = calloc(WATCH_MOUNTS_MAX, sizeof *w->mounts);
    struct str rest = buf_str(&text), line;
    struct mountinfo_line m;
    while (w->mounts && w->n_mounts < WATCH_MOUNTS_MAX && str_split(&rest, '\n', &line))
        if (mountinfo_parse(line, &m) == 0)
            take_mount(w, &m);
}

bool watch_mount_is_local(const struct watch *w, uint32_t device)
{
    for (size_t i = 0; i < w->n_mounts; i++)
        if (w->mounts[i].device == device)
            return w->mounts[i].local;
    return false;
}

// By names alone: nothing is asked of a file system that may not answer.
static bool path_is_local(const struct watch *w, struct str path)
{
    const struct watch_mount *best = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < w->n_mounts; i++) {
        struct str point = str_from(w->mounts[i].point);
        bool below = str_eq(point, STR("/")) || str_eq(point, path) ||
                     (str_starts(path, point) && path.p[point.n] == '/');
        if (below && point.n >= longest) {
            best = &w->mounts[i];
            longest = point.n;
        }
    }
    return best && best->local;
}

// ---- the list of roots

static void add_root(struct watch *w, const char *top, const char *path, uint16_t watch,
                     uint16_t flags)
{
    char text[WATCH_PATH];
    if ((size_t)snprintf(text, sizeof text, "%s%s", top ? top : "", path) >= sizeof text)
        return;
    for (size_t i = 0; i < w->n_roots; i++)
        if (strcmp(w->roots[i].path, text) == 0) {
            w->roots[i].seen = true;
            return;
        }
    char *copy = strdup(text);
    void *grown = copy && w->n_roots < WATCH_ROOTS_MAX
                      ? reallocarray(w->roots, w->n_roots + 1, sizeof *w->roots)
                      : NULL;
    if (!grown) {
        watch_uncovered(w, &w->stats.full, str_from(text), "the list is full");
        free(copy);
        return;
    }
    w->roots = grown;
    w->roots[w->n_roots++] =
        (struct watch_root){.path = copy, .watch = watch, .flags = flags, .seen = true};
}

static void add_home(struct watch *w, const char *home)
{
    char path[WATCH_PATH];
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (places[i].path[0] == '~' &&
            (size_t)snprintf(path, sizeof path, "%s%s", home, places[i].path + 1) < sizeof path)
            add_root(w, w->options.top, path, places[i].watch, places[i].flags);
}

static void add_homes(struct watch *w)
{
    char path[WATCH_PATH];
    unsigned n = 0;
    snprintf(path, sizeof path, "%s/home", w->options.top ? w->options.top : "");
    DIR *homes = path_is_local(w, str_from(path)) ? opendir(path) : NULL;
    const struct dirent *d;
    add_home(w, "/root");
    while (homes && n < HOMES_MAX && (d = readdir(homes)))
        if (d->d_name[0] != '.' && (d->d_type == DT_DIR || d->d_type == DT_UNKNOWN)) {
            snprintf(path, sizeof path, "/home/%s", d->d_name);
            add_home(w, path);
            n++;
        }
    if (homes)
        closedir(homes);
}

static void list_roots(struct watch *w)
{
    for (size_t i = 0; i < w->n_roots; i++)
        w->roots[i].seen = false;
    // What is declared goes first: of two lines for one folder the first one counts.
    for (const char *p = w->options.declared; p && *p; p += strlen(p) + 1)
        add_root(w, NULL, p, WATCH_PROTECTED, WATCH_BELOW);
    for (const char *p = w->options.web; p && *p; p += strlen(p) + 1)
        add_root(w, NULL, p, WATCH_WEB, WATCH_BELOW);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (places[i].path[0] == '/')
            add_root(w, w->options.top, places[i].path, places[i].watch, places[i].flags);
    add_homes(w);
}

// ---- looking at them

static bool open_root(struct watch *w, const struct watch_root *root, int *ret_fd,
                      struct statx *ret_st)
{
    int fd = -1;
    if (path_is_local(w, str_from(root->path)))
        fd = open(root->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    else if (!w->started)
        watch_uncovered(w, &w->stats.other, str_from(root->path),
                        "a daemon or a network answers for it");
    // Its path may have led over a symbolic link to anywhere.
    if (fd >= 0 &&
        (watch_look(fd, STR_NONE, ret_st) < 0 || !watch_mount_is_local(w, watch_device(ret_st)))) {
        close(fd);
        fd = -1;
    }
    *ret_fd = fd;
    return fd >= 0;
}

static void drop_root(struct watch *w, struct watch_root *root)
{
    if (root->there && w->map >= 0)
        (void)probe_watch_remove(w->map, root->device, root->inode);
    if (root->node)
        watch_leave(w, root->node);
    w->stats.roots -= root->there;
    root->node = NULL;
    root->there = false;
}

static bool is_root_already(const struct watch *w, const struct watch_root *root,
                            const struct statx *st)
{
    for (size_t i = 0; i < w->n_roots; i++)
        if (&w->roots[i] != root && w->roots[i].there && w->roots[i].inode == st->stx_ino &&
            w->roots[i].device == watch_device(st))
            return true;
    return false;
}

// The path as it is without symbolic links, so that it reads as in other events.
static struct str real_path(int fd, char out[WATCH_PATH])
{
    char name[32];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(name, out, WATCH_PATH);
    return n > 0 && n < (ssize_t)WATCH_PATH && out[0] == '/' ? str_bytes(out, (size_t)n) : STR_NONE;
}

static int mark_root(struct watch *w, struct watch_root *root, int path_fd, const struct statx *st,
                     const struct watch_listener *l)
{
    char path[WATCH_PATH];
    struct str name = real_path(path_fd, path);
    int fd = openat(path_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    struct watch_node *node =
        fd < 0 || !name.n || watch_find(w, NULL, name) ? NULL : watch_add(w, NULL, name, true);
    if (!node) {
        if (fd >= 0)
            close(fd);
        return -ENOENT;
    }
    w->temporary += root->watch == WATCH_TEMPORARY;
    node->watch = root->watch;
    node->flags = root->flags;
    watch_learn(w, node, st);
    root->node = node;
    int r = watch_enter(w, node, fd, 0, l);
    if (r < 0) {
        watch_remove(w, node);
        root->node = NULL;
    }
    return r;
}

static void look_at_root(struct watch *w, struct watch_root *root, const struct watch_listener *l)
{
    int fd;
    struct statx st;
    if (!root->seen || !open_root(w, root, &fd, &st)) {
        drop_root(w, root);
        return;
    }
    bool same = root->there && root->inode == st.stx_ino && root->device == watch_device(&st);
    struct watch_listener quiet = {0};
    if (st.stx_attributes & STATX_ATTR_MOUNT_ROOT)
        l = &quiet; // mounted, not made
    if (same && w->again && root->node) {
        int folder = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
        if (folder >= 0)
            (void)watch_enter(w, root->node, folder, 0, l);
    } else if (!same) {
        drop_root(w, root);
        if (!is_root_already(w, root, &st)) {
            struct watch_value value = {.class = root->watch, .flags = root->flags};
            int r = w->map >= 0 ? probe_watch_set(w->map, watch_device(&st), st.stx_ino, &value)
                                : mark_root(w, root, fd, &st, l);
            root->there = r == 0;
            root->inode = st.stx_ino;
            root->device = watch_device(&st);
            w->stats.roots += root->there;
        }
    }
    close(fd);
}

int watch_refresh(struct watch *w, watch_tell *tell, void *context)
{
    struct watch_listener l = {.tell = w->started ? tell : NULL, .context = context};
    if (w->group < 0 && w->map < 0)
        return -ENODEV;
    uint64_t now = w->options.env->monotonic_ns(w->options.env);
    // At most so often: who floods the queue must not have us walk all day.
    w->again = w->overflowed && now - w->looked_again_ns >= LOOK_AGAIN_NS;
    if (w->again) {
        w->looked_again_ns = now;
        w->overflowed = false;
    }
    watch_read_mounts(w);
    list_roots(w);
    for (size_t i = 0; i < w->n_roots; i++)
        look_at_root(w, &w->roots[i], &l);
    size_t kept = 0; // homes that are gone
    for (size_t i = 0; i < w->n_roots; i++)
        if (w->roots[i].seen)
            w->roots[kept++] = w->roots[i];
        else
            free(w->roots[i].path);
    w->n_roots = kept;
    w->started = true;
    w->stale = w->again = false;
    watch_rest(w);
    return 0;
}

bool watch_stale(const struct watch *w)
{
    return w->stale;
}

void watch_lost(struct watch *w)
{
    w->overflowed = true;
}

struct watch_stats watch_stats(const struct watch *w)
{
    return w->stats;
}

// ---- life

int watch_new(const struct watch_options *options, struct watch **ret)
{
    struct watch *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->options = *options;
    w->group = w->map = w->mount_fd = w->folder_fd = -1;
    *ret = w;
    return 0;
}

static void drop_all(struct watch *w)
{
    for (size_t i = 0; i < w->n_roots; i++) {
        if (w->roots[i].node)
            watch_remove(w, w->roots[i].node); // the marks go with their group
        free(w->roots[i].path);
    }
    free(w->roots);
    w->roots = NULL;
    w->n_roots = 0;
    w->stats = (struct watch_stats){0};
    w->started = false;
}

void watch_use_group(struct watch *w, int group)
{
    drop_all(w);
    w->group = group;
    w->map = -1;
}

void watch_use_map(struct watch *w, int watched_fd)
{
    drop_all(w);
    w->map = watched_fd;
    w->group = -1;
}

struct watch *watch_free(struct watch *w)
{
    if (!w)
        return NULL;
    drop_all(w);
    watch_rest(w);
    mounts_done(w);
    map_done(&w->nodes);
    map_done(&w->handles);
    free(w);
    return NULL;
}
