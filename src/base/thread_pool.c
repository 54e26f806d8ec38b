#include "base/thread_pool.h"

#include "base/memory.h"

#include <ctype.h>
#include <errno.h>
#include <hwloc.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// What several threads write stands on lines of its own.

// A number, never 0, that threads wait for to change: spinning first, then asleep.
struct word {
    _Alignas(XN_ALIGN) atomic_uint value;
    atomic_uint asleep; // the value at which somebody may be; 0: nobody is
};

// Numbers that are handed out: the phase in the upper half, and how many in it.
typedef _Atomic uint64_t counter;

struct member {
    _Alignas(XN_ALIGN) atomic_uint active; // the phase of which it may have items; 0: of none
    atomic_uint inside;                    // whether it may be in a job
    uint32_t phase;                        // of the job, where it is; it alone reads this and the next
    bool entered;                          // `active` is that phase, and was in time
    _Alignas(XN_ALIGN) counter taken;      // items of its part
};

// A phase ends when its items are done. Each thread says of which phase it may have items, on a line of its own. Who
// finds none any more says so, by being of the next phase already, and then looks at the others: the last one sees that
// nobody is left, and goes over to the next phase. Who sleeps is of no phase. To enter one it says that it is of it,
// and then looks whether it still may; who ends a phase first lets nobody in, and then looks whether somebody came. All
// of these loads and stores are in one order, the same for all threads, so one of both sees the other.
struct xn_pool {
    struct word phase, epoch;                // epoch: of jobs
    _Alignas(XN_ALIGN) counter next;         // items
    _Alignas(XN_ALIGN) atomic_uint entrance; // the phase that may be entered: the current one, or that after it
    _Alignas(XN_ALIGN) atomic_uint arrived;  // at a barrier
    _Alignas(XN_ALIGN) atomic_uint open;     // 2 epoch + 1: that job may be entered
    _Alignas(XN_ALIGN) atomic_uint watchers; // who sleep until a member is no more inside
    xn_pool_job *job;                        // of the current epoch; NULL: the workers leave
    void *user;
    bool items;     // the job is all items
    uint32_t first; // phase of the job
    uint32_t threads;
    uint32_t spins; // pauses before a waiting thread sleeps
    pthread_mutex_t running;
    pthread_t *workers;     // [threads - 1]
    uint32_t n_workers;     // started
    struct member *members; // [threads]
};

static uint32_t after(uint32_t value) {
    return value + 1 ? value + 1 : 1;
}

