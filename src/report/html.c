// SPDX-License-Identifier: Apache-2.0
#include "report/document.h"

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1b1b1b;--paper:#fff;--quiet:#555;--line:#767676;"
    "--bar:#0b5a8a;--band:#b9d3e2}"
    "@media(prefers-color-scheme:dark){:root{--ink:#eee;--paper:#161616;--quiet:#bbb;--line:#999;"
    "--bar:#7cc4f0;--band:#2c4a5c}}"
    "body{margin:0 auto;max-width:60rem;padding:1rem;font:1rem/1.5 sans-serif;color:var(--ink);"
    "background:var(--paper)}h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}"
    "li{margin:.4rem 0}a{color:var(--bar)}details,.quiet{color:var(--quiet);font-size:.85rem}"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem}"
    "th,td{border:1px solid var(--line);padding:.25rem .5rem;text-align:left;vertical-align:top}"
    "td code{display:block;min-width:12rem;overflow-wrap:anywhere}code{overflow-wrap:anywhere}"
    "caption{text-align:left}svg{width:100%;min-width:36rem;height:auto}"
    "@media print{:root{--ink:#000;--paper:#fff;--quiet:#333;--bar:#000;--band:#ccc}"
    "body{max-width:none;font-size:10pt}.wide{overflow:visible}table{font-size:8pt}svg{min-width:0}"
    "td code{min-width:0}h2,tr,svg{break-inside:avoid}h2{break-after:avoid}}";

void document_escape(const char *text, struct buf *out)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '<' || c == '>' || c == '&' || c == '"' || c == '\'')
            buf_addf(out, "&#%d;", c);
        else if (c < 0x20 || c == 0x7f)
            buf_addf(out, "\\x%02x", c);
        else
            buf_add_char(out, (char)c);
    }
}

static const char *text_of(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));
    return text ? text : "";
}

static void list(const struct claims *c, const char *kind, struct buf *out)
{
    const json_t *one;
    size_t i;
    buf_add_str(out, STR("<ul>\n"));
    json_array_foreach(c->all, i, one)
    {
        if (strcmp(text_of(one, "kind"), kind) != 0)
            continue;
        buf_addf(out, "<li id=\"%s\">", text_of(one, "id"));
        document_escape(text_of(one, "text"), out);
        const json_t *evidence = json_object_get(one, "evidence"), *of;
        size_t k;
        if (json_array_size(evidence))
            buf_addf(out, " <details><summary>Evidence: %zu attempt%s</summary>",
                     json_array_size(evidence), json_array_size(evidence) == 1 ? "" : "s");
        json_array_foreach(evidence, k, of) buf_addf(
            out, " <a href=\"#a-%s\">%s</a>", text_of(of, "attempt"), text_of(of, "attempt"));
        buf_add_str(out, json_array_size(evidence) ? STR("</details></li>\n") : STR("</li>\n"));
    }
    buf_add_str(out, STR("</ul>\n"));
}

static void attempts(const struct draft *d, struct buf *out)
{
    buf_add_str(out, STR("<h2>Attempts</h2><div class=\"wide\" tabindex=\"0\" role=\"region\" "
                         "aria-label=\"Attempts\"><table><caption class=\"quiet\">Each with its "
                         "first detection; numbers are those of events</caption><thead><tr>"
                         "<th scope=\"col\">Attempt</th><th scope=\"col\">Client</th><th "
                         "scope=\"col\">Sector</th><th scope=\"col\">Begin, UTC</th><th "
                         "scope=\"col\">Outcome</th><th scope=\"col\">First detection</th>"
                         "<th scope=\"col\">Group</th></tr></thead><tbody>\n"));
    for (size_t i = 0; i < d->n_attempts; i++) {
        const struct draft_attempt *a = &d->attempts[i];
        const json_t *first = json_array_get(json_object_get(a->json, "detections"), 0);
        buf_addf(out, "<tr id=\"a-%s\"><th scope=\"row\">%s</th><td>", a->id, a->id);
        document_escape(d->clients[a->client].name, out);
        buf_add_str(out, STR("</td><td>"));
        document_escape(d->clients[a->client].sector, out);
        buf_addf(out, "</td><td>%.19s</td><td>%s</td><td>%lld: ", text_of(a->json, "begin"),
                 attempt_outcome_words(a->outcome),
                 (long long)json_integer_value(json_object_get(first, "id")));
        document_escape(text_of(first, "rule"), out);
        buf_add_str(out, STR("<code>"));
        document_escape(text_of(first, "command"), out);
        buf_add_str(out, STR("</code></td><td>"));
        document_escape(a->answer[0] ? a->answer : "unknown", out);
        buf_add_str(out, STR("</td></tr>\n"));
    }
    buf_add_str(out, STR("</tbody></table></div>\n"));
}

