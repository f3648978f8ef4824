// SPDX-License-Identifier: Apache-2.0
// ArcSight's Common Event Format, version 0. In the header '|' and '\' are escaped, in the extension '=' and '\'; line
// ends of either are no line ends there.
#include "event/field.h"
#include "event/leaf.h"
#include "output/output.h"
#include <errno.h>

static void add_escaped(struct str s, char also, struct arena *arena, struct buf *to)
{
    struct str t = output_text(s, arena);
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.p[i];
        if (c == '\\' || c == (unsigned char)also) {
            buf_add_char(to, '\\');
            buf_add_char(to, (char)c);
        } else if ((c == '\n' || c == '\r') && also == '=') {
            buf_add_str(to, c == '\n' ? STR("\\n") : STR("\\r"));
        } else {
            buf_add_char(to, c < ' ' || c == 127 ? ' ' : (char)c);
        }
    }
}

static void add_header(struct str id, struct str name, unsigned severity, struct arena *arena,
                       struct buf *to)
{
    static const unsigned of_ten[] = {0, 1, 3, 5, 8, 10};
    buf_add_str(to, STR("CEF:0|Tiercel|Tiercel|" TIERCEL_VERSION "|"));
    add_escaped(id, '|', arena, to);
    buf_add_char(to, '|');
    add_escaped(name, '|', arena, to);
    buf_addf(to, "|%u|", of_ten[severity < 6 ? severity : 0]);
}

static void add(const char *key, struct str value, struct arena *arena, struct buf *to)
{
    if (!value.n)
        return;
    if (to->n && to->p[to->n - 1] != '|')
        buf_add_char(to, ' ');
    buf_addf(to, "%s=", key);
    add_escaped(value, '=', arena, to);
}

static void add_number(const char *key, uint64_t value, struct arena *arena, struct buf *to)
{
    char digits[LEAF_TEXT_MAX];
    add(key, str_bytes(digits, leaf_print_u64(value, digits)), arena, to);
}

static void add_source(const struct output_source *s, uint64_t time_ns, uint64_t id,
                       struct arena *arena, struct buf *to)
{
    char hex[33];
    add_number("rt", time_ns / 1000000, arena, to);
    add("dvchost", s->host_name, arena, to);
    if (s->host) {
        leaf_print_hex(str_bytes(s->host, 16), hex);
        add("deviceExternalId", str_bytes(hex, 32), arena, to);
    }
    add_number("externalId", id, arena, to);
    if (s->client.n) {
        add("cs1Label", STR("client"), arena, to);
        add("cs1", s->client, arena, to);
    }
}

// Keys of the CEF dictionary by our names; the first name that the event has.
static const struct {
    const char *key, *name;
} keys[] = {
    {"sproc", "Image"},
    {"spid", "ProcessId"},
    {"suser", "User"},
    {"suid", "EffectiveUid"},
    {"fileHash", "sha256"},
    {"filePath", "TargetFilename"},
    {"oldFilePath", "SourceFilename"},
    {"filePath", "ImageLoaded"},
    {"src", "SourceIp"},
    {"spt", "SourcePort"},
    {"dst", "DestinationIp"},
    {"dpt", "DestinationPort"},
    {"dhost", "DestinationHostname"},
    {"destinationDnsDomain", "QueryName"},
    {"proto", "Protocol"},
    {"out", "BytesSent"},
    {"in", "BytesReceived"},
    {"dproc", "TargetImage"},
    {"dpid", "TargetProcessId"},
};

static void add_address(const char *key, struct str value, struct arena *arena, struct buf *to)
{
    // IPv6 has keys of its own: src and dst are IPv4
    bool six = memchr(value.p, ':', value.n) != NULL;
    if (six) {
        bool source = !strcmp(key, "src");
        add(source ? "c6a2Label" : "c6a3Label",
            source ? STR("Source IPv6 Address") : STR("Destination IPv6 Address"), arena, to);
        add(source ? "c6a2" : "c6a3", value, arena, to);
    } else {
        add(key, value, arena, to);
    }
}

static void add_event(const Tiercel__Event *e, struct arena *arena, struct buf *to)
{
    const char *category = event_category(e);
    if (!category)
        return;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const struct field *f = field_find(category, str_from(keys[i].name));
        struct field_value v = f ? field_get(f, e, arena) : (struct field_value){0};
        if (v.type == FIELD_ABSENT || v.type == FIELD_LIST || !v.text.n)
            continue;
        if (!strcmp(keys[i].key, "src") || !strcmp(keys[i].key, "dst"))
            add_address(keys[i].key, v.text, arena, to);
        else
            add(keys[i].key, v.text, arena, to);
    }
    static const char *const labelled[][2] = {
        {"CommandLine", "cs3"}, {"ParentImage", "cs4"}, {"Lineage", "cs5"}};
    for (size_t i = 0; i < sizeof labelled / sizeof *labelled; i++) {
        const struct field *f = field_find(category, str_from(labelled[i][0]));
        struct field_value v = f ? field_get(f, e, arena) : (struct field_value){0};
        char label[16];
        if (v.type == FIELD_ABSENT || !v.text.n)
            continue;
        snprintf(label, sizeof label, "%sLabel", labelled[i][1]);
        add(label, str_from(labelled[i][0]), arena, to);
        add(labelled[i][1], v.text, arena, to);
    }
}

int output_cef_event(const struct output_source *source, const Tiercel__Event *event,
                     struct arena *arena, struct buf *to)
{
    const ProtobufCFieldDescriptor *kind = protobuf_c_message_descriptor_get_field(
        &tiercel__event__descriptor, (unsigned)event->kind_case);
    struct str name = str_from(kind ? kind->name : "event");
    add_header(name, name, 1, arena, to);
    add_source(source, event->time, event->id, arena, to);
    add_event(event, arena, to);
    return arena->failed ? -ENOMEM : to->failed;
}

int output_cef_detection(const struct output_source *source, const Tiercel__Detection *d,
                         const Tiercel__Verdict *verdict, struct arena *arena, struct buf *to)
{
    _cleanup_buf_ struct buf tags = {0};
    bool denied =
        verdict && verdict->has_action && verdict->action != TIERCEL__ACTION__ACTION_ALLOW;
    add_header(str_from(d->rule_id ? d->rule_id : "unknown"),
               str_from(d->rule_title ? d->rule_title : "unknown"),
               output_severity(str_from(d->level)), arena, to);
    add_source(source, d->time, d->id, arena, to);
    add("act", denied ? STR("blocked") : STR("allowed"), arena, to);
    for (size_t i = 0; i < d->n_tags; i++)
        buf_addf(&tags, "%s%s", i ? "," : "", d->tags[i]);
    if (tags.n) {
        add("cs2Label", STR("tags"), arena, to);
        add("cs2", buf_str(&tags), arena, to);
    }
    if (d->n_events)
        add_event(d->events[0], arena, to);
    return arena->failed ? -ENOMEM : to->failed;
}
