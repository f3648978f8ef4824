// SPDX-License-Identifier: Apache-2.0
// What the spawn workload starts: static, so that an exec is an exec and not a dynamic linker's work.
int main(void)
{
    return 0;
}
