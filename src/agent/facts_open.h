// SPDX-License-Identifier: Apache-2.0
// Opens a program's file for reading without ever waiting for a daemon or a network: what lies on FUSE, NFS and the like
// is known by its mount's type (proc(5)) before anything is asked of it.
#pragma once
#include "base/str.h"
#include <stdbool.h>
#include <sys/types.h>

// /proc/PID/exe while it runs, else `path` (absolute, of the host), walked component by component, no links. `overlay`:
// one may be opened. A descriptor, or negative errno: -EOPNOTSUPP not on a local file system.
int facts_open_program(int proc_fd, pid_t pid, struct str path, bool overlay);
