// SPDX-License-Identifier: Apache-2.0
// The parent of an exec, for ParentImage: Sigma's parent is the process that created this one, whatever this one ran
// before. So both an exec that happened and one that is only asked about have the caller's *creator* as parent, with
// the program which that runs now; what the caller itself ran until then is PreviousImage. A shell that forks and then
// runs `id` in the child: parent = the shell. `sh -c id` that turns into `id` without fork: parent = who started sh.
#include "enrich/tree.h"

#include "enrich/node.h"
#include "enrich/proc.h"
#include "enrich/role.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PASSWD "/etc/passwd"
#define CLOSING_NS 1000000000ull // between a process's end and its last file's close

int tree_new(const struct env *env, struct tree **ret)
{
    struct tree *tree = calloc(1, sizeof *tree);
    if (!tree)
        return -ENOMEM;
    tree->env = env;
    tree->quota = NODE_QUOTA;
    tree->spare.refs = 1;
    // Where no /proc may be asked (replay), this machine's users mean nothing either.
    if (env->proc_fd >= 0 && users_new(PASSWD, &tree->users) < 0) {
        free(tree);
        return -ENOMEM;
    }
    *ret = tree;
    return 0;
}

struct tree *tree_free(struct tree *tree)
{
    if (tree) {
        node_free_all(tree);
        lineage_done(tree);
        lookup_done(tree);
        users_free(tree->users);
        free(tree);
    }
    return NULL;
}

// A process that nobody told of and /proc does not show any more: what the event itself says.
static struct node *from_event(struct tree *tree, const Tiercel__Process *p, struct arena *arena)
{
    struct node *parent =
        p->parent && p->parent->pid ? lookup(tree, p->parent->pid, p->parent->start, arena) : NULL;
    if (parent == &tree->spare)
        parent = NULL;
    struct node *node = node_add(tree, p->id->pid, p->id->start);
    node->init = p->id->pid == 1 || p->id->pid == 2;
    if (p->image)
        node->program = program_new(tree, p);
    node_learn(tree, node, p);
    lookup_cgroup(tree, node, p, ASK_NEVER); // the pid may be another's by now
    node_set_parent(tree, node, parent);
    lineage_found(tree, node);
    return node;
}

static struct node *acting(struct tree *tree, const Tiercel__Process *p, struct arena *arena)
{
    struct node *node = lookup(tree, p->id->pid, p->id->start, arena);
    return node ? node : from_event(tree, p, arena);
}

static void inherit(struct tree *tree, struct node *child, const struct node *parent)
{
    child->program = program_ref(parent->program);
    child->cgroup_path = parent->cgroup_path ? strdup(parent->cgroup_path) : NULL;
    child->cgroup = parent->cgroup;
    child->has_cgroup = parent->has_cgroup;
    child->uid = parent->uid;
    child->gid = parent->gid;
    child->euid = parent->euid;
    child->egid = parent->egid;
    child->login_uid = parent->login_uid;
    child->capabilities = parent->capabilities;
    child->has_credentials = parent->has_credentials;
    child->has_login_uid = parent->has_login_uid;
    child->has_capabilities = parent->has_capabilities;
    child->has_descriptors = parent->has_descriptors;
    memcpy(child->descriptors, parent->descriptors, sizeof child->descriptors);
    memcpy(child->name, parent->name, sizeof child->name);
    (void)tree;
    char *directory = parent->directory.n ? malloc(parent->directory.n) : NULL;
    if (directory) {
        memcpy(directory, parent->directory.p, parent->directory.n);
        child->directory = (struct str){directory, parent->directory.n};
    }
}

static void apply_fork(struct tree *tree, struct node *parent, Tiercel__Event *event)
{
    Tiercel__ProcessId *id = event->fork->child;
    if (!id || id->pid == 0)
        return;
    struct node *child = node_find(tree, id->pid, id->start);
    if (child && (child == parent || !child->from_proc))
        return;  // told twice
    if (child) { // looked up before its fork was told: only now is it known who made it
        node_set_parent(tree, child, parent);
        lineage_found(tree, child);
    } else {
        struct node keep = *parent; // the spare node may be both
        child = node_add(tree, id->pid, id->start);
        if (child == parent)
            return;
        inherit(tree, child, &keep);
        node_set_parent(tree, child, parent);
        lineage_forked(tree, child);
    }
    id->start = child->start;
}

