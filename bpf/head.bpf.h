// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The first bytes of a file, where they are in memory: a file that was just written is. x86-64 only (the two bases are
// that kernel's names); elsewhere nothing is known of the head.
#pragma once
#include "inode.bpf.h"

struct xarray {
    void *xa_head;
} __attribute__((preserve_access_index));
struct xa_node {
    void *slots[1];
} __attribute__((preserve_access_index));
struct address_space {
    struct xarray i_pages;
} __attribute__((preserve_access_index));
struct inode___head {
    struct address_space *i_mapping;
} __attribute__((preserve_access_index));
struct page {
    unsigned long flags;
} __attribute__((preserve_access_index));

extern const void page_offset_base __ksym __weak;
extern const void vmemmap_base __ksym __weak;

#define PAGE_SHIFT 12
#define XA_LEVELS 11

// Where the page with the file's first byte is mapped; 0: not in memory, or not known.
static __always_inline u64 first_page(struct inode *inode)
{
    u64 entry, memory = 0, pages = 0;

    if (!&page_offset_base || !&vmemmap_base)
        return 0;
    bpf_probe_read_kernel(&memory, sizeof memory, &page_offset_base);
    bpf_probe_read_kernel(&pages, sizeof pages, &vmemmap_base);
    entry = (u64)BPF_CORE_READ((struct inode___head *)inode, i_mapping, i_pages.xa_head);
    for (int i = 0; i < XA_LEVELS && (entry & 3) == 2; i++) {
        struct xa_node *node = (void *)(entry - 2);
        entry = (u64)BPF_CORE_READ(node, slots[0]);
    }
    if (entry & 3 || entry < pages) // not a page, but what the page was
        return 0;
    return memory + ((entry - pages) / bpf_core_type_size(struct page) << PAGE_SHIFT);
}

// `#!`, or ELF that is a program or a library (ET_EXEC, ET_DYN), not what a compiler leaves between.
static __noinline bool begins_as_program(struct inode *inode)
{
    u64 page = inode ? first_page(inode) : 0, head[3] = {};
    u32 type;

    if (!page || bpf_probe_read_kernel(head, 20, (void *)page))
        return false;
    type = head[2] & 0xffff;
    return (head[0] & 0xffff) == 0x2123 ||
           ((u32)head[0] == 0x464c457f &&
            (type == 2 || type == 3 || type == 0x200 || type == 0x300));
}
