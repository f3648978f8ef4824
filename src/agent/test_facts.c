// SPDX-License-Identifier: Apache-2.0
#include "agent/facts.h"
#include "base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/tiercel-facts-XXXXXX";
static int proc_fd;

static int setup(void **state)
{
    proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return proc_fd < 0 || !mkdtemp(folder) || facts_new(proc_fd, (struct facts **)state) ? -1 : 0;
}

static int teardown(void **state)
{
    char command[128];
    facts_free(*state);
    close(proc_fd);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

// A program of our own that runs until it is killed, and what the kernel's record would say of its file.
static pid_t start_program(const char *name, struct facts_program *ret)
{
    char command[512];
    struct stat st;
    snprintf(command, sizeof command, "cp /bin/sleep %s", path_of(name));
    assert_int_equal(system(command), 0);
    pid_t pid = fork();
    if (pid == 0) {
        execl(path_of(name), name, "60", (char *)NULL);
        _exit(1);
    }
    char link[64], exe[256];
    for (int i = 0; i < 1000; i++) {
        snprintf(link, sizeof link, "/proc/%d/exe", pid);
        ssize_t n = readlink(link, exe, sizeof exe - 1);
        exe[n > 0 ? n : 0] = 0;
        if (strcmp(exe, path_of(name)) == 0)
            break;
        usleep(1000);
    }
    assert_int_equal(stat(path_of(name), &st), 0);
    *ret = (struct facts_program){
        .file = {st.st_dev, st.st_ino, (uint64_t)st.st_size,
                 (uint64_t)st.st_ctim.tv_sec * 1000000000u + (uint64_t)st.st_ctim.tv_nsec},
        .pid = (uint32_t)pid,
        .start = 1};
    return pid;
}

static void end_program(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static bool wait_taken(struct facts *facts, struct facts_program *ret, uint8_t sha256[32])
{
    for (int i = 0; i < 2000; i++, usleep(1000))
        if (facts_take(facts, ret, sha256))
            return true;
    return false;
}

static void wait_refused(struct facts *facts, uint64_t n)
{
    for (int i = 0; i < 2000 && facts_stats(facts).refused < n; i++)
        usleep(1000);
    assert_int_equal(facts_stats(facts).refused, n);
}

static void test_content_is_hashed_once(void **state)
{
    struct facts_program program, told;
    uint8_t sha256[32], again[32], expected[32];
    pid_t pid = start_program("one", &program);
    assert_false(facts_hash(*state, &program.file, sha256));
    facts_ask(*state, &program);
    assert_true(wait_taken(*state, &told, sha256));
    assert_int_equal(told.pid, pid);
    static unsigned char text[1 << 20];
    int fd = open(path_of("one"), O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    assert_true(n > 0 && (uint64_t)n == program.file.size);
    struct sha256_ctx hash;
    sha256_init(&hash);
    sha256_update(&hash, (size_t)n, text);
    sha256_digest(&hash, 32, expected);
    assert_memory_equal(sha256, expected, 32);
    assert_true(facts_hash(*state, &program.file, again));
    assert_memory_equal(again, expected, 32);
    assert_int_equal(facts_stats(*state).hashed, 1);
    facts_ask(*state, &program); // known: told again, not read again
    assert_true(wait_taken(*state, &told, again));
    assert_int_equal(facts_stats(*state).hashed, 1);
    assert_false(facts_take(*state, &told, again));
    end_program(pid);
}

// A file that is not the one that was asked for any more has no hash: it would be told of the wrong content.
static void test_other_content_is_not_hashed(void **state)
{
    struct facts_program program, told;
    uint8_t sha256[32];
    uint64_t refused = facts_stats(*state).refused;
    pid_t pid = start_program("two", &program);
    program.file.size++;
    facts_ask(*state, &program);
    wait_refused(*state, refused + 1);
    program.file.size--;
    program.file.changed_ns++;
    facts_ask(*state, &program);
    wait_refused(*state, refused + 2);
    program.file.changed_ns--;
    program.file.inode++;
    facts_ask(*state, &program);
    wait_refused(*state, refused + 3);
    end_program(pid);
    program.file.inode--;
    facts_ask(*state, &program); // gone, and nobody says where it was
    wait_refused(*state, refused + 4);
    assert_false(facts_take(*state, &told, sha256));
    snprintf(program.path, sizeof program.path, "%s", path_of("two"));
    facts_ask(*state, &program);
    assert_true(wait_taken(*state, &told, sha256));
    assert_int_equal(symlink("two", path_of("link")), 0);
    program.file.changed_ns++; // another file, by a way that leads over a link
    snprintf(program.path, sizeof program.path, "%s", path_of("link"));
    facts_ask(*state, &program);
    wait_refused(*state, refused + 5);
}

static void wait_name(struct facts *facts, const char *id, const char *expected)
{
    char name[64] = "?";
    facts_container(facts, str_from(id), name);
    for (int i = 0; i < 200 && strcmp(name, expected) != 0; i++) {
        usleep(1000);
        facts_container(facts, str_from(id), name);
    }
    assert_string_equal(name, expected);
}

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_containers_are_named(void **state)
{
    static char docker[256], podman[256];
    snprintf(docker, sizeof docker, "%s", path_of("docker"));
    snprintf(podman, sizeof podman, "%s", path_of("podman"));
    mkdir(docker, 0700);
    mkdir(podman, 0700);
    mkdir(path_of("docker/" ID), 0700);
    write_file("docker/" ID "/config.v2.json", "{\"ID\": \"" ID "\", \"Name\": \"/web-1\"}");
    write_file(
        "podman/containers.json",
        "[{\"id\": \"aaaa\"}, 7, {\"id\": \"fedcba9876543210\", \"names\": [\"data\", \"x\"]}]");
    facts_container_folders(*state, docker, podman);
    wait_name(*state, ID, "web-1");
    wait_name(*state, "fedcba987654", "data");
    char name[64];
    assert_false(facts_container(*state, STR("../../etc/passwd"), name));
    assert_false(facts_container(*state, STR("0123"), name));
}

static void test_hostile_container_files(void **state)
{
    static const char *const texts[] = {
        "", "[", "{\"Name\": 7}", "{\"Name\": {}}", "null", "\xff\xfe", "{\"Name\": \"\\u0000x\"}"};
    char id[65], name[64];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char file[128];
        snprintf(id, sizeof id, "%064zx", i + 16);
        snprintf(file, sizeof file, "docker/%s", id);
        mkdir(path_of(file), 0700);
        snprintf(file, sizeof file, "docker/%s/config.v2.json", id);
        write_file(file, texts[i]);
        facts_container(*state, str_from(id), name);
    }
    snprintf(id, sizeof id, "%064x", 15);
    mkdir(path_of("docker/000000000000000000000000000000000000000000000000000000000000000f"), 0700);
    write_file(
        "docker/000000000000000000000000000000000000000000000000000000000000000f/config.v2.json",
        "{\"Name\": \"/last\"}");
    wait_name(*state, id, "last"); // asked for last, so the others were looked for
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        snprintf(id, sizeof id, "%064zx", i + 16);
        assert_false(facts_container(*state, str_from(id), name));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content_is_hashed_once),
        cmocka_unit_test(test_other_content_is_not_hashed),
        cmocka_unit_test(test_containers_are_named),
        cmocka_unit_test(test_hostile_container_files),
    };
    return cmocka_run_group_tests_name("facts", tests, setup, teardown);
}
