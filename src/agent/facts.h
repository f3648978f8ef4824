// SPDX-License-Identifier: Apache-2.0
// Facts that must be read from files and therefore waited for: what a program's content hashes to, and how a runtime
// names a container. A thread of the engine's own reads them, at low priority, so that neither a question of the
// gate nor the rings ever wait for a disk. Nothing is opened on a file system that a daemon or a network answers for.
// Bounded: 8,192 hashes and 1,024 names (the oldest go), 256 requests (more are dropped and counted), files up to 256 MiB.
#pragma once
#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

#define FACTS_SHA256 32
#define FACTS_PATH 256

struct facts;

// The content of one file: it changes when any of these does.
struct facts_file {
    uint64_t device, inode, size, changed_ns;
};
struct facts_program { // asked for
    struct facts_file file;
    uint32_t pid;
    uint64_t start;
    bool judged; // the gate was asked about it, so its file system is a local one
    char path
        [FACTS_PATH]; // of the host, for one that is gone already; empty: too long, or not known
};

int facts_new(int proc_fd, struct facts **ret); // starts the thread
struct facts *facts_free(struct facts *facts);  // ends it

// True: known, *ret is filled. False: unknown. Never waits for a disk.
bool facts_hash(struct facts *facts, const struct facts_file *file, uint8_t ret[FACTS_SHA256]);
// To be read soon. The same file asked for again meanwhile costs nothing.
void facts_ask(struct facts *facts, const struct facts_program *program);
// A program that was asked for and whose content is known now; each once. False: none is waiting.
bool facts_take(struct facts *facts, struct facts_program *ret, uint8_t ret_sha256[FACTS_SHA256]);
// The name of a container by its id (12 to 64 hexadecimal digits), asked for and remembered; "" while it is not known.
bool facts_container(struct facts *facts, struct str id, char ret[64]);

struct facts_stats {
    uint64_t hashed, refused,
        dropped; // refused: too large, changed meanwhile, gone, not on a local file system
};
struct facts_stats facts_stats(struct facts *facts);
// For tests: where container runtimes keep their files; NULL: where they do.
void facts_container_folders(struct facts *facts, const char *docker, const char *podman);
