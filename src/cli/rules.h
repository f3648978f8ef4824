// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "cli/command.h"

extern const struct command rules_list, rules_check, rules_test, rules_explain, rules_fields;
