// SPDX-License-Identifier: Apache-2.0
#include "sensor/probe_try.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "bpf/fentry_try.skel.h"
#include "bpf/lsm_try.skel.h"
#pragma GCC diagnostic pop

#define TRIAL_ADDRESS "127.66.255.254"

void probe_mechanism_set(struct probe_mechanism *m, enum probe_state state, const char *format, ...)
{
    va_list arguments;

    m->state = state;
    va_start(arguments, format);
    vsnprintf(m->reason, sizeof m->reason, format, arguments);
    va_end(arguments);
}

// setpriority() to the value it has: changes nothing, and asks the security modules.
static int set_same_priority(void)
{
    int now;

    errno = 0;
    now = getpriority(PRIO_PROCESS, 0);
    if (now == -1 && errno)
        return -errno;
    return setpriority(PRIO_PROCESS, 0, now) ? -errno : 0;
}

void probe_try_lsm(struct probe_mechanism *ret)
{
    struct lsm_try_bpf *trial = lsm_try_bpf__open();
    int r;

    if (!trial) {
        probe_mechanism_set(ret, PROBE_REFUSED, "cannot open the trial program: %s",
                            strerror(errno));
        return;
    }
    trial->rodata->trial_tid = (uint32_t)syscall(SYS_gettid);
    r = lsm_try_bpf__load(trial);
    if (r < 0) {
        probe_mechanism_set(ret, r == -ESRCH || r == -ENOENT ? PROBE_ABSENT : PROBE_REFUSED,
                            "loading an LSM program: %s", strerror(-r));
    } else if ((r = lsm_try_bpf__attach(trial)) < 0) {
        probe_mechanism_set(ret, PROBE_REFUSED, "attaching an LSM program: %s", strerror(-r));
    } else {
        r = set_same_priority();
        lsm_try_bpf__detach(trial);
        if (r == -EPERM && set_same_priority() == 0)
            probe_mechanism_set(ret, PROBE_WORKS, "a denied setpriority was refused");
        else
            probe_mechanism_set(
                ret, PROBE_REFUSED,
                "attached, but a denied setpriority went through: bpf is not among the "
                "kernel's active security modules (lsm=)");
    }
    lsm_try_bpf__destroy(trial);
}

void probe_try_fentry(struct probe_mechanism *ret)
{
    struct fentry_try_bpf *trial = fentry_try_bpf__open();
    int r;

    if (!trial) {
        probe_mechanism_set(ret, PROBE_REFUSED, "cannot open the trial program: %s",
                            strerror(errno));
        return;
    }
    r = fentry_try_bpf__load(trial);
    if (r < 0) {
        probe_mechanism_set(ret, r == -ESRCH ? PROBE_ABSENT : PROBE_REFUSED,
                            "loading an fentry program: %s", strerror(-r));
    } else if ((r = fentry_try_bpf__attach(trial)) < 0) {
        probe_mechanism_set(ret, PROBE_REFUSED, "attaching an fentry program: %s", strerror(-r));
    } else {
        LIBBPF_OPTS(bpf_test_run_opts, opts);
        r = bpf_prog_test_run_opts(bpf_program__fd(trial->progs.try_fentry), &opts);
        if (!r && trial->bss->trial_seen)
            probe_mechanism_set(ret, PROBE_WORKS, "a program on the kernel's test function ran");
        else
            probe_mechanism_set(ret, PROBE_REFUSED, "attached, but did not run: %s",
                                r ? strerror(-r) : "not called");
    }
    fentry_try_bpf__destroy(trial);
}

void probe_try_prepare_exec(struct probe_mechanism *ret)
{
    struct btf *btf = btf__load_vmlinux_btf();

    if (btf && btf__find_by_name_kind(btf, "btf_trace_sched_prepare_exec", BTF_KIND_TYPEDEF) > 0)
        probe_mechanism_set(ret, PROBE_WORKS, "the kernel has the tracepoint");
    else
        probe_mechanism_set(ret, PROBE_ABSENT, "the kernel has no such tracepoint (since 6.10)");
    btf__free(btf);
}

