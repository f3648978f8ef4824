// SPDX-License-Identifier: Apache-2.0
// Retention and attempts: evidence stays, and an attempt that was told from data which go now is not told anew without them.
#include "store/attempts.h"
#include "store/private.h"

#include <errno.h>

static int open_attempts(struct store *s, struct store_attempts **ret, struct error *e)
{
    struct error why = {0};
    int r = store_attempts_open(s->folder, false, ret, &why);
    if (r < 0 && r != -ENOENT && e)
        *e = why;
    return r;
}

struct keeping {
    struct store *store;
    struct error *e;
};

static int keep(void *context, const uint8_t host[16], uint64_t from_ns, uint64_t to_ns)
{
    const struct keeping *k = context;
    return store_keep(k->store, host, from_ns, to_ns, k->e);
}

int keep_attempts(struct store *s, struct error *e)
{
    struct store_attempts *a = NULL;
    struct keeping k = {s, e};
    int r = open_attempts(s, &a, e);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    r = store_attempts_evidence(a, keep, &k, e);
    store_attempts_close(a);
    return r;
}

int seal_attempts(struct store *s, uint64_t before_ns, struct error *e)
{
    struct store_attempts *a = NULL;
    int r = open_attempts(s, &a, e);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    r = store_attempts_seal(a, before_ns, e);
    store_attempts_close(a);
    return r;
}
