// SPDX-License-Identifier: Apache-2.0
// A program that makes and deletes temporary files all the time would pay for each of them (a quarter more on tmpfs), and
// nothing of it is told. Of such a folder the kernel is asked for less: still what is written, moved in or changed in
// mode, no longer what is made and deleted. While that lasts it is looked through every few seconds, so that folders made
// in it are followed all the same, and each such time is counted and told as loss.
#include "sensor/watch_private.h"

#include <fcntl.h>
#include <sys/fanotify.h>

#define NOISY_ROUNDS 4          // in a row
#define SAME_NOISE_NS 40000000u // this soon after each other

static int mark_as(struct watch *w, const struct watch_node *folder, uint64_t add, uint64_t remove)
{
    int fd = watch_folder_fd(w, folder);
    if (fd < 0 || fanotify_mark(w->group, FAN_MARK_ADD, add, fd, NULL) < 0)
        return -1;
    return fanotify_mark(w->group, FAN_MARK_REMOVE, remove & ~add, fd, NULL);
}

void watch_noise(struct watch *w, struct watch_node *folder)
{
    uint64_t now = w->since_ns; // the same for all of one round
    if (folder->thin || folder->noise_ns == now) {
        folder->noise_ns = now;
        return;
    }
    folder->noisy = now - folder->noise_ns < SAME_NOISE_NS ? (uint8_t)(folder->noisy + 1) : 1;
    folder->noise_ns = now;
    if (folder->noisy < NOISY_ROUNDS || w->n_thin == WATCH_THIN_MAX ||
        mark_as(w, folder, watch_events_thin, watch_events) < 0)
        return;
    folder->thin = true;
    folder->noisy = 0;
    folder->looked_ns = now;
    w->thin[w->n_thin++] = folder;
    w->stats.thinned++;
}

void watch_thin_forget(struct watch *w, struct watch_node *folder)
{
    for (size_t i = 0; i < w->n_thin; i++)
        if (w->thin[i] == folder)
            w->thin[i] = w->thin[--w->n_thin];
    folder->thin = false;
}

static void look_through(struct watch *w, struct watch_node *folder, const struct watch_listener *l)
{
    unsigned depth = 0;
    int fd = watch_folder_fd(w, folder);
    int copy = fd < 0 ? -1 : openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    for (const struct watch_node *up = folder->parent; up; up = up->parent)
        depth++;
    if (copy >= 0)
        watch_look_through(w, folder, copy, depth, l);
}

void watch_tend(struct watch *w, watch_tell *tell, void *context)
{
    const struct watch_listener l = {.tell = tell, .context = context, .only_folders = true};
    uint64_t now = w->n_thin ? w->options.env->monotonic_ns(w->options.env) : 0;
    for (size_t i = w->n_thin; i-- > 0;) {
        struct watch_node *folder = w->thin[i];
        if (now - folder->looked_ns < WATCH_THIN_NS)
            continue;
        folder->looked_ns = now;
        if (now - folder->noise_ns > SAME_NOISE_NS) {
            watch_thin_forget(w, folder);
            (void)mark_as(w, folder, watch_events, watch_events_thin);
        } else {
            w->stats.thinned++;
        }
        look_through(w, folder, &l);
        if (i > w->n_thin)
            break; // some went with what was below them
    }
    if (now)
        watch_rest(w);
}
