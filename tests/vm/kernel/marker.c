// SPDX-License-Identifier: Apache-2.0
// A program that opens nothing: says on descriptor 9, as the first thing it does, that it ran. With "wait" as its first
// argument it then waits until descriptor 8 ends.
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char c = '!';
    ssize_t said = write(9, &c, 1);

    if (said == 1 && argc > 1 && !strcmp(argv[1], "wait"))
        while (read(8, &c, 1) > 0)
            ;
    return 7;
}
