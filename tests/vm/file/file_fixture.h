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
        if (!strcmp(m[i].name, name))
            return m[i].state;
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
    free(f);
    return 0;
}
