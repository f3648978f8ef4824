// SPDX-License-Identifier: Apache-2.0
#include "cli/place.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// The folder that this program's file is in.
static int own_folder(char *ret, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", ret, size - 1);
    if (n <= 0)
        return -errno;
    ret[n] = 0;
    char *slash = strrchr(ret, '/');
    if (!slash)
        return -ENOENT;
    *slash = 0;
    return 0;
}

static bool take(char *ret, size_t size, int mode, const char *folder, const char *rest)
{
    char path[1024];
    int n = snprintf(path, sizeof path, "%s/%s", folder, rest);
    if (n < 0 || (size_t)n >= sizeof path || (size_t)n >= size || access(path, mode) != 0)
        return false;
    memcpy(ret, path, (size_t)n + 1);
    return true;
}

int place_program(const char *name, char *ret, size_t size, struct error *e)
{
    char own[512], beside[64];
    snprintf(beside, sizeof beside, "../sbin/%s", name);
    if (own_folder(own, sizeof own) == 0 &&
        (take(ret, size, X_OK, own, name) || take(ret, size, X_OK, own, beside)))
        return 0;
    static const char *const usual[] = {"/usr/local/sbin", "/usr/sbin", "/sbin"};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (take(ret, size, X_OK, usual[i], name))
            return 0;
    error_set(e, -ENOENT, "the program %s is nowhere to be found", name);
    error_way_out(e, "`make` builds it beside tiercel, `make install` installs it");
    return -ENOENT;
}

int place_daemon(char *ret, size_t size, struct error *e)
{
    int r = place_program("tierceld", ret, size, e);
    if (r == -ENOENT) {
        error_set(e, r, "the agent's program, tierceld, is nowhere to be found");
        error_way_out(e, "`make` builds it beside tiercel, `make install` installs it");
    }
    return r;
}

int place_rules(char *ret, size_t size, struct error *e)
{
    char own[512];
    if (own_folder(own, sizeof own) == 0 &&
        (take(ret, size, R_OK, own, "../../../content/rules") ||
         take(ret, size, R_OK, own, "../share/tiercel/rules"))) {
        char *resolved = realpath(ret, NULL);
        if (resolved && strlen(resolved) < size)
            memcpy(ret, resolved, strlen(resolved) + 1);
        free(resolved);
        return 0;
    }
    static const char *const usual[] = {"/etc/tiercel", "/usr/local/share/tiercel",
                                        "/usr/share/tiercel"};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (take(ret, size, R_OK, usual[i], "rules"))
            return 0;
    error_set(e, -ENOENT, "no folder of rules is to be found");
    error_way_out(e, "name one: --rules DIR");
    return -ENOENT;
}
