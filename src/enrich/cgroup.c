// SPDX-License-Identifier: Apache-2.0
#include "enrich/cgroup.h"

struct str cgroup_unit(struct str path)
{
    struct str rest = path, piece, unit = STR_NONE, last = STR_NONE;
    while (str_split(&rest, '/', &piece)) {
        if (piece.n == 0)
            continue;
        last = piece;
        if (str_ends(piece, STR(".service")) || str_ends(piece, STR(".scope")))
            unit = piece;
    }
    return unit.n ? unit : last;
}

static bool hexadecimal(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return s.n > 0;
}

// A short id is believed only behind a runtime's own prefix: session numbers and the like are digits too.
static struct str id_of(struct str piece, struct str before)
{
    static const char *const prefixes[] = {"docker-", "libpod-",  "cri-containerd-",
                                           "crio-",   "nerdctl-", "lxc-"};
    bool named = str_eq(before, STR("docker")) || str_eq(before, STR("libpod"));
    if (str_ends(piece, STR(".scope")))
        piece.n -= sizeof ".scope" - 1;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        struct str prefix = str_from(prefixes[i]);
        if (str_starts(piece, prefix)) {
            piece = (struct str){piece.p + prefix.n, piece.n - prefix.n};
            named = true;
            break;
        }
    }
    bool length = named ? piece.n >= 12 && piece.n <= 64 : piece.n == 64;
    return length && hexadecimal(piece) ? piece : STR_NONE;
}

struct str cgroup_container(struct str path)
{
    struct str rest = path, piece, before = STR_NONE, found = STR_NONE;
    while (str_split(&rest, '/', &piece)) {
        struct str id = id_of(piece, before);
        if (id.n)
            found = id;
        before = piece;
    }
    return found;
}
