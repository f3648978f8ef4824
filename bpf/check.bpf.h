// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The exec check: what runs must be what the gate judged, and what the gate was not asked about is caught here. A
// SIGKILL sent now takes effect before the new program's first instruction. On an error of our own (no scratch, no
// config) nothing is killed; where the judged argv cannot be read back it is: it can't be shown to be the same.
#pragma once
#include "environment.h"
#include "hash.bpf.h"

#define OVERLAYFS_MAGIC 0x794c7630u
#define ENVIRONMENT_ONE(name) +1
#define ENVIRONMENT_COUNT (0 ENVIRONMENT_NAMES(ENVIRONMENT_ONE))

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 16384);
    __type(key, u32);
    __type(value, struct judged);
} judged SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __type(key, u32);
    __type(value, u8);
} guarded SEC(".maps");

// Filled by the loader from environment.h.
const volatile struct environment_name environment_names[ENVIRONMENT_COUNT];
const volatile __u64 environment_first[4]; // which bytes a listed name begins with

// Reads one string of the environment to the end of the record and keeps it there if its name is listed.
static long environment_step(u32 index, void *unused)
{
    struct scratch *s = scratch_get();
    u32 inside;
    u64 *text;
    long n;

    if (!s || s->environment.position >= s->environment.end)
        return 1;
    text = (u64 *)record_place(s, s->at);
    n = read_user_string(text, ENVIRONMENT_VALUE, s->environment.position);
    if (n < 0) {
        s->environment.flags |= PART_UNREAD;
        return 1;
    }
    inside = s->environment.inside; // of a string whose beginning was read before
    s->environment.inside = n == ENVIRONMENT_VALUE;
    s->environment.position += n == ENVIRONMENT_VALUE ? n - 1 : n;
    if (inside || !(environment_first[(text[0] & 0xff) >> 6] >> (text[0] & 63) & 1))
        return 0;
    for (u32 i = 0; i < ENVIRONMENT_COUNT; i++) {
        const volatile struct environment_name *name = &environment_names[i];
        if (((text[0] ^ name->word[0]) & name->mask[0]) |
            ((text[1] ^ name->word[1]) & name->mask[1]) |
            ((text[2] ^ name->word[2]) & name->mask[2]))
            continue;
        s->environment.listed++;
        if (s->at + n > s->environment.limit) {
            s->environment.flags |= PART_CUT;
        } else {
            s->at += n;
            if (s->environment.inside)
                s->environment.flags |= PART_CUT;
        }
        break;
    }
    return 0;
}

static __noinline int environment_part(struct scratch *s, u64 start, u64 end)
{
    u32 header;

    if (!s)
        return 0;
    header = part_begin(s);
    s->environment.position = start;
    s->environment.end = end;
    s->environment.listed = s->environment.flags = s->environment.inside = 0;
    s->environment.limit = s->at + RECORD_ENVIRONMENT_BYTES;
    bpf_loop(RECORD_ENVIRONMENT_STRINGS, environment_step, NULL, 0);
    if (s->environment.position < end)
        s->environment.flags |= PART_CUT;
    if (s->environment.listed || s->environment.flags)
        part_end(s, header, PART_ENVIRONMENT, s->environment.flags, s->at);
    else
        s->at = header;
    return 0;
}

// Finds the string of argv that is the script's name as the caller gave it: the caller's own arguments follow it.
// The kernel puts at most two strings before it, with nested interpreters (five levels) eleven.
static long script_step(u32 index, void *unused)
{
    struct scratch *s = scratch_get();
    u64 start;
    long n;

    if (!s || s->script.position >= s->script.end)
        return 1;
    start = s->script.position;
    n = read_user_string(s->string, sizeof s->string, start);
    if (n < 0)
        return 1;
    s->script.position = start + n;
    if (n != s->script.filename_bytes || !hash_memory(s, start, start + n, 0) ||
        s->hash.value != s->script.filename_hash)
        return 0;
    s->script.found = 1;
    return 1;
}

static __always_inline bool script_same(struct scratch *s, struct judged *j,
                                        struct linux_binprm *bprm, u64 start, u64 end)
{
    long n = bpf_probe_read_kernel_str(s->string, sizeof s->string, bprm->filename);

