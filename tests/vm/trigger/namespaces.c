// SPDX-License-Identifier: Apache-2.0
// Namespaces left by unshare and entered by setns.
#include "seen.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

static void leave(const char *report)
{
    struct stat st;
    FILE *file = fopen(report, "we");
    if (!file || unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 || stat("/proc/self/ns/mnt", &st) < 0)
        return;
    fprintf(file, "%llu", (unsigned long long)st.st_ino);
    fclose(file);
    _exit(0);
}

static void enter(const char *unused)
{
    int own = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
    (void)unused;
    if (own < 0 || unshare(CLONE_FILES) < 0 || setns(own, CLONE_NEWUTS) < 0)
        return;
    _exit(0); // where it was already: nothing changed
}

int main(int argc, char **argv)
{
    char report[600], number[32] = "";
    if (argc != 2)
        return 2;
    enum seen how = seen_how(argv[1], "namespaces", SEEN_LATE);
    snprintf(report, sizeof report, "%s/report", argv[1]);
    const char *pid = account_number((unsigned long)seen_child(leave, report));
    FILE *file = fopen(report, "re");
    if (!file || !fgets(number, sizeof number, file))
        account_failed(report);
    fclose(file);
    account("namespaces", "ProcessId", pid, "NewMountNamespace", number, "namespaces.late",
            how == SEEN_EXACTLY ? "" : "true", "namespaces.new.network", "*", NULL);
    account_absent("namespaces", "ProcessId",
                   account_number((unsigned long)seen_child(enter, NULL)), NULL);
    return 0;
}
