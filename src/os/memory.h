// SPDX-License-Identifier: Apache-2.0
// Gives memory back that only a start needed: a role compiles or loads something once and then lives for months.
#pragma once
#include <stddef.h>

// Free heap, and the pages of the program and its libraries that were only read: what is used again comes back from the
// page cache at its next use. Costs a fault for each 64 KiB then used. Also what is locked: not
// for who must never wait for a disk. Returns the bytes of mappings that were looked at.
size_t os_memory_give_back(void);
