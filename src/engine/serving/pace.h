// How fast a queue moves: the recent intervals between the ends of requests while others wait, and when it is worth
// asking again for who found it full. Seconds of any one clock.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { XN_PACE_LEAST = 1, XN_PACE_MOST = 60 };
struct xn_pace {
    double interval; // mean of the last ones; 0: none is known
    uint32_t n;      // how many it is the mean of, at most
    double since;    // the last end, or when the queue formed
    bool ended;      // the former
};
// The first request of a queue has come.
void xn_pace_form(struct xn_pace *pace, double now);
// A request that had a slot has ended while others waited for one.
void xn_pace_end(struct xn_pace *pace, double now);
// Seconds, XN_PACE_LEAST to XN_PACE_MOST, until half of the `waiting` requests will have got one of the slots: a single
// place is not enough for all who are turned away, and an empty queue would leave slots idle.
uint32_t xn_pace_wait(const struct xn_pace *pace, double now, uint32_t waiting, uint32_t slots);
