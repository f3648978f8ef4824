// SPDX-License-Identifier: Apache-2.0
// Compares what trigger programs say they did (account.h) with what the agent has written down.
//
//   test_compare JOURNAL-FOLDER NAME.account...
//
// Prints one line for each account and kind in it: `ok NAME:KIND`, `not ok NAME:KIND - what is missing or differs`, or
// `skip` where the coverage in the journal itself says that this kind is not seen here, with its reason. A kind that is
// "not seen" but has matching events is a failure too: then the coverage is wrong. Lost records excuse nothing; they
// are shown beside what is missing. `# journal KIND | seen by` is the coverage of the last batch that had any. Ends with 0 when nothing was `not ok`.
#include "base/buf.h"
#include "base/cleanup.h"
#include "event/field.h"
#include "event/segment.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LINES_MAX = 8192, FIELDS_MAX = 24, ACCOUNTS_MAX = 64, COVERAGE_MAX = 32, SHOWN_MAX = 6 };

struct wanted {
    struct str name, value; // value: as account.h says, %XX undone
    bool any;               // *
    const char *category;   // of `field`, the last one asked for
    const struct field *field;
    bool unknown; // no event's category has such a field
};

enum line_form { LINE_PRESENT, LINE_ABSENT, LINE_COUNT };

struct line {
    const char *text; // as written
    unsigned account, number;
    enum line_form form;
    struct str kind, by;
    uint64_t wanted, found; // events
    struct wanted fields[FIELDS_MAX];
    size_t n_fields;
    size_t nearest;     // fields that were equal in the nearest event
    struct buf differs; // what was not
    bool any_of_kind;
};

struct coverage {
    char *kind, *seen, *denied, *limit;
};

struct compare {
    struct line *lines;
    size_t n_lines;
    const char *accounts[ACCOUNTS_MAX];
    size_t n_accounts;
    struct coverage coverage[COVERAGE_MAX];
    size_t n_coverage;
    struct arena arena;
    uint64_t events, lost;
    struct buf losses;
};

static void give_up(const char *what, const char *which)
{
    printf("not ok compare - %s: %s\n", what, which);
    exit(1);
}

// ---- accounts

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static struct str unescape(struct str s)
{
    char *p = malloc(s.n + 1);
    size_t n = 0;
    for (size_t i = 0; p && i < s.n; i++)
        if (s.p[i] == '%' && i + 2 < s.n && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0) {
            p[n++] = (char)(hex(s.p[i + 1]) << 4 | hex(s.p[i + 2]));
            i += 2;
        } else {
            p[n++] = s.p[i];
        }
    return str_bytes(p, n);
}

static bool next_word(struct str *rest, struct str *ret)
{
    return str_split(rest, ' ', ret);
}

static void parse_line(struct line *line)
{
    struct str rest = str_from(line->text), word;
    line->wanted = 1;
    if (!next_word(&rest, &word))
        give_up("an empty line", line->text);
    if (str_eq(word, STR("by")) && !(next_word(&rest, &line->by) && next_word(&rest, &word)))
        give_up("nothing behind `by`", line->text);
    if (str_eq(word, STR("absent"))) {
        line->form = LINE_ABSENT;
        line->wanted = 0;
        (void)next_word(&rest, &word);
    } else if (str_eq(word, STR("count"))) {
        line->form = LINE_COUNT;
        if (!next_word(&rest, &word) || str_to_u64(word, &line->wanted) < 0 ||
            !next_word(&rest, &word))
            give_up("no number behind `count`", line->text);
    }
    line->kind = word;
    while (next_word(&rest, &word)) {
        const char *equals = word.n ? memchr(word.p, '=', word.n) : NULL;
        if (!equals || line->n_fields == FIELDS_MAX)
            give_up("not FIELD=VALUE, or too many of them", line->text);
        struct wanted *w = &line->fields[line->n_fields++];
        size_t before = (size_t)(equals - word.p);
        struct str value = str_bytes(equals + 1, word.n - before - 1);
        w->name = str_bytes(word.p, before);
        w->any = str_eq(value, STR("*"));
        w->value = unescape(value);
    }
}

