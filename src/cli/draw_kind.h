// SPDX-License-Identifier: Apache-2.0
// What each kind of event is called, how it is coloured, and what it says: one line of text, not yet escaped.
#pragma once
#include "cli/term.h"
#include "tiercel.pb-c.h"

bool event_denied(const Tiercel__Event *event);      // refused before its effect
enum style event_style(const Tiercel__Event *event); // red where something was refused
void event_detail(const Tiercel__Event *event, struct buf *out);
