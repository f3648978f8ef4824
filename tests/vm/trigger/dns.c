// SPDX-License-Identifier: Apache-2.0
// Asks a name server, which is a child of this program on 127.66.0.53, and connects to the address that it was given.
#include "account.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>

static const unsigned char question[] = {0x77, 0x01, 1,   0,   0,   1,   0,   0,   0,   0,   0,
                                         0,    9,    't', 'i', 'e', 'r', 'c', 'e', 'l', '-', 'x',
                                         4,    't',  'e', 's', 't', 0,   0,   1,   0,   1};
static const unsigned char answer[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 66, 0, 99};

static struct sockaddr_in address(const char *ip, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, ip, &a.sin_addr);
    return a;
}

static void serve(int fd)
{
    unsigned char m[512];
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    ssize_t n = recvfrom(fd, m, sizeof m - sizeof answer, 0, (struct sockaddr *)&from, &length);
    if (n < 12)
        _exit(1);
    m[2] |= 0x80;
    m[7] = 1;
    memcpy(m + n, answer, sizeof answer);
    n += (ssize_t)sizeof answer;
    _exit(sendto(fd, m, (size_t)n, 0, (struct sockaddr *)&from, length) == n ? 0 : 1);
}

int main(void)
{
    struct sockaddr_in server = address("127.66.0.53", 53), target = address("127.66.0.99", 4499);
    unsigned char got[512];
    int status, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&server, sizeof server))
        account_skip("127.66.0.53:53 is not free");
    pid_t child = fork();
    if (child == 0)
        serve(fd);
    close(fd);
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&server, sizeof server) ||
        send(fd, question, sizeof question, 0) != sizeof question ||
        recv(fd, got, sizeof got, 0) != sizeof question + sizeof answer ||
        waitpid(child, &status, 0) != child || status)
        account_failed("asking");
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&target, sizeof target) == 0) // asked is enough
        account_failed("nobody should listen");
    close(fd);
    account("dns", "QueryName", "tiercel-x.test", "QueryType", "1", "Answered", "", "ServerIp",
            "127.66.0.53", "ProcessId", account_pid(), NULL);
    account("dns", "QueryName", "tiercel-x.test", "Answered", "true", "QueryResults", "127.66.0.99",
            "QueryStatus", "0", "ProcessId", account_pid(), NULL);
    account("connect", "DestinationIp", "127.66.0.99", "DestinationPort", "4499",
            "DestinationHostname", "tiercel-x.test", "ProcessId", account_pid(), NULL);
    return 0;
}
