// SPDX-License-Identifier: Apache-2.0
// A file in quarantine: STATE/responses/quarantine/ID. Encrypted in parts (libsodium's secretstream, XChaCha20-Poly1305)
// so that nothing runs it, finds it or changes it unseen; the first part is the metadata, the id is authenticated with
// it. The key is STATE/responses/key, mode 0600: without it nothing comes back.
// Kept: bytes, owner, mode, times of change and access, extended attributes (capabilities, ACLs, user.*). Not kept:
// other names of the file (hard links), ctime, trusted.* attributes and chattr flags.
#pragma once
#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define VAULT_KEY 32
#define VAULT_XATTRS 65536u // names and values together
#define VAULT_PATH 2560

struct vault_meta {
    uint64_t size, device, inode, links;
    int64_t access_sec, change_sec; // atime, mtime
    uint32_t access_nsec, change_nsec;
    uint32_t uid, gid, mode, xattr_bytes;
    uint8_t sha256[32];
    char path[VAULT_PATH];
};

struct vault_work {
    const uint8_t *key;
    uint64_t id;
    void (*tick)(void *context); // after each part; may be NULL
    void *context;
};

// Makes the key when there is none. 0 or negative errno.
int vault_key(int folder, uint8_t ret[VAULT_KEY]);
// All of `from` (an open regular file) into `to`, synced. The file must not change meanwhile: -EBUSY.
int vault_seal(const struct vault_work *w, int from, const char *path, int to,
               struct vault_meta *ret, struct error *e);
// Reads it all back. `to` -1: only checks. Else the bytes, then owner, mode, attributes and times. -EBADMSG: it is
// damaged, was changed, or belongs to another id or key.
int vault_open(const struct vault_work *w, int from, int to, struct vault_meta *ret,
               struct error *e);
// Whether an open file has these very bytes.
bool vault_same_bytes(const struct vault_work *w, int fd, const struct vault_meta *m);
