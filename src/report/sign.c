// SPDX-License-Identifier: Apache-2.0
// Ed25519 over manifest.json, whose hashes bind every other file: 64 bytes in manifest.sig. The same key and manifest give
// the same signature.
#include "base/cleanup.h"
#include "report/document.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <unistd.h>

#define SIGNATURE 64

static EVP_PKEY *key_read(const char *file, bool secret, struct error *e)
{
    FILE *f = fopen(file, "re");
    EVP_PKEY *key = !f       ? NULL
                    : secret ? PEM_read_PrivateKey(f, NULL, NULL, (void *)"")
                             : PEM_read_PUBKEY(f, NULL, NULL, NULL);
    if (f)
        fclose(f);
    if (key && EVP_PKEY_id(key) == EVP_PKEY_ED25519)
        return key;
    EVP_PKEY_free(key);
    error_set(e, -EINVAL, "%s is no Ed25519 %s key (PEM)", file, secret ? "private" : "public");
    error_way_out(e,
                  secret ? "openssl genpkey -algorithm ed25519 -out %s"
                         : "openssl pkey -in PRIVATE -pubout -out %s",
                  file);
    return NULL;
}

int document_sign(const char *folder, const char *key_file, struct error *e)
{
    _cleanup_close_ int at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_buf_ struct buf manifest = {0};
    unsigned char signature[SIGNATURE];
    size_t n = sizeof signature;
    int r = at < 0 ? -errno : document_read_file(at, "manifest.json", &manifest);
    if (r < 0)
        return error_set(e, r, "%s: manifest.json cannot be read", folder);
    EVP_PKEY *key = key_read(key_file, true, e);
    if (!key)
        return -EINVAL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good =
        context && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
        EVP_DigestSign(context, signature, &n, (unsigned char *)manifest.p, manifest.n) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    _cleanup_close_ int fd =
        good ? openat(at, "manifest.sig", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                      0644)
             : -1;
    if (fd < 0 || write(fd, signature, n) != (ssize_t)n)
        return error_set(e, -EIO, "%s: the signature cannot be written", folder);
    return 0;
}

int document_verify_signature(const char *folder, const char *key_file, struct error *e)
{
    _cleanup_close_ int at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_buf_ struct buf manifest = {0}, signature = {0};
    if (at < 0 || document_read_file(at, "manifest.json", &manifest) < 0)
        return error_set(e, -EBADMSG, "%s: manifest.json cannot be read", folder);
    if (document_read_file(at, "manifest.sig", &signature) < 0)
        return error_set(e, -EBADMSG, "%s is not signed", folder);
    EVP_PKEY *key = key_read(key_file, false, e);
    if (!key)
        return -EINVAL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context && manifest.n && signature.n == SIGNATURE &&
                EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
                EVP_DigestVerify(context, (unsigned char *)signature.p, signature.n,
                                 (unsigned char *)manifest.p, manifest.n) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return good ? 0 : error_set(e, -EBADMSG, "%s: the signature is not of this key", folder);
}
