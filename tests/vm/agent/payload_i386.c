// SPDX-License-Identifier: Apache-2.0
// The same for 32 bits.
#include "payload.c"
