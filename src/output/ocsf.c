// SPDX-License-Identifier: Apache-2.0
#include "event/field.h"
#include "event/leaf.h"
#include "output/output.h"
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#define OCSF_VERSION "1.3.0"
#define PATH_MAX_PARTS 8
#define OTHER 99

struct class
{
    unsigned uid, activity;
    const char *name, *activity_name;
};

// ---- small pieces

static json_t *word(const char *s)
{
    return json_stringn_nocheck(s, strlen(s));
}

static json_t *text(struct str s, struct arena *arena)
{
    struct str good = output_text(s, arena);
    return json_stringn_nocheck(good.p ? good.p : "", good.n);
}

static json_t *child(json_t *object, const char *name)
{
    json_t *c = json_object_get(object, name);
    if (!json_is_object(c)) {
        c = json_object();
        json_object_set_new(object, name, c);
    }
    return c;
}

static json_t *list_child(json_t *object, const char *name)
{
    json_t *c = json_object_get(object, name);
    if (!json_is_array(c)) {
        c = json_array();
        json_object_set_new(object, name, c);
    }
    return c;
}

static void set_text(json_t *object, const char *name, struct str s, struct arena *arena)
{
    if (s.n)
        json_object_set_new(object, name, text(s, arena));
}

// ---- fields by their OCSF path

static json_t *value_of(const char *leaf, const struct field_value *v, struct arena *arena)
{
    if (!strcmp(leaf, "duration")) // ours: seconds; OCSF's: milliseconds
        return json_integer(v->number * 1000);
    if (strcmp(leaf, "uid") != 0) {
        if (v->type == FIELD_NUMBER)
            return json_integer(v->number);
        if (v->type == FIELD_BOOL)
            return json_boolean(v->number != 0);
    }
    return text(v->type == FIELD_LIST && v->n ? v->list[0] : v->text, arena);
}

static void set_field(json_t *root, const struct field *f, const Tiercel__Event *event,
                      struct arena *arena)
{
    struct field_value v = field_get(f, event, arena);
    struct str rest = str_from(field_ocsf(f)), part;
    char names[PATH_MAX_PARTS][32];
    size_t n = 0;
    if (v.type == FIELD_ABSENT)
        return;
    while (n < PATH_MAX_PARTS && str_split(&rest, '.', &part))
        snprintf(names[n++], sizeof *names, STR_FMT, STR_ARG(part));
    json_t *at = root;
    for (size_t i = 0; i + 1 < n; i++) {
        if (!strcmp(names[i], "hashes")) {
            json_array_append_new(list_child(at, "hashes"),
                                  json_pack("{si ss so}", "algorithm_id", 3, "algorithm", "SHA-256",
                                            "value", text(v.text, arena)));
            return;
        }
        if (!strcmp(names[i], "answers")) {
            for (size_t k = 0; v.type == FIELD_LIST && k < v.n && k < 32; k++)
                json_array_append_new(list_child(at, "answers"),
                                      json_pack("{so}", "rdata", text(v.list[k], arena)));
            return;
        }
        at = child(at, names[i]);
    }
    json_object_set_new(at, names[n - 1], value_of(names[n - 1], &v, arena));
}

static void set_fields(json_t *root, const Tiercel__Event *event, struct arena *arena)
{
    const char *category = event_category(event);
    for (const struct field *f = field_next(NULL); category && f; f = field_next(f)) {
        const char *name = field_sigma_name(f);
        if (name && field_ocsf(f) && field_find(category, str_from(name)) == f)
            set_field(root, f, event, arena);
    }
}

// ---- what a class needs

// A file has a name and a type, wherever it stands.
static void complete_files(json_t *object, int type)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (!json_is_object(value))
            continue;
        if (!strcmp(key, "file")) {
            const char *path = json_string_value(json_object_get(value, "path"));
            struct str name = str_basename(str_from(path ? path : ""));
            json_object_set_new(value, "name",
                                name.n ? json_stringn_nocheck(name.p, name.n) : word("unknown"));
            json_object_set_new(value, "type_id", json_integer(type));
        }
        complete_files(value, type);
    }
}

