// SPDX-License-Identifier: Apache-2.0
#include "sensor/watch_private.h"

#include <errno.h>
#include <stdlib.h>

#define NAME_MAX_BYTES WATCH_PATH // a root's name is its path

static struct str key_of(const struct watch_node *parent, struct str name, char *out)
{
    memcpy(out, &parent, sizeof parent);
    memcpy(out + sizeof parent, name.p, name.n);
    return str_bytes(out, sizeof parent + name.n);
}

struct watch_node *watch_find(const struct watch *w, const struct watch_node *parent,
                              struct str name)
{
    char key[sizeof parent + NAME_MAX_BYTES];
    return name.n > NAME_MAX_BYTES ? NULL : map_get(&w->nodes, key_of(parent, name, key));
}

static bool room(struct watch *w, bool folder, uint16_t watch)
{
    if (!folder && w->stats.files < WATCH_FILES_MAX)
        return true;
    if (folder && w->stats.folders < WATCH_FOLDERS_MAX &&
        (watch != WATCH_TEMPORARY || w->temporary < WATCH_FOLDERS_MAX / 2))
        return true;
    return false;
}

static void link_in(struct watch_node *node, struct watch_node *parent)
{
    node->parent = parent;
    node->before = NULL;
    node->next = parent ? parent->child : NULL;
    if (node->next)
        node->next->before = node;
    if (parent)
        parent->child = node;
}

static void link_out(struct watch_node *node)
{
    if (node->next)
        node->next->before = node->before;
    if (node->before)
        node->before->next = node->next;
    else if (node->parent)
        node->parent->child = node->next;
    node->next = node->before = NULL;
}

static int put(struct watch *w, struct watch_node *node, struct watch_node *parent, struct str name)
{
    char *key = name.n > NAME_MAX_BYTES ? NULL : malloc(sizeof parent + name.n);
    if (!key)
        return -ENOMEM;
    node->key = key_of(parent, name, key);
    int r = map_put(&w->nodes, node->key, node);
    if (r < 0) {
        free(key);
        node->key = STR_NONE;
        return r;
    }
    link_in(node, parent);
    return 0;
}

struct watch_node *watch_add(struct watch *w, struct watch_node *parent, struct str name,
                             bool folder)
{
    uint16_t watch = parent ? parent->watch : WATCH_ELSEWHERE;
    struct watch_node *node = room(w, folder, watch) ? calloc(1, sizeof *node) : NULL;
    if (!node || put(w, node, parent, name) < 0) {
        char path[WATCH_PATH];
        free(node);
        if (folder)
            watch_uncovered(w, &w->stats.full, parent ? watch_path(parent, name, path) : name,
                            "the list is full");
        else
            w->stats.full_files++;
        return NULL;
    }
    node->folder = folder;
    node->watch = watch;
    node->flags = parent ? parent->flags : 0;
    *(folder ? &w->stats.folders : &w->stats.files) += 1;
    w->temporary += folder && watch == WATCH_TEMPORARY;
    return node;
}

int watch_set_handle(struct watch *w, struct watch_node *node, struct str handle)
{
    char *copy = malloc(handle.n);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, handle.p, handle.n);
    struct str key = str_bytes(copy, handle.n);
    int r = map_put(&w->handles, key, node);
    if (r < 0)
        free(copy);
    else
        node->handle = key;
    return r;
}

static void forget(struct watch *w, struct watch_node *node)
{
    if (node->handle.n)
        map_remove(&w->handles, node->handle);
    map_remove(&w->nodes, node->key);
    link_out(node);
    *(node->folder ? &w->stats.folders : &w->stats.files) -= 1;
    w->temporary -= node->folder && node->watch == WATCH_TEMPORARY;
    if (node->thin)
        watch_thin_forget(w, node);
    if (w->folder_open == node)
        w->folder_open = NULL;
    free((char *)node->handle.p);
    free((char *)node->key.p);
    free(node);
}

void watch_remove(struct watch *w, struct watch_node *node)
{
    // Downwards to a leaf, then up: as deep as the tree, without a stack.
    struct watch_node *at = node;
    for (;;) {
        while (at->child)
            at = at->child;
        struct watch_node *above = at->parent;
        bool last = at == node;
        forget(w, at);
        if (last)
            return;
        at = above;
    }
}

int watch_move(struct watch *w, struct watch_node *node, struct watch_node *parent, struct str name)
{
    struct str old = node->key;
    struct watch_node *before = node->parent;
    map_remove(&w->nodes, old);
    link_out(node);
    int r = put(w, node, parent, name);
    if (r < 0) { // back to where it was, so that it can be removed as a whole
        node->key = old;
        link_in(node, before);
        return r;
    }
    free((char *)old.p);
    return 0;
}

struct str watch_node_name(const struct watch_node *node)
{
    return str_bytes(node->key.p + sizeof node->parent, node->key.n - sizeof node->parent);
}

struct str watch_path(const struct watch_node *folder, struct str name, char out[WATCH_PATH])
{
    size_t at = WATCH_PATH;
    const struct watch_node *node = folder;
    for (struct str piece = name;;) {
        if (piece.n) {
            if (piece.n + 1 > at)
                return STR_NONE;
            at -= piece.n;
            memcpy(out + at, piece.p, piece.n);
            if (piece.p[0] != '/')
                out[--at] = '/';
        }
        if (!node)
            break;
        piece = watch_node_name(node);
        node = node->parent;
    }
    return str_bytes(out + at, WATCH_PATH - at);
}

void watch_learn(const struct watch *w, struct watch_node *node, const struct statx *st)
{
    node->looked_ns = w->options.env->monotonic_ns(w->options.env);
    node->known = true;
    node->mode = st->stx_mode;
    node->owner = st->stx_uid;
    node->size = st->stx_size;
    node->inode = st->stx_ino;
    node->device = watch_device(st);
    node->changed_ns =
        (uint64_t)st->stx_ctime.tv_sec * 1000000000u + (uint64_t)st->stx_ctime.tv_nsec;
}
