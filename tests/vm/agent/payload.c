// SPDX-License-Identifier: Apache-2.0
// A static program that opens nothing: payload MARKER [WORD] makes the folder MARKER as its first act and ends with 7.
// With a WORD that begins with "/var/" it only ends.
#include <string.h>
#include <sys/stat.h>

int main(int argc, char **argv)
{
    if (argc > 1 && (argc < 3 || strncmp(argv[2], "/var/", 5) != 0))
        mkdir(argv[1], 0755);
    return 7;
}
