// SPDX-License-Identifier: Apache-2.0
// Quarantine, and orders from their check to their end, with peers that the test plays.
#include "base/cleanup.h"
#include "base/test.h"
#include "respond/run.h"
#include "respond/vault.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

struct rig {
    char folder[64], file[96];
    struct store store;
    uint8_t key[32];
    struct act_context act;
    int peer_code; // what peers answer
    unsigned states[RESPONSE_STATES];
    unsigned n_contains, n_blocks;
    bool contained;
};

static int peer_lineage(void *context, struct respond_target p, enum act_lineage_how how,
                        struct act_lineage *ret)
{
    struct rig *r = context;
    (void)p;
    (void)how;
    *ret = (struct act_lineage){.n = 1, .way_in = p.pid == 7};
    ret->targets[0] = (struct respond_target){999999, 1};
    return r->peer_code;
}

static int peer_address(void *context, const struct response_address *a, bool deny)
{
    struct rig *r = context;
    (void)a;
    if (r->peer_code == 0)
        r->n_blocks += deny ? 1u : -1u;
    return r->peer_code;
}

static int peer_host(void *context, const struct response_address *a, uint32_t n, uint64_t until,
                     bool *pinned)
{
    struct rig *r = context;
    (void)a;
    (void)n;
    *pinned = true;
    r->n_contains++;
    if (r->peer_code == 0)
        r->contained = until != 0;
    return r->peer_code;
}

static int peer_hash(void *context, const uint8_t *sha256, bool block)
{
    (void)sha256;
    (void)block;
    return ((struct rig *)context)->peer_code;
}

static int peer_domain(void *context, const char *name, bool block)
{
    (void)name;
    (void)block;
    return ((struct rig *)context)->peer_code;
}

static void announce(void *context, const struct response *r)
{
    ((struct rig *)context)->states[r->state]++;
}

static void tick(void *context)
{
    (void)context;
}

