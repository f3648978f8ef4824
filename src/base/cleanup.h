// SPDX-License-Identifier: Apache-2.0
// Release at the end of a scope: `_cleanup_free_ char *p = NULL;`, `_cleanup_close_ int fd = -1;`.
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))

static inline void cleanup_free(void *p)
{
    free(*(void **)p);
}

static inline void cleanup_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void cleanup_fclose(FILE **f)
{
    if (*f)
        fclose(*f);
}

#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)

// Take the value out of a variable that would be released.
#define TAKE_FD(fd)                                                                                \
    ({                                                                                             \
        int _fd = (fd);                                                                            \
        (fd) = -1;                                                                                 \
        _fd;                                                                                       \
    })
#define TAKE_PTR(p)                                                                                \
    ({                                                                                             \
        __auto_type _p = (p);                                                                      \
        (p) = NULL;                                                                                \
        _p;                                                                                        \
    })
