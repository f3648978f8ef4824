// SPDX-License-Identifier: Apache-2.0
// Inside event/: what a field is once its path has been resolved against the descriptors. Built once, then constant.
#pragma once
#include "event/field.h"
#include "event/leaf.h"

#define FIELD_STEPS_MAX 5 // messages on the way to a leaf; asserted when the table is built
#define FIELD_PATH_MAX 48

enum field_form {
    PLAIN,
    JOINED,
    USER,
    SECONDS,
    WORD_0,
    WORD_1,
    WORD_2,
    IDENTITY,
    PROTOCOL,
    OCTAL,
    HASHES,
};

enum { // Sigma's categories, as bits
    PROCESS = 1 << 0,
    END = 1 << 1,
    NETWORK = 1 << 2,
    FILE_EVENT = 1 << 3,
    FILE_ACCESS = 1 << 4,
    FILE_CHANGE = 1 << 5,
    FILE_DELETE = 1 << 6,
    DNS = 1 << 7,
    SOCKETS = 1 << 8,
    FLOW = 1 << 9,
    CREDENTIALS = 1 << 10,
    ACCESS = 1 << 11,
    MODULE = 1 << 12,
    BPF = 1 << 13,
    MOUNT = 1 << 14,
    NAMESPACE = 1 << 15,
    SIGNAL = 1 << 16,
    FILES = FILE_EVENT | FILE_ACCESS | FILE_CHANGE | FILE_DELETE,
    KERNEL = CREDENTIALS | ACCESS | MODULE | BPF | MOUNT | NAMESPACE | SIGNAL,
    OTHERS = END | NETWORK | FILES | DNS | SOCKETS | FLOW | KERNEL,
    ALL = PROCESS | OTHERS,
};

struct field_step { // into a sub-message
    uint32_t offset;
    uint32_t case_offset; // of the oneof's case
    uint32_t case_id;     // 0: not part of a oneof
    const ProtobufCMessageDescriptor *type;
};

struct field {
    unsigned categories; // 0: a leaf without a line in fields.def
    enum field_form form;
    enum field_privacy privacy;
    const char *sigma, *ocsf, *column, *about; // NULL without a line, and where there is none
    char path[FIELD_PATH_MAX];
    unsigned n_steps;
    struct field_step steps[FIELD_STEPS_MAX];
    const ProtobufCFieldDescriptor
        *leaf; // in the message that the steps lead to; for IDENTITY a message
    enum leaf_kind kind;
};