static struct class file_class(const Tiercel__FileChange *f)
{
    static const struct class of[] = {
        [TIERCEL__FILE_CHANGE__ACTION__CREATE] = {1001, 1, NULL, "Create"},
        [TIERCEL__FILE_CHANGE__ACTION__WRITE] = {1001, 3, NULL, "Update"},
        [TIERCEL__FILE_CHANGE__ACTION__RENAME] = {1001, 5, NULL, "Rename"},
        [TIERCEL__FILE_CHANGE__ACTION__DELETE] = {1001, 4, NULL, "Delete"},
        [TIERCEL__FILE_CHANGE__ACTION__MODE] = {1001, 7, NULL, "Set Security"},
        [TIERCEL__FILE_CHANGE__ACTION__ATTRIBUTE] = {1001, 6, NULL, "Set Attributes"},
        [TIERCEL__FILE_CHANGE__ACTION__READ] = {1001, 2, NULL, "Read"},
        [TIERCEL__FILE_CHANGE__ACTION__LINK] = {1001, OTHER, NULL, "Other"},
    };
    unsigned i = f->has_action ? f->action : TIERCEL__FILE_CHANGE__ACTION__LINK;
    struct class c = i < sizeof of / sizeof *of ? of[i] : of[TIERCEL__FILE_CHANGE__ACTION__LINK];
    c.name = "File System Activity";
    return c;
}

static struct class access_class(const Tiercel__ProcessAccess *a)
{
    bool writes = a->way == TIERCEL__PROCESS_ACCESS__WAY__WRITE_MEMORY;
    return (struct class){1007, writes ? 4 : 3, "Process Activity", writes ? "Inject" : "Open"};
}

static struct class class_of(const Tiercel__Event *e)
{
    switch (e->kind_case) {
    case TIERCEL__EVENT__KIND_EXEC:
    case TIERCEL__EVENT__KIND_FORK:
        return (struct class){1007, 1, "Process Activity", "Launch"};
    case TIERCEL__EVENT__KIND_EXIT:
        return (struct class){1007, 2, "Process Activity", "Terminate"};
    case TIERCEL__EVENT__KIND_CREDENTIALS:
        return (struct class){1007, 5, "Process Activity", "Set User ID"};
    case TIERCEL__EVENT__KIND_NAMESPACES:
    case TIERCEL__EVENT__KIND_SIGNAL:
        return (struct class){1007, OTHER, "Process Activity", "Other"};
    case TIERCEL__EVENT__KIND_ACCESS:
        return access_class(e->access);
    case TIERCEL__EVENT__KIND_FILE:
        return file_class(e->file);
    case TIERCEL__EVENT__KIND_MOUNT:
        return e->mount->action == TIERCEL__MOUNT__ACTION__UNMOUNT
                   ? (struct class){1001, 13, "File System Activity", "Unmount"}
                   : (struct class){1001, 12, "File System Activity", "Mount"};
    case TIERCEL__EVENT__KIND_MODULE:
        return e->module->unloaded ? (struct class){1002, 2, "Kernel Extension Activity", "Unload"}
                                   : (struct class){1002, 1, "Kernel Extension Activity", "Load"};
    case TIERCEL__EVENT__KIND_BPF:
        return (struct class){1003, 1, "Kernel Activity", "Create"};
    case TIERCEL__EVENT__KIND_CONNECT:
        return e->connect->denied ? (struct class){4001, 5, "Network Activity", "Refuse"}
                                  : (struct class){4001, 1, "Network Activity", "Open"};
    case TIERCEL__EVENT__KIND_FLOW:
        return (struct class){4001, 2, "Network Activity", "Close"};
    case TIERCEL__EVENT__KIND_SOCKET:
        return e->socket->action == TIERCEL__SOCKET__ACTION__ACCEPT
                   ? (struct class){4001, 1, "Network Activity", "Open"}
                   : (struct class){4001, 7, "Network Activity", "Listen"};
    case TIERCEL__EVENT__KIND_DNS:
        return e->dns->answered ? (struct class){4003, 2, "DNS Activity", "Response"}
                                : (struct class){4003, 1, "DNS Activity", "Query"};
    default:
        return (struct class){0, OTHER, "Base Event", "Other"};
    }
}

static json_t *process_of(const Tiercel__Process *p, struct arena *arena)
{
    json_t *o = json_object();
    json_object_set_new(o, "pid", json_integer(p->id->pid));
    if (p->has_name)
        set_text(o, "name", str_bytes(p->name.data, p->name.len), arena);
    if (p->image && p->image->has_path)
        set_text(child(o, "file"), "path", str_bytes(p->image->path.data, p->image->path.len),
                 arena);
    return o;
}

static void complete_process_class(json_t *root, const Tiercel__Event *e, struct arena *arena)
{
    json_t *actor = child(root, "actor");
    if (e->kind_case == TIERCEL__EVENT__KIND_EXEC) {
        json_t *parent = json_object_get(json_object_get(root, "process"), "parent_process");
        if (parent)
            json_object_set_new(actor, "process", json_deep_copy(parent));
    }
    json_t *done = json_object_get(actor, "process");
    if (!json_object_get(root, "process"))
        json_object_set_new(root, "process", done ? json_deep_copy(done) : json_object());
    json_t *process = json_object_get(root, "process");
    if (json_object_size(process) == 0)
        json_object_set_new(process, "pid", json_integer(e->process ? e->process->id->pid : 0));
    (void)arena;
}

