// SPDX-License-Identifier: Apache-2.0
#include "sensor/watch_parse.h"

#include <errno.h>
#include <linux/fanotify.h>

#define FSID_BYTES 8
#define HANDLE_HEAD 8 // struct file_handle without the handle: its length, its type

static int place(struct str info, bool named, struct watch_place *ret)
{
    uint32_t bytes;
    size_t head = sizeof(struct fanotify_event_info_header) + FSID_BYTES;
    if (info.n < head + HANDLE_HEAD)
        return -EBADMSG;
    memcpy(&bytes, info.p + head, sizeof bytes);
    if (bytes > WATCH_HANDLE_BYTES || info.n < head + HANDLE_HEAD + bytes)
        return -EBADMSG;
    struct watch_place p = {
        .folder = str_bytes(info.p + sizeof(struct fanotify_event_info_header),
                            FSID_BYTES + HANDLE_HEAD + bytes),
        .name = STR("."),
    };
    if (named) {
        struct str rest =
            str_bytes(info.p + head + HANDLE_HEAD + bytes, info.n - head - HANDLE_HEAD - bytes);
        size_t n = strnlen(rest.p, rest.n);
        if (n == rest.n || n == 0 || n > 255 || memchr(rest.p, '/', n))
            return -EBADMSG;
        p.name = str_bytes(rest.p, n);
    }
    *ret = p;
    return 0;
}

static int information(struct str info, struct watch_record *r)
{
    struct fanotify_event_info_header head;
    memcpy(&head, info.p, sizeof head);
    switch (head.info_type) {
    case FAN_EVENT_INFO_TYPE_DFID_NAME:
    case FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
        return place(info, true, &r->at);
    case FAN_EVENT_INFO_TYPE_DFID:
        return place(info, false, &r->at);
    case FAN_EVENT_INFO_TYPE_NEW_DFID_NAME:
        return place(info, true, &r->to);
    default:
        return 0; // of a later kernel
    }
}

int watch_parse(struct str *rest, struct watch_record *ret)
{
    struct fanotify_event_metadata m;
    struct watch_record r = {0};
    struct str all = *rest;

    *rest = STR_NONE;
    if (!all.n)
        return 0;
    if (all.n < sizeof m)
        return -EBADMSG;
    memcpy(&m, all.p, sizeof m);
    if (m.vers != FANOTIFY_METADATA_VERSION || m.metadata_len < sizeof m ||
        m.event_len < m.metadata_len || m.event_len > all.n)
        return -EBADMSG;
    r.mask = m.mask;
    r.pid = m.pid > 0 ? (uint32_t)m.pid : 0;
    struct str infos = str_bytes(all.p + m.metadata_len, m.event_len - m.metadata_len);
    while (infos.n) {
        struct fanotify_event_info_header head;
        if (infos.n < sizeof head)
            return -EBADMSG;
        memcpy(&head, infos.p, sizeof head);
        if (head.len < sizeof head || head.len > infos.n ||
            information(str_bytes(infos.p, head.len), &r) < 0)
            return -EBADMSG;
        infos = str_bytes(infos.p + head.len, infos.n - head.len);
    }
    *rest = str_bytes(all.p + m.event_len, all.n - m.event_len);
    *ret = r;
    return 1;
}
