// SPDX-License-Identifier: Apache-2.0
// FUSE, spoken by hand: a daemon that answers INIT and what a look at its files needs, then nothing more.
#pragma once
#include "base/test.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fuse {
    int device;
    pid_t daemon;
    char path[128];
};

static void fuse_reply(int fd, uint64_t unique, const void *body, size_t n)
{
    char out[512];
    struct fuse_out_header h = {.len = (uint32_t)(sizeof h + n), .unique = unique};
    memcpy(out, &h, sizeof h);
    if (n)
        memcpy(out + sizeof h, body, n);
    if (write(fd, out, sizeof h + n) < 0)
        return; // the request was given up
}

static struct fuse_attr fuse_attributes(uint64_t node)
{
    return (struct fuse_attr){.ino = node,
                              .size = 8192,
                              .blocks = 16,
                              .nlink = 1,
                              .blksize = 4096,
                              .mode = node == 1 ? S_IFDIR | 0755 : S_IFREG | 0755};
}

// Root, and in it one file of any name whose reads are never answered.
static void fuse_daemon(int fd)
{
    static char in[1 << 20];
    for (;;) {
        ssize_t n = read(fd, in, sizeof in);
        if (n < (ssize_t)sizeof(struct fuse_in_header)) {
            if (n < 0 && (errno == EINTR || errno == ENOENT))
                continue;
            _exit(0);
        }
        struct fuse_in_header h;
        memcpy(&h, in, sizeof h);
        struct fuse_init_out init = {
            .major = 7, .minor = 31, .max_readahead = 4096, .max_write = 4096};
        struct fuse_entry_out entry = {
            .nodeid = 2, .attr = fuse_attributes(2), .entry_valid = 60, .attr_valid = 60};
        struct fuse_attr_out attr = {.attr_valid = 60, .attr = fuse_attributes(h.nodeid)};
        struct fuse_open_out opened = {.fh = 1};
        switch (h.opcode) {
        case FUSE_INIT:
            fuse_reply(fd, h.unique, &init, sizeof init);
            break;
        case FUSE_LOOKUP:
            fuse_reply(fd, h.unique, &entry, sizeof entry);
            break;
        case FUSE_GETATTR:
            fuse_reply(fd, h.unique, &attr, sizeof attr);
            break;
        case FUSE_OPEN:
        case FUSE_OPENDIR:
            fuse_reply(fd, h.unique, &opened, sizeof opened);
            break;
        case FUSE_ACCESS:
        case FUSE_FLUSH:
        case FUSE_RELEASE:
            fuse_reply(fd, h.unique, NULL, 0);
            break;
        default: // READ and all else: never
            break;
        }
    }
}

// Mounted at `folder`/fuse; the daemon closes `not_mine`.
static void fuse_start(struct fuse *f, const char *folder, int not_mine)
{
    char options[128];
    snprintf(f->path, sizeof f->path, "%s/fuse", folder);
    mkdir(f->path, 0755);
    f->device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    assert_true(f->device >= 0);
    snprintf(options, sizeof options, "fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other",
             f->device);
    assert_int_equal(mount("sleeper", f->path, "fuse", 0, options), 0);
    f->daemon = fork();
    assert_true(f->daemon >= 0);
    if (f->daemon == 0) {
        close(not_mine);
        fuse_daemon(f->device);
    }
    close(f->device);
}

static void fuse_end(struct fuse *f)
{
    kill(f->daemon, SIGKILL);
    waitpid(f->daemon, NULL, 0);
    umount2(f->path, MNT_DETACH);
}
