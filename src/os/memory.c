// SPDX-License-Identifier: Apache-2.0
#include "os/memory.h"
#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

// Only segments that cannot be written: their pages are the file's own. Relocated data is in a segment that can.
static int drop(struct dl_phdr_info *info, size_t size, void *context)
{
    size_t *bytes = context, page = (size_t)sysconf(_SC_PAGESIZE);
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || segment->p_flags & PF_W)
            continue;
        uintptr_t from = info->dlpi_addr + segment->p_vaddr, to = from + segment->p_memsz;
        from &= ~(page - 1);
        to = (to + page - 1) & ~(page - 1);
        // Kernels before 5.18 do not know the first; the second does nothing to locked memory.
        if (madvise((void *)from, to - from, MADV_DONTNEED_LOCKED) == 0 ||
            madvise((void *)from, to - from, MADV_DONTNEED) == 0)
            *bytes += to - from;
    }
    return 0;
}

size_t os_memory_give_back(void)
{
    size_t bytes = 0;
    malloc_trim(0);
    dl_iterate_phdr(drop, &bytes);
    return bytes;
}
