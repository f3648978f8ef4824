// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "base/test.h"
#include "cli/help.h"

#include <stdlib.h>

static void test_reference_page_is_up_to_date(void **state)
{
    (void)state;
    _cleanup_fclose_ FILE *f = fopen("doc/cli.md", "r"); // tests run in the project's root
    struct buf made = {0}, kept = {0};
    char *room;
    assert_non_null(f);
    while ((room = buf_room(&kept, 4096))) {
        size_t n = fread(room, 1, 4096, f);
        if (n == 0)
            break;
        kept.n += n;
    }
    help_markdown(&made);
    if (!str_eq(buf_str(&made), buf_str(&kept)))
        fail_msg("doc/cli.md is out of date: tiercel help --markdown > doc/cli.md");
    buf_done(&made);
    buf_done(&kept);
}

static int shell(const char *command, struct str input)
{
    FILE *p = popen(command, "w");
    fwrite(input.p, 1, input.n, p);
    return pclose(p);
}

static void test_completion_is_a_script_that_bash_takes(void **state)
{
    (void)state;
    struct buf b = {0};
    help_bash_completion(&b);
    assert_int_equal(shell("bash -n", buf_str(&b)), 0);
    // What a person gets who types "tiercel sta<TAB>" and "tiercel prevent o<TAB>".
    buf_add_str(&b, STR("\nCOMP_WORDS=(tiercel sta) COMP_CWORD=1; _tiercel; [ \"${COMPREPLY[*]}\" "
                        "= 'start status' ] || exit 3"
                        "\nCOMP_WORDS=(tiercel prevent o) COMP_CWORD=2; _tiercel; [ "
                        "\"${COMPREPLY[*]}\" = 'on off' ] || exit 4"
                        "\nCOMP_WORDS=(tiercel status --j) COMP_CWORD=2; _tiercel; [ "
                        "\"${COMPREPLY[*]}\" = --json ] || exit 5"
                        "\n"));
    assert_int_equal(shell("bash", buf_str(&b)), 0);
    buf_done(&b);
}

static void test_manual_page_has_every_command(void **state)
{
    (void)state;
    struct buf b = {0};
    help_man(&b);
    for (const struct command *const *c = cli_commands; *c; c++) {
        char heading[64];
        snprintf(heading, sizeof heading, ".SS tiercel %s", (*c)->name);
        assert_true(str_find(buf_str(&b), str_from(heading)) >= 0);
    }
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_page_is_up_to_date),
        cmocka_unit_test(test_completion_is_a_script_that_bash_takes),
        cmocka_unit_test(test_manual_page_has_every_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
