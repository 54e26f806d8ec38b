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
struct taken {
    _Alignas(XN_ALIGN) atomic_uint n; // of a thread's part
};

struct xn_pool {
    _Alignas(XN_ALIGN) atomic_uint arrived;    // at the barrier
    _Alignas(XN_ALIGN) atomic_uint generation; // of the barrier
    _Alignas(XN_ALIGN) atomic_uint next;
    _Alignas(XN_ALIGN) atomic_uint epoch; // of jobs
    _Alignas(XN_ALIGN) atomic_uint sleepers;
    xn_pool_job *job; // of the current epoch; NULL: the workers leave
    void *user;
    uint32_t threads;
    uint32_t spins; // pauses before a waiting thread sleeps
    pthread_mutex_t running;
    pthread_t *workers;  // [threads - 1]
    uint32_t n_workers;  // started
    struct taken *taken; // [threads]
};

// Whoever calls this is alone: at a barrier, or before a job.
static void start_again(struct xn_pool *pool) {
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    for (uint32_t i = 0; i < pool->threads; i++)
        atomic_store_explicit(&pool->taken[i].n, 0, memory_order_relaxed);
}

static long futex(atomic_uint *word, int op, unsigned value) {
    return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static inline void relax(void) {
    __builtin_ia32_pause();
}

// Returns once *word differs from `old`.
static void wait_change(struct xn_pool *pool, atomic_uint *word, unsigned old) {
    for (uint32_t i = 0; i < pool->spins; i++) {
        if (atomic_load_explicit(word, memory_order_acquire) != old) return;
        relax();
    }
    // The count is raised before the kernel looks at the word, and the writer looks at the count after it wrote: one of
    // both sees the other.
    atomic_fetch_add(&pool->sleepers, 1);
    while (atomic_load(word) == old)
        futex(word, FUTEX_WAIT, old);
    atomic_fetch_sub(&pool->sleepers, 1);
}

static void announce(struct xn_pool *pool, atomic_uint *word) {
    atomic_fetch_add(word, 1);
    if (atomic_load(&pool->sleepers)) futex(word, FUTEX_WAKE, INT_MAX);
}

void xn_pool_barrier(struct xn_pool *pool) {
    if (pool->threads == 1) {
        start_again(pool);
        return;
    }
    unsigned generation = atomic_load_explicit(&pool->generation, memory_order_relaxed);
    if (atomic_fetch_add(&pool->arrived, 1) == pool->threads - 1) {
        atomic_store_explicit(&pool->arrived, 0, memory_order_relaxed);
        start_again(pool);
        announce(pool, &pool->generation);
    } else {
        wait_change(pool, &pool->generation, generation);
    }
}

uint32_t xn_pool_next(struct xn_pool *pool) {
    return atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
}

uint32_t xn_pool_take(struct xn_pool *pool, uint32_t thread, uint32_t n) {
    for (uint32_t i = 0; i < pool->threads; i++) {
        uint32_t owner = (thread + i) % pool->threads;
        uint32_t begin = (uint32_t)((uint64_t)n * owner / pool->threads);
        uint32_t end = (uint32_t)((uint64_t)n * (owner + 1) / pool->threads);
        atomic_uint *taken = &pool->taken[owner].n;
        if (begin + atomic_load_explicit(taken, memory_order_relaxed) >= end) continue;
        uint32_t at = begin + atomic_fetch_add_explicit(taken, 1, memory_order_relaxed);
        if (at < end) return at;
    }
    return UINT32_MAX;
}

uint32_t xn_pool_threads(const struct xn_pool *pool) {
    return pool->threads;
}

void xn_pool_run(struct xn_pool *pool, xn_pool_job *job, void *user) {
    pthread_mutex_lock(&pool->running);
    pool->job = job;
    pool->user = user;
    start_again(pool);
    if (pool->threads > 1) announce(pool, &pool->epoch);
    job(user, 0, pool->threads);
    xn_pool_barrier(pool);
    pthread_mutex_unlock(&pool->running);
}

struct worker {
    struct xn_pool *pool;
    uint32_t thread;
    unsigned epoch;
};

static void *work(void *argument) {
    struct worker w = *(struct worker *)argument;
    free(argument);
    for (;;) {
        wait_change(w.pool, &w.pool->epoch, w.epoch);
        w.epoch++;
        if (!w.pool->job) return NULL;
        w.pool->job(w.pool->user, w.thread, w.pool->threads);
        xn_pool_barrier(w.pool);
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
    pool->taken = xn_alloc_aligned(threads, sizeof *pool->taken);
    if (!pool->workers || !pool->taken) status = xn_fail(err, XN_ERR_NOMEM, "no memory for %u threads", threads);
    for (uint32_t i = 1; i < threads && status == XN_OK; i++) {
        struct worker *worker = xn_alloc(1, sizeof *worker);
        if (!worker) {
            status = xn_fail(err, XN_ERR_NOMEM, "no memory for thread %u of %u", i, threads);
            break;
        }
        *worker = (struct worker){pool, i, 0};
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
    pool->job = NULL;
    announce(pool, &pool->epoch);
    for (uint32_t i = 0; i < pool->n_workers; i++)
        pthread_join(pool->workers[i], NULL);
    pthread_mutex_destroy(&pool->running);
    free(pool->workers);
    free(pool->taken);
    free(pool);
}
