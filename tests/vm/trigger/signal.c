// SPDX-License-Identifier: Apache-2.0
// Signals that end or stop another user's process; those to one's own, and harmless ones, are no events.
#include "seen.h"
#include <signal.h>
#include <sys/syscall.h>

static pid_t target;

static void shoot(const char *number)
{
    if (kill(target, atoi(number)) == 0)
        _exit(0);
}

static void begin(unsigned uid)
{
    int ready[2];
    char c;
    if (pipe(ready) < 0 || (target = fork()) < 0)
        account_failed("fork");
    if (target == 0) {
        if (syscall(SYS_setresuid, uid, uid, uid) || write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    if (read(ready[0], &c, 1) != 1)
        account_failed("target");
    close(ready[0]);
    close(ready[1]);
}

int main(int argc, char **argv)
{
    static const int numbers[] = {SIGSTOP, SIGTERM, SIGKILL};
    (void)argv;
    if (argc != 2)
        return 2;
    begin(65532);
    for (size_t i = 0; i < 3; i++) {
        const char *number = account_number((unsigned long)numbers[i]);
        account("signal", "ProcessId", account_number((unsigned long)seen_child(shoot, number)),
                "Signal", number, "TargetProcessId", account_number((unsigned long)target),
                "signal.other_user", "true", "Denied", "", NULL);
        // Whom SIGTERM finds stopped keeps it for later; not stopped yet, it would end him, and SIGKILL nobody.
        if (numbers[i] == SIGSTOP && waitpid(target, NULL, WUNTRACED) != target)
            account_failed("stop");
    }
    waitpid(target, NULL, 0);
    begin(65532);
    account_absent("signal", "ProcessId", account_number((unsigned long)seen_child(shoot, "18")),
                   NULL);
    kill(target, SIGKILL);
    waitpid(target, NULL, 0);
    begin(0);
    account_absent("signal", "ProcessId", account_number((unsigned long)seen_child(shoot, "15")),
                   NULL);
    waitpid(target, NULL, 0);
    return 0;
}
