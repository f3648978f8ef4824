// SPDX-License-Identifier: Apache-2.0
#include "cli/hunt.h"

#include "cli/rulefiles.h"
#include "event/leaf.h"

#include <errno.h>

int hunt_init(struct hunt *h, struct error *e)
{
    *h = (struct hunt){0};
    int r = segment_opener_new(&h->opener);
    return r < 0 ? error_set(e, r, "out of memory") : 0;
}

void hunt_done(struct hunt *h)
{
    detect_worker_free(h->worker);
    detect_free(h->detect);
    segment_opener_free(h->opener);
    arena_done(&h->arena);
}

// ---- what is looked for

int hunt_rules_add(struct hunt *h, const char *path, struct error *e)
{
    _cleanup_rulefiles_ struct rulefiles files = {0};
    int r = h->detect ? 0 : detect_new(&h->detect);
    if (r < 0)
        return error_set(e, r, "out of memory");
    r = rulefiles_collect(path, &files, e);
    for (size_t i = 0; r >= 0 && i < files.n; i++)
        r = detect_load_file(h->detect, files.paths[i], e);
    return r;
}

static bool concerned(const struct rule_set *set, const char *category)
{
    for (size_t i = 0; i < rule_set_count(set); i++) {
        const struct rule *rule = rule_set_get(set, i);
        if (!rule->correlation &&
            (rule->category.n == 0 || str_eq(rule->category, str_from(category))))
            return true;
    }
    return false;
}

int hunt_rules_ready(struct hunt *h, struct error *e)
{
    const char *category;
    int r = detect_ready(h->detect, e);
    if (r < 0)
        return r;
    if (detect_worker_new(h->detect, &h->worker) < 0)
        return error_set(e, -ENOMEM, "out of memory");
    for (size_t i = 0; (category = event_category_at(i)); i++) {
        const Tiercel__Event *event = event_new(category, &h->arena);
        if (!event)
            return error_set(e, -ENOMEM, "out of memory");
        if (event->kind_case < 64 && concerned(detect_rules(h->detect), category))
            h->kinds |= (uint64_t)1 << event->kind_case;
    }
    arena_reset(&h->arena);
    if (rule_set_count(detect_rules(h->detect)) == 0)
        return error_set(e, -ENOENT, "there are no rules in these files");
    return 0;
}

int hunt_key_add(struct hunt *h, enum store_key_type type, const char *text, struct error *e)
{
    struct str value = str_from(text);
    uint8_t bytes[32];
    size_t n = 32;
    if (h->n_keys == HUNT_KEYS)
        return error_set(e, -E2BIG, "more than %d values", HUNT_KEYS);
    if (type == STORE_HASH && (value.n != 2 * sizeof bytes || leaf_parse_hex(value, bytes) < 0)) {
        error_set(e, -EINVAL, "'%s' is no SHA-256", text);
        error_way_out(e, "give 64 hexadecimal digits, as sha256sum prints them");
        return -EINVAL;
    }
    if (type == STORE_ADDRESS && leaf_parse_ip(value, bytes, &n) < 0) {
        error_set(e, -EINVAL, "'%s' is no address", text);
        error_way_out(e, "give one like 203.0.113.7 or 2001:db8::7");
        return -EINVAL;
    }
    if (type == STORE_HASH || type == STORE_ADDRESS)
        value = str_bytes(bytes, n);
    h->keys[h->n_keys++] = store_key(type, value);
    if ((type == STORE_HASH || type == STORE_PATH) && h->n_needles < HUNT_NEEDLES && value.n) {
        uint8_t *copy = h->needle_bytes[h->n_needles];
        if (type == STORE_HASH)
            value.p = memcpy(copy, bytes, sizeof bytes);
        h->needles[h->n_needles++] = value;
    }
    return 0;
}

int hunt_host_add(struct hunt *h, const char *text, struct error *e)
{
    struct str value = str_from(text);
    if (h->n_hosts == HUNT_HOSTS)
        return error_set(e, -E2BIG, "more than %d hosts", HUNT_HOSTS);
    if (value.n != 32 || leaf_parse_hex(value, h->hosts[h->n_hosts]) < 0) {
        error_set(e, -EINVAL, "'%s' is no host", text);
        error_way_out(e, "give the 32 hexadecimal digits of its machine id (/etc/machine-id)");
        return -EINVAL;
    }
    h->n_hosts++;
    return 0;
}

// ---- looking

static int tell(struct hunt *h, const uint8_t host[16], Tiercel__Event *event,
                Tiercel__Detection *detection)
{
    h->results++;
    int r = h->found(h->context, host, event, detection);
    return r || (h->limit && h->results >= h->limit);
}