static void complete_class(json_t *root, const struct class *c, const Tiercel__Event *e,
                           struct arena *arena)
{
    if (c->uid == 1007)
        complete_process_class(root, e, arena);
    if (c->uid == 1001 && e->kind_case == TIERCEL__EVENT__KIND_MOUNT && e->mount->has_target)
        set_text(child(root, "file"), "path",
                 str_bytes(e->mount->target.data, e->mount->target.len), arena);
    if (c->uid == 1001)
        child(root, "file");
    if (c->uid == 1002) {
        json_t *file = child(child(root, "driver"), "file");
        if (!json_object_get(file, "path") && e->module->has_name)
            set_text(file, "path", str_bytes(e->module->name.data, e->module->name.len), arena);
    }
    if (c->uid == 1003) {
        json_t *kernel = child(root, "kernel");
        json_object_set_new(kernel, "type_id", json_integer(OTHER));
        json_object_set_new(kernel, "type", word("BPF program"));
        json_object_set_new(kernel, "name", word("unnamed"));
        if (e->bpf->has_name)
            set_text(kernel, "name", str_bytes(e->bpf->name.data, e->bpf->name.len), arena);
    }
    if (c->uid < 4000 && !json_object_get(json_object_get(root, "actor"), "process") && c->uid)
        json_object_set_new(child(root, "actor"), "process",
                            e->process ? process_of(e->process, arena)
                                       : json_pack("{si}", "pid", 0));
    json_t *query = json_object_get(root, "query");
    if (c->uid == 4003 && !query)
        json_object_set_new(child(root, "query"), "hostname", word("unknown"));
    if (c->uid == 4001)
        child(root, "dst_endpoint");
    bool folder = e->kind_case == TIERCEL__EVENT__KIND_MOUNT ||
                  (e->kind_case == TIERCEL__EVENT__KIND_FILE && e->file->folder);
    complete_files(root, folder && c->uid == 1001 ? 2 : 1);
}

static void set_base(json_t *root, const struct output_source *s, uint64_t time_ns,
                     unsigned category, struct arena *arena)
{
    json_t *metadata = child(root, "metadata"), *device = child(root, "device");
    char hex[33];
    json_object_set_new(root, "category_uid", json_integer(category));
    json_object_set_new(root, "time", json_integer((json_int_t)(time_ns / 1000000)));
    json_object_set_new(metadata, "version", word(OCSF_VERSION));
    json_object_set_new(metadata, "product",
                        json_pack("{ss ss ss}", "name", "Tiercel", "vendor_name", "Tiercel",
                                  "version", TIERCEL_VERSION));
    json_object_set_new(metadata, "profiles", json_pack("[s]", "host"));
    set_text(metadata, "tenant_uid", s->client, arena);
    json_object_set_new(device, "type_id", json_integer(0));
    if (s->host) {
        leaf_print_hex(str_bytes(s->host, 16), hex);
        json_object_set_new(device, "uid", json_stringn(hex, 32));
    }
    struct str name = s->host_name.n ? s->host_name : STR("unknown");
    set_text(device, "hostname", name, arena);
}

static void set_class(json_t *root, const struct class *c)
{
    json_object_set_new(root, "class_uid", json_integer(c->uid));
    json_object_set_new(root, "class_name", word(c->name));
    json_object_set_new(root, "activity_id", json_integer(c->activity));
    json_object_set_new(root, "activity_name", word(c->activity_name));
    json_object_set_new(root, "type_uid", json_integer(c->uid * 100 + c->activity));
}

static json_t *event_object(const struct output_source *s, const Tiercel__Event *e,
                            struct arena *arena)
{
    json_t *root = json_object();
    struct class c = class_of(e);
    set_fields(root, e, arena);
    complete_class(root, &c, e, arena);
    set_class(root, &c);
    set_base(root, s, e->time, c.uid / 1000, arena);
    json_object_set_new(root, "severity_id", json_integer(1));
    json_object_set_new(child(root, "metadata"), "uid",
                        json_sprintf("%llu", (unsigned long long)e->id));
    return root;
}

