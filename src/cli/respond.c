// SPDX-License-Identifier: Apache-2.0
#include "cli/respond.h"
#include "base/cleanup.h"
#include "cli/table.h"
#include "cli/when.h"
#include "event/json.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t wall_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// The person who does it, not the root that sudo made of them.
static void fill_by(struct response_order *order)
{
    const char *name = getenv("SUDO_USER");
    struct passwd *p = name && *name ? NULL : getpwuid(getuid());
    snprintf(order->by, sizeof order->by, "%s", name && *name ? name : p ? p->pw_name : "operator");
}

static void member(const char *name, struct str text, struct buf *out)
{
    buf_addf(out, ",\"%s\":", name);
    json_quoted(text, out);
}

static void number(const char *name, uint64_t value, struct buf *out)
{
    if (value)
        buf_addf(out, ",\"%s\":%llu", name, (unsigned long long)value);
}

static void order_members(const struct response_order *order, struct buf *out)
{
    char target[2600];
    response_target(order, target, sizeof target);
    member("action", str_from(response_action_name(order->action)), out);
    member("target", str_from(target), out);
}

static void json_result(const struct response_order *order, const struct response_result *r,
                        struct buf *out)
{
    buf_addf(out, "{\"id\":%llu", (unsigned long long)r->id);
    if (order)
        order_members(order, out);
    member("state", str_from(response_state_name(r->state)), out);
    member("what", str_from(r->what), out);
    number("expires", r->expires_ns, out);
    number("killed", r->killed, out);
    buf_add_str(out, STR("}\n"));
}

static bool good(const struct response_result *r)
{
    return r->code == 0 && (r->state == RESPONSE_APPLIED || r->state == RESPONSE_UNDONE ||
                            r->state == RESPONSE_DRY_RUN);
}

static void say(const struct term *t, const struct response_order *order,
                const struct response_result *r, struct buf *out)
{
    char target[2600];
    if (order) {
        response_target(order, target, sizeof target);
        buf_addf(out, "%s ", response_action_name(order->action));
        text_escape(str_from(target), out);
        buf_add_str(out, STR(": "));
    }
    style_text(t, r->state == RESPONSE_DRY_RUN ? STYLE_BOLD : STYLE_GREEN,
               response_state_name(r->state), out);
    if (r->id)
        buf_addf(out, " as response %llu", (unsigned long long)r->id);
    buf_add_str(out, STR("\n  "));
    text_escape(str_from(r->what), out);
    buf_add_char(out, '\n');
    if (r->state == RESPONSE_APPLIED && order && response_lasts(order->action)) {
        if (r->expires_ns) {
            buf_add_str(out, STR("  until "));
            when_print_full(r->expires_ns, out);
            buf_add_str(out, STR("; "));
        } else {
            buf_add_str(out, STR("  until it is undone: "));
        }
        buf_addf(out, "`tiercel undo %llu` ends it\n", (unsigned long long)r->id);
    }
}

static int show(struct cli *cli, const struct args *args, const struct response_order *order,
                const struct response_result *r)
{
    _cleanup_buf_ struct buf b = {0};
    if (args_has(args, "json")) {
        json_result(order, r, &b);
        term_write(&cli->out, &b);
    } else if (good(r)) {
        say(&cli->out, order, r, &b);
        term_write(&cli->out, &b);
    } else {
        struct error e = {0};
        error_set(&e, -EIO, "%s: %s",
                  response_state_name(r->state == RESPONSE_APPLIED ? RESPONSE_FAILED : r->state),
                  r->what);
        cli_error(cli, &e);
    }
    return good(r) ? CLI_OK : r->state == RESPONSE_REFUSED ? CLI_NO : CLI_FAILED;
}

static int ask(struct cli *cli, const struct args *args, const struct control_request *request)
{
    _cleanup_free_ struct control_reply *reply = NULL;
    struct error e = {0};
    int r = status_ask(request, &reply, &e);
    if (r < 0)
        return cli_fail(cli, &e);
    if (!reply->has_response) {
        error_set(&e, -EPROTO, "the agent gave no answer");
        return cli_fail(cli, &e);
    }
    return show(cli, args, request->verb == CONTROL_RESPOND ? &request->order : NULL,
                &reply->response);
}

int respond_send(struct cli *cli, const struct args *args, struct response_order *order)
{
    struct control_request request = {.version = CONTROL_VERSION, .verb = CONTROL_RESPOND};
    if (args_has(args, "dry-run"))
        order->flags |= RESPONSE_ONLY_TRY;
    fill_by(order);
    request.order = *order;
    return ask(cli, args, &request);
}

int respond_undo(struct cli *cli, const struct args *args, uint64_t id)
{
    struct control_request request = {.version = CONTROL_VERSION,
                                      .verb = CONTROL_UNDO,
                                      .id = id,
                                      .only_try = args_has(args, "dry-run")};
    return ask(cli, args, &request);
}

// ---- the list

void respond_json(const struct response *r, struct buf *out)
{
    buf_addf(out, "{\"id\":%llu", (unsigned long long)r->id);
    order_members(&r->order, out);
    member("state", str_from(response_state_name(r->state)), out);
    number("time", r->time_ns, out);
    number("expires", r->expires_ns, out);
    number("detection", r->order.detection, out);
    member("by", str_from(r->order.by), out);
    member("what", str_from(r->what), out);
    buf_add_str(out, STR("}\n"));
}

static void add_row(struct table *table, const struct response *r, uint64_t now_ns)
{
    char target[2600];
    _cleanup_buf_ struct buf time = {0}, left = {0};
    bool active = store_active(r);
    response_target(&r->order, target, sizeof target);
    when_print_clock(r->time_ns, now_ns, &time);
    if (active && r->expires_ns > now_ns)
        when_print_duration(r->expires_ns - now_ns, &left);
    table_addf(table, STYLE_BOLD, "%llu", (unsigned long long)r->id);
    table_add(table, STYLE_DIM, buf_str(&time));
    table_addf(table, STYLE_PLAIN, "%s", response_action_name(r->order.action));
    table_addf(table, active ? STYLE_YELLOW : STYLE_PLAIN, "%s",
               active && r->state == RESPONSE_APPLIED ? "in force" : response_state_name(r->state));
    table_add(table, STYLE_PLAIN, buf_str(&left));
    table_add(table, STYLE_PLAIN, str_from(target));
    table_add(table, STYLE_DIM, str_from(r->order.by));
    table_add(table, STYLE_DIM, str_from(r->what));
}

void respond_print(const struct term *t, const struct response *list, size_t n, uint64_t now_ns,
                   struct buf *out)
{
    static const struct column columns[] = {
        {"id", 0, true},    {"time", 0, false},    {"action", 0, false}, {"state", 0, false},
        {"left", 0, false}, {"target", 48, false}, {"by", 12, false},    {"what", 0, false}};
    _cleanup_table_ struct table table;
    table_init(&table, columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < n; i++)
        add_row(&table, &list[i], now_ns ? now_ns : wall_ns());
    table_print(&table, t, 0, out);
}
