// SPDX-License-Identifier: Apache-2.0
// Requests to a hub over HTTP/1.1 and TLS 1.3, one connection kept alive. libcurl does it, loaded when the first `struct
// http` is made and not before: whoever never asks a hub (all roles but one) has none of its 30 libraries in memory.
// One thread; the owner is the caller. Loading opens files: make it before a sandbox closes.
#pragma once
#include "base/error.h"
#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

#define HTTP_REPLY_MAX 65536u

struct http_options {
    struct str authority;        // PEM; the hub's certificate must be from it. Empty: the system's
    struct str certificate, key; // PEM, ours; empty: none
    bool any;                    // not a hub: http:// too, TLS 1.2 too
    const char *proxy;           // URL; NULL or "": as the environment says (https_proxy, no_proxy)
    // Called about once a second while waiting; false ends the request with -ECANCELED. May be NULL.
    bool (*go_on)(void *context);
    void *context;
};
struct http_reply { // lives until the next request
    long status;
    struct str body;
    uint64_t next; // header Tiercel-Next
    bool has_next;
};
struct http;
int http_new(const struct http_options *options, struct http **ret, struct error *e);
struct http *http_free(struct http *h);
// GET, or POST when `body` has a pointer. 0 when there is an answer, whatever its status; -EACCES: the other end is not
// who it should be; -ENETUNREACH: not reached, cut off or timed out (TLS 1.3 tells of a refused certificate this way,
// too); -EMSGSIZE: an answer that is too long; -ECANCELED; -EINVAL a URL that is none.
int http_request(struct http *h, const char *url, struct str body, struct http_reply *ret,
                 struct error *e);
// Header lines ("Name: value") of the requests that follow, in place of those before. 0 or -ENOMEM.
int http_headers(struct http *h, const char *const *lines, size_t n);
// Gives each certificate (PEM) that the other end shows to `each`, its own first, until that returns true: 1; else 0.
// Nothing is sent and nothing believed.
int http_shown(const char *url, const char *proxy, bool (*each)(void *context, struct str pem),
               void *context, struct error *e);
