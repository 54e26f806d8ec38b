#include "engine/serving/pace.h"

#include <math.h>

void xn_pace_form(struct xn_pace *pace, double now) {
    pace->since = now;
    pace->ended = false;
}

void xn_pace_end(struct xn_pace *pace, double now) {
    enum { REMEMBERED = 16 };
    if (pace->ended) { // else part of the interval passed without a queue
        if (pace->n < REMEMBERED) pace->n++;
        pace->interval += (now - pace->since - pace->interval) / pace->n;
    }
    pace->since = now;
    pace->ended = true;
}

uint32_t xn_pace_wait(const struct xn_pace *pace, double now, uint32_t waiting, uint32_t slots) {
    // Nobody has ended since then: all slots together are at least that slow.
    double interval = (now - pace->since) / slots, places = waiting / 2 + waiting % 2;
    if (pace->interval > interval) interval = pace->interval;
    double seconds = ceil(places * interval);
    return seconds < XN_PACE_LEAST ? XN_PACE_LEAST : seconds > XN_PACE_MOST ? XN_PACE_MOST : (uint32_t)seconds;
}