// The same line again is one more event of the same kind.
static bool repeated(struct compare *c, unsigned account, const char *text)
{
    for (size_t i = 0; i < c->n_lines; i++)
        if (c->lines[i].account == account && strcmp(c->lines[i].text, text) == 0) {
            c->lines[i].wanted += c->lines[i].form == LINE_PRESENT;
            return true;
        }
    return false;
}

static void read_account(struct compare *c, const char *path)
{
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t room = 0;
    ssize_t n;
    if (!file || c->n_accounts == ACCOUNTS_MAX)
        give_up("cannot read", path);
    unsigned account = (unsigned)c->n_accounts, number = 0;
    c->accounts[c->n_accounts++] = path;
    while ((n = getline(&text, &room, file)) > 0) {
        number++;
        if (text[n - 1] == '\n')
            text[--n] = 0;
        if (n == 0 || text[0] == '#' || repeated(c, account, text))
            continue;
        if (c->n_lines == LINES_MAX)
            give_up("too many lines", path);
        struct line *line = &c->lines[c->n_lines++];
        line->account = account;
        line->number = number;
        line->text = strdup(text);
        parse_line(line);
    }
    free(text);
}

// ---- one event against one line

static bool equals_value(const struct wanted *w, const struct field_value *v)
{
    struct str text = v->text;
    if (w->any)
        return v->type != FIELD_ABSENT;
    if (v->type == FIELD_LIST) {
        struct str rest = w->value, piece;
        size_t i = 0;
        while (i < v->n && str_split(&rest, 0, &piece))
            if (!str_eq(piece, v->list[i++]))
                return false;
        return i == v->n && !rest.p;
    }
    if (w->value.n == 0)
        return v->type == FIELD_ABSENT || text.n == 0 || (v->type == FIELD_BOOL && !v->number);
    return v->type != FIELD_ABSENT && str_eq(w->value, text);
}

static void show_bytes(struct buf *out, struct str s)
{
    size_t n = s.n < 120 ? s.n : 120;
    for (size_t i = 0; i < n; i++)
        if (s.p[i] < ' ' || s.p[i] == 0x7f || (unsigned char)s.p[i] >= 0x80)
            buf_addf(out, "%%%02X", (unsigned char)s.p[i]);
        else
            buf_add_char(out, s.p[i]);
    if (n < s.n)
        buf_add_str(out, STR("..."));
}

static void show_difference(struct buf *out, const struct wanted *w, const struct field_value *v)
{
    buf_addf(out, "%s" STR_FMT " is ", out->n ? ", " : "", STR_ARG(w->name));
    if (v->type == FIELD_ABSENT)
        buf_add_str(out, STR("absent"));
    else if (v->type == FIELD_LIST)
        for (size_t i = 0; i < v->n && i < 12; i++) {
            buf_addf(out, "%s'", i ? " " : "");
            show_bytes(out, v->list[i]);
            buf_add_char(out, '\'');
        }
    else
        show_bytes(out, v->text);
    buf_add_str(out, STR(" not "));
    show_bytes(out, w->any ? STR("*") : w->value);
}

static struct field_value value_of(struct wanted *w, const Tiercel__Event *event,
                                   const char *category, struct arena *arena)
{
    static const struct field_value absent;
    if (!w->field || w->category != category) {
        w->category = category;
        w->field = field_find(category, w->name);
        if (!w->field)
            w->field = field_find(NULL, w->name);
        w->unknown = !w->field;
    }
    return w->field ? field_get(w->field, event, arena) : absent;
}

static void match(struct line *line, const Tiercel__Event *event, const char *category,
                  struct arena *arena)
{
    struct field_value values[FIELDS_MAX];
    bool equal[FIELDS_MAX];
    size_t n = 0;
    line->any_of_kind = true;
    for (size_t i = 0; i < line->n_fields; i++) {
        values[i] = value_of(&line->fields[i], event, category, arena);
        equal[i] = equals_value(&line->fields[i], &values[i]);
        n += equal[i];
    }
    if (n == line->n_fields) {
        line->found++;
        return;
    }
    if (line->found || (line->differs.n && n <= line->nearest))
        return;
    line->nearest = n;
    buf_reset(&line->differs);
    for (size_t i = 0; i < line->n_fields; i++)
        if (!equal[i])
            show_difference(&line->differs, &line->fields[i], &values[i]);
}

