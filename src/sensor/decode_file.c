// SPDX-License-Identifier: Apache-2.0
// Records of bpf/record_file.h: changes of files, opens of protected ones, and what was refused.
#include "sensor/decode_private.h"
#include "sensor/watch.h"

static const struct record_file_change *change_of(const struct decoder *d)
{
    return (const struct record_file_change *)d->record;
}

// A string of the schema: ends at the first byte that cannot be of a name that the kernel knows.
static char *text(struct decoder *d, struct str s)
{
    size_t n = 0;
    struct str copy;

    while (n < s.n && s.p[n] > 0x20 && s.p[n] < 0x7f)
        n++;
    copy = arena_str(d->arena, (struct str){s.p, n});
    if (!copy.p)
        d->refused = true;
    return (char *)copy.p;
}

void decode_file(struct decoder *d, Tiercel__Event *event)
{
    const struct record_file_change *c = change_of(d);
    Tiercel__FileChange *f;

    SET(event->process, name,
        decode_bytes(d, (struct str){c->name, strnlen(c->name, sizeof c->name)}));
    MESSAGE(d, event->file, tiercel__file_change);
    event->kind_case = TIERCEL__EVENT__KIND_FILE;
    f = event->file;
    d->out->flags = c->flags;
    d->out->lineage_flags = c->lineage_flags;
    d->out->rule = c->rule;
    d->out->denied = (c->flags & FILE_DENIED) != 0;
    SET(f, action,
        c->action <= FILE_LINK ? (Tiercel__FileChange__Action)c->action
                               : TIERCEL__FILE_CHANGE__ACTION__ATTRIBUTE);
    MESSAGE(d, f->file, tiercel__file);
    decode_file_facts(&c->file, f->file);
    if (c->action == FILE_DELETE && c->file.links <= 1 && !(c->flags & FILE_DENIED))
        SET(f->file, deleted, true);
    SET(f, denied, (c->flags & FILE_DENIED) != 0);
    SET(f, folder, (c->flags & FILE_FOLDER) != 0);
    SET(f, executable, (c->flags & FILE_EXECUTABLE) != 0);
    SET(f, protected_, (c->flags & FILE_PROTECTED) != 0);
    if (c->action == FILE_MODE && !(c->flags & FILE_DENIED))
        SET(f, old_mode, c->old_mode);
    if (c->repeated)
        SET(f, repeated, c->repeated);
    f->watch = text(d, str_from(watch_word((enum watch_class)c->watch)));
    if (c->flags & FILE_OWNER)
        f->attribute = text(d, STR("owner"));
    else if (c->flags & FILE_SHORTER)
        f->attribute = text(d, STR("shorter"));
}

void decode_file_part(struct decoder *d, unsigned number, unsigned part_flags, struct str s)
{
    Tiercel__FileChange *f = d->out->event->file;

    switch (number) {
    case PART_PATH:
        SET(f->file, path, decode_path(d, s, true));
        if (part_flags & (PART_CUT | PART_UNREACHABLE))
            SET(f->file, path_cut, true);
        break;
    case PART_OLD_PATH:
        SET(f, old_path, decode_path(d, s, true));
        break;
    case PART_ATTRIBUTE:
        f->attribute = text(d, s);
        break;
    }
}

static bool name_counts(ProtobufCBinaryData path)
{
    const char *text = (const char *)path.data, *slash = memrchr(text, '/', path.len);
    size_t skip = slash ? (size_t)(slash - text) + 1 : 0;

    return watch_name_counts((struct str){text + skip, path.len - skip});
}

void decode_file_end(struct decoder *d)
{
    const Tiercel__FileChange *f = d->out->event->file;

    if (change_of(d)->flags & FILE_BY_NAME)
        d->out->idle = !(f->file->has_path && f->file->path.len && name_counts(f->file->path)) &&
                       !(f->has_old_path && f->old_path.len && name_counts(f->old_path));
}
