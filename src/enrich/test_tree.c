// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"
#include "base/test.h"
#include "enrich/node.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t clock_of(const struct env *env)
{
    return *(uint64_t *)env->context;
}

struct world {
    uint64_t now;
    struct env env;
    struct tree *tree;
    struct arena arena;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    w->now = 1000000000;
    w->env = (struct env){clock_of, clock_of, NULL, -1, &w->now};
    *state = w;
    return tree_new(&w->env, &w->tree);
}

static int tear_down(void **state)
{
    struct world *w = *state;
    tree_free(w->tree);
    arena_done(&w->arena);
    free(w);
    return 0;
}

static Tiercel__ProcessId *id_of(struct world *w, uint32_t pid)
{
    Tiercel__ProcessId *id = arena_alloc(&w->arena, sizeof *id);
    tiercel__process_id__init(id);
    id->pid = pid;
    id->start = pid * 1000000000ull + 123; // a pid is used once in most tests
    return id;
}

static Tiercel__Event *event_of(struct world *w, uint32_t pid)
{
    Tiercel__Event *e = arena_alloc(&w->arena, sizeof *e);
    Tiercel__Process *p = arena_alloc(&w->arena, sizeof *p);
    tiercel__event__init(e);
    tiercel__process__init(p);
    p->id = id_of(w, pid);
    e->has_time = true;
    e->time = w->now;
    e->process = p;
    return e;
}

static Tiercel__Event *fork_of(struct world *w, uint32_t parent, uint32_t child)
{
    Tiercel__Event *e = event_of(w, parent);
    e->kind_case = TIERCEL__EVENT__KIND_FORK;
    e->fork = arena_alloc(&w->arena, sizeof *e->fork);
    tiercel__fork__init(e->fork);
    e->fork->child = id_of(w, child);
    assert_int_equal(tree_apply(w->tree, e, &w->arena), 0);
    return e;
}

// argv from one text, split at blanks; argv[0] is the image's path.
static Tiercel__Event *exec_event(struct world *w, uint32_t pid, uint32_t euid, const char *command)
{
    Tiercel__Event *e = event_of(w, pid);
    Tiercel__Process *p = e->process;
    e->kind_case = TIERCEL__EVENT__KIND_EXEC;
    e->exec = arena_alloc(&w->arena, sizeof *e->exec);
    tiercel__exec__init(e->exec);
    p->image = arena_alloc(&w->arena, sizeof *p->image);
    tiercel__file__init(p->image);
    p->argv = arena_array(&w->arena, ProtobufCBinaryData, 16);
    struct str rest = str_from(command), piece;
    while (p->n_argv < 16 && str_split(&rest, ' ', &piece))
        p->argv[p->n_argv++] = bytes_of(piece);
    p->image->has_path = true;
    p->image->path = p->argv[0];
    p->credentials = arena_alloc(&w->arena, sizeof *p->credentials);
    tiercel__credentials__init(p->credentials);
    p->credentials->has_uid = p->credentials->has_euid = true;
    p->credentials->uid = p->credentials->euid = euid;
    return e;
}

static Tiercel__Event *exec_of(struct world *w, uint32_t pid, uint32_t euid, const char *command)
{
    Tiercel__Event *e = exec_event(w, pid, euid, command);
    assert_int_equal(tree_apply(w->tree, e, &w->arena), 0);
    return e;
}

static void exit_of(struct world *w, uint32_t pid)
{
    Tiercel__Event *e = event_of(w, pid);
    e->kind_case = TIERCEL__EVENT__KIND_EXIT;
    e->exit = arena_alloc(&w->arena, sizeof *e->exit);
    tiercel__exit__init(e->exit);
    assert_int_equal(tree_apply(w->tree, e, &w->arena), 0);
}

static void start(struct world *w, uint32_t parent, uint32_t child, uint32_t euid,
                  const char *command)
{
    fork_of(w, parent, child);
    exec_of(w, child, euid, command);
}

static Tiercel__Process *who(struct world *w, uint32_t pid)
{
    Tiercel__Event *e = event_of(w, pid);
    e->kind_case = TIERCEL__EVENT__KIND_CONNECT;
    e->connect = arena_alloc(&w->arena, sizeof *e->connect);
    tiercel__connect__init(e->connect);
    assert_int_equal(tree_apply(w->tree, e, &w->arena), 0);
    return e->process;
}

