// A driver that fails: at each of its calls in turn, while a matrix is packed, a plan prepared and steps are run. Every
// failure is an error that names the code; nothing crashes or stays allocated, and the device works on.
#include "opencl/executor.h"

#include "check/case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "opencl/testing.h"

static const struct xn_cl_api *real;
static struct xn_cl_api faulty;
static struct xn_cl_recording real_recording; // the functions are one platform's: the first device's
static int64_t countdown;                     // calls until one fails; negative: none does
static bool gone;                             // and so does every one after it, as of a device that is no more
static cl_int code;                           // with which

static bool fails(void) {
    if (countdown != 0) {
        countdown -= countdown > 0;
        return false;
    }
    countdown = gone ? 0 : -1;
    return true;
}

// What returns an object, and its code through the last parameter.
static cl_mem CL_API_CALL create_buffer(cl_context c, cl_mem_flags f, size_t n, void *p, cl_int *e) {
    if (fails()) {
        *e = code;
        return NULL;
    }
    return real->CreateBuffer(c, f, n, p, e);
}
static cl_program CL_API_CALL create_program(cl_context c, cl_uint n, const char **text, const size_t *size,
                                             cl_int *e) {
    if (fails()) {
        *e = code;
        return NULL;
    }
    return real->CreateProgramWithSource(c, n, text, size, e);
}
static cl_kernel CL_API_CALL create_kernel(cl_program p, const char *name, cl_int *e) {
    if (fails()) {
        *e = code;
        return NULL;
    }
    return real->CreateKernel(p, name, e);
}
// What returns its code.
static cl_int CL_API_CALL build_program(cl_program p, cl_uint n, const cl_device_id *d, const char *o,
                                        void(CL_CALLBACK *f)(cl_program, void *), void *u) {
    return fails() ? code : real->BuildProgram(p, n, d, o, f, u);
}
static cl_int CL_API_CALL set_argument(cl_kernel k, cl_uint i, size_t n, const void *v) {
    return fails() ? code : real->SetKernelArg(k, i, n, v);
}
static cl_int CL_API_CALL launch(cl_command_queue q, cl_kernel k, cl_uint n, const size_t *o, const size_t *g,
                                 const size_t *l, cl_uint w, const cl_event *e, cl_event *out) {
    return fails() ? code : real->EnqueueNDRangeKernel(q, k, n, o, g, l, w, e, out);
}
static cl_int CL_API_CALL write_buffer(cl_command_queue q, cl_mem m, cl_bool b, size_t o, size_t n, const void *p,
                                       cl_uint w, const cl_event *e, cl_event *out) {
    return fails() ? code : real->EnqueueWriteBuffer(q, m, b, o, n, p, w, e, out);
}
static cl_int CL_API_CALL read_buffer(cl_command_queue q, cl_mem m, cl_bool b, size_t o, size_t n, void *p, cl_uint w,
                                      const cl_event *e, cl_event *out) {
    return fails() ? code : real->EnqueueReadBuffer(q, m, b, o, n, p, w, e, out);
}
static cl_int CL_API_CALL copy_buffer(cl_command_queue q, cl_mem a, cl_mem b, size_t i, size_t j, size_t n, cl_uint w,
                                      const cl_event *e, cl_event *out) {
    return fails() ? code : real->EnqueueCopyBuffer(q, a, b, i, j, n, w, e, out);
}
static cl_int CL_API_CALL fill_buffer(cl_command_queue q, cl_mem m, const void *p, size_t k, size_t o, size_t n,
                                      cl_uint w, const cl_event *e, cl_event *out) {
    return fails() ? code : real->EnqueueFillBuffer(q, m, p, k, o, n, w, e, out);
}
static cl_int CL_API_CALL finish(cl_command_queue q) {
    cl_int status = real->Finish(q); // the work ends either way
    return fails() ? code : status;
}

