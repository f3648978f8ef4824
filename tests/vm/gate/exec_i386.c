// SPDX-License-Identifier: Apache-2.0
// A 32-bit caller: exec_i386 PROGRAM ARGUMENT... ends with errno when the program did not start.
#include <errno.h>
#include <stddef.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char *environment[] = {"LD_AUDIT=seen", NULL};
    if (argc < 2)
        return 100;
    execve(argv[1], argv + 1, environment);
    return errno;
}