static int judge(struct hunt *h, const uint8_t host[16], Tiercel__Event *event, struct error *e)
{
    struct detect_result result = {0};
    int r = detect_event(h->detect, h->worker, event, true, &h->arena, &result);
    if (r < 0)
        return error_set(e, r, "event %llu: %s", (unsigned long long)event->id, strerror(-r));
    h->suppressed += result.suppressed;
    h->limits += result.limits;
    for (size_t i = 0; r == 0 && i < result.n; i++) {
        Tiercel__Detection *d = result.detections[i];
        d->has_time = true;
        d->time = event->time;
        if (d->n_events == 0) { // a correlation brings its own
            d->events = arena_array(&h->arena, Tiercel__Event *, 1);
            d->n_events = d->events != NULL;
            if (d->events)
                d->events[0] = event;
        }
        r = tell(h, host, event, d);
    }
    return r;
}

static int one_event(struct hunt *h, const uint8_t host[16], Tiercel__Event *event, struct error *e)
{
    if (h->kinds && !(event->kind_case < 64 && h->kinds & (uint64_t)1 << event->kind_case))
        return 0;
    if (h->n_keys && !store_event_has(event, h->keys, h->n_keys))
        return 0;
    arena_reset(&h->arena);
    if (!filter_event(&h->filter, event, &h->arena))
        return 0;
    return h->detect ? judge(h, host, event, e) : tell(h, host, event, NULL);
}

// Hashes and paths are in a batch as they are: without any of them nothing in it can be one of the values.
static bool may_have(const struct hunt *h, struct str plain)
{
    if (h->n_keys == 0 || h->n_needles != h->n_keys)
        return true;
    for (size_t i = 0; i < h->n_needles; i++)
        if (memmem(plain.p, plain.n, h->needles[i].p, h->needles[i].n))
            return true;
    return false;
}

static int one_batch(struct hunt *h, const struct segment_info *info, struct str record,
                     struct error *e)
{
    struct str plain;
    Tiercel__Batch *batch;
    int r = segment_record_plain(h->opener, record, &plain, e);
    h->events += info->n_events;
    if (r == 0 && !may_have(h, plain))
        return 0;
    // A program that was started says all by itself; of the others a batch must be read as a whole.
    if (r == 0 && h->kinds == (uint64_t)1 << TIERCEL__EVENT__KIND_EXEC)
        r = segment_record_unpack_exec(h->opener, plain, &batch, e);
    else if (r == 0)
        r = segment_record_unpack(h->opener, info, plain, &batch, e);
    for (size_t i = 0; r == 0 && i < batch->n_events; i++)
        r = one_event(h, info->host, batch->events[i], e);
    return r;
}

// Kinds asked for by name narrow what rules ask for.
static void narrow(struct hunt *h)
{
    uint64_t named = 0;
    for (size_t i = 0; i < h->filter.n_kinds; i++) {
        char name[32];
        snprintf(name, sizeof name, STR_FMT, STR_ARG(h->filter.kinds[i]));
        const ProtobufCFieldDescriptor *kind =
            protobuf_c_message_descriptor_get_field_by_name(&tiercel__event__descriptor, name);
        if (!kind || kind->id >= 64)
            return;
        named |= (uint64_t)1 << kind->id;
    }
    if (named && (!h->kinds || h->kinds & named))
        h->kinds = h->kinds ? h->kinds & named : named;
}

int hunt_run(struct hunt *h, const char *place, struct error *e)
{
    narrow(h);
    const struct store_filter filter = {
        .from_ns = h->filter.since_ns,
        .to_ns = h->filter.until_ns,
        .hosts = (const uint8_t(*)[16])h->hosts,
        .n_hosts = h->n_hosts,
        .kinds = h->kinds,
        .keys = h->keys,
        .n_keys = h->n_keys,
    };
    struct store_walk *walk;
    struct segment_info info;
    struct str record;
    int r = store_walk_new(place, &filter, &walk, e);
    if (r < 0)
        return r;
    bool stop = false;
    while (!stop && (r = store_walk_next(walk, &info, &record, e)) > 0) {
        if (r == 1)
            r = one_batch(h, &info, record, e);
        stop = r == 1;
        if (r == 2 || r == -EBADMSG) {
            h->problem(h->context, e);
            r = 0;
        }
        if (r < 0)
            break;
        h->counts = *store_walk_counts(walk);
        if (h->progress)
            h->progress(h->context, h);
    }
    h->counts = *store_walk_counts(walk);
    store_walk_free(walk);
    return r < 0 ? r : stop;
}