static long futex(atomic_uint *word, int op, unsigned value) {
    return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static inline void relax(void) {
    __builtin_ia32_pause();
}

// Whether *value differs from `old` soon.
static bool spin(const struct xn_pool *pool, const atomic_uint *value, unsigned old) {
    for (uint32_t i = 0; i < pool->spins; i++) {
        if (atomic_load_explicit(value, memory_order_acquire) != old) return true;
        relax();
    }
    return false;
}

// Returns once the word differs from `old`.
static void sleep_until_change(struct word *word, unsigned old) {
    // The sleeper says so before the kernel looks at the value, and the writer looks for sleepers after it wrote: one
    // of both sees the other.
    for (;;) {
        atomic_store(&word->asleep, old);
        if (atomic_load(&word->value) != old) return;
        futex(&word->value, FUTEX_WAIT, old);
        if (atomic_load(&word->value) != old) return;
    }
}

// After the value was changed from `old`. Who falls asleep at a later one meanwhile has said so, and must stay marked.
static void wake(struct word *word, unsigned old) {
    if (!atomic_load(&word->asleep)) return;
    atomic_compare_exchange_strong(&word->asleep, &old, 0);
    futex(&word->value, FUTEX_WAKE, INT_MAX);
}

// Whether a member may take items of its phase. One that is late may not: the others go on without it.
static bool enter(struct xn_pool *pool, struct member *m) {
    if (m->entered) return true;
    if (atomic_load(&pool->entrance) != m->phase) return false;
    atomic_store(&m->active, m->phase);
    m->entered = atomic_load(&pool->entrance) == m->phase;
    if (!m->entered) atomic_store(&m->active, 0);
    return m->entered;
}

static bool is_active(const struct xn_pool *pool, uint32_t phase) {
    for (uint32_t i = 0; i < pool->threads; i++)
        if (atomic_load(&pool->members[i].active) == phase) return true;
    return false;
}

// A member has no items of its phase any more, and is of phase `next` (0: none) from now on. If nobody else has items,
// the phase ends.
static void finish(struct xn_pool *pool, struct member *m, uint32_t next) {
    uint32_t phase = m->phase;
    if (!enter(pool, m)) return;
    atomic_store(&m->active, next);
    m->entered = next != 0;
    if (is_active(pool, phase)) return;
    uint32_t open = phase;
    if (!atomic_compare_exchange_strong(&pool->entrance, &open, after(phase))) return;
    for (uint32_t i = 0; is_active(pool, phase); i++) // who came in between finds nothing, and goes soon
        i < pool->spins ? relax() : (void)sched_yield();
    atomic_store(&pool->phase.value, after(phase));
    wake(&pool->phase, phase);
}

void xn_pool_end_phase(struct xn_pool *pool, uint32_t thread) {
    struct member *m = &pool->members[thread];
    uint32_t phase = m->phase;
    finish(pool, m, after(phase));
    if (!spin(pool, &pool->phase.value, phase)) {
        if (m->entered) atomic_store(&m->active, 0);
        m->entered = false;
        sleep_until_change(&pool->phase, phase);
    }
    m->phase = after(phase);
}

void xn_pool_barrier(struct xn_pool *pool, uint32_t thread) {
    struct member *m = &pool->members[thread];
    uint32_t phase = m->phase;
    if (m->entered) atomic_store(&m->active, 0);
    m->entered = false;
    m->phase = after(phase);
    if (atomic_fetch_add(&pool->arrived, 1) == pool->threads - 1) {
        atomic_store(&pool->arrived, 0);
        atomic_store(&pool->entrance, m->phase);
        atomic_store(&pool->phase.value, m->phase);
        wake(&pool->phase, phase);
    } else if (!spin(pool, &pool->phase.value, phase)) {
        sleep_until_change(&pool->phase, phase);
    }
}

bool xn_pool_enter(struct xn_pool *pool, uint32_t thread) {
    return enter(pool, &pool->members[thread]);
}

// The next of `n` numbers of a phase, which a member has entered; false: there is none.
static bool count(counter *c, uint32_t phase, uint32_t n, uint32_t *number) {
    uint64_t old = atomic_load_explicit(c, memory_order_relaxed);
    do {
        *number = old >> 32 == phase ? (uint32_t)old : 0;
        if (*number >= n) return false;
    } while (!atomic_compare_exchange_weak(c, &old, (uint64_t)phase << 32 | (*number + 1)));
    return true;
}

uint32_t xn_pool_next(struct xn_pool *pool, uint32_t thread) {
    struct member *m = &pool->members[thread];
    uint32_t number;
    return enter(pool, m) && count(&pool->next, m->phase, UINT32_MAX, &number) ? number : UINT32_MAX;
}

uint32_t xn_pool_take(struct xn_pool *pool, uint32_t thread, uint32_t n) {
    struct member *m = &pool->members[thread];
    if (!enter(pool, m)) return UINT32_MAX;
    for (uint32_t i = 0; i < pool->threads; i++) {
        uint32_t owner = (thread + i) % pool->threads, number;
        uint32_t begin = (uint32_t)((uint64_t)n * owner / pool->threads);
        uint32_t end = (uint32_t)((uint64_t)n * (owner + 1) / pool->threads);
        if (count(&pool->members[owner].taken, m->phase, end - begin, &number)) return begin + number;
    }
    return UINT32_MAX;
}

uint32_t xn_pool_threads(const struct xn_pool *pool) {
    return pool->threads;
}

// Opens a job to the workers. Phases' numbers come again after long; what was counted then does not.
static void open_job(struct xn_pool *pool, xn_pool_job *job, void *user, bool items) {
    uint32_t last = atomic_load_explicit(&pool->epoch.value, memory_order_relaxed), epoch = after(last);
    pool->job = job;
    pool->user = user;
    pool->items = items;
    pool->first = atomic_load_explicit(&pool->phase.value, memory_order_relaxed);
    atomic_store_explicit(&pool->next, (uint64_t)pool->first << 32, memory_order_relaxed);
    for (uint32_t i = 0; i < pool->threads; i++)
        atomic_store_explicit(&pool->members[i].taken, (uint64_t)pool->first << 32, memory_order_relaxed);
    atomic_store(&pool->open, 2 * epoch + 1);
    atomic_store(&pool->epoch.value, epoch);
    wake(&pool->epoch, last);
}

static void run_member(struct xn_pool *pool, uint32_t thread) {
    struct member *m = &pool->members[thread];
    m->phase = pool->first;
    pool->job(pool->user, thread, pool->threads);
    if (pool->items)
        finish(pool, m, 0);
    else
        xn_pool_barrier(pool, thread);
}

// Until no worker is in the job any more, and none can enter it.
static void close_job(struct xn_pool *pool) {
    atomic_store(&pool->open, 0); // even, so no job's
    for (uint32_t i = 1; i < pool->threads; i++) {
        atomic_uint *inside = &pool->members[i].inside;
        if (spin(pool, inside, 1)) continue;
        atomic_fetch_add(&pool->watchers, 1);
        while (atomic_load(inside))
            futex(inside, FUTEX_WAIT, 1);
        atomic_fetch_sub(&pool->watchers, 1);
    }
}

static void run(struct xn_pool *pool, xn_pool_job *job, void *user, bool items) {
    pthread_mutex_lock(&pool->running);
    open_job(pool, job, user, items);
    run_member(pool, 0);
    if (items) { // others may still be at theirs
        uint32_t last = pool->members[0].phase;
        if (!spin(pool, &pool->phase.value, last)) sleep_until_change(&pool->phase, last);
    }
    close_job(pool);
    pthread_mutex_unlock(&pool->running);
}

void xn_pool_run(struct xn_pool *pool, xn_pool_job *job, void *user) {
    run(pool, job, user, false);
}

void xn_pool_run_items(struct xn_pool *pool, xn_pool_job *job, void *user) {
    run(pool, job, user, true);
}

struct worker {
    struct xn_pool *pool;
    uint32_t thread;
};

static void *work(void *argument) {
    struct worker w = *(struct worker *)argument;
    struct xn_pool *pool = w.pool;
    struct member *m = &pool->members[w.thread];
    free(argument);
    for (uint32_t epoch = 1;;) {
        if (!spin(pool, &pool->epoch.value, epoch)) sleep_until_change(&pool->epoch, epoch);
        epoch = atomic_load(&pool->epoch.value);
        atomic_store(&m->inside, 1);
        if (atomic_load(&pool->open) == 2 * epoch + 1) {
            if (!pool->job) return NULL;
            run_member(pool, w.thread);
        }
        atomic_store(&m->inside, 0);
        if (atomic_load(&pool->watchers)) futex(&m->inside, FUTEX_WAKE, INT_MAX);
    }
}

// Processor time that the control groups of this process allow, in whole processors; 0: no limit.
static double read_quota_file(const char *path, const char *period_path) {
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    char first[32];
    double quota = 0, period = 0;
    int n = fscanf(file, "%31s %lf", first, &period);
    fclose(file);
    if (n < 1 || (!isdigit((unsigned char)first[0]))) return 0; // "max", or -1
    quota = strtod(first, NULL);
    if (period_path) {
        file = fopen(period_path, "r");
        if (!file) return 0;
        if (fscanf(file, "%lf", &period) != 1) period = 0;
        fclose(file);
    }
    return period > 0 && quota > 0 ? quota / period : 0;
}

// The least quota on the way from a group to the root; `mount` is where the hierarchy is mounted.
static double quota_of_group(const char *mount, char *group, bool v2) {
    double least = 0;
    for (;;) {
        char *path = xn_format("%s%s/%s", mount, group, v2 ? "cpu.max" : "cpu.cfs_quota_us");
        char *period = v2 ? NULL : xn_format("%s%s/cpu.cfs_period_us", mount, group);
        double quota = path && (v2 || period) ? read_quota_file(path, period) : 0;
        free(path);
        free(period);
        if (quota > 0 && (least == 0 || quota < least)) least = quota;
        char *slash = strrchr(group, '/');
        if (!slash) return least;
        *slash = 0; // the parent; "" is the root
    }
}

static double cgroup_quota(void) {
    FILE *file = fopen("/proc/self/cgroup", "r");
    if (!file) return 0;
    double least = 0;
    char line[4096];
    while (fgets(line, sizeof line, file)) { // "hierarchy:controllers:path"
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path) continue;
        *path++ = 0;
        controllers++;
        double quota = 0;
        if (!*controllers) {
            quota = quota_of_group("/sys/fs/cgroup", path, true);
        } else {
            bool cpu = false;
            char *rest = NULL;
            for (char *name = strtok_r(controllers, ",", &rest); name; name = strtok_r(NULL, ",", &rest))
                cpu |= strcmp(name, "cpu") == 0;
            if (cpu) quota = quota_of_group("/sys/fs/cgroup/cpu", path, false);
        }
        if (quota > 0 && (least == 0 || quota < least)) least = quota;
    }
    fclose(file);
    return least;
}

