// SPDX-License-Identifier: Apache-2.0
// The exceptions file on any bytes; what parses is asked about an event, and a shape never runs away.
#include "detect/exception.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str text = {(const char *)data, n};
    struct arena arena = {0};
    struct error e = {0};
    struct exception *list = NULL;
    size_t count = 0;
    Tiercel__Event event = TIERCEL__EVENT__INIT;
    Tiercel__Process process = TIERCEL__PROCESS__INIT;
    ProtobufCBinaryData argv[2] = {{n / 2, (uint8_t *)data}, {n - n / 2, (uint8_t *)data + n / 2}};
    process.argv = argv;
    process.n_argv = 2;
    event.process = &process;
    if (exception_parse(text, "fuzz", &arena, &list, &count, &e) == 0)
        for (size_t i = 0; i < count; i++)
            exception_lifts(&list[i], list[i].rule, &event, 0);
    exception_shape((struct str){text.p, n / 2}, (struct str){text.p + n / 2, n - n / 2});
    arena_done(&arena);
    return 0;
}