static void note_exec(Tiercel__Event *event, const struct node *node, struct arena *arena)
{
    Tiercel__Exec *exec = event->exec;
    const Tiercel__File *image = event->process->image;
    if (!exec->has_previous_image && node->program && node->program->path.n) {
        exec->has_previous_image = true;
        exec->previous_image = bytes_of(arena_str(arena, node->program->path));
    }
    if (!exec->has_file_age && image && image->has_changed && event->time) {
        exec->has_file_age = true;
        exec->file_age = event->time > image->changed ? event->time - image->changed : 0;
    }
}

static int apply_exec(struct tree *tree, struct node *node, Tiercel__Event *event,
                      struct arena *arena)
{
    note_exec(event, node, arena);
    if (event->process->image) {
        struct program *program = program_new(tree, event->process);
        if (!program)
            return -ENOMEM;
        program_unref(tree, node->program);
        node->program = program;
    }
    node_learn(tree, node, event->process);
    // An init moves what it starts into its unit between fork and exec.
    lookup_cgroup(tree, node, event->process,
                  node->parent && node->parent->init ? ASK_ALWAYS : ASK_WHEN_MOVED);
    lineage_executed(tree, node, true);
    return 0;
}

// As apply_exec(), on a copy that nobody else sees.
static int preview(struct tree *tree, const struct node *node, Tiercel__Event *event, bool looked,
                   struct arena *arena)
{
    struct node copy = *node;
    copy.refs = 1;
    copy.listed = false;
    program_ref(copy.program);
    group_ref(copy.group);
    copy.cgroup_path = node->cgroup_path ? strdup(node->cgroup_path) : NULL;
    copy.directory = STR_NONE;
    copy.name[0] = 0; // changes with the exec
    copy.has_descriptors &= looked;
    if (copy.parent)
        copy.parent->refs++;
    note_exec(event, node, arena);
    int r = 0;
    if (event->process->image) {
        struct program *program = program_new(tree, event->process);
        if (program) {
            program_unref(tree, copy.program);
            copy.program = program;
        } else {
            r = -ENOMEM;
        }
    }
    node_learn(tree, &copy, event->process);
    if (looked && !copy.directory.n && node->directory.n && !event->process->has_directory) {
        event->process->has_directory = true;
        event->process->directory = bytes_of(arena_str(arena, node->directory));
    }
    lookup_cgroup(tree, &copy, event->process,
                  copy.parent && copy.parent->init ? ASK_ALWAYS : ASK_WHEN_MOVED);
    lineage_executed(tree, &copy, false);
    if (r == 0)
        r = complete_event(tree, &copy, event, arena);
    node_done(tree, &copy);
    return r;
}

// A set-user-id file changes who acts, at the exec itself; the question comes before it.
static void set_user_id(Tiercel__Event *event)
{
    const Tiercel__File *f = event->process->image;
    Tiercel__Credentials *c = event->process->credentials;
    if (f && c && f->has_mode && f->has_owner && (f->mode & S_ISUID)) {
        c->has_euid = true;
        c->euid = f->owner;
    }
}

int tree_preview(struct tree *tree, Tiercel__Event *event, struct arena *arena)
{
    if (!event->process || !event->process->id || event->kind_case != TIERCEL__EVENT__KIND_EXEC)
        return -EINVAL;
    struct node *node = acting(tree, event->process, arena);
    if (tree->env->proc_fd >= 0)
        proc_read_moment(tree->env->proc_fd, node->pid, arena, event->process);
    set_user_id(event);
    return preview(tree, node, event, true, arena);
}

int tree_preview_unlooked(struct tree *tree, Tiercel__Event *event, struct arena *arena)
{
    if (!event->process || !event->process->id || !event->process->credentials ||
        event->kind_case != TIERCEL__EVENT__KIND_EXEC)
        return tree_preview(tree, event, arena);
    struct node *node = acting(tree, event->process, arena);
    set_user_id(event);
    return preview(tree, node, event, false, arena);
}

void tree_remind(struct tree *tree, const Tiercel__Event *event, struct arena *arena)
{
    if (!event->process || !event->process->id)
        return;
    struct node *node = acting(tree, event->process, arena);
    const char *role = node->group ? node->group->role : NULL;
    bool own =
        role && strcmp(role, "agent") == 0; // the sensor flags a child of its own to try a denial
    if (!own && !role_strong(role))
        lineage_adopt(tree, node);
}

// What it does from now on, it does as somebody else.
static void apply_credentials(struct tree *tree, struct node *node,
                              const Tiercel__CredentialChange *change)
{
    Tiercel__Process now = TIERCEL__PROCESS__INIT;

    now.credentials = change->new_;
    node_learn(tree, node, &now);
}

