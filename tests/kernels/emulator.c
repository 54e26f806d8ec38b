// A driver of OpenCL (as much of one as the engine calls) with one device: a GPU of NVIDIA's, whose groups are fibers
// of one thread (lanes.h), all of a launch at once as far as there is room. Local memory and every buffer end where no
// memory is, so that who reads or writes past their end is caught there and then; what nobody has written are NaNs.
// Programs are compiled when they are first launched, by emulate.py, in the folder XENON_EMULATOR.
#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>

#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "lanes.h"

enum { UNITS = 3, MOST_LOCAL = 16, MOST_GROUPS = 64, MOST_ARGUMENTS = 32, MOST_COPIES = 256, PAGE = 4096, ALIGN = 16 };

static void stop(const char *what) {
    fprintf(stderr, "emulator: %s\n", what);
    exit(1);
}

// --- memory ---

struct memory {
    uint8_t *map, *at;
    size_t mapped, bytes;
    struct memory *next; // of all buffers
};
static struct memory *buffers;

static void map(struct memory *m, size_t bytes, int where) {
    size_t pages = (bytes + PAGE - 1) / PAGE * PAGE;
    m->bytes = bytes;
    m->mapped = pages + PAGE;
    m->map = mmap(NULL, m->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | where, -1, 0);
    if (m->map == MAP_FAILED || mprotect(m->map + pages, PAGE, PROT_NONE) != 0) stop("no memory");
    m->at = m->map + pages - (bytes % 4 == 0 && bytes < ALIGN ? bytes : (bytes + ALIGN - 1) / ALIGN * ALIGN);
    memset(m->map, 0xff, pages);
}
// Bytes before and, where it does not end with 16, behind it are as they were.
static void check(const struct memory *m) {
    for (const uint8_t *p = m->map; p < m->map + m->mapped - PAGE; p++)
        if (p == m->at)
            p += m->bytes - 1;
        else if (*p != 0xff)
            stop("a kernel wrote beside a buffer or local memory");
}

// --- groups ---

static struct {
    const char *name;
    uint64_t argument[MOST_ARGUMENTS];
    void (*function)();
    uint32_t first, groups; // of the groups that run, and of all
} launch;
static uint32_t launches;
static struct {
    struct memory memory;
    uint32_t launch; // whose it is
} locals[MOST_GROUPS][MOST_LOCAL];
// Copies on their way to local memory, of each work-item.
static struct {
    uint8_t *to;
    const void *from;
    uint32_t all, bytes;
} copies[MOST_ITEMS][MOST_COPIES];
static uint32_t n_copies[MOST_ITEMS];

uint32_t test_group(void) {
    return launch.first + lid / lanes_of.group;
}
uint32_t test_groups(void) {
    return launch.groups;
}
void *test_local(uint32_t which, uint32_t bytes) {
    uint32_t group = lid / lanes_of.group, number = launches * 4096 + launch.first;
    if (which >= MOST_LOCAL || group >= MOST_GROUPS) stop("too much local memory");
    struct memory *m = &locals[group][which].memory;
    if (m->map && m->bytes != bytes) {
        munmap(m->map, m->mapped);
        m->map = NULL;
    }
    if (!m->map)
        map(m, bytes, MAP_32BIT); // PTX has its addresses in 32 bits
    else if (locals[group][which].launch != number)
        memset(m->at, 0xff, bytes);
    locals[group][which].launch = number;
    return m->at;
}
uint32_t test_shuffle(uint32_t x, uint32_t lane) {
    return value_of_lane(x, lane);
}
uint32_t test_group_count(uint32_t one) {
    uint32_t all = 0;
    items[lid].value = one != 0;
    test_barrier();
    for (uint32_t i = 0; i < lanes_of.group; i++)
        all += items[lid / lanes_of.group * lanes_of.group + i].value;
    test_barrier(); // nobody brings the next before all have these
    return all;
}
void test_warp(void) {
    if (!is_last()) wait_for(AT_SUB_GROUP);
}
void test_poll(void) {
    wait_for(LOOKS_AGAIN);
}
void test_copy(uint64_t to, const void *from, uint32_t all, uint32_t bytes) {
    uint32_t n = n_copies[lid]++;
    if (n == MOST_COPIES || to % all || bytes > all) stop("too many copies on their way, or a wrong one");
    copies[lid][n].to = (uint8_t *)(uintptr_t)to;
    copies[lid][n].from = from;
    copies[lid][n].all = all;
    copies[lid][n].bytes = bytes;
    memset(copies[lid][n].to, 0xff, all);
}
void test_copied(void) {
    for (uint32_t i = 0; i < n_copies[lid]; i++)
        memset(copies[lid][i].to, 0, copies[lid][i].all),
            memcpy(copies[lid][i].to, copies[lid][i].from, copies[lid][i].bytes);
    n_copies[lid] = 0;
}
// As ldmatrix with .trans: of each matrix lane l gets column l / 4's values of rows 2 (l % 4) and that plus 1.
void test_turned_matrices(uint64_t address, void *to) {
    uint32_t l = lid % 32;
    for (uint32_t i = 0; i < 4; i++)
        for (uint32_t j = 0; j < 2; j++) {
            uint32_t lane = 8 * i + 2 * (l % 4) + j;
            uint64_t row = value_of_lane((uint32_t)address, lane); // local memory is in the first 4 GiB
            memcpy((uint8_t *)to + 4 * i + 2 * j, (const uint8_t *)(uintptr_t)row + 2 * (l / 4), 2);
        }
}
const void *test_aligned(const void *p, uint32_t bytes) {
    if ((uintptr_t)p % bytes) stop("a read of memory that is not aligned");
    return p;
}
float test_function(uint32_t which, float x) {
    return which == 0 ? cosf(x) : which == 1 ? sinf(x) : which == 2 ? logf(x) : log1pf(x);
}

