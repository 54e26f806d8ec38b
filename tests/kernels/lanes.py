"""Kernels for GPUs compiled for this processor: their source over Intel's own dialect, or the matrix layer of NVIDIA's, with what
OpenCL, its extensions and PTX have of functions in lanes.h and here."""
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent / "src"
KERNELS = SOURCE / "opencl/kernels"

BEFORE = """
#define XN_NO_VISA
uint test_lid(void);
void test_barrier(void);
void test_dpas(const void *a, const void *b, void *c, uint bfloat);
uint test_broadcast(uint x);
#define get_local_id(dimension) test_lid()
#define get_sub_group_local_id() (test_lid() % XN_LANES)
#define get_sub_group_id() (test_lid() / XN_LANES)
#define sub_group_broadcast(x, lane) test_broadcast(x)
#define barrier(flags) test_barrier()
#define mem_fence(flags)
#define atomic_inc(p) ((*(p))++)
#define atomic_add(p, x) ((*(p) += (x)) - (x))
#define atomic_xchg(p, x) (*(p) = (x))
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define clamp(x, low, high) ((x) < (low) ? (low) : (x) > (high) ? (high) : (x))
#define popcount(x) ((uint)__builtin_popcount(x))
float test_expf(float x);
float test_tanhf(float x);
float test_half_value(ushort bits);
ushort test_half_bits(float x);
#define exp(x) test_expf(x)
#define tanh(x) test_tanhf(x)
#define erf(x) __builtin_erff(x)
#define fmin(a, b) __builtin_fminf(a, b)
float test_exp2f(float x);
int test_any(int x);
#define sub_group_any(x) test_any(x)
#define native_exp2(x) test_exp2(x)
#define native_exp(x) test_exp2((x) * 1.44269504f)
#define native_recip(x) (1.0f / (x))
#define fmax(a, b) test_max(a, b)
#define fma(a, b, c) __builtin_fmaf(a, b, c)
#define OVERLOAD static inline __attribute__((overloadable))
OVERLOAD float test_max(float a, float b) { return __builtin_fmaxf(a, b); }
OVERLOAD float2 test_max(float2 a, float2 b) { return (float2)(test_max(a.x, b.x), test_max(a.y, b.y)); }
OVERLOAD float4 test_max(float4 a, float4 b) { return (float4)(test_max(a.lo, b.lo), test_max(a.hi, b.hi)); }
#define convert_float8(x) __builtin_convertvector(x, float8)
OVERLOAD float test_exp2(float x) { return test_exp2f(x); }
OVERLOAD float8 test_exp2(float8 x) { for (int i = 0; i < 8; i++) x[i] = test_exp2f(x[i]); return x; }
#define vstore4(x, i, p) for (int j = 0; j < 4; j++) (p)[j] = (x)[j]
OVERLOAD float test_load(global const half *p, uint i) { return test_half_value(((global const ushort *)p)[i]); }
OVERLOAD float test_load(private const half *p, uint i) { return test_half_value(((private const ushort *)p)[i]); }
#define vload_half(i, p) test_load(p, i)
#define vload_half2(i, p) ((float2)(test_load(p, 2 * (i)), test_load(p, 2 * (i) + 1)))
OVERLOAD float8 test_load8(global const float *p) { return (float8)(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]); }
OVERLOAD float8 test_load8(local const float *p) { return (float8)(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]); }
#define vload8(i, p) test_load8(p)
OVERLOAD void test_store8(float8 x, global float *p) { for (int i = 0; i < 8; i++) p[i] = x[i]; }
OVERLOAD void test_store8(local float *p, float8 x) { for (int i = 0; i < 8; i++) p[i] = x[i]; }
OVERLOAD void test_store8(float8 x, local float *p) { for (int i = 0; i < 8; i++) p[i] = x[i]; }
#define vstore8(x, i, p) test_store8(x, p)
OVERLOAD void test_store_half(float x, uint i, global half *p) { ((global ushort *)p)[i] = test_half_bits(x); }
OVERLOAD void test_store_half(float x, uint i, private half *p) { ((private ushort *)p)[i] = test_half_bits(x); }
#define vstore_half_rte(x, i, p) test_store_half(x, i, p)
#define half2 float2
#define as_half2(x) ((float2)(test_half_value((x)&0xffff), test_half_value((x) >> 16)))
#define isnan(x) ((x) != (x))
// What the dialect has and tiles do not call.
float sub_group_reduce_add(float x);
float sub_group_reduce_max(float x);
float __attribute__((overloadable)) intel_sub_group_shuffle_xor(float x, uint y);
int __attribute__((overloadable)) intel_sub_group_shuffle_xor(int x, uint y);
uint intel_sub_group_shuffle(uint x, uint y);
uint intel_sub_group_block_read(global const uint *p);
#ifdef XN_NVIDIA // what matrix_nvidia.cl has as inline PTX
#define XN_NO_PTX
void test_matrices(ulong address, void *to);
void test_mma(void *c, const void *a, uint b0, uint b1);
#define native_divide(x, y) ((x) / (y))
#define TEST_NUMBER(digits) ((digits)[0] == '0' ? 0 : ((digits)[0] - '0') * 1000 + ((digits)[1] - '0') * 100 + ((digits)[2] - '0') * 10 + (digits)[3] - '0')
#define XN_LOAD_MATRICES(to, address, at) test_matrices((address) + TEST_NUMBER(at), &(to))
#define XN_MMA(c, a, b0, b1) test_mma(c, &(a), b0, b1)
#define XN_COPY_CHUNK(at, i) \\
    if (wanted) *(local uint4 *)(to + TEST_NUMBER(at)) = *(global const uint4 *)(from + chunk[i])
#define xn_copy_done()
#define xn_copy_wait()
#endif
// As the documentation of cl_intel_subgroups and cl_intel_subgroup_local_block_io has it: value i of lane l is at
// i * lanes + l.
typedef ulong xn_address;
#define XN_LOCAL_ADDRESS(p) ((ulong)(p))
static inline int8 test_words(ulong at) {
    int8 v;
    for (int i = 0; i < 8; i++) v[i] = ((local const int *)at)[i * XN_LANES + test_lid() % XN_LANES];
    return v;
}
static inline short8 test_shorts(ulong at) {
    short8 v;
    for (int i = 0; i < 8; i++) v[i] = ((local const short *)at)[i * XN_LANES + test_lid() % XN_LANES];
    return v;
}
#define XN_LOAD_WORDS(to, from, offset) to = test_words((from) + (offset))
#if XN_LANES == 8
#define XN_LOAD_ROWS XN_LOAD_WORDS
#else
#define XN_LOAD_ROWS(to, from, offset) to = test_shorts((from) + (offset))
#endif
"""
# Built-in functions that the kernels declare.
UNIT = """
#ifdef XN_INTEL
#if XN_LANES == 8
typedef int8 test_rows;
#else
typedef short8 test_rows;
#endif
float8 __attribute__((overloadable)) intel_sub_group_f16_f16_matrix_mad_k16(test_rows a, int8 b, float8 c) {
    test_dpas(&a, &b, &c, 0);
    return c;
}
float8 __attribute__((overloadable)) intel_sub_group_bf16_bf16_matrix_mad_k16(test_rows a, int8 b, float8 c) {
    test_dpas(&a, &b, &c, 1);
    return c;
}
void __attribute__((overloadable)) intel_sub_group_block_write4(local uint *p, uint4 v) {
    for (int i = 0; i < 4; i++) p[i * XN_LANES + test_lid() % XN_LANES] = v[i];
}
#endif
"""


