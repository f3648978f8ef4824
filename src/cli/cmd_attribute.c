// SPDX-License-Identifier: Apache-2.0
#include "attribute/attribute.h"
#include "cli/command.h"

#include <errno.h>
#include <jansson.h>

static const struct option options[] = {
    {"knowledge", 'k', OPTION_FILE, "FILE",
     "a STIX bundle or case lines, plain or gzip; may be given more than once", NULL, true},
    {"technique", 't', OPTION_TEXT, "ID", "seen: an ATT&CK technique, such as T1505.003", NULL,
     true},
    {"software", 's', OPTION_TEXT, "NAME", "seen: a tool or malware, by name or id", NULL, true},
    {"ip", 0, OPTION_TEXT, "IP", "seen: an address of the other side", NULL, true},
    {"domain", 0, OPTION_TEXT, "NAME", "seen: a domain name of the other side", NULL, true},
    OPTION_JSON,
    {0},
};

static const char *name_of(const struct intel *k, uint32_t a)
{
    return a == INTEL_NONE ? "unknown adversary" : k->adversaries[a]->name.p;
}

static const char *id_of(const struct intel *k, uint32_t a)
{
    return a == INTEL_NONE ? "unknown" : k->adversaries[a]->id.p;
}

static json_t *candidate(const struct intel *k, const struct attribute_candidate *c)
{
    json_t *o =
        json_pack("{s:s, s:s, s:f, s:s, s:f, s:f}", "id", id_of(k, c->adversary), "name",
                  name_of(k, c->adversary), "probability", c->probability, "likelihood",
                  attribute_words(c->probability), "prior_nats", c->prior, "score_nats", c->score);
    for (int i = 0; o && i < ATTRIBUTE_CLASSES; i++)
        json_object_set_new(o, attribute_class_name((enum attribute_class)i),
                            json_real(c->by_class[i]));
    return o;
}

static void show_json(struct cli *cli, const struct intel *k, const struct attribute_result *r)
{
    struct buf out = {0};
    char version[17];
    snprintf(version, sizeof version, "%016llx", (unsigned long long)k->version);
    json_t *list = json_array(), *items = json_array(), *without = json_object();
    for (uint32_t i = 0; i < r->n_top; i++)
        json_array_append_new(list, candidate(k, &r->top[i]));
    json_array_append_new(list, candidate(k, &r->unknown));
    for (uint32_t i = 0; i < r->n_items; i++)
        json_array_append_new(items,
                              json_pack("{s:s%, s:f, s:i}", "value", r->items[i].value->key.p,
                                        r->items[i].value->key.n, "nats", r->items[i].weight,
                                        "held_by", (int)r->items[i].holders));
    for (int i = 0; i < ATTRIBUTE_CLASSES; i++)
        json_object_set_new(without, attribute_class_name((enum attribute_class)i),
                            json_pack("s", id_of(k, r->without[i])));
    json_t *o = json_pack("{s:b, s:s, s:s, s:s, s:o, s:o, s:o, s:i, s:s}", "named", r->named,
                          "answer", r->named ? id_of(k, r->top[0].adversary) : "unknown",
                          "confidence", r->moderate ? "moderate" : "low", "reason", r->reason,
                          "candidates", list, "evidence", items, "leader_without", without,
                          "left_out", (int)r->left_out, "knowledge", version);
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    buf_addf(&out, "%s\n", text ? text : "{}");
    term_write(&cli->out, &out);
    free(text);
    json_decref(o);
    buf_done(&out);
}

static void line(const struct intel *k, const struct attribute_candidate *c, struct buf *out)
{
    buf_addf(out, "%5.1f %%  %-17s %-10s ", 100 * c->probability, attribute_words(c->probability),
             c->adversary == INTEL_NONE ? "-" : id_of(k, c->adversary));
    text_escape(str_from(name_of(k, c->adversary)), out);
    buf_addf(out, "   %+.2f = prior %+.2f", c->score, c->prior);
    for (int i = 0; i < ATTRIBUTE_CLASSES; i++)
        if (c->by_class[i] != 0)
            buf_addf(out, ", %s %+.2f", attribute_class_name((enum attribute_class)i),
                     c->by_class[i]);
    buf_add_char(out, '\n');
}

