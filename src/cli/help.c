// SPDX-License-Identifier: Apache-2.0
#include "cli/help.h"

static const struct {
    const char *name, *title;
} groups[] = {
    {"run", "Protect this machine"},   {"look", "See what happened"}, {"decide", "Decide"},
    {"rules", "Rules and recordings"}, {"publish", "Publish"},        {"other", "Other"},
};
#define N_GROUPS (sizeof groups / sizeof *groups)

static const char exit_codes[][2][100] = {
    {"0", "done"},
    {"1", "the answer is no: rules with errors, a broken chain, a failed test"},
    {"2", "the command line is wrong"},
    {"3", "no agent runs here, or there is no journal yet"},
    {"4", "not permitted: be root"},
    {"5", "something else went wrong; the message says what"},
};
#define N_CODES (sizeof exit_codes / sizeof *exit_codes)

static const char intro[] = "Tiercel detects and stops intrusions on servers.";

static void option_head(const struct option *o, struct buf *out)
{
    if (o->letter)
        buf_addf(out, "-%c, ", o->letter);
    buf_addf(out, "--%s", o->name);
    if (o->argument)
        buf_addf(out, " %s", o->argument);
}

static void option_tail(const struct option *o, struct buf *out)
{
    buf_addf(out, "%s", o->help);
    if (o->kind == OPTION_CHOICE) {
        buf_add_str(out, STR(": "));
        for (const char *p = o->values; *p; p++)
            buf_add_str(out, *p == ' ' ? STR(", ") : str_bytes(p, 1));
    }
    if (o->repeat)
        buf_add_str(out, STR(" (may be repeated)"));
}

static void usage_line(const struct command *parent, const struct command *c, struct buf *out)
{
    buf_addf(out, "tiercel %s%s%s", parent ? parent->name : "", parent ? " " : "", c->name);
    if (c->subcommands)
        buf_add_str(out, STR(" COMMAND"));
    if (c->options && c->options->name)
        buf_add_str(out, STR(" [OPTIONS]"));
    if (c->arguments)
        buf_addf(out, " %s", c->arguments);
}

// Lines of text, each wrapped and indented.
static void paragraphs(const struct term *t, const char *text, unsigned indent, struct buf *out)
{
    struct str rest = str_from(text), line;
    while (str_split(&rest, '\n', &line)) {
        buf_addf(out, "%*s", (int)indent, "");
        text_wrap(line, t->width, indent, indent, out);
        buf_add_char(out, '\n');
    }
}

void help_overview(const struct term *t)
{
    _cleanup_buf_ struct buf b = {0};
    buf_addf(&b, "%s\n\nusage: tiercel COMMAND [OPTIONS] [ARGUMENTS]\n", intro);
    for (size_t g = 0; g < N_GROUPS; g++) {
        buf_add_char(&b, '\n');
        style_text(t, STYLE_BOLD, groups[g].title, &b);
        buf_add_char(&b, '\n');
        for (const struct command *const *c = cli_commands; *c; c++)
            if (!strcmp((*c)->group, groups[g].name)) {
                buf_addf(&b, "  %-12s ", (*c)->name);
                text_wrap(str_from((*c)->summary), t->width, 15, 15, &b);
                buf_add_char(&b, '\n');
            }
    }
    buf_add_str(
        &b,
        STR("\n`tiercel COMMAND --help` says more about each. Exit codes: `tiercel help exit`.\n"));
    term_write(t, &b);
}

static void section(const struct term *t, const char *title, struct buf *out)
{
    buf_add_char(out, '\n');
    style_text(t, STYLE_BOLD, title, out);
    buf_add_char(out, '\n');
}

void help_command(const struct term *t, const struct command *parent, const struct command *c)
{
    _cleanup_buf_ struct buf b = {0};
    buf_add_str(&b, STR("usage: "));
    usage_line(parent, c, &b);
    buf_addf(&b, "\n\n%s.\n", c->summary);
    if (c->description) {
        buf_add_char(&b, '\n');
        paragraphs(t, c->description, 0, &b);
    }
    if (c->subcommands) {
        section(t, "Commands", &b);
        for (const struct command *const *sub = c->subcommands; *sub; sub++)
            buf_addf(&b, "  %-10s %s\n", (*sub)->name, (*sub)->summary);
    }
    if (c->options && c->options->name)
        section(t, "Options", &b);
    for (const struct option *o = c->options; o && o->name; o++) {
        _cleanup_buf_ struct buf head = {0}, tail = {0};
        option_head(o, &head);
        option_tail(o, &tail);
        buf_addf(&b, "  %-24.*s ", (int)head.n, head.p);
        text_wrap(buf_str(&tail), t->width, 27, 27, &b);
        buf_add_char(&b, '\n');
    }
    if (c->examples) {
        section(t, "Examples", &b);
        paragraphs(t, c->examples, 2, &b);
    }
    term_write(t, &b);
}

