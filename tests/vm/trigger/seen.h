// SPDX-License-Identifier: Apache-2.0
// How this machine sees a kind of event, for accounts that depend on it: doctor's answer, which the suite leaves two
// folders above the scratch folder ("# coverage PLACE | KIND | SEEN | DENIED"); without it, what the guests' kernels do.
#pragma once
#include "account.h"
#include <errno.h>
#include <stdbool.h>
#include <sys/wait.h>

enum seen { SEEN_NOT, SEEN_LATE, SEEN_EXACTLY };

static inline enum seen seen_how(const char *scratch, const char *kind, enum seen otherwise)
{
    char path[700], line[512], wanted[64];
    enum seen how = getenv("VM_KERNEL") ? SEEN_EXACTLY : otherwise;
    snprintf(path, sizeof path, "%s/../../coverage", scratch);
    snprintf(wanted, sizeof wanted, "| %s | ", kind);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        const char *seen = strstr(line, wanted);
        if (seen)
            how = strncmp(seen + strlen(wanted), "fentry", 6) == 0 ? SEEN_EXACTLY : otherwise;
    }
    if (file)
        fclose(file);
    return how;
}

static inline pid_t seen_child(void (*act)(const char *argument), const char *argument)
{
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        account_failed("fork");
    if (pid == 0) {
        act(argument);
        _exit(errno ? errno : 1); // the act ends itself where it went well
    }
    if (waitpid(pid, &status, 0) < 0 || status != 0) {
        fprintf(stderr, "a child ended with status %#x\n", (unsigned)status);
        exit(1);
    }
    return pid;
}
