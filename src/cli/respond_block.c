// SPDX-License-Identifier: Apache-2.0
#include "cli/respond.h"
#include "cli/response_order.h"

#include <errno.h>

#define DAY_NS ((uint64_t)86400 * 1000000000)

static const struct option options[] = {
    {"for", 0, OPTION_DURATION, "TIME", "how long (1d)", NULL, false},
    {"force", 0, OPTION_FLAG, NULL, "also a prefix that is most of the world", NULL, false},
    OPTION_DRY_RUN,
    OPTION_JSON,
    {0},
};

static int run(struct cli *cli, const struct args *args)
{
    struct response_order order = {.lasts_ns = args_duration(args, "for", DAY_NS)};
    struct error e = {0};
    const char *kind = args->words[0], *value = args->words[1];
    int r = -EINVAL;
    if (!strcmp(kind, "address")) {
        order.action = RESPONSE_BLOCK_ADDRESS;
        order.n_addresses = 1;
        r = response_parse_address(value, &order.addresses[0], &e);
    } else if (!strcmp(kind, "hash")) {
        order.action = RESPONSE_BLOCK_HASH;
        r = response_parse_hash(value, order.sha256, &e);
    } else if (!strcmp(kind, "domain")) {
        order.action = RESPONSE_BLOCK_DOMAIN;
        r = response_parse_domain(value, order.text, &e);
    } else {
        error_set(&e, r, "'%s' cannot be blocked", kind);
        error_way_out(&e, "tiercel respond block hash|address|domain VALUE");
    }
    if (r < 0)
        return cli_fail(cli, &e);
    if (args_has(args, "force"))
        order.flags |= RESPONSE_FORCE;
    return respond_send(cli, args, &order);
}

const struct command respond_block = {
    .name = "block",
    .arguments = "hash|address|domain VALUE",
    .summary = "Refuse a program's content, an address or a name, for a time",
    .description =
        "hash: SHA-256 in hexadecimal, or a file that is hashed now; a program whose content is "
        "not "
        "known yet when it starts is killed as soon as it is. address: one, or a prefix; what is "
        "connected already stays connected. domain: the name and all below it; the addresses that "
        "name servers give for it are refused, for as long as they may be kept.",
    .examples = "tiercel respond block hash /tmp/.x --for 7d\n"
                "tiercel respond block address 192.0.2.0/24\n"
                "tiercel respond block domain bad.example.com --for 2h",
    .options = options,
    .words = "hash address domain",
    .min_args = 2,
    .max_args = 2,
    .run = run,
};