def compile_kernels(folder, name, defines, files, after):
    """The program of NAME.c and the kernels of these files; None: clang rejects one of them."""
    text = defines + BEFORE + "".join(f'#line 1 "{f}"\n{(KERNELS / f).read_text()}' for f in files)
    # Kernels are called as functions, with local memory from outside.
    text = text.replace("XN_OP_KERNEL(", "XN_NO_KERNEL(").replace("#define XN_NO_KERNEL(", "#define XN_OP_KERNEL(")
    text = "#define XN_NO_KERNEL(name)\n" + text + UNIT + '#line 1 "after"\n' + after
    clang = find_clang()
    source, program = pathlib.Path(folder) / f"{name}.cl", pathlib.Path(folder) / name
    source.write_text(text)
    build = subprocess.run([clang, "-x", "cl", "-cl-std=CL1.2", "-Xclang", "-finclude-default-header", "-target", "x86_64-linux-gnu",
                            "-O1", "-w", "-c", source, "-o", f"{source}.o"], capture_output=True, text=True)
    if build.returncode == 0:
        build = subprocess.run([clang, "-O2", "-Wall", "-Werror", HERE / f"{name}.c", f"{source}.o", "-lm", "-o", program],
                               capture_output=True, text=True)
    if build.returncode:
        print("\n".join(line for line in build.stderr.splitlines() if "error" in line or "undefined" in line)[:2000])
        return None
    return program


def find_clang():
    return shutil.which("clang-14") or shutil.which("clang")
