// SPDX-License-Identifier: Apache-2.0
// How the link to the hub stands, for `status` and `doctor`.
#include "cli/status.h"
#include "cli/when.h"

const char *status_link_word(uint32_t state)
{
    static const char *const words[] = {
        [CONTROL_LINK_NONE] = "starting",         [CONTROL_LINK_CONNECTING] = "connecting",
        [CONTROL_LINK_CONNECTED] = "connected",   [CONTROL_LINK_CATCHING_UP] = "catching up",
        [CONTROL_LINK_UNREACHED] = "not reached", [CONTROL_LINK_REFUSED] = "REFUSED",
    };
    return words[state < sizeof words / sizeof *words ? state : 0];
}

static void lag(const struct control_uplink *u, uint64_t now_ns, struct buf *out)
{
    if (!u->acknowledged_ns)
        return;
    buf_addf(out, "; has all before record %llu", (unsigned long long)u->next);
    if (u->acknowledged_ns < now_ns) {
        buf_add_str(out, STR(", the last one "));
        when_print_duration(now_ns - u->acknowledged_ns, out);
        buf_add_str(out, STR(" old"));
    }
}

static void lost(const struct control_status *s, struct buf *out)
{
    const struct control_uplink *u = &s->uplink;
    if (u->missing)
        buf_addf(out, "; %llu records could NOT be sent (%llu too large, %llu places damaged)",
                 (unsigned long long)u->missing, (unsigned long long)u->too_large,
                 (unsigned long long)u->damaged);
    if (u->left_out)
        buf_addf(out, "; %llu records that it does not take", (unsigned long long)u->left_out);
    if (s->journal_unsent)
        buf_addf(out, "; %llu segments deleted UNSENT", (unsigned long long)s->journal_unsent);
}

void status_add_hub(struct table *table, const struct control_status *s, uint64_t now_ns)
{
    const struct control_uplink *u = &s->uplink;
    _cleanup_buf_ struct buf b = {0};
    table_addf(table, STYLE_DIM, "hub");
    if (!s->enrolled) {
        table_addf(table, STYLE_PLAIN, "none: this host reports to nobody (`tiercel enrol`)");
        return;
    }
    buf_addf(&b, "%s", status_link_word(u->state));
    if (u->hub[0])
        buf_addf(&b, ": %s, client %s", u->hub, u->client);
    lag(u, now_ns, &b);
    lost(s, &b);
    if (u->why[0])
        buf_addf(&b, "; %s", u->why);
    bool bad = u->state == CONTROL_LINK_REFUSED || u->missing || u->left_out || s->journal_unsent;
    bool good = u->state == CONTROL_LINK_CONNECTED && !u->why[0];
    table_add(table, bad ? STYLE_RED : good ? STYLE_PLAIN : STYLE_YELLOW, buf_str(&b));
}

void status_print_hub(const struct term *t, const struct control_status *s, uint64_t now_ns,
                      struct buf *out)
{
    static const struct column pairs[] = {{NULL, 0, false}, {NULL, 0, false}};
    _cleanup_table_ struct table table;
    buf_add_char(out, '\n');
    style_text(t, STYLE_BOLD, "Link to a hub", out);
    buf_add_char(out, '\n');
    table_init(&table, pairs, 2);
    status_add_hub(&table, s, now_ns);
    table_print(&table, t, 2, out);
}
