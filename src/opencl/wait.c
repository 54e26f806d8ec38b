// Waiting for the device, which may never answer: a driver that hangs hangs whoever waits in clFinish as well.
//
// Before clFinish, the status of the step's last kernel is asked for until it has ended. A thread beside, which would
// watch over clFinish, could only say what happens: it can't bring the waiting one back to whom it owes an error. The
// price is small: for the first two milliseconds there is no pause between two questions (drivers spin as well then),
// so that a step of single tokens ends no later, and from then on pauses are a part of the time that has passed; and
// clFinish still waits for what stands behind the kernel, the copy of logits, in the driver's own way.
#include "opencl/internal.h"

#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

static atomic_bool any_lost;

bool xn_opencl_has_lost(void) {
    return atomic_load(&any_lost);
}

void xn_cl_abandon(void *memory) {
    static void *_Atomic abandoned; // the last one, which holds the address of the one before
    if (memory) *(void **)memory = atomic_exchange(&abandoned, memory);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void pause_after(double waited) {
    static const double spin = 0.002, part = 1.0 / 256, longest = 0.01;
    if (waited < spin) {
        sched_yield();
        return;
    }
    struct timespec t = {.tv_nsec = (long)(fmin(waited * part, longest) * 1e9)};
    nanosleep(&t, NULL);
}

bool xn_cl_wait(struct xn_cl_device *d, cl_event event, double seconds) {
    cl_int status = CL_QUEUED;
    double begun = now(), waited = 0;
    if (!event || d->cl->Flush(d->queue) != CL_SUCCESS) return true;
    while (d->cl->GetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL) == CL_SUCCESS) {
        if (status <= CL_COMPLETE) return true; // negative: it failed
        waited = now() - begun;
        if (waited > seconds) {
            d->lost = true;
            atomic_store(&any_lost, true);
            return false;
        }
        pause_after(waited);
    }
    return true; // clFinish will say what is wrong
}