void help_exit_codes(struct buf *out)
{
    for (size_t i = 0; i < N_CODES; i++)
        buf_addf(out, "%s  %s\n", exit_codes[i][0], exit_codes[i][1]);
}

static void markdown_command(const struct command *parent, const struct command *c, struct buf *out)
{
    buf_addf(out, "\n%s `", parent ? "####" : "###");
    usage_line(parent, c, out);
    buf_addf(out, "`\n\n%s.\n", c->summary);
    if (c->description)
        buf_addf(out, "\n%s\n", c->description);
    if (c->options && c->options->name) {
        buf_add_str(out, STR("\n| option | |\n| --- | --- |\n"));
        for (const struct option *o = c->options; o->name; o++) {
            buf_add_str(out, STR("| `"));
            option_head(o, out);
            buf_add_str(out, STR("` | "));
            option_tail(o, out);
            buf_add_str(out, STR(" |\n"));
        }
    }
    if (c->examples)
        buf_addf(out, "\n```\n%s\n```\n", c->examples);
    for (const struct command *const *sub = c->subcommands; sub && *sub; sub++)
        markdown_command(c, *sub, out);
}

void help_markdown(struct buf *out)
{
    buf_add_str(out, STR("# The command line\n\nMade from the commands' tables by `tiercel help "
                         "--markdown`; a test says "
                         "when it is out of date.\n\n| exit code | |\n| --- | --- |\n"));
    for (size_t i = 0; i < N_CODES; i++)
        buf_addf(out, "| %s | %s |\n", exit_codes[i][0], exit_codes[i][1]);
    for (size_t g = 0; g < N_GROUPS; g++) {
        buf_addf(out, "\n## %s\n", groups[g].title);
        for (const struct command *const *c = cli_commands; *c; c++)
            if (!strcmp((*c)->group, groups[g].name))
                markdown_command(NULL, *c, out);
    }
}

// Text for roff: a leading dot or quote would be a request, a backslash an escape, a hyphen a typographic one.
static void roff(const char *text, struct buf *out)
{
    bool start = true;
    for (; *text; text++) {
        if (start && (*text == '.' || *text == '\''))
            buf_add_str(out, STR("\\&"));
        if (*text == '\\')
            buf_add_str(out, STR("\\e"));
        else if (*text == '-')
            buf_add_str(out, STR("\\-"));
        else
            buf_add_char(out, *text);
        start = *text == '\n';
    }
}

static void man_command(const struct command *parent, const struct command *c, struct buf *out)
{
    _cleanup_buf_ struct buf line = {0};
    usage_line(parent, c, &line);
    buf_add_char(&line, 0);
    buf_add_str(out, STR(".SS "));
    roff(line.p ? line.p : "", out);
    buf_add_char(out, '\n');
    roff(c->summary, out);
    buf_add_str(out, STR(".\n"));
    if (c->description) {
        buf_add_str(out, STR(".PP\n"));
        roff(c->description, out);
        buf_add_char(out, '\n');
    }
    for (const struct option *o = c->options; o && o->name; o++) {
        _cleanup_buf_ struct buf head = {0}, tail = {0};
        option_head(o, &head);
        option_tail(o, &tail);
        buf_add_char(&head, 0);
        buf_add_char(&tail, 0);
        buf_add_str(out, STR(".TP\n.B "));
        roff(head.p ? head.p : "", out);
        buf_add_char(out, '\n');
        roff(tail.p ? tail.p : "", out);
        buf_add_char(out, '\n');
    }
    if (c->examples) {
        buf_add_str(out, STR(".PP\n.nf\n"));
        roff(c->examples, out);
        buf_add_str(out, STR("\n.fi\n"));
    }
    for (const struct command *const *sub = c->subcommands; sub && *sub; sub++)
        man_command(c, *sub, out);
}

