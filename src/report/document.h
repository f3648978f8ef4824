// SPDX-License-Identifier: Apache-2.0
// A draft as files: report.json (claims), report.txt, report.html (no script, nothing loaded), CSV tables, stix.json, manifest.json
// (SHA-256 of each). Everything that came from a host or a person is escaped. The same draft gives the same bytes.
#pragma once
#include "report/draft.h"

void document_json(const struct draft *d, const struct claims *c, struct buf *out);
void document_stix(const struct draft *d, const struct claims *c, struct buf *out);
void document_dump(json_t *o, struct buf *out); // stolen; keys in order
void document_html(const struct draft *d, const struct claims *c, struct buf *out);
void document_attempts_csv(const struct draft *d, struct buf *out); // not for the public
void document_days_csv(const struct draft *d, struct buf *out);
void document_escape(const char *text, struct buf *out); // for HTML; control characters are shown
void chart_timeline(const struct draft *d, struct buf *out); // SVG: hosts and attempts by day
// Writes all into a folder, which is made when it is not there.
int document_write(const struct draft *d, const struct claims *c, const char *folder,
                   struct error *e);
// Every file of the manifest is as it was written. 0; -EBADMSG with the first that is not.
int document_verify(const char *folder, size_t *ret_files, struct error *e);
// Key files are PEM. -EINVAL: no Ed25519 key; -EBADMSG: not signed, or not by this key.
int document_sign(const char *folder, const char *key_file, struct error *e);
int document_verify_signature(const char *folder, const char *key_file, struct error *e);
int document_read_file(int folder, const char *name, struct buf *text);
