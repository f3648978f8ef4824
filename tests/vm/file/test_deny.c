// SPDX-License-Identifier: Apache-2.0
// What is refused by LSM programs: protected files to flagged lineages, by whatever way they try; blocked programs;
// programs of contained lineages. Where LSM programs have no effect the calls say so.
#include "file_fixture.h"

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/xattr.h>

// `secret` is protected with all below it: file, below/file.
static char secret[96], file[128], below[128], inner[160];

static int deny_setup(void **state)
{
    struct protect_policy policy = {.deny = FLAG_FLAGGED, .rule = 77};

    if (file_setup(state))
        return -1;
    struct fixture *f = *state;
    snprintf(secret, sizeof secret, "%s/secret", at.top);
    snprintf(file, sizeof file, "%s/file", secret);
    snprintf(below, sizeof below, "%s/below", secret);
    snprintf(inner, sizeof inner, "%s/file", below);
    assert_int_equal(mkdir(secret, 0755), 0);
    assert_int_equal(mkdir(below, 0755), 0);
    write_file(file, "data", 0644);
    write_file(inner, "data", 0644);
    struct stat st = stat_of(secret);
    assert_int_equal(probe_protect_set(&f->fds, st.st_dev, st.st_ino, &policy),
                     lsm_is_on() ? 0 : -ENOTSUP);
    return 0;
}

typedef int act(const char *a, const char *b); // 0 or an errno

struct ran {
    pid_t pid;
    int error;
};

// In a child with these flags.
static struct ran as(struct fixture *f, uint32_t flags, act *what, const char *a, const char *b)
{
    int go[2], status;
    char c = 0;
    struct ran ran;

    drain(f);
    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    ran.pid = fork();
    if (ran.pid == 0)
        _exit(read(go[0], &c, 1) == 1 ? what(a, b) : 255);
    if (flags)
        assert_int_equal(probe_flags_set(f->fds.flags, ran.pid, -1, flags), 0);
    assert_int_equal(write(go[1], &c, 1), 1);
    assert_int_equal(waitpid(ran.pid, &status, 0), ran.pid);
    assert_true(WIFEXITED(status));
    ran.error = WEXITSTATUS(status);
    close(go[0]);
    close(go[1]);
    drain(f);
    return ran;
}

static void needs_lsm(void)
{
    if (!lsm_is_on())
        skip();
}