static int print(json_t *root, const struct arena *arena, struct buf *to)
{
    char *line = json_dumps(root, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(root);
    if (!line || arena->failed) {
        free(line);
        return -ENOMEM;
    }
    buf_add_str(to, str_from(line));
    free(line);
    return to->failed;
}

int output_ocsf_event(const struct output_source *source, const Tiercel__Event *event,
                      struct arena *arena, struct buf *to)
{
    return print(event_object(source, event, arena), arena, to);
}

// ---- detections

// "attack.t1505.003" as a technique, and a sub-technique beside it.
static void add_attacks(json_t *finding, const Tiercel__Detection *d)
{
    for (size_t i = 0; i < d->n_tags && i < 64; i++) {
        struct str tag = str_from(d->tags[i]);
        char uid[16] = "";
        if (tag.n < 13 || tag.n > 20 || !str_starts(tag, STR("attack.t")) || tag.p[8] < '0' ||
            tag.p[8] > '9')
            continue;
        snprintf(uid, sizeof uid, "T" STR_FMT, (int)(tag.n - 8), tag.p + 8);
        json_t *attack = json_pack("{ss}", "version", "14.1");
        char main_uid[6] = "";
        memcpy(main_uid, uid, 5);
        json_object_set_new(attack, "technique", json_pack("{ss*}", "uid", main_uid));
        if (uid[5] == '.')
            json_object_set_new(attack, "sub_technique", json_pack("{ss*}", "uid", uid));
        json_array_append_new(list_child(finding, "attacks"), attack);
    }
}

static void add_evidence(json_t *root, const struct output_source *s, const Tiercel__Detection *d,
                         struct arena *arena)
{
    static const char *const kept[] = {"actor", "process",      "file",           "dst_endpoint",
                                       "query", "src_endpoint", "connection_info"};
    for (size_t i = 0; i < d->n_events && i < 8; i++) {
        json_t *event = event_object(s, d->events[i], arena), *evidence = json_object();
        for (size_t k = 0; k < sizeof kept / sizeof *kept; k++) {
            json_t *part = json_object_get(event, kept[k]);
            if (part && json_object_size(part))
                json_object_set(evidence, kept[k], part);
        }
        if (json_object_size(evidence))
            json_array_append_new(list_child(root, "evidences"), evidence);
        else
            json_decref(evidence);
        json_decref(event);
    }
}

static void add_verdict(json_t *root, const Tiercel__Verdict *v)
{
    char name[LEAF_TEXT_MAX];
    bool denied = v && v->has_action && v->action != TIERCEL__ACTION__ACTION_ALLOW;
    json_array_append_new(json_object_get(child(root, "metadata"), "profiles"),
                          word("security_control"));
    json_object_set_new(root, "action_id", json_integer(denied ? 2 : 1));
    json_object_set_new(root, "action", word(denied ? "Denied" : "Allowed"));
    json_object_set_new(root, "disposition_id", json_integer(denied ? 2 : 1));
    json_object_set_new(root, "disposition", word(denied ? "Blocked" : "Allowed"));
    if (!v)
        return;
    json_t *own = child(root, "unmapped");
    size_t n = leaf_print_enum(&tiercel__action__descriptor, (int)v->action, name);
    json_object_set_new(own, "done", json_stringn(name, n));
    n = leaf_print_enum(&tiercel__mechanism__descriptor, (int)v->mechanism, name);
    json_object_set_new(own, "mechanism", json_stringn(name, n));
    json_object_set_new(own, "before_first_instruction", json_boolean(v->before_first_instruction));
}

int output_ocsf_detection(const struct output_source *source, const Tiercel__Detection *d,
                          const Tiercel__Verdict *verdict, struct arena *arena, struct buf *to)
{
    static const struct class c = {2004, 1, "Detection Finding", "Create"};
    static const char *const names[] = {"Unknown", "Informational", "Low",
                                        "Medium",  "High",          "Critical"};
    json_t *root = json_object(), *finding = child(root, "finding_info");
    unsigned severity = output_severity(str_from(d->level));
    char hex[33] = "";
    if (source->host)
        leaf_print_hex(str_bytes(source->host, 16), hex);
    set_class(root, &c);
    set_base(root, source, d->time, 2, arena);
    json_object_set_new(root, "severity_id", json_integer(severity));
    json_object_set_new(root, "severity", word(names[severity]));
    json_object_set_new(root, "status_id", json_integer(1));
    json_object_set_new(root, "status", word("New"));
    json_object_set_new(root, "is_alert", json_true());
    json_object_set_new(finding, "title",
                        text(str_from(d->rule_title ? d->rule_title : "unknown"), arena));
    json_object_set_new(finding, "uid", json_sprintf("%.32s-%llu", hex, (unsigned long long)d->id));
    if (d->rule_id)
        json_object_set_new(finding, "analytic",
                            json_pack("{si so so}", "type_id", 1, "uid",
                                      text(str_from(d->rule_id), arena), "name",
                                      text(str_from(d->rule_title ? d->rule_title : ""), arena)));
    add_attacks(finding, d);
    add_evidence(root, source, d, arena);
    add_verdict(root, verdict);
    return print(root, arena, to);
}
