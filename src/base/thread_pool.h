// A team of threads for fork-join work with cheap barriers inside a job.
//
// The caller of xn_pool_run is thread 0; the others wait, first spinning (so that the next step starts at once), soon
// asleep (so that an idle pool costs nothing, and two processes on the same cores give way to each other).
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct xn_pool;
typedef void xn_pool_job(void *user, uint32_t thread, uint32_t threads);

enum { XN_POOL_MAX_THREADS = 1024 };

// Physical cores that this process may use: its affinity mask, at most the processor time of its control group (v1 or
// v2). At least 1.
uint32_t xn_pool_default_threads(void);

// threads = 0: the default. With as many threads as there are cores to use, each is pinned to one, performance cores
// first; with fewer they float within the affinity mask, so that several programs do not pile up on the first cores.
int xn_pool_create(uint32_t threads, struct xn_pool **out, struct xn_error *err);
void xn_pool_free(struct xn_pool *pool); // accepts NULL; no job may be running
uint32_t xn_pool_threads(const struct xn_pool *pool);

// Runs job(user, thread, threads) on every thread and waits for all. Calls from several threads run one after the
// other.
void xn_pool_run(struct xn_pool *pool, xn_pool_job *job, void *user);

// The same for a job whose work is all in items (xn_pool_next, xn_pool_take) of phases that xn_pool_end_phase ends:
// nobody waits for a thread that has no item. So one that another program keeps off its core holds the others up only
// while it is at an item; it may be some phases late, in which it gets none, or miss the job. What a job does between
// items must be right for a late thread, too: it reads only what stays the same during the job.
void xn_pool_run_items(struct xn_pool *pool, xn_pool_job *job, void *user);

// Inside a job, each of which every thread must call equally often and in the same order:
// All items of the phase are done before any thread goes on, and what those wrote who did them is seen by all. Every
// thread must have asked for items until there were none.
void xn_pool_end_phase(struct xn_pool *pool, uint32_t thread);
// All threads arrive before any goes on, and what they wrote is seen by all.
void xn_pool_barrier(struct xn_pool *pool, uint32_t thread);

// Inside a job: whether a thread takes part in its phase. False: it is late. Else nothing of later phases happens until
// the thread ends this one.
bool xn_pool_enter(struct xn_pool *pool, uint32_t thread);

// Inside a job: hands out 0, 1, 2, ..., each once; UINT32_MAX to a thread that is late. Starts again at 0 with every
// phase, after every barrier and at the start of a job.
uint32_t xn_pool_next(struct xn_pool *pool, uint32_t thread);

// Inside a job: hands out 0 .. n - 1, each once, to each thread those of its own n-th part in ascending order, then
// what is left of the others' parts; UINT32_MAX when there is none, or the thread is late. So each thread reads memory
// in one stream as long as none is late. Starts again like xn_pool_next; until then n must stay the same.
uint32_t xn_pool_take(struct xn_pool *pool, uint32_t thread, uint32_t n);
