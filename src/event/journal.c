// SPDX-License-Identifier: Apache-2.0
#include "event/segment_format.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#define FILES_MAX ((size_t)1 << 20)
#define NAME_DIGITS 12

size_t journal_name(uint64_t number, char ret[32])
{
    return (size_t)snprintf(ret, 32, "%0*" PRIu64 ".seg", NAME_DIGITS, number);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

// The number in a name that journal_name() would give; anything else in the folder is not ours.
static bool number_of(const char *name, uint64_t *ret)
{
    struct str s = str_from(name);
    char again[32];
    if (!str_ends(s, STR(".seg")) || str_to_u64(str_bytes(s.p, s.n - 4), ret) < 0)
        return false;
    journal_name(*ret, again);
    return *ret > 0 && strcmp(name, again) == 0;
}

static void close_folder(DIR **folder)
{
    if (*folder)
        closedir(*folder);
}

int journal_list(int folder_fd, uint64_t **ret_numbers, size_t *ret_n)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(close_folder) DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder) {
        int r = -errno;
        if (fd >= 0)
            close(fd);
        return r;
    }
    _cleanup_free_ uint64_t *numbers = NULL;
    size_t n = 0, cap = 0;
    uint64_t number;
    for (struct dirent *entry; (errno = 0, entry = readdir(folder));) {
        if (!number_of(entry->d_name, &number))
            continue;
        if (n == FILES_MAX)
            return -EFBIG;
        if (n == cap) {
            cap = cap ? cap * 2 : 64;
            uint64_t *more = reallocarray(numbers, cap, sizeof *more);
            if (!more)
                return -ENOMEM;
            numbers = more;
        }
        numbers[n++] = number;
    }
    if (errno)
        return -errno;
    if (n)
        qsort(numbers, n, sizeof *numbers, compare);
    *ret_numbers = TAKE_PTR(numbers);
    *ret_n = n;
    return 0;
}

// ---- one file

struct file {
    char name[32];
    int fd;
    uint64_t size;
    struct segment_reader *reader;
};

