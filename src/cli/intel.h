// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "cli/command.h"

#define INTEL_PLACE "/var/lib/tiercel-hub/knowledge.db"

extern const struct command intel_why;
