// SPDX-License-Identifier: Apache-2.0
#include "cli/draw.h"
#include "cli/draw_kind.h"
#include "cli/when.h"

#define KIND_COLUMNS 11 // "credentials"

void draw_event(const struct term *t, const Tiercel__Event *event, uint64_t now_ns, struct buf *out)
{
    const Tiercel__Process *p = event->process;
    _cleanup_buf_ struct buf text = {0}, head = {0}, user = {0}, role = {0};
    enum style style = event_style(event);
    when_print_clock(event->time, now_ns, &head);
    buf_addf(&head, "  %-*s ", KIND_COLUMNS, event_kind(event));
    unsigned column = (unsigned)head.n;
    style_begin(t, style, out);
    buf_add_str(out, buf_str(&head));
    style_end(t, style, out);
    unsigned used = 0;
    if (p && p->has_user)
        used = text_cut(t, str_bytes(p->user.data, p->user.len), 10, &user);
    buf_addf(out, "%7u  " STR_FMT "%*s  ", p && p->id ? p->id->pid : 0, STR_ARG(buf_str(&user)),
             (int)(10 - used), "");
    used = p && p->lineage ? text_cut(t, str_from(p->lineage->role), 9, &role) : 0;
    buf_addf(out, STR_FMT "%*s  ", STR_ARG(buf_str(&role)), (int)(9 - used), "");
    column += 7 + 2 + 10 + 2 + 9 + 2;
    event_detail(event, &text);
    unsigned room = t->width > column + 20 ? t->width - column : 20;
    if (event_denied(event))
        style_begin(t, STYLE_RED, out);
    text_cut(t, buf_str(&text), t->width ? room : 0, out);
    if (event_denied(event))
        style_end(t, STYLE_RED, out);
    buf_add_char(out, '\n');
}
