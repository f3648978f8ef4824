// SPDX-License-Identifier: Apache-2.0
// To which service and lineage a process belongs.
//
// - What an init (pid 1, a user's service manager, kthreadd) starts is a service's main process.
// - What a service forks without exec, or what execs the service's own program again, is part of the service: depth 0.
// - The first process that runs something else begins a lineage: depth 1, its children 2 and so on.
// - A lineage below a web server or database stays that whatever it runs. Below anything else a program of the role
//   table begins a service of its own (an admin's shell that starts nginx). Becoming ssh, cron, console, container or
//   package needs root and a system folder, because these roles are trusted with more.
// - A container's first process is a service of role container until it turns out to be a web server or the like.
#include "enrich/cgroup.h"
#include "enrich/node.h"
#include "enrich/role.h"

#include <stdlib.h>

#define SERVICES_QUOTA 4096

struct service_name { // the service that was last started in a control group
    struct group *group;
    size_t n;
    char path[];
};

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static const char *own_role(const struct program *p)
{
    return p ? role_of(p->path, p->argv, p->argc) : NULL;
}

static bool same_argv(const struct program *a, const struct program *b)
{
    if (a->argc != b->argc)
        return false;
    for (size_t i = 0; i < a->argc; i++)
        if (!str_eq(a->argv[i], b->argv[i]))
            return false;
    return true;
}

static void remember_service(struct tree *tree, const struct node *main, struct group *group)
{
    if (!main->cgroup_path)
        return;
    struct str path = str_from(main->cgroup_path);
    struct service_name *s = map_get(&tree->services, path);
    if (!s) {
        s = malloc(sizeof *s + path.n + 1);
        if (!s)
            return;
        s->n = path.n;
        s->group = NULL;
        memcpy(s->path, path.p, path.n + 1);
        tree->services.quota = SERVICES_QUOTA;
        if (map_put(&tree->services, (struct str){s->path, s->n}, s) < 0) {
            free(s);
            return;
        }
    }
    group_unref(tree, s->group);
    s->group = group_ref(group);
}

void lineage_done(struct tree *tree)
{
    struct map_entry *e;
    size_t position = 0;
    while ((e = map_next(&tree->services, &position))) {
        struct service_name *s = e->value;
        group_unref(tree, s->group);
        free(s);
    }
    map_done(&tree->services);
}

static void begin_service(struct tree *tree, struct node *main, const char *role, bool commit)
{
    struct group *g = calloc(1, sizeof *g);
    if (!g)
        return;
    struct str unit = main->cgroup_path ? cgroup_unit(str_from(main->cgroup_path)) : STR_NONE;
    *g = (struct group){.refs = 1,
                        .role = role,
                        .program = program_ref(main->program),
                        .unit = unit.n ? strndup(unit.p, unit.n) : NULL,
                        .main_pid = main->pid,
                        .main_start = main->start};
    g->runtime = same(role, "container") && same(own_role(main->program), "container");
    node_place(tree, main, g, NULL, 0);
    if (commit)
        remember_service(tree, main, g);
    group_unref(tree, g);
}

// Runs the service's own program again, so it is still the service: nginx's upgrade, sshd's session program.
static bool is_again(const struct group *g, const struct program *p)
{
    if (!p || !g->program)
        return false;
    if (role_interpreter(p->path))
        return str_eq(p->path, g->program->path) && same_argv(p, g->program);
    if (str_eq(p->path, g->program->path))
        return !p->memory_only && !p->deleted;
    return same(own_role(p), g->role) && role_system_path(p->path);
}

static bool weak_generic(const struct group *g)
{
    return same(g->role, "service") || (same(g->role, "container") && !g->runtime);
}

static bool node_in_container(const struct node *node)
{
    return node->cgroup_path && cgroup_container(str_from(node->cgroup_path)).n;
}

// A program of the table inside a lineage (or a generic service) that gives way to it.
static bool nested_service(struct tree *tree, struct node *node, const char *own, bool commit)
{
    if (!own || role_strong(node->group->role))
        return false;
    if (role_strong(own)) {
        begin_service(tree, node, own, commit);
        return true;
    }
    if (!node->has_credentials || node->euid != 0)
        return false;
    // Root of a container puts any program at any path there: a name earns no trust.
    if (same(node->group->role, "container") || node_in_container(node))
        return false;
    if (same(own, "agent")) {
        begin_service(tree, node, own, commit);
        return true;
    }
    if (!role_system_path(node->program->path) || same(own, node->group->role))
        return false;
    if (same(own, "package")) {
        // Not a service: the installation is a lineage of its own, which begins with the package manager itself.
        begin_service(tree, node, own, false);
        node_place(tree, node, node->group, node, 1);
        return true;
    }
    begin_service(tree, node, own, commit);
    return true;
}

