// SPDX-License-Identifier: Apache-2.0
// Tells the service manager how this service stands, as sd_notify(3) describes: lines of NAME=VALUE to the datagram
// socket that NOTIFY_SOCKET names. libsystemd does the same, and brings five libraries into every role.
#pragma once

// 0: told. 1: nobody wants to know. Negative errno; never waits.
int os_notify(const char *state);
