// SPDX-License-Identifier: Apache-2.0
#include "report/claim.h"
#include "attribute/attribute.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static json_t *number_json(const struct claims *c, const struct claim_number *n)
{
    json_t *o = json_pack("{s:f, s:s, s:{s:s, s:s}, s:s, s:{s:s, s:f}}", "value", n->value, "unit",
                          n->unit, "window", "from", c->from, "to", c->to, "rule", n->rule,
                          "denominator", "unit", n->denominator, "value", n->of);
    if (o && n->interval)
        json_object_set_new(
            o, "interval",
            json_pack("{s:s, s:f, s:f}", "method", n->interval, "low", n->low, "high", n->high));
    return o;
}

void claim_add(struct claims *c, enum claim_kind kind, const char *about,
               const struct claim_number *number, json_t *evidence, const char *text, ...)
{
    static const char *const kinds[] = {"observed", "assessed", "not claimed"};
    char sentence[1024], id[16];
    va_list list;
    va_start(list, text);
    vsnprintf(sentence, sizeof sentence, text, list);
    va_end(list);
    snprintf(id, sizeof id, "C%zu", json_array_size(c->all) + 1);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "id", id, "kind", kinds[kind], "about", about,
                          "text", sentence);
    if (!o || (number && json_object_set_new(o, "number", number_json(c, number)) < 0))
        c->failed = -ENOMEM;
    if (evidence)
        json_object_set_new(o, "evidence", evidence);
    if (!c->all)
        c->all = json_array();
    if (json_array_append_new(c->all, o) < 0)
        c->failed = -ENOMEM;
    buf_addf(&c->text, "%s\n", sentence);
}

void claim_likelihood(struct claims *c, double probability)
{
    json_t *last = json_array_get(c->all, json_array_size(c->all) - 1);
    if (json_object_set_new(last, "likelihood",
                            json_pack("{s:f, s:s}", "probability", probability, "words",
                                      attribute_words(probability))) < 0)
        c->failed = -ENOMEM;
}

void claims_done(struct claims *c)
{
    json_decref(c->all);
    buf_done(&c->text);
}
