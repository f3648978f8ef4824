// SPDX-License-Identifier: Apache-2.0
// Exceptions: reviewed, expiring permissions for what a rule would prevent. A YAML list; each entry says
//
//   - id: 7f3a…            unique, any text
//     rule: <rule id>      whose prevention is lifted to detection
//     role: web            optional: only in lineages of this role
//     service: /usr/…      optional: only below this service's executable
//     argv: [/bin/sh, -c, "/usr/bin/gs *"]   each argument; `*` and `?` stand for any text and any byte, `\` takes the
//                          next byte as it is; as many arguments as written, unless the last is a lone "**"
//     expires: 2026-12-31T00:00:00Z
//     reason: text
//     who: name
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "tiercel.pb-c.h"

#define EXCEPTIONS_MAX 4096

struct exception {
    struct str id, rule, role, service, reason, who;
    const struct str *argv;
    size_t argc;
    uint64_t expires_ns; // wall clock
};

// All or nothing; the list lives in the arena.
int exception_parse(struct str text, const char *file, struct arena *arena, struct exception **ret,
                    size_t *ret_n, struct error *e);
bool exception_lifts(const struct exception *x, struct str rule_id, const Tiercel__Event *event,
                     uint64_t now_ns);
bool exception_shape(struct str shape, struct str argument); // one argument

// Text to put at the end of the exceptions file so that what `detection` prevented is allowed until `expires_ns`:
// this rule, this role and service, exactly these arguments. -EINVAL when the detection has no event with arguments,
// or arguments were cut.
int exception_append(const Tiercel__Detection *detection, struct str id, uint64_t expires_ns,
                     struct str who, struct str reason, struct buf *out, struct error *e);
