// SPDX-License-Identifier: Apache-2.0
#include "link/response.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

const char *response_action_name(uint32_t action)
{
    static const char *const names[RESPONSE_ACTIONS] = {
        [RESPONSE_KILL] = "kill",
        [RESPONSE_KILL_LINEAGE] = "kill-lineage",
        [RESPONSE_CONTAIN_LINEAGE] = "contain-lineage",
        [RESPONSE_CONTAIN_HOST] = "contain-host",
        [RESPONSE_QUARANTINE] = "quarantine",
        [RESPONSE_BLOCK_HASH] = "block-hash",
        [RESPONSE_BLOCK_ADDRESS] = "block-address",
        [RESPONSE_BLOCK_DOMAIN] = "block-domain",
    };
    return action > 0 && action < RESPONSE_ACTIONS ? names[action] : "?";
}

const char *response_state_name(uint32_t state)
{
    static const char *const names[RESPONSE_STATES] = {
        [RESPONSE_PLANNED] = "planned",      [RESPONSE_APPLIED] = "applied",
        [RESPONSE_FAILED] = "failed",        [RESPONSE_UNDONE] = "undone",
        [RESPONSE_EXPIRED] = "expired",      [RESPONSE_ROLLED_BACK] = "rolled back",
        [RESPONSE_REFUSED] = "refused",      [RESPONSE_DRY_RUN] = "dry run",
        [RESPONSE_UNDOING] = "being undone",
    };
    return state < RESPONSE_STATES ? names[state] : "?";
}

bool response_lasts(uint32_t action)
{
    return action > RESPONSE_KILL_LINEAGE && action < RESPONSE_ACTIONS;
}

static void print_addresses(const struct response_order *order, char *ret, unsigned size)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < order->n_addresses && i < RESPONSE_ADDRESSES && n < size; i++) {
        const struct response_address *a = &order->addresses[i];
        char text[INET6_ADDRSTRLEN] = "?";
        inet_ntop(a->bytes == 4 ? AF_INET : AF_INET6, a->ip, text, sizeof(text));
        int got = snprintf(ret + n, size - n, "%s%s", i ? " " : "", text);
        n += got > 0 ? (unsigned)got : 0;
        if (n < size && a->prefix != a->bytes * 8) {
            got = snprintf(ret + n, size - n, "/%u", a->prefix);
            n += got > 0 ? (unsigned)got : 0;
        }
    }
}

void response_target(const struct response_order *order, char *ret, unsigned size)
{
    ret[0] = 0;
    switch ((enum response_action)order->action) {
    case RESPONSE_KILL:
    case RESPONSE_KILL_LINEAGE:
    case RESPONSE_CONTAIN_LINEAGE:
        snprintf(ret, size, order->action == RESPONSE_KILL ? "pid %u" : "lineage of pid %u",
                 order->pid);
        break;
    case RESPONSE_CONTAIN_HOST:
        snprintf(ret, size, "this host%s", order->n_addresses ? ", but " : "");
        print_addresses(order, ret + strlen(ret), size - (unsigned)strlen(ret));
        break;
    case RESPONSE_BLOCK_ADDRESS:
        print_addresses(order, ret, size);
        break;
    case RESPONSE_BLOCK_HASH:
        for (unsigned i = 0; i < 32 && 2 * i + 2 < size; i++)
            snprintf(ret + 2 * i, 3, "%02x", order->sha256[i]);
        break;
    case RESPONSE_QUARANTINE:
    case RESPONSE_BLOCK_DOMAIN:
        snprintf(ret, size, "%.*s", RESPONSE_TEXT, order->text);
        break;
    case RESPONSE_ACTIONS:
        break;
    }
}

static bool address_valid(const struct response_address *a)
{
    if ((a->bytes != 4 && a->bytes != 16) || a->prefix > a->bytes * 8)
        return false;
    for (unsigned i = a->prefix; i < a->bytes * 8u; i++)
        if (a->ip[i / 8] & 0x80 >> i % 8)
            return false;
    return true;
}

bool response_order_valid(const struct response_order *order)
{
    if (order->action < RESPONSE_KILL || order->action >= RESPONSE_ACTIONS ||
        order->flags & ~(uint32_t)(RESPONSE_ONLY_TRY | RESPONSE_FORCE) ||
        order->n_addresses > RESPONSE_ADDRESSES || !memchr(order->by, 0, sizeof(order->by)) ||
        !memchr(order->text, 0, sizeof(order->text)))
        return false;
    for (uint32_t i = 0; i < order->n_addresses; i++)
        if (!address_valid(&order->addresses[i]))
            return false;
    if (order->action == RESPONSE_BLOCK_ADDRESS && order->n_addresses != 1)
        return false;
    if (order->action == RESPONSE_QUARANTINE && order->text[0] != '/')
        return false;
    return order->action != RESPONSE_BLOCK_DOMAIN || order->text[0];
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    for (unsigned i = 0; i < bits; i++)
        if ((a[i / 8] ^ b[i / 8]) & 0x80 >> i % 8)
            return false;
    return true;
}

bool response_address_covers(const struct response_address *net, const struct response_address *a)
{
    return net->bytes == a->bytes && net->prefix <= a->prefix &&
           same_bits(net->ip, a->ip, net->prefix);
}

// Any part of 127.0.0.0/8, ::1 or ::ffff:127.0.0.0/104.
bool response_address_loopback(const struct response_address *a)
{
    static const uint8_t four[16] = {127}, one[16] = {[15] = 1},
                         mapped[16] = {[10] = 0xff, 0xff, 127};
    unsigned bits = a->prefix;
    if (a->bytes == 4)
        return same_bits(a->ip, four, bits < 8 ? bits : 8);
    return same_bits(a->ip, one, bits) || same_bits(a->ip, mapped, bits < 104 ? bits : 104);
}
