// SPDX-License-Identifier: Apache-2.0
// `order` writes an order down for the running hub to have it signed and handed out; `orders` shows what became of it.
#include "base/cleanup.h"
#include "hub/commands.h"
#include "hub/state.h"
#include "os/process.h"
#include "store/orders.h"
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#define SECOND_NS 1000000000ull
#define LASTS_S 86400u // of a block or a containment, where nothing is said
#define WITHIN_S 3600u
#define SHOWN 40u

static int open_db(const struct hub_options *o, struct orders **ret, struct error *e)
{
    char state[HUB_PATH_MAX], file[HUB_PATH_MAX + 32];
    int r = hub_state_enter(o->state, state, e);
    if (r < 0)
        return r;
    snprintf(file, sizeof file, "%s/hub.db", state);
    return orders_open(file, ret, e);
}

// ---- what a person wrote

static int read_address(struct str text, struct response_address *ret, struct error *e)
{
    struct response_address a = {0};
    struct str rest = text, ip;
    char name[INET6_ADDRSTRLEN] = "";
    str_split(&rest, '/', &ip);
    if (ip.n < sizeof name)
        memcpy(name, ip.p, ip.n);
    a.bytes = inet_pton(AF_INET, name, a.ip) == 1    ? 4
              : inet_pton(AF_INET6, name, a.ip) == 1 ? 16
                                                     : 0;
    uint64_t prefix = a.bytes * 8u;
    if (!a.bytes || (ip.n < text.n && (str_to_u64(rest, &prefix) < 0 || prefix > a.bytes * 8u)))
        return error_set(e, -EINVAL, "'" STR_FMT "' is no address: 192.0.2.7, 2001:db8::/32",
                         STR_ARG(text));
    a.prefix = (uint8_t)prefix;
    *ret = a;
    return 0;
}

static int read_addresses(const char *list, struct response_order *ret, struct error *e)
{
    struct str rest = str_from(list), one;
    int r = 0;
    while (r == 0 && str_split(&rest, ',', &one))
        r = ret->n_addresses == RESPONSE_ADDRESSES
                ? error_set(e, -EINVAL, "--allow: at most %d addresses", RESPONSE_ADDRESSES)
                : read_address(one, &ret->addresses[ret->n_addresses++], e);
    return r;
}

// Both numbers: on another machine the start of a process cannot be looked up, and a number alone may be another's by now.
static int read_process(const char *text, struct response_order *ret, struct error *e)
{
    struct str rest = str_from(text), pid;
    uint64_t number = 0;
    str_split(&rest, ':', &pid);
    if (str_to_u64(pid, &number) < 0 || number == 0 || number > INT32_MAX ||
        str_to_u64(rest, &ret->start_ns) < 0 || !ret->start_ns)
        return error_set(e, -EINVAL, "'%s': a process is PID:START, both as its events say", text);
    ret->pid = (uint32_t)number;
    return 0;
}

