// SPDX-License-Identifier: Apache-2.0
// Records of one file by their headers. Reads far ahead while records are taken, and only headers while they are
// passed over.
#include "store/private.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#define AHEAD ((size_t)512 << 10) // bytes
#define SEARCH_TRIES 64           // bodies looked at in vain

void scan_init(struct scan *s, int fd, uint64_t end)
{
    *s = (struct scan){.fd = fd, .end = end};
}

void scan_done(struct scan *s)
{
    buf_done(&s->window);
}

// The bytes from `offset`, at least `least` of them unless the file ends before; `want` are asked for. Negative errno.
static int fill(struct scan *s, uint64_t offset, size_t least, size_t want, struct str *ret)
{
    if (offset >= s->at && offset - s->at <= s->window.n &&
        s->window.n - (offset - s->at) >= least) {
        *ret = str_bytes(s->window.p + (offset - s->at), s->window.n - (size_t)(offset - s->at));
        return 0;
    }
    uint64_t left = offset < s->end ? s->end - offset : 0;
    if (want < least)
        want = least;
    if (want > left)
        want = (size_t)left;
    buf_reset(&s->window);
    char *p = buf_room(&s->window, want + 1);
    if (!p)
        return -ENOMEM;
    while (s->window.n < want) {
        ssize_t n =
            pread(s->fd, p + s->window.n, want - s->window.n, (off_t)(offset + s->window.n));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        s->window.n += (size_t)n;
    }
    s->at = offset;
    *ret = str_bytes(p, s->window.n);
    return 0;
}

static int cannot_read(int code, struct error *e)
{
    return error_set(e, code, "cannot read the segment: %s", strerror(-code));
}

static int damaged(struct scan *s, bool torn, const char *what, struct error *e)
{
    s->torn = torn;
    return error_set(e, -EBADMSG, "damaged at byte %" PRIu64 ": %s", s->offset, what);
}

int scan_head(struct scan *s, struct segment_info *ret, struct error *e)
{
    struct str bytes;
    struct error why = {0};
    if (s->offset >= s->end)
        return 0;
    int r = fill(s, s->offset, SEGMENT_HEADER_BYTES,
                 s->window.n > SEGMENT_HEADER_BYTES || s->offset == 0 ? AHEAD : 0, &bytes);
    if (r < 0)
        return cannot_read(r, e);
    ssize_t n = segment_record_measure(bytes.p, bytes.n, ret, &why);
    if (n == -ENOTSUP) {
        if (e)
            *e = why;
        return -ENOTSUP;
    }
    if (n < 0)
        return damaged(s, false, why.what, e);
    if (n == 0 || (uint64_t)n > s->end - s->offset)
        return damaged(s, true, "its end is missing", e);
    return 1;
}

int scan_take(struct scan *s, const struct segment_info *info, struct str *ret, struct error *e)
{
    size_t n = SEGMENT_HEADER_BYTES + info->compressed;
    struct str bytes;
    int r = fill(s, s->offset, n, n + AHEAD, &bytes);
    if (r < 0)
        return cannot_read(r, e);
    if (bytes.n < n)
        return damaged(s, true, "its end is missing", e);
    s->offset += n;
    *ret = str_bytes(bytes.p, n);
    return 1;
}

void scan_pass(struct scan *s, const struct segment_info *info)
{
    s->offset += SEGMENT_HEADER_BYTES + info->compressed;
    if (s->offset > s->at + s->window.n) // next time the header alone
        buf_reset(&s->window);
}

bool scan_good_behind(struct scan *s, struct segment_opener *opener)
{
    const struct str magic = STR("TIERCEL\n");
    unsigned tries = 0;
    struct str window;
    for (uint64_t at = s->offset + 1; at + SEGMENT_HEADER_BYTES <= s->end;) {
        if (fill(s, at, SEGMENT_HEADER_BYTES, AHEAD, &window) < 0)
            return false;
        size_t step = window.n < AHEAD ? window.n : AHEAD;
        ssize_t i = str_find(str_bytes(window.p, step), magic);
        if (i < 0) {
            at += step > magic.n ? step - magic.n + 1 : 1;
            continue;
        }
        struct segment_info info;
        struct scan probe = {.fd = s->fd, .end = s->end, .offset = at + (uint64_t)i};
        struct str record;
        bool header = scan_head(&probe, &info, NULL) == 1;
        bool good = header && scan_take(&probe, &info, &record, NULL) == 1 &&
                    segment_record_prove(opener, record, &info, NULL) == 0;
        scan_done(&probe);
        if (good || (header && ++tries == SEARCH_TRIES))
            return good;
        at += (uint64_t)i + 1;
    }
    return false;
}