void help_man(struct buf *out)
{
    buf_add_str(
        out, STR(".TH TIERCEL 1 \"\" \"tiercel " TIERCEL_VERSION "\" \"User Commands\"\n.SH NAME\n"
                 "tiercel \\- detect and stop intrusions on servers\n.SH SYNOPSIS\n.B tiercel\n"
                 "COMMAND [OPTIONS] [ARGUMENTS]\n.SH DESCRIPTION\n"));
    roff(intro, out);
    buf_add_char(out, '\n');
    for (size_t g = 0; g < N_GROUPS; g++) {
        buf_addf(out, ".SH \"%s\"\n", groups[g].title);
        for (const struct command *const *c = cli_commands; *c; c++)
            if (!strcmp((*c)->group, groups[g].name))
                man_command(NULL, *c, out);
    }
    buf_add_str(out, STR(".SH \"EXIT STATUS\"\n"));
    for (size_t i = 0; i < N_CODES; i++)
        buf_addf(out, ".TP\n.B %s\n%s\n", exit_codes[i][0], exit_codes[i][1]);
    buf_add_str(
        out, STR(".SH FILES\n.TP\n.I /etc/tiercel/exceptions.yml\nwhat `tiercel allow` wrote\n.TP\n"
                 ".I /var/lib/tiercel/journal\nevents, detections and verdicts of this host\n"));
}

// "words for one command)" of the case statement: its options, and what its arguments may be.
static void completion_case(const char *pattern, const struct command *c, struct buf *out)
{
    buf_addf(out, "    \"%s\")\n        options='--help", pattern);
    for (const struct option *o = c->options; o && o->name; o++)
        buf_addf(out, " --%s", o->name);
    buf_add_str(out, STR("'\n"));
    if (c->subcommands) {
        buf_add_str(out, STR("        words='"));
        for (const struct command *const *sub = c->subcommands; *sub; sub++)
            buf_addf(out, "%s%s", sub == c->subcommands ? "" : " ", (*sub)->name);
        buf_add_str(out, STR("'\n"));
    } else if (c->words && c->words[0] == '<') {
        buf_add_str(out, STR("        files=1\n"));
    } else if (c->words) {
        buf_addf(out, "        words='%s'\n", c->words);
    }
    bool any = false;
    for (const struct option *o = c->options; o && o->name; o++)
        if (o->kind == OPTION_CHOICE || o->kind == OPTION_FILE || o->kind == OPTION_FOLDER) {
            buf_addf(out, "%s            --%s) %s ;;\n", any ? "" : "        case $previous in\n",
                     o->name, o->kind == OPTION_CHOICE ? "" : "files=1; words=");
            if (o->kind == OPTION_CHOICE) {
                out->n -= strlen(" ;;\n");
                buf_addf(out, "words='%s'; files= ;;\n", o->values);
            }
            any = true;
        }
    if (any)
        buf_add_str(out, STR("        esac\n"));
    buf_add_str(out, STR("        ;;\n"));
}

void help_bash_completion(struct buf *out)
{
    buf_add_str(
        out,
        STR("# bash completion for tiercel: source <(tiercel completion bash)\n"
            "_tiercel() {\n"
            "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
            "    local command=${COMP_WORDS[1]} sub=${COMP_WORDS[2]} options= words= files=\n"
            "    if [ \"$COMP_CWORD\" = 1 ]; then\n        COMPREPLY=($(compgen -W '"));
    for (const struct command *const *c = cli_commands; *c; c++)
        buf_addf(out, "%s ", (*c)->name);
    buf_add_str(out, STR("--help --version' -- \"$current\"))\n        return\n    fi\n"
                         "    case $command in\n"));
    for (const struct command *const *c = cli_commands; *c; c++)
        if ((*c)->subcommands)
            buf_addf(out, "    %s) [ \"$COMP_CWORD\" -gt 2 ] && command=\"$command $sub\" ;;\n",
                     (*c)->name);
    buf_add_str(out, STR("    esac\n    case $command in\n"));
    for (const struct command *const *c = cli_commands; *c; c++) {
        completion_case((*c)->name, *c, out);
        for (const struct command *const *sub = (*c)->subcommands; sub && *sub; sub++) {
            char pattern[64];
            snprintf(pattern, sizeof pattern, "%s %s", (*c)->name, (*sub)->name);
            completion_case(pattern, *sub, out);
        }
    }
    buf_add_str(out, STR("    esac\n"
                         "    [ \"${current#-}\" != \"$current\" ] && words=$options\n"
                         "    if [ -n \"$files\" ] && [ \"${current#-}\" = \"$current\" ]; then\n"
                         "        COMPREPLY=($(compgen -f -- \"$current\"))\n"
                         "    else\n"
                         "        COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
                         "    fi\n"
                         "}\ncomplete -o filenames -o default -F _tiercel tiercel\n"));
}