// One processor (OS index) of each physical core in the affinity mask, performance cores first.
struct cores {
    uint32_t n;
    int cpu[XN_POOL_MAX_THREADS];
};

struct core {
    int cpu, efficiency, order;
};

static int compare_cores(const void *a, const void *b) {
    const struct core *x = a, *y = b;
    if (x->efficiency != y->efficiency) return x->efficiency < y->efficiency ? 1 : -1;
    return (x->order > y->order) - (x->order < y->order);
}

static void cores_of_mask(const cpu_set_t *mask, struct cores *cores) {
    cores->n = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE && cores->n < XN_POOL_MAX_THREADS; cpu++)
        if (CPU_ISSET(cpu, mask)) cores->cpu[cores->n++] = cpu;
}

static void find_cores(struct cores *cores) {
    cpu_set_t mask;
    cores->n = 0;
    if (sched_getaffinity(0, sizeof mask, &mask) != 0) { // more processors than a cpu_set_t holds
        CPU_ZERO(&mask);
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        for (long i = 0; i < online && i < CPU_SETSIZE; i++)
            CPU_SET((int)i, &mask);
    }
    // Without sysfs (a minimal container) hwloc knows no cores, and says so on stderr.
    hwloc_topology_t topology;
    if (access("/sys/devices/system/cpu", R_OK) != 0 || hwloc_topology_init(&topology) != 0) {
        cores_of_mask(&mask, cores);
        return;
    }
    struct core found[XN_POOL_MAX_THREADS];
    uint32_t n = 0;
    if (hwloc_topology_load(topology) == 0) {
        hwloc_obj_t core = NULL;
        while (n < XN_POOL_MAX_THREADS && (core = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_CORE, core)) != NULL) {
            int cpu = -1;
            for (int i = hwloc_bitmap_first(core->cpuset); i >= 0; i = hwloc_bitmap_next(core->cpuset, i))
                if (i < CPU_SETSIZE && CPU_ISSET(i, &mask)) {
                    cpu = i;
                    break;
                }
            if (cpu < 0) continue;
            int kind = hwloc_cpukinds_get_by_cpuset(topology, core->cpuset, 0), efficiency = 0;
            if (kind >= 0) hwloc_cpukinds_get_info(topology, (unsigned)kind, NULL, &efficiency, NULL, NULL, 0);
            found[n] = (struct core){cpu, efficiency, (int)n};
            n++;
        }
    }
    hwloc_topology_destroy(topology);
    if (!n) {
        cores_of_mask(&mask, cores);
        return;
    }
    qsort(found, n, sizeof *found, compare_cores);
    for (uint32_t i = 0; i < n; i++)
        cores->cpu[i] = found[i].cpu;
    cores->n = n;
}

