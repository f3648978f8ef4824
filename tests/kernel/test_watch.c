// SPDX-License-Identifier: Apache-2.0
// The watch list on real files: folders below a top folder of our own, a notification group of our own. Nothing of the
// machine is marked.
#include "base/test.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "sensor/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { LINES = 131072, READ = 1 << 18 };

struct rig {
    struct env env;
    struct watch *w;
    int group;
    char top[64];
    struct arena arena;
    const char *lines[LINES]; // "action path", what was told since the last forget()
    struct watch_change last;
    size_t n;
    uint64_t since_ns;
};

static const char *const actions[] = {"create", "write",     "rename", "delete",
                                      "mode",   "attribute", "read",   "link"};

static void keep(void *context, const struct watch_change *c)
{
    struct rig *r = context;
    char text[2 * 4096 + 256];
    size_t top = strlen(r->top);
    assert_true(c->path.n > top || c->old_path.n > top);
    snprintf(text, sizeof text, "%s%s %.*s%s%.*s%s%s", c->found ? "found " : "", actions[c->action],
             (int)(c->path.n - top), c->path.p + top, c->old_path.n ? " from " : "",
             c->old_path.n ? (int)(c->old_path.n - top) : 0,
             c->old_path.n ? c->old_path.p + top : "", c->attribute ? " " : "",
             c->attribute ? c->attribute : "");
    assert_true(r->n < LINES);
    r->lines[r->n++] = arena_cstr(&r->arena, str_from(text));
    r->last = *c;
}

static uint64_t much_later(const struct env *env)
{
    return env_real(-1).monotonic_ns(env) + 2 * WATCH_THIN_NS;
}

static void forget(struct rig *r)
{
    arena_reset(&r->arena);
    r->n = 0;
}

// Everything that waits in the group.
static void take(struct rig *r)
{
    static char bytes[READ];
    ssize_t n;
    while ((n = read(r->group, bytes, sizeof bytes)) > 0)
        watch_take(r->w, str_bytes(bytes, (size_t)n), r->since_ns, keep, r);
    assert_int_equal(errno, EAGAIN);
    watch_rest(r->w);
    r->since_ns = r->env.monotonic_ns(&r->env);
}

static size_t count(const struct rig *r, const char *line)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        n += strcmp(r->lines[i], line) == 0;
    return n;
}

static void told(const struct rig *r, const char *line, size_t times)
{
    if (count(r, line) == times)
        return;
    for (size_t i = 0; i < r->n && i < 40; i++)
        print_message("    told: %s\n", r->lines[i]);
    fail_msg("'%s' was told %zu times, not %zu", line, count(r, line), times);
}

static const char *at(const struct rig *r, const char *path)
{
    static char text[4][4096];
    static unsigned next;
    char *out = text[next++ % 4];
    snprintf(out, sizeof text[0], "%s%s", r->top, path);
    return out;
}

