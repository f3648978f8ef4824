// SPDX-License-Identifier: Apache-2.0
// Landlock: of the file system only what is named here, whatever the user may do. For the calling process and for good;
// before os_sandbox_enter(), whose filter knows none of these calls.
#pragma once
#include "base/error.h"

// Below `read` (NULL-terminated, or NULL) files are read and folders listed, below `write` everything but devices is
// done. What is not there is left out. 0; 1: this kernel has no Landlock, nothing was limited; negative errno.
int os_landlock(const char *const *read, const char *const *write, struct error *e);
