// SPDX-License-Identifier: Apache-2.0
// doc/fields.md is made from fields.def and the schema. After a change: `build/release/src/test-event-reference --write`.
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/test.h"
#include "event/field_table.h"

#define FILE_NAME "doc/fields.md"

static const char intro[] =
    "# Fields\n"
    "\n"
    "<!-- Made from src/event/fields.def and schema/tiercel.proto; do not edit. After a change "
    "there:\n"
    "     build/release/src/test-event-reference --write -->\n"
    "\n"
    "What a rule, a filter or an export may name. A field has a name of its own (Sigma's, where "
    "Sigma has one), the\n"
    "path in the schema, and where OCSF has a place for it, the path there; every one of them can "
    "be used. Names are\n"
    "case-sensitive. A field that was not observed is *absent*, which is neither empty nor zero "
    "nor false.\n"
    "\n"
    "Paths, arguments and names are bytes as the kernel has them. In JSON a byte that is not UTF-8 "
    "is written as a lone\n"
    "surrogate, `\\udc80` to `\\udcff`, and read back as that byte.\n"
    "\n"
    "Privacy: *personal* names people or their machines, *content* is what people typed and may "
    "hold secrets, the rest\n"
    "is *technical*. Exports leave out or replace by class.\n"
    "\n"
    "A file that is created, written or renamed to a name is a `file_event`; one that is deleted a "
    "`file_delete`; one whose\n"
    "mode or attributes change a `file_change`; one that is only read a `file_access`.\n"
    "\n"
    "## Names\n"
    "\n"
    "| name | where | is | value | path | OCSF | column | privacy |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |\n";

static const char between[] = "\n"
                              "## Paths\n"
                              "\n"
                              "Everything else that an event has, by its path in the schema.\n"
                              "\n"
                              "| path | value |\n"
                              "| --- | --- |\n";

static const char *plain_type(const struct field *f)
{
    if (f->leaf->label == PROTOBUF_C_LABEL_REPEATED)
        return f->leaf->type == PROTOBUF_C_TYPE_ENUM ? "list of words" : "list";
    switch (f->leaf->type) {
    case PROTOBUF_C_TYPE_BYTES:
        return f->kind == LEAF_IP ? "address" : f->kind == LEAF_HEX ? "hexadecimal" : "text";
    case PROTOBUF_C_TYPE_STRING:
        return "text";
    case PROTOBUF_C_TYPE_ENUM:
        return "word";
    case PROTOBUF_C_TYPE_BOOL:
        return "true or false";
    default:
        return f->kind == LEAF_TIME ? "nanoseconds since 1970" : "number";
    }
}

static const char *type_of(const struct field *f)
{
    switch (f->form) {
    case PLAIN:
        return plain_type(f);
    case SECONDS:
        return "number";
    case WORD_0:
    case WORD_1:
    case WORD_2:
    case PROTOCOL:
        return "word";
    default:
        return "text";
    }
}

static void add_code(struct buf *out, const char *text)
{
    if (text)
        buf_addf(out, " `%s` |", text);
    else
        buf_add_str(out, STR(" |"));
}

static void generate(struct buf *out)
{
    static const char *const classes[] = {"technical", "personal", "content"};
    buf_add_str(out, str_from(intro));
    for (const struct field *f = NULL; (f = field_next(f));) {
        buf_addf(out, "| `%s` | %s | %s | %s |", field_sigma_name(f), field_categories(f),
                 field_about(f), type_of(f));
        add_code(out, field_path(f));
        add_code(out, field_ocsf(f));
        add_code(out, field_column(f));
        buf_addf(out, " %s |\n", classes[field_privacy(f)]);
    }
    buf_add_str(out, str_from(between));
    for (const struct field *f = NULL; (f = field_next_leaf(f));)
        buf_addf(out, "| `%s` | %s |\n", field_path(f), type_of(f));
}

static void read_file(struct buf *out)
{
    _cleanup_fclose_ FILE *f = fopen(FILE_NAME, "r");
    char part[4096];
    for (size_t n; f && (n = fread(part, 1, sizeof part, f)) > 0;)
        buf_add(out, part, n);
}

static void test_reference_is_up_to_date(void **state)
{
    (void)state;
    struct buf wanted = {0}, there = {0};
    generate(&wanted);
    read_file(&there);
    struct str a = buf_str(&there), b = buf_str(&wanted), was = STR_NONE, is = STR_NONE;
    bool more = true;
    for (unsigned line = 1; more && !str_eq(a, b); line++) {
        bool old = str_split(&a, '\n', &was), fresh = str_split(&b, '\n', &is);
        more = old || fresh;
        if (old != fresh || !str_eq(was, is)) {
            print_error("%s:%u differs, run test-event-reference --write\n-" STR_FMT "\n+" STR_FMT
                        "\n",
                        FILE_NAME, line, STR_ARG(was), STR_ARG(is));
            fail();
        }
    }
    buf_done(&wanted);
    buf_done(&there);
}

static int write_file(void)
{
    _cleanup_buf_ struct buf text = {0};
    generate(&text);
    _cleanup_fclose_ FILE *f = fopen(FILE_NAME, "w");
    return f && fwrite(text.p, 1, text.n, f) == text.n ? 0 : 1;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reference_is_up_to_date)};
    if (argc == 2 && strcmp(argv[1], "--write") == 0)
        return write_file();
    return cmocka_run_group_tests_name("reference", tests, NULL, NULL);
}