static void file_done(struct file *f)
{
    f->reader = segment_reader_free(f->reader);
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

static int file_open(int folder_fd, uint64_t number, struct file *ret, struct error *e)
{
    struct file f = {.fd = -1};
    struct stat st = {0};
    journal_name(number, f.name);
    f.fd = openat(folder_fd, f.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int r = f.fd < 0 || fstat(f.fd, &st) < 0 ? -errno : 0;
    if (r == 0 && !S_ISREG(st.st_mode))
        r = -EBADMSG;
    if (r == 0)
        r = segment_reader_new(f.fd, &f.reader);
    if (r < 0) {
        file_done(&f);
        error_set(e, r, "cannot open: %s", r == -EBADMSG ? "not a file" : strerror(-r));
        error_place(e, f.name, 0, 0);
        return r;
    }
    f.size = (uint64_t)st.st_size;
    *ret = f;
    return 0;
}

// ---- proof

struct proof {
    uint64_t batches;
    uint64_t sequence; // of the last batch
    uint8_t last[32];
    bool given; // there is a batch, and what it follows is not here
};

static int prove_batch(const struct segment_info *info, bool oldest_file, struct proof *proof,
                       struct error *e)
{
    static const uint8_t none[32];
    const uint8_t *expected = proof->batches ? proof->last : none;
    bool known = proof->batches || oldest_file;
    if (known && memcmp(info->previous, expected, sizeof none) != 0)
        return error_set(e, -EBADMSG,
                         "batch %" PRIu64 " does not follow %s: batches were changed or taken out",
                         info->sequence, proof->batches ? "the one before" : "the beginning");
    if (proof->batches && info->sequence != proof->sequence + 1)
        return error_set(e, -EBADMSG, "batch %" PRIu64 " follows batch %" PRIu64, info->sequence,
                         proof->sequence);
    proof->given |= !known;
    proof->sequence = info->sequence;
    memcpy(proof->last, info->hash, sizeof proof->last);
    proof->batches++;
    return 0;
}

static int prove_file(struct file *f, bool oldest, struct proof *proof, struct error *e)
{
    struct segment_info info;
    int r;
    while ((r = segment_next_proven(f->reader, &info, e)) > 0) {
        r = prove_batch(&info, oldest, proof, e);
        if (r < 0)
            return r;
    }
    if (r == 0 && segment_offset(f->reader) < f->size)
        return error_set(e, -EBADMSG,
                         "the last %" PRIu64 " bytes are an unfinished batch: it is being written, "
                         "or was when the writer died",
                         f->size - segment_offset(f->reader));
    return r;
}

int journal_verify(int folder_fd, uint64_t *ret_batches, struct error *e)
{
    _cleanup_free_ uint64_t *numbers = NULL;
    size_t n = 0;
    struct proof proof = {0};
    int r = journal_list(folder_fd, &numbers, &n);
    if (r < 0)
        return error_set(e, r, "cannot read the folder: %s", strerror(-r));
    for (size_t i = 0; i < n; i++) {
        _cleanup_(file_done) struct file f = {.fd = -1};
        if (i > 0 && numbers[i] != numbers[i - 1] + 1) {
            journal_name(numbers[i - 1] + 1, f.name);
            error_set(e, -ENOENT, "the file is missing");
            error_place(e, f.name, 0, 0);
            return -ENOENT;
        }
        r = file_open(folder_fd, numbers[i], &f, e);
        if (r < 0)
            return r;
        r = prove_file(&f, numbers[i] == 1, &proof, e);
        if (r < 0) {
            error_place(e, f.name, 0, 0);
            return r;
        }
    }
    if (proof.given)
        error_set(e, 0,
                  "files before %012" PRIu64 ".seg were deleted: what its first batch follows is "
                  "taken as given",
                  numbers[0]);
    *ret_batches = proof.batches;
    return 0;
}

// ---- going on

struct tail {
    bool any;     // there is a good batch; `info` is the last
    bool damaged; // with good batches behind
    uint64_t end; // of the last good batch
    struct segment_info info;
    struct error first; // damage
};

static int find_tail(struct file *f, struct tail *ret, struct error *e)
{
    struct tail tail = {0};
    struct error trouble = {0};
    for (;;) {
        struct segment_info info;
        int r = segment_next_proven(f->reader, &info, &trouble);
        if (r > 0) {
            tail.any = true;
            tail.info = info;
            tail.end = segment_offset(f->reader);
        } else if (r == -EBADMSG && segment_resync(f->reader)) {
            if (!tail.damaged)
                tail.first = trouble;
            tail.damaged = true;
        } else if (r == 0 || r == -EBADMSG) {
            break;
        } else {
            if (e)
                *e = trouble;
            error_place(e, f->name, 0, 0);
            return r;
        }
    }
    error_place(&tail.first, f->name, 0, 0);
    *ret = tail;
    return 0;
}

int journal_end(int folder_fd, struct journal_end *ret, struct error *e)
{
    _cleanup_free_ uint64_t *numbers = NULL;
    size_t n = 0;
    struct journal_end end = {.number = 1};
    bool damaged = false;
    int r = journal_list(folder_fd, &numbers, &n);
    if (r < 0)
        return error_set(e, r, "cannot read the folder: %s", strerror(-r));
    for (size_t i = n;
         i-- > 0;) { // the newest file may be empty: then the chain's end is in one before
        _cleanup_(file_done) struct file f = {.fd = -1};
        struct tail tail = {0};
        r = file_open(folder_fd, numbers[i], &f, e);
        if (r == 0)
            r = find_tail(&f, &tail, e);
        if (r < 0)
            return r;
        if (i == n - 1) {
            damaged = tail.damaged;
            if (damaged && e)
                *e = tail.first;
            end.number = numbers[i] + damaged;
            end.size = damaged ? 0 : tail.end;
            end.torn = damaged || f.size < tail.end ? 0 : f.size - tail.end;
        }
        if (!tail.any)
            continue;
        end.sequence = tail.info.sequence + 1;
        end.to_ns = tail.info.to_ns;
        memcpy(end.last, tail.info.hash, sizeof end.last);
        break;
    }
    *ret = end;
    return damaged;
}
