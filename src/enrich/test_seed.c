// SPDX-License-Identifier: Apache-2.0
// The tree from a made-up /proc: a folder with the files that the kernel would show.
#include "base/env.h"
#include "base/test.h"
#include "enrich/node.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[64];
static struct env env;

static void put_file(uint32_t pid, const char *name, const char *text, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%u/%s", root, pid, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_true(write(fd, text, n) == (ssize_t)n);
    close(fd);
}

static void put_link(uint32_t pid, const char *name, const char *target)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%u/%s", root, pid, name);
    assert_int_equal(symlink(target, path), 0);
}

// command: arguments separated by '|'.
static void put_process(uint32_t pid, uint32_t parent, unsigned ticks, const char *exe,
                        const char *command, const char *cgroup)
{
    char text[1024];
    snprintf(text, sizeof text, "%s/%u", root, pid);
    mkdir(text, 0700);
    snprintf(text, sizeof text, "%s/%u/fd", root, pid);
    mkdir(text, 0700);
    int n = snprintf(text, sizeof text,
                     "%u (x) R 1 (y)) S %u 1 1 0 -1 0 1 0 0 0 0 0 0 0 20 0 1 0 %u 1 1\n", pid,
                     parent, ticks);
    put_file(pid, "stat", text, (size_t)n);
    static const char status[] = "Name:\tx\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nVmSize:\t1 kB\n";
    put_file(pid, "status", status, sizeof status - 1);
    n = snprintf(text, sizeof text, "0::%s\n", cgroup);
    put_file(pid, "cgroup", text, (size_t)n);
    n = snprintf(text, sizeof text, "%s", command);
    for (int i = 0; i < n; i++)
        if (text[i] == '|')
            text[i] = 0;
    put_file(pid, "cmdline", text, (size_t)n + 1);
    put_file(pid, "environ", "A=1\0LD_PRELOAD=/tmp/x.so\0", 25);
    put_link(pid, "exe", exe);
    put_link(pid, "cwd", "/srv");
    put_link(pid, "fd/0", "/dev/null");
    put_link(pid, "fd/1", "socket:[12]");
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/tiercel-proc-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    env = env_real(open(root, O_RDONLY | O_DIRECTORY));
    put_process(1, 0, 1, "/usr/lib/systemd/systemd", "/sbin/init", "/init.scope");
    put_process(10, 1, 100, "/usr/sbin/nginx", "nginx: master", "/system.slice/nginx.service");
    put_process(11, 10, 101, "/usr/sbin/nginx", "nginx: worker", "/system.slice/nginx.service");
    put_process(12, 11, 200, "/bin/sh", "sh|-c|x", "/system.slice/nginx.service");
    // Its parent ended: only the control group tells whose it was.
    put_process(13, 1, 300, "/usr/bin/perl", "perl|/tmp/x", "/system.slice/nginx.service");
    put_process(14, 1, 310, "/usr/bin/python3.11", "python3|job.py", "/system.slice/job.service");
    put_process(15, 14, 311, "/usr/bin/python3.11", "python3|job.py", "/system.slice/job.service");
    put_process(16, 1, 400, "/usr/bin/tmux", "tmux", "/user.slice/user-0.slice/session-3.scope");
    put_process(17, 16, 401, "/bin/bash", "bash", "/user.slice/user-0.slice/session-3.scope");
    return env.proc_fd < 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(env.proc_fd);
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static Tiercel__Process *who(struct tree *tree, uint32_t pid, uint64_t start, struct arena *arena)
{
    Tiercel__Event *e = arena_alloc(arena, sizeof *e);
    tiercel__event__init(e);
    e->process = arena_alloc(arena, sizeof *e->process);
    tiercel__process__init(e->process);
    e->process->id = arena_alloc(arena, sizeof *e->process->id);
    tiercel__process_id__init(e->process->id);
    e->process->id->pid = pid;
    e->process->id->start = start;
    assert_int_equal(tree_apply(tree, e, arena), 0);
    return e->process;
}

static void expect(struct tree *tree, uint32_t pid, uint64_t ticks, const char *role,
                   uint32_t depth, uint32_t lineage_root)
{
    struct arena arena = {0};
    const Tiercel__Lineage *l = who(tree, pid, ticks * 10000000 + 7, &arena)->lineage;
    assert_string_equal(l->role, role);
    assert_int_equal(l->depth, depth);
    assert_int_equal(l->root ? l->root->pid : 0, lineage_root);
    arena_done(&arena);
}

static void test_seed_gives_lineages_to_what_ran_before(void **state)
{
    (void)state;
    struct tree *tree;
    struct arena arena = {0};
    assert_int_equal(tree_new(&env, &tree), 0);
    assert_int_equal(tree_seed(tree), 9);
    expect(tree, 10, 100, "web", 0, 0);
    expect(tree, 11, 101, "web", 0, 0);
    expect(tree, 12, 200, "web", 1, 12);
    expect(tree, 13, 300, "web", 1, 13);
    expect(tree, 14, 310, "service", 0, 0);
    expect(tree, 15, 311, "service", 0, 0);
    expect(tree, 17, 401, "ssh", 1, 17);
    const Tiercel__Process *p = who(tree, 12, 2000000007, &arena);
    assert_true(p->from_proc);
    assert_int_equal(p->id->start, 2000000000); // as first told
    assert_int_equal(p->n_argv, 3);
    assert_int_equal(p->n_environment, 1);
    assert_true(str_eq(str_of(p->environment[0]), STR("LD_PRELOAD=/tmp/x.so")));
    assert_true(str_eq(str_of(p->lineage->unit), STR("nginx.service")));
    assert_true(str_eq(str_of(p->name), STR("x) R 1 (y)")));
    assert_true(str_eq(str_of(p->user), STR("root")));
    assert_int_equal(p->descriptors[0], TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_NULL);
    assert_int_equal(p->descriptors[1], TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_SOCKET);
    assert_int_equal(p->descriptors[2], TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_CLOSED);
    tree_free(tree);
    arena_done(&arena);
}

static void test_seed_lookup_of_a_process_whose_fork_was_lost(void **state)
{
    (void)state;
    struct tree *tree;
    struct arena arena = {0};
    assert_int_equal(tree_new(&env, &tree), 0);
    // Nothing is known: the process is looked up with all its ancestors.
    expect(tree, 12, 200, "web", 1, 12);
    expect(tree, 10, 100, "web", 0, 0);
    assert_int_equal(tree_stats(tree).from_proc, 4);
    // Another start: another process; /proc has nothing about it.
    assert_string_equal(who(tree, 12, 9000000000, &arena)->lineage->role, "none");
    assert_int_equal(tree_stats(tree).from_proc, 4);
    tree_free(tree);
    arena_done(&arena);
}

static void test_seed_fork_told_late_gives_the_right_parent(void **state)
{
    (void)state;
    struct tree *tree;
    struct arena arena = {0};
    assert_int_equal(tree_new(&env, &tree), 0);
    expect(tree, 16, 400, "ssh", 0, 0); // by now a child of init
    Tiercel__Event e = TIERCEL__EVENT__INIT;
    Tiercel__Fork fork = TIERCEL__FORK__INIT;
    Tiercel__ProcessId child = TIERCEL__PROCESS_ID__INIT;
    e.process = who(tree, 12, 2000000007, &arena);
    e.kind_case = TIERCEL__EVENT__KIND_FORK;
    e.fork = &fork;
    fork.child = &child;
    child.pid = 16;
    child.start = 4000000999;
    assert_int_equal(tree_apply(tree, &e, &arena), 0);
    assert_int_equal(child.start, 4000000007); // one spelling of each identity
    expect(tree, 16, 400, "web", 2, 12);
    tree_free(tree);
    arena_done(&arena);
}

// A child of ours that has put a socket in place of its input, as a payload does before it runs a shell.
static pid_t child_on_socket(int *ret_end)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char byte = 1;
        close(pair[0]);
        if (dup2(pair[1], 0) < 0 || chdir("/usr") < 0 || write(0, &byte, 1) != 1)
            _exit(1);
        _exit(read(0, &byte, 1) == 1); // until the other end closes
    }
    close(pair[1]);
    char ready;
    assert_true(pid > 0 && read(pair[0], &ready, 1) == 1);
    *ret_end = pair[0];
    return pid;
}

