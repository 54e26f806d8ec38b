#!/usr/bin/env python3
"""Tiles as Intel's GPUs multiply them, on this processor: clang compiles the kernels over Intel's own dialect, and tiles_test.c
has the work-items of a group take turns, so that functions of a sub-group (the matrix unit's, block reads and writes) do what Intel's
extensions to OpenCL say of all its lanes. Held to decoded weights times activations: formats with each kind of decoder, both sub-group
sizes, parts, experts, cut tiles, sizes that fill none. Exit 77 where clang is missing."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent / "src"
KERNELS = SOURCE / "opencl/kernels"
FILES = ["shared.h", "dialect.cl", "dialect_intel.cl", "common.cl", "decode.cl", "decode_k.cl", "decode_iq.cl", "formats.cl",
         "matrix.cl", "matrix_half.cl", "dpas_intel.cl", "matrix_intel.cl", "decode_half.cl", "tile.cl", "tile_intel.cl"]

# Kernels, their formats, lanes of a sub-group.
PROGRAMS = [("TILE", ["Q4_K"], 8), ("TILE", ["Q6_K", "Q8_0"], 8), ("TILE", ["F16"], 8), ("TILE", ["BF16"], 8),
            ("TILE_EXPERTS", ["Q4_K", "Q6_K"], 8), ("TILE_EXACT", ["Q8_0", "BF16"], 8), ("TILE", ["Q5_K", "Q4_0", "MXFP4", "IQ4_XS"], 8),
            ("TILE", ["Q4_K", "F16"], 16), ("TILE_EXPERTS", ["Q8_0"], 16)]

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
#define fmax(a, b) __builtin_fmaxf(a, b)
#define fma(a, b, c) __builtin_fmaf(a, b, c)
#define OVERLOAD static inline __attribute__((overloadable))
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
AFTER = """
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
void test_tile(const struct xn_env *e, global const struct xn_cl_tile *d, uint group, uint groups, local ushort *ws, local uint *l) {
    xn_op_tile(e, d, group, groups, ws, (local float *)ws, l);
}
void test_decode(uint type, global const uchar *row, uint units, uint u, global const uint *grids, float *v) {
    xn_decode(type, row, units, u, grids, v);
}
#ifdef XN_EXPERTS
#define TEST_EXPERTS 1
#else
#define TEST_EXPERTS 0
#endif
#ifdef XN_OP_TILE_EXACT
#define TEST_EXACT 1
#else
#define TEST_EXACT 0
#endif
#define TEST_FORMAT(F) +1
constant uint test_sizes[] = {XN_GROUP, XN_LANES, XN_ELEMENTS, XN_BESIDE, XN_TILE_M, XN_TILE_N, TEST_EXPERTS, TEST_EXACT,
                              (0 XN_FORMATS(TEST_FORMAT))};
"""


def main():
    clang = shutil.which("clang-14") or shutil.which("clang")
    if not clang:
        print("skipped: no clang")
        return 77
    numbers = dict(re.findall(r"XN_(\w+) = (\d+)", (SOURCE / "quant/format.h").read_text()))
    wanted = [p for p in PROGRAMS if len(sys.argv) < 2 or sys.argv[1] in (p[0], *p[1])]
    with tempfile.TemporaryDirectory(prefix="xenon-tiles-") as folder:
        for kernel, formats, lanes in wanted:
            text = f"#define XN_INTEL\n#define XN_MANY\n#define XN_OP_{kernel}\n#define XN_GROUP {16 * lanes}\n#define XN_LANES {lanes}\n"
            text += "#define XN_CACHE_BYTES 2\n" + "".join(f"#define XN_TYPE_{f} {numbers[f]}\n" for f in formats)
            text += "#define XN_FORMATS(X)" + "".join(f" X({f})" for f in formats) + "\n" + BEFORE
            text += "".join(f'#line 1 "{f}"\n{(KERNELS / f).read_text()}' for f in FILES).replace("XN_OP_KERNEL(tile", "XN_NO_KERNEL(tile")
            text += '#line 1 "after"\n' + AFTER
            text = text.replace("#if defined(XN_EXPERTS)\nXN_NO_KERNEL", "#define XN_NO_KERNEL(name)\n#if defined(XN_EXPERTS)\nXN_NO_KERNEL")
            source, program = pathlib.Path(folder) / "tiles.cl", pathlib.Path(folder) / "tiles"
            source.write_text(text)
            build = subprocess.run([clang, "-x", "cl", "-cl-std=CL1.2", "-Xclang", "-finclude-default-header", "-target",
                                    "x86_64-linux-gnu", "-O1", "-w", "-c", source, "-o", f"{source}.o"], capture_output=True, text=True)
            if build.returncode == 0:
                build = subprocess.run([clang, "-O2", "-Wall", "-Werror", HERE / "tiles_test.c", f"{source}.o", "-lm", "-o", program],
                                       capture_output=True, text=True)
            if build.returncode:
                print("\n".join(line for line in build.stderr.splitlines() if "error" in line or "undefined" in line)[:2000])
                return 1
            seed = os.environ.get("XENON_TEST_SEED", "1")
            name = f"{kernel.lower()} {'+'.join(formats)}, {lanes} lanes"
            if subprocess.run([program, name, seed, *(numbers[f] for f in formats)]).returncode:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