static void expect(struct world *w, uint32_t pid, const char *role, uint32_t depth, uint32_t root)
{
    const Tiercel__Lineage *l = who(w, pid)->lineage;
    assert_non_null(l);
    assert_string_equal(l->role, role);
    assert_int_equal(l->depth, depth);
    assert_int_equal(l->root ? l->root->pid : 0, root);
}

static void boot(struct world *w)
{
    exec_of(w, 1, 0, "/usr/lib/systemd/systemd");
    start(w, 1, 10, 0, "/usr/sbin/php-fpm8.2 --nodaemonize");
    fork_of(w, 10, 11); // a worker
}

static void test_tree_worker_is_service_and_its_shell_begins_a_lineage(void **state)
{
    struct world *w = *state;
    boot(w);
    expect(w, 10, "web", 0, 0);
    expect(w, 11, "web", 0, 0);
    fork_of(w, 11, 12);
    expect(w, 12, "web", 0, 0); // nothing else runs yet
    exec_of(w, 12, 33, "/bin/sh -c id");
    expect(w, 12, "web", 1, 12);
    start(w, 12, 13, 33, "/usr/bin/id");
    expect(w, 13, "web", 2, 12);
    const Tiercel__Process *p = who(w, 13);
    assert_true(str_eq(str_of(p->lineage->service), STR("/usr/sbin/php-fpm8.2")));
    assert_int_equal(p->parent->pid, 12);
    // Two requests are two lineages.
    start(w, 11, 14, 33, "/bin/sh -c id");
    expect(w, 14, "web", 1, 14);
}

static void test_tree_web_lineage_stays_web_whatever_it_runs(void **state)
{
    struct world *w = *state;
    boot(w);
    start(w, 11, 12, 0, "/bin/sh");
    const char *programs[] = {"/usr/sbin/sshd",  "/usr/sbin/cron",  "/usr/bin/dpkg -i x",
                              "/bin/login",      "/tmp/tierceld",   "/usr/bin/runc",
                              "/usr/sbin/nginx", "/usr/sbin/mysqld"};
    for (uint32_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        start(w, 12, 20 + i, 0, programs[i]);
        expect(w, 20 + i, "web", 2, 12);
        assert_int_equal(tree_flags(w->tree, id_of(w, 20 + i)), TREE_SERVICE);
    }
}

static void test_tree_worker_that_turns_into_something_else(void **state)
{
    struct world *w = *state;
    boot(w);
    exec_of(w, 11, 33, "/usr/sbin/php-fpm8.2 again"); // a restart in place
    expect(w, 11, "web", 0, 0);
    exec_of(w, 11, 33, "/tmp/php-fpm8.2");
    expect(w, 11, "web", 1, 11);
    // The main process itself is no better.
    exec_of(w, 10, 33, "/bin/bash -i");
    expect(w, 10, "web", 1, 10);
}

static void test_tree_interpreter_as_server_is_known_by_its_arguments(void **state)
{
    struct world *w = *state;
    exec_of(w, 1, 0, "/sbin/init");
    start(w, 1, 10, 33, "/usr/bin/python3.11 -m http.server");
    fork_of(w, 10, 11);
    exec_of(w, 11, 33, "/usr/bin/python3.11 -m http.server");
    expect(w, 11, "web", 0, 0);
    fork_of(w, 10, 12);
    exec_of(w, 12, 33, "/usr/bin/python3.11 -m http.server 4444");
    expect(w, 12, "web", 1, 12);
}

static void test_tree_ssh_session_package_manager_and_nested_service(void **state)
{
    struct world *w = *state;
    exec_of(w, 1, 0, "/sbin/init");
    start(w, 1, 20, 0, "/usr/sbin/sshd -D");
    fork_of(w, 20, 21);
    exec_of(w, 21, 0, "/usr/lib/openssh/sshd-session -R");
    expect(w, 21, "ssh", 0, 0);
    start(w, 21, 22, 0, "/bin/bash -l");
    expect(w, 22, "ssh", 1, 22);
    start(w, 22, 23, 0, "/usr/bin/apt-get install x");
    expect(w, 23, "package", 1, 23);
    start(w, 23, 24, 0, "/usr/bin/dpkg --configure");
    expect(w, 24, "package", 2, 23);
    start(w, 22, 25, 1000, "/usr/bin/apt list"); // not root: trusted with nothing
    expect(w, 25, "ssh", 2, 22);
    start(w, 22, 26, 0, "/tmp/dpkg"); // not the system's
    expect(w, 26, "ssh", 2, 22);
    start(w, 22, 27, 0, "/usr/sbin/nginx");
    expect(w, 27, "web", 0, 0);
    start(w, 27, 28, 0, "/bin/sh");
    expect(w, 28, "web", 1, 28);
}

