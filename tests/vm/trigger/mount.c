// SPDX-License-Identifier: Apache-2.0
// Mounts of each sort, in a mount namespace of their own.
#include "seen.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static char a[600], b[600];

static void mount_much(const char *unused)
{
    (void)unused;
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("some device", a, "tmpfs", MS_NOSUID, NULL) || mount(a, b, NULL, MS_BIND, NULL) ||
        mount(NULL, b, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) || umount2(b, MNT_DETACH) ||
        mount(a, b, NULL, MS_MOVE, NULL))
        return;
    int fs = (int)syscall(SYS_fsopen, "tmpfs", 0);
    if (fs < 0 || syscall(SYS_fsconfig, fs, 6 /* create */, NULL, NULL, 0))
        return;
    int made = (int)syscall(SYS_fsmount, fs, 0, 0);
    if (made < 0 || syscall(SYS_move_mount, made, "", AT_FDCWD, a, 4 /* from is a descriptor */))
        return;
    _exit(0);
}

static void fail_to_mount(const char *unused)
{
    (void)unused;
    if (unshare(CLONE_NEWNS) || mount("x", a, "no such type", 0, NULL) == 0)
        return;
    _exit(0);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    if (seen_how(argv[1], "mount", SEEN_NOT) != SEEN_EXACTLY)
        account_skip("functions of the kernel cannot be traced here: who mounts is not seen");
    snprintf(a, sizeof a, "%s/a place", argv[1]);
    snprintf(b, sizeof b, "%s/b", argv[1]);
    if (mkdir(a, 0755) || mkdir(b, 0755))
        account_failed("mkdir");
    const char *pid = account_number((unsigned long)seen_child(mount_much, NULL));
    account("mount", "ProcessId", pid, "MountAction", "mount", "MountSource", "some device",
            "TargetFilename", a, "MountType", "tmpfs", "mount.flags", account_number(MS_NOSUID),
            NULL);
    account("mount", "ProcessId", pid, "MountAction", "mount", "MountSource", a, "TargetFilename",
            b, "mount.flags", account_number(MS_BIND), NULL);
    account("mount", "ProcessId", pid, "MountAction", "remount", "TargetFilename", b, NULL);
    account("mount", "ProcessId", pid, "MountAction", "unmount", "TargetFilename", b, "MountType",
            "tmpfs", NULL);
    account("mount", "ProcessId", pid, "MountAction", "move", "MountSource", a, "TargetFilename", b,
            NULL);
    account("mount", "ProcessId", pid, "MountAction", "mount", "TargetFilename", a, "MountType",
            "tmpfs", "mount.flags", "0", NULL);
    account_count(6, "mount", "ProcessId", pid, NULL);
    account_absent("mount", "ProcessId",
                   account_number((unsigned long)seen_child(fail_to_mount, NULL)), NULL);
    return 0;
}
