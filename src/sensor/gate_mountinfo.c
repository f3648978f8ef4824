// SPDX-License-Identifier: Apache-2.0
#include "sensor/gate_mountinfo.h"
#include <errno.h>

static int number(struct str s, uint64_t max, uint64_t *ret)
{
    uint64_t n = 0;
    if (str_to_u64(s, &n) < 0 || n > max)
        return -EINVAL;
    *ret = n;
    return 0;
}

int mountinfo_parse(struct str line, struct mountinfo_line *ret)
{
    struct str field[6], piece, minor;
    uint64_t id, parent, device[2];

    for (int i = 0; i < 6; i++)
        if (!str_split(&line, ' ', &field[i]) || !field[i].n)
            return -EINVAL;
    do { // optional fields up to a lone hyphen
        if (!str_split(&line, ' ', &piece))
            return -EINVAL;
    } while (!str_eq(piece, STR("-")));
    struct mountinfo_line m = {.root = field[3], .point = field[4]};
    struct str source;
    if (!str_split(&line, ' ', &m.type) || !m.type.n || !str_split(&line, ' ', &source))
        return -EINVAL;
    str_split(&line, ' ', &m.options); // may be absent
    minor = field[2];
    if (!str_split(&minor, ':', &piece) || number(field[0], INT32_MAX, &id) < 0 ||
        number(field[1], INT32_MAX, &parent) < 0 || number(piece, UINT32_MAX, &device[0]) < 0 ||
        number(minor, UINT32_MAX, &device[1]) < 0)
        return -EINVAL;
    m.id = (int)id;
    m.parent = (int)parent;
    m.major = (unsigned)device[0];
    m.minor = (unsigned)device[1];
    *ret = m;
    return 0;
}

ssize_t mountinfo_unescape(struct str in, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (c == '\\' && i + 3 < in.n && in.p[i + 1] >= '0' && in.p[i + 1] <= '3') {
            unsigned value = 0, digits = 0;
            for (; digits < 3 && in.p[i + 1 + digits] >= '0' && in.p[i + 1 + digits] <= '7';
                 digits++)
                value = value * 8 + (unsigned)(in.p[i + 1 + digits] - '0');
            if (digits == 3) {
                c = (char)value;
                i += 3;
            }
        }
        if (!c)
            return -EINVAL;
        out[n++] = c;
    }
    out[n] = 0;
    return (ssize_t)n;
}

enum mountinfo_kind mountinfo_kind(struct str type)
{
    static const char *const local[] = {
        "ext2",     "ext3",    "ext4",     "xfs",     "btrfs",    "tmpfs",  "ramfs",
        "devtmpfs", "f2fs",    "squashfs", "iso9660", "udf",      "vfat",   "msdos",
        "exfat",    "ntfs3",   "erofs",    "jfs",     "reiserfs", "nilfs2", "zfs",
        "bcachefs", "hfsplus", "minix",    "rootfs",  "cramfs",   "romfs"};
    static const char *const none[] = {
        "proc",    "sysfs",   "cgroup",      "cgroup2",  "devpts",     "mqueue",
        "debugfs", "tracefs", "bpf",         "pstore",   "securityfs", "configfs",
        "fusectl", "nsfs",    "binfmt_misc", "efivarfs", "selinuxfs",  "rpc_pipefs",
        "sockfs",  "pipefs",  "resctrl",     "hugetlbfs"};
    static const char *const waits[] = {
        "nfs",    "nfs4",     "cifs",      "smb3",   "smbfs", "9p",     "virtiofs", "ceph",
        "afs",    "coda",     "ncpfs",     "gfs2",   "ocfs2", "lustre", "gpfs",     "autofs",
        "vboxsf", "orangefs", "glusterfs", "beegfs", "fuse",  "fuseblk"};

    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if (str_eq(type, str_from(local[i])))
            return MOUNTINFO_LOCAL;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (str_eq(type, str_from(none[i])))
            return MOUNTINFO_NONE;
    if (str_eq(type, STR("overlay")))
        return MOUNTINFO_OVERLAY;
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++)
        if (str_eq(type, str_from(waits[i])))
            return MOUNTINFO_WAITS;
    return str_starts(type, STR("fuse.")) ? MOUNTINFO_WAITS : MOUNTINFO_UNKNOWN;
}

bool mountinfo_magic_is_local(unsigned long magic)
{
    static const unsigned long local[] = {
        0xEF53 /* ext */,
        0x58465342 /* xfs */,
        0x9123683E /* btrfs */,
        0x01021994 /* tmpfs */,
        0x858458F6 /* ramfs */,
        0xF2F52010 /* f2fs */,
        0x73717368 /* squashfs */,
        0x9660 /* iso9660 */,
        0x15013346 /* udf */,
        0x4D44 /* msdos */,
        0x2011BAB0 /* exfat */,
        0x7366746E /* ntfs3 */,
        0xE0F5E1E2 /* erofs */,
        0x3153464A /* jfs */,
        0x52654973 /* reiserfs */,
        0x3434 /* nilfs */,
        0x2FC12FC1 /* zfs */,
        0xCA451A4E /* bcachefs */,
        0x482B /* hfsplus */,
        0x137F /* minix */,
        0x138F,
        0x2468,
        0x2478,
        0x4D5A,
        0x28CD3D45 /* cramfs */,
        0x7275 /* romfs */,
        0x794C7630 /* overlay */,
    };
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if (local[i] == magic)
            return true;
    return false;
}

// An unescaped separator, or the end.
static size_t end_of(struct str s, size_t from, const char *separators)
{
    size_t i = from;
    while (i < s.n && !strchr(separators, s.p[i]))
        i += s.p[i] == '\\' && i + 1 < s.n ? 2 : 1;
    return i < s.n ? i : s.n;
}

bool mountinfo_next_layer(struct str options, size_t *position, struct str *ret)
{
    size_t i = *position;
    bool inside = i > 0 && i <= options.n && options.p[i - 1] == ':'; // more of the same lowerdir=

    while (i < options.n) {
        struct str rest = {options.p + i, options.n - i};
        size_t skip = inside                                ? 0
                      : str_starts(rest, STR("lowerdir+=")) ? 10
                      : str_starts(rest, STR("datadir+="))  ? 9
                      : str_starts(rest, STR("lowerdir="))  ? 9
                      : str_starts(rest, STR("upperdir="))  ? 9
                                                            : SIZE_MAX;
        size_t end = end_of(options, i, skip == SIZE_MAX ? "," : ",:");
        if (skip != SIZE_MAX && end > i + skip) {
            *ret = (struct str){options.p + i + skip, end - i - skip};
            *position = end < options.n ? end + 1 : options.n;
            return true;
        }
        inside = end < options.n && options.p[end] == ':';
        i = end + 1;
    }
    return false;
}
