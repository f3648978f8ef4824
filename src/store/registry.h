// SPDX-License-Identifier: Apache-2.0
// Who may report to the hub: clients, their hosts, one-time enrolment keys (hashed). One SQLite file in WAL mode: the
// commands and the running hub use it at the same time, each change is one transaction and durable when it returns.
// A host has one certificate, the last one signed: any other, and that of a revoked host, is refused.
#pragma once
#include "base/error.h"
#include "base/str.h"

#define REGISTRY_KEY_ID 4 // bytes; names the key, is no secret
#define REGISTRY_CLIENTS_MAX 1024
#define REGISTRY_HOSTS_MAX 65536 // of one client, revoked ones included
#define REGISTRY_KEYS_MAX 4096   // of one client, that can still be used
#define REGISTRY_NAME_MAX 64     // bytes of a sector and of a host's name

struct registry;

// Makes the file when `create`, else it must be there (-ENOENT).
int registry_open(const char *file, bool create, struct registry **ret, struct error *e);
struct registry *registry_close(struct registry *r);

struct registry_client {
    char name[REGISTRY_NAME_MAX + 1], sector[REGISTRY_NAME_MAX + 1];
    uint64_t added_ns, hosts, revoked, keys; // keys: with uses left, expired or not
};
// -EEXIST; -ENOSPC at the limit.
int registry_client_add(struct registry *r, const char *name, const char *sector, uint64_t now,
                        struct error *e);
// By name. each() returns 0 to go on; so do the others.
int registry_client_each(struct registry *r,
                         int (*each)(void *context, const struct registry_client *c), void *context,
                         struct error *e);

struct registry_key {
    uint8_t id[REGISTRY_KEY_ID], hash[32];
    uint32_t uses;
    uint64_t expires_ns;
};
// Keys that are used up or expired are deleted meanwhile. -ENOENT: no such client.
int registry_key_add(struct registry *r, const char *client, const struct registry_key *key,
                     uint64_t now, struct error *e);

struct registry_host {
    char client[REGISTRY_NAME_MAX + 1], name[REGISTRY_NAME_MAX + 1];
    uint8_t host[16], certificate[32]; // SHA-256 of its DER
    uint64_t enrolled_ns, revoked_ns;  // 0: not revoked
};
int registry_host_each(struct registry *r, const char *client, // NULL: of all
                       int (*each)(void *context, const struct registry_host *h), void *context,
                       struct error *e);
// As it enrolled. -ENOENT: no such host.
int registry_host_name(struct registry *r, const char *client, const uint8_t host[16],
                       char ret[REGISTRY_NAME_MAX + 1]);
// Another number than before when somebody else (a command) has changed the registry; negative errno.
int64_t registry_version(struct registry *r);
// -ENOENT: no such host; 1: it was revoked before.
int registry_host_revoke(struct registry *r, const char *client, const uint8_t host[16],
                         uint64_t now, struct error *e);
// For each request. 0; -ENOENT no such host; -EACCES revoked, or another certificate than its last.
int registry_host_check(struct registry *r, const char *client, const uint8_t host[16],
                        const uint8_t certificate[32]);

struct registry_enrolment {
    uint8_t key_id[REGISTRY_KEY_ID], key_hash[32];
    uint8_t host[16];
    char name[REGISTRY_NAME_MAX + 1];
    uint64_t now;
    // Makes the certificate once the key was found good. 0 or what registry_enrol() returns.
    int (*sign)(void *context, const char *client, uint8_t ret_certificate[32]);
    void *context;
};
// Takes one use of the key and registers the host, both or nothing. -EACCES: no such key, used up or expired (which of
// them is not said); -EEXIST: the host is enrolled and not revoked.
int registry_enrol(struct registry *r, const struct registry_enrolment *enrolment, struct error *e);
