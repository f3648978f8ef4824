// SPDX-License-Identifier: Apache-2.0
// The table: lines of fields.def, then a line for every leaf of Event that the descriptors know.
#include "event/field_table.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <strings.h>

#define LEAVES_MAX 512
#define NEAREST_NAME_MAX 64 // longer names are not compared

static const struct {
    unsigned categories;
    enum field_form form;
    enum field_privacy privacy;
    const char *sigma, *path, *ocsf, *column, *about;
} lines[] = {
#define FIELD(categories, name, form, path, ocsf, column, privacy, about)                          \
    {categories, form, FIELD_##privacy, name, path, ocsf, column, about},
#include "event/fields.def"
#undef FIELD
};
#define N_LINES (sizeof lines / sizeof *lines)

static const struct {
    const char *name;
    unsigned bit;
    Tiercel__Event__KindCase kind;
    Tiercel__FileChange__Action action;
} categories[] = {
    {"process_creation", PROCESS, TIERCEL__EVENT__KIND_EXEC, 0},
    {"process_termination", END, TIERCEL__EVENT__KIND_EXIT, 0},
    {"network_connection", NETWORK, TIERCEL__EVENT__KIND_CONNECT, 0},
    {"file_event", FILE_EVENT, TIERCEL__EVENT__KIND_FILE, TIERCEL__FILE_CHANGE__ACTION__CREATE},
    {"file_access", FILE_ACCESS, TIERCEL__EVENT__KIND_FILE, TIERCEL__FILE_CHANGE__ACTION__READ},
    {"file_change", FILE_CHANGE, TIERCEL__EVENT__KIND_FILE, TIERCEL__FILE_CHANGE__ACTION__MODE},
    {"file_delete", FILE_DELETE, TIERCEL__EVENT__KIND_FILE, TIERCEL__FILE_CHANGE__ACTION__DELETE},
    {"dns_query", DNS, TIERCEL__EVENT__KIND_DNS, 0},
    {"network_socket", SOCKETS, TIERCEL__EVENT__KIND_SOCKET, 0},
    {"network_flow", FLOW, TIERCEL__EVENT__KIND_FLOW, 0},
    {"credential_change", CREDENTIALS, TIERCEL__EVENT__KIND_CREDENTIALS, 0},
    {"process_access", ACCESS, TIERCEL__EVENT__KIND_ACCESS, 0},
    {"driver_load", MODULE, TIERCEL__EVENT__KIND_MODULE, 0},
    {"bpf_load", BPF, TIERCEL__EVENT__KIND_BPF, 0},
    {"mount", MOUNT, TIERCEL__EVENT__KIND_MOUNT, 0},
    {"namespace_change", NAMESPACE, TIERCEL__EVENT__KIND_NAMESPACES, 0},
    {"signal", SIGNAL, TIERCEL__EVENT__KIND_SIGNAL, 0},
};
#define N_CATEGORIES (sizeof categories / sizeof *categories)

// Written once under `once`, constant after that: the descriptors' offsets are not constant expressions.
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct field table[N_LINES + LEAVES_MAX];
static size_t n_fields;

// ---- building

// Turns the path into steps and a leaf. Only the build can make this fail: a path that leads nowhere.
static void resolve(struct field *f)
{
    const ProtobufCMessageDescriptor *type = &tiercel__event__descriptor;
    for (struct str rest = str_from(f->path), name; str_split(&rest, '.', &name);) {
        char text[FIELD_PATH_MAX];
        snprintf(text, sizeof text, STR_FMT, STR_ARG(name));
        if (f->leaf) { // there is more path: what was taken for the leaf is a step
            const ProtobufCFieldDescriptor *d = f->leaf;
            bool one_of = d->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
            assert(d->type == PROTOBUF_C_TYPE_MESSAGE && f->n_steps < FIELD_STEPS_MAX);
            type = d->descriptor;
            f->steps[f->n_steps++] =
                (struct field_step){d->offset, d->quantifier_offset, one_of ? d->id : 0, type};
        }
        f->leaf = protobuf_c_message_descriptor_get_field_by_name(type, text);
        assert(f->leaf);
    }
    assert(type == &tiercel__process__descriptor ||
           (f->form != USER && f->form != WORD_0 && f->form != WORD_1 && f->form != WORD_2));
    f->kind = leaf_kind(f->leaf);
}

static void add_leaves(const ProtobufCMessageDescriptor *type, const char *above)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *d = &type->fields[i];
        struct field f = {0};
        int n = snprintf(f.path, sizeof f.path, "%s%s%s", above, *above ? "." : "", d->name);
        assert(n > 0 && (size_t)n < sizeof f.path && n_fields < N_LINES + LEAVES_MAX);
        if (d->type == PROTOBUF_C_TYPE_MESSAGE) {
            if (d->label == PROTOBUF_C_LABEL_REPEATED)
                continue; // has no single value
            add_leaves(d->descriptor, f.path);
            continue;
        }
        resolve(&f);
        table[n_fields++] = f;
    }
}

static void build(void)
{
    for (size_t i = 0; i < N_LINES; i++) {
        struct field *f = &table[n_fields++];
        *f = (struct field){.categories = lines[i].categories,
                            .form = lines[i].form,
                            .privacy = lines[i].privacy,
                            .sigma = lines[i].sigma,
                            .ocsf = lines[i].ocsf,
                            .column = lines[i].column,
                            .about = lines[i].about};
        snprintf(f->path, sizeof f->path, "%s", lines[i].path);
        resolve(f);
    }
    add_leaves(&tiercel__event__descriptor, "");
}

