// SPDX-License-Identifier: Apache-2.0
// What one command costs, in nanoseconds of CPU, which are instructions in a guest whose clock counts them:
//   measure [PID...] -- COMMAND...
// prints "COMMAND'S OWN (with all that it started)  THE PROCESSES' PID... MEANWHILE (all their threads)". The processes
// are the agent's; half a second after the command they have read what it made.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t of_thread(const char *pid, const char *tid)
{
    char path[320];
    unsigned long long ran = 0;
    snprintf(path, sizeof path, "/proc/%s/task/%s/schedstat", pid, tid);
    FILE *file = fopen(path, "re");
    if (!file || fscanf(file, "%llu", &ran) != 1)
        ran = 0;
    if (file)
        fclose(file);
    return ran;
}

static uint64_t of_process(const char *pid)
{
    char path[64];
    uint64_t sum = 0;
    snprintf(path, sizeof path, "/proc/%s/task", pid);
    DIR *folder = opendir(path);
    if (!folder) {
        fprintf(stderr, "process %s is gone\n", pid);
        exit(1);
    }
    for (struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            sum += of_thread(pid, entry->d_name);
    closedir(folder);
    return sum;
}

static uint64_t of_all(char **pids, int n)
{
    uint64_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += of_process(pids[i]);
    return sum;
}

static uint64_t ns(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000u;
}

int main(int argc, char **argv)
{
    int n = 1;
    while (n < argc && strcmp(argv[n], "--") != 0)
        n++;
    if (n + 1 >= argc)
        return 2;
    uint64_t before = of_all(argv + 1, n - 1);
    pid_t pid = fork();
    if (pid == 0) {
        execv(argv[n + 1], argv + n + 1);
        _exit(127);
    }
    int status;
    struct rusage usage;
    if (pid < 0 || wait4(pid, &status, 0, &usage) < 0 || status != 0) {
        fprintf(stderr, "%s failed\n", argv[n + 1]);
        return 1;
    }
    nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
    uint64_t after = of_all(argv + 1, n - 1);
    printf("%llu %llu\n", (unsigned long long)(ns(usage.ru_utime) + ns(usage.ru_stime)),
           (unsigned long long)(after - before));
    return 0;
}
