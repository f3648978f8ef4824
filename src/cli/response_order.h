// SPDX-License-Identifier: Apache-2.0
// What a person writes becomes the typed values of an order: the only place where text about responses is read.
#pragma once
#include "cli/command.h"
#include "link/response.h"

// "1234", "pid:1234" with its start time from /proc. -ESRCH.
int response_parse_pid(const char *text, struct response_order *ret, struct error *e);
// "#12", with `plain` also "12": a detection of the journal. The acting process while it lives, else the first process of
// its lineage.
int response_parse_detection(const char *text, const char *journal, struct response_order *ret,
                             struct error *e);
int response_parse_address(const char *text, struct response_address *ret, struct error *e);
// 64 hexadecimal digits, or a file whose hash is computed.
int response_parse_hash(const char *text, uint8_t ret[32], struct error *e);
// Without scheme, path or port; in lower case.
int response_parse_domain(const char *text, char ret[RESPONSE_TEXT], struct error *e);
// As it is reached without symbolic links.
int response_parse_file(const char *text, char ret[RESPONSE_TEXT], struct error *e);
