// SPDX-License-Identifier: Apache-2.0
#include "report/document.h"

#define WIDTH 900.0
#define LEFT 40.0
#define BARS 170.0 // lower edge of the attempts
#define BAND 215.0 // lower edge of coverage
#define HEIGHT 250.0

void chart_timeline(const struct draft *d, struct buf *out)
{
    uint32_t most = 1, hosts = 1;
    char first[32], last[32];
    double step = (WIDTH - LEFT - 10) / (double)(d->n_days ? d->n_days : 1);
    for (size_t i = 0; i < d->n_days; i++) {
        most = d->attempts_of_day[i] > most ? d->attempts_of_day[i] : most;
        hosts = d->hosts_of_day[i] > hosts ? d->hosts_of_day[i] : hosts;
    }
    draft_date(d->request->from_ns, first);
    draft_date(d->request->to_ns - DRAFT_DAY_NS, last);
    buf_addf(out,
             "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"By day, from %s to %s: %s "
             "hosts with records\" font-size=\"13\" fill=\"currentColor\">\n",
             WIDTH, HEIGHT, first, last, d->request->for_public ? "" : "attempts, and below them");
    for (size_t i = 0; i < d->n_days; i++) {
        double x = LEFT + (double)i * step, wide = step > 3 ? step - 1 : step;
        double high = 130.0 * d->attempts_of_day[i] / most,
               cover = 30.0 * d->hosts_of_day[i] / hosts;
        if (!d->request->for_public && high > 0) // days of single attempts lead to clients
            buf_addf(out,
                     "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" "
                     "style=\"fill:var(--bar)\"/>\n",
                     x, BARS - high, wide, high);
        if (cover > 0)
            buf_addf(out,
                     "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" "
                     "style=\"fill:var(--band)\"/>\n",
                     x, BAND - cover, wide, cover);
    }
    if (d->external && d->external_ns >= d->request->from_ns &&
        d->external_ns < d->request->to_ns) {
        uint64_t day = (d->external_ns - d->request->from_ns) / DRAFT_DAY_NS;
        double x = LEFT + (double)day * step;
        buf_addf(out,
                 "<line x1=\"%.2f\" x2=\"%.2f\" y1=\"20\" y2=\"%.0f\" stroke=\"currentColor\" "
                 "stroke-dasharray=\"4 3\"/><text x=\"%.2f\" y=\"15\">event</text>\n",
                 x, x, BAND, x);
    }
    if (!d->request->for_public)
        buf_addf(out, "<text x=\"0\" y=\"44\">%u</text><text x=\"0\" y=\"%.0f\">0</text>\n", most,
                 BARS);
    else
        buf_add_str(out,
                    STR("<text x=\"50\" y=\"100\">Attempts by day are withheld: a day can lead "
                        "to a client.</text>\n"));
    buf_addf(out,
             "<text x=\"0\" y=\"%.0f\">%u</text><text x=\"%.0f\" y=\"%.0f\">%s</text><text "
             "x=\"%.0f\" y=\"%.0f\" text-anchor=\"end\">%s</text></svg>\n<p class=\"quiet\">"
             "%s band: hosts with records, at most %u a day. Dashed line: the external "
             "event, where there is one.</p>\n",
             BAND - 20, hosts, LEFT, HEIGHT - 12, first, WIDTH - 10, HEIGHT - 12, last,
             d->request->for_public ? "The" : "Bars: attempts that began that day. Lower", hosts);
}
