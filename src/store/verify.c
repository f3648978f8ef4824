// SPDX-License-Identifier: Apache-2.0
#include "store/private.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct verify {
    struct catalogue *catalogue;
    struct files rows;
    struct map hosts, listed; // as the files say, as the catalogue says
    bool from_the_first;      // no file was deleted
    int events_fd;
    struct segment_opener *opener;
    EVP_MD *md;
    EVP_MD_CTX *sha;
    struct store_verified counts;
};

static void host_text(const uint8_t host[16], char ret[33])
{
    for (size_t i = 0; i < 16; i++)
        snprintf(ret + 2 * i, 3, "%02x", host[i]);
}

static int broken(const struct file *file, uint64_t at, const uint8_t *host, const char *what,
                  struct error *e)
{
    char name[32], id[33] = "";
    journal_name(file->number, name);
    if (host)
        host_text(host, id);
    return error_set(e, -EBADMSG, "events/%s, byte %" PRIu64 "%s%s: %s", name, at,
                     host ? ", host " : "", id, what);
}

static int one_record(struct verify *v, const struct file *file, uint64_t at, struct str record,
                      struct error *e)
{
    struct segment_info info;
    struct gap_row gap;
    struct error why = {0};
    int r = segment_record_prove(v->opener, record, &info, &why);
    if (r < 0)
        return broken(file, at, NULL, why.what, e);
    struct host *host = host_get(&v->hosts, info.host);
    if (!host)
        return error_set(e, -errno, "no room for more hosts");
    bool first = !host->chain.any;
    enum store_result result = chain_step(&host->chain, &info, &gap);
    v->counts.batches++;
    if (result == STORE_KNOWN)
        return broken(file, at, info.host, "this batch is there twice", e);
    if (result == STORE_NEW || (first && !v->from_the_first))
        return 0;
    r = catalogue_has_gap(v->catalogue, info.host, info.hash, e);
    v->counts.gaps += r > 0;
    return r ? (r < 0 ? r : 0)
             : broken(file, at, info.host,
                      "it does not follow the one before: some were changed, put in or taken out",
                      e);
}

static int one_file(struct verify *v, const struct file *file, const uint8_t before[32],
                    struct error *e)
{
    _cleanup_close_ int fd = open_file(v->events_fd, file->number, O_RDONLY);
    struct scan scan;
    struct stat st;
    if (fd < 0)
        return broken(file, 0, NULL, fd == -ENOENT ? "the file is missing" : strerror(-fd), e);
    if (fstat(fd, &st) < 0)
        return error_set(e, -errno, "cannot read the store");
    if ((uint64_t)st.st_size < file->size)
        return broken(file, (uint64_t)st.st_size, NULL, "the file's end is missing", e);
    if (file->closed && !file->damaged_at && (uint64_t)st.st_size > file->size)
        return broken(file, file->size, NULL, "something was written behind the file's end", e);
    scan_init(&scan, fd, file->size);
    int r = EVP_DigestInit_ex2(v->sha, v->md, NULL) ? 1 : -ENOMEM;
    while (r > 0) {
        struct segment_info info;
        struct str record;
        struct error why = {0};
        uint64_t at = scan.offset;
        r = scan_head(&scan, &info, &why);
        if (r > 0)
            r = scan_take(&scan, &info, &record, &why);
        if (r < 0)
            r = broken(file, at, NULL, why.what, e);
        if (r > 0)
            r = one_record(v, file, at, record, e) < 0 ? -EBADMSG : 1;
        if (r > 0 && !EVP_DigestUpdate(v->sha, record.p, record.n))
            r = error_set(e, -ENOMEM, "no memory for a hash");
    }
    scan_done(&scan);
    uint8_t sha256[32], chain[32];
    if (r < 0 || !file->closed)
        return r;
    if (!EVP_DigestFinal_ex(v->sha, sha256, NULL) ||
        sha256_of(v->md, before, 32, sha256, 32, chain) < 0)
        return error_set(e, -ENOMEM, "no memory for a hash");
    if (memcmp(sha256, file->sha256, 32) != 0)
        return broken(file, 0, NULL, "the file's hash is not the one in the catalogue", e);
    if (before != file->chain && memcmp(chain, file->chain, 32) != 0)
        return broken(file, 0, NULL, "the file does not follow the one before", e);
    return 0;
}

