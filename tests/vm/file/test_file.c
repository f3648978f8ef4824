// SPDX-License-Identifier: Apache-2.0
// Files: what the programs on kernel functions report of them, with LSM programs and without.
#include "file_fixture.h"

#include <linux/fs.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

static void test_mechanisms_are_as_the_kernel_was_booted(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mechanism(f, "file events"), PROBE_WORKS);
    assert_int_equal(mechanism(f, "file deny"), lsm_is_on() ? PROBE_WORKS : PROBE_REFUSED);
    assert_int_equal(mechanism(f, "exec deny"), lsm_is_on() ? PROBE_WORKS : PROBE_REFUSED);
}

static void test_create_and_write_close(void **state)
{
    struct fixture *f = *state;
    const char *path = in(at.watched, "made");
    Tiercel__FileChange *c;
    struct stat st;
    int fd;

    drain(f);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    assert_true(fd >= 0);
    drain(f);
    c = change(f, FILE_CREATE, path);
    st = stat_of(path);
    assert_facts(c, &st);
    assert_string_equal(c->watch, "web");
    assert_false(c->executable);
    assert_int_equal(count_changes(f, getpid()), 1);
    Tiercel__Event *event = find(f, RECORD_FILE, getpid(), 0)->event;
    assert_string_equal((char *)event->process->name.data, "test_file");
    assert_int_equal(write(fd, "hello", 5), 5);
    close(fd);
    drain(f);
    c = change(f, FILE_WRITE, path);
    st = stat_of(path);
    assert_facts(c, &st);
    assert_int_equal(c->file->size, 5);
    assert_int_equal(count_changes(f, getpid()), 1);
    // Reading is no change, nor is opening what is there with O_CREAT.
    fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0640);
    close(fd);
    drain(f);
    assert_int_equal(count_changes(f, getpid()), 0);
    unlink(path);
}