static xn_cl_command_buffer CL_API_CALL record(cl_uint n, const cl_command_queue *q, const void *p, cl_int *e) {
    if (fails()) {
        *e = code;
        return NULL;
    }
    return real_recording.Create(n, q, p, e);
}
static cl_int CL_API_CALL record_launch(xn_cl_command_buffer b, cl_command_queue q, const void *p, cl_kernel k,
                                        cl_uint n, const size_t *o, const size_t *g, const size_t *l, cl_uint w,
                                        const cl_uint *s, cl_uint *out, void *h) {
    return fails() ? code : real_recording.NDRangeKernel(b, q, p, k, n, o, g, l, w, s, out, h);
}
static cl_int CL_API_CALL finalize(xn_cl_command_buffer b) {
    return fails() ? code : real_recording.Finalize(b);
}
static cl_int CL_API_CALL enqueue(cl_uint n, cl_command_queue *q, xn_cl_command_buffer b, cl_uint w, const cl_event *e,
                                  cl_event *out) {
    return fails() ? code : real_recording.Enqueue(n, q, b, w, e, out);
}

// From now on the driver of a device may fail.
static void make_it_fail(struct xn_cl_device *d) {
    d->cl = &faulty;
    if (!d->recording.Create) return;
    real_recording = d->recording;
    d->recording = (struct xn_cl_recording){record, record_launch, finalize, enqueue, real_recording.Release};
}

static void make_faulty(void) {
    real = xn_cl_api();
    faulty = *real;
    faulty.CreateBuffer = create_buffer;
    faulty.CreateProgramWithSource = create_program;
    faulty.CreateKernel = create_kernel;
    faulty.BuildProgram = build_program;
    faulty.SetKernelArg = set_argument;
    faulty.EnqueueNDRangeKernel = launch;
    faulty.EnqueueWriteBuffer = write_buffer;
    faulty.EnqueueReadBuffer = read_buffer;
    faulty.EnqueueCopyBuffer = copy_buffer;
    faulty.EnqueueFillBuffer = fill_buffer;
    faulty.Finish = finish;
}

// Two steps of the case, with all that is done to memory between them.
static int use(struct xn_executor *e, const struct xn_check_case *c, struct xn_device *device, struct xn_error *err) {
    const struct xn_device_table *t = device->table;
    static char page[1 << 20];
    static float state[1 << 16];
    static uint32_t rows[1 << 20];
    XN_TRY(t->run(e, &c->batch, err));
    for (int i = 0; i < XN_ROWS; i++) {
        uint64_t n = (uint64_t)c->batch.n_rows * xn_rows_width(&c->plan, i);
        if (n == 0 || n > sizeof rows / sizeof *rows) continue;
        XN_TRY(t->read_rows(e, i, c->batch.n_rows, rows, err));
        XN_TRY(t->write_rows(e, i, c->batch.n_rows, rows, err));
    }
    XN_TRY(t->run_part(e, &c->batch, 0, c->plan.n_ops, err));
    XN_TRY(t->run_part(e, NULL, c->plan.n_ops, 0, err));
    if (c->plan.n_cache) {
        if (c->limits.pages > 1) XN_TRY(t->copy_page(e, 0, 1, err));
        XN_TRY(t->read_page(e, 0, 1, page, err));
        XN_TRY(t->write_page(e, 0, 1, page, err));
    }
    if (c->plan.n_states) {
        XN_TRY(t->clear_state(e, 0, err));
        XN_TRY(t->copy_state(e, 0, 1, err));
        XN_TRY(t->read_state(e, 0, state, err));
        XN_TRY(t->write_state(e, 0, state, err));
    }
    return t->run(e, &c->batch, err);
}

static int all_of_it(struct xn_check_case *c, struct xn_device *device, struct xn_error *err) {
    struct xn_check_weights weights;
    struct xn_executor *e = NULL;
    XN_TRY(xn_check_bind(c, device, &weights, err));
    int status = device->table->prepare(device, &c->plan, &c->limits, &e, err);
    if (status == XN_OK) status = use(e, c, device, err);
    device->table->release(device, e);
    xn_check_unbind(&weights);
    return status;
}

