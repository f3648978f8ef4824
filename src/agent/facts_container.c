// SPDX-License-Identifier: Apache-2.0
#include "agent/facts_container.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES (1 << 20)

bool container_id_good(struct str id)
{
    for (size_t i = 0; i < id.n; i++)
        if (!strchr("0123456789abcdef", id.p[i]) || !id.p[i])
            return false;
    return id.n >= 12 && id.n <= 64;
}

static json_t *read_json(const char *path)
{
    struct stat st;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX_BYTES)
        return NULL;
    char *text = malloc((size_t)st.st_size + 1);
    ssize_t n = text ? read(fd, text, (size_t)st.st_size) : -1;
    json_t *root = n > 0 ? json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL) : NULL;
    free(text);
    return root;
}

static void take(const json_t *text, char ret[64])
{
    const char *name = json_string_value(text);
    if (name)
        snprintf(ret, 64, "%s", *name == '/' ? name + 1 : name);
}

void container_name(const char *docker, const char *podman, const char *id, char ret[64])
{
    char path[512];
    size_t i;
    json_t *one;
    ret[0] = 0;
    snprintf(path, sizeof path, "%s/%s/config.v2.json", docker, id);
    json_t *root = read_json(path);
    take(json_object_get(root, "Name"), ret);
    json_decref(root);
    if (ret[0])
        return;
    snprintf(path, sizeof path, "%s/containers.json", podman);
    root = read_json(path);
    json_array_foreach(root, i, one)
    {
        const char *its = json_string_value(json_object_get(one, "id"));
        if (its && strncmp(its, id, strlen(id)) == 0)
            take(json_array_get(json_object_get(one, "names"), 0), ret);
    }
    json_decref(root);
}
