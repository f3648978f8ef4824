// SPDX-License-Identifier: Apache-2.0
// What the gate parses: mountinfo, /proc/TID/syscall, first bytes of files, command lines of loaders.
#include "base/test.h"

#include "sensor/gate_image.h"
#include "sensor/gate_mountinfo.h"
#include "sensor/gate_syscall.h"
#include <elf.h>
#include <errno.h>

#define assert_str_equal(a, b) assert_true(str_eq((a), str_from(b)))

static void test_mountinfo_line(void **state)
{
    (void)state;
    struct mountinfo_line m;
    assert_int_equal(
        mountinfo_parse(
            STR("36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/root rw,x=y"),
            &m),
        0);
    assert_int_equal(m.id, 36);
    assert_int_equal(m.major, 98);
    assert_str_equal(m.point, "/mnt\\0402");
    assert_str_equal(m.type, "ext3");
    assert_str_equal(m.options, "rw,x=y");
    char out[16];
    assert_int_equal(mountinfo_unescape(m.point, out), 6);
    assert_string_equal(out, "/mnt 2");
}

static void test_mountinfo_line_without_its_separator_is_refused(void **state)
{
    (void)state;
    struct mountinfo_line m;
    assert_int_equal(mountinfo_parse(STR("36 35 98:0 / / rw ext3 a b"), &m), -EINVAL);
    assert_int_equal(mountinfo_parse(STR("36 35 98 / / rw - ext3 a b"), &m), -EINVAL);
    assert_int_equal(mountinfo_parse(STR("99999999999 35 9:8 / / rw - ext3 a b"), &m), -EINVAL);
    assert_int_equal(mountinfo_parse(STR(""), &m), -EINVAL);
}

static void test_only_local_file_systems_may_be_marked(void **state)
{
    (void)state;
    assert_int_equal(mountinfo_kind(STR("ext4")), MOUNTINFO_LOCAL);
    assert_int_equal(mountinfo_kind(STR("overlay")), MOUNTINFO_OVERLAY);
    static const char *const never[] = {"fuse", "fuseblk", "fuse.sshfs", "nfs",      "nfs4",
                                        "cifs", "smb3",    "9p",         "virtiofs", "autofs"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        assert_int_equal(mountinfo_kind(str_from(never[i])), MOUNTINFO_WAITS);
    assert_int_equal(mountinfo_kind(STR("brandnewfs")), MOUNTINFO_UNKNOWN);
    assert_false(mountinfo_magic_is_local(0x65735546)); // FUSE
    assert_false(mountinfo_magic_is_local(0x6969));     // NFS
    assert_true(mountinfo_magic_is_local(0xEF53));
}

static void test_layers_of_an_overlay(void **state)
{
    (void)state;
    struct str options = STR("rw,lowerdir=/a:/b\\:c::/d,index=off,upperdir=/u,workdir=/w"), layer;
    size_t at = 0;
    static const char *const expected[] = {"/a", "/b\\:c", "/d", "/u"};
    for (size_t i = 0; i < 4; i++) {
        assert_true(mountinfo_next_layer(options, &at, &layer));
        assert_str_equal(layer, expected[i]);
    }
    assert_false(mountinfo_next_layer(options, &at, &layer));
}

static void test_syscall_line_of_each_kind_of_caller(void **state)
{
    (void)state;
    struct gate_call c;
    assert_int_equal(
        gate_syscall_parse(STR("59 0x55d0 0x7ffe10 0x7ffe20 0x8 0x0 0x1 0x7ffe00 0x7f01\n"), &c),
        0);
    assert_true(c.argv == 0x7ffe10 && c.envp == 0x7ffe20 && c.pointer == 8);
    assert_int_equal(
        gate_syscall_parse(STR("322 0x5 0x1 0x7ffe10 0x7ffe20 0x1000 0x1 0x7ffe00 0x7f01\n"), &c),
        0);
    assert_true(c.argv == 0x7ffe10 && c.envp == 0x7ffe20 && c.pointer == 8);
    assert_int_equal(
        gate_syscall_parse(STR("11 0x5 0xffffffff00000010 0x20 0x0 0x0 0x0 0xff 0xf7\n"), &c), 0);
    assert_true(c.argv == 0x10 && c.envp == 0x20 && c.pointer == 4);
    assert_int_equal(gate_syscall_parse(STR("358 0x5 0x1 0x10 0x20 0x0 0x0 0xff 0xf7\n"), &c), 0);
    assert_true(c.argv == 0x10 && c.pointer == 4);
    assert_int_equal(
        gate_syscall_parse(STR("1073742344 0x5 0x10 0x20 0x0 0x0 0x0 0xff 0xf7\n"), &c), 0);
    assert_true(c.argv == 0x10 && c.pointer == 4);
}

static void test_syscall_line_of_a_thread_elsewhere(void **state)
{
    (void)state;
    struct gate_call c;
    assert_int_equal(gate_syscall_parse(STR("running\n"), &c), GATE_CALL_RUNNING);
    assert_int_equal(gate_syscall_parse(STR("-1 0x7ffe00 0x7f01\n"), &c), GATE_CALL_OTHER);
    assert_int_equal(gate_syscall_parse(STR("0 0x0 0x0 0x0 0x0 0x0 0x0 0x0 0x0\n"), &c),
                     GATE_CALL_OTHER);
    assert_int_equal(gate_syscall_parse(STR("59 0x1\n"), &c), -EINVAL);
    assert_int_equal(gate_syscall_parse(STR("59 1 2 3 4\n"), &c), -EINVAL);
    assert_int_equal(gate_syscall_parse(STR(""), &c), -EINVAL);
}

static void test_interpreter_line(void **state)
{
    (void)state;
    struct gate_image i;
    gate_image_parse(STR("#! \t/bin/sh -e x \nrest"), &i);
    assert_int_equal(i.kind, GATE_IMAGE_SCRIPT);
    assert_str_equal(i.line, "/bin/sh -e x");
    assert_str_equal(i.interpreter, "/bin/sh");
    gate_image_parse(STR("#!/bin/sh"), &i); // no newline at all
    assert_str_equal(i.interpreter, "/bin/sh");
    gate_image_parse(STR("#!  \n/bin/sh"), &i);
    assert_int_equal(i.kind, GATE_IMAGE_OTHER);
}

static void test_interpreter_name_that_the_kernel_would_cut(void **state)
{
    (void)state;
    char head[300];
    struct gate_image i;
    memset(head, 'a', sizeof head);
    memcpy(head, "#!/", 3);
    gate_image_parse((struct str){head, sizeof head}, &i);
    assert_int_equal(i.kind, GATE_IMAGE_OTHER);
    head[100] = ' '; // only its argument is cut
    gate_image_parse((struct str){head, sizeof head}, &i);
    assert_int_equal(i.kind, GATE_IMAGE_SCRIPT);
    assert_int_equal(i.interpreter.n, 98);
}

static void test_interpreter_of_an_elf_file(void **state)
{
    (void)state;
    struct {
        Elf64_Ehdr h;
        Elf64_Phdr p;
        char name[16];
    } file = {.h = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64},
                    .e_phoff = sizeof(Elf64_Ehdr),
                    .e_phentsize = sizeof(Elf64_Phdr),
                    .e_phnum = 1},
              .p = {.p_type = PT_INTERP,
                    .p_offset = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr),
                    .p_filesz = 9},
              .name = "/lib/ld8"};
    struct gate_image i;
    gate_image_parse(str_bytes(&file, sizeof file), &i);
    assert_int_equal(i.kind, GATE_IMAGE_ELF);
    assert_str_equal(i.interpreter, "/lib/ld8");
    file.p.p_offset = 1 << 20;
    gate_image_parse(str_bytes(&file, sizeof file), &i);
    assert_true(i.interpreter.n == 0 && i.interpreter_at == 1 << 20 && i.interpreter_bytes == 9);
    file.h.e_phnum = 65535;
    file.p.p_type = PT_LOAD;
    gate_image_parse(str_bytes(&file, sizeof file), &i);
    assert_true(i.kind == GATE_IMAGE_ELF && !i.interpreter.n);
}

