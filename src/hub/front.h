// SPDX-License-Identifier: Apache-2.0
// Inside front.c: what it keeps. All bodies together are bounded by FRONT_ROOM; beyond it hosts are told to wait (429).
#pragma once
#include "base/map.h"
#include "hub/request.h"
#include <libwebsockets.h>

#define FRONT_ROOM (64u << 20)    // bytes of bodies in memory
#define FRONT_DRAIN (32u << 20)   // a refused body is read up to this, so that the refusal is read
#define FRONT_BODY_US 60000000ull // one body takes no longer
#define FRONT_CONNECTIONS 8192

struct session { // of one request after another over one connection; zeroed when it begins
    struct lws *wsi;
    const struct request_route *route;
    uint64_t id, length, begun_us; // id: of its ask, 0 when core has none
    int file;                      // the body, when has_file
    bool has_file, ready, close;
    uint32_t received, refused; // bytes; status
    struct hub_answer answer;   // when ready
};

struct known {
    struct lws *wsi;
    uint8_t certificate[32];
};

struct front {
    struct lws_context *context;
    struct lws_vhost *agents, *people;
    struct lws *peer_wsi;
    int peer; // descriptor of peer_wsi's, or -1
    X509 *authority;
    struct map asked; // id to session
    struct map
        known; // struct lws * to struct known: connections of hosts that have asked something
    uint64_t last_id, used;
    bool ended;
};