int tree_apply(struct tree *tree, Tiercel__Event *event, struct arena *arena)
{
    int r = 0;
    if (event->time > tree->now) {
        tree->now = event->time;
        node_expire(tree);
    }
    if (!event->process || !event->process->id)
        return 0;
    struct node *node = acting(tree, event->process, arena);
    switch (event->kind_case) {
    case TIERCEL__EVENT__KIND_FORK:
        r = complete_event(tree, node, event, arena);
        apply_fork(tree, node, event);
        return r;
    case TIERCEL__EVENT__KIND_EXEC:
        if (event->exec->denied)
            return preview(tree, node, event, true, arena); // it goes on as what it was
        r = apply_exec(tree, node, event, arena);
        break;
    case TIERCEL__EVENT__KIND_EXIT:
        r = complete_event(tree, node, event, arena);
        node_died(tree, node, event->time);
        return r;
    case TIERCEL__EVENT__KIND_CREDENTIALS:
        r = complete_event(tree, node, event, arena); // as whom it acted
        apply_credentials(tree, node, event->credentials);
        return r;
    case TIERCEL__EVENT__KIND_ACCESS:
        if (event->access->target)
            tree_describe(tree, event->access->target, arena);
        break;
    case TIERCEL__EVENT__KIND_SIGNAL:
        if (event->signal->target)
            tree_describe(tree, event->signal->target, arena);
        break;
    default:
        break;
    }
    return r < 0 ? r : complete_event(tree, node, event, arena);
}

bool tree_acted(struct tree *tree, uint32_t pid, uint64_t since, uint64_t boot_to_wall,
                Tiercel__ProcessId *ret)
{
    const struct node *node = node_find(tree, pid, 0);
    if (!node)
        return false;
    // One that ended before is out of the question only after a while: files are closed after the end is told.
    const struct node *older = node->start > since ? node->older : NULL;
    if (older && (!older->dead || older->died + CLOSING_NS >= since + boot_to_wall))
        return false;
    ret->pid = node->pid;
    ret->start = node->start;
    return true;
}

struct found {
    struct node *node;
    uint32_t parent;
};

static int by_start(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->node->start != y->node->start)
        return x->node->start < y->node->start ? -1 : 1;
    return x->node->pid < y->node->pid ? -1 : x->node->pid > y->node->pid;
}

static int seed_list(struct tree *tree, DIR *dir, struct found **list, size_t *n)
{
    size_t cap = 0;
    struct dirent *d;
    struct arena arena = {0};
    int r = 0;
    while (r == 0 && (d = readdir(dir))) {
        uint64_t pid;
        uint32_t parent;
        bool known;
        if (str_to_u64(str_from(d->d_name), &pid) < 0 || pid == 0 || pid > UINT32_MAX)
            continue;
        arena_reset(&arena);
        struct node *node = lookup_read(tree, (uint32_t)pid, 0, &arena, &parent, &known);
        if (!node || known || node == &tree->spare)
            continue;
        if (*n == cap) {
            cap = cap ? cap * 2 : 256;
            struct found *bigger = realloc(*list, cap * sizeof **list);
            if (!bigger) {
                r = -ENOMEM;
                break;
            }
            *list = bigger;
        }
        (*list)[(*n)++] = (struct found){node, parent};
    }
    arena_done(&arena);
    return r;
}

int tree_seed(struct tree *tree)
{
    if (tree->env->proc_fd < 0)
        return -ENOTSUP;
    int fd = openat(tree->env->proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int r = -errno;
        if (fd >= 0)
            close(fd);
        return r;
    }
    struct found *list = NULL;
    size_t n = 0;
    int r = seed_list(tree, dir, &list, &n);
    closedir(dir);
    // Parents and the main processes of services first: who began earlier is above.
    if (n)
        qsort(list, n, sizeof *list, by_start);
    for (size_t i = 0; i < n; i++) {
        node_set_parent(tree, list[i].node, node_find(tree, list[i].parent, 0));
        lineage_found(tree, list[i].node);
    }
    free(list);
    return r < 0 ? r : (int)n;
}

void tree_hashed(struct tree *tree, const Tiercel__ProcessId *id, uint64_t device, uint64_t inode,
                 const uint8_t sha256[32])
{
    struct node *node = node_find(tree, id->pid, id->start);
    struct program *p = node ? node->program : NULL;
    if (!p || p->device != device || p->inode != inode)
        return;
    p->hashed = true;
    memcpy(p->sha256, sha256, sizeof p->sha256);
}
