// SPDX-License-Identifier: Apache-2.0
// A container's name as its runtime has it on disk. Docker: containers/ID/config.v2.json, "Name": "/web". Podman (of
// root): overlay-containers/containers.json, a list with "id" and "names". Other runtimes keep no name where a file says it.
#pragma once
#include "base/str.h"
#include <stdbool.h>

#define CONTAINER_DOCKER "/var/lib/docker/containers"
#define CONTAINER_PODMAN "/var/lib/containers/storage/overlay-containers"

bool container_id_good(struct str id); // 12 to 64 hexadecimal digits
// Empty where none is found. Files over 1 MiB and texts that are not JSON are passed over.
void container_name(const char *docker, const char *podman, const char *id, char ret[64]);
