// SPDX-License-Identifier: Apache-2.0
// Whether this host is enrolled at a hub. The parent never reads the file: it sees that it is there and passes it on.
#include "agent/parent.h"
#include "base/cleanup.h"
#include "link/enrolment.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static void path_of(const struct parent *p, char ret[ROLE_PATH + 16])
{
    snprintf(ret, ROLE_PATH + 16, "%s/" ENROLMENT_FILE, p->config.state);
}

void enrolled_watch(struct parent *p)
{
    char path[ROLE_PATH + 16];
    struct stat st;
    struct hub_file now = {0};
    const struct role_page *page = p->children[ROLE_UPLINK].page;
    path_of(p, path);
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
        now = (struct hub_file){.inode = st.st_ino,
                                .changed_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u +
                                              (uint64_t)st.st_mtim.tv_nsec,
                                .size = (uint64_t)st.st_size};
    if (page && page->uplink.file)
        p->segments.unsent_from = page->uplink.file;
    if (memcmp(&now, &p->hub, sizeof(now)) == 0)
        return;
    p->hub = now;
    p->segments.wanted = enrolled(p);
    p->segments.unsent_from = 0; // another hub may have nothing
    parent_state(p, "hub", "%s", enrolled(p) ? "enrolled" : "not enrolled any more");
    child_end(p, ROLE_UPLINK); // another is started with the new one
    p->children[ROLE_UPLINK].not_before_ns = 0;
}

int enrolled_give(struct parent *p)
{
    char path[ROLE_PATH + 16];
    path_of(p, path);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    return fd < 0 ? -errno : child_give(p, ROLE_UPLINK, GIVE_ENROLMENT, 0, fd);
}