bool probe_try_events(const struct probe_fds *fds)
{
    struct probe_counters *counters;
    uint64_t before, after;
    pid_t child;

    if (probe_counters_map(fds->counters, &counters) < 0)
        return false;
    before = probe_counters_sum(counters).sent[COUNT_FORK];
    child = fork();
    if (child == 0)
        _exit(0);
    if (child > 0)
        waitpid(child, NULL, 0);
    after = probe_counters_sum(counters).sent[COUNT_FORK];
    probe_counters_unmap(counters);
    return child > 0 && after > before;
}

// Says that it has a mount namespace of its own, waits for the word and runs something that does nothing.
static void exec_trial_child(int channel)
{
    char c = 0;

    if (unshare(CLONE_NEWNS) || write(channel, &c, 1) != 1 || read(channel, &c, 1) != 1)
        _exit(3);
    execl("/bin/true", "true", (char *)NULL);
    _exit(4);
}

static int exec_trial(struct exec_config *config, const struct probe_fds *fds, int channel,
                      pid_t child)
{
    char path[64], c;
    struct stat st;
    int r;

    if (read(channel, &c, 1) != 1)
        return -EIO;
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", child);
    if (stat(path, &st))
        return -errno;
    r = probe_flags_set(fds->flags, child, -1, FLAG_SERVICE);
    if (r < 0)
        return r;
    config->mount_namespace = (uint32_t)st.st_ino;
    config->prevent = 1;
    __atomic_store_n(&config->armed, 1, __ATOMIC_SEQ_CST);
    return write(channel, &c, 1) == 1 ? 0 : -EIO;
}

void probe_try_exec_signal(struct exec_config *config, const struct probe_fds *fds,
                           struct probe_mechanism *ret)
{
    struct exec_config saved = *config;
    int channel[2], status = 0, r;
    pid_t child;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel)) {
        probe_mechanism_set(ret, PROBE_REFUSED, "socketpair: %s", strerror(errno));
        return;
    }
    child = fork();
    if (child == 0) {
        close(channel[0]);
        exec_trial_child(channel[1]);
    }
    close(channel[1]);
    r = child < 0 ? -errno : exec_trial(config, fds, channel[0], child);
    close(channel[0]);
    if (child > 0)
        waitpid(child, &status, 0);
    *config = saved;
    if (r < 0)
        probe_mechanism_set(ret, PROBE_REFUSED, "the trial could not be set up: %s", strerror(-r));
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        probe_mechanism_set(ret, PROBE_WORKS,
                            "a program that was to be killed before its first instruction was");
    else
        probe_mechanism_set(ret, PROBE_REFUSED,
                            "a program that was to be killed ended with wait status 0x%x",
                            (unsigned)status);
}

// 0 when a datagram socket could be given that peer: nothing is sent.
static int connect_trial(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    inet_pton(AF_INET, TRIAL_ADDRESS, &to.sin_addr);
    return connect(fd, (struct sockaddr *)&to, sizeof to) ? -errno : 0;
}

void probe_try_network(const struct probe_fds *fds, struct probe_mechanism *ret)
{
    struct net_policy deny = {.action = NET_DENY};
    struct in_addr address;
    struct str ip = {(const char *)&address, 4};
    int denied, allowed, r;

    inet_pton(AF_INET, TRIAL_ADDRESS, &address);
    r = probe_net_set(fds, ip, 32, &deny);
    if (r < 0) {
        probe_mechanism_set(ret, PROBE_REFUSED, "cannot write the map of prefixes: %s",
                            strerror(-r));
        return;
    }
    denied = connect_trial();
    probe_net_remove(fds, ip, 32);
    allowed = connect_trial();
    if (denied == -EPERM && allowed == 0)
        probe_mechanism_set(ret, PROBE_WORKS, "a denied connect to " TRIAL_ADDRESS " was refused");
    else if (denied == 0)
        probe_mechanism_set(ret, PROBE_REFUSED,
                            "attached, but a denied connect to " TRIAL_ADDRESS " went through");
    else
        probe_mechanism_set(ret, PROBE_REFUSED,
                            "connect to " TRIAL_ADDRESS ": denied %s, allowed %s",
                            strerror(-denied), allowed ? strerror(-allowed) : "through");
}