static void take_event(struct compare *c, const Tiercel__Event *event)
{
    const ProtobufCFieldDescriptor *kind =
        protobuf_c_message_descriptor_get_field(&tiercel__event__descriptor, event->kind_case);
    const char *category = event_category(event);
    c->events++;
    for (size_t i = 0; kind && i < c->n_lines; i++) {
        struct line *line = &c->lines[i];
        if (!str_eq(line->kind, str_from(kind->name)))
            continue;
        if (line->form == LINE_PRESENT && line->found >= line->wanted)
            continue;
        match(line, event, category, &c->arena);
        arena_reset(&c->arena);
    }
}

// ---- the journal

static char *copy(const char *text)
{
    return strdup(text ? text : "");
}

static void take_coverage(struct compare *c, const Tiercel__Batch *batch)
{
    if (batch->n_coverage)
        c->n_coverage =
            0; // what was said last holds for all: the agent only says it when it changes
    for (size_t i = 0; i < batch->n_coverage && c->n_coverage < COVERAGE_MAX; i++) {
        const Tiercel__Coverage *from = batch->coverage[i];
        c->coverage[c->n_coverage++] = (struct coverage){copy(from->kind), copy(from->seen),
                                                         copy(from->denied), copy(from->limit)};
    }
}

static void take_batch(struct compare *c, const Tiercel__Batch *batch)
{
    take_coverage(c, batch);
    for (size_t i = 0; i < batch->n_losses; i++) {
        const Tiercel__Loss *loss = batch->losses[i];
        c->lost += loss->count;
        buf_addf(&c->losses, "# loss %s %llu: %s\n", loss->class_ ? loss->class_ : "?",
                 (unsigned long long)loss->count, loss->reason ? loss->reason : "");
    }
    for (size_t i = 0; i < batch->n_events; i++)
        take_event(c, batch->events[i]);
}

static void read_journal(struct compare *c, const char *path)
{
    _cleanup_close_ int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_free_ uint64_t *numbers = NULL;
    size_t n = 0;
    if (folder < 0 || journal_list(folder, &numbers, &n) < 0 || n == 0)
        give_up("no journal", path);
    for (size_t i = 0; i < n; i++) {
        char name[32];
        struct segment_reader *reader = NULL;
        struct segment_info info;
        struct error e = {0};
        Tiercel__Batch *batch;
        int r;
        journal_name(numbers[i], name);
        _cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || segment_reader_new(fd, &reader) < 0)
            give_up("cannot read segment", name);
        while ((r = segment_next(reader, NULL, NULL, &info, &batch, &e)) == 1)
            take_batch(c, batch);
        if (r < 0)
            give_up(e.what, name);
        segment_reader_free(reader);
    }
}

// ---- the verdict

static const struct coverage *coverage_of(const struct compare *c, struct str kind)
{
    for (size_t i = 0; i < c->n_coverage; i++)
        if (str_eq(str_from(c->coverage[i].kind), kind))
            return &c->coverage[i];
    return NULL;
}

static void describe(const struct line *line, struct buf *out)
{
    buf_addf(out, "#   line %u: %.600s\n#     ", line->number, line->text);
    for (size_t i = 0; i < line->n_fields; i++)
        if (line->fields[i].unknown)
            buf_addf(out, "there is no field " STR_FMT "; ", STR_ARG(line->fields[i].name));
    if (line->form == LINE_ABSENT || line->found)
        buf_addf(out, "there are %llu", (unsigned long long)line->found);
    else if (!line->any_of_kind)
        buf_add_str(out, STR("no event of this kind at all"));
    else
        buf_addf(out, "in the nearest event " STR_FMT, STR_ARG(buf_str(&line->differs)));
    buf_add_char(out, '\n');
}

