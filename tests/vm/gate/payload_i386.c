// SPDX-License-Identifier: Apache-2.0
// A 32-bit program: payload_i386 MARKER leaves a file and ends with 7.
#include <fcntl.h>

int main(int argc, char **argv)
{
    if (argc > 1)
        open(argv[1], O_WRONLY | O_CREAT, 0644);
    return 7;
}