static void open_rig(struct rig *r)
{
    struct error e = {0};
    assert_int_equal(store_load(r->folder, &r->store, &e), 0);
    assert_int_equal(vault_key(r->store.folder, r->key), 0);
    mkdirat(r->store.folder, "quarantine", 0700);
    r->act = (struct act_context){
        .store = &r->store,
        .vault = openat(r->store.folder, "quarantine", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
        .key = r->key,
        .state = r->folder,
        .run = "/run/tiercel-none",
        .file_limit = 1 << 20,
        .boot = "boot-one",
        .peers = {peer_lineage, peer_address, peer_host, peer_hash, peer_domain, announce, tick,
                  r}};
}

static void close_rig(struct rig *r)
{
    close(r->act.vault);
    store_done(&r->store);
}

static void reopen(struct rig *r)
{
    close_rig(r);
    open_rig(r);
}

static void put_file(const struct rig *r, const char *text)
{
    FILE *f = fopen(r->file, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    char files[80];
    strcpy(r->folder, "/tmp/tiercel-quarantine-XXXXXX");
    assert_non_null(mkdtemp(r->folder));
    snprintf(files, sizeof files, "%s-files", r->folder); // not in the agent's own folder
    assert_int_equal(mkdir(files, 0700), 0);
    snprintf(r->file, sizeof r->file, "%s/tool", files);
    open_rig(r);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    char command[300];
    close_rig(r);
    snprintf(command, sizeof command, "rm -rf %s %s-files", r->folder, r->folder);
    assert_int_equal(system(command), 0);
    free(r);
    return 0;
}

static struct response_order quarantine_of(const struct rig *r)
{
    struct response_order o = {.action = RESPONSE_QUARANTINE};
    snprintf(o.text, sizeof o.text, "%s", r->file);
    return o;
}

static bool stands(const struct rig *r)
{
    return access(r->file, F_OK) == 0;
}

static unsigned in_vault(const struct rig *r)
{
    unsigned n = 0;
    char name[24];
    for (int i = 1; i < 10; i++) {
        snprintf(name, sizeof name, "%d", i);
        n += faccessat(r->act.vault, name, F_OK, 0) == 0;
        strcat(name, ".new");
        n += faccessat(r->act.vault, name, F_OK, 0) == 0;
    }
    return n;
}

static void test_file_comes_back_with_all_that_it_had(void **state)
{
    struct rig *r = *state;
    struct response_order order = quarantine_of(r);
    struct response_result result;
    struct stat before, after;
    char text[64] = "", note[8] = "";
    put_file(r, "what was in it\n");
    assert_int_equal(chmod(r->file, 06741), 0);
    bool notes = setxattr(r->file, "user.note", "here", 4, 0) == 0;
    struct timespec times[2] = {{1600000000, 123456789}, {1500000000, 987654321}};
    assert_int_equal(utimensat(AT_FDCWD, r->file, times, 0), 0);
    assert_int_equal(stat(r->file, &before), 0);

    run_order(&r->act, &order, &result);
    assert_string_equal(result.what, "15 bytes sealed away");
    assert_int_equal(result.state, RESPONSE_APPLIED);
    assert_false(stands(r));
    run_undo(&r->act, result.id, false, RESPONSE_UNDONE, &result);
    assert_int_equal(result.state, RESPONSE_UNDONE);
    assert_int_equal(stat(r->file, &after), 0);
    assert_int_equal(after.st_mode, before.st_mode);
    assert_int_equal(after.st_uid, before.st_uid);
    assert_int_equal(after.st_gid, before.st_gid);
    assert_memory_equal(&after.st_mtim, &before.st_mtim, sizeof after.st_mtim);
    assert_memory_equal(&after.st_atim, &before.st_atim, sizeof after.st_atim);
    if (notes)
        assert_int_equal(getxattr(r->file, "user.note", note, sizeof note), 4);
    FILE *f = fopen(r->file, "r");
    assert_non_null(fgets(text, sizeof text, f));
    fclose(f);
    assert_string_equal(text, "what was in it\n");
    assert_int_equal(in_vault(r), 0);
    assert_int_equal(r->states[RESPONSE_PLANNED], 1);
    assert_int_equal(r->states[RESPONSE_APPLIED], 1);
    assert_int_equal(r->states[RESPONSE_UNDONE], 1);
}

static void test_what_stands_there_now_is_not_overwritten(void **state)
{
    struct rig *r = *state;
    struct response_order order = quarantine_of(r);
    struct response_result result;
    put_file(r, "first");
    run_order(&r->act, &order, &result);
    put_file(r, "other");
    run_undo(&r->act, result.id, false, RESPONSE_UNDONE, &result);
    assert_int_equal(result.code, -EEXIST);
    assert_int_equal(result.state, RESPONSE_APPLIED);
    assert_int_equal(in_vault(r), 1);
    unlink(r->file);
    run_undo(&r->act, result.id, false, RESPONSE_UNDONE, &result);
    assert_int_equal(result.state, RESPONSE_UNDONE);
}

static void test_links_folders_devices_and_needed_files_are_refused(void **state)
{
    struct rig *r = *state;
    static const char *const never[] = {"/dev/null",     "/tmp",
                                        "/etc/passwd",   "/bin/sh",
                                        "/proc/version", "/lib/x86_64-linux-gnu/libc.so.6"};
    struct response_result result;
    struct response_order order;
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        char path[4096] = "";
        order = quarantine_of(r);
        if (!realpath(never[i], path))
            continue;
        snprintf(order.text, sizeof order.text, "%.2000s", path);
        run_order(&r->act, &order, &result);
        assert_int_equal(result.state, RESPONSE_REFUSED);
        assert_int_equal(access(path, F_OK), 0);
    }
    put_file(r, "x");
    char link[120];
    snprintf(link, sizeof link, "%s-link", r->file);
    assert_int_equal(symlink(r->file, link), 0);
    order = quarantine_of(r);
    snprintf(order.text, sizeof order.text, "%s", link);
    run_order(&r->act, &order, &result);
    assert_int_equal(result.state, RESPONSE_REFUSED);
    assert_true(stands(r));
    assert_int_equal(truncate(r->file, 2 << 20), 0);
    order = quarantine_of(r);
    run_order(&r->act, &order, &result);
    assert_int_equal(result.code, -EFBIG);
}

static void test_dry_run_changes_nothing(void **state)
{
    struct rig *r = *state;
    struct response_order order = quarantine_of(r);
    struct response_result result;
    put_file(r, "x");
    order.flags = RESPONSE_ONLY_TRY;
    run_order(&r->act, &order, &result);
    assert_int_equal(result.state, RESPONSE_DRY_RUN);
    assert_true(stands(r));
    assert_int_equal(r->store.n, 0);
}

// The vault as apply leaves it at each step, and the journal says PLANNED: the agent died there.
static void crash_after(struct rig *r, bool copied, bool aside)
{
    struct response_order order = quarantine_of(r);
    struct response *planned = store_new(&r->store);
    struct vault_meta meta;
    struct error e = {0};
    char name[96], folder[96];
    planned->order = order;
    assert_int_equal(store_write(&r->store, planned), 0);
    struct vault_work w = {.key = r->key, .id = planned->id};
    snprintf(name, sizeof name, copied ? "%d" : "%d.new", (int)planned->id);
    int from = open(r->file, O_RDONLY | O_NOATIME);
    int to = openat(r->act.vault, name, O_RDWR | O_CREAT, 0600);
    assert_int_equal(vault_seal(&w, from, r->file, to, &meta, &e), 0);
    close(from);
    close(to);
    snprintf(folder, sizeof folder, "%s-files/.tiercel-quarantine-%d", r->folder, (int)planned->id);
    if (aside)
        assert_int_equal(rename(r->file, folder), 0);
    reopen(r);
    run_settle(&r->act, 1);
}

static void test_crash_before_the_copy_is_whole_takes_it_back(void **state)
{
    struct rig *r = *state;
    put_file(r, "x");
    crash_after(r, false, false);
    assert_true(stands(r));
    assert_int_equal(in_vault(r), 0);
    assert_int_equal(r->store.list[0].state, RESPONSE_ROLLED_BACK);
}

static void test_crash_after_the_copy_is_finished(void **state)
{
    struct rig *r = *state;
    struct response_result result;
    put_file(r, "x");
    crash_after(r, true, false);
    assert_false(stands(r));
    assert_int_equal(r->store.list[0].state, RESPONSE_APPLIED);
    run_undo(&r->act, 1, false, RESPONSE_UNDONE, &result);
    assert_true(stands(r));
}

static void test_crash_with_the_file_moved_aside_is_finished(void **state)
{
    struct rig *r = *state;
    struct response_result result;
    put_file(r, "x");
    crash_after(r, true, true);
    assert_false(stands(r));
    assert_int_equal(r->store.list[0].state, RESPONSE_APPLIED);
    run_undo(&r->act, 1, false, RESPONSE_UNDONE, &result);
    assert_true(stands(r));
}

static void test_crash_in_undo_is_finished(void **state)
{
    struct rig *r = *state;
    struct response_order order = quarantine_of(r);
    struct response_result result;
    put_file(r, "x");
    run_order(&r->act, &order, &result);
    r->store.list[0].state = RESPONSE_UNDOING;
    r->store.list[0].ends_as = RESPONSE_UNDONE;
    assert_int_equal(store_write(&r->store, &r->store.list[0]), 0);
    reopen(r);
    run_settle(&r->act, 1);
    assert_true(stands(r));
    assert_int_equal(r->store.list[0].state, RESPONSE_UNDONE);
    assert_int_equal(in_vault(r), 0);
}

static void test_changed_copy_is_not_put_back(void **state)
{
    struct rig *r = *state;
    struct response_order order = quarantine_of(r);
    struct response_result result;
    put_file(r, "some text");
    run_order(&r->act, &order, &result);
    int fd = openat(r->act.vault, "1", O_RDWR);
    char byte;
    assert_int_equal(pread(fd, &byte, 1, 2700), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, 2700), 1);
    close(fd);
    run_undo(&r->act, 1, false, RESPONSE_UNDONE, &result);
    assert_int_equal(result.code, -EBADMSG);
    assert_false(stands(r));
    assert_int_equal(r->store.list[0].state, RESPONSE_APPLIED);
}