static uint32_t usable(const struct cores *cores) {
    uint32_t n = cores->n ? cores->n : 1;
    double quota = cgroup_quota();
    if (quota > 0 && quota < n) n = quota < 1 ? 1 : (uint32_t)quota;
    return n;
}

uint32_t xn_pool_default_threads(void) {
    struct cores cores;
    find_cores(&cores);
    return usable(&cores);
}

// Pauses that last some 20 microseconds: longer than two operations are apart, far shorter than a time slice.
static uint32_t measure_spins(void) {
    struct timespec a, b;
    enum { TRIAL = 256 };
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (int i = 0; i < TRIAL; i++)
        relax();
    clock_gettime(CLOCK_MONOTONIC, &b);
    double ns = (double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec);
    double spins = 20e3 * TRIAL / (ns > 1 ? ns : 1);
    return spins < 100 ? 100 : spins > 10000 ? 10000 : (uint32_t)spins;
}

int xn_pool_create(uint32_t threads, struct xn_pool **out, struct xn_error *err) {
    *out = NULL;
    struct cores cores;
    find_cores(&cores);
    if (threads == 0) threads = usable(&cores);
    if (threads > XN_POOL_MAX_THREADS)
        return xn_fail(err, XN_ERR_ARGUMENT, "%u threads asked for, at most %d are possible", threads,
                       XN_POOL_MAX_THREADS);
    struct xn_pool *pool = xn_alloc_aligned(1, sizeof *pool);
    if (!pool) return xn_fail(err, XN_ERR_NOMEM, "no memory for %u threads", threads);
    pthread_mutex_init(&pool->running, NULL);
    pool->threads = threads;
    // More threads than cores: a spinning thread keeps a working one waiting.
    pool->spins = threads > usable(&cores) ? 1 : measure_spins();
    int status = XN_OK, code = 0;
    pool->workers = xn_alloc_zero(threads, sizeof *pool->workers);
    pool->members = xn_alloc_aligned(threads, sizeof *pool->members);
    atomic_store(&pool->phase.value, 1);
    atomic_store(&pool->epoch.value, 1);
    atomic_store(&pool->entrance, 1);
    if (!pool->workers || !pool->members) status = xn_fail(err, XN_ERR_NOMEM, "no memory for %u threads", threads);
    for (uint32_t i = 1; i < threads && status == XN_OK; i++) {
        struct worker *worker = xn_alloc(1, sizeof *worker);
        if (!worker) {
            status = xn_fail(err, XN_ERR_NOMEM, "no memory for thread %u of %u", i, threads);
            break;
        }
        *worker = (struct worker){pool, i};
        code = pthread_create(&pool->workers[i - 1], NULL, work, worker);
        if (code != 0) {
            free(worker);
            status = xn_fail_errno(err, code, "cannot start thread %u of %u", i, threads);
            break;
        }
        pool->n_workers++;
        if (threads == cores.n) {
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(cores.cpu[i], &one);
            pthread_setaffinity_np(pool->workers[i - 1], sizeof one, &one); // only a hint: failure costs speed alone
        }
    }
    if (status != XN_OK) {
        xn_pool_free(pool);
        return status;
    }
    *out = pool;
    return XN_OK;
}

void xn_pool_free(struct xn_pool *pool) {
    if (!pool) return;
    if (pool->n_workers) open_job(pool, NULL, NULL, false);
    for (uint32_t i = 0; i < pool->n_workers; i++)
        pthread_join(pool->workers[i], NULL);
    pthread_mutex_destroy(&pool->running);
    free(pool->workers);
    free(pool->members);
    free(pool);
}
