// SPDX-License-Identifier: Apache-2.0
// The agent as a child of `tiercel run`: in a session of its own, so that Ctrl-C reaches only us, and told to end when we
// die. What it says on its standard error comes through a pipe.
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include <sys/types.h>

struct child_process {
    pid_t pid; // 0: none, or reaped
    int status;
    int log; // read end, non-blocking
    char line[512];
    size_t n;
};

int child_spawn(struct child_process *c, const char *program, char *const *argv, struct error *e);
// True while it lives; reaps it.
bool child_lives(struct child_process *c);
// SIGTERM, then waits; after timeout_ms SIGKILL to its whole session. True when it ended by itself.
bool child_stop(struct child_process *c, unsigned timeout_ms);
// The next whole line that it said, without its newline; false when there is none now.
bool child_line(struct child_process *c, struct buf *ret);
void child_done(struct child_process *c);
