// SPDX-License-Identifier: Apache-2.0
#include "agent/parent.h"
#include "base/cleanup.h"
#include "base/test.h"
#include "event/segment.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// A parent with an engine at the other end of a channel, and a journal folder.
static struct parent parent;
static struct control_status status;
static int engine;
static char state_folder[64];

static int set_up(void **state)
{
    (void)state;
    int pair[2];
    struct error e = {0};
    strcpy(state_folder, "/tmp/tiercel-segments-XXXXXX");
    assert_non_null(mkdtemp(state_folder));
    assert_int_equal(link_pair(pair), 0);
    parent = (struct parent){.status = &status};
    parent.children[ROLE_ENGINE] = (struct child){.state = CHILD_RUNNING, .channel = pair[0]};
    parent.setup.segment_bytes = 1000;
    engine = pair[1];
    assert_int_equal(segments_open(&parent.segments, state_folder, 4000, &e), 0);
    parent.segments.cut_allowed = true;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    close(engine);
    close(parent.children[ROLE_ENGINE].channel);
    close(parent.segments.folder);
    snprintf(command, sizeof(command), "rm -rf %s", state_folder);
    return system(command);
}

static void put(uint64_t number, off_t size)
{
    char name[32];
    journal_name(number, name);
    _cleanup_close_ int fd =
        openat(parent.segments.folder, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, size), 0);
}

static off_t size_of(uint64_t number)
{
    char name[32];
    struct stat st;
    journal_name(number, name);
    return fstatat(parent.segments.folder, name, &st, 0) < 0 ? -1 : st.st_size;
}

// The descriptor that the engine gets, or the negative errno it is told.
static int ask(uint64_t number)
{
    static struct link_message m;
    struct told_segment told = {.number = number};
    segments_next(&parent, &told);
    while (link_receive(engine, &m, 0) == 1) {
        if (m.type == ORDER_NO_SEGMENT)
            return link_body(&m, struct order_no_segment)->code;
        if (m.type != ORDER_GIVE)
            continue; // a state for the journal
        assert_int_equal(link_body(&m, struct order_give)->what, GIVE_SEGMENT);
        assert_int_equal(link_body(&m, struct order_give)->number64, number);
        assert_int_equal(m.n_fds, 1);
        return m.fds[0];
    }
    return -ENOMSG;
}

static void test_segment_is_made_and_appended_to(void **state)
{
    (void)state;
    int fd = ask(1);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFL) & O_APPEND);
    assert_int_equal(write(fd, "abc", 3), 3);
    close(fd);
    fd = ask(1); // another engine goes on
    assert_int_equal(write(fd, "def", 3), 3);
    assert_int_equal(size_of(1), 6);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    close(fd);
}

static void test_only_the_last_or_the_next_number_is_given(void **state)
{
    (void)state;
    put(4, 10);
    put(5, 10);
    assert_int_equal(ask(4), -EINVAL);
    assert_int_equal(ask(7), -EINVAL);
    assert_int_equal(size_of(7), -1);
    int fd = ask(6);
    assert_true(fd >= 0);
    close(fd);
}

static void test_oldest_whole_segments_are_deleted_at_the_bound(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 6; i++)
        put(i, 1000);
    int fd = ask(7);
    close(fd);
    // 3,000 bytes and the new one's 1,000 are the bound.
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(size_of(i), -1);
    for (uint64_t i = 4; i <= 6; i++)
        assert_int_equal(size_of(i), 1000);
    assert_int_equal(parent.segments.deleted, 3);
    assert_int_equal(parent.segments.first, 4);
    segments_look(&parent.segments);
    assert_int_equal(parent.segments.bytes, 3000);
    assert_int_equal(parent.segments.last, 7);
}

static void test_what_a_hub_never_had_is_counted_when_deleted(void **state)
{
    (void)state;
    parent.segments.wanted = true;
    parent.segments.unsent_from = 3; // it has 1 and 2
    for (uint64_t i = 1; i <= 6; i++)
        put(i, 1000);
    close(ask(7));
    assert_int_equal(parent.segments.deleted, 3);
    assert_int_equal(parent.segments.unsent, 1);
}

static void test_uplink_gets_files_for_reading_only(void **state)
{
    (void)state;
    static struct link_message m;
    int pair[2];
    char c;
    assert_int_equal(link_pair(pair), 0);
    parent.children[ROLE_UPLINK] = (struct child){.state = CHILD_RUNNING, .channel = pair[0]};
    put(4, 10);
    put(6, 10);
    segments_lend(&parent, &(struct told_segment){.number = 5});
    assert_int_equal(link_receive(pair[1], &m, 0), 1);
    assert_int_equal(link_body(&m, struct order_give)->what, GIVE_SPOOL);
    assert_int_equal(link_body(&m, struct order_give)->number64, 6);
    assert_int_equal(fcntl(m.fds[0], F_GETFL) & O_ACCMODE, O_RDONLY);
    assert_int_equal(read(m.fds[0], &c, 1), 1);
    link_message_done(&m);
    segments_lend(&parent, &(struct told_segment){.number = 7});
    assert_int_equal(link_receive(pair[1], &m, 0), 1);
    assert_int_equal(m.type, ORDER_NO_SEGMENT);
    assert_int_equal(link_body(&m, struct order_no_segment)->code, -ENOENT);
    close(pair[0]);
    close(pair[1]);
}

static void test_newest_two_stay_whatever_their_size(void **state)
{
    (void)state;
    put(1, 9000);
    put(2, 9000);
    put(3, 9000);
    int fd = ask(3);
    close(fd);
    assert_int_equal(size_of(1), -1);
    assert_int_equal(size_of(2), 9000);
    assert_int_equal(size_of(3), 9000);
}

static void test_link_in_the_folder_is_not_followed(void **state)
{
    (void)state;
    char name[32];
    journal_name(1, name);
    assert_int_equal(symlinkat("/dev/null", parent.segments.folder, name), 0);
    int fd = ask(1);
    assert_true(fd == -ELOOP);
}

static void test_torn_tail_is_cut_once_and_only_from_the_newest(void **state)
{
    (void)state;
    put(1, 100);
    put(2, 100);
    segments_cut(&parent, &(struct told_segment){.number = 1, .size = 10});
    assert_int_equal(size_of(1), 100);
    segments_cut(&parent, &(struct told_segment){.number = 2, .size = 10});
    assert_int_equal(size_of(2), 100);  // its one cut is used up
    parent.segments.cut_allowed = true; // a new engine
    segments_cut(&parent, &(struct told_segment){.number = 2, .size = 200});
    assert_int_equal(size_of(2), 100); // never longer
    parent.segments.cut_allowed = true;
    segments_cut(&parent, &(struct told_segment){.number = 2, .size = 60});
    assert_int_equal(size_of(2), 60);
    int fd = ask(2);
    close(fd);
    assert_false(parent.segments.cut_allowed); // it writes now
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_segment_is_made_and_appended_to),
        CASE(test_only_the_last_or_the_next_number_is_given),
        CASE(test_oldest_whole_segments_are_deleted_at_the_bound),
        CASE(test_what_a_hub_never_had_is_counted_when_deleted),
        CASE(test_uplink_gets_files_for_reading_only),
        CASE(test_newest_two_stay_whatever_their_size),
        CASE(test_link_in_the_folder_is_not_followed),
        CASE(test_torn_tail_is_cut_once_and_only_from_the_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
