// SPDX-License-Identifier: Apache-2.0
// Changes of files: programs in a temporary folder, a page in a web root, a file of /etc, a program, a log. Rests between
// the steps, because fanotify looks at a file a moment after the event: what is changed again meanwhile has its new state.
#include "account.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define PROGRAM "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0"

static void rest(void)
{
    usleep(150000);
}

static void put(const char *path, const char *bytes, size_t n, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n)
        account_failed(path);
    close(fd);
}

static void changed(const char *action, const char *path, const char *watch, const char *executable)
{
    account("file", "FileAction", action, "TargetFilename", path, "Watch", watch, "Executable",
            executable, "Folder", "", "ProcessId", account_pid(), NULL);
}

static void mode_and_owner(const char *path, const char *watch)
{
    static const unsigned char raw[20] = {0, 0, 0, 2, 0, 32}; // cap_net_raw permitted
    if (chmod(path, 04755) < 0)
        account_failed("chmod");
    account("file", "FileAction", "mode", "TargetFilename", path, "Watch", watch, "FileMode",
            "4755", "ProcessId", account_pid(), NULL);
    rest();
    if (chown(path, 65534, 65534) < 0)
        account_failed("chown");
    account("file", "FileAction", "attribute", "TargetFilename", path, "Attribute", "owner",
            "FileOwner", "65534", "ProcessId", account_pid(), NULL);
    rest();
    if (setxattr(path, "security.capability", raw, sizeof raw, 0) == 0)
        account("file", "FileAction", "attribute", "TargetFilename", path, "Attribute",
                "security.capability", "ProcessId", account_pid(), NULL);
    else if (errno != EOPNOTSUPP)
        account_failed("setxattr");
    rest();
}

static void names(const char *path, const char *watch)
{
    char other[512], second[512];
    snprintf(other, sizeof other, "%s-renamed", path);
    snprintf(second, sizeof second, "%s-linked", path);
    if (rename(path, other) < 0)
        account_failed("rename");
    account("file", "FileAction", "rename", "TargetFilename", other, "SourceFilename", path,
            "Watch", watch, "ProcessId", account_pid(), NULL);
    rest();
    if (link(other, second) < 0)
        account_failed("link");
    account("file", "FileAction", "link", "TargetFilename", second, "Watch", watch, "ProcessId",
            account_pid(), NULL);
    rest();
    if (unlink(second) < 0 || unlink(other) < 0)
        account_failed("unlink");
    account("file", "FileAction", "delete", "TargetFilename", second, "Watch", watch, "ProcessId",
            account_pid(), NULL);
    account("file", "FileAction", "delete", "TargetFilename", other, "Watch", watch, "ProcessId",
            account_pid(), NULL);
    rest();
}

static void program(const char *path, const char *watch)
{
    put(path, PROGRAM, sizeof PROGRAM - 1, 0755);
    changed("create", path, watch, "true");
    changed("write", path, watch, "true");
    rest();
    mode_and_owner(path, watch);
    names(path, watch);
}

static void temporary(void)
{
    char folder[64] = "/tmp/tiercel-trigger-XXXXXX", path[128];
    if (!mkdtemp(folder))
        account_failed(folder);
    sleep(4); // while others are busy in /tmp its new folders are noticed after 3 s
    snprintf(path, sizeof path, "%s/program", folder);
    program(path, "temporary");
    snprintf(path, sizeof path, "%s/script", folder); // no execute bit: `sh script` runs it
    put(path, "#!/bin/sh\n", 10, 0644);
    changed("write", path, "temporary", "true");
    rest();
    unlink(path);
    changed("delete", path, "temporary", "true");
    snprintf(path, sizeof path, "%s/notes", folder);
    put(path, "hello\n", 6, 0644);
    unlink(path);
    account_absent("file", "TargetFilename", path, NULL);
    rest();
    rmdir(folder);
}

static void page(const char *scratch)
{
    char folder[512], path[600];
    snprintf(folder, sizeof folder, "%s/uploads", scratch);
    if (mkdir(folder, 0755) < 0)
        account_failed(folder);
    account("file", "FileAction", "create", "TargetFilename", folder, "Watch", "web", "Folder",
            "true", "ProcessId", account_pid(), NULL);
    rest();
    snprintf(path, sizeof path, "%s/page.php", folder);
    put(path, "<?php\n", 6, 0644);
    changed("create", path, "web", "");
    changed("write", path, "web", "");
    rest();
    unlink(path);
    changed("delete", path, "web", "");
    rest();
}

static void configuration(void)
{
    static const char path[] = "/etc/tiercel-trigger.conf";
    put(path, "a = 1\n", 6, 0600);
    changed("create", path, "config", "");
    account("file", "FileAction", "write", "TargetFilename", path, "file.file.size", "6",
            "FileOwner", "0", "Watch", "config", NULL);
    rest();
    if (chmod(path, 0644) < 0)
        account_failed("chmod");
    account("file", "FileAction", "mode", "TargetFilename", path, "OldMode", "*", "FileMode",
            "0644", "Watch", "config", NULL);
    rest();
    names(path, "config");
}

static void log_file(void)
{
    static const char path[] = "/var/log/tiercel-trigger.log";
    put(path, "one\ntwo\n", 8, 0644);
    changed("create", path, "log", "");
    rest();
    put(path, "", 0, 0644);
    account("file", "FileAction", "write", "TargetFilename", path, "Attribute", "shorter", "Watch",
            "log", NULL);
    rest();
    unlink(path);
    changed("delete", path, "log", "");
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    umask(022);
    rest(); // our folder was made just now
    page(argv[1]);
    temporary();
    program("/usr/local/bin/tiercel-trigger", "program");
    configuration();
    log_file();
    return 0;
}
