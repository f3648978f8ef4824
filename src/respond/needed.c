// SPDX-License-Identifier: Apache-2.0
// Files without which a host does not start, cannot be reached or cannot be mended: never moved away, never blocked.
// To add one: a line.
#include "base/cleanup.h"
#include "respond/act.h"
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

static const char *const needed[] = {
    "/sbin/init",
    "/lib/systemd/systemd",
    "/lib/systemd/systemd-logind",
    "/lib/systemd/systemd-networkd",
    "/usr/sbin/NetworkManager",
    "/sbin/dhclient",
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/aarch64-linux-gnu/libc.so.6",
    "/lib/x86_64-linux-gnu/libpam.so.0",
    "/lib/aarch64-linux-gnu/libpam.so.0",
    "/usr/sbin/sshd",
    "/usr/lib/openssh/sshd-session",
    "/etc/ssh/sshd_config",
    "/sbin/agetty",
    "/bin/login",
    "/bin/sh",
    "/bin/bash",
    "/bin/su",
    "/usr/bin/sudo",
    "/usr/bin/systemctl",
    "/bin/mount",
    "/usr/bin/dpkg",
    "/usr/bin/apt-get",
    "/etc/passwd",
    "/etc/group",
    "/etc/shadow",
    "/etc/nsswitch.conf",
    "/etc/fstab",
    "/etc/resolv.conf",
    "/usr/sbin/tierceld",
    "/usr/bin/tiercel",
    "/usr/local/sbin/tierceld",
    "/usr/local/bin/tiercel",
    "/proc/self/exe",
};

struct library_walk {
    int (*each)(void *context, const char *path);
    void *context;
};

static int library(struct dl_phdr_info *info, size_t size, void *context)
{
    const struct library_walk *w = context;
    (void)size;
    return info->dlpi_name && info->dlpi_name[0] == '/' ? w->each(w->context, info->dlpi_name) : 0;
}

// What the agent itself runs with comes last.
int act_needed_each(int (*each)(void *context, const char *path), void *context)
{
    int r = 0;
    for (size_t i = 0; i < sizeof(needed) / sizeof(*needed) && r == 0; i++)
        r = each(context, needed[i]);
    struct library_walk w = {each, context};
    return r ? r : dl_iterate_phdr(library, &w);
}

static int same_file(void *context, const char *path)
{
    const uint64_t *wanted = context;
    struct stat st;
    return stat(path, &st) == 0 && st.st_dev == wanted[0] && st.st_ino == wanted[1];
}

bool act_needed_file(uint64_t device, uint64_t inode)
{
    uint64_t wanted[2] = {device, inode};
    return act_needed_each(same_file, wanted) != 0;
}

static int same_hash(void *context, const char *path)
{
    static unsigned char part[65536];
    crypto_hash_sha256_state state;
    unsigned char hash[32];
    ssize_t n;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    crypto_hash_sha256_init(&state);
    while ((n = read(fd, part, sizeof(part))) > 0)
        crypto_hash_sha256_update(&state, part, (size_t)n);
    crypto_hash_sha256_final(&state, hash);
    return n == 0 && memcmp(hash, context, sizeof(hash)) == 0;
}

bool act_needed_hash(const uint8_t sha256[32])
{
    uint8_t copy[32];
    memcpy(copy, sha256, sizeof(copy));
    return act_needed_each(same_hash, copy) != 0;
}
