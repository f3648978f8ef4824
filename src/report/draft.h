// SPDX-License-Identifier: Apache-2.0
// A report from a hub's state folder: what all clients' attempts and coverage in a window are, and what may be said of them.
// draft_read() collects facts and changes nothing, draft_claim() makes sentences of them, document.h prints. No clock: the
// same folder, window, event and knowledge give the same facts. Damaged evidence is an error, never a smaller number.
#pragma once
#include "attempt/attempt.h"
#include "base/error.h"
#include "intel/intel.h"
#include "report/claim.h"
#include "store/registry.h"

#define DRAFT_LEAST_CLIENTS 5 // a cell of fewer is not for the public
#define DRAFT_DAYS_MAX 1100
#define DRAFT_ATTEMPTS_MAX 100000
#define DRAFT_DAY_NS ((uint64_t)86400 * 1000000000)

struct draft_request {
    const char *state;       // the hub's
    uint64_t from_ns, to_ns; // begin of a day, UTC; end of one
    const char *external;    // file of an event with its clauses; NULL: none
    struct intel *knowledge; // NULL: nothing is attributed
    bool for_public;
};

struct draft_client {
    char name[REGISTRY_NAME_MAX + 1], sector[REGISTRY_NAME_MAX + 1];
    uint64_t attempts, hosts, sensor_days, gaps;
    uint64_t backwards; // records that began over an hour before the one before of their host ended
    uint64_t known, harmed; // attempts with a known outcome; with protected data read or sent
};

struct draft_attempt {
    size_t client;
    char id[ATTEMPT_ID_DIGITS + 1];
    uint64_t begin_ns, end_ns;
    enum attempt_outcome outcome;
    uint8_t evidence[32]; // SHA-256 of the attempt with all its reasons
    json_t *json;
    char answer[96]; // a group; empty: none is named
    double probability, unknown;
    bool weighed;
};

struct draft {
    const struct draft_request *request;
    struct draft_client clients[REGISTRY_CLIENTS_MAX];
    size_t n_clients;
    struct draft_attempt *attempts; // in order of begin
    size_t n_attempts;
    uint32_t *hosts_of_day, *attempts_of_day;
    size_t n_days;
    uint64_t hosts, sensor_days, gaps, backwards;
    uint8_t root[32]; // over all attempts' evidence
    json_t *external; // checked
    uint64_t external_ns;
};

int draft_read(const struct draft_request *request, struct draft *ret, struct error *e);
void draft_done(struct draft *d);
int draft_external(struct draft *d, struct error *e);
void draft_attribute(struct draft *d);
// Sentences and numbers. 0; -EPERM: too few clients for the public.
int draft_claim(const struct draft *d, struct claims *c, struct error *e);

void draft_date(uint64_t ns, char ret[32]);                 // 25 September 2015
int draft_day(const char *text, uint64_t *ret_ns);          // 2015-09-25; 0 or -EINVAL
size_t draft_sectors(const struct draft *d, size_t *first); // [n]: a client of each
