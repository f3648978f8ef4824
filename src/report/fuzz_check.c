// SPDX-License-Identifier: Apache-2.0
// Any bytes as a report's text: sentences stay within the text's lines, findings within their sentence.
#include "report/check.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct str clients[] = {{"acme", 4}, {"B\xc3\xbcro AG", 8}};
    static const struct report_check_options options = {clients, 2};
    static struct report_checker *checker;
    struct arena arena = {0};
    struct report_checked checked;
    if (size > 4096)
        return 0;
    if (!checker && report_checker_new(&options, &checker) < 0)
        abort();
    if (report_check(checker, &arena, str_bytes(data, size), "text", &checked, NULL) < 0)
        abort();
    unsigned lines = 1;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    for (size_t i = 0; i < checked.n_sentences; i++)
        if (!checked.sentences[i].line || checked.sentences[i].line > lines)
            abort();
    for (size_t i = 0; i < checked.n; i++) {
        struct str s = checked.sentences[checked.findings[i].sentence].text;
        struct str words = checked.findings[i].words;
        if (words.p < s.p || words.p + words.n > s.p + s.n)
            abort();
    }
    arena_done(&arena);
    return 0;
}
