// SPDX-License-Identifier: Apache-2.0
// Names of users from a passwd file, without the name service (which may ask the network). Read again when the file
// changes; looked at once a second at most. Limits: 4 MiB, 65,536 users.
#pragma once
#include "base/env.h"
#include "base/str.h"

struct users;

int users_new(const char *path, struct users **ret); // the file need not exist
struct users *users_free(struct users *u);
// Empty when there is none. Lives until the next call that finds the file changed.
struct str users_name(struct users *u, const struct env *env, uint32_t uid);
// Replaces all users by those of a passwd text; malformed lines are left out. Returns how many, or -ENOMEM.
int users_parse(struct users *u, struct str text);