static void test_tree_container(void **state)
{
    struct world *w = *state;
    exec_of(w, 1, 0, "/sbin/init");
    start(w, 1, 30, 0, "/usr/bin/containerd");
    start(w, 30, 31, 0, "/usr/bin/containerd-shim-runc-v2 -id x");
    start(w, 31, 32, 0, "/usr/bin/runc init");
    exec_of(w, 32, 0, "/docker-entrypoint.sh"); // the container's first process
    expect(w, 32, "container", 0, 0);
    start(w, 32, 33, 0, "/usr/bin/find /etc");
    expect(w, 33, "container", 1, 33);
    exec_of(w, 32, 0, "/usr/sbin/nginx -g x");
    expect(w, 32, "web", 0, 0);
    start(w, 32, 34, 0, "/bin/sh");
    expect(w, 34, "web", 1, 34);
}

static void test_tree_original_parent_after_reparenting(void **state)
{
    struct world *w = *state;
    boot(w);
    start(w, 11, 12, 33, "/bin/sh -c x");
    fork_of(w, 12, 13);
    exit_of(w, 12); // 13 is now a child of init, for the kernel
    Tiercel__Event *e = exec_of(w, 13, 33, "/tmp/x");
    assert_int_equal(e->process->parent->pid, 12);
    assert_true(str_eq(str_of(e->parent->image->path), STR("/bin/sh")));
    expect(w, 13, "web", 2, 12);
    // Much later the parent has been let go from the table; its child remembers it.
    w->now += 120ull * 1000000000;
    e = exec_of(w, 13, 33, "/tmp/y");
    assert_int_equal(tree_stats(w->tree).dead, 0);
    assert_true(str_eq(str_of(e->parent->image->path), STR("/bin/sh")));
    assert_true(str_eq(str_of(e->exec->previous_image), STR("/tmp/x")));
}

static void test_tree_container_root_earns_no_trust_by_a_name(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {"/usr/sbin/sshd", "/usr/sbin/tierceld", "/usr/sbin/cron"};
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t shim = 200 + 10 * i;
        fork_of(w, 1, shim);
        exec_of(w, shim, 0, "/usr/bin/containerd-shim-runc-v2");
        fork_of(w, shim, shim + 1);
        Tiercel__Event *e = exec_of(w, shim + 1, 0, names[i]);
        assert_string_equal(e->process->lineage->role, "container");
        fork_of(w, shim + 1, shim + 2);
        exec_of(w, shim + 2, 0, "/bin/sh -c x");
        e = exec_of(w, shim + 2, 0, names[(i + 1) % 3]);
        assert_string_equal(e->process->lineage->role, "container");
        assert_int_equal(tree_flags(w->tree, id_of(w, shim + 2)) & TREE_AGENT, 0);
    }
}

static void test_tree_orphan_of_a_web_server_after_a_restart(void **state)
{
    struct world *w = *state;
    fork_of(w, 1, 70); // as a tree begun anew sees an orphan: a child of init
    exec_of(w, 70, 33, "/usr/bin/python3 x.py");
    assert_string_equal(fork_of(w, 70, 71)->process->lineage->role, "service");
    tree_remind(w->tree, event_of(w, 71), &w->arena); // but the kernel's flags say otherwise
    Tiercel__Event *e = exec_of(w, 71, 33, "/usr/bin/whoami");
    assert_string_equal(e->process->lineage->role, "web");
    assert_int_equal(e->process->lineage->depth, 1);
    assert_int_equal(tree_flags(w->tree, id_of(w, 71)) & TREE_SERVICE, TREE_SERVICE);
    e = fork_of(w, 71, 72);
    assert_string_equal(exec_of(w, 72, 0, "/usr/sbin/sshd")->process->lineage->role, "web");
    // What the tree knows better stays, and so does a child of the agent that the sensor flags to try a denial.
    fork_of(w, 1, 85);
    exec_of(w, 85, 0, "/usr/sbin/tierceld -x sensor");
    fork_of(w, 85, 86);
    tree_remind(w->tree, event_of(w, 86), &w->arena);
    assert_string_equal(exec_of(w, 86, 0, "/usr/bin/true")->process->lineage->role, "agent");
    fork_of(w, 1, 80);
    exec_of(w, 80, 0, "/usr/sbin/mariadbd");
    tree_remind(w->tree, event_of(w, 80), &w->arena);
    e = fork_of(w, 80, 81);
    assert_string_equal(e->process->lineage->role, "database");
    assert_int_equal(e->process->lineage->depth, 0);
}

