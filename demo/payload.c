// SPDX-License-Identifier: Apache-2.0
// The demo's "tool": creates one file the moment it runs, and nothing else.
#include <fcntl.h>

int main(void)
{
    return open(MARKER, O_CREAT | O_WRONLY, 0644) < 0;
}
