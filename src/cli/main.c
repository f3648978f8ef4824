// SPDX-License-Identifier: Apache-2.0
// `tiercel`: the command line. What it can do is in the cmd_*.c files beside this one.
#include "cli/command.h"

#include <locale.h>

int main(int argc, char **argv)
{
    // For wcwidth(). What is printed is UTF-8 whatever the locale says; messages are not translated.
    setlocale(LC_CTYPE, "C.UTF-8");
    struct cli cli = {
        .out = term_of(stdout), .err = term_of(stderr), .self = argv[0] ? argv[0] : "tiercel"};
    int code = cli_main(&cli, argc, argv);
    if (fflush(stdout) != 0 && code == CLI_OK)
        code = CLI_FAILED;
    return code;
}