static void check_target(const char *image, const char *command, bool runner, const char *target)
{
    struct str argv[16], rest = str_from(command), got = STR("unset");
    size_t n = 0;
    while (str_split(&rest, ' ', &argv[n]))
        n++;
    assert_int_equal(gate_image_target(str_from(image), argv, n, &got), runner);
    if (runner)
        assert_str_equal(got, target);
}

static void test_target_of_a_loader_or_interpreter(void **state)
{
    (void)state;
    check_target("/lib64/ld-linux-x86-64.so.2", "ld.so /tmp/x -a", true, "/tmp/x");
    check_target("/usr/lib/ld-linux-x86-64.so.2", "ld.so --preload e.so --argv0 ls /tmp/x", true,
                 "/tmp/x");
    check_target("/usr/bin/ld.so", "ld.so --list /tmp/x", true, "/tmp/x");
    check_target("/usr/bin/dash", "sh -e /tmp/x.sh", true, "/tmp/x.sh");
    check_target("/usr/bin/dash", "sh -c id", true, "");
    check_target("/usr/bin/python3.11", "python3 -W ignore /tmp/x.py", true, "/tmp/x.py");
    check_target("/usr/bin/python3.11", "python3 -m http.server", true, "");
    check_target("/usr/bin/bash", "bash -- -odd", true, "-odd");
    check_target("/usr/bin/shred", "shred x", false, "");
    check_target("/usr/bin/sh-x", "sh-x y", false, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mountinfo_line),
        cmocka_unit_test(test_mountinfo_line_without_its_separator_is_refused),
        cmocka_unit_test(test_only_local_file_systems_may_be_marked),
        cmocka_unit_test(test_layers_of_an_overlay),
        cmocka_unit_test(test_syscall_line_of_each_kind_of_caller),
        cmocka_unit_test(test_syscall_line_of_a_thread_elsewhere),
        cmocka_unit_test(test_interpreter_line),
        cmocka_unit_test(test_interpreter_name_that_the_kernel_would_cut),
        cmocka_unit_test(test_interpreter_of_an_elf_file),
        cmocka_unit_test(test_target_of_a_loader_or_interpreter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