// ---- categories

const char *event_category_at(size_t i)
{
    return i < N_CATEGORIES ? categories[i].name : NULL;
}

const char *event_category(const Tiercel__Event *event)
{
    if (event->kind_case == TIERCEL__EVENT__KIND_FILE)
        switch (event->file->action) {
        case TIERCEL__FILE_CHANGE__ACTION__READ:
            return "file_access";
        case TIERCEL__FILE_CHANGE__ACTION__DELETE:
            return "file_delete";
        case TIERCEL__FILE_CHANGE__ACTION__MODE:
        case TIERCEL__FILE_CHANGE__ACTION__ATTRIBUTE:
            return "file_change";
        default:
            return "file_event";
        }
    for (size_t i = 0; i < N_CATEGORIES; i++)
        if (categories[i].kind == event->kind_case)
            return categories[i].name;
    return NULL;
}

Tiercel__Event *event_new(const char *category, struct arena *arena)
{
    Tiercel__Event *event = NULL;
    for (size_t i = 0; i < N_CATEGORIES; i++) {
        if (strcmp(categories[i].name, category) != 0)
            continue;
        const ProtobufCFieldDescriptor *d = protobuf_c_message_descriptor_get_field(
            &tiercel__event__descriptor, categories[i].kind);
        const ProtobufCMessageDescriptor *type = d->descriptor;
        event = arena_alloc(arena, sizeof *event);
        ProtobufCMessage *kind = arena_alloc(arena, type->sizeof_message);
        if (!event || !kind)
            return NULL;
        tiercel__event__init(event);
        type->message_init(kind);
        event->kind_case = categories[i].kind;
        memcpy((char *)event + d->offset, &kind, sizeof kind);
        if (event->kind_case == TIERCEL__EVENT__KIND_FILE) {
            event->file->has_action = true;
            event->file->action = categories[i].action;
        }
    }
    return event;
}

static unsigned category_bit(const char *category)
{
    if (!category)
        return ALL;
    for (size_t i = 0; i < N_CATEGORIES; i++)
        if (strcmp(categories[i].name, category) == 0)
            return categories[i].bit;
    return 0;
}

// ---- finding

static bool is(const char *known, struct str name)
{
    return known && str_eq(str_from(known), name);
}

const struct field *field_find(const char *category, struct str name)
{
    pthread_once(&once, build);
    unsigned bit = category_bit(category);
    for (size_t i = 0; i < N_LINES; i++)
        if (table[i].categories & bit && is(table[i].sigma, name))
            return &table[i];
    for (size_t i = 0; i < N_LINES; i++)
        if (table[i].categories & bit && is(table[i].ocsf, name))
            return &table[i];
    for (size_t i = 0; i < n_fields; i++)
        if (table[i].form == PLAIN && is(table[i].path, name))
            return &table[i];
    return NULL;
}

const struct field *field_next(const struct field *previous)
{
    pthread_once(&once, build);
    size_t i = previous ? (size_t)(previous - table) + 1 : 0;
    return i < N_LINES ? &table[i] : NULL;
}

const struct field *field_next_leaf(const struct field *previous)
{
    pthread_once(&once, build);
    size_t i = previous ? (size_t)(previous - table) + 1 : N_LINES;
    return i < n_fields ? &table[i] : NULL;
}

// Edit distance (Wagner and Fischer), letters compared without case; both at most NEAREST_NAME_MAX long.
static size_t distance(struct str a, struct str b)
{
    size_t row[NEAREST_NAME_MAX + 1];
    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t above = row[j], best = above < row[j - 1] ? above + 1 : row[j - 1] + 1;
            size_t same = diagonal + !str_eq_nocase((struct str){a.p + i - 1, 1},
                                                    (struct str){b.p + j - 1, 1});
            row[j] = same < best ? same : best;
            diagonal = above;
        }
    }
    return row[b.n];
}

const char *field_nearest(const char *category, struct str name)
{
    pthread_once(&once, build);
    unsigned bit = category_bit(category);
    bool path = memchr(name.n ? name.p : "", '.', name.n);
    const char *nearest = NULL;
    size_t best = name.n / 3 + 1; // more changes than this is another word
    if (name.n > NEAREST_NAME_MAX)
        return NULL;
    for (size_t i = 0; i < n_fields; i++) {
        const char *known = path ? table[i].path : table[i].sigma;
        if (!known || (!path && !(table[i].categories & bit)))
            continue;
        size_t d = distance(name, str_from(known));
        if (d < best) {
            best = d;
            nearest = known;
        }
    }
    return nearest;
}

// ---- what a line says

const char *field_sigma_name(const struct field *field)
{
    return field->sigma;
}

const char *field_path(const struct field *field)
{
    return field->path;
}

const char *field_ocsf(const struct field *field)
{
    return field->ocsf;
}

const char *field_column(const struct field *field)
{
    return field->column;
}

const char *field_about(const struct field *field)
{
    return field->about;
}

enum field_privacy field_privacy(const struct field *field)
{
    return field->privacy;
}

const char *field_categories(const struct field *field)
{
    switch (field->categories) {
    case 0:
        return NULL;
    case ALL:
        return "any";
    case OTHERS:
        return "any but process_creation";
    case FILES:
        return "file_event, file_access, file_change, file_delete";
    default:
        break;
    }
    for (size_t i = 0; i < N_CATEGORIES; i++)
        if (categories[i].bit == field->categories)
            return categories[i].name;
    return NULL;
}
