// SPDX-License-Identifier: Apache-2.0
// Where things are: beside this program in the build tree, else where they are installed.
#pragma once
#include "base/error.h"
#include <stddef.h>

// The agent's program: in the build tree beside us, then ../sbin beside us, then PATH and the usual folders. -ENOENT.
int place_daemon(char *ret, size_t size, struct error *e);
int place_program(const char *name, char *ret, size_t size, struct error *e); // another of ours
// The folder of rules that the agent takes when nothing else is said: the source tree's content/rules when we run from a
// build tree, else /etc/tiercel/rules, else the installed ones. -ENOENT.
int place_rules(char *ret, size_t size, struct error *e);

#define PLACE_EXCEPTIONS "/etc/tiercel/exceptions.yml"