static void sectors(const struct draft *d, struct buf *out)
{
    size_t first[REGISTRY_CLIENTS_MAX], n = draft_sectors(d, first);
    if (n == 0)
        return;
    buf_add_str(out, STR("<h2>Sectors</h2><table><thead><tr><th scope=\"col\">Sector</th><th "
                         "scope=\"col\">Clients</th><th scope=\"col\">Attempts</th><th "
                         "scope=\"col\">Sensor-days</th></tr></thead><tbody>\n"));
    for (size_t i = 0; i < n; i++) {
        uint64_t clients = 0, count = 0, days = 0;
        for (size_t k = 0; k < d->n_clients; k++)
            if (strcmp(d->clients[k].sector, d->clients[first[i]].sector) == 0) {
                clients++;
                count += d->clients[k].attempts;
                days += d->clients[k].sensor_days;
            }
        buf_add_str(out, STR("<tr><th scope=\"row\">"));
        document_escape(d->request->for_public ? "withheld" : d->clients[first[i]].sector, out);
        if (d->request->for_public)
            buf_add_str(out,
                        STR("</th><td>withheld</td><td>withheld</td><td>withheld</td></tr>\n"));
        else
            buf_addf(out, "</th><td>%llu</td><td>%llu</td><td>%llu</td></tr>\n",
                     (unsigned long long)clients, (unsigned long long)count,
                     (unsigned long long)days);
    }
    buf_add_str(out, STR("</tbody></table>\n"));
}

void document_html(const struct draft *d, const struct claims *c, struct buf *out)
{
    buf_addf(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
        "content=\"width=device-width, initial-scale=1\"><meta http-equiv=\""
        "Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        "<title>Attempts, %s to %s</title><style>%s</style></head><body><main>\n<h1>Attempts "
        "between %s and %s</h1>\n<p class=\"quiet\">%s edition%s</p>\n<h2>What was "
        "observed</h2>\n",
        c->from, c->to, style, c->from, c->to, d->request->for_public ? "Public" : "Internal",
        d->request->for_public ? "" : ": names clients, not to be passed on");
    list(c, "observed", out);
    buf_add_str(out, STR("<h2>What is assessed</h2>\n"));
    list(c, "assessed", out);
    buf_add_str(out, STR("<h2>What this report does not say</h2>\n"));
    list(c, "not claimed", out);
    buf_add_str(out, STR("<h2>Timeline and coverage</h2>\n"));
    buf_add_str(out, STR("<div class=\"wide\" tabindex=\"0\" role=\"region\" "
                         "aria-label=\"Timeline\">"));
    chart_timeline(d, out);
    buf_add_str(out, STR("</div>\n"));
    sectors(d, out);
    if (!d->request->for_public && d->n_attempts)
        attempts(d, out);
    buf_add_str(out, STR("<h2>How it was counted</h2>\n<p>Attempts: " ATTEMPT_RULE));
    buf_addf(out,
             ", version %d; counts are lower bounds. A sensor-day is a day (UTC) on which a host's "
             "records came. Evidence: <code>",
             ATTEMPT_RULE_VERSION);
    for (size_t i = 0; i < sizeof d->root; i++)
        buf_addf(out, "%02x", d->root[i]);
    buf_add_str(out, STR("</code></p>\n</main></body></html>\n"));
}