static void put(const struct rig *r, const char *path, const char *content, mode_t mode)
{
    int fd = open(at(r, path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
}

static void folder(const struct rig *r, const char *path)
{
    char text[4096];
    snprintf(text, sizeof text, "%s", at(r, path));
    for (char *p = text + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = 0;
        mkdir(text, 0755);
    }
    assert_true(mkdir(text, 0755) == 0 || errno == EEXIST);
}

static int setup(void **state)
{
    static const char *const folders[] = {"/etc/cron.d", "/usr/bin", "/var/www/html",
                                          "/var/log",    "/tmp",     "/home/somebody/.ssh",
                                          "/root"};
    struct rig *r = calloc(1, sizeof *r);
    struct error e = {0};
    r->env = env_real(-1);
    r->arena.limit = (size_t)64 << 20;
    strcpy(r->top, "/tmp/tiercel-watch-XXXXXX");
    assert_non_null(mkdtemp(r->top));
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        folder(r, folders[i]);
    put(r, "/usr/bin/tool", "#!/bin/sh\n", 0755);
    put(r, "/var/log/messages", "one\ntwo\n", 0644);
    r->group = watch_group_create(&e);
    if (r->group < 0)
        print_message("    %s\n", e.what);
    assert_true(r->group >= 0);
    assert_int_equal(watch_new(&(struct watch_options){.env = &r->env, .top = r->top}, &r->w), 0);
    watch_use_group(r->w, r->group);
    assert_int_equal(watch_refresh(r->w, keep, r), 0);
    assert_int_equal(r->n, 0); // what is there is not told as made
    r->since_ns = r->env.monotonic_ns(&r->env);
    *state = r;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    struct rig *r = *state;
    r->w = watch_free(r->w);
    close(r->group);
    nftw(r->top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    arena_done(&r->arena);
    free(r);
    return 0;
}

static void each_change_of_a_watched_file_is_told_once(void **state)
{
    struct rig *r = *state;
    put(r, "/etc/cron.d/job", "* * * * *\n", 0644);
    take(r);
    told(r, "create /etc/cron.d/job", 1);
    told(r, "write /etc/cron.d/job", 1);
    assert_int_equal(r->last.watch, WATCH_CONFIG);
    assert_int_equal(r->last.size, 10);
    assert_int_equal(r->last.pid, getpid());
    assert_int_equal(r->n, 2);
    forget(r);

    assert_int_equal(chmod(at(r, "/etc/cron.d/job"), 04755), 0);
    take(r);
    told(r, "mode /etc/cron.d/job", 1);
    assert_true(r->last.has_old_mode && r->last.executable);
    assert_int_equal(r->last.old_mode, 0644);
    assert_int_equal(r->last.mode & 07777, 04755);
    assert_int_equal(r->n, 1);
    forget(r);

    assert_int_equal(chown(at(r, "/etc/cron.d/job"), 65534, 65534), 0);
    take(r);
    told(r, "attribute /etc/cron.d/job owner", 1);
    forget(r);

    assert_int_equal(rename(at(r, "/etc/cron.d/job"), at(r, "/etc/job")), 0);
    assert_int_equal(link(at(r, "/etc/job"), at(r, "/etc/again")), 0);
    take(r);
    told(r, "rename /etc/job from /etc/cron.d/job", 1);
    told(r, "link /etc/again", 1);
    assert_int_equal(r->n, 2);
    forget(r);

    assert_int_equal(unlink(at(r, "/etc/job")), 0);
    take(r);
    told(r, "delete /etc/job", 1);
    assert_true(r->last.known && r->last.executable); // remembered: it could run
    assert_int_equal(r->n, 1);
}

static void a_capability_given_to_a_file_is_told_by_its_name(void **state)
{
    struct rig *r = *state;
    // VFS_CAP_REVISION_2, cap_net_raw permitted
    static const unsigned char raw[20] = {0, 0, 0, 2, 0, 32};
    if (setxattr(at(r, "/usr/bin/tool"), "security.capability", raw, sizeof raw, 0) < 0) {
        print_message("    no file capabilities here\n");
        skip();
    }
    take(r);
    told(r, "attribute /usr/bin/tool security.capability", 1);
    assert_int_equal(r->n, 1);
    forget(r);
    assert_int_equal(utimensat(AT_FDCWD, at(r, "/usr/bin/tool"), NULL, 0), 0);
    take(r);
    assert_int_equal(r->n, 0); // times alone are of no interest
}

static void of_temporary_files_only_what_can_run_is_told(void **state)
{
    struct rig *r = *state;
    put(r, "/tmp/notes", "hello\n", 0644);
    put(r, "/tmp/script", "#!/bin/sh\n", 0644);
    put(r, "/tmp/program", "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2", 0755);
    take(r);
    told(r, "write /tmp/script", 1);
    told(r, "create /tmp/program", 1);
    told(r, "write /tmp/program", 1);
    assert_int_equal(r->n, 3);
    forget(r);
    assert_int_equal(chmod(at(r, "/tmp/notes"), 0755), 0);
    assert_int_equal(rename(at(r, "/tmp/script"), at(r, "/tmp/other")), 0);
    take(r);
    told(r, "mode /tmp/notes", 1);
    told(r, "rename /tmp/other from /tmp/script", 1);
    forget(r);
    assert_int_equal(unlink(at(r, "/tmp/other")), 0);
    assert_int_equal(unlink(at(r, "/tmp/program")), 0);
    take(r);
    told(r, "delete /tmp/other", 1);
    told(r, "delete /tmp/program", 1);
    assert_int_equal(r->n, 2);
}

static void a_log_is_told_when_it_gets_shorter_or_goes(void **state)
{
    struct rig *r = *state;
    int fd = open(at(r, "/var/log/messages"), O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "three\n", 6), 6);
    close(fd);
    take(r);
    assert_int_equal(r->n, 0);
    put(r, "/var/log/messages", "", 0644);
    take(r);
    told(r, "write /var/log/messages shorter", 1);
    assert_int_equal(r->last.size, 0);
    assert_int_equal(r->last.watch, WATCH_LOG);
    forget(r);
    assert_int_equal(unlink(at(r, "/var/log/messages")), 0);
    take(r);
    told(r, "delete /var/log/messages", 1);
}

static void homes_are_watched_for_keys_and_start_files(void **state)
{
    struct rig *r = *state;
    put(r, "/home/somebody/letter", "dear\n", 0644);
    put(r, "/home/somebody/.bashrc", "alias\n", 0644);
    put(r, "/home/somebody/.ssh/authorized_keys", "ssh-rsa\n", 0600);
    take(r);
    told(r, "write /home/somebody/.bashrc", 1);
    told(r, "write /home/somebody/.ssh/authorized_keys", 1);
    assert_int_equal(r->n, 4);
    forget(r);
    folder(r, "/root/.ssh"); // not there when the list was made
    put(r, "/root/.ssh/authorized_keys", "ssh-rsa\n", 0600);
    take(r);
    assert_true(watch_stale(r->w));
    assert_int_equal(watch_refresh(r->w, keep, r), 0);
    told(r, "found create /root/.ssh/authorized_keys", 1);
}

static void folders_made_inside_are_followed_and_nothing_in_them_is_missed(void **state)
{
    struct rig *r = *state;
    folder(r, "/var/www/html/a/b/c"); // filled before anybody could mark it
    put(r, "/var/www/html/a/b/c/shell.php", "<?php\n", 0644);
    take(r);
    told(r, "create /var/www/html/a", 1);
    told(r, "found create /var/www/html/a/b", 1);
    told(r, "found create /var/www/html/a/b/c/shell.php", 1);
    told(r, "found write /var/www/html/a/b/c/shell.php", 1);
    take(r);
    assert_int_equal(r->n, 5);
    forget(r);
    put(r, "/var/www/html/a/b/c/later.php", "<?php\n", 0644);
    take(r);
    told(r, "create /var/www/html/a/b/c/later.php", 1);
    told(r, "write /var/www/html/a/b/c/later.php", 1);
    assert_int_equal(r->n, 2);
}

// A folder filled by another process while it is being marked: each file exactly once, however the race ends.
static void a_race_with_marking_tells_each_file_once(void **state)
{
    struct rig *r = *state;
    enum { ROUNDS = 40, FILES = 50 };
    pid_t child = fork();
    if (child == 0) {
        char path[64];
        for (int i = 0; i < ROUNDS; i++) {
            snprintf(path, sizeof path, "/var/www/d%d", i);
            folder(r, path);
            for (int k = 0; k < FILES; k++) {
                snprintf(path, sizeof path, "/var/www/d%d/f%d", i, k);
                put(r, path, "text\n", 0644);
            }
        }
        _exit(0);
    }
    int status = -1;
    while (waitpid(child, &status, WNOHANG) == 0)
        take(r);
    take(r);
    assert_int_equal(status, 0);
    for (int i = 0; i < ROUNDS; i++)
        for (int k = 0; k < FILES; k++) {
            char made[64], found[72], written[64], found_written[72];
            snprintf(made, sizeof made, "create /var/www/d%d/f%d", i, k);
            snprintf(found, sizeof found, "found %s", made);
            snprintf(written, sizeof written, "write /var/www/d%d/f%d", i, k);
            snprintf(found_written, sizeof found_written, "found %s", written);
            if (count(r, made) + count(r, found) != 1)
                fail_msg("%s was told %zu times, found %zu times", made, count(r, made),
                         count(r, found));
            assert_true(count(r, written) + count(r, found_written) >= 1);
        }
}

static void moved_folders_keep_being_watched_where_they_are(void **state)
{
    struct rig *r = *state;
    folder(r, "/etc/one/two");
    take(r);
    uint64_t before = watch_stats(r->w).folders;
    forget(r);
    assert_int_equal(rename(at(r, "/etc/one"), at(r, "/etc/first")), 0);
    take(r);
    told(r, "rename /etc/first from /etc/one", 1);
    put(r, "/etc/first/two/file", "x", 0644);
    take(r);
    told(r, "create /etc/first/two/file", 1);
    assert_int_equal(watch_stats(r->w).folders, before);
    forget(r);

    folder(r, "/elsewhere/sub"); // moved in from where nobody looks
    put(r, "/elsewhere/sub/dropped", "x", 0644);
    take(r);
    assert_int_equal(r->n, 0);
    assert_int_equal(rename(at(r, "/elsewhere/sub"), at(r, "/etc/sub")), 0);
    take(r);
    told(r, "rename /etc/sub", 1);
    told(r, "found create /etc/sub/dropped", 1);
    forget(r);

    assert_int_equal(rename(at(r, "/etc/first"), at(r, "/elsewhere/first")), 0); // and out
    take(r);
    told(r, "rename /etc/first from /etc/first", 1);
    forget(r);
    put(r, "/elsewhere/first/two/file2", "x", 0644);
    put(r, "/elsewhere/first/file3", "x", 0644);
    char bytes[4096];
    assert_int_equal(read(r->group, bytes, sizeof bytes), -1); // not even marked any more
    assert_int_equal(watch_stats(r->w).folders, before - 1);
}

static void folders_that_go_are_let_go(void **state)
{
    struct rig *r = *state;
    uint64_t before = watch_stats(r->w).folders;
    for (int i = 0; i < 50; i++) {
        folder(r, "/etc/x/y");
        if (i % 2)
            take(r);
        assert_int_equal(rmdir(at(r, "/etc/x/y")), 0);
        assert_int_equal(rmdir(at(r, "/etc/x")), 0);
        if (i % 3)
            take(r);
    }
    take(r);
    assert_int_equal(watch_stats(r->w).folders, before);
    folder(r, "/etc/x/y");
    take(r);
    forget(r);
    put(r, "/etc/x/y/z", "x", 0644);
    take(r);
    told(r, "create /etc/x/y/z", 1);
}

static void a_root_that_is_replaced_is_watched_again(void **state)
{
    struct rig *r = *state;
    assert_int_equal(rename(at(r, "/usr/bin"), at(r, "/usr/bin.old")), 0);
    folder(r, "/usr/bin");
    put(r, "/usr/bin/new", "x", 0755);
    take(r);
    assert_int_equal(watch_refresh(r->w, keep, r), 0);
    told(r, "found create /usr/bin/new", 1);
    forget(r);
    put(r, "/usr/bin.old/tool", "x", 0755);
    put(r, "/usr/bin/newer", "x", 0755);
    take(r);
    told(r, "create /usr/bin/newer", 1);
    assert_int_equal(r->n, 2);
}

// Files that come and go all the time cost less after a while; what matters is still seen.
static void a_busy_temporary_folder_is_asked_for_less(void **state)
{
    struct rig *r = *state;
    for (int i = 0; i < 200 && !watch_stats(r->w).thinned; i++) {
        put(r, "/tmp/new", "x", 0600);
        unlink(at(r, "/tmp/new"));
        take(r);
    }
    assert_int_equal(watch_stats(r->w).thinned, 1);
    assert_true(watch_stats(r->w).late > 0);
    put(r, "/tmp/program", "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2", 0755);
    folder(r, "/tmp/sub");
    put(r, "/tmp/sub/program", "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2", 0755);
    put(r, "/elsewhere", "#!/bin/sh\n", 0755);
    assert_int_equal(rename(at(r, "/elsewhere"), at(r, "/tmp/moved")), 0);
    take(r);
    told(r, "write /tmp/program", 1);
    told(r, "rename /tmp/moved", 1);
    assert_int_equal(r->n, 2);
    r->env.monotonic_ns = much_later;
    watch_tend(r->w, keep, r); // the time is over: new folders are looked for
    told(r, "found create /tmp/sub/program", 1);
    forget(r);
    put(r, "/tmp/another", "x", 0700);
    unlink(at(r, "/tmp/program"));
    take(r);
    told(r, "create /tmp/another", 1);
    told(r, "delete /tmp/program", 1);
}

static void fifty_thousand_deletes_are_told_or_their_loss_is(void **state)
{
    struct rig *r = *state;
    enum { FILES = 50000 };
    char path[64];
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "/etc/cron.d/f%d", i);
        int fd = open(at(r, path), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        close(fd);
        if (i % 4096 == 0)
            take(r);
    }
    take(r);
    forget(r);
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "/etc/cron.d/f%d", i);
        assert_int_equal(unlink(at(r, path)), 0);
        if (i % 4096 == 0)
            take(r);
    }
    take(r);
    assert_int_equal(watch_stats(r->w).overflows, 0);
    size_t deletes = 0;
    for (size_t i = 0; i < r->n; i++)
        deletes += strncmp(r->lines[i], "delete /etc/cron.d/f", 20) == 0;
    assert_int_equal(deletes, FILES);
    assert_int_equal(r->n, FILES);
}

