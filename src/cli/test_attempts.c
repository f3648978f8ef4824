// SPDX-License-Identifier: Apache-2.0
// The commands over a journal on disk: the table, the story, merge and split with their file.
#include "attempt/attempt_test.h"
#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], journal[96], changes[96];
static struct world *world;

static void write_journal(void)
{
    char path[160];
    struct segment_writer w;
    uint8_t zero[32] = {0};
    snprintf(path, sizeof path, "%s/000000000001.seg", journal);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(segment_writer_init(&w, fd, zero, 0), 0);
    for (size_t i = 0; i < world->n; i++)
        assert_int_equal(segment_append(&w, world->batches[i]), 0);
    segment_writer_done(&w);
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/attempts-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(journal, sizeof journal, "%s/journal", folder);
    snprintf(changes, sizeof changes, "%s/attempts.jsonl", folder);
    world = calloc(1, sizeof *world);
    wsees_all(world, 1);
    for (uint32_t i = 0; i < 2; i++) {
        Tiercel__Batch *b = wbatch(world, 1, 10 + i);
        Tiercel__Process *p =
            wprocess(world, 100 + i, 100 + i, i ? "sh -c \033[31mid" : "sh -c id");
        wdetect(world, b, wexec(world, b, p, i), "Shell below a web server", "execution");
        if (i)
            wverdict(world, b, TIERCEL__ACTION__ACTION_DENY, true);
    }
    if (mkdir(journal, 0700) < 0)
        return -1;
    write_journal();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char path[160];
    snprintf(path, sizeof path, "%s/000000000001.seg", journal);
    unlink(path);
    unlink(changes);
    rmdir(journal);
    rmdir(folder);
    arena_done(&world->arena);
    free(world);
    return 0;
}

// Runs `tiercel WORDS... --journal`; what it printed, to be freed.
static char *tiercel(int expected, const char *const *words)
{
    char *argv[16] = {(char *)"tiercel"}, *text = NULL, *errors = NULL;
    size_t size, errors_size, n = 1;
    while (*words)
        argv[n++] = (char *)(uintptr_t)*words++;
    argv[n++] = (char *)"--journal";
    argv[n++] = journal;
    struct cli cli = {.self = "tiercel"};
    cli.out = (struct term){.file = open_memstream(&text, &size), .utf8 = true, .width = 100};
    cli.err = (struct term){.file = open_memstream(&errors, &errors_size)};
    int code = cli_main(&cli, (int)n, argv);
    fclose(cli.out.file);
    fclose(cli.err.file);
    if (code != expected)
        fail_msg("exit status %d: %s", code, errors);
    free(errors);
    return text;
}
#define RUN(expected, ...) tiercel(expected, (const char *const[]){__VA_ARGS__, NULL})

static void expect_in(char *text, const char *what)
{
    if (!strstr(text, what))
        fail_msg("'%s' is not in:\n%s", what, text);
    free(text);
}

static size_t lines(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void test_table_is_newest_first_escaped_and_says_its_rule(void **state)
{
    (void)state;
    char *text = RUN(CLI_OK, "attempts");
    assert_non_null(strstr(text, "At least 2 attempts from 2 detections, by counting rule"));
    assert_null(strchr(text, '\033'));
    assert_true(strstr(text, "stopped before") < strstr(text, "not stopped"));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        assert_true(strlen(line) <= 100);
    free(text);
    text = RUN(CLI_OK, "attempts", "--json");
    assert_int_equal(lines(text), 2);
    free(text);
    text = RUN(CLI_OK, "attempts", "--json", "-n", "1");
    assert_int_equal(lines(text), 1);
    free(text);
}

// The ids of both attempts, newest first.
static void ids(char ret[2][9])
{
    char *text = RUN(CLI_OK, "attempts", "--json"), *second = strchr(text, '\n') + 1;
    snprintf(ret[0], 9, "%.8s", text + strlen("{\"id\":\""));
    snprintf(ret[1], 9, "%.8s", second + strlen("{\"id\":\""));
    free(text);
}

static void test_story_has_tree_time_evidence_and_reasons(void **state)
{
    (void)state;
    char id[2][9];
    ids(id);
    char *text = RUN(CLI_OK, "attempt", id[0]);
    assert_null(strchr(text, '\033'));
    assert_non_null(strstr(text, "REFUSED"));
    assert_non_null(strstr(text, "✖ "));
    assert_non_null(strstr(text, "Why this is one attempt"));
    expect_in(text, "programs that ran           0");
    expect_in(RUN(CLI_OK, "attempt", id[1]), "programs that ran           1");
    free(RUN(CLI_NO, "attempt", "ffffffff"));
    free(RUN(CLI_NO, "attempt", "f"));
}

static void test_merge_then_split_are_kept_as_lines(void **state)
{
    (void)state;
    char id[2][9];
    ids(id);
    free(RUN(CLI_USAGE, "attempt", "merge", id[0], id[1]));
    free(RUN(CLI_NO, "attempt", "merge", id[0], id[0], "--why", "x"));
    assert_int_equal(access(changes, F_OK), -1);
    free(RUN(CLI_OK, "attempt", "merge", id[0], id[1], "--why", "one \"person\""));
    expect_in(RUN(CLI_OK, "attempts"), "At least 1 attempt from 2 detections");
    expect_in(RUN(CLI_OK, "attempt", id[1]), ": one \"person\"\n");
    free(RUN(CLI_NO, "attempt", "split", id[0], "999999", "--why", "x"));
    char detection[24];
    snprintf(detection, sizeof detection, "#%llu",
             (unsigned long long)world->batches[2]->detections[0]->id);
    free(RUN(CLI_OK, "attempt", "split", id[0], detection, "--why", "two after all"));
    expect_in(RUN(CLI_OK, "attempts"), "At least 2 attempts");
    char *text = RUN(CLI_OK, "attempt", id[1]);
    assert_non_null(strstr(text, "one \"person\""));
    expect_in(text, "two after all");
    FILE *f = fopen(changes, "a");
    assert_non_null(f);
    fputs("damage\n", f);
    fclose(f);
    free(RUN(CLI_FAILED, "attempts"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    setlocale(LC_ALL, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        TEST(test_table_is_newest_first_escaped_and_says_its_rule),
        TEST(test_story_has_tree_time_evidence_and_reasons),
        TEST(test_merge_then_split_are_kept_as_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
