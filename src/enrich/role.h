// SPDX-License-Identifier: Apache-2.0
// What kind of service an executable's main process is. To add one: a line in role.c's table.
#pragma once
#include "base/str.h"

// "web", "database", "ssh", "cron", "container", "package", "console", "service", "agent", "kernel" or NULL when the
// executable does not begin a lineage by itself. `argv0` tells php-fpm8.2, python3 -m http.server and the like apart.
const char *role_of(struct str image, const struct str *argv, size_t argc);
