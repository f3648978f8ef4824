// SPDX-License-Identifier: Apache-2.0
#include "sensor/gate_image.h"
#include <elf.h>

#define INTERPRETER_MAX 4096u // PATH_MAX, as the kernel

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

static void script(struct str head, struct gate_image *ret)
{
    struct str line = {head.p + 2, (head.n < GATE_SCRIPT_HEAD ? head.n : GATE_SCRIPT_HEAD - 1) - 2};
    size_t end = 0;
    while (end < line.n && line.p[end] != '\n' && line.p[end] != 0)
        end++;
    bool whole = end < line.n || head.n < GATE_SCRIPT_HEAD;
    line.n = end;
    while (line.n && blank(line.p[0]))
        line = (struct str){line.p + 1, line.n - 1};
    while (line.n && blank(line.p[line.n - 1]))
        line.n--;
    size_t name = 0;
    while (name < line.n && !blank(line.p[name]))
        name++;
    if (!name || (!whole && name == line.n))
        return; // the kernel takes no cut or empty name: not a program
    ret->kind = GATE_IMAGE_SCRIPT;
    ret->line = line;
    ret->interpreter = (struct str){line.p, name};
}

static void elf_interpreter(struct str head, uint64_t at, uint64_t bytes, struct gate_image *ret)
{
    if (bytes < 2 || bytes > INTERPRETER_MAX)
        return; // the kernel refuses such a file
    ret->interpreter_at = at;
    ret->interpreter_bytes = (uint32_t)bytes;
    if (at <= head.n && bytes <= head.n - at)
        ret->interpreter = (struct str){head.p + at, strnlen(head.p + at, bytes)};
}

static void elf64(struct str head, struct gate_image *ret)
{
    Elf64_Ehdr h;
    Elf64_Phdr p;
    memcpy(&h, head.p, sizeof h);
    if (h.e_phentsize != sizeof p)
        return;
    for (size_t i = 0; i < h.e_phnum; i++) {
        if (h.e_phoff > head.n || (i + 1) * sizeof p > head.n - h.e_phoff)
            return;
        memcpy(&p, head.p + h.e_phoff + i * sizeof p, sizeof p);
        if (p.p_type == PT_INTERP) {
            elf_interpreter(head, p.p_offset, p.p_filesz, ret);
            return;
        }
    }
}

static void elf32(struct str head, struct gate_image *ret)
{
    Elf32_Ehdr h;
    Elf32_Phdr p;
    memcpy(&h, head.p, sizeof h);
    if (h.e_phentsize != sizeof p)
        return;
    for (size_t i = 0; i < h.e_phnum; i++) {
        if (h.e_phoff > head.n || (i + 1) * sizeof p > head.n - h.e_phoff)
            return;
        memcpy(&p, head.p + h.e_phoff + i * sizeof p, sizeof p);
        if (p.p_type == PT_INTERP) {
            elf_interpreter(head, p.p_offset, p.p_filesz, ret);
            return;
        }
    }
}

void gate_image_parse(struct str head, struct gate_image *ret)
{
    *ret = (struct gate_image){0};
    if (head.n >= 2 && head.p[0] == '#' && head.p[1] == '!') {
        script(head, ret);
    } else if (head.n >= sizeof(Elf64_Ehdr) && memcmp(head.p, ELFMAG, SELFMAG) == 0) {
        ret->kind = GATE_IMAGE_ELF;
        if (head.p[EI_CLASS] == ELFCLASS64)
            elf64(head, ret);
        else if (head.p[EI_CLASS] == ELFCLASS32)
            elf32(head, ret);
    }
}

// To add an interpreter: a line with its base name (a version may follow it), the options that take the next argument,
// and those that bring the code themselves or read it elsewhere, so that no file is run.
struct runner {
    const char *name;
    const char *with_value; // blank-separated
    const char *no_file;
};
static const struct runner runners[] = {
    {"ld-linux",
     "--library-path --inhibit-rpath --audit --preload --argv0 --glibc-hwcaps-prepend "
     "--glibc-hwcaps-mask",
     "--help --version"},
    {"ld-musl", "--library-path --preload --argv0", "--help --version"},
    {"ld.so",
     "--library-path --inhibit-rpath --audit --preload --argv0 --glibc-hwcaps-prepend "
     "--glibc-hwcaps-mask",
     "--help --version"},
    {"ld-2", "--library-path --inhibit-rpath --audit --preload --argv0", "--help --version"},
    {"ld64", "--library-path --inhibit-rpath --audit --preload --argv0", "--help --version"},
    {"sh", "-o +o", "-c -s"},
    {"dash", "-o +o", "-c -s"},
    {"bash", "-o +o -O +O --rcfile --init-file", "-c -s"},
    {"ksh", "-o +o", "-c -s"},
    {"zsh", "-o +o", "-c -s"},
    {"python", "-W -X --check-hash-based-pycs", "-c -m"},
    {"perl", "-I -M -m", "-e -E"},
    {"ruby", "-I -r -C -E", "-e"},
    {"php", "-c -d -z -t", "-r -R -B -E -S"},
    {"node", "-r --require --import --loader", "-e -p --eval --print"},
    {"lua", "-l", "-e"},
    {"awk", "-F -v", ""},
    {"gawk", "-F -v", ""},
    {"mawk", "-F -v", ""},
    {"tclsh", "", ""},
};

static bool listed(struct str option, const char *list)
{
    struct str rest = str_from(list), one;
    while (str_split(&rest, ' ', &one))
        if (one.n && str_eq(option, one))
            return true;
    return false;
}

// "python3.11" is "python", "ld-linux-x86-64.so.2" is "ld-linux"; "shred" is not "sh".
static bool named(struct str base, const char *name)
{
    struct str n = str_from(name);
    if (!str_starts(base, n))
        return false;
    if (base.n == n.n)
        return true;
    char next = base.p[n.n];
    return (next >= '0' && next <= '9') || next == '.' || (n.n > 2 && next == '-');
}

bool gate_image_target(struct str image, const struct str *argv, size_t argc, struct str *ret)
{
    const struct runner *r = NULL;
    struct str base = str_basename(image);
    for (size_t i = 0; i < sizeof runners / sizeof *runners && !r; i++)
        if (named(base, runners[i].name))
            r = &runners[i];
    if (!r)
        return false;
    *ret = STR_NONE;
    for (size_t i = 1; i < argc; i++) {
        struct str a = argv[i];
        if (str_eq(a, STR("--"))) {
            if (i + 1 < argc)
                *ret = argv[i + 1];
            return true;
        }
        if (a.n < 2 || (a.p[0] != '-' && a.p[0] != '+')) {
            *ret = a;
            return true;
        }
        if (listed(a, r->no_file))
            return true;
        if (listed(a, r->with_value))
            i++;
    }
    return true;
}
