// SPDX-License-Identifier: Apache-2.0
// Keys and certificates of the link between agents and hub, the one place that makes them: EC P-256, SHA-256. The hub
// is its own authority; a host makes its key itself and sends a request; its certificate says CN "CLIENT/HOST", the
// host as 32 hexadecimal digits. Nothing is read from or written to disk here. Costs 0.1 ms a signature.
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include <openssl/types.h>

#define PKI_HOST_BYTES 16
#define PKI_CLIENT_MAX 32 // bytes of a client's name
#define PKI_NAME_MAX (PKI_CLIENT_MAX + 1 + 2 * PKI_HOST_BYTES)
#define PKI_REQUEST_MAX 4096u // bytes of a certificate request that is looked at
#define PKI_HOST_DAYS 825u
#define PKI_AUTHORITY_DAYS 3650u

// All return 0 or negative errno (-EBADMSG: what was given is not one, or not of a kind that is taken). What they give
// is the caller's: EVP_PKEY_free(), X509_free().
int pki_key_new(EVP_PKEY **ret);
int pki_key_write(EVP_PKEY *key, struct buf *to); // PEM, PKCS#8, not encrypted
int pki_key_read(struct str pem, EVP_PKEY **ret);

int pki_certificate_write(X509 *certificate, struct buf *to); // PEM
int pki_certificate_read(struct str pem, X509 **ret);
int pki_certificate_der(X509 *certificate, struct buf *to);
int pki_certificate_from_der(struct str der, X509 **ret); // nothing may follow it

struct pki_authority {
    X509 *certificate;
    EVP_PKEY *key;
};
void pki_authority_done(struct pki_authority *a);
// `now` is seconds since 1970, here and below; certificates begin an hour before.
int pki_authority_new(const char *name, int64_t now, struct pki_authority *ret);
// names: "DNS:localhost,IP:127.0.0.1" as OpenSSL writes subject alternative names.
int pki_server_sign(const struct pki_authority *a, EVP_PKEY *key, const char *names, int64_t now,
                    X509 **ret);

int pki_request_new(EVP_PKEY *key, struct buf *to); // DER; signed with the key that it is for
// Takes nothing of the request but its public key, which must be P-256 and have signed it.
int pki_host_sign(const struct pki_authority *a, struct str request, const char *name, int64_t now,
                  X509 **ret);

bool pki_client_good(struct str client); // 1 to 32 of a-z, 0-9 and '-', not at an end
// "CLIENT/HOST"
void pki_name_make(const char *client, const uint8_t host[PKI_HOST_BYTES],
                   char ret[PKI_NAME_MAX + 1]);
int pki_name_read(struct str name, char ret_client[PKI_CLIENT_MAX + 1],
                  uint8_t ret_host[PKI_HOST_BYTES]); // 0 or -EBADMSG
void pki_hex(const uint8_t *p, size_t n, char *ret); // 2 n digits and a NUL
int pki_unhex(struct str hex, uint8_t *ret, size_t n);