static void run_item(void) {
    const uint64_t *a = launch.argument;
    n_copies[lid] = 0;
    launch.function(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13], a[14],
                    a[15], a[16], a[17], a[18], a[19], a[20], a[21], a[22], a[23], a[24], a[25], a[26], a[27], a[28],
                    a[29], a[30], a[31]);
    if (n_copies[lid]) stop("a work-item ends with copies on their way");
}

static int is_past(const struct memory *m, const uint8_t *p) {
    return m->map && p >= m->map + m->mapped - PAGE && p < m->map + m->mapped;
}
static void fault(int signal, siginfo_t *info, void *context) {
    (void)context;
    const uint8_t *p = info->si_addr;
    const struct memory *of = NULL;
    const char *kind = "local memory";
    for (uint32_t g = 0; g < MOST_GROUPS; g++)
        for (uint32_t i = 0; i < MOST_LOCAL; i++)
            if (is_past(&locals[g][i].memory, p)) of = &locals[g][i].memory;
    for (const struct memory *m = buffers; m && !of; m = m->next)
        if (is_past(m, p)) {
            of = m;
            kind = "a buffer";
        }
    if (of)
        fprintf(stderr, "emulator: kernel %s, group %u of %u, work-item %u: byte %zd of %s of %zu\n", launch.name,
                test_group(), launch.groups, test_lid(), p - of->at, kind, of->bytes);
    else
        fprintf(stderr, "emulator: signal %d in kernel %s, at %p\n", signal, launch.name ? launch.name : "?",
                (void *)p);
    _exit(1);
}

// --- OpenCL ---

struct _cl_program {
    char *text;
};
struct _cl_kernel {
    cl_program program;
    char name[64];
    uint64_t argument[MOST_ARGUMENTS];
    void (*function)(); // NULL: not compiled yet
};
struct _cl_event {
    cl_ulong begin, end;
};
static int object; // stands for platform, device, context and queue
#define OBJECT(type) ((type)(void *)&object)
#define SET(code)                                                                                                      \
    if (code) *code = CL_SUCCESS

// A program is compiled once, whatever asks for it.
static void *library_of(const char *text) {
    static struct {
        char *text;
        void *library;
    } known[256];
    static uint32_t n;
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(known[i].text, text) == 0) return known[i].library;
    const char *folder = getenv("XENON_EMULATOR");
    char source[512], command[2048], log[2048] = "";
    if (!folder || n == 256) stop("no folder, or too many programs");
    snprintf(source, sizeof source, "%s/program%u.cl", folder, n);
    FILE *f = fopen(source, "w");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0) stop("a program is not written");
    snprintf(command, sizeof command, "python3 %s %s %s/program%u.so %s/libOpenCL.so.1", getenv("XENON_EMULATE"),
             source, folder, n, folder);
    FILE *pipe = popen(command, "r");
    size_t got = pipe ? fread(log, 1, sizeof log - 1, pipe) : 0;
    if (!pipe || pclose(pipe) != 0) stop(got ? log : "emulate.py fails");
    snprintf(source, sizeof source, "%s/program%u.so", folder, n);
    known[n].library = dlopen(source, RTLD_NOW | RTLD_LOCAL);
    if (!known[n].library) stop(dlerror());
    known[n].text = strdup(text);
    return known[n++].library;
}

