// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "hub/wire.h"
#include "os/sandbox.h"
#include <errno.h>
#include <signal.h>
#include <string.h>

int hub_enter(const char *name, uint32_t uid, unsigned allow, const int *calls)
{
    const struct os_sandbox sandbox = {.name = name, .uid = uid, .allow = allow, .calls = calls};
    struct error e = {0};
    char weaker[160];
    pid_t parent = getppid();
    if (os_sandbox_enter(&sandbox, weaker, &e) < 0) {
        fprintf(stderr, "%s: %s; %s\n", name, e.what, e.way_out);
        return -EPERM;
    }
    if (getppid() != parent) // it died before the kernel was told to end us with it
        return -EPIPE;
    return link_send(HUB_CHANNEL, HUB_READY, NULL, 0, NULL, 0, 1);
}

int hub_role(const char *name)
{
    static struct link_message m;
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2};
    int (*run)(const struct hub_setup *) = !strcmp(name, "front")      ? hub_front
                                           : !strcmp(name, "core")     ? hub_core
                                           : !strcmp(name, "attempts") ? hub_attempts
                                           : !strcmp(name, "signer")   ? hub_signer
                                           : !strcmp(name, "egress")   ? hub_egress
                                                                       : NULL;
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    const struct hub_setup *setup = NULL;
    if (run && link_receive(HUB_CHANNEL, &m, 1) == 1 && m.type == HUB_SETUP)
        setup = link_body(&m, struct hub_setup);
    if (!setup) {
        fprintf(stderr, "tiercel-hub: role %s is started by the hub itself, not by hand\n", name);
        return 2;
    }
    static struct hub_setup own;
    own = *setup;
    return run(&own) < 0 ? 1 : 0;
}
