// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Records about credentials, other processes, modules, programs for the kernel, mounts, namespaces and signals: written
// by security.bpf.c, read by src/sensor/decode_security.c.
#pragma once
#include "record_base.h"
