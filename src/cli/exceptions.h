// SPDX-License-Identifier: Apache-2.0
// The file of exceptions, changed as a whole or not at all.
#pragma once
#include "base/error.h"
#include "base/str.h"
#include "detect/exception.h"

// Adds an entry's text at the end. What stands there already must be valid, and so must the result; the new file takes
// the old one's place at once. The folder is made when it is missing. Two who do this at once: the second waits.
int exceptions_add(const char *file, struct str entry, struct error *e);
