// SPDX-License-Identifier: Apache-2.0
// For a time: no connection to an address (kernel's map), no start of a file with this hash, no connection to what a name
// resolves to (both the engine's).
#include "respond/act.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int not_there(struct error *e, int code, const char *who)
{
    error_set(e, code, "the %s does not do it: %s", who, strerror(-code));
    error_way_out(e, "try again in a moment; `tiercel status` says whether it runs");
    return code;
}

// ---- address

static int check_address(const struct act_context *c, const struct response *r, struct error *e)
{
    const struct response_address *a = &r->order.addresses[0];
    if (response_address_loopback(a))
        return error_set(e, -EPERM, "loopback is never blocked: the host's own services need it");
    for (uint32_t i = 0; i < c->n_allowed; i++)
        if (response_address_covers(a, &c->allowed[i]) ||
            response_address_covers(&c->allowed[i], a)) {
            error_set(e, -EPERM, "this would cut off an address that is always allowed");
            error_way_out(e, "`contain_allow` in the configuration names these");
            return -EPERM;
        }
    if (a->prefix < (a->bytes == 4 ? 8 : 16) && !(r->order.flags & RESPONSE_FORCE)) {
        error_set(e, -EPERM, "a prefix this short is most of the world");
        error_way_out(e, "`tiercel respond contain-host` cuts off everything, with exceptions");
        return -EPERM;
    }
    return act_refuse_same(c, r, e);
}

static int apply_address(const struct act_context *c, struct response *r, struct error *e)
{
    int code = c->peers.deny_address(c->peers.context, &r->order.addresses[0], true);
    if (code < 0)
        return not_there(e, code, "sensor");
    snprintf(r->what, sizeof(r->what),
             "new connections are refused; what is connected already stays so");
    return 0;
}

static int undo_address(const struct act_context *c, struct response *r, struct error *e)
{
    int code = c->peers.deny_address(c->peers.context, &r->order.addresses[0], false);
    if (code < 0)
        return not_there(e, code, "sensor");
    snprintf(r->what, sizeof(r->what), "connections are allowed again");
    return 0;
}

static int renew_address(const struct act_context *c, const struct response *r)
{
    return c->peers.deny_address(c->peers.context, &r->order.addresses[0], true);
}

// ---- hash

static int check_hash(const struct act_context *c, const struct response *r, struct error *e)
{
    if (act_needed_hash(r->order.sha256)) {
        error_set(e, -EPERM, "this is a file without which the host cannot be reached or mended");
        return -EPERM;
    }
    return act_refuse_same(c, r, e);
}

static int apply_hash(const struct act_context *c, struct response *r, struct error *e)
{
    int code = c->peers.block_hash(c->peers.context, r->order.sha256, true);
    if (code < 0)
        return not_there(e, code, "engine");
    snprintf(r->what, sizeof(r->what),
             "starts of it are refused; where its hash is not known yet it is killed once it is");
    return 0;
}

static int undo_hash(const struct act_context *c, struct response *r, struct error *e)
{
    int code = c->peers.block_hash(c->peers.context, r->order.sha256, false);
    if (code < 0)
        return not_there(e, code, "engine");
    snprintf(r->what, sizeof(r->what), "it may start again");
    return 0;
}

static int renew_hash(const struct act_context *c, const struct response *r)
{
    return c->peers.block_hash(c->peers.context, r->order.sha256, true);
}

// ---- domain

static int check_domain(const struct act_context *c, const struct response *r, struct error *e)
{
    size_t n = strlen(r->order.text);
    if (n > 253 || !strchr(r->order.text, '.') || r->order.text[0] == '.' ||
        r->order.text[n - 1] == '.') {
        error_set(e, -EPERM, "a name of at least two labels is wanted");
        error_way_out(e, "for example: tiercel respond block domain bad.example.com");
        return -EPERM;
    }
    return act_refuse_same(c, r, e);
}

static int apply_domain(const struct act_context *c, struct response *r, struct error *e)
{
    int code = c->peers.block_domain(c->peers.context, r->order.text, true);
    if (code < 0)
        return not_there(e, code, "engine");
    snprintf(r->what, sizeof(r->what),
             "addresses that name servers give for it, or for what is below it, are refused");
    return 0;
}

static int undo_domain(const struct act_context *c, struct response *r, struct error *e)
{
    int code = c->peers.block_domain(c->peers.context, r->order.text, false);
    if (code < 0)
        return not_there(e, code, "engine");
    snprintf(r->what, sizeof(r->what), "its addresses are allowed again");
    return 0;
}

static int renew_domain(const struct act_context *c, const struct response *r)
{
    return c->peers.block_domain(c->peers.context, r->order.text, true);
}

const struct act response_block_address = {
    .check = check_address, .apply = apply_address, .undo = undo_address, .renew = renew_address};
const struct act response_block_hash = {
    .check = check_hash, .apply = apply_hash, .undo = undo_hash, .renew = renew_hash};
const struct act response_block_domain = {
    .check = check_domain, .apply = apply_domain, .undo = undo_domain, .renew = renew_domain};