static struct response_order block_of(const char *ip, uint8_t bits)
{
    struct response_order o = {.action = RESPONSE_BLOCK_ADDRESS, .n_addresses = 1, .lasts_ns = 5};
    o.addresses[0] = (struct response_address){.bytes = 4, .prefix = bits};
    memcpy(o.addresses[0].ip, ip, 4);
    return o;
}

static void test_block_ends_and_is_told_again(void **state)
{
    struct rig *r = *state;
    struct response_order order = block_of("\xc0\x00\x02\x07", 32);
    struct response_result result;
    run_order(&r->act, &order, &result);
    assert_int_equal(result.state, RESPONSE_APPLIED);
    assert_int_equal(r->n_blocks, 1);
    run_order(&r->act, &order, &result);
    assert_int_equal(result.code, -EEXIST);
    reopen(r);
    r->n_blocks = 0;
    assert_int_equal(run_renew(&r->act, false), 0); // a new sensor
    assert_int_equal(r->n_blocks, 1);
    run_settle(&r->act, UINT64_MAX);
    assert_int_equal(r->n_blocks, 0);
    assert_int_equal(r->store.list[0].state, RESPONSE_EXPIRED);
}

static void test_peer_that_is_away_leaves_nothing_half(void **state)
{
    struct rig *r = *state;
    struct response_order order = block_of("\xc0\x00\x02\x07", 32);
    struct response_result result;
    r->peer_code = -ENOTCONN;
    run_order(&r->act, &order, &result);
    assert_int_equal(result.state, RESPONSE_FAILED);
    r->peer_code = 0;
    run_order(&r->act, &order, &result);
    r->peer_code = -ENOTCONN;
    run_settle(&r->act, UINT64_MAX); // its time is over, the sensor is away
    assert_int_equal(r->store.list[1].state, RESPONSE_UNDOING);
    r->peer_code = 0;
    run_settle(&r->act, UINT64_MAX);
    assert_int_equal(r->store.list[1].state, RESPONSE_EXPIRED);
    assert_int_equal(r->n_blocks, 0);
}

