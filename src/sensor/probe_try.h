// SPDX-License-Identifier: Apache-2.0
// Trials: does a mechanism have its effect on this machine? Configuration files do not tell. Each is harmless, touches
// only the calling thread or a child of its own, and leaves nothing behind.
#pragma once
#include "sensor/probe.h"

// Load a tiny program, and see whether it denies or runs.
void probe_try_lsm(struct probe_mechanism *ret);
void probe_try_fentry(struct probe_mechanism *ret);
void probe_try_prepare_exec(struct probe_mechanism *ret); // by the kernel's BTF only

// A child's exec is to be killed: the exec check is switched on for a mount namespace that the child makes for itself.
void probe_try_exec_signal(struct exec_config *config, const struct probe_fds *fds,
                           struct probe_mechanism *ret);
// Connects to 127.66.255.254 with and without a prefix that denies it.
void probe_try_network(const struct probe_fds *fds, struct probe_mechanism *ret);
// A child is forked and must have been counted.
bool probe_try_events(const struct probe_fds *fds);

void probe_mechanism_set(struct probe_mechanism *m, enum probe_state state, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