static int read_text(const char *text, bool domain, struct response_order *ret, struct error *e)
{
    size_t n = strlen(text);
    bool good = n > 0 && n < (domain ? 254 : sizeof ret->text) && (domain || text[0] == '/');
    for (size_t i = 0; good && i < n; i++) {
        char c = text[i];
        if (domain && c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        good = !domain || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
               c == '.' || c == '_';
        ret->text[i] = c;
    }
    return good ? 0
                : error_set(e, -EINVAL,
                            domain ? "'%s' is no name of a domain"
                                   : "'%s' is no full path of a file",
                            text);
}

static int read_argument(const char *text, struct response_order *ret, struct error *e)
{
    switch ((enum response_action)ret->action) {
    case RESPONSE_KILL:
    case RESPONSE_KILL_LINEAGE:
    case RESPONSE_CONTAIN_LINEAGE:
        return read_process(text, ret, e);
    case RESPONSE_BLOCK_ADDRESS:
        ret->n_addresses = 1;
        return read_address(str_from(text), &ret->addresses[0], e);
    case RESPONSE_BLOCK_HASH:
        return pki_unhex(str_from(text), ret->sha256, sizeof ret->sha256) < 0
                   ? error_set(e, -EINVAL, "'%s' is not 64 hexadecimal digits", text)
                   : 0;
    case RESPONSE_QUARANTINE:
    case RESPONSE_BLOCK_DOMAIN:
        return read_text(text, ret->action == RESPONSE_BLOCK_DOMAIN, ret, e);
    case RESPONSE_CONTAIN_HOST:
    case RESPONSE_ACTIONS:
        break;
    }
    return error_set(e, -EINVAL, "this action takes no argument");
}

static int read_times(const struct hub_options *o, struct signed_order *ret, struct error *e)
{
    uint64_t lasts = LASTS_S, within = WITHIN_S;
    if (o->lasts && commands_duration(str_from(o->lasts), &lasts) < 0)
        return error_set(e, -EINVAL, "--for: a time such as 30m, 24h, 7d");
    if (o->within && (commands_duration(str_from(o->within), &within) < 0 ||
                      within > SIGNED_LIFE_NS / SECOND_NS))
        return error_set(e, -EINVAL, "--within: a time such as 30m, 24h, at most 30d");
    if (!ret->undoes && response_lasts(ret->response.action) &&
        (o->lasts || ret->response.action != RESPONSE_QUARANTINE))
        ret->response.lasts_ns = lasts * SECOND_NS;
    ret->expires_ns = ret->issued_ns + within * SECOND_NS;
    return 0;
}

static int read_action(const struct hub_options *o, struct signed_order *ret, struct error *e)
{
    const char *name = o->words[1], *argument = o->n_words > 2 ? o->words[2] : NULL;
    struct response_order *r = &ret->response;
    if (!strcmp(name, "undo"))
        return argument && str_to_u64(str_from(argument), &ret->undoes) == 0 && ret->undoes
                   ? 0
                   : error_set(e, -EINVAL, "undo: the number of an order (tiercel-hub orders)");
    for (uint32_t a = RESPONSE_KILL; a < RESPONSE_ACTIONS; a++)
        if (!strcmp(name, response_action_name(a)))
            r->action = a;
    if (!r->action) {
        error_set(e, -EINVAL, "there is no action '%s'", name);
        error_way_out(e, "kill, kill-lineage, contain-lineage, contain-host, quarantine, "
                         "block-address, block-hash, block-domain or undo");
        return -EINVAL;
    }
    r->flags = o->dry_run ? RESPONSE_ONLY_TRY : 0;
    if (r->action == RESPONSE_CONTAIN_HOST ? argument != NULL : argument == NULL)
        return error_set(e, -EINVAL, "%s: %s", name, argument ? "takes no argument" : "of what?");
    if (o->allow && r->action != RESPONSE_CONTAIN_HOST)
        return error_set(e, -EINVAL, "--allow goes with contain-host only");
    int code = argument ? read_argument(argument, r, e) : 0;
    return code == 0 && o->allow ? read_addresses(o->allow, r, e) : code;
}

static int read_order(const struct hub_options *o, struct signed_order *ret, struct error *e)
{
    if (!pki_client_good(str_from(o->words[0])))
        return error_set(e, -ENOENT, "there is no client '%s'", o->words[0]);
    snprintf(ret->client, sizeof ret->client, "%s", o->words[0]);
    ret->issued_ns = os_wall_ns();
    ret->all = o->all;
    if (o->all == (o->host != NULL)) // never by leaving something out
        return error_set(e, -EINVAL, "whom does it concern? --host HOST or --all");
    if (o->host && pki_unhex(str_from(o->host), ret->host, sizeof ret->host) < 0)
        return error_set(e, -EINVAL,
                         "'%s': a host is 32 hexadecimal digits (tiercel-hub host list)", o->host);
    int r = read_action(o, ret, e);
    if (r == 0 && o->dry_run && ret->undoes)
        r = error_set(e, -EINVAL, "an undo cannot be tried");
    if (r == 0 && o->all && ret->response.pid)
        r = error_set(e, -EINVAL, "a process is one host's: --host HOST");
    return r < 0 ? r : read_times(o, ret, e);
}

// ---- order

static int make(void *context, uint64_t sequence, struct buf *payload, struct error *e)
{
    struct signed_order *order = context;
    order->sequence = sequence;
    int r = signed_pack(order, payload);
    if (r == -EMSGSIZE)
        return error_set(e, r, "the order is too long");
    return r < 0 ? error_set(e, r,
                             "the order is none that a host would take (an order undoes an "
                             "earlier one; an address has no bits behind its prefix)")
                 : 0;
}

static void describe(const struct signed_order *order, char *ret, size_t size)
{
    char target[ORDERS_WHAT - 40] = "";
    if (order->undoes) {
        snprintf(ret, size, "undo %llu", (unsigned long long)order->undoes);
        return;
    }
    response_target(&order->response, target, sizeof target);
    snprintf(ret, size, "%s%s %s", order->response.flags & RESPONSE_ONLY_TRY ? "try " : "",
             response_action_name(order->response.action), target);
}

int command_order(const struct hub_options *o, struct error *e)
{
    static struct signed_order order;
    struct orders *db = NULL;
    char what[ORDERS_WHAT], by[32];
    uint64_t sequence = 0;
    const char *user = getenv("SUDO_USER");
    snprintf(by, sizeof by, "%.24s", user && user[0] ? user : "command");
    memset(&order, 0, sizeof order);
    int r = read_order(o, &order, e);
    if (r < 0)
        return r;
    describe(&order, what, sizeof what);
    struct orders_new n = {.client = order.client,
                           .what = what,
                           .by = by,
                           .host = order.all ? NULL : order.host,
                           .now_ns = order.issued_ns,
                           .expires_ns = order.expires_ns,
                           .make = make,
                           .context = &order};
    r = open_db(o, &db, e);
    if (r == 0)
        r = orders_add(db, &n, &sequence, e);
    orders_close(db);
    if (r < 0)
        return r;
    if (o->json)
        printf("{\"client\":\"%s\",\"order\":%llu}\n", order.client, (unsigned long long)sequence);
    else
        printf("order %llu of %s: %s; what becomes of it: tiercel-hub orders %s %llu\n",
               (unsigned long long)sequence, order.client, what, order.client,
               (unsigned long long)sequence);
    return 0;
}

// ---- orders

struct shown {
    struct orders *db;
    const char *client;
    json_t *json; // NULL: text
    uint64_t only, n;
};

static void when(uint64_t ns, char ret[32])
{
    time_t seconds = (time_t)(ns / SECOND_NS);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

// What hosts and people wrote is bytes.
static json_t *words(const char *text)
{
    char clean[ORDERS_WHAT];
    size_t n = 0;
    for (; text[n] && n < sizeof clean - 1; n++)
        clean[n] = text[n] >= ' ' && text[n] < 127 ? text[n] : '?';
    return json_stringn(clean, n);
}

static int show_result(void *context, const struct orders_result *r)
{
    struct shown *s = context;
    char host[33];
    pki_hex(r->host, sizeof r->host, host);
    if (s->json)
        return json_array_append_new(
            s->json, json_pack("{ss ss si sI so}", "host", host, "state",
                               response_state_name(r->state), "code", (int)r->code, "response",
                               (json_int_t)r->response, "what", words(r->what)));
    json_t *clean = words(r->what);
    printf("    %s  %s%s%s\n", host, response_state_name(r->state), r->what[0] ? ": " : "",
           json_string_value(clean));
    json_decref(clean);
    return 0;
}

static int show_order(void *context, const struct orders_row *row)
{
    struct shown *s = context;
    char host[33] = "all", issued[32], expires[32];
    if (s->only && row->sequence != s->only)
        return 0;
    if (!row->all)
        pki_hex(row->host, sizeof row->host, host);
    when(row->issued_ns, issued);
    when(row->expires_ns, expires);
    s->n++;
    json_t *clean = words(row->what);
    struct shown results = *s;
    if (s->json) {
        results.json = json_array();
        json_array_append_new(s->json,
                              json_pack("{sI ss sO ss ss ss sb so}", "order",
                                        (json_int_t)row->sequence, "host", host, "what", clean,
                                        "by", row->by, "issued", issued, "expires", expires,
                                        "signed", row->is_signed, "results", results.json));
    } else {
        printf("%6llu  %s  %s  %-32s  %s, %llu answered\n", (unsigned long long)row->sequence,
               issued, json_string_value(clean), host, row->is_signed ? "signed" : "not signed yet",
               (unsigned long long)row->answers);
    }
    json_decref(clean);
    return s->json || s->only
               ? orders_results_each(s->db, s->client, row->sequence, show_result, &results)
               : 0;
}

int command_orders(const struct hub_options *o, struct error *e)
{
    struct shown s = {.client = o->words[0]};
    if (o->n_words > 1 && (str_to_u64(str_from(o->words[1]), &s.only) < 0 || !s.only))
        return error_set(e, -EINVAL, "'%s' is no number of an order", o->words[1]);
    int r = open_db(o, &s.db, e);
    if (r < 0)
        return r;
    s.json = o->json ? json_array() : NULL;
    r = orders_each(s.db, s.client, s.only ? ORDERS_MAX : SHOWN, show_order, &s);
    orders_close(s.db);
    if (r < 0)
        error_set(e, r, "hub.db cannot be read");
    else if (s.only && !s.n)
        r = error_set(e, -ENOENT, "client '%s' has no order %llu", s.client,
                      (unsigned long long)s.only);
    if (r == 0 && s.json && (json_dumpf(s.json, stdout, JSON_COMPACT) < 0 || putchar('\n') == EOF))
        r = error_set(e, -EIO, "it cannot be written");
    if (r == 0 && !s.json && !s.n)
        puts("no orders");
    json_decref(s.json);
    return r;
}
