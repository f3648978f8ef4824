// SPDX-License-Identifier: Apache-2.0
// Changes of user, group and capabilities; where functions cannot be traced they are one event when the process ends.
#include "seen.h"
#include <linux/capability.h>
#include <sys/syscall.h>

static void become_another(const char *unused)
{
    (void)unused;
    if (syscall(SYS_setresgid, 1001, 1002, 1002) == 0 &&
        syscall(SYS_setresuid, 1000, 1000, 1000) == 0)
        _exit(0);
}

static int set(unsigned effective, unsigned permitted)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{effective, permitted, 0}, {0, 0, 0}};
    return (int)syscall(SYS_capset, &header, data);
}

static void lower_and_raise(const char *unused)
{
    unsigned both = 1u << CAP_CHOWN | 1u << CAP_KILL;
    (void)unused;
    if (set(1u << CAP_KILL, both) == 0 && set(both, both) == 0)
        _exit(0);
}

static void change_nothing(const char *unused)
{
    (void)unused;
    if (syscall(SYS_setresuid, -1, 0, -1) == 0)
        _exit(0);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    enum seen how = seen_how(argv[1], "credentials", SEEN_LATE);
    const char *pid = account_number((unsigned long)seen_child(become_another, NULL));
    if (how == SEEN_EXACTLY) {
        account("credentials", "ProcessId", pid, "OldUid", "0", "NewUid", "0",
                "credentials.new.gid", "1001", "credentials.new.egid", "1002",
                "credentials.old.gid", "0", "credentials.late", "", NULL);
        account("credentials", "ProcessId", pid, "OldUid", "0", "NewUid", "1000",
                "credentials.new.uid", "1000", "credentials.new.capabilities", "0", "Unexplained",
                "", "credentials.late", "", NULL);
    } else {
        account("credentials", "ProcessId", pid, "OldUid", "0", "NewUid", "1000",
                "credentials.new.egid", "1002", "credentials.late", "true", "Unexplained", "",
                NULL);
    }
    pid = account_number((unsigned long)seen_child(lower_and_raise, NULL));
    if (how == SEEN_EXACTLY)
        account("credentials", "ProcessId", pid, "Gained", "1", "OldUid", "0", "NewUid", "0", NULL);
    account_absent("credentials", "ProcessId",
                   account_number((unsigned long)seen_child(change_nothing, NULL)), NULL);
    return 0;
}