#define FLOOD 1000u

// Of a flood there may be missing what the journal itself says was lost: no more, and nothing may be twice.
static bool holds(const struct compare *c, const struct line *line)
{
    switch (line->form) {
    case LINE_PRESENT:
        return line->found >= line->wanted;
    case LINE_COUNT:
        return line->found <= line->wanted &&
               line->found + (line->wanted >= FLOOD ? c->lost : 0) >= line->wanted;
    default:
        return line->found == line->wanted;
    }
}

// A line that only holds for one mechanism, where the kind is seen by another one.
static bool by_another(const struct line *line, const struct coverage *covered)
{
    return line->by.n && (!covered || str_find(str_from(covered->seen), line->by) < 0);
}

// All lines of one kind of one account. False: something is wrong.
static bool judge(struct compare *c, unsigned account, struct str kind)
{
    const struct coverage *covered = coverage_of(c, kind);
    const char *name = strrchr(c->accounts[account], '/');
    struct str trigger = str_from(name ? name + 1 : c->accounts[account]);
    size_t n = 0, bad = 0, left_out = 0, present = 0;
    struct buf text = {0};
    if (str_ends(trigger, STR(".account")))
        trigger.n -= sizeof ".account" - 1;
    for (size_t i = 0; i < c->n_lines; i++) {
        const struct line *line = &c->lines[i];
        if (line->account != account || !str_eq(line->kind, kind))
            continue;
        if (by_another(line, covered)) {
            left_out++;
            continue;
        }
        n++;
        present += line->form == LINE_PRESENT && line->found;
        if (!holds(c, line) && bad++ < SHOWN_MAX)
            describe(line, &text);
    }
    bool unseen = covered && !covered->seen[0], wrong = unseen ? present > 0 : bad > 0;
    printf("%s " STR_FMT ":" STR_FMT,
           wrong          ? "not ok"
           : unseen || !n ? "skip"
                          : "ok",
           STR_ARG(trigger), STR_ARG(kind));
    if (unseen && wrong)
        printf(" - said to be not seen here (%s), but it is", covered->limit);
    else if (unseen)
        printf(" - not seen here: %s", covered->limit);
    else if (wrong)
        printf(" - %zu of %zu lines do not hold; %llu records lost", bad, n,
               (unsigned long long)c->lost);
    else if (!n)
        printf(" - all %zu lines are for another mechanism than %s", left_out,
               covered ? covered->seen : "those here");
    puts("");
    if (wrong && text.p)
        fwrite(text.p, 1, text.n, stdout);
    if (n && left_out)
        printf("# " STR_FMT ":" STR_FMT ": %zu lines are for another mechanism than %s\n",
               STR_ARG(trigger), STR_ARG(kind), left_out, covered ? covered->seen : "those here");
    buf_done(&text);
    return !wrong;
}

static bool first_of_kind(const struct compare *c, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (c->lines[i].account == c->lines[at].account &&
            str_eq(c->lines[i].kind, c->lines[at].kind))
            return false;
    return true;
}

int main(int argc, char **argv)
{
    static struct compare c;
    bool good = true;
    if (argc < 3) {
        fputs("usage: test_compare JOURNAL-FOLDER NAME.account...\n", stderr);
        return 2;
    }
    c.lines = calloc(LINES_MAX, sizeof *c.lines);
    if (!c.lines)
        give_up("out of memory", "lines");
    for (int i = 2; i < argc; i++)
        read_account(&c, argv[i]);
    read_journal(&c, argv[1]);
    for (size_t i = 0; i < c.n_lines; i++)
        if (first_of_kind(&c, i))
            good &= judge(&c, c.lines[i].account, c.lines[i].kind);
    for (size_t i = 0; i < c.n_coverage; i++)
        printf("# journal %s | %s\n", c.coverage[i].kind, c.coverage[i].seen);
    if (c.losses.p)
        fwrite(c.losses.p, 1, c.losses.n, stdout);
    printf("# %llu events\n", (unsigned long long)c.events);
    return !good;
}
