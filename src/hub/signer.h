// SPDX-License-Identifier: Apache-2.0
// The role with the keys: the authority's (certificates of hosts) and the one that signs orders. It reads both before its
// sandbox closes, then takes typed asks on its channels and answers; no network, no file, nothing else. Core asks.
// To let it sign one more thing: a message in wire.h, a case in signer.c; it signs only what it made itself.
#pragma once
#include "base/error.h"
#include "hub/wire.h"

// Before the roles start: makes the orders' key where there is none, and as root gives both keys to the signer's user.
int hub_signer_prepare(const struct hub_setup *setup, struct error *e);
int hub_signer_public(const char *state, uint8_t ret[32], struct error *e);

// Core's end: asks and waits, at most two seconds. `fd` -1: -ENOTCONN.
int hub_sign_order(int fd, const struct signed_order *order, struct hub_signed *ret);
int hub_sign_host(int fd, const char *name, struct str request, struct hub_signed *ret);