static int open_read(const char *a, const char *b)
{
    (void)b;
    return open(a, O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
}

static int open_write(const char *a, const char *b)
{
    (void)b;
    return open(a, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0 ? errno : 0;
}

static int do_rename(const char *a, const char *b)
{
    return rename(a, b) ? errno : 0;
}

static int do_exchange(const char *a, const char *b)
{
    return renameat2(AT_FDCWD, a, AT_FDCWD, b, 2) ? errno : 0;
}

static int do_link(const char *a, const char *b)
{
    return link(a, b) ? errno : 0;
}

static int do_unlink(const char *a, const char *b)
{
    (void)b;
    return unlink(a) ? errno : 0;
}

static int do_rmdir(const char *a, const char *b)
{
    (void)b;
    return rmdir(a) ? errno : 0;
}

static int do_mkdir(const char *a, const char *b)
{
    (void)b;
    return mkdir(a, 0755) ? errno : 0;
}

static int do_symlink(const char *a, const char *b)
{
    return symlink(b, a) ? errno : 0;
}

static int do_truncate(const char *a, const char *b)
{
    (void)b;
    return truncate(a, 0) ? errno : 0;
}

static int do_chmod(const char *a, const char *b)
{
    (void)b;
    return chmod(a, 0666) ? errno : 0;
}

static int do_chown(const char *a, const char *b)
{
    (void)b;
    return chown(a, 33, 33) ? errno : 0;
}

static int through_path_descriptor(const char *a, const char *b)
{
    char text[64];
    int fd = open(a, O_PATH | O_CLOEXEC); // tells nothing but that it is there

    (void)b;
    if (fd < 0)
        return 250;
    snprintf(text, sizeof text, "/proc/self/fd/%d", fd);
    return open_read(text, NULL);
}

static int through_bind_mount(const char *a, const char *b)
{
    if (unshare(CLONE_NEWNS) || mount(a, b, NULL, MS_BIND, NULL))
        return 250;
    return open_read(in(b, "file"), NULL);
}

static int through_bind_mount_of_the_file(const char *a, const char *b)
{
    if (unshare(CLONE_NEWNS) || mount(a, b, NULL, MS_BIND, NULL))
        return 250;
    return open_read(b, NULL);
}

// `a` is the lower folder of an overlay on `b`.
static int through_overlay(const char *a, const char *b)
{
    char options[512];

    snprintf(options, sizeof options, "lowerdir=%s:%s", a, at.elsewhere);
    if (unshare(CLONE_NEWNS) || mount("overlay", b, "overlay", 0, options))
        return 250;
    return open_read(in(b, "file"), NULL);
}

static int by_io_uring(const char *a, bool by_worker)
{
    struct io_uring_params p = {0};
    int ring = (int)syscall(SYS_io_uring_setup, 4, &p);
    size_t bytes = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    unsigned char *rings =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *sqe = mmap(NULL, p.sq_entries * sizeof *sqe, PROT_READ | PROT_WRITE,
                                    MAP_SHARED, ring, (off_t)IORING_OFF_SQES);

    if (ring < 0 || rings == MAP_FAILED || sqe == MAP_FAILED)
        return 250;
    *sqe = (struct io_uring_sqe){.opcode = IORING_OP_OPENAT,
                                 .flags = by_worker ? IOSQE_ASYNC : 0,
                                 .fd = AT_FDCWD,
                                 .addr = (uintptr_t)a,
                                 .open_flags = O_RDONLY};
    ((unsigned *)(void *)(rings + p.sq_off.array))[0] = 0;
    __atomic_store_n((unsigned *)(void *)(rings + p.sq_off.tail), 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
        return 250;
    int result = ((struct io_uring_cqe *)(void *)(rings + p.cq_off.cqes))[0].res;
    return result < 0 ? -result : 0;
}

static int by_ring(const char *a, const char *b)
{
    (void)b;
    return by_io_uring(a, false);
}

static int by_ring_worker(const char *a, const char *b)
{
    (void)b;
    return by_io_uring(a, true);
}

static int run_it(const char *a, const char *b)
{
    (void)b;
    execl(a, a, (char *)NULL);
    return errno;
}

static void assert_denied(struct fixture *f, struct ran ran, unsigned action, const char *path)
{
    Tiercel__FileChange *c = change_by(f, ran.pid, action, path);

    if (ran.error != EPERM)
        fail_msg("action %u of %s: error %d", action, path, ran.error);
    assert_non_null(c);
    assert_true(c->denied);
    assert_true(c->protected_);
    assert_string_equal(c->watch, "protected");
    assert_int_equal(find(f, RECORD_FILE, ran.pid, 0)->rule, 77);
    assert_int_equal(find(f, RECORD_FILE, ran.pid, 0)->lineage_flags, FLAG_FLAGGED);
}

static void test_open_is_denied_to_flagged_lineages_only(void **state)
{
    struct fixture *f = *state;
    const char *path[] = {file, inner, secret, below};

    needs_lsm();
    for (int i = 0; i < 4; i++) {
        struct stat st = stat_of(path[i]);
        struct ran ran = as(f, FLAG_FLAGGED, open_read, path[i], NULL);
        assert_denied(f, ran, FILE_READ, path[i]);
        assert_int_equal(change_by(f, ran.pid, FILE_READ, path[i])->file->inode, st.st_ino);
        ran = as(f, FLAG_SERVICE, open_read, path[i], NULL);
        assert_int_equal(ran.error, 0);
        Tiercel__FileChange *c = change_by(f, ran.pid, FILE_READ, path[i]);
        assert_facts(c, &st);
        assert_true(c->protected_);
    }
    struct ran ran = as(f, FLAG_FLAGGED | FLAG_AGENT, open_read, file, NULL);
    assert_int_equal(ran.error, 0);
    assert_int_equal(count_changes(f, ran.pid), 0);
    ran = as(f, FLAG_FLAGGED, open_read, "/etc/passwd", NULL);
    assert_int_equal(ran.error, 0);
    assert_int_equal(count_changes(f, ran.pid), 0);
}

static void test_new_names_are_protected_at_once(void **state)
{
    struct fixture *f = *state;
    const char *folder = in(secret, "new"), *path = in(folder, "file");

    needs_lsm();
    assert_int_equal(mkdir(folder, 0755), 0);
    write_file(path, "x", 0644);
    assert_denied(f, as(f, FLAG_FLAGGED, open_read, path, NULL), FILE_READ, path);
    assert_int_equal(rename(folder, in(at.elsewhere, "out")), 0); // moved away by who may
    assert_int_equal(as(f, FLAG_FLAGGED, open_read, in(at.elsewhere, "out/file"), NULL).error, 0);
    assert_int_equal(rename(in(at.elsewhere, "out"), folder), 0);
    assert_int_equal(as(f, FLAG_FLAGGED, open_read, path, NULL).error, EPERM);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void test_no_way_around_by_names(void **state)
{
    struct fixture *f = *state;
    const char *out = in(at.elsewhere, "stolen"), *mine = in(at.elsewhere, "mine"),
               *made = in(secret, "made");

    needs_lsm();
    write_file(mine, "x", 0644);
    assert_denied(f, as(f, FLAG_FLAGGED, do_rename, file, out), FILE_RENAME, file);
    assert_denied(f, as(f, FLAG_FLAGGED, do_rename, mine, file), FILE_RENAME, file);
    assert_denied(f, as(f, FLAG_FLAGGED, do_exchange, mine, file), FILE_RENAME, file);
    assert_denied(f, as(f, FLAG_FLAGGED, do_rename, below, out), FILE_RENAME, below);
    assert_denied(f, as(f, FLAG_FLAGGED, do_rename, secret, out), FILE_RENAME, secret);
    assert_denied(f, as(f, FLAG_FLAGGED, do_link, file, out), FILE_LINK, file);
    assert_denied(f, as(f, FLAG_FLAGGED, do_link, mine, made), FILE_LINK, made);
    assert_denied(f, as(f, FLAG_FLAGGED, do_unlink, file, NULL), FILE_DELETE, file);
    assert_denied(f, as(f, FLAG_FLAGGED, do_rmdir, below, NULL), FILE_DELETE, below);
    assert_denied(f, as(f, FLAG_FLAGGED, do_truncate, file, NULL), FILE_WRITE, file);
    assert_denied(f, as(f, FLAG_FLAGGED, do_chmod, file, NULL), FILE_MODE, file);
    assert_denied(f, as(f, FLAG_FLAGGED, do_chown, file, NULL), FILE_ATTRIBUTE, file);
    assert_denied(f, as(f, FLAG_FLAGGED, open_write, made, NULL), FILE_CREATE, made);
    assert_denied(f, as(f, FLAG_FLAGGED, do_mkdir, made, NULL), FILE_CREATE, made);
    assert_denied(f, as(f, FLAG_FLAGGED, do_symlink, made, "x"), FILE_CREATE, made);
    assert_int_equal(access(made, F_OK), -1);
    assert_int_equal(stat_of(file).st_size, 4);
    assert_int_equal(stat_of(file).st_mode & 07777, 0644);
    assert_int_equal(as(f, FLAG_FLAGGED, through_path_descriptor, file, NULL).error, EPERM);
    // Who may, may all of it.
    assert_int_equal(as(f, 0, do_link, file, out).error, 0);
    assert_int_equal(as(f, 0, do_unlink, out, NULL).error, 0);
    unlink(mine);
}

static void test_no_way_around_by_mounts(void **state)
{
    struct fixture *f = *state;
    const char *point = in(at.elsewhere, "point"), *here = in(at.elsewhere, "here");

    needs_lsm();
    assert_int_equal(mkdir(point, 0755), 0);
    write_file(here, "", 0644);
    assert_int_equal(as(f, FLAG_SERVICE, through_bind_mount, secret, point).error, 0);
    assert_int_equal(as(f, FLAG_SERVICE, through_overlay, secret, point).error, 0);
    struct ran ran = as(f, FLAG_FLAGGED, through_bind_mount, secret, point);
    assert_denied(f, ran, FILE_READ, in(point, "file"));
    assert_int_equal(as(f, FLAG_FLAGGED, through_bind_mount_of_the_file, file, here).error, EPERM);
    assert_int_equal(as(f, FLAG_FLAGGED, through_overlay, secret, point).error, EPERM);
    assert_int_equal(as(f, FLAG_FLAGGED, through_overlay, below, point).error, EPERM);
    unlink(here);
    rmdir(point);
}

static void test_io_uring_is_denied_likewise(void **state)
{
    struct fixture *f = *state;

    needs_lsm();
    assert_int_equal(as(f, FLAG_SERVICE, by_ring, file, NULL).error, 0);
    assert_int_equal(as(f, FLAG_SERVICE, by_ring_worker, file, NULL).error, 0);
    assert_denied(f, as(f, FLAG_FLAGGED, by_ring, file, NULL), FILE_READ, file);
    assert_denied(f, as(f, FLAG_FLAGGED, by_ring_worker, file, NULL), FILE_READ, file);
}

static void test_a_hard_link_from_before_needs_the_file_itself(void **state)
{
    struct fixture *f = *state;
    const char *other = in(at.elsewhere, "before");
    struct protect_policy policy = {.deny = FLAG_FLAGGED, .rule = 77};

    needs_lsm();
    assert_int_equal(link(inner, other), 0); // by who may
    struct stat st = stat_of(inner);
    assert_int_equal(probe_protect_set(&f->fds, st.st_dev, st.st_ino, &policy), 0);
    assert_denied(f, as(f, FLAG_FLAGGED, open_read, other, NULL), FILE_READ, other);
    assert_int_equal(probe_protect_remove(&f->fds, st.st_dev, st.st_ino), 0);
    assert_int_equal(probe_protect_remove(&f->fds, st.st_dev, st.st_ino), -ENOENT);
    unlink(other);
}

static void test_the_nearest_entry_decides(void **state)
{
    struct fixture *f = *state;
    struct protect_policy open_to_all = {.flags = PROTECT_SILENT},
                          allowed = {.deny = FLAG_FLAGGED, .allow = FLAG_SERVICE, .rule = 77};
    struct stat st = stat_of(below);

    needs_lsm();
    assert_int_equal(probe_protect_set(&f->fds, st.st_dev, st.st_ino, &open_to_all), 0);
    struct ran ran = as(f, FLAG_FLAGGED, open_read, inner, NULL);
    assert_int_equal(ran.error, 0);
    assert_int_equal(count_changes(f, ran.pid), 0);
    assert_int_equal(probe_protect_set(&f->fds, st.st_dev, st.st_ino, &allowed), 0);
    assert_int_equal(as(f, FLAG_FLAGGED | FLAG_SERVICE, open_read, inner, NULL).error, 0);
    assert_int_equal(as(f, FLAG_FLAGGED, open_read, inner, NULL).error, EPERM);
    assert_int_equal(probe_protect_remove(&f->fds, st.st_dev, st.st_ino), 0);
}

static int read_often(const char *a, const char *b)
{
    for (int i = 0; i < 100; i++)
        close(open(a, O_RDONLY | O_CLOEXEC));
    return open_read(b, NULL);
}

static void test_the_same_again_is_folded(void **state)
{
    struct fixture *f = *state;

    needs_lsm();
    struct ran ran = as(f, 0, read_often, file, inner);
    assert_int_equal(ran.error, 0);
    assert_non_null(change_by(f, ran.pid, FILE_READ, file));
    assert_non_null(change_by(f, ran.pid, FILE_READ, inner));
    assert_int_equal(count_changes(f, ran.pid), 2);
}

static void test_a_blocked_program_does_not_start(void **state)
{
    struct fixture *f = *state;
    const char *tool = in(at.elsewhere, "true"), *script = in(at.elsewhere, "script");
    struct stat st;

    {
        _cleanup_close_ int fd = open(tool, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
        copy_to(fd, "/bin/true");
    }
    st = stat_of(tool);
    if (!lsm_is_on()) {
        assert_int_equal(probe_block_inode_set(&f->fds, st.st_dev, st.st_ino, 5), -ENOTSUP);
        skip();
    }
    char text[256];
    snprintf(text, sizeof text, "#!%s\n", tool);
    write_file(script, text, 0755);
    assert_int_equal(as(f, 0, run_it, tool, NULL).error, 0);
    assert_int_equal(probe_block_inode_set(&f->fds, st.st_dev, st.st_ino, 5), 0);
    struct ran ran = as(f, 0, run_it, tool, NULL);
    assert_int_equal(ran.error, EPERM);
    Tiercel__FileChange *c = change_by(f, ran.pid, FILE_READ, tool);
    assert_non_null(c);
    assert_true(c->denied);
    assert_true(c->executable);
    assert_false(c->protected_);
    assert_int_equal(find(f, RECORD_FILE, ran.pid, 0)->rule, 5);
    assert_int_equal(as(f, 0, run_it, script, NULL).error, EPERM); // as an interpreter
    assert_int_equal(probe_block_inode_remove(&f->fds, st.st_dev, st.st_ino), 0);
    assert_int_equal(as(f, 0, run_it, tool, NULL).error, 0);
    unlink(script);
    unlink(tool);
}

static void test_contained_lineages_start_nothing(void **state)
{
    struct fixture *f = *state;

    needs_lsm();
    struct ran ran = as(f, FLAG_CONTAINED, run_it, "/bin/true", NULL);
    assert_int_equal(ran.error, EPERM);
    assert_true(find(f, RECORD_FILE, ran.pid, 0)->flags & FILE_CONTAINED);
    assert_int_equal(as(f, FLAG_CONTAINED | FLAG_AGENT, run_it, "/bin/true", NULL).error, 0);
    assert_int_equal(as(f, FLAG_FLAGGED, run_it, "/bin/true", NULL).error, 0);
    assert_int_equal(as(f, FLAG_CONTAINED, open_read, "/etc/passwd", NULL).error, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_is_denied_to_flagged_lineages_only),
        cmocka_unit_test(test_new_names_are_protected_at_once),
        cmocka_unit_test(test_no_way_around_by_names),
        cmocka_unit_test(test_no_way_around_by_mounts),
        cmocka_unit_test(test_io_uring_is_denied_likewise),
        cmocka_unit_test(test_a_hard_link_from_before_needs_the_file_itself),
        cmocka_unit_test(test_the_nearest_entry_decides),
        cmocka_unit_test(test_the_same_again_is_folded),
        cmocka_unit_test(test_a_blocked_program_does_not_start),
        cmocka_unit_test(test_contained_lineages_start_nothing),
    };
    return cmocka_run_group_tests(tests, deny_setup, file_teardown);
}
