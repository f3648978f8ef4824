// SPDX-License-Identifier: Apache-2.0
// The system calls of a role, as an allow-list (libseccomp). Used by sandbox.c.
#pragma once
#include "base/error.h"

// `allow` is enum os_allow; `calls` ends with -1. Holds for all threads.
int os_calls_limit(unsigned allow, const int *calls, struct error *e);
