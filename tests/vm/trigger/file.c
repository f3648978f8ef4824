// SPDX-License-Identifier: Apache-2.0
// Changes of files in a watched folder (tiercel.yml makes the scratch folder a web root): made, written, renamed, linked,
// deleted, mode, owner, file capability, cut off. Each file is used once, so that a mechanism that looks afterwards has
// something to look at; what failed must not be told.
#include "account.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static const char *folder;

static const char *in(const char *name)
{
    static char text[16][600];
    static unsigned at;
    char *p = text[at++ % 16];
    snprintf(p, sizeof text[0], "%s/%s", folder, name);
    return p;
}

static void must(int result, const char *what)
{
    if (result)
        account_failed(what);
}

static void settle(void)
{
    usleep(300000); // a mechanism that looks afterwards has looked
}

static void make(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        account_failed("open");
    close(fd);
    settle();
}

static void told(const char *action, const char *path, const char *executable)
{
    account("file", "ProcessId", account_pid(), "FileAction", action, "TargetFilename", path,
            "Executable", executable, "Folder", "", "Denied", "", "Watch", "web", NULL);
}

static void contents(void)
{
    make(in("page.html"), "<p>hello</p>\n", 0644);
    told("create", in("page.html"), "");
    told("write", in("page.html"), "");
    make(in("tool"), "#!/bin/sh\nid\n", 0755);
    told("create", in("tool"), "true");
    told("write", in("tool"), "true");
    make(in("script"), "#!/usr/bin/php\n", 0600); // no execute bit, and yet a script
    account("file", "ProcessId", account_pid(), "FileAction", "write", "TargetFilename",
            in("script"), "Executable", "true", "FileMode", "*", "file.file.size", "15",
            "FileOwner", account_number(geteuid()), NULL);
}

static void names(void)
{
    must(mkdir(in("folder"), 0755), "mkdir");
    settle();
    account("file", "ProcessId", account_pid(), "FileAction", "create", "TargetFilename",
            in("folder"), "Folder", "true", NULL);
    make(in("name one"), "x", 0644);
    must(rename(in("name one"), in("folder/two")), "rename");
    settle();
    account("file", "ProcessId", account_pid(), "FileAction", "rename", "TargetFilename",
            in("folder/two"), "SourceFilename", in("name one"), NULL);
    must(unlink(in("folder/two")), "unlink");
    settle();
    told("delete", in("folder/two"), "");
    must(rmdir(in("folder")), "rmdir");
    account("file", "ProcessId", account_pid(), "FileAction", "delete", "TargetFilename",
            in("folder"), "Folder", "true", NULL);
}

static void rights(void)
{
    static const struct {
        uint32_t magic, permitted, inheritable, permitted_high, inheritable_high;
    } net_raw = {0x02000001, 1 << 13, 0, 0, 0};

    make(in("mode"), "x", 0644);
    must(chmod(in("mode"), 0755), "chmod");
    settle();
    account("file", "ProcessId", account_pid(), "FileAction", "mode", "TargetFilename", in("mode"),
            "FileMode", "0755", "OldMode", "0644", "Executable", "true", NULL);
    make(in("setuid"), "x", 0755);
    must(chmod(in("setuid"), 04755), "chmod");
    settle();
    account("file", "ProcessId", account_pid(), "FileAction", "mode", "TargetFilename",
            in("setuid"), "FileMode", "4755", "OldMode", "0755", NULL);
    make(in("owner"), "x", 0644);
    must(chown(in("owner"), 33, 33), "chown");
    settle();
    account("file", "ProcessId", account_pid(), "FileAction", "attribute", "TargetFilename",
            in("owner"), "Attribute", "owner", "FileOwner", "33", NULL);
    make(in("capable"), "x", 0755);
    if (setxattr(in("capable"), "security.capability", &net_raw, sizeof net_raw, 0))
        account_failed("setxattr");
    settle();
    account("file", "ProcessId", account_pid(), "FileAction", "attribute", "TargetFilename",
            in("capable"), "Attribute", "security.capability", NULL);
}

static void failures(void)
{
    if (!unlink(in("nothing")) || !rename(in("nothing"), in("something")) || !mkdir(folder, 0755) ||
        open(in("page.html"), O_CREAT | O_EXCL | O_WRONLY, 0755) >= 0)
        account_failed("what should have failed");
    account_absent("file", "FileAction", "delete", "TargetFilename", in("nothing"), NULL);
    account_absent("file", "FileAction", "rename", "TargetFilename", in("something"), NULL);
    account_absent("file", "FileAction", "create", "TargetFilename", folder, "ProcessId",
                   account_pid(), NULL);
    account_count(1, "file", "FileAction", "create", "TargetFilename", in("page.html"), NULL);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    folder = argv[1];
    sleep(1); // the folder is new
    contents();
    names();
    rights();
    failures();
    return 0;
}
