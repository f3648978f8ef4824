// SPDX-License-Identifier: Apache-2.0
// Shows that a suite's plain program is built and runs in the guest.
#include <stdio.h>

int main(void)
{
    return puts("hello") < 0;
}