// Each chain must end where the catalogue says.
static int ends(struct verify *v, struct error *e)
{
    struct map_entry *entry;
    for (size_t i = 0; (entry = map_next(&v->listed, &i));) {
        const struct host *listed = entry->value, *found = map_get(&v->hosts, entry->key);
        char id[33];
        host_text(listed->id, id);
        v->counts.hosts++;
        if (!found && v->from_the_first)
            return error_set(e, -EBADMSG, "host %s: none of its events is there", id);
        if (found && found->chain.any &&
            (found->chain.next != listed->chain.next ||
             memcmp(found->chain.last, listed->chain.last, 32) != 0))
            return error_set(e, -EBADMSG,
                             "host %s: its chain ends at %" PRIu64 ", the catalogue has %" PRIu64,
                             id, found->chain.next, listed->chain.next);
    }
    return 0;
}

// Files between were deleted by retention: each host's next batch is taken as it comes.
static void forget_chains(struct verify *v)
{
    struct map_entry *entry;
    v->from_the_first = false;
    for (size_t i = 0; (entry = map_next(&v->hosts, &i));)
        ((struct host *)entry->value)->chain = (struct chain){0};
}

static int all(struct verify *v, struct error *e)
{
    static const uint8_t none[32];
    v->from_the_first = v->rows.n == 0 || v->rows.items[0].number == 1;
    int r = 0;
    for (size_t i = 0; r == 0 && i < v->rows.n; i++) {
        const struct file *file = &v->rows.items[i], *before = i ? file - 1 : NULL;
        bool follows = before && before->number + 1 == file->number;
        // After a file that retention took, or that was never there, the chain of files is taken as it is given.
        const uint8_t *chain = follows ? before->chain : file->number == 1 ? none : file->chain;
        if (before && !follows)
            forget_chains(v);
        r = one_file(v, file, chain, e);
        v->counts.files++;
    }
    return r < 0 ? r : ends(v, e);
}

int store_verify(const char *folder, struct store_verified *ret, struct error *e)
{
    struct verify v = {.events_fd = -1};
    char *path = NULL;
    v.md = EVP_MD_fetch(NULL, "SHA256", NULL);
    v.sha = EVP_MD_CTX_new();
    int r = v.md && v.sha && asprintf(&path, "%s/events", folder) >= 0 ? 0 : -ENOMEM;
    if (r == 0)
        r = segment_opener_new(&v.opener);
    if (r < 0)
        error_set(e, r, "no memory");
    else if ((v.events_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        r = error_set(e, -errno, "cannot open %s: %s", path, strerror(errno));
    if (r == 0)
        r = catalogue_open(folder, true, &v.catalogue, e);
    if (r == 0)
        r = catalogue_snapshot(v.catalogue, e);
    if (r == 0)
        r = catalogue_load_files(v.catalogue, &v.rows, e);
    if (r == 0)
        r = catalogue_load_hosts(v.catalogue, &v.listed, e);
    if (r == 0)
        r = all(&v, e);
    if (r == 0 && ret)
        *ret = v.counts;
    catalogue_close(v.catalogue);
    if (v.events_fd >= 0)
        close(v.events_fd);
    segment_opener_free(v.opener);
    EVP_MD_CTX_free(v.sha);
    EVP_MD_free(v.md);
    hosts_done(&v.hosts);
    hosts_done(&v.listed);
    free(v.rows.items);
    free(path);
    return r;
}
