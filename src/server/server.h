// The server: what every handler of a route gets as `void *server`, and the tables of routes that the APIs bring.
#pragma once

#include "server/http.h"
#include "server/metrics.h"
#include "server/models.h"

struct xn_server {
    struct xn_models *models;
    struct xn_metrics *metrics;
    struct xn_http *http;
    int64_t started; // seconds since 1970
    bool keys;       // requests need a key
    bool read_only;  // models are not loaded or dropped at a client's wish
};

// Each API brings `const struct xn_route xn_routes_NAME[]` (ended by a row without a method), declared in
// src/server/NAME/NAME.h. xn_server_routes (routes.c) lists them in the order in which they are looked at; the first
// row that fits a path and its method counts. So "/" of the web page comes last.
extern const struct xn_route *const xn_server_routes[]; // ended by NULL