static void test_every_way_to_make_a_name(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *folder = in(at.watched, "folder"), *link = in(at.watched, "symlink"),
               *fifo = in(at.watched, "fifo"), *node = in(at.watched, "node");
    const char *path[] = {folder, link, fifo, node};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    drain(f);
    assert_int_equal(mkdir(folder, 0751), 0);
    assert_int_equal(symlink("/nowhere", link), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(mknod(node, S_IFREG | 0600, 0), 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", at.watched);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    drain(f);
    for (int i = 0; i < 4; i++) {
        struct stat st = stat_of(path[i]);
        assert_facts(change(f, FILE_CREATE, path[i]), &st);
    }
    struct stat st = stat_of(address.sun_path);
    assert_facts(change(f, FILE_CREATE, address.sun_path), &st);
    // Below the folder that was made just now.
    const char *inner = in(folder, "inner");
    write_file(inner, "x", 0600);
    drain(f);
    assert_non_null(change(f, FILE_CREATE, inner));
    assert_non_null(change(f, FILE_WRITE, inner));
    struct stat inner_st = stat_of(inner), folder_st = stat_of(folder), link_st = stat_of(link);
    assert_int_equal(unlink(inner), 0);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(unlink(link), 0);
    drain(f);
    assert_facts(change(f, FILE_DELETE, inner), &inner_st);
    assert_true(change(f, FILE_DELETE, inner)->file->deleted);
    assert_facts(change(f, FILE_DELETE, folder), &folder_st);
    assert_facts(change(f, FILE_DELETE, link), &link_st);
    unlink(fifo);
    unlink(node);
    unlink(address.sun_path);
}

static void test_rename(void **state)
{
    struct fixture *f = *state;
    const char *a = in(at.watched, "a"), *b = in(at.watched, "b"), *out = in(at.elsewhere, "c");
    Tiercel__FileChange *c;
    struct stat st;

    write_file(a, "a", 0600);
    write_file(in(at.watched, "old"), "o", 0600);
    st = stat_of(a);
    drain(f);
    assert_int_equal(rename(a, b), 0);
    drain(f);
    c = change(f, FILE_RENAME, b);
    assert_facts(c, &st);
    assert_true(is_path(c->old_path, a));
    assert_int_equal(rename(b, out), 0);
    drain(f);
    c = change(f, FILE_RENAME, out);
    assert_facts(c, &st);
    assert_true(is_path(c->old_path, b));
    assert_int_equal(rename(out, in(at.watched, "old")), 0); // over what is there
    drain(f);
    c = change(f, FILE_RENAME, in(at.watched, "old"));
    assert_facts(c, &st);
    assert_true(is_path(c->old_path, out));
    assert_int_equal(count_changes(f, getpid()), 1);
    unlink(in(at.watched, "old"));
}

static void test_exchange_is_two_renames(void **state)
{
    struct fixture *f = *state;
    const char *a = in(at.watched, "x1"), *b = in(at.elsewhere, "x2");
    struct stat st_a, st_b;

    write_file(a, "a", 0600);
    write_file(b, "b", 0600);
    st_a = stat_of(a);
    st_b = stat_of(b);
    drain(f);
    assert_int_equal(renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE), 0);
    drain(f);
    assert_facts(change(f, FILE_RENAME, b), &st_a);
    assert_true(is_path(change(f, FILE_RENAME, b)->old_path, a));
    assert_facts(change(f, FILE_RENAME, a), &st_b);
    assert_true(is_path(change(f, FILE_RENAME, a)->old_path, b));
    unlink(a);
    unlink(b);
}

static void test_hard_link(void **state)
{
    struct fixture *f = *state;
    const char *a = in(at.watched, "l1"), *b = in(at.elsewhere, "l2");
    struct stat st;

    write_file(a, "a", 0600);
    drain(f);
    assert_int_equal(link(a, b), 0);
    drain(f);
    st = stat_of(b);
    assert_facts(change(f, FILE_LINK, b), &st);
    assert_true(is_path(change(f, FILE_LINK, b)->old_path, a));
    unlink(a);
    drain(f);
    assert_false(change(f, FILE_DELETE, a)->file->deleted); // the other name is there
    unlink(b);
}

static void test_mode_owner_and_attributes(void **state)
{
    struct fixture *f = *state;
    const char *path = in(at.watched, "mode");
    Tiercel__FileChange *c;
    struct stat st;

    write_file(path, "#!/bin/sh\n", 0600);
    drain(f);
    assert_int_equal(chmod(path, 0755), 0);
    drain(f);
    st = stat_of(path);
    c = change(f, FILE_MODE, path);
    assert_facts(c, &st);
    assert_int_equal(c->old_mode, S_IFREG | 0600);
    assert_true(c->executable);
    assert_int_equal(chown(path, 33, 33), 0);
    drain(f);
    st = stat_of(path);
    c = change(f, FILE_ATTRIBUTE, path);
    assert_facts(c, &st);
    assert_string_equal(c->attribute, "owner");
    assert_int_equal(setxattr(path, "user.note", "v", 1, 0), 0);
    drain(f);
    c = change(f, FILE_ATTRIBUTE, path);
    assert_facts(c, &st);
    assert_string_equal(c->attribute, "user.note");
    assert_int_equal(removexattr(path, "user.note"), 0);
    drain(f);
    assert_string_equal(change(f, FILE_ATTRIBUTE, path)->attribute, "user.note");
    assert_int_equal(count_changes(f, getpid()), 1);
    unlink(path);
}

static const struct { // VFS_CAP_REVISION_2 with cap_net_raw
    uint32_t magic, permitted, inheritable, permitted_high, inheritable_high;
} net_raw = {0x02000001, 1 << 13, 0, 0, 0};

static void test_what_becomes_executable_is_seen_anywhere(void **state)
{
    struct fixture *f = *state;
    const char *path = in(at.elsewhere, "tool");
    Tiercel__FileChange *c;
    struct stat st;

    drain(f);
    write_file(path, "x", 0600);
    assert_int_equal(setxattr(path, "user.note", "v", 1, 0), 0);
    assert_int_equal(chown(path, 33, 33), 0);
    assert_int_equal(chmod(path, 0640), 0);
    drain(f);
    assert_int_equal(count_changes(f, getpid()), 0); // nobody asked
    assert_int_equal(chmod(path, 0750), 0);
    drain(f);
    st = stat_of(path);
    c = change(f, FILE_MODE, path);
    assert_facts(c, &st);
    assert_string_equal(c->watch, "elsewhere");
    assert_int_equal(c->old_mode, S_IFREG | 0640);
    assert_int_equal(chmod(path, 0755), 0); // was executable
    drain(f);
    assert_int_equal(count_changes(f, getpid()), 0);
    assert_int_equal(chmod(path, 04755), 0);
    drain(f);
    c = change(f, FILE_MODE, path);
    assert_int_equal(c->file->mode, S_IFREG | 04755);
    assert_int_equal(c->old_mode, S_IFREG | 0755);
    assert_int_equal(setxattr(path, "security.capability", &net_raw, sizeof net_raw, 0), 0);
    drain(f);
    c = change(f, FILE_ATTRIBUTE, path);
    st = stat_of(path);
    assert_facts(c, &st);
    assert_string_equal(c->attribute, "security.capability");
    close(open(in(at.elsewhere, "born"), O_WRONLY | O_CREAT | O_CLOEXEC, 0755));
    drain(f);
    c = change(f, FILE_CREATE, in(at.elsewhere, "born"));
    assert_non_null(c);
    assert_true(c->executable);
    assert_int_equal(count_changes(f, getpid()), 1);
    unlink(path);
    unlink(in(at.elsewhere, "born"));
}

static void test_truncate(void **state)
{
    struct fixture *f = *state;
    const char *path = in(at.watched, "cut"), *log = in(at.elsewhere, "log"),
               *line = in(log, "line");
    Tiercel__FileChange *c;
    int fd;

    write_file(path, "0123456789", 0600);
    drain(f);
    assert_int_equal(truncate(path, 4), 0);
    drain(f);
    c = change(f, FILE_WRITE, path);
    assert_non_null(c);
    assert_int_equal(c->file->size, 4);
    assert_string_equal(c->attribute, "shorter");
    unlink(path);
    // A log is written all the time: only what cuts it off counts.
    assert_int_equal(mkdir(log, 0755), 0);
    watch(f, log, WATCH_LOG, WATCH_BELOW | WATCH_NO_WRITES);
    write_file(line, "0123456789", 0600);
    drain(f);
    fd = open(line, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(ftruncate(fd, 20), 0);
    drain(f);
    assert_int_equal(count_changes(f, getpid()), 0);
    assert_int_equal(ftruncate(fd, 2), 0);
    close(fd);
    drain(f);
    c = change(f, FILE_WRITE, line);
    assert_non_null(c);
    assert_int_equal(c->file->size, 2);
    assert_string_equal(c->watch, "log");
    close(open(line, O_WRONLY | O_TRUNC | O_CLOEXEC));
    drain(f);
    c = change(f, FILE_WRITE, line);
    assert_non_null(c);
    assert_int_equal(c->file->size, 0);
    assert_int_equal(count_changes(f, getpid()), 1);
    unlink(line);
}

static void test_what_failed_is_not_reported(void **state)
{
    struct fixture *f = *state;
    const char *file = in(at.watched, "kept"), *folder = in(at.watched, "full");

    write_file(file, "x", 0600);
    assert_int_equal(mkdir(folder, 0755), 0);
    write_file(in(folder, "y"), "y", 0600);
    drain(f);
    assert_int_equal(mkdir(folder, 0755), -1);
    assert_int_equal(rmdir(folder), -1);
    assert_int_equal(rename(file, folder), -1);
    assert_int_equal(unlink(folder), -1);
    assert_int_equal(link(file, folder), -1);
    assert_int_equal(symlink("a", file), -1);
    assert_int_equal(open(file, O_CREAT | O_EXCL | O_WRONLY, 0755), -1);
    assert_int_equal(removexattr(file, "user.none"), -1);
    assert_int_equal(rename(file, "/proc/x"), -1);
    drain(f);
    assert_int_equal(count_changes(f, getpid()), 0);
    pid_t child = fork();
    if (child == 0) {
        assert_int_equal(setresuid(1000, 1000, 1000), 0);
        bool refused = chmod(file, 0777) && chown(file, 1000, 1000) && truncate(file, 0) &&
                       unlink(file) && setxattr(file, "user.note", "v", 1, 0);
        _exit(!refused);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    drain(f);
    assert_int_equal(count_changes(f, child), 0);
    unlink(in(folder, "y"));
    rmdir(folder);
    unlink(file);
}

static void test_flags_of_a_watched_folder(void **state)
{
    struct fixture *f = *state;
    const char *top = in(at.elsewhere, "flat"), *below = in(top, "below");

    assert_int_equal(mkdir(top, 0755), 0);
    assert_int_equal(mkdir(below, 0755), 0);
    watch(f, top, WATCH_TEMPORARY, WATCH_EXECUTABLES);
    drain(f);
    write_file(in(top, "plain"), "x", 0600);
    write_file(in(top, "program"), "x", 0700);
    write_file(in(below, "plain"), "x", 0600);
    drain(f);
    assert_null(change(f, FILE_CREATE, in(top, "plain")));
    assert_null(change(f, FILE_CREATE, in(below, "plain")));
    assert_string_equal(change(f, FILE_CREATE, in(top, "program"))->watch, "temporary");
    assert_non_null(change(f, FILE_WRITE, in(top, "program")));
    assert_int_equal(count_changes(f, getpid()), 2);
    struct stat st = stat_of(top);
    assert_int_equal(
        probe_watch_remove(f->fds.watched, major(st.st_dev) << 20 | minor(st.st_dev), st.st_ino),
        0);
    drain(f);
    mkdir(in(top, "after"), 0755);
    drain(f);
    assert_int_equal(count_changes(f, getpid()), 0);
}

static void test_what_begins_as_a_program_counts_as_one(void **state)
{
    struct fixture *f = *state;
    const char *script = in(at.watched, "script"), *elf = in(at.watched, "elf"),
               *empty = in(at.watched, "empty"), *text = in(at.watched, "text"),
               *temporary = in(at.elsewhere, "temporary"), *dropped = in(temporary, "dropped");

    assert_int_equal(mkdir(temporary, 0755), 0);
    watch(f, temporary, WATCH_TEMPORARY, WATCH_EXECUTABLES | WATCH_BELOW);
    drain(f);
    write_file(script, "#!/bin/sh\nid\n", 0600);
    write_file(empty, "", 0600);
    write_file(text, "#", 0600);
    write_file(dropped, "#!/bin/sh\nid\n", 0600);
    write_file(in(temporary, "data"), "data", 0600);
    assert_int_equal(mkdir(in(temporary, "folder"), 0700), 0);
    {
        _cleanup_close_ int fd = open(elf, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        copy_to(fd, "/proc/self/exe"); // many pages
    }
    drain(f);
    assert_true(change(f, FILE_WRITE, script)->executable);
    assert_true(change(f, FILE_WRITE, elf)->executable);
    assert_false(change(f, FILE_WRITE, empty)->executable);
    assert_false(change(f, FILE_WRITE, text)->executable);
    assert_non_null(change(f, FILE_WRITE, dropped));
    assert_true(change(f, FILE_WRITE, dropped)->executable);
    assert_null(change(f, FILE_WRITE, in(temporary, "data")));
    assert_null(change(f, FILE_CREATE, in(temporary, "folder")));
    assert_int_equal(rename(dropped, in(temporary, "again")), 0);
    assert_int_equal(unlink(in(temporary, "again")), 0);
    drain(f);
    assert_non_null(change(f, FILE_RENAME, in(temporary, "again")));
    assert_true(change(f, FILE_DELETE, in(temporary, "again"))->executable);
    unlink(script);
    unlink(elf);
    unlink(empty);
    unlink(text);
}

static void test_names_in_a_home(void **state)
{
    struct fixture *f = *state;
    const char *home = in(at.elsewhere, "home");

    assert_int_equal(mkdir(home, 0755), 0);
    watch(f, home, WATCH_HOME, WATCH_NAMES);
    drain(f);
    write_file(in(home, ".profile"), "x", 0600);
    write_file(in(home, "notes"), "x", 0600);
    assert_int_equal(mkdir(in(home, ".cache"), 0700), 0);
    assert_int_equal(rename(in(home, "notes"), in(home, ".bashrc")), 0);
    drain(f);
    assert_string_equal(change(f, FILE_CREATE, in(home, ".profile"))->watch, "home");
    assert_non_null(change(f, FILE_WRITE, in(home, ".profile")));
    assert_non_null(change(f, FILE_RENAME, in(home, ".bashrc")));
    assert_int_equal(count_changes(f, getpid()), 3);
}

static void test_paths_are_the_tasks(void **state)
{
    struct fixture *f = *state;
    const char *bound = in(at.top, "bound");
    int status;

    assert_int_equal(mkdir(bound, 0755), 0);
    assert_int_equal(mount(at.watched, bound, NULL, MS_BIND, NULL), 0);
    drain(f);
    assert_int_equal(mkdir(in(bound, "m"), 0755), 0);
    assert_int_equal(rmdir(in(bound, "m")), 0);
    drain(f);
    assert_non_null(change(f, FILE_CREATE, in(bound, "m")));
    assert_non_null(change(f, FILE_DELETE, in(bound, "m")));
    pid_t child = fork();
    if (child == 0) {
        if (chroot(at.top) || chdir("/"))
            _exit(1);
        int fd = open("watched/in", O_WRONLY | O_CREAT, 0600); // closed by its end
        _exit(fd < 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    drain(f);
    assert_non_null(change_by(f, child, FILE_CREATE, "/watched/in"));
    // At the end of a task its root is gone: the path is that of its mount namespace.
    assert_non_null(change_by(f, child, FILE_WRITE, in(at.watched, "in")));
    assert_int_equal(umount2(bound, MNT_DETACH), 0);
    unlink(in(at.watched, "in"));
}

static void test_deep_path_is_whole(void **state)
{
    struct fixture *f = *state;
    char path[4096];
    size_t n = (size_t)snprintf(path, sizeof path, "%s", at.watched);

    for (int i = 0; i < 20; i++) {
        n += (size_t)snprintf(path + n, sizeof path - n, "/%0100d", i);
        assert_int_equal(mkdir(path, 0755), 0);
    }
    snprintf(path + n, sizeof path - n, "/leaf");
    drain(f);
    write_file(path, "x", 0600);
    drain(f);
    assert_non_null(change(f, FILE_CREATE, path));
    assert_false(change(f, FILE_CREATE, path)->file->path_cut);
}

static void test_every_delete_of_many_is_reported(void **state)
{
    enum { MANY = 5000 };
    struct fixture *f = *state;
    struct probe_counters *counters;
    struct counters before, after;
    char path[256];

    for (int i = 0; i < MANY; i++) {
        snprintf(path, sizeof path, "%s/%d", at.watched, i);
        write_file(path, "", 0600);
        if (i % 256 == 0)
            drain(f);
    }
    drain(f);
    assert_int_equal(probe_counters_map(f->fds.counters, &counters), 0);
    before = probe_counters_sum(counters);
    unsigned seen = 0;
    for (int i = 0; i < MANY; i++) {
        snprintf(path, sizeof path, "%s/%d", at.watched, i);
        assert_int_equal(unlink(path), 0);
        if (i % 256 == 255) {
            drain(f);
            seen += count_changes(f, getpid());
        }
    }
    drain(f);
    seen += count_changes(f, getpid());
    after = probe_counters_sum(counters);
    assert_int_equal(seen, MANY);
    assert_int_equal(after.sent[COUNT_FILE] - before.sent[COUNT_FILE], MANY);
    assert_int_equal(after.lost[COUNT_FILE] - before.lost[COUNT_FILE], 0);
    // With nobody reading, what is not in the ring is counted.
    for (int i = 0; i < 4 * MANY; i++) {
        snprintf(path, sizeof path, "%s/%d", at.watched, i);
        assert_int_equal(mkdir(path, 0755), 0);
        assert_int_equal(rmdir(path), 0);
    }
    before = after;
    after = probe_counters_sum(counters);
    drain(f);
    seen = count_changes(f, getpid());
    assert_int_equal(after.sent[COUNT_FILE] - before.sent[COUNT_FILE], seen);
    assert_true(after.lost[COUNT_FILE] > before.lost[COUNT_FILE]);
    assert_int_equal(after.lost[COUNT_FILE] - before.lost[COUNT_FILE] + seen, 8 * MANY);
    probe_counters_unmap(counters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mechanisms_are_as_the_kernel_was_booted),
        cmocka_unit_test(test_create_and_write_close),
        cmocka_unit_test(test_every_way_to_make_a_name),
        cmocka_unit_test(test_rename),
        cmocka_unit_test(test_exchange_is_two_renames),
        cmocka_unit_test(test_hard_link),
        cmocka_unit_test(test_mode_owner_and_attributes),
        cmocka_unit_test(test_what_becomes_executable_is_seen_anywhere),
        cmocka_unit_test(test_truncate),
        cmocka_unit_test(test_what_failed_is_not_reported),
        cmocka_unit_test(test_flags_of_a_watched_folder),
        cmocka_unit_test(test_what_begins_as_a_program_counts_as_one),
        cmocka_unit_test(test_names_in_a_home),
        cmocka_unit_test(test_paths_are_the_tasks),
        cmocka_unit_test(test_deep_path_is_whole),
        cmocka_unit_test(test_every_delete_of_many_is_reported),
    };
    return cmocka_run_group_tests(tests, file_setup, file_teardown);
}
