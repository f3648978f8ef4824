// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "os/memory.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE 4096u
#define SIXTEEN(a) a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a
#define PAGES 256u

// Constant data of a whole mebibyte, in the file itself.
static const unsigned char text[PAGES * PAGE] = {[0] = 1, SIXTEEN(7), [PAGES * PAGE - 1] = 9};

static unsigned sum(void)
{
    unsigned all = 0;
    for (size_t i = 0; i < sizeof text; i++)
        all += *(const volatile unsigned char *)&text[i];
    return all;
}

static unsigned present(const volatile void *from, size_t n)
{
    unsigned count = 0;
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (size_t at = 0; at < n; at += PAGE) {
        uint64_t entry = 0;
        off_t of = (off_t)(((uintptr_t)from + at) / PAGE * sizeof entry);
        assert_int_equal(pread(fd, &entry, sizeof entry, of), sizeof entry);
        count += entry >> 63;
    }
    close(fd);
    return count;
}

static void test_pages_that_were_only_read_go_and_come_back_as_they_were(void **state)
{
    (void)state;
    assert_int_equal(sum(), 1 + 16 * 7 + 9);
    assert_in_range(present(text, sizeof text), PAGES - 1, PAGES + 1);
    assert_true(os_memory_give_back() > sizeof text);
    assert_in_range(present(text, sizeof text), 0, PAGES / 4);
    assert_int_equal(sum(), 1 + 16 * 7 + 9);
}

static void test_what_was_written_stays(void **state)
{
    static unsigned char written[64 * PAGE] = {1};
    unsigned char *heap = malloc(64 * PAGE);
    (void)state;
    assert_non_null(heap);
    memset(written, 3, sizeof written);
    memset(heap, 5, 64 * PAGE);
    os_memory_give_back();
    for (size_t i = 0; i < sizeof written; i++)
        assert_true(written[i] == 3 && heap[i] == 5);
    free(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_that_were_only_read_go_and_come_back_as_they_were),
        cmocka_unit_test(test_what_was_written_stays),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
