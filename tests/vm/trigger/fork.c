// SPDX-License-Identifier: Apache-2.0
// New processes: fork, vfork, clone3; a thread is none. And their ends: by exit, by a signal, from a thread.
#include "account.h"
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void born(pid_t child)
{
    account("fork", "ProcessId", account_pid(), "fork.child.pid", account_number((uint64_t)child),
            NULL);
}

static void ended(pid_t child, const char *code, const char *signal)
{
    account("exit", "ProcessId", account_number((uint64_t)child), "exit.code", code, "exit.signal",
            signal, "exit.lived", "*", NULL);
}

static void by_exit(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(7);
    waitpid(child, NULL, 0);
    born(child);
    ended(child, "7", "0");
}

static void by_vfork(void)
{
    pid_t child = vfork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    born(child);
    account("exit", "ProcessId", account_number((uint64_t)child), NULL);
}

static void by_clone3(void)
{
    struct clone_args arguments = {.flags = CLONE_PARENT, .exit_signal = 0};
    pid_t child = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child == 0)
        _exit(3);
    if (child < 0)
        account_failed("clone3");
    // A sibling: who asked for it is the one that did it.
    born(child);
    account("exit", "ProcessId", account_number((uint64_t)child), "exit.code", "3", NULL);
}

static void by_signal(void)
{
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    born(child);
    ended(child, "0", "9");
}

static void *end_all(void *unused)
{
    (void)unused;
    syscall(SYS_exit_group, 5);
    return NULL;
}

static void by_thread(void)
{
    pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        pthread_create(&thread, NULL, end_all, NULL);
        pthread_join(thread, NULL);
    }
    waitpid(child, NULL, 0);
    born(child);
    // One process, one end, whichever of its threads comes last.
    account_count(1, "exit", "ProcessId", account_number((uint64_t)child), "exit.code", "5", NULL);
}

static void *say_tid(void *ret)
{
    *(pid_t *)ret = (pid_t)syscall(SYS_gettid);
    return NULL;
}

static void thread_is_none(void)
{
    pthread_t thread;
    pid_t tid = 0;
    pthread_create(&thread, NULL, say_tid, &tid);
    pthread_join(thread, NULL);
    account_absent("fork", "fork.child.pid", account_number((uint64_t)tid), NULL);
    account_absent("exit", "ProcessId", account_number((uint64_t)tid), NULL);
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    by_exit();
    by_vfork();
    by_clone3();
    by_signal();
    by_thread();
    thread_is_none();
    return 0;
}
