// The listening socket.
#include "server/http/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

static int open_one(const struct addrinfo *a) {
    int yes = 1, no = 0, fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    // "::" takes IPv4 as well.
    if (a->ai_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, 511) == 0) return fd;
    int kept = errno;
    close(fd);
    errno = kept;
    return -1;
}

int xn_listen(const char *host, uint16_t port, int *fd, uint16_t *chosen, struct xn_error *err) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    int failed = getaddrinfo(host, service, &hints, &found);
    if (failed)
        return xn_fail(err, XN_ERR_ARGUMENT, "host \"%s\": %s; expected an address or a name of this machine", host,
                       gai_strerror(failed));
    *fd = -1;
    for (const struct addrinfo *a = found; a && *fd < 0; a = a->ai_next)
        *fd = open_one(a);
    int kept = errno;
    freeaddrinfo(found);
    if (*fd < 0) return xn_fail_errno(err, kept, "can't listen on %s, port %u", host, (unsigned)port);
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    *chosen = port;
    if (getsockname(*fd, (struct sockaddr *)&bound, &size) == 0)
        *chosen = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                    : ((struct sockaddr_in *)&bound)->sin_port);
    return XN_OK;
}
