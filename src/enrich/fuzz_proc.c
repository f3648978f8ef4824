// SPDX-License-Identifier: Apache-2.0
// All parsers of /proc texts and of cgroup paths and passwd, on any bytes.
#include "enrich/cgroup.h"
#include "enrich/proc.h"
#include "enrich/users.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str text = {(const char *)data, n}, *list;
    struct proc_stat stat;
    struct proc_status status;
    struct arena arena = {0};
    if (proc_parse_stat(text, &stat) == 0 &&
        (stat.name.p < text.p || stat.name.p + stat.name.n > text.p + text.n))
        abort();
    proc_parse_status(text, &status);
    struct str path = proc_parse_cgroup(text);
    cgroup_unit(path);
    cgroup_unit(text);
    struct str id = cgroup_container(text);
    if (id.n > 64)
        abort();
    proc_descriptor_kind(text);
    size_t argc = proc_parse_argv(text, &arena, &list), bytes = 0;
    for (size_t i = 0; i < argc; i++) {
        proc_environment_listed(list[i]);
        bytes += list[i].n + 1;
    }
    if (bytes > n + 1)
        abort();
    arena_done(&arena);
    struct users *u;
    if (users_new("/nonexistent", &u) == 0) {
        users_parse(u, text);
        users_free(u);
    }
    return 0;
}
