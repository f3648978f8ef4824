// SPDX-License-Identifier: Apache-2.0
// Writes a program of 170 bytes to its standard output, without any library, that can also be another program's loader:
// it makes the folder which its first argument names, as its first act, and ends with 7.
#include <elf.h>
#include <string.h>
#include <unistd.h>

#define AT 0x10000000

static const unsigned char code[] = {
    0x48, 0x8b, 0x7c, 0x24, 0x10, // mov rdi, [rsp+16]: argv[1]
    0xbe, 0xed, 0x01, 0x00, 0x00, // mov esi, 0755
    0xb8, 0x53, 0x00, 0x00, 0x00, // mov eax, mkdir
    0x0f, 0x05,                   // syscall
    0xbf, 0x07, 0x00, 0x00, 0x00, // mov edi, 7
    0xb8, 0x3c, 0x00, 0x00, 0x00, // mov eax, exit
    0x0f, 0x05,                   // syscall
};

int main(void)
{
    struct {
        Elf64_Ehdr header;
        Elf64_Phdr segment;
        unsigned char code[sizeof code];
    } file = {.header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                         .e_type = ET_EXEC,
                         .e_machine = EM_X86_64,
                         .e_version = EV_CURRENT,
                         .e_phoff = sizeof(Elf64_Ehdr),
                         .e_ehsize = sizeof(Elf64_Ehdr),
                         .e_phentsize = sizeof(Elf64_Phdr),
                         .e_phnum = 1}};
    file.header.e_entry = AT + sizeof file.header + sizeof file.segment;
    file.segment = (Elf64_Phdr){.p_type = PT_LOAD,
                                .p_flags = PF_R | PF_W | PF_X,
                                .p_vaddr = AT,
                                .p_filesz = sizeof file,
                                .p_memsz = sizeof file,
                                .p_align = 4096};
    memcpy(file.code, code, sizeof code);
    return write(STDOUT_FILENO, &file, sizeof file) != sizeof file;
}