static void show(struct cli *cli, const struct intel *k, const struct attribute_result *r)
{
    struct buf out = {0};
    buf_addf(&out, "Answer: ");
    text_escape(str_from(r->named ? name_of(k, r->top[0].adversary) : "we do not know"), &out);
    buf_addf(&out, " (%s confidence: %s)\n\n", r->moderate ? "moderate" : "low", r->reason);
    line(k, &r->unknown, &out);
    for (uint32_t i = 0; i < r->n_top; i++)
        line(k, &r->top[i], &out);
    if (r->n_top) {
        buf_addf(&out, "\nEvidence for ");
        text_escape(str_from(name_of(k, r->top[0].adversary)), &out);
        buf_addf(&out, ", in nats:\n");
    }
    for (uint32_t i = 0; r->n_top && i < r->n_items; i++) {
        buf_addf(&out, "  %+6.2f  ", r->items[i].weight);
        text_escape(r->items[i].value->key, &out);
        buf_addf(&out, " (held by %u)\n", r->items[i].holders);
    }
    buf_addf(&out, "\nIn the lead without a class of evidence:\n");
    for (int i = 0; i < ATTRIBUTE_CLASSES; i++) {
        buf_addf(&out, "  %-15s ", attribute_class_name((enum attribute_class)i));
        text_escape(str_from(name_of(k, r->without[i])), &out);
        buf_add_char(&out, '\n');
    }
    buf_addf(&out, "\nKnowledge %016llx, %u adversaries; %llu objects skipped.\n",
             (unsigned long long)k->version, k->n_adversaries, (unsigned long long)k->skipped);
    term_write(&cli->out, &out);
    buf_done(&out);
}

static size_t observed(struct intel *k, const struct args *args, struct intel_value **values,
                       size_t max)
{
    static const struct {
        const char *option;
        enum intel_kind kind;
    } kinds[] = {{"technique", INTEL_TECHNIQUE},
                 {"software", INTEL_SOFTWARE},
                 {"ip", INTEL_HOST},
                 {"domain", INTEL_HOST}};
    size_t n = 0;
    const char *text;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (size_t at = 0; n < max && (text = args_each(args, kinds[i].option, &at));) {
            struct intel_value *v = intel_value(k, kinds[i].kind, str_from(text));
            for (size_t j = 0; v && j < n; j++)
                v = values[j] == v ? NULL : v;
            if (v)
                values[n++] = v;
        }
    return n;
}

static int run(struct cli *cli, const struct args *args)
{
    struct intel k;
    struct error e = {0};
    struct intel_value *values[OPTIONS_MAX];
    const char *file;
    struct attribute_view all = {0};
    struct attribute_result result;
    int r = intel_init(&k);
    for (size_t at = 0; !r && (file = args_each(args, "knowledge", &at));)
        r = intel_load_file(&k, file, true, &e);
    size_t n = r ? 0 : observed(&k, args, values, OPTIONS_MAX);
    if (!r && (!k.n_adversaries || !n)) {
        r = error_set(&e, -EINVAL, n ? "no knowledge" : "no observation");
        error_way_out(&e, n ? "give --knowledge FILE, a STIX bundle or case lines"
                            : "give --technique, --software, --ip or --domain");
    }
    if (!r && !(r = attribute_score(&k, values, n, &all, &result))) {
        (args_has(args, "json") ? show_json : show)(cli, &k, &result);
        attribute_done(&result);
    }
    intel_done(&k);
    return r ? cli_fail(cli, &e) : CLI_OK;
}

const struct command cmd_attribute = {
    .name = "attribute",
    .group = "look",
    .summary = "who may it have been, or that we do not know",
    .description = "Weighs what was seen against what is known of adversaries. An unknown "
                   "adversary is always among the "
                   "candidates; the contributions add up to each score; a name is given only far "
                   "enough ahead of all others, and "
                   "never on techniques or widely shared tools alone.",
    .examples =
        "tiercel attribute -k enterprise-attack.json -t T1505.003 -s Derusbi   # two observations",
    .options = options,
    .run = run,
};