static void every_call_may_fail(enum xn_op_kind kind, uint32_t rows) {
    struct xn_error err;
    struct xn_check_blocks *blocks;
    struct xn_check_case *c;
    struct xn_check_wish wish = {.kind = kind, .type = XN_TYPE_COUNT, .rows = rows, .seed = 3};
    if (kind == XN_OP_PROJECT) wish.type = XN_Q8_0;
    assert_int_equal(xn_check_blocks_make(1, &blocks, &err), XN_OK);
    if (xn_check_case_make(&wish, blocks, &c, &err) != XN_OK) fail_msg("%s", err.message);
    bool recorded = false;
    int overcome = 0, unrecorded = 0;
    for (int64_t at = 0;; at++) { // a device each time: a program that was built is built no more
        struct xn_device *device = test_open((struct xn_opencl_options){.cache = at % 8 ? test_cache() : NULL});
        struct xn_cl_device *d = xn_cl_device_of(device);
        uint64_t taken = d->taken;
        make_it_fail(d);
        recorded = d->recording.Create && rows > XN_CL_STREAM_TOKENS; // several launches
        code = at % 3 == 0 ? CL_OUT_OF_RESOURCES : at % 3 == 1 ? CL_MEM_OBJECT_ALLOCATION_FAILURE : CL_INVALID_VALUE;
        countdown = at;
        int status = all_of_it(c, device, &err);
        bool failed = countdown < 0;
        countdown = -1;
        if (failed && status == XN_OK) {
            // A binary that does not load is built, a heap that is refused is asked for once more and smaller, and what
            // is let go is let go. What can't be recorded is launched.
            if (d->way == XN_OPENCL_BY_LAUNCHES)
                unrecorded++;
            else
                overcome++;
        } else if (failed) {
            assert_int_equal(status, code == CL_MEM_OBJECT_ALLOCATION_FAILURE ? XN_ERR_NOMEM : XN_ERR_DEVICE);
            if (!strstr(err.message, xn_cl_code_name(code))) fail_msg("call %d: %s", (int)at, err.message);
        } else {
            if (status != XN_OK) fail_msg("%s", err.message);
        }
        assert_int_equal(d->taken, taken);
        // The device is as good as before.
        if (at % 16 == 0 && all_of_it(c, device, &err) != XN_OK) fail_msg("after call %d: %s", (int)at, err.message);
        device->table->free(device);
        if (!failed) {
            assert_true(at > 20);
            break;
        }
    }
    assert_true(overcome < 12);
    assert_true(unrecorded > 20 || !recorded);
    xn_check_case_free(c);
    xn_check_blocks_free(blocks);
}

// From each of its calls on: an error that names the first code, and an end, of the device too.
static void the_device_may_disappear(void **unused) {
    (void)unused;
    static const struct xn_check_wish wishes[] = {
        {.kind = XN_OP_ATTEND, .type = XN_F16, .rows = 5, .seed = 3},
        {.kind = XN_OP_SHORT_CONV, .type = XN_TYPE_COUNT, .rows = 5, .seed = 3},
    };
    struct xn_error err;
    struct xn_check_blocks *blocks;
    assert_int_equal(xn_check_blocks_make(1, &blocks, &err), XN_OK);
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        struct xn_check_case *c;
        assert_int_equal(xn_check_case_make(&wishes[i], blocks, &c, &err), XN_OK);
        int64_t at = 0;
        int unseen = 0;
        for (bool failed = true; failed; at++) {
            struct xn_device *device = test_open((struct xn_opencl_options){.cache = test_cache()});
            struct xn_cl_device *d = xn_cl_device_of(device);
            uint64_t taken = d->taken;
            make_it_fail(d);
            gone = true;
            code = at % 2 ? CL_DEVICE_NOT_AVAILABLE : CL_OUT_OF_RESOURCES;
            countdown = at;
            int status = all_of_it(c, device, &err);
            failed = countdown == 0;
            if (failed) {
                unseen += status == XN_OK; // the last call waits for what is let go
                if (status != XN_OK && !strstr(err.message, xn_cl_code_name(code)))
                    fail_msg("call %d: %s", (int)at, err.message);
            } else if (status != XN_OK) {
                fail_msg("%s", err.message);
            }
            assert_int_equal(d->taken, taken);
            device->table->free(device); // with calls that fail as well
            gone = false;
            countdown = -1;
        }
        assert_true(at > 20 && unseen <= 2);
        xn_check_case_free(c);
    }
    xn_check_blocks_free(blocks);
}

static void a_projection(void **unused) {
    (void)unused;
    every_call_may_fail(XN_OP_PROJECT, 9);
}
static void attention(void **unused) {
    (void)unused;
    every_call_may_fail(XN_OP_ATTEND, 5);
}
static void a_recurrence(void **unused) {
    (void)unused;
    every_call_may_fail(XN_OP_SHORT_CONV, 5);
}

