// SPDX-License-Identifier: Apache-2.0
// How a process tree, a detection and its verdict are drawn.
#pragma once
#include "cli/term.h"
#include "tiercel.pb-c.h"

// From the service's main process (or init) down to the one that acted, one line a process. `mark` is put before the
// last one when not STYLE_PLAIN. Lines begin with `indent` blanks and are cut to the terminal.
void draw_tree(const struct term *t, Tiercel__Process *const *chain, size_t n, enum style mark,
               unsigned indent, struct buf *out);
// One process to the end of its line: command line, pid, user. `column`: where it begins, for the cut.
void draw_process(const struct term *t, const Tiercel__Process *p, unsigned column,
                  enum style style, struct buf *out);
// The same of a detection: what acted, or wanted to run, comes last.
void draw_detection_tree(const struct term *t, const Tiercel__Detection *d, enum style mark,
                         unsigned indent, struct buf *out);

// "DENIED before its first instruction", "detected (prevention is off: would be denied)", ... Our own words.
const char *verdict_words(const Tiercel__Verdict *verdict);
enum style verdict_style(const Tiercel__Verdict *verdict);
const char *mechanism_words(Tiercel__Mechanism mechanism); // "the gate (fanotify)"
enum style level_style(const char *level);

// The process that acted in a detection; NULL when it has none.
const Tiercel__Process *detection_process(const Tiercel__Detection *d);
// Whether both are about the same event last: then one tree under both is enough.
bool detection_same_event(const Tiercel__Detection *a, const Tiercel__Detection *b);
struct str process_image(const Tiercel__Process *p); // may be STR_NONE
void process_command(const Tiercel__Process *p,
                     struct buf *out); // command line or, without one, image or name

// One line, then the tree under it.
void draw_detection(const struct term *t, const Tiercel__Detection *d,
                    const Tiercel__Verdict *verdict, uint64_t now_ns, bool tree, struct buf *out);
// One line.
void draw_event(const struct term *t, const Tiercel__Event *event, uint64_t now_ns,
                struct buf *out);
const char *event_kind(const Tiercel__Event *event); // "exec", "connect" ...
