// SPDX-License-Identifier: Apache-2.0
// cmocka wants these in this order.
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> // IWYU pragma: export
