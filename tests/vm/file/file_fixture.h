// SPDX-License-Identifier: Apache-2.0
// The file programs with folders of their own on a disk: `watched` is in the watch list with all below it, `elsewhere`
// is not.
#pragma once
#include "../../kernel/fixture.h"

struct folders {
    char top[64], watched[96], elsewhere[96];
};
static struct folders at;

static MAYBE_UNUSED enum probe_state mechanism(struct fixture *f, const char *name)
{
    const struct probe_mechanism *m;
    size_t n = probe_mechanisms(f->probe, &m);

    for (size_t i = 0; i < n; i++)
        if (!strcmp(m[i].name, name)) {
            fprintf(stderr, "%s: %s\n", name, m[i].reason);
            return m[i].state;
        }
    fail_msg("no mechanism %s", name);
    return PROBE_ABSENT;
}

static MAYBE_UNUSED bool lsm_is_on(void)
{
    const char *word = getenv("VM_LSM");
    return word && !strcmp(word, "on");
}

static MAYBE_UNUSED struct stat stat_of(const char *path)
{
    struct stat st;
    if (lstat(path, &st))
        fail_msg("%s: %s", path, strerror(errno));
    return st;
}

static MAYBE_UNUSED void watch(struct fixture *f, const char *path, unsigned class, unsigned flags)
{
    struct watch_value value = {.class = class, .flags = flags};
    struct stat st = stat_of(path);

    assert_int_equal(probe_watch_set(f->fds.watched, major(st.st_dev) << 20 | minor(st.st_dev),
                                     st.st_ino, &value),
                     0);
}

static char *texts[512];
static unsigned n_texts;

// Path of a name in a folder; freed at the end.
static MAYBE_UNUSED const char *in(const char *folder, const char *name)
{
    assert_true(n_texts < sizeof texts / sizeof *texts);
    assert_true(asprintf(&texts[n_texts], "%s/%s", folder, name) > 0);
    return texts[n_texts++];
}

static MAYBE_UNUSED bool is_path(ProtobufCBinaryData path, const char *wanted)
{
    return path.len == strlen(wanted) && !memcmp(path.data, wanted, path.len);
}

// The only change of that kind to that path by that process since the last drain(); NULL: none. Two are a failure.
static MAYBE_UNUSED Tiercel__FileChange *change_by(struct fixture *f, pid_t pid, unsigned action,
                                                   const char *path)
{
    Tiercel__FileChange *found = NULL;
    struct decoded *d;

    for (unsigned i = 0; (d = find(f, RECORD_FILE, pid, i)); i++) {
        Tiercel__FileChange *c = d->event->file;
        if (c->action != action || !is_path(c->file->path, path))
            continue;
        if (found)
            fail_msg("action %u of %s was reported twice", action, path);
        found = c;
    }
    return found;
}

static MAYBE_UNUSED Tiercel__FileChange *change(struct fixture *f, unsigned action,
                                                const char *path)
{
    return change_by(f, getpid(), action, path);
}

static MAYBE_UNUSED unsigned count_changes(struct fixture *f, pid_t pid)
{
    unsigned n = 0;
    while (find(f, RECORD_FILE, pid, n))
        n++;
    return n;
}

static MAYBE_UNUSED void assert_facts(const Tiercel__FileChange *c, const struct stat *st)
{
    assert_non_null(c);
    assert_int_equal(c->file->inode, st->st_ino);
    assert_int_equal(c->file->device, st->st_dev);
    assert_int_equal(c->file->mode, st->st_mode);
    assert_int_equal(c->file->owner, st->st_uid);
    assert_false(c->file->path_cut);
    assert_int_equal(c->folder, S_ISDIR(st->st_mode));
    assert_false(c->denied);
}

static MAYBE_UNUSED int file_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct error e = {0};

    assert_non_null(f);
    assert_int_equal(unshare(CLONE_NEWNS), 0);
    assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    if (probe_new(&(struct probe_options){.hash_key = hash_key}, &f->probe, &e) < 0) {
        error_print(&e, stderr);
        return -1;
    }
    f->fds = probe_fds(f->probe);
    assert_int_equal(ring_open(f->fds.structural, RING_STRUCTURAL_BYTES, &f->structural), 0);
    assert_int_equal(ring_open(f->fds.bulk, RING_BULK_BYTES, &f->bulk), 0);
    snprintf(at.top, sizeof at.top, "/root/file-XXXXXX");
    assert_non_null(mkdtemp(at.top));
    snprintf(at.watched, sizeof at.watched, "%s/watched", at.top);
    snprintf(at.elsewhere, sizeof at.elsewhere, "%s/elsewhere", at.top);
    assert_int_equal(mkdir(at.watched, 0755), 0);
    assert_int_equal(mkdir(at.elsewhere, 0755), 0);
    *state = f;
    if (mechanism(f, "file events") == PROBE_WORKS)
        watch(f, at.watched, WATCH_WEB, WATCH_BELOW);
    return 0;
}

static MAYBE_UNUSED int file_teardown(void **state)
{
    struct fixture *f = *state;

    if (!f)
        return 0;
    ring_close(f->structural);
    ring_close(f->bulk);
    probe_free(f->probe);
    arena_done(&f->arena);
    while (n_texts)
        free(texts[--n_texts]);
    free(f);
    return 0;
}
