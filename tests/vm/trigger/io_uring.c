// SPDX-License-Identifier: Apache-2.0
// What is asked for by io_uring, and done by the kernel's own workers or later, is seen and refused like a system call.
#include "account.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <sys/socket.h>

static struct io_uring ring;

static struct io_uring_sqe *prepare(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (!sqe)
        account_failed("io_uring_get_sqe");
    return sqe;
}

// `worker`: by a kernel worker thread, even where it could be done at once.
static int submit(struct io_uring_sqe *sqe, int worker)
{
    struct io_uring_cqe *cqe;
    if (worker)
        io_uring_sqe_set_flags(sqe, IOSQE_ASYNC);
    if (io_uring_submit(&ring) != 1 || io_uring_wait_cqe(&ring, &cqe))
        account_failed("io_uring_submit");
    int result = cqe->res;
    io_uring_cqe_seen(&ring, cqe);
    return result;
}

static void done(const char *what, int result)
{
    if (result >= 0)
        return;
    errno = -result;
    account_failed(what);
}

static void files(const char *scratch, int worker)
{
    char path[600], other[620];
    snprintf(path, sizeof path, "%s/by-%s", scratch, worker ? "worker" : "caller");
    snprintf(other, sizeof other, "%s-renamed", path);
    struct io_uring_sqe *sqe = prepare();
    io_uring_prep_openat(sqe, AT_FDCWD, path, O_CREAT | O_WRONLY | O_EXCL, 0755);
    int fd = submit(sqe, worker);
    done("openat", fd);
    account("file", "ProcessId", account_pid(), "FileAction", "create", "TargetFilename", path,
            NULL);
    sqe = prepare();
    io_uring_prep_write(sqe, fd, "#!/bin/sh\n", 10, 0);
    done("write", submit(sqe, worker));
    sqe = prepare();
    io_uring_prep_close(sqe, fd);
    done("close", submit(sqe, worker));
    account("file", "ProcessId", account_pid(), "FileAction", "write", "TargetFilename", path,
            NULL);
    sqe = prepare();
    io_uring_prep_renameat(sqe, AT_FDCWD, path, AT_FDCWD, other, 0);
    done("renameat", submit(sqe, worker));
    account("file", "ProcessId", account_pid(), "FileAction", "rename", "TargetFilename", other,
            "SourceFilename", path, NULL);
    sqe = prepare();
    io_uring_prep_unlinkat(sqe, AT_FDCWD, other, 0);
    done("unlinkat", submit(sqe, worker));
    account("file", "ProcessId", account_pid(), "FileAction", "delete", "TargetFilename", other,
            NULL);
}

static int connect_by(const struct sockaddr_in *to, int worker)
{
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct io_uring_sqe *sqe = prepare();
    io_uring_prep_connect(sqe, client, (const struct sockaddr *)to, sizeof *to);
    int result = submit(sqe, worker);
    close(client);
    return result;
}

static void connections(int worker)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = inet_addr("127.66.0.11");
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4) ||
        getsockname(listener, (struct sockaddr *)&address, &size))
        account_failed("listen");
    done("connect", connect_by(&address, worker));
    account("connect", "ProcessId", account_pid(), "DestinationIp", "127.66.0.11",
            "DestinationPort", account_number(ntohs(address.sin_port)), "Protocol", "tcp", "Denied",
            "", NULL);
    close(listener);
    // tiercel.yml denies this one, in every mode.
    address.sin_addr.s_addr = inet_addr("127.66.250.1");
    address.sin_port = htons((uint16_t)(7001 + worker));
    int result = connect_by(&address, worker);
    if (result != -EPERM) {
        fprintf(stderr, "a denied connect was answered with %d\n", result);
        exit(1);
    }
    account("connect", "ProcessId", account_pid(), "DestinationIp", "127.66.250.1",
            "DestinationPort", account_number((uint64_t)(7001 + worker)), "Denied", "true", NULL);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    int r = io_uring_queue_init(8, &ring, 0);
    if (r == -ENOSYS || r == -EPERM)
        account_skip("this kernel has io_uring switched off");
    done("io_uring_queue_init", r);
    for (int worker = 0; worker < 2; worker++) {
        files(argv[1], worker);
        connections(worker);
    }
    io_uring_queue_exit(&ring);
    return 0;
}