static void test_tree_pid_used_again(void **state)
{
    struct world *w = *state;
    boot(w);
    start(w, 11, 12, 33, "/bin/sh");
    exit_of(w, 12);
    Tiercel__Event *e = event_of(w, 1);
    e->kind_case = TIERCEL__EVENT__KIND_FORK;
    e->fork = arena_alloc(&w->arena, sizeof *e->fork);
    tiercel__fork__init(e->fork);
    e->fork->child = id_of(w, 12);
    e->fork->child->start += 5000000000;
    assert_int_equal(tree_apply(w->tree, e, &w->arena), 0);
    e = exec_event(w, 12, 0, "/usr/bin/new");
    e->process->id->start += 5000000000;
    assert_int_equal(tree_apply(w->tree, e, &w->arena), 0);
    assert_string_equal(e->process->lineage->role, "service");
    // A late event of the first one still finds it.
    expect(w, 12, "web", 1, 12);
}

static char *packed(const Tiercel__Event *e)
{
    size_t n = tiercel__event__get_packed_size(e);
    char *p = calloc(1, n * 2 + 1);
    uint8_t *raw = malloc(n + 1);
    tiercel__event__pack(e, raw);
    for (size_t i = 0; i < n; i++)
        snprintf(p + 2 * i, 3, "%02x", raw[i]);
    free(raw);
    return p;
}

// What the gate is asked about must look exactly like the exec that follows.
static void test_tree_preview_equals_the_exec_that_follows(void **state)
{
    struct world *w = *state;
    static const struct {
        uint32_t from, pid;
        const char *before, *command;
    } cases[] = {
        {11, 40, NULL, "/bin/sh -c id"},          // a worker's child
        {11, 41, "/bin/sh -c id", "/usr/bin/id"}, // exec without fork
        {41, 42, NULL, "/usr/bin/id -u"},         // fork and exec
        {1, 43, NULL, "/usr/sbin/mariadbd"},      // a new service
        {43, 44, NULL, "/bin/sh -c dump"},
        {10, 45, NULL, "/usr/sbin/php-fpm8.2 again"},     // the service again
        {1, 46, "/bin/sh /etc/start", "/usr/sbin/nginx"}, // a start script
        {46, 47, "/bin/sh", "/usr/bin/dpkg -i x"},
    };
    boot(w);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fork_of(w, cases[i].from, cases[i].pid);
        if (cases[i].before)
            exec_of(w, cases[i].pid, 33, cases[i].before);
        Tiercel__Event *asked = exec_event(w, cases[i].pid, 33, cases[i].command);
        assert_int_equal(tree_preview(w->tree, asked, &w->arena), 0);
        // Asking changed nothing: a second question gets the same answer.
        Tiercel__Event *again = exec_event(w, cases[i].pid, 33, cases[i].command);
        assert_int_equal(tree_preview(w->tree, again, &w->arena), 0);
        Tiercel__Event *done = exec_of(w, cases[i].pid, 33, cases[i].command);
        char *a = packed(asked), *b = packed(again), *c = packed(done);
        assert_string_equal(a, c);
        assert_string_equal(a, b);
        free(a);
        free(b);
        free(c);
    }
}

// The gate completes without directory and descriptors, and puts them there only where they are needed.
static void test_tree_preview_unlooked_leaves_what_is_looked_at_later(void **state)
{
    struct world *w = *state;
    boot(w);
    fork_of(w, 11, 40);
    exec_of(w, 40, 33, "/bin/sh");
    Tiercel__Event *first = exec_event(w, 40, 33, "/bin/sh");
    first->process->has_directory = true;
    first->process->directory = bytes_of(STR("/before"));
    first->process->n_descriptors = 3;
    first->process->descriptors = arena_array(&w->arena, Tiercel__DescriptorKind, 3);
    assert_int_equal(tree_apply(w->tree, first, &w->arena), 0);
    Tiercel__Event *asked = exec_event(w, 40, 33, "/usr/bin/id");
    Tiercel__Event *looked = exec_event(w, 40, 33, "/usr/bin/id");
    assert_int_equal(tree_preview_unlooked(w->tree, asked, &w->arena), 0);
    assert_false(asked->process->has_directory); // not that of the program before
    assert_int_equal(asked->process->n_descriptors, 0);
    looked->process->has_directory = true;
    looked->process->directory = bytes_of(STR("/now"));
    looked->process->n_descriptors = 3;
    looked->process->descriptors = first->process->descriptors;
    assert_int_equal(tree_preview(w->tree, looked, &w->arena), 0);
    asked->process->has_directory = true;
    asked->process->directory = looked->process->directory;
    asked->process->n_descriptors = 3;
    asked->process->descriptors = looked->process->descriptors;
    char *a = packed(asked), *b = packed(looked);
    assert_string_equal(a, b);
    free(a);
    free(b);
}

