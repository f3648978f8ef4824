// SPDX-License-Identifier: Apache-2.0
// What a stranger may send: path, length, enrolment request, name in a certificate.
#include "hub/request.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = str_bytes(data, size);
    static struct request_enrol n;
    struct error e = {0};
    char client[PKI_CLIENT_MAX + 1], name[PKI_NAME_MAX + 1];
    uint8_t host[PKI_HOST_BYTES], id[4], hash[32];
    uint64_t length = 0;
    int status = 0;
    const struct request_route *route = request_route(s, size % 2, size % 3, &status);
    if (!route && status != 404 && status != 405)
        abort();
    if (request_length(s, &length) == 0 && length > 999999999999999999ull)
        abort();
    if (request_enrol(s, &n, &e) == 0) {
        if (n.csr_size == 0 || n.csr_size > sizeof n.csr)
            abort();
        for (size_t i = 0; n.host_name[i]; i++)
            if (n.host_name[i] <= ' ' || n.host_name[i] > '~')
                abort();
    } else if (!e.what[0]) {
        abort();
    }
    request_key_read(s, id, hash);
    if (pki_name_read(s, client, host) == 0) {
        pki_name_make(client, host, name);
        if (!str_eq(s, str_from(name)))
            abort();
    }
    return 0;
}
