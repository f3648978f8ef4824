// SPDX-License-Identifier: Apache-2.0
// What the agent says of itself, asked over the control socket, and how it is shown.
#pragma once
#include "cli/command.h"
#include "cli/table.h"
#include "link/control.h"

// 0 and *ret (free() it), or negative errno with e filled: -ECONNREFUSED no agent runs here, -EACCES not root.
int status_ask(const struct control_request *request, struct control_reply **ret, struct error *e);

const char *status_link_word(uint32_t state); // enum control_link
// A row of the summary, and the same under a heading.
void status_add_hub(struct table *table, const struct control_status *s, uint64_t now_ns);
void status_print_hub(const struct term *t, const struct control_status *s, uint64_t now_ns,
                      struct buf *out);
void status_print_summary(const struct term *t, const struct control_status *s, uint64_t now_ns,
                          struct buf *out);
void status_print_mechanisms(const struct term *t, const struct control_mechanism *m, size_t n,
                             struct buf *out);
// `works`: bits of sensor/coverage.h.
void status_print_coverage(const struct term *t, uint64_t works, struct buf *out);
void status_json_coverage(uint64_t works, struct buf *out);
void status_print_filesystems(const struct term *t, const struct control_status *s,
                              struct buf *out);
void status_print_limits(const struct term *t, struct buf *out);
// The short form that `tiercel run` shows when protection stands.
void status_print_protection(const struct term *t, const struct control_status *s, struct buf *out);
void status_json(const struct control_status *s, struct buf *out);
void status_json_mechanisms(const struct control_mechanism *m, size_t n, struct buf *out);
