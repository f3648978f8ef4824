// SPDX-License-Identifier: Apache-2.0
// Messages of name servers (RFC 1035) into Dns events. Whoever answers is hostile: names are at most 255 bytes, a pointer
// leads only backwards and at most 16 are followed, at most 32 answers are kept. What cannot be read is an event all the
// same, marked as truncated: something else than names is going over that port.
#include "sensor/decode_private.h"

#include <arpa/inet.h>
#include <stdio.h>

enum {
    HEADER = 12,
    NAME_MAX_BYTES = 255,
    TEXT_MAX = 4 * NAME_MAX_BYTES + 1, // every byte may become \DDD
    POINTERS_MAX = 16,
    ANSWERS_MAX = 32,
    ANSWERS_LOOKED_AT = 128,
};
enum {
    TYPE_A = 1,
    TYPE_NS = 2,
    TYPE_CNAME = 5,
    TYPE_PTR = 12,
    TYPE_MX = 15,
    TYPE_TXT = 16,
    TYPE_AAAA = 28,
    TYPE_SRV = 33
};

struct message {
    const uint8_t *p;
    size_t n;
};

static unsigned number16(const struct message *m, size_t at)
{
    return (unsigned)m->p[at] << 8 | m->p[at + 1];
}

static size_t put_label(const uint8_t *label, size_t n, char *out)
{
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        if (label[i] == '.' || label[i] == '\\') {
            out[at++] = '\\';
            out[at++] = (char)label[i];
        } else if (label[i] <= ' ' || label[i] >= 0x7f) { // as in zone files
            at += (size_t)snprintf(out + at, 5, "\\%03u", label[i]);
        } else {
            out[at++] = (char)label[i];
        }
    }
    return at;
}

// The name at *at as text without the last dot; *at moves behind it. -1: it is none.
static ssize_t read_name(const struct message *m, size_t *at, char text[TEXT_MAX + 1])
{
    size_t from = *at, lowest = *at, length = 0, out = 0;
    unsigned pointers = 0;
    bool moved = false;

    for (;;) {
        if (from >= m->n)
            return -1;
        unsigned n = m->p[from];
        if (n >= 0xc0) {
            if (from + 1 >= m->n || ++pointers > POINTERS_MAX)
                return -1;
            size_t to = number16(m, from) & 0x3fff;
            if (!moved)
                *at = from + 2;
            moved = true;
            if (to >= lowest)
                return -1; // forwards, or around
            from = lowest = to;
            continue;
        }
        if (n > 63 || from + 1 + n > m->n)
            return -1;
        length += n + 1;
        if (length > NAME_MAX_BYTES)
            return -1;
        from += 1 + n;
        if (n == 0)
            break;
        if (out)
            text[out++] = '.';
        out += put_label(m->p + from - n, n, text + out);
    }
    if (!moved)
        *at = from;
    if (!out)
        text[out++] = '.'; // the root
    return (ssize_t)out;
}

// One answer's data as text; 0: of a kind that is not told.
static size_t answer_text(const struct message *m, unsigned type, size_t at, size_t n,
                          char text[TEXT_MAX + 1])
{
    size_t skipped = type == TYPE_MX ? 2 : type == TYPE_SRV ? 6 : 0, end = at + n;
    ssize_t length;

    switch (type) {
    case TYPE_A:
        return n == 4 && inet_ntop(AF_INET, m->p + at, text, TEXT_MAX) ? strlen(text) : 0;
    case TYPE_AAAA:
        return n == 16 && inet_ntop(AF_INET6, m->p + at, text, TEXT_MAX) ? strlen(text) : 0;
    case TYPE_NS:
    case TYPE_CNAME:
    case TYPE_PTR:
    case TYPE_MX:
    case TYPE_SRV:
        if (n <= skipped)
            return 0;
        at += skipped;
        length = read_name(m, &at, text);
        return length > 0 && at <= end ? (size_t)length : 0;
    case TYPE_TXT: // the first string of it
        return n && m->p[at] < n ? put_label(m->p + at + 1, m->p[at], text) : 0;
    default:
        return 0;
    }
}

// False: the message ends early, or is damaged.
static bool read_answers(struct decoder *d, const struct message *m, size_t at, unsigned count,
                         Tiercel__Dns *dns)
{
    char text[TEXT_MAX + 1];

    dns->answers = arena_array(d->arena, ProtobufCBinaryData, ANSWERS_MAX);
    if (!dns->answers) {
        d->refused = true;
        return true;
    }
    for (unsigned i = 0; i < count && i < ANSWERS_LOOKED_AT; i++) {
        if (read_name(m, &at, text) < 0 || m->n - at < 10)
            return false;
        unsigned type = number16(m, at), n = number16(m, at + 8);
        uint32_t ttl = (uint32_t)number16(m, at + 4) << 16 | number16(m, at + 6);
        at += 10;
        if (n > m->n - at)
            return false;
        size_t length = answer_text(m, type, at, n, text);
        at += n;
        if (!length)
            continue;
        if (dns->n_answers == ANSWERS_MAX)
            return false;
        dns->answers[dns->n_answers++] = decode_bytes(d, (struct str){text, length});
        if (!dns->has_ttl || ttl < dns->ttl)
            SET(dns, ttl, ttl);
    }
    return count <= ANSWERS_LOOKED_AT;
}

static bool read_message(struct decoder *d, const struct message *m, Tiercel__Dns *dns)
{
    bool answer = (((const struct record_dns *)d->record)->flags & DNS_ANSWER) != 0;
    char text[TEXT_MAX + 1];
    size_t at = HEADER;
    ssize_t length;

    if (m->n < HEADER)
        return false;
    unsigned bits = number16(m, 2);
    SET(dns, number, number16(m, 0));
    if (answer != (bits >> 15) || number16(m, 4) != 1)
        return false; // an answer where a question belongs; or none, or several questions
    length = read_name(m, &at, text);
    if (length < 0 || m->n - at < 4)
        return false;
    SET(dns, question, decode_bytes(d, (struct str){text, (size_t)length}));
    SET(dns, type, number16(m, at));
    at += 4;
    if (!answer)
        return true;
    SET(dns, code, bits & 15);
    return read_answers(d, m, at, number16(m, 6), dns) && !(bits & 0x200);
}

void decode_dns_part(struct decoder *d, unsigned part_number, unsigned part_flags, struct str s)
{
    struct message m = {(const uint8_t *)s.p, s.n};
    Tiercel__Dns *dns = d->out->event->dns;

    if (part_number == PART_MESSAGE && (!read_message(d, &m, dns) || part_flags & PART_CUT))
        SET(dns, truncated, true);
}

void decode_dns(struct decoder *d, Tiercel__Event *event)
{
    const struct record_dns *r = (const struct record_dns *)d->record;

    if (r->r.pid)
        SET(event->process, name,
            decode_bytes(d, (struct str){r->name, strnlen(r->name, sizeof r->name)}));
    else
        event->process = NULL; // nobody is known to have asked
    MESSAGE(d, event->dns, tiercel__dns);
    event->kind_case = TIERCEL__EVENT__KIND_DNS;
    d->out->flags = r->flags;
    if (r->flags & DNS_ANSWER)
        SET(event->dns, answered, true);
    event->dns->server = decode_address(d, r->server, 53, (r->flags & DNS_INET6) != 0);
}
