// Who may ask, and whom to be fair to.
#include "server/http/internal.h"

#include <netinet/in.h>
#include <string.h>
#include <strings.h>

static uint64_t hash(const void *bytes, size_t size) { // FNV-1a
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        h = (h ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
    return h;
}

// Takes as long for every `key` of one length as for any other, and tells nothing of how far they agree.
static unsigned differ(const char *key, const char *given, size_t n_given) {
    size_t n = strlen(key);
    volatile unsigned different = n != n_given;
    for (size_t i = 0; i < n_given; i++)
        different |= (unsigned)((unsigned char)given[i] ^ (unsigned char)key[n ? i % n : 0]);
    return different;
}

bool xn_keys_admit(const struct xn_http_options *options, const char *authorization, const char *api_key,
                   uint64_t *owner) {
    if (!options->n_keys) return true;
    const char *given = api_key;
    if (authorization && strncasecmp(authorization, "Bearer ", 7) == 0)
        for (given = authorization + 7; *given == ' ';)
            given++;
    if (!given || !*given) return false;
    size_t n = strlen(given);
    unsigned admitted = 0;
    for (size_t i = 0; i < options->n_keys; i++)
        admitted |= !differ(options->keys[i], given, n);
    if (admitted) *owner = hash(given, n);
    return admitted;
}

uint64_t xn_owner_of_address(const struct sockaddr *address) {
    if (address && address->sa_family == AF_INET)
        return hash(&((const struct sockaddr_in *)address)->sin_addr, sizeof(struct in_addr));
    if (address && address->sa_family == AF_INET6) { // a customer's network is 64 bits
        const struct in6_addr *a = &((const struct sockaddr_in6 *)address)->sin6_addr;
        return IN6_IS_ADDR_V4MAPPED(a) ? hash(a->s6_addr + 12, 4) : hash(a, 8);
    }
    return 0;
}