cl_int clGetPlatformIDs(cl_uint most, cl_platform_id *ids, cl_uint *n) {
    if (ids && most) *ids = OBJECT(cl_platform_id);
    if (n) *n = 1;
    return CL_SUCCESS;
}
static cl_int answer(const void *value, size_t bytes, size_t size, void *out, size_t *n) {
    if (n) *n = bytes;
    if (!out) return CL_SUCCESS;
    if (size < bytes) return CL_INVALID_VALUE;
    memcpy(out, value, bytes);
    return CL_SUCCESS;
}
static cl_int answer_text(const char *text, size_t size, void *out, size_t *n) {
    return answer(text, strlen(text) + 1, size, out, n);
}
cl_int clGetPlatformInfo(cl_platform_id p, cl_platform_info what, size_t size, void *out, size_t *n) {
    (void)p, (void)what;
    return answer_text("NVIDIA CUDA, emulated", size, out, n);
}
void *clGetExtensionFunctionAddressForPlatform(cl_platform_id p, const char *name) {
    (void)p, (void)name;
    return NULL;
}
cl_int clGetDeviceIDs(cl_platform_id p, cl_device_type type, cl_uint most, cl_device_id *ids, cl_uint *n) {
    (void)p, (void)type;
    if (ids && most) *ids = OBJECT(cl_device_id);
    if (n) *n = 1;
    return CL_SUCCESS;
}
cl_int clGetDeviceInfo(cl_device_id d, cl_device_info what, size_t size, void *out, size_t *n) {
    (void)d;
    uint64_t number = 0; // little-endian: all sizes are right
    switch (what) {
    case CL_DEVICE_NAME:
        return answer_text("emulated", size, out, n);
    case CL_DEVICE_VERSION:
        return answer_text("OpenCL 3.0 CUDA", size, out, n);
    case CL_DRIVER_VERSION:
        return answer_text("1", size, out, n);
    case CL_DEVICE_EXTENSIONS:
        return answer_text("cl_nv_device_attribute_query", size, out, n);
    case CL_DEVICE_TYPE:
        number = CL_DEVICE_TYPE_GPU;
        break;
    case CL_DEVICE_AVAILABLE:
    case CL_DEVICE_COMPILER_AVAILABLE:
    case CL_DEVICE_ENDIAN_LITTLE:
        number = 1;
        break;
    case CL_DEVICE_HOST_UNIFIED_MEMORY:
        break;
    case CL_DEVICE_ADDRESS_BITS:
        number = 64;
        break;
    case CL_DEVICE_GLOBAL_MEM_SIZE:
        number = 1 << 30;
        break;
    case CL_DEVICE_MAX_MEM_ALLOC_SIZE:
        number = 1 << 28;
        break;
    case CL_DEVICE_LOCAL_MEM_SIZE:
        number = 48 << 10;
        break;
    case CL_DEVICE_MAX_COMPUTE_UNITS:
        number = UNITS;
        break;
    case CL_DEVICE_MAX_CLOCK_FREQUENCY:
        number = 1000;
        break;
    case CL_DEVICE_MAX_WORK_GROUP_SIZE:
        number = 1024;
        break;
    default:
        return CL_INVALID_VALUE;
    }
    return answer(&number, size < 8 ? size : 8, size, out, n);
}
cl_context clCreateContext(const cl_context_properties *p, cl_uint n, const cl_device_id *d,
                           void (*f)(const char *, const void *, size_t, void *), void *u, cl_int *code) {
    (void)p, (void)n, (void)d, (void)f, (void)u;
    static uint8_t stack[1 << 16];
    stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaltstack(&alternative, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    fill_half_values();
    SET(code);
    return OBJECT(cl_context);
}
cl_int clReleaseContext(cl_context c) {
    (void)c;
    return CL_SUCCESS;
}
cl_command_queue clCreateCommandQueue(cl_context c, cl_device_id d, cl_command_queue_properties p, cl_int *code) {
    (void)c, (void)d, (void)p;
    SET(code);
    return OBJECT(cl_command_queue);
}
cl_int clReleaseCommandQueue(cl_command_queue q) {
    (void)q;
    return CL_SUCCESS;
}
cl_mem clCreateBuffer(cl_context c, cl_mem_flags f, size_t size, void *host, cl_int *code) {
    (void)c, (void)f, (void)host;
    struct memory *m = calloc(1, sizeof *m);
    if (!m) stop("no memory");
    map(m, size, 0);
    m->next = buffers;
    buffers = m;
    SET(code);
    return (cl_mem)(void *)m;
}
static struct memory *memory_of(cl_mem m) {
    return (struct memory *)(void *)m;
}
cl_int clReleaseMemObject(cl_mem mem) {
    struct memory *m = memory_of(mem), **at = &buffers;
    check(m);
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    munmap(m->map, m->mapped);
    free(m);
    return CL_SUCCESS;
}
static int is_inside(cl_mem m, size_t at, size_t bytes) {
    return at <= memory_of(m)->bytes && bytes <= memory_of(m)->bytes - at;
}
cl_program clCreateProgramWithSource(cl_context c, cl_uint n, const char **text, const size_t *size, cl_int *code) {
    (void)c;
    cl_program p = calloc(1, sizeof *p);
    size_t all = 0;
    for (cl_uint i = 0; i < n; i++)
        all += size[i];
    if (!p || !(p->text = calloc(1, all + 1))) stop("no memory");
    for (cl_uint i = 0, at = 0; i < n; at += (cl_uint)size[i++])
        memcpy(p->text + at, text[i], size[i]);
    SET(code);
    return p;
}
cl_program clCreateProgramWithBinary(cl_context c, cl_uint n, const cl_device_id *d, const size_t *size,
                                     const unsigned char **bytes, cl_int *status, cl_int *code) {
    (void)c, (void)n, (void)d, (void)size, (void)bytes, (void)status;
    *code = CL_INVALID_BINARY;
    return NULL;
}
cl_int clBuildProgram(cl_program p, cl_uint n, const cl_device_id *d, const char *options,
                      void (*f)(cl_program, void *), void *u) {
    (void)p, (void)n, (void)d, (void)options, (void)f, (void)u;
    return CL_SUCCESS;
}
cl_int clGetProgramBuildInfo(cl_program p, cl_device_id d, cl_program_build_info what, size_t size, void *out,
                             size_t *n) {
    (void)p, (void)d, (void)what;
    return answer_text("", size, out, n);
}
cl_int clGetProgramInfo(cl_program p, cl_program_info what, size_t size, void *out, size_t *n) {
    (void)p, (void)what, (void)size, (void)out, (void)n;
    return CL_INVALID_VALUE;
}
cl_int clReleaseProgram(cl_program p) {
    free(p->text);
    free(p);
    return CL_SUCCESS;
}
cl_kernel clCreateKernel(cl_program p, const char *name, cl_int *code) {
    cl_kernel k = calloc(1, sizeof *k);
    if (!k) stop("no memory");
    k->program = p;
    snprintf(k->name, sizeof k->name, "%s", name);
    SET(code);
    return k;
}
cl_int clSetKernelArg(cl_kernel k, cl_uint i, size_t size, const void *value) {
    if (i >= MOST_ARGUMENTS || size > 8) return CL_INVALID_ARG_INDEX;
    k->argument[i] = 0;
    memcpy(&k->argument[i], value, size);
    if (size == 8) // a buffer, or a number
        for (struct memory *m = buffers; m; m = m->next)
            if (k->argument[i] == (uintptr_t)m) k->argument[i] = (uintptr_t)m->at;
    return CL_SUCCESS;
}
cl_int clReleaseKernel(cl_kernel k) {
    free(k);
    return CL_SUCCESS;
}

static cl_ulong now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (cl_ulong)t.tv_sec * 1000000000u + (cl_ulong)t.tv_nsec;
}
cl_int clEnqueueNDRangeKernel(cl_command_queue q, cl_kernel k, cl_uint n, const size_t *offset, const size_t *global,
                              const size_t *local, cl_uint n_wait, const cl_event *wait, cl_event *event) {
    (void)q, (void)n, (void)offset, (void)n_wait, (void)wait;
    uint32_t groups = (uint32_t)(*global / *local), at_once = MOST_ITEMS / (uint32_t)*local;
    if (at_once > MOST_GROUPS) at_once = MOST_GROUPS;
    if (!k->function) *(void **)&k->function = dlsym(library_of(k->program->text), k->name);
    if (!k->function) return CL_INVALID_KERNEL;
    cl_ulong begin = now();
    launch.name = k->name;
    launch.function = k->function;
    launch.groups = groups;
    memcpy(launch.argument, k->argument, sizeof launch.argument);
    lanes_of.group = (uint32_t)*local;
    lanes_of.lanes = 32;
    lanes_of.run = run_item;
    lanes_of.backwards = ++launches % 2;
    for (launch.first = 0; launch.first < groups; launch.first += at_once) {
        lanes_of.groups = groups - launch.first < at_once ? groups - launch.first : at_once;
        if (!run_group()) stop("work-items wait for what others never come to");
    }
    for (uint32_t i = 0; i < MOST_GROUPS * MOST_LOCAL; i++)
        if (locals[0][i].memory.map) check(&locals[0][i].memory);
    if (!event) return CL_SUCCESS;
    if (!(*event = calloc(1, sizeof **event))) stop("no memory");
    (*event)->begin = begin;
    (*event)->end = now() + 1;
    return CL_SUCCESS;
}
cl_int clEnqueueWriteBuffer(cl_command_queue q, cl_mem m, cl_bool b, size_t at, size_t bytes, const void *from,
                            cl_uint n, const cl_event *wait, cl_event *event) {
    (void)q, (void)b, (void)n, (void)wait, (void)event;
    if (!is_inside(m, at, bytes)) return CL_INVALID_VALUE;
    memcpy(memory_of(m)->at + at, from, bytes);
    return CL_SUCCESS;
}
cl_int clEnqueueReadBuffer(cl_command_queue q, cl_mem m, cl_bool b, size_t at, size_t bytes, void *to, cl_uint n,
                           const cl_event *wait, cl_event *event) {
    (void)q, (void)b, (void)n, (void)wait, (void)event;
    if (!is_inside(m, at, bytes)) return CL_INVALID_VALUE;
    memcpy(to, memory_of(m)->at + at, bytes);
    return CL_SUCCESS;
}
cl_int clEnqueueCopyBuffer(cl_command_queue q, cl_mem a, cl_mem b, size_t from, size_t to, size_t bytes, cl_uint n,
                           const cl_event *wait, cl_event *event) {
    (void)q, (void)n, (void)wait, (void)event;
    if (!is_inside(a, from, bytes) || !is_inside(b, to, bytes)) return CL_INVALID_VALUE;
    memmove(memory_of(b)->at + to, memory_of(a)->at + from, bytes);
    return CL_SUCCESS;
}
cl_int clEnqueueFillBuffer(cl_command_queue q, cl_mem m, const void *pattern, size_t size, size_t at, size_t bytes,
                           cl_uint n, const cl_event *wait, cl_event *event) {
    (void)q, (void)n, (void)wait, (void)event;
    if (!is_inside(m, at, bytes)) return CL_INVALID_VALUE;
    for (size_t i = 0; i < bytes; i += size)
        memcpy(memory_of(m)->at + at + i, pattern, size);
    return CL_SUCCESS;
}
void *clEnqueueMapBuffer(cl_command_queue q, cl_mem m, cl_bool b, cl_map_flags f, size_t at, size_t bytes, cl_uint n,
                         const cl_event *wait, cl_event *event, cl_int *code) {
    (void)q, (void)b, (void)f, (void)bytes, (void)n, (void)wait, (void)event;
    SET(code);
    return memory_of(m)->at + at;
}
cl_int clEnqueueUnmapMemObject(cl_command_queue q, cl_mem m, void *p, cl_uint n, const cl_event *wait,
                               cl_event *event) {
    (void)q, (void)m, (void)p, (void)n, (void)wait, (void)event;
    return CL_SUCCESS;
}
cl_int clFlush(cl_command_queue q) {
    (void)q;
    return CL_SUCCESS;
}
cl_int clFinish(cl_command_queue q) {
    (void)q;
    return CL_SUCCESS;
}
cl_int clGetEventInfo(cl_event e, cl_event_info what, size_t size, void *out, size_t *n) {
    (void)e, (void)what;
    cl_int status = CL_COMPLETE;
    return answer(&status, sizeof status, size, out, n);
}
cl_int clGetEventProfilingInfo(cl_event e, cl_profiling_info what, size_t size, void *out, size_t *n) {
    return answer(what == CL_PROFILING_COMMAND_START ? &e->begin : &e->end, sizeof e->end, size, out, n);
}
cl_int clReleaseEvent(cl_event e) {
    free(e);
    return CL_SUCCESS;
}