    if (n <= 0 || !hash_memory(s, (u64)bprm->filename, (u64)bprm->filename + n, 1))
        return false;
    s->script.filename_hash = s->hash.value;
    s->script.filename_bytes = n;
    s->script.position = start;
    s->script.end = end;
    s->script.found = 0;
    bpf_loop(12, script_step, NULL, 0);
    if (!s->script.found)
        return false;
    start = s->script.position;
    if (bprm->interp_flags & BINPRM_FLAGS_PRESERVE_ARGV0)
        return hash_memory(s, start, end, 0) && s->hash.value == j->full;
    return end - start == j->tail_bytes && hash_memory(s, start, end, 0) &&
           s->hash.value == j->tail;
}

static __always_inline void kill(struct record_exec *x)
{
    if (bpf_send_signal(9)) {
        x->flags |= EXEC_KILL_FAILED;
        COUNT(kill_failed);
    } else {
        x->flags |= EXEC_KILLED;
    }
}

// What runs is compared with what was judged.
static __always_inline void judged_check(struct scratch *s, struct record_exec *x, struct judged *j,
                                         struct mm_struct *mm, struct linux_binprm *bprm)
{
    bool same;

    s->hash.unread = 0;
    if (x->flags & EXEC_SCRIPT)
        same = script_same(s, j, bprm, mm->arg_start, mm->arg_end);
    else
        same = hash_memory(s, mm->arg_start, mm->arg_end, 0) && s->hash.value == j->full;
    if (!same) {
        if (s->hash.unread) {
            x->flags |= EXEC_HASH_UNREAD;
            COUNT(killed_unread);
        } else {
            x->flags |= EXEC_HASH_DIFFERS;
            COUNT(killed_differs);
        }
        kill(x);
        return;
    }
    x->flags |= EXEC_JUDGED;
    if (!(j->flags & JUDGED_ENVIRONMENT) ||
        (hash_memory(s, mm->env_start, mm->env_end, 0) && s->hash.value == j->environment))
        return;
    x->flags |= EXEC_ENVIRONMENT_DIFFERS;
    if (s->environment.listed || s->environment.flags & (PART_CUT | PART_UNREAD)) {
        COUNT(killed_environment);
        kill(x);
    } else {
        COUNT(environment_differs);
    }
}

static __always_inline bool is_own(struct exec_config *c, u32 tgid)
{
    for (int i = 0; i < CONFIG_OWN; i++)
        if (c->own[i] == tgid)
            return true;
    return false;
}

// A thread whose exec of one file failed after it was allowed can run another with the same arguments: the loader of a
// program that is none is asked about as that program's part. An overlay's inode numbers may differ from what stat says.
static __always_inline bool other_file(struct record_exec *x, struct judged *j)
{
    return j->inode && j->inode != x->file.inode && x->file.magic != OVERLAYFS_MAGIC;
}

// True where user space must be woken to judge at once.
static __always_inline bool exec_check(struct scratch *s, struct record_exec *x,
                                       struct task_struct *task, int old_pid,
                                       struct linux_binprm *bprm)
{
    u32 zero = 0, tid = old_pid, device = x->file.device;
    struct exec_config *c = bpf_map_lookup_elem(&config, &zero);
    struct judged *entry, j = {};

    if (!c || !c->armed || (c->mount_namespace && c->mount_namespace != x->ns_mount))
        return false;
    entry = bpf_map_lookup_elem(&judged, &tid);
    if (entry) {
        j = *entry;
        bpf_map_delete_elem(&judged, &tid);
    }
    if (x->lineage_flags & FLAG_AGENT || is_own(c, x->r.pid))
        return false;
    if (x->flags & EXEC_MEMORY_ONLY || !bpf_map_lookup_elem(&guarded, &device)) {
        x->flags |= EXEC_UNGUARDED;
        COUNT(unguarded);
        if (c->prevent && x->flags & EXEC_SERVICE) {
            COUNT(killed_unguarded);
            kill(x);
        }
        return true;
    }
    if (!entry || x->r.time - j.time > c->judged_lifetime) {
        x->flags |= EXEC_UNJUDGED;
        COUNT(unjudged);
        return true;
    }
    if (other_file(x, &j)) {
        x->flags |= EXEC_UNJUDGED;
        COUNT(unjudged);
        if (c->prevent && x->flags & EXEC_SERVICE)
            kill(x);
        return true;
    }
    judged_check(s, x, &j, task->mm, bprm);
    return x->flags & (EXEC_KILLED | EXEC_KILL_FAILED);
}
