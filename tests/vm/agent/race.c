// SPDX-License-Identifier: Apache-2.0
// A worker below a web server (copied to /usr/sbin/php-fpm) that changes argv while execve is under way, and one that
// works honestly. Says how often what became of it.
//   php-fpm rewrite ROUNDS MARKER   ends with 1 when a rewritten command ran
//   php-fpm honest ROUNDS           ends with 1 when an honest one did not
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAYLOAD "/srv/app/payload"
#define SCRIPT "/srv/app/honest"
enum { RAN = 7, LIMIT_MS = 15000 };
static const char GOOD[] = "/var/tcp/127.66.0.1/4444", EVIL[] = "/dev/tcp/127.66.0.1/4444";

enum order { GOOD_FIRST, EVIL_FIRST, TO_AND_FRO, ORDERS };
static char *no_environment[] = {NULL};

struct race {
    enum order order;
    unsigned delay_us;
    char word[sizeof GOOD];
    char *argv[4];
};

static void *rewrite(void *context)
{
    struct race *race = context;
    struct timespec delay = {.tv_nsec = race->delay_us * 1000L};
    nanosleep(&delay, NULL);
    do {
        memcpy(race->word + 1, race->order == GOOD_FIRST ? "dev" : "var", 3);
        if (race->order == TO_AND_FRO)
            memcpy(race->word + 1, "dev", 3);
    } while (race->order == TO_AND_FRO);
    return NULL;
}

static void *start(void *context)
{
    struct race *race = context;
    execve(PAYLOAD, race->argv, no_environment);
    _exit(errno == EPERM ? 1 : 2);
}

// In the child: an exec by the first thread or by another one, while one more rewrites its last argument.
static void race_once(unsigned round, char *marker)
{
    static struct race race;
    pthread_t writer, other;
    race.order = round % ORDERS;
    race.delay_us = round * 37 % 300 * 20;
    strcpy(race.word, race.order == EVIL_FIRST ? EVIL : GOOD);
    race.argv[0] = "payload";
    race.argv[1] = marker;
    race.argv[2] = race.word;
    pthread_create(&writer, NULL, rewrite, &race);
    if (round / ORDERS % 2 == 0)
        start(&race);
    pthread_create(&other, NULL, start, &race);
    pause();
}

// Exit status, -signal, or -1000 when it hung.
static int finish(pid_t pid)
{
    int status;
    for (int ms = 0; waitpid(pid, &status, WNOHANG) == 0; ms++) {
        if (ms == LIMIT_MS) {
            kill(pid, SIGKILL);
            return -1000;
        }
        poll(NULL, 0, 1);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int rewriting(unsigned rounds, char *marker)
{
    unsigned ran = 0, refused = 0, killed = 0, other = 0, escaped = 0;
    struct stat st;
    for (unsigned i = 0; i < rounds; i++) {
        pid_t pid = fork();
        if (pid == 0)
            race_once(i, marker);
        int code = finish(pid);
        ran += code == RAN;
        refused += code == 1;
        killed += code == -SIGKILL;
        other += code != RAN && code != 1 && code != -SIGKILL;
        if (stat(marker, &st) == 0) {
            printf("round %u: a rewritten command ran (order %u, %s thread)\n", i, i % ORDERS,
                   i / ORDERS % 2 ? "another" : "first");
            escaped++;
            rmdir(marker);
        }
    }
    printf("rewritten: %u rounds: %u ran unchanged, %u refused, %u killed, %u else, %u ESCAPED\n",
           rounds, ran - escaped, refused, killed, other, escaped);
    return escaped > 0 || other > 0 || ran + refused + killed != rounds;
}

// ---- honest

static volatile int over;

// Another thread that sets variables, as libraries do at any time. The name is there already, so the list stays.
static void *set_variables(void *unused)
{
    char value[16];
    (void)unused;
    for (unsigned i = 0; !over; i++) {
        snprintf(value, sizeof value, "%08u", i);
        setenv("HONEST", value, 1);
        setenv("LANG", i % 2 ? "C" : "POSIX", 1);
        poll(NULL, 0, 1);
    }
    return NULL;
}

static pid_t spawn_honest(unsigned round)
{
    extern char **environ;
    static char *payload[] = {"payload", "-", (char *)GOOD, NULL};
    static char *script[] = {"honest", "-", NULL};
    pid_t pid;
    bool is_script = round % 3 == 0;
    if (posix_spawn(&pid, is_script ? SCRIPT : PAYLOAD, NULL, NULL, is_script ? script : payload,
                    environ) != 0)
        return -1;
    return pid;
}

static void *exec_honest(void *unused)
{
    char *argv[] = {"payload", "-", (char *)GOOD, NULL};
    (void)unused;
    execve(PAYLOAD, argv, no_environment);
    _exit(2);
}

static pid_t fork_honest(void)
{
    pid_t pid = fork();
    pthread_t other;
    if (pid == 0) {
        pthread_create(&other, NULL, exec_honest, NULL);
        for (;;)
            pause();
    }
    return pid;
}

static int honest(unsigned rounds)
{
    enum { AT_ONCE = 6 };
    pid_t pid[AT_ONCE] = {0};
    unsigned bad = 0;
    pthread_t setter;
    setenv("HONEST", "00000000", 1);
    setenv("LANG", "C", 1);
    pthread_create(&setter, NULL, set_variables, NULL);
    for (unsigned i = 0; i < rounds + AT_ONCE; i++) {
        pid_t *slot = &pid[i % AT_ONCE];
        int code = *slot > 0 ? finish(*slot) : RAN;
        if (code != RAN || *slot < 0) {
            printf("honest round %u ended with %d\n", i - AT_ONCE, *slot < 0 ? -2000 : code);
            bad++;
        }
        *slot = i >= rounds ? 0 : i % 7 == 0 ? fork_honest() : spawn_honest(i);
    }
    over = 1;
    pthread_join(setter, NULL);
    printf("honest: %u starts, %u of them did not run\n", rounds, bad);
    return bad > 0;
}

int main(int argc, char **argv)
{
    int status;
    if (argc < 3)
        return 2;
    poll(NULL, 0, 700); // a server is attacked when it has run for a while
    pid_t pid = fork();
    if (pid == 0) {
        status = argc > 3 ? rewriting((unsigned)atoi(argv[2]), argv[3])
                          : honest((unsigned)atoi(argv[2]));
        fflush(stdout);
        _exit(status);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}
