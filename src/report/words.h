// SPDX-License-Identifier: Apache-2.0
// Word classes for the patterns of checks.c: `{agreement}` in a pattern stands for the class of that name. A class may use
// those before it in the table.
#pragma once
#include "base/buf.h"

// The pattern with its classes written out. -EINVAL: a class that is not there; -EFBIG, -ENOMEM.
int report_words_expand(const char *pattern, struct buf *ret);
