// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
int main(void)
{
    puts("tiercel " TIERCEL_VERSION);
    return 0;
}