static void a_full_queue_is_counted_and_what_was_missed_is_found(void **state)
{
    struct rig *r = *state;
    char path[64];
    for (int i = 0; i < 20000; i++) { // the kernel keeps 16,384
        snprintf(path, sizeof path, "/etc/cron.d/f%d", i);
        int fd = open(at(r, path), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        close(fd);
    }
    folder(r, "/etc/missed");
    take(r);
    if (watch_stats(r->w).overflows == 0) {
        print_message("    this kernel's queue is larger (fs.fanotify.max_queued_events)\n");
        skip();
    }
    assert_int_equal(watch_stats(r->w).overflows, 1);
    told(r, "create /etc/missed", 0);
    forget(r);
    assert_int_equal(watch_refresh(r->w, keep, r), 0);
    told(r, "found create /etc/missed", 1);
    forget(r);
    put(r, "/etc/missed/file", "x", 0644);
    take(r);
    told(r, "create /etc/missed/file", 1);
}

static void what_a_daemon_answers_for_is_not_entered(void **state)
{
    struct rig *r = *state;
    folder(r, "/etc/proc");
    take(r);
    pid_t child = fork();
    if (child == 0) { // in a namespace of its own, so that the machine sees no mount
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("proc", at(r, "/etc/proc"), "proc", 0, NULL) < 0)
            _exit(77);
        struct watch *w;
        if (watch_new(&(struct watch_options){.env = &r->env, .top = r->top}, &w) < 0)
            _exit(1);
        watch_use_group(w, r->group);
        watch_refresh(w, NULL, NULL);
        _exit(watch_stats(w).other == 1 && strstr(watch_stats(w).first_refused, "/etc/proc") ? 0
                                                                                             : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

int main(void)
{
#define WITH_RIG(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_RIG(each_change_of_a_watched_file_is_told_once),
        WITH_RIG(a_capability_given_to_a_file_is_told_by_its_name),
        WITH_RIG(of_temporary_files_only_what_can_run_is_told),
        WITH_RIG(a_log_is_told_when_it_gets_shorter_or_goes),
        WITH_RIG(homes_are_watched_for_keys_and_start_files),
        WITH_RIG(folders_made_inside_are_followed_and_nothing_in_them_is_missed),
        WITH_RIG(a_race_with_marking_tells_each_file_once),
        WITH_RIG(moved_folders_keep_being_watched_where_they_are),
        WITH_RIG(folders_that_go_are_let_go),
        WITH_RIG(a_root_that_is_replaced_is_watched_again),
        WITH_RIG(a_busy_temporary_folder_is_asked_for_less),
        WITH_RIG(fifty_thousand_deletes_are_told_or_their_loss_is),
        WITH_RIG(a_full_queue_is_counted_and_what_was_missed_is_found),
        WITH_RIG(what_a_daemon_answers_for_is_not_entered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