static void test_tree_preview_of_a_set_user_id_file(void **state)
{
    struct world *w = *state;
    boot(w);
    fork_of(w, 11, 12);
    Tiercel__Event *e = exec_event(w, 12, 33, "/usr/bin/sudo");
    e->process->image->has_mode = e->process->image->has_owner = true;
    e->process->image->mode = 0104755;
    assert_int_equal(tree_preview(w->tree, e, &w->arena), 0);
    assert_int_equal(e->process->credentials->euid, 0);
    assert_int_equal(e->process->credentials->uid, 33);
}

static void test_tree_denied_exec_changes_nothing(void **state)
{
    struct world *w = *state;
    boot(w);
    fork_of(w, 11, 12);
    Tiercel__Event *e = exec_event(w, 12, 33, "/bin/sh -c id");
    e->exec->has_denied = e->exec->denied = true;
    assert_int_equal(tree_apply(w->tree, e, &w->arena), 0);
    assert_string_equal(e->process->lineage->role, "web");
    assert_int_equal(e->process->lineage->depth, 1);
    expect(w, 12, "web", 0, 0); // still the worker's child
    assert_true(str_eq(str_of(who(w, 12)->image->path), STR("/usr/sbin/php-fpm8.2")));
}

static void test_tree_chain_and_members(void **state)
{
    struct world *w = *state;
    boot(w);
    start(w, 11, 12, 33, "/bin/sh");
    start(w, 12, 13, 33, "/usr/bin/perl");
    start(w, 12, 14, 33, "/usr/bin/cat");
    start(w, 11, 15, 33, "/bin/sh");
    exit_of(w, 14);
    Tiercel__Process **chain;
    assert_int_equal(tree_chain(w->tree, id_of(w, 13), &w->arena, &chain), 4);
    const uint32_t want[] = {10, 11, 12, 13};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(chain[i]->id->pid, want[i]);
    Tiercel__ProcessId **members;
    assert_int_equal(tree_lineage(w->tree, id_of(w, 13), &w->arena, &members), 2);
    for (size_t i = 0; i < 2; i++)
        assert_true(members[i]->pid == 12 || members[i]->pid == 13);
    assert_int_equal(tree_lineage(w->tree, id_of(w, 11), &w->arena, &members),
                     0); // never the service
}

static void test_tree_is_bounded(void **state)
{
    struct world *w = *state;
    w->tree->quota = 8;
    boot(w); // 3
    start(w, 11, 12, 33, "/bin/sh");
    for (uint32_t i = 0; i < 3; i++) {
        start(w, 12, 20 + i, 33, "/usr/bin/id");
        exit_of(w, 20 + i);
    }
    start(w, 12, 30, 33, "/usr/bin/id"); // 8
    start(w, 12, 31, 33, "/usr/bin/id"); // the oldest dead goes
    assert_int_equal(tree_stats(w->tree).processes, 8);
    assert_int_equal(tree_stats(w->tree).dead, 2);
    assert_int_equal(tree_stats(w->tree).refused, 0);
    for (uint32_t i = 32; i < 40; i++)
        fork_of(w, 12, i);
    assert_int_equal(tree_stats(w->tree).processes, 8);
    assert_true(tree_stats(w->tree).refused > 0);
    expect(w, 12, "web", 1, 12);
    // What was refused is still judged by the parent that its event names.
    Tiercel__Event *e = exec_event(w, 39, 33, "/usr/bin/id");
    e->process->parent = id_of(w, 12);
    assert_int_equal(tree_apply(w->tree, e, &w->arena), 0);
    assert_string_equal(e->process->lineage->role, "web");
}

static void test_tree_long_fork_chain_is_let_go(void **state)
{
    struct world *w = *state;
    boot(w);
    start(w, 11, 100, 33, "/bin/sh");
    for (uint32_t i = 100; i < 2000; i++) {
        fork_of(w, i, i + 1);
        exit_of(w, i);
        w->now += 1000000000;
    }
    expect(w, 2000, "web", 1901, 100);
    assert_true(tree_stats(w->tree).processes < 80);
}

