// SPDX-License-Identifier: Apache-2.0
#include "sensor/gate_image.h"
#include <stdlib.h>

static void inside(struct str part, struct str whole)
{
    if (part.n && (part.p < whole.p || part.p + part.n > whole.p + whole.n))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str head = str_bytes(data, n < GATE_IMAGE_HEAD ? n : GATE_IMAGE_HEAD), rest = head,
               argv[64], target;
    struct gate_image image;
    size_t argc = 0;

    gate_image_parse(head, &image);
    inside(image.line, head);
    inside(image.interpreter, head);
    if (image.interpreter_bytes > 4096)
        abort();
    while (argc < 64 && str_split(&rest, '\n', &argv[argc]))
        argc++;
    static const char *const images[] = {"/lib64/ld-linux-x86-64.so.2", "/bin/bash",
                                         "/usr/bin/python3.11"};
    for (size_t i = 0; i < 3; i++)
        if (gate_image_target(str_from(images[i]), argv, argc, &target))
            inside(target, head);
    return 0;
}
