// The tests of the thread pool again, with threads that dawdle after they read what others write, and before the kernel
// puts them to sleep or wakes others: what happens only in a window of some nanoseconds happens here.
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static void dawdle(int seldom) {
    static atomic_uint threads;
    static _Thread_local unsigned seed;
    if (!seed) seed = 1 + atomic_fetch_add(&threads, 977);
    if (rand_r(&seed) % seldom == 0) usleep((useconds_t)(rand_r(&seed) % 120));
}
static unsigned read_late(atomic_uint *value) {
    unsigned result = atomic_load(value);
    dawdle(6);
    return result;
}
#define syscall(...) (dawdle(2), syscall(__VA_ARGS__))
#undef atomic_load
#define atomic_load(value) read_late(value)

#include "base/thread_pool.c"

#undef syscall
#undef atomic_load
#define atomic_load(value) atomic_load_explicit(value, memory_order_seq_cst)

#include "base/thread_pool_test.c"