static void test_seed_and_preview_on_this_machine(void **state)
{
    (void)state;
    int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), end;
    struct env here = env_real(proc);
    struct tree *tree;
    struct arena arena = {0};
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self);
    assert_int_equal(tree_new(&here, &tree), 0);
    assert_true(tree_seed(tree) > 0);
    Tiercel__ProcessId id;
    assert_true(tree_find(tree, (uint32_t)getpid(), &id));
    pid_t child = child_on_socket(&end); // its fork is not told
    Tiercel__Event e = TIERCEL__EVENT__INIT;
    Tiercel__Exec exec = TIERCEL__EXEC__INIT;
    Tiercel__Process p = TIERCEL__PROCESS__INIT;
    Tiercel__File image = TIERCEL__FILE__INIT;
    Tiercel__ProcessId child_id = TIERCEL__PROCESS_ID__INIT;
    child_id.pid = (uint32_t)child;
    image.has_path = true;
    image.path = bytes_of(STR("/bin/sh"));
    e.kind_case = TIERCEL__EVENT__KIND_EXEC;
    e.exec = &exec;
    e.process = &p;
    p.id = &child_id;
    p.image = &image;
    assert_int_equal(tree_preview(tree, &e, &arena), 0);
    assert_int_equal(p.parent->pid, getpid());
    assert_true(str_eq(str_of(e.parent->image->path), (struct str){self, (size_t)n}));
    assert_true(str_eq(str_of(exec.previous_image), (struct str){self, (size_t)n}));
    assert_true(str_eq(str_of(p.directory), STR("/usr")));
    assert_int_equal(p.descriptors[0], TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_SOCKET);
    assert_int_equal(p.credentials->euid, geteuid());
    assert_non_null(p.lineage);
    close(end);
    assert_int_equal(waitpid(child, NULL, 0), child);
    tree_free(tree);
    arena_done(&arena);
    close(proc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seed_gives_lineages_to_what_ran_before),
        cmocka_unit_test(test_seed_lookup_of_a_process_whose_fork_was_lost),
        cmocka_unit_test(test_seed_fork_told_late_gives_the_right_parent),
        cmocka_unit_test(test_seed_and_preview_on_this_machine),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
