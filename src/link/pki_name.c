// SPDX-License-Identifier: Apache-2.0
#include "link/pki.h"
#include <errno.h>

bool pki_client_good(struct str client)
{
    if (client.n == 0 || client.n > PKI_CLIENT_MAX || client.p[0] == '-' ||
        client.p[client.n - 1] == '-')
        return false;
    for (size_t i = 0; i < client.n; i++) {
        char c = client.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return true;
}

void pki_hex(const uint8_t *p, size_t n, char *ret)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *ret++ = digits[p[i] >> 4];
        *ret++ = digits[p[i] & 15];
    }
    *ret = 0;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int pki_unhex(struct str hex, uint8_t *ret, size_t n)
{
    if (hex.n != 2 * n)
        return -EBADMSG;
    for (size_t i = 0; i < hex.n; i++)
        if (digit(hex.p[i]) < 0)
            return -EBADMSG;
    for (size_t i = 0; i < n; i++)
        ret[i] = (uint8_t)(digit(hex.p[2 * i]) << 4 | digit(hex.p[2 * i + 1]));
    return 0;
}

void pki_name_make(const char *client, const uint8_t host[PKI_HOST_BYTES],
                   char ret[PKI_NAME_MAX + 1])
{
    size_t n = strnlen(client, PKI_CLIENT_MAX);
    memcpy(ret, client, n);
    ret[n] = '/';
    pki_hex(host, PKI_HOST_BYTES, ret + n + 1);
}

int pki_name_read(struct str name, char ret_client[PKI_CLIENT_MAX + 1],
                  uint8_t ret_host[PKI_HOST_BYTES])
{
    struct str client;
    if (name.n < 2 || !str_split(&name, '/', &client) || !pki_client_good(client) ||
        pki_unhex(name, ret_host, PKI_HOST_BYTES) < 0)
        return -EBADMSG;
    memcpy(ret_client, client.p, client.n);
    ret_client[client.n] = 0;
    return 0;
}