static void test_what_cuts_the_host_off_is_refused(void **state)
{
    struct rig *r = *state;
    struct response_address hub = {.ip = {198, 51, 100, 7}, .bytes = 4, .prefix = 32};
    struct response_order orders[] = {
        block_of("\x7f\x00\x00\x01", 32),
        block_of("\x00\x00\x00\x00", 0),
        block_of("\xc6\x33\x64\x07", 32),
        block_of("\xc6\x33\x64\x00", 24),
        {.action = RESPONSE_KILL, .pid = 1},
        {.action = RESPONSE_KILL_LINEAGE, .pid = 7},
        {.action = RESPONSE_CONTAIN_LINEAGE, .pid = 7, .lasts_ns = 5},
        {.action = RESPONSE_CONTAIN_HOST, .lasts_ns = 0},
    };
    struct response_result result;
    r->act.allowed = &hub;
    r->act.n_allowed = 1;
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        run_order(&r->act, &orders[i], &result);
        assert_int_equal(result.state, RESPONSE_REFUSED);
        assert_true(result.what[0]);
    }
    struct response_order host = {.action = RESPONSE_CONTAIN_HOST, .lasts_ns = 5};
    r->act.n_allowed = 0;
    run_order(&r->act, &host, &result);
    assert_int_equal(result.state, RESPONSE_REFUSED);
    assert_int_equal(r->n_contains, 0);
    host.flags = RESPONSE_FORCE;
    run_order(&r->act, &host, &result);
    assert_int_equal(result.state, RESPONSE_APPLIED);
    assert_true(r->contained);
    run_undo(&r->act, result.id, false, RESPONSE_UNDONE, &result);
    assert_false(r->contained);
}

static void test_containment_that_nobody_ordered_is_taken_away(void **state)
{
    struct rig *r = *state;
    r->contained = true; // pins of an apply that was cut off
    assert_int_equal(run_renew(&r->act, false), 0);
    assert_false(r->contained);
}

static void test_processes_of_another_boot_are_left_alone(void **state)
{
    struct rig *r = *state;
    struct response *planned = store_new(&r->store);
    planned->order = (struct response_order){.action = RESPONSE_KILL, .pid = (uint32_t)getpid()};
    strcpy(planned->boot, "boot-zero");
    assert_int_equal(store_write(&r->store, planned), 0);
    run_settle(&r->act, 1);
    assert_int_equal(r->store.list[0].state, RESPONSE_ROLLED_BACK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_file_comes_back_with_all_that_it_had),
        TEST(test_what_stands_there_now_is_not_overwritten),
        TEST(test_links_folders_devices_and_needed_files_are_refused),
        TEST(test_dry_run_changes_nothing),
        TEST(test_crash_before_the_copy_is_whole_takes_it_back),
        TEST(test_crash_after_the_copy_is_finished),
        TEST(test_crash_with_the_file_moved_aside_is_finished),
        TEST(test_crash_in_undo_is_finished),
        TEST(test_changed_copy_is_not_put_back),
        TEST(test_block_ends_and_is_told_again),
        TEST(test_peer_that_is_away_leaves_nothing_half),
        TEST(test_what_cuts_the_host_off_is_refused),
        TEST(test_containment_that_nobody_ordered_is_taken_away),
        TEST(test_processes_of_another_boot_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