// --- a driver that hangs ---

static int calls; // that a lost device's driver must not get

static cl_int CL_API_CALL running(cl_event e, cl_event_info what, size_t n, void *out, size_t *out_n) {
    (void)e;
    (void)what;
    (void)out_n;
    assert_int_equal(n, sizeof(cl_int));
    *(cl_int *)out = CL_RUNNING;
    return CL_SUCCESS;
}
static cl_int CL_API_CALL release_memory(cl_mem m) {
    calls++;
    return real->ReleaseMemObject(m);
}
static cl_int CL_API_CALL release_kernel(cl_kernel k) {
    calls++;
    return real->ReleaseKernel(k);
}
static cl_int CL_API_CALL release_program(cl_program p) {
    calls++;
    return real->ReleaseProgram(p);
}
static cl_int CL_API_CALL release_queue(cl_command_queue q) {
    calls++;
    return real->ReleaseCommandQueue(q);
}
static cl_int CL_API_CALL release_context(cl_context c) {
    calls++;
    return real->ReleaseContext(c);
}
static cl_int CL_API_CALL unmap(cl_command_queue q, cl_mem m, void *p, cl_uint n, const cl_event *w, cl_event *e) {
    calls++;
    return real->EnqueueUnmapMemObject(q, m, p, n, w, e);
}
static cl_int CL_API_CALL count_finish(cl_command_queue q) {
    calls++;
    return real->Finish(q);
}

// A step that does not end in time is an error that says so; from then on everything is, at once, and nothing waits for
// the driver, not even to let go. The same device with time enough is as good as any.
static void a_device_may_hang(void **unused) {
    (void)unused;
    struct xn_error err;
    struct xn_check_blocks *blocks;
    struct xn_check_case *c;
    struct xn_check_weights weights;
    struct xn_check_wish wish = {.kind = XN_OP_ATTEND, .type = XN_F16, .rows = 3, .seed = 5};
    char page[1 << 16];
    assert_int_equal(xn_check_blocks_make(1, &blocks, &err), XN_OK);
    assert_int_equal(xn_check_case_make(&wish, blocks, &c, &err), XN_OK);
    for (int hangs = 0; hangs < 2; hangs++) {
        struct xn_executor *e;
        struct xn_cl_api api = *real;
        struct xn_device *device = test_open((struct xn_opencl_options){.cache = test_cache(), .timeout = 20});
        const struct xn_device_table *t = device->table;
        struct xn_cl_device *d = xn_cl_device_of(device);
        assert_true(d->timeout == 20);
        assert_int_equal(xn_check_bind(c, device, &weights, &err), XN_OK);
        if (t->prepare(device, &c->plan, &c->limits, &e, &err) != XN_OK) fail_msg("%s", err.message);
        if (t->run(e, &c->batch, &err) != XN_OK) fail_msg("%s", err.message);
        if (hangs) {
            d->timeout = 0.05;
            d->cl = &api;
            api.GetEventInfo = running;
            assert_int_equal(t->run(e, &c->batch, &err), XN_ERR_DEVICE);
            if (!strstr(err.message, "did not end") || !strstr(err.message, "3 rows")) fail_msg("%s", err.message);
            real->Finish(d->queue); // it does end
            api.Finish = count_finish;
            api.ReleaseMemObject = release_memory;
            api.ReleaseKernel = release_kernel;
            api.ReleaseProgram = release_program;
            api.ReleaseCommandQueue = release_queue;
            api.ReleaseContext = release_context;
            api.EnqueueUnmapMemObject = unmap;
            calls = 0;
            assert_int_equal(t->run(e, &c->batch, &err), XN_ERR_DEVICE);
            assert_int_equal(t->run_part(e, &c->batch, 0, 1, &err), XN_ERR_DEVICE);
            assert_int_equal(t->copy_page(e, 0, 1, &err), XN_ERR_DEVICE);
            assert_int_equal(t->read_page(e, 0, 1, page, &err), XN_ERR_DEVICE);
            assert_int_equal(t->read_rows(e, XN_BUF_Q, 1, page, &err), XN_ERR_DEVICE);
            if (!strstr(err.message, "not used any more")) fail_msg("%s", err.message);
            struct xn_executor *another;
            assert_int_equal(t->prepare(device, &c->plan, &c->limits, &another, &err), XN_ERR_DEVICE);
        }
        assert_true(xn_opencl_has_lost() == (hangs > 0));
        t->release(device, e);
        xn_check_unbind(&weights);
        t->free(device);
        assert_int_equal(calls, 0);
    }
    xn_check_case_free(c);
    xn_check_blocks_free(blocks);
}

