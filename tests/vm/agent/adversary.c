// SPDX-License-Identifier: Apache-2.0
// The other end of a reverse shell, at 127.66.0.1:4444: whoever calls is sent one command, which makes a marker.
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
    static const char command[] = "echo ran >/tmp/m/$M\nexit\n";
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(4444)};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, "127.66.0.1", &at.sin_addr);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    signal(SIGCHLD, SIG_IGN);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 8) < 0)
        return 1;
    for (;;) {
        int caller = accept(listener, NULL, NULL);
        if (caller >= 0 && fork() == 0) {
            if (write(caller, command, sizeof command - 1) < 0)
                return 1;
            poll(NULL, 0, 5000);
            return 0;
        }
        close(caller);
    }
}
