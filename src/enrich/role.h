// SPDX-License-Identifier: Apache-2.0
// What kind of service an executable's main process is. To add one: a line in role.c's table.
#pragma once
#include "base/str.h"

// "web", "database", "ssh", "cron", "container", "package", "console", "service", "agent", "kernel" or NULL when the
// executable does not begin a lineage by itself. `argv0` tells php-fpm8.2, python3 -m http.server and the like apart.
const char *role_of(struct str image, const struct str *argv, size_t argc);

// An interpreter is a service only by its arguments, so its path alone says nothing about who it is.
bool role_interpreter(struct str image);
// Folders that only root and package managers write: a name counts as an identity only there.
bool role_system_path(struct str image);
// Web and database: whatever is started below stays in that role. Other roles give way to a service inside them.
bool role_strong(const char *role);
