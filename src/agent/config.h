// SPDX-License-Identifier: Apache-2.0
// /etc/tiercel/tiercel.yml: read once by the parent at its start, by libyaml, strictly: an unknown key, a value of the
// wrong kind or a key given twice is an error with its place. Every key is in the table of config.c and in doc/roles.md.
// To add one: a line there, a member here.
#pragma once
#include "agent/role.h"
#include "base/error.h"
#include "base/str.h"
#include "sensor/protect.h"

#define CONFIG_FILE "/etc/tiercel/tiercel.yml"
#define CONFIG_BYTES_MAX 65536u

struct config {
    bool prevent;
    bool mode_given;        // on the command line: not changed by what was switched before
    uint32_t deadline_ms;   // 5 to 1000
    uint64_t journal_bytes; // on disk, at least 4 MiB
    uint32_t cpu_percent;   // of one core; 0: no limit
    uint64_t memory_bytes;  // of the engine, at least 32 MiB; 0: no limit
    uint32_t n_deny;
    struct sensor_address deny[ROLE_DENY_MAX];
    struct protect_settings protect;
    char web_roots[ROLE_FOLDERS]; // paths, each with its NUL, ended by an empty one
    uint64_t quarantine_bytes;    // a larger file is not taken into quarantine
    uint32_t n_allow;
    struct response_address allow[ROLE_ALLOW_MAX];
    char rules[ROLE_PATH], exceptions[ROLE_PATH], state[ROLE_PATH];
    char run[64]; // short: a socket's path is at most 107 bytes
};

void config_default(struct config *ret);
// Changes only what the text names; on an error *config may be half changed.
int config_parse(struct str text, const char *file, struct config *config, struct error *e);
int config_read(const char *file, struct config *config, struct error *e); // -ENOENT: no such file
// "10.0.0.0/8", "127.66.0.1", "2001:db8::/32". -EINVAL with a reason.
int config_address(struct str text, struct sensor_address *ret, struct error *e);
