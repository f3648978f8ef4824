// SPDX-License-Identifier: Apache-2.0
// One subcommand of `tiercel` is one file: cmd_<name>.c defines `const struct command cmd_<name>`. The build collects the
// files (tools/list-commands); help, man page, completion and doc/cli.md are all made from these tables.
// To add a command: write that file, then `tiercel help --markdown > doc/cli.md`.
#pragma once
#include "base/error.h"
#include "cli/term.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Exit codes, the same for every command.
enum {
    CLI_OK = 0,
    CLI_NO = 1,       // the answer is no: rules with errors, a broken chain, a failed expectation
    CLI_USAGE = 2,    // the command line is wrong
    CLI_NO_AGENT = 3, // no agent runs here, or there is no journal yet
    CLI_REFUSED = 4,  // not permitted: must be root
    CLI_FAILED = 5,   // something else went wrong
};

enum option_kind {
    OPTION_FLAG,
    OPTION_TEXT,
    OPTION_NUMBER,   // decimal
    OPTION_DURATION, // 30s, 10m, 2h, 7d
    OPTION_TIME,     // a duration ago, 15:30, 2026-11-23, 2026-11-23T15:30:00Z
    OPTION_CHOICE,   // one of `values`
    OPTION_FILE,
    OPTION_FOLDER,
};

struct option {
    const char *name; // without dashes; NULL ends the table
    char letter;      // or 0
    enum option_kind kind;
    const char *argument; // how help names the value
    const char *help;
    const char *values; // of OPTION_CHOICE, separated by spaces
    bool repeat;        // may be given more than once
};

#define OPTION_JSON                                                                                \
    {                                                                                              \
        "json", 0, OPTION_FLAG, NULL, "one JSON object a line, for programs", NULL, false          \
    }
#define OPTION_JOURNAL                                                                             \
    {                                                                                              \
        "journal", 0, OPTION_FOLDER, "DIR", "journal to read instead of this host's", NULL, false  \
    }

struct args;
struct cli;

struct command {
    const char *name;
    const char *group;       // heading in the overview: "look", "decide", "rules", "run", "other"
    const char *arguments;   // "FILE...", or NULL
    const char *summary;     // one line, no full stop
    const char *description; // paragraphs; may be NULL
    const char *examples;    // lines "command   # what it does"; may be NULL
    const struct option *options;
    const struct command *const *subcommands; // NULL-terminated; then run is NULL
    const char *words; // what the arguments may be, for completion: "on off", "<file>"
    unsigned min_args, max_args;
    int (*run)(struct cli *cli, const struct args *args);
};

extern const struct command *const cli_commands[]; // NULL-terminated; generated

// What every command works with.
struct cli {
    struct term out, err;
    const char *self; // path of this program, to find its neighbours
};

#define ARGS_MAX 4096 // positional arguments
#define OPTIONS_MAX 64

struct args {
    const struct command *command;
    struct {
        const struct option *option;
        const char *value; // NULL for flags
    } options[OPTIONS_MAX];
    size_t n_options;
    const char *const *words; // the positional ones
    size_t n_words;
    const char **storage;
    bool help;
};

// Parses what follows the command's name. 0, or -EINVAL with e saying what and the way out.
int args_parse(const struct command *command, int argc, char *const *argv, struct args *ret,
               struct error *e);
void args_done(struct args *args);

// By the option's name; the name must be in the command's table. The last one given wins.
bool args_has(const struct args *args, const char *name);
const char *args_text(const struct args *args, const char *name, const char *otherwise);
uint64_t args_number(const struct args *args, const char *name, uint64_t otherwise);
uint64_t args_duration(const struct args *args, const char *name,
                       uint64_t otherwise);                                        // nanoseconds
uint64_t args_time(const struct args *args, const char *name, uint64_t otherwise); // ns since 1970
// The next value of a repeatable option; *position starts at 0; NULL at the end.
const char *args_each(const struct args *args, const char *name, size_t *position);

const struct command *command_find(const struct command *const *table, const char *name);
// The nearest name of a table, or NULL when nothing is near.
const char *command_nearest(const struct command *const *table, const char *name);

// The whole program but for process globals: picks the command, parses, runs. Returns the exit code.
int cli_main(struct cli *cli, int argc, char *const *argv);
// "tiercel: file:line:column: what", then the way out on its own line.
void cli_error(struct cli *cli, const struct error *e);
// Prints e and returns the exit code that fits its code: CLI_REFUSED for EACCES and EPERM, CLI_NO_AGENT for
// ECONNREFUSED, else CLI_FAILED.
int cli_fail(struct cli *cli, const struct error *e);
