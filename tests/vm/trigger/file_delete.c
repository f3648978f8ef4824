// SPDX-License-Identifier: Apache-2.0
// Fifty thousand deletes by one process, as fast as it can, in a watched folder: each is an event.
#include "account.h"
#include <fcntl.h>
#include <sys/wait.h>

enum { FILES = 50000, AT_ONCE = 2000 };

int main(int argc, char **argv)
{
    char name[32];
    if (argc != 2 || chdir(argv[1]) < 0)
        return 2;
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "%d", i);
        int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0)
            account_failed(name);
        close(fd);
        if (i % AT_ONCE == 0)
            usleep(20000);
    }
    sleep(2);
    pid_t child = fork();
    if (child < 0)
        account_failed("fork");
    if (child == 0) {
        for (int i = 0; i < FILES; i++) {
            snprintf(name, sizeof name, "%d", i);
            if (unlink(name) < 0)
                account_failed(name);
        }
        exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    account_count(FILES, "file", "FileAction", "delete", "ProcessId",
                  account_number((uint64_t)child), "Watch", "web", NULL);
    sleep(2);
    return status != 0;
}
