// SPDX-License-Identifier: Apache-2.0
#include "intel/import.h"
#include "intel/warning.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

// A feed in two pieces; the same feed again changes nothing.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct knowledge *k = NULL;
    struct import i = {0};
    struct str text = str_bytes(data, n), first = str_bytes(data, n / 2);
    static struct warning w;
    if (knowledge_open(":memory:", true, &k, NULL))
        return 0;
    i.knowledge = k;
    if (knowledge_source(k, STR("feed"), STR_NONE, 1, &i.source, NULL))
        abort();
    import_begin(&i);
    if (import_feed(&i, first, NULL) == 0)
        import_feed(&i, str_bytes(text.p + first.n, n - first.n), NULL);
    import_end(&i, NULL);
    int64_t version = knowledge_version(k, NULL);
    import_begin(&i);
    import_feed(&i, text, NULL);
    import_end(&i, NULL);
    if (knowledge_version(k, NULL) != version)
        abort();
    import_done(&i);
    knowledge_close(k);
    warning_init(&w);
    warning_load(&w, text.p ? text.p : "", n, NULL);
    warning_find(&w, text);
    warning_done(&w);
    return 0;
}