void lineage_forked(struct tree *tree, struct node *child)
{
    const struct node *parent = child->parent;
    if (!parent || parent->init) {
        node_place(tree, child, NULL, NULL, 0);
        return;
    }
    bool part = parent->depth == 0;
    node_place(tree, child, parent->group, part ? NULL : parent, part ? 0 : parent->depth + 1);
}

static void service_part_executed(struct tree *tree, struct node *node, bool commit)
{
    struct group *g = node->group;
    const char *own = own_role(node->program);
    bool main = g->main_pid == node->pid && g->main_start == node->start;
    if (g->runtime && !same(own, "container")) {
        begin_service(tree, node, role_strong(own) ? own : "container", commit);
        return;
    }
    if (weak_generic(g)) {
        if (nested_service(tree, node, own, commit))
            return;
        if (main) {
            begin_service(tree, node, g->role,
                          commit); // a start script that goes on as something else
            return;
        }
    } else if (is_again(g, node->program)) {
        return;
    }
    node_place(tree, node, g, node, 1);
    nested_service(tree, node, own, commit);
}

void lineage_adopt(struct tree *tree, struct node *node)
{
    struct group *g = calloc(1, sizeof *g);
    if (!g)
        return;
    *g = (struct group){.refs = 1, .role = "web"};
    node_place(tree, node, g, node, 1);
    group_unref(tree, g);
}

// systemd --user starts services as pid 1 does.
static bool user_manager(const struct node *node)
{
    const struct program *p = node->program;
    return p && node->parent && node->parent->pid == 1 &&
           str_eq(str_basename(p->path), STR("systemd")) && p->argc > 1 &&
           str_eq(p->argv[1], STR("--user"));
}

// What a process that an init started is, when the table does not know its program.
static const char *started_as(const struct node *node)
{
    struct str unit = node->cgroup_path ? cgroup_unit(str_from(node->cgroup_path)) : STR_NONE;
    if (node->parent->pid == 2)
        return "kernel";
    // What is left of a login (tmux, nohup) when its shell is gone; no init starts anything there by itself.
    return str_starts(unit, STR("session-")) && str_ends(unit, STR(".scope")) ? "ssh" : "service";
}

void lineage_executed(struct tree *tree, struct node *node, bool commit)
{
    const char *own = own_role(node->program);
    if (user_manager(node))
        node->init = true;
    if (node->init)
        return;
    if (!node->group) {
        if (node->parent && node->parent->init)
            begin_service(tree, node, own ? own : started_as(node), commit);
        else if (own && !same(own, "package"))
            begin_service(tree, node, own, commit); // its ancestors are not known
        return;
    }
    if (node->depth == 0)
        service_part_executed(tree, node, commit);
    else
        nested_service(tree, node, own, commit);
}

// A process below pid 1 that was started earlier by somebody else has lost its parent; its control group still says
// whose it was.
static bool lost_its_parent(struct tree *tree, struct node *node)
{
    if (!node->cgroup_path || node->pid == 1)
        return false;
    const struct service_name *s = map_get(&tree->services, str_from(node->cgroup_path));
    if (!s || s->group->parts == 0 || (s->group->main_pid == node->pid))
        return false;
    struct str unit = cgroup_unit(str_from(node->cgroup_path));
    if (!str_ends(unit, STR(".service")) && !str_ends(unit, STR(".scope")))
        return false; // a machine without units: everything shares one group
    struct group *g = s->group;
    node_place(tree, node, g, NULL, 0);
    if (!is_again(g, node->program))
        node_place(tree, node, g, node, 1);
    return true;
}

void lineage_found(struct tree *tree, struct node *node)
{
    const struct node *parent = node->parent;
    if (!parent || (parent->init && parent->pid != 2)) {
        if (!node->init && lost_its_parent(tree, node))
            return;
    }
    lineage_forked(tree, node);
    if (!parent || !parent->program || !node->program) {
        lineage_executed(tree, node, true);
        return;
    }
    // Same file: forked. An interpreter may have run another script since; its arguments tell.
    bool forked =
        str_eq(parent->program->path, node->program->path) &&
        (!role_interpreter(node->program->path) || same_argv(parent->program, node->program));
    if (!forked)
        lineage_executed(tree, node, true);
}
