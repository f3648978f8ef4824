// SPDX-License-Identifier: Apache-2.0
// A hub's orders (link/signed.h): opened here and not where they come in. The highest sequence is on disk before an order
// is carried out, so that none is done twice, whoever dies when; one that comes again is answered with what became of it.
#include "agent/respond_role.h"
#include "base/cleanup.h"
#include "link/signed.h"
#include "os/process.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LAST_FILE "orders.last"
#define LAST_MAGIC "TIERLST1"
#define SAY_NS 10000000000ull // refusals are said at most this often: anybody may cause them

struct last {
    char magic[8];
    uint8_t key[32]; // of the hub whose orders are counted
    uint64_t sequence, inverse;
};

static int read_trust(const struct responder *s, struct signed_trust *ret, struct error *e)
{
    char path[ROLE_PATH + 32];
    snprintf(path, sizeof path, "%s/" SIGNED_TRUST_FILE, s->role->setup.state);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && read(fd, ret, sizeof *ret) == (ssize_t)sizeof *ret)
        return 0;
    error_set(e, -EKEYREJECTED, "this host does not know its hub's key: %s cannot be read", path);
    error_way_out(e, "enrol it again");
    return -EKEYREJECTED;
}

// What another hub's orders were counted up to does not matter for this one's.
static int read_last(const struct responder *s, const uint8_t key[32], uint64_t *ret,
                     struct error *e)
{
    struct last last;
    _cleanup_close_ int fd =
        openat(s->store.folder, LAST_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) {
        *ret = 0;
        return 0;
    }
    if (fd >= 0 && read(fd, &last, sizeof last) == (ssize_t)sizeof last &&
        memcmp(last.magic, LAST_MAGIC, sizeof last.magic) == 0 && last.sequence == ~last.inverse) {
        *ret = memcmp(last.key, key, sizeof last.key) == 0 ? last.sequence : 0;
        return 0;
    }
    error_set(e, -EIO, "%s/responses/" LAST_FILE " cannot be used", s->role->setup.state);
    error_way_out(e, "no order is taken until it is removed: then orders that were done could be "
                     "given once more");
    return -EIO;
}

static int write_last(const struct responder *s, const uint8_t key[32], uint64_t sequence)
{
    struct last last = {.sequence = sequence, .inverse = ~sequence};
    memcpy(last.magic, LAST_MAGIC, sizeof last.magic);
    memcpy(last.key, key, sizeof last.key);
    _cleanup_close_ int fd = openat(s->store.folder, LAST_FILE ".new",
                                    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write(fd, &last, sizeof last) != (ssize_t)sizeof last || fsync(fd) < 0 ||
        renameat(s->store.folder, LAST_FILE ".new", s->store.folder, LAST_FILE) < 0 ||
        fsync(s->store.folder) < 0)
        return errno ? -errno : -EIO;
    return 0;
}

// The newest response that an order made.
static const struct response *made_by(const struct responder *s, uint64_t sequence)
{
    char by[RESPONSE_BY];
    signed_by(sequence, by);
    for (size_t i = s->store.n; i-- > 0;)
        if (strncmp(s->store.list[i].order.by, by, sizeof by) == 0)
            return &s->store.list[i];
    return NULL;
}

static void refuse(struct response_result *ret, int code, const struct error *e)
{
    *ret = (struct response_result){.state = RESPONSE_REFUSED, .code = code};
    snprintf(ret->what, sizeof ret->what, "%.240s%s%.150s", e->what, e->way_out[0] ? "; " : "",
             e->way_out);
}

// Here before: not done again.
static void repeat(const struct responder *s, const struct signed_order *order,
                   struct response_result *ret)
{
    const struct response *r = made_by(s, order->undoes ? order->undoes : order->sequence);
    struct error e = {0};
    if (!r) {
        error_set(&e, -EALREADY, "order %llu was here before and is not done again",
                  (unsigned long long)order->sequence);
        return refuse(ret, -EALREADY, &e);
    }
    *ret = (struct response_result){
        .id = r->id, .expires_ns = r->expires_ns, .state = r->state, .code = r->code};
    memcpy(ret->what, r->what, sizeof ret->what);
    ret->what[sizeof ret->what - 1] = 0;
}

static void undo(struct responder *s, uint64_t sequence, struct response_result *ret)
{
    const struct response *r = made_by(s, sequence);
    struct error e = {0};
    if (r)
        return run_undo(&s->act, r->id, false, RESPONSE_UNDONE, ret);
    error_set(&e, -ENOENT, "order %llu did nothing on this host", (unsigned long long)sequence);
    refuse(ret, -ENOENT, &e);
}

static void carry_out(struct responder *s, struct str envelope, struct response_result *ret)
{
    static struct signed_order order;
    struct signed_trust trust;
    struct error e = {0};
    uint64_t last = 0;
    int r = s->store.fd < 0
                ? error_set(&e, -EIO, "responses are switched off: their journal cannot be used")
                : read_trust(s, &trust, &e);
    if (r == 0)
        r = read_last(s, trust.key, &last, &e);
    if (r == 0)
        r = signed_open(envelope, &trust, last, os_wall_ns(), &order, &e);
    if (r == -EALREADY)
        return repeat(s, &order, ret);
    if (r == 0 && (r = write_last(s, trust.key, order.sequence)) < 0)
        error_set(&e, r, "the order's number cannot be kept, so it is not done: %s", strerror(-r));
    if (r < 0) {
        uint64_t now = os_monotonic_ns();
        refuse(ret, r, &e);
        s->orders_refused++;
        if (!s->orders_said_ns || now - s->orders_said_ns > SAY_NS)
            role_problem(s->role, "an order of the hub was refused (%llu so far): %s",
                         (unsigned long long)s->orders_refused, ret->what);
        s->orders_said_ns =
            s->orders_said_ns && now - s->orders_said_ns <= SAY_NS ? s->orders_said_ns : now;
        return;
    }
    s->act.protected_pids = s->role->pids.pids;
    s->act.n_protected = s->role->pids.n;
    if (order.undoes)
        undo(s, order.undoes, ret);
    else
        run_order(&s->act, &order.response, ret);
}

void respond_orders(struct responder *s)
{
    static struct link_message m;
    static struct respond_ordered told;
    int r;
    while ((r = link_receive(s->role->given[GIVE_PEER_UPLINK], &m, 0)) == 1) {
        link_message_done(&m);
        const struct uplink_envelope *got =
            m.type == UPLINK_ENVELOPE ? link_body(&m, struct uplink_envelope) : NULL;
        if (!got || got->size > sizeof got->bytes)
            continue;
        memset(&told, 0, sizeof told);
        told.number = got->number;
        carry_out(s, str_bytes(got->bytes, got->size), &told.result);
        (void)link_send(s->role->given[GIVE_PEER_UPLINK], RESPOND_ORDERED, &told, sizeof told, NULL,
                        0, 0);
    }
    if (r != -EAGAIN && r != -EBADMSG)
        respond_lose(s, GIVE_PEER_UPLINK);
}
