// SPDX-License-Identifier: Apache-2.0
// The mode that root switched to by command outlives the daemon: a file `mode` in the state folder, one word. The
// command line goes over it, it goes over the configuration.
#pragma once
#include <stdbool.h>

// 1 there is one, *ret_prevent says which; 0 there is none; negative errno (-EINVAL: another word is in it).
int mode_read(const char *state, bool *ret_prevent);
int mode_write(const char *state, bool prevent); // whole or not at all; 0 or negative errno
