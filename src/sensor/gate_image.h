// SPDX-License-Identifier: Apache-2.0
// What the first bytes of a file say about who else will be asked for: the interpreter of a `#!` line, the loader of an
// ELF file. Reads as the kernel does (fs/binfmt_script.c, fs/binfmt_elf.c), from hostile bytes.
#pragma once
#include "base/str.h"

enum { GATE_IMAGE_HEAD = 4096, GATE_SCRIPT_HEAD = 256 /* the kernel's BINPRM_BUF_SIZE */ };
enum gate_image_kind { GATE_IMAGE_OTHER, GATE_IMAGE_SCRIPT, GATE_IMAGE_ELF };
struct gate_image {
    enum gate_image_kind kind;
    struct str line;         // script: without `#!` and outer blanks
    struct str interpreter;  // of either kind; empty where there is none, or it is not in `head`
    uint64_t interpreter_at; // ELF: where in the file, when not in `head`; its length below
    uint32_t interpreter_bytes;
};
// `head`: the first bytes of the file, at most GATE_IMAGE_HEAD; the results borrow from it.
void gate_image_parse(struct str head, struct gate_image *ret);

// What a direct run of a loader or an interpreter runs. True: `image` is one of them and *ret is the first argument that
// is not one of its options (empty where there is none: standard input, or code in an argument).
bool gate_image_target(struct str image, const struct str *argv, size_t argc, struct str *ret);
