// SPDX-License-Identifier: Apache-2.0
// What the hub's roles say to each other over link/link.h. The parent starts `tiercel-hub -x front` and `-x core` with
// their channel on descriptor 3, gives each its setup and one end of a pair that joins them; when one of them ends it is
// started anew and both get a new pair. front asks, core answers, each ask once; a body travels beside its ask as a file
// in memory, which core copies before it looks at it. front is where strangers get in: core believes nothing of an ask
// but who the TLS layer said it was.
#pragma once
#include "link/link.h"
#include "link/pki.h"
#include "link/signed.h"

#define HUB_CHANNEL 3
#define HUB_BODY_MAX (4u << 20)
#define HUB_PATH_MAX 512
#define HUB_CORE_UID 65510u // as root: owner of the state folder; front is another user
#define HUB_FRONT_UID 65511u
#define HUB_SIGNER_UID 65512u
#define HUB_EGRESS_UID 65513u

enum hub_order {
    HUB_SETUP = 1,
    HUB_PEER,
    HUB_READY,
    HUB_ASK,
    HUB_ANSWER,
    HUB_SIGNER,     // core, signer: one end of the pair that joins them
    HUB_SIGN_HOST,  // struct hub_sign_host, answered with HUB_SIGNED
    HUB_SIGN_ORDER, // struct signed_order (link/signed.h)
    HUB_SIGNED,     // struct hub_signed
};
enum hub_order_egress { // core and egress (hub/outputs.h); numbers that no other order has
    HUB_EGRESS = 64,    // to core: its end of the pair
    HUB_SEND,           // to egress: struct hub_send, with two files in memory: body, authority
    HUB_SENT,
    HUB_DROP, // core to front: 32 bytes, the certificate whose connections end now
};

struct hub_listen {
    char address[64];
    uint32_t port;
};
struct hub_setup {
    char state[HUB_PATH_MAX], agents_url[256];
    struct hub_listen agents, people;
    uint32_t core_uid, front_uid, signer_uid, egress_uid;
};

enum hub_what { HUB_ENROL, HUB_BATCHES, HUB_NEXT, HUB_ORDERS, HUB_ORDER_RESULT };
struct hub_ask {
    uint64_t id;
    uint32_t what;     // enum hub_what
    uint32_t size;     // of the body
    uint32_t pressure; // percent of front's room for bodies that is taken
    uint32_t unused;
    char name[PKI_NAME_MAX + 1]; // of the certificate; empty for HUB_ENROL
    uint8_t certificate[32];     // SHA-256 of its DER
};

#define HUB_ANSWER_MAX 3072u
struct hub_answer { // sent up to the end of its body
    uint64_t id, next;
    uint32_t status, size;
    uint32_t has_next, text; // text: the body is words for people, else protobuf
    uint8_t body[HUB_ANSWER_MAX];
};
_Static_assert(sizeof(struct hub_answer) <= LINK_BODY_MAX, "one message");

struct hub_sign_host {
    char name[PKI_NAME_MAX + 1];
    uint32_t size;
    uint8_t request[3000]; // PKCS#10, DER
};
struct hub_signed {
    int32_t code; // 0 or negative errno
    uint32_t size;
    uint8_t bytes[SIGNED_MAX]; // certificate (DER) or envelope
};
#define HUB_URL_MAX 512
#define HUB_HEADERS 4
struct hub_send {
    uint64_t id;
    uint32_t size, authority; // bytes of the files
    char to[HUB_URL_MAX], headers[HUB_HEADERS][192];
};
enum hub_sent_result { HUB_SENT_AGAIN, HUB_SENT_GOOD, HUB_SENT_BAD }; // BAD: never to be taken
struct hub_sent {
    uint64_t id;
    uint32_t result, unused;
    char why[160];
};

// The roles; they end when their channel to the parent does. `serve` is the parent.
int hub_front(const struct hub_setup *setup);
int hub_core(const struct hub_setup *setup);
int hub_signer(const struct hub_setup *setup);
int hub_attempts(const struct hub_setup *setup); // joins detections; beside core, on what it wrote
int hub_egress(const struct hub_setup *setup);
int hub_serve(const struct hub_setup *setup);
int hub_role(const char *name);
// For a role: enters its sandbox (user `uid` when root); tells the parent that it is ready.
int hub_enter(const char *name, uint32_t uid, unsigned allow, const int *calls);