static void test_tree_survives_hostile_order(void **state)
{
    struct world *w = *state;
    exit_of(w, 50);
    exec_of(w, 50, 0, "/bin/x");
    fork_of(w, 50, 50);
    fork_of(w, 51, 50);
    fork_of(w, 50, 51);
    fork_of(w, 50, 51);
    exit_of(w, 51);
    exit_of(w, 51);
    Tiercel__Event *e = event_of(w, 51);
    e->kind_case = TIERCEL__EVENT__KIND_FORK;
    e->fork = arena_alloc(&w->arena, sizeof *e->fork);
    tiercel__fork__init(e->fork);
    assert_int_equal(tree_apply(w->tree, e, &w->arena), 0); // no child named
    Tiercel__Event loss = TIERCEL__EVENT__INIT;
    assert_int_equal(tree_apply(w->tree, &loss, &w->arena), 0); // no process
    assert_string_equal(who(w, 50)->lineage->role, "none");
}

static void test_tree_target_of_an_access_is_described(void **state)
{
    struct world *w = *state;
    boot(w);
    start(w, 1, 700, 33, "/usr/sbin/nginx -g daemon");
    start(w, 1, 701, 0, "/usr/bin/gdb -p 700");
    Tiercel__Event *e = event_of(w, 701);
    Tiercel__ProcessAccess access = TIERCEL__PROCESS_ACCESS__INIT;
    Tiercel__Process target = TIERCEL__PROCESS__INIT;
    e->kind_case = TIERCEL__EVENT__KIND_ACCESS;
    e->access = &access;
    access.target = &target;
    target.id = id_of(w, 700);
    assert_int_equal(tree_apply(w->tree, e, &w->arena), 0);
    assert_true(str_eq(str_of(target.image->path), STR("/usr/sbin/nginx")));
    assert_int_equal(target.credentials->euid, 33);
    assert_string_equal(target.lineage->role, "web");
    assert_int_equal(target.n_argv, 0);
    assert_true(str_eq(str_of(e->process->image->path), STR("/usr/bin/gdb")));

    Tiercel__Process unknown = TIERCEL__PROCESS__INIT;
    unknown.id = id_of(w, 4711);
    tree_describe(w->tree, &unknown, &w->arena);
    assert_null(unknown.image);
}

static void test_tree_changed_credentials_hold_from_the_next_event_on(void **state)
{
    struct world *w = *state;
    boot(w);
    start(w, 1, 800, 1000, "/tmp/exploit");
    Tiercel__Event *e = event_of(w, 800);
    Tiercel__CredentialChange change = TIERCEL__CREDENTIAL_CHANGE__INIT;
    Tiercel__Credentials new = TIERCEL__CREDENTIALS__INIT;
    e->kind_case = TIERCEL__EVENT__KIND_CREDENTIALS;
    e->credentials = &change;
    change.new_ = &new;
    new.has_uid = new.has_gid = new.has_euid = new.has_egid = true;
    assert_int_equal(tree_apply(w->tree, e, &w->arena), 0);
    assert_int_equal(e->process->credentials->euid, 1000);
    assert_int_equal(who(w, 800)->credentials->euid, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_tree_worker_is_service_and_its_shell_begins_a_lineage),
        T(test_tree_web_lineage_stays_web_whatever_it_runs),
        T(test_tree_worker_that_turns_into_something_else),
        T(test_tree_interpreter_as_server_is_known_by_its_arguments),
        T(test_tree_ssh_session_package_manager_and_nested_service),
        T(test_tree_container),
        T(test_tree_target_of_an_access_is_described),
        T(test_tree_changed_credentials_hold_from_the_next_event_on),
        T(test_tree_original_parent_after_reparenting),
        T(test_tree_orphan_of_a_web_server_after_a_restart),
        T(test_tree_container_root_earns_no_trust_by_a_name),
        T(test_tree_pid_used_again),
        T(test_tree_preview_equals_the_exec_that_follows),
        T(test_tree_preview_unlooked_leaves_what_is_looked_at_later),
        T(test_tree_preview_of_a_set_user_id_file),
        T(test_tree_denied_exec_changes_nothing),
        T(test_tree_chain_and_members),
        T(test_tree_is_bounded),
        T(test_tree_long_fork_chain_is_let_go),
        T(test_tree_survives_hostile_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
