// SPDX-License-Identifier: Apache-2.0
// The two ends of the responses' tests: serves echoes, tries a connection, holds one and says how it fares, sends a raw or a
// nameless datagram, answers and asks for names, and stands for a web server that starts a program.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int at(const char *ip, const char *port, struct sockaddr_storage *ret, socklen_t *ret_n)
{
    struct sockaddr_in *four = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, ip, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)atoi(port));
        *ret_n = sizeof *four;
        return AF_INET;
    }
    inet_pton(AF_INET6, ip, &six->sin6_addr);
    six->sin6_family = AF_INET6;
    six->sin6_port = htons((uint16_t)atoi(port));
    *ret_n = sizeof *six;
    return AF_INET6;
}

static int serve(const char *ip, const char *port)
{
    struct sockaddr_storage a;
    socklen_t n;
    int family = at(ip, port, &a, &n), on = 1;
    int fd = socket(family, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    signal(SIGCHLD, SIG_IGN);
    if (bind(fd, (struct sockaddr *)&a, n) < 0 || listen(fd, 8) < 0)
        return 1;
    for (int c; (c = accept(fd, NULL, NULL)) >= 0 || errno == EINTR;) {
        char byte;
        if (c >= 0 && fork() == 0) {
            while (read(c, &byte, 1) == 1 && write(c, &byte, 1) == 1)
                ;
            _exit(0);
        }
        close(c);
    }
    return 1;
}

static int reach(const char *ip, const char *port)
{
    struct sockaddr_storage a;
    struct timeval limit = {.tv_sec = 3};
    socklen_t n;
    int fd = socket(at(ip, port, &a, &n), SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return connect(fd, (struct sockaddr *)&a, n) < 0 ? -errno : fd;
}

static const char *echo(int fd)
{
    char byte = 'x';
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
        return strerrorname_np(errno);
    if (poll(&p, 1, 1500) != 1)
        return "silence";
    return recv(fd, &byte, 1, 0) == 1 ? "ok" : "end";
}

static int try(const char *ip, const char *port)
{
    int fd = reach(ip, port);
    const char *how = fd < 0 ? strerrorname_np(-fd) : echo(fd);
    puts(how);
    return strcmp(how, "ok") != 0;
}

static int hold(const char *ip, const char *port, const char *file)
{
    int fd = reach(ip, port);
    for (;;) {
        const char *how = fd < 0 ? strerrorname_np(-fd) : echo(fd);
        char name[256];
        snprintf(name, sizeof name, "%s.new", file);
        FILE *f = fopen(name, "w");
        if (!f)
            return 1;
        fprintf(f, "%s\n", how);
        fclose(f);
        rename(name, file);
        usleep(200000);
    }
}

static int datagram(const char *ip, const char *port)
{
    struct sockaddr_storage a;
    socklen_t n;
    int fd = socket(at(ip, port, &a, &n), SOCK_DGRAM, 0);
    ssize_t r = sendto(fd, "x", 1, 0, (struct sockaddr *)&a, n);
    puts(r == 1 ? "ok" : strerrorname_np(errno));
    return r != 1;
}

static int raw(const char *ip)
{
    static const unsigned char ping[8] = {8, 0, 0xf7, 0xff};
    struct sockaddr_storage a;
    socklen_t n;
    int fd = socket(at(ip, "0", &a, &n), SOCK_RAW, IPPROTO_ICMP);
    ssize_t r = sendto(fd, ping, sizeof ping, 0, (struct sockaddr *)&a, n);
    puts(r > 0 ? "ok" : strerrorname_np(errno));
    return r <= 0;
}

// A name server that answers every question with one IPv4 address.
static int names(const char *ip, const char *answer)
{
    unsigned char packet[512], record[16] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4};
    struct sockaddr_storage a, from;
    socklen_t n;
    int fd = socket(at(ip, "53", &a, &n), SOCK_DGRAM, 0);
    inet_pton(AF_INET, answer, record + 12);
    if (bind(fd, (struct sockaddr *)&a, n) < 0)
        return 1;
    for (;;) {
        socklen_t size = sizeof from;
        ssize_t got =
            recvfrom(fd, packet, sizeof packet - sizeof record, 0, (struct sockaddr *)&from, &size);
        if (got < 12)
            continue;
        packet[2] |= 0x80; // an answer, with one record
        packet[7] = 1;
        memcpy(packet + got, record, sizeof record);
        sendto(fd, packet, (size_t)got + sizeof record, 0, (struct sockaddr *)&from, size);
    }
}

static int ask(const char *ip, const char *name)
{
    unsigned char packet[512] = {0x12, 0x34, 1, 0, 0, 1};
    struct sockaddr_storage a;
    struct timeval limit = {.tv_sec = 3};
    socklen_t n;
    size_t used = 12;
    for (const char *label = name; *label;) {
        size_t length = strcspn(label, ".");
        if (!length || length > 63 || used + length > 300)
            return 2;
        packet[used++] = (unsigned char)length;
        memcpy(packet + used, label, length);
        used += length;
        label += length + (label[length] == '.');
    }
    memcpy(packet + used, "\0\0\1\0\1", 5);
    int fd = socket(at(ip, "53", &a, &n), SOCK_DGRAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&a, n) < 0 || send(fd, packet, used + 5, 0) < 0)
        return 1;
    ssize_t got = recv(fd, packet, sizeof packet, 0);
    puts(got > 16 ? inet_ntoa(*(struct in_addr *)(packet + got - 4)) : "no answer");
    return got <= 16;
}

// The first process of a lineage: holds a connection, and tries again and again to start a program.
static int lineage(char **argv)
{
    if (fork() == 0)
        return hold(argv[0], argv[1], argv[2]);
    for (;;) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(126);
        }
        waitpid(pid, &status, 0);
        FILE *f = fopen(argv[3], "w");
        fputs(status == 0 ? "runs\n" : "refused\n", f);
        fclose(f);
        usleep(200000);
    }
}

static int start(char **argv)
{
    pid_t pid = fork();
    if (pid == 0) {
        execv(argv[0], argv);
        _exit(126);
    }
    signal(SIGTERM, SIG_DFL);
    int status;
    waitpid(pid, &status, 0);
    for (;;)
        pause(); // a service goes on when what it started has ended
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "serve"))
        return serve(argv[2], argv[3]);
    if (argc == 4 && !strcmp(argv[1], "try"))
        return try(argv[2], argv[3]);
    if (argc == 5 && !strcmp(argv[1], "hold"))
        return hold(argv[2], argv[3], argv[4]);
    if (argc == 6 && !strcmp(argv[1], "lineage"))
        return lineage(argv + 2);
    if (argc == 4 && !strcmp(argv[1], "datagram"))
        return datagram(argv[2], argv[3]);
    if (argc == 4 && !strcmp(argv[1], "names"))
        return names(argv[2], argv[3]);
    if (argc == 4 && !strcmp(argv[1], "ask"))
        return ask(argv[2], argv[3]);
    if (argc == 3 && !strcmp(argv[1], "raw"))
        return raw(argv[2]);
    if (argc > 2 && !strcmp(argv[1], "start"))
        return start(argv + 2);
    return 2;
}
