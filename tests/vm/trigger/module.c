// SPDX-License-Identifier: Apache-2.0
// A module comes and goes, in a guest only.
#include "seen.h"
#include <sys/utsname.h>

static void probe(const char *option)
{
    execl("/sbin/modprobe", "modprobe", option, "dummy", (char *)NULL);
}

int main(int argc, char **argv)
{
    struct utsname here;
    char file[256];
    if (argc != 2 || uname(&here) < 0)
        return 2;
    if (!getenv("VM_KERNEL") || seen_how(argv[1], "module", SEEN_NOT) != SEEN_EXACTLY)
        account_skip("modules are loaded in a guest only, where that is seen");
    snprintf(file, sizeof file, "/usr/lib/modules/%s/kernel/drivers/net/dummy.ko", here.release);
    account("module", "ProcessId", account_number((unsigned long)seen_child(probe, "-q")),
            "ModuleName", "dummy", "ImageLoaded", file, "Unloaded", "", "Denied", "", NULL);
    account("module", "ProcessId", account_number((unsigned long)seen_child(probe, "-r")),
            "ModuleName", "dummy", "Unloaded", "true", NULL);
    return 0;
}