// What a step may not be: told before anything reaches the device.
static void a_wrong_batch_is_refused(void **unused) {
    (void)unused;
    struct xn_error err;
    struct xn_check_blocks *blocks;
    struct xn_check_case *c;
    struct xn_check_weights weights;
    struct xn_executor *e;
    struct xn_check_wish wish = {.kind = XN_OP_ATTEND, .type = XN_F16, .rows = 3, .seed = 5};
    struct xn_device *device = test_open((struct xn_opencl_options){.cache = test_cache()});
    const struct xn_device_table *t = device->table;
    assert_int_equal(xn_check_blocks_make(1, &blocks, &err), XN_OK);
    assert_int_equal(xn_check_case_make(&wish, blocks, &c, &err), XN_OK);
    assert_int_equal(xn_check_bind(c, device, &weights, &err), XN_OK);
    if (t->prepare(device, &c->plan, &c->limits, &e, &err) != XN_OK) fail_msg("%s", err.message);
    struct xn_batch batch = c->batch;
    batch.n_rows = 0;
    assert_int_equal(t->run(e, &batch, &err), XN_ERR_LIMIT);
    batch = c->batch;
    batch.n_rows = c->limits.rows + 1;
    assert_int_equal(t->run(e, &batch, &err), XN_ERR_LIMIT);
    assert_int_equal(t->run_part(e, NULL, 0, 1, &err), XN_ERR_ARGUMENT); // there was no part before
    assert_int_equal(t->run_part(e, &c->batch, 1, c->plan.n_ops, &err), XN_ERR_ARGUMENT);
    assert_int_equal(t->run_part(e, &c->batch, UINT32_MAX, 2, &err), XN_ERR_ARGUMENT);
    uint32_t one_row[1];
    assert_int_equal(t->read_rows(e, -1, 1, one_row, &err), XN_ERR_ARGUMENT);
    assert_int_equal(t->read_rows(e, XN_ROWS, 1, one_row, &err), XN_ERR_ARGUMENT);
    assert_int_equal(t->write_rows(e, XN_BUF_ALPHA, 1, one_row, &err), XN_ERR_ARGUMENT);
    assert_int_equal(t->read_rows(e, XN_BUF_Q, c->limits.rows + 1, one_row, &err), XN_ERR_ARGUMENT);
    assert_int_equal(t->copy_page(e, c->limits.pages, 0, &err), XN_ERR_ARGUMENT);
    assert_int_equal(t->copy_page(e, 0, c->limits.pages, &err), XN_ERR_ARGUMENT);
    assert_int_equal(t->copy_state(e, c->limits.slots, 0, &err), XN_ERR_ARGUMENT);
    assert_int_equal(t->clear_state(e, UINT32_MAX, &err), XN_ERR_ARGUMENT);
    char byte[1];
    assert_int_equal(t->read_page(e, c->limits.pages, 0, byte, &err), XN_ERR_ARGUMENT);
    assert_int_equal(t->write_page(e, 0, c->limits.page_size + 1, byte, &err), XN_ERR_ARGUMENT);
    if (t->run(e, &c->batch, &err) != XN_OK) fail_msg("%s", err.message);
    t->release(device, e);
    t->release(device, NULL);
    t->unpack(device, NULL);
    xn_check_unbind(&weights);
    xn_check_case_free(c);
    xn_check_blocks_free(blocks);
    t->free(device);
}

int main(void) {
    if (test_devices() == 0) return SKIPPED;
    make_faulty();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_projection),      cmocka_unit_test(attention),
        cmocka_unit_test(a_recurrence),      cmocka_unit_test(the_device_may_disappear),
        cmocka_unit_test(a_device_may_hang), cmocka_unit_test(a_wrong_batch_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
