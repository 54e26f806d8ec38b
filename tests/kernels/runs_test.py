#!/usr/bin/env python3
"""The sums of src/opencl/kernels/few_runs.cl, which only Intel's GPUs take, on this processor: clang compiles them over a
dialect of one lane, and runs_test.c holds them to the decoders, in every format, for rows and runs of any length. (PoCL takes minutes for
each of these programs.) Exit 77 where clang is missing."""
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
DIALECT = None  # its place
FILES = ["shared.h", "dialect.cl", DIALECT, "common.cl", "decode.cl", "decode_k.cl", "decode_iq.cl", "formats.cl",
         "few_memory.cl", "codes.cl", "activations.cl", "few_runs.cl", "few.cl"]

# What of OpenCL's built-in functions is needed here; work-items come one after the other.
BEFORE = """
uint test_lid(void);
#define get_local_id(dimension) test_lid()
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define popcount(x) ((uint)__builtin_popcount(x))
static inline float test_half(ushort h) {
    uint exponent = h >> 10 & 31, mantissa = h & 1023, sign = (uint)(h >> 15) << 31;
    if (exponent == 0) return (sign ? -1.0f : 1.0f) * (float)mantissa * 0x1p-24f;
    return as_float(sign | (exponent + 112) << 23 | mantissa << 13);
}
#define OVERLOAD static inline __attribute__((overloadable))
OVERLOAD float test_load(global const half *p, uint i) { return test_half(((global const ushort *)p)[i]); }
OVERLOAD float test_load(private const half *p, uint i) { return test_half(((private const ushort *)p)[i]); }
OVERLOAD float4 test_load4(local const float *p) { return (float4)(p[0], p[1], p[2], p[3]); }
OVERLOAD uint4 test_load4(global const uint *p) { return (uint4)(p[0], p[1], p[2], p[3]); }
#define vload_half(i, p) test_load(p, i)
#define vload_half2(i, p) ((float2)(test_load(p, 2 * (i)), test_load(p, 2 * (i) + 1)))
#define vload_half4(i, p) ((float4)(vload_half2(2 * (i), p), vload_half2(2 * (i) + 1, p)))
#define vload2(i, p) ((float2)((p)[0], (p)[1]))
#define vload4(i, p) test_load4(p)
"""
# The dialect: a work-item is a lane of its own.
BODY = """
#define XN_SCRATCH 12032
#define XN_RUN_SUMS XN_LANES
float xn_warp_sum(float x, local float *red);
float xn_group_sum(float x, local float *red);
float xn_group_max(float x, local float *red);
float xn_quad_max(float x, local float *red);
int xn_pair_sum(int x, local float *red);
static inline int xn_dot4(int acc, int a, int b) {
    char4 x = as_char4(a), y = as_char4(b);
    return acc + x.x * y.x + x.y * y.y + x.z * y.z + x.w * y.w;
}
static inline int xn_dot4_us(int acc, int a, int b) {
    uchar4 x = as_uchar4(a);
    char4 y = as_char4(b);
    return acc + x.x * y.x + x.y * y.y + x.z * y.z + x.w * y.w;
}
static inline uint xn_uniform(uint x) { return x; }
static inline uint xn_warp_uint(global const uchar *p) { return ((global const uint *)p)[xn_lane()]; }
static inline uint xn_warp_quarter(global const uchar *p) { return ((global const uint *)p)[xn_lane() / 4]; }
static inline void xn_leave(float x, local float *to) { to[xn_lane()] = x; }
static inline float xn_half_bits(uint bits) { return test_half(bits & 0xffff); }
static inline float2 xn_half_pair(uint bits) { return (float2)(test_half(bits & 0xffff), test_half(bits >> 16)); }
"""
AFTER = """
void test_sums(uint type, global const uint *grids, uint u0, uint n, uint r0, uint rows, uint tokens, local float *scratch) {
    struct xn_env e;
    e.grids = grids;
    xn_sums(&e, type, u0, n, r0, rows, tokens, scratch);
}
void test_add(uint n, uint r0, uint rows, uint tokens, int first, int last, local float *scratch) {
    xn_add_sums(n, r0, rows, tokens, first, last, scratch, scratch + XN_AT_Y);
}
void test_decode(uint type, global const uchar *row, uint units, uint u, global const uint *grids, float *v) {
    xn_decode(type, row, units, u, grids, v);
}
uint test_has_codes(uint type) { return xn_has_codes(type); }
constant uint test_sizes[] = {XN_AT_XS, XN_AT_TABLE, XN_AT_OFFSET, XN_AT_MOMENTS, XN_AT_Y, XN_CODE_UNITS, XN_FLOAT_UNITS,
                              XN_SIZE_XS / XN_TOKENS, XN_ROWS, XN_RUN_ROWS, XN_TOKENS, XN_SCRATCH};
"""


def formats():
    """Names and numbers of what has a decoder."""
    numbers = dict(re.findall(r"XN_(\w+) = (\d+)", (SOURCE / "quant/format.h").read_text()))
    decoders = re.findall(r"XN_DECODER\((\w+)\) {", "".join(f.read_text() for f in sorted(KERNELS.glob("decode*.cl")) if f.name in FILES))
    return {name: numbers[name] for name in decoders}


def main():
    clang = shutil.which("clang-14") or shutil.which("clang")
    if not clang:
        print("skipped: no clang")
        return 77
    known = formats()
    assert len(known) > 20, known
    with tempfile.TemporaryDirectory(prefix="xenon-runs-") as folder:
        for shape in "#define XN_ONE\n", "":
            text = "#define XN_RUNS\n#define XN_FEW\n" + shape + "#define XN_GROUP 64\n#define XN_LANES 16\n"
            text += "#define XN_CACHE_BYTES 2\n" + "".join(f"#define XN_TYPE_{f} {n}\n" for f, n in known.items())
            text += "#define XN_FORMATS(X)" + "".join(f" X({f})" for f in known) + "\n" + BEFORE
            text += "".join(f'#line 1 "{f}"\n{(KERNELS / f).read_text()}' if f else BODY for f in FILES) + AFTER
            source, program = pathlib.Path(folder) / "runs.cl", pathlib.Path(folder) / "runs"
            source.write_text(text)
            build = subprocess.run([clang, "-x", "cl", "-cl-std=CL1.2", "-Xclang", "-finclude-default-header", "-target",
                                    "x86_64-linux-gnu", "-O1", "-w", "-c", source, "-o", f"{source}.o"], capture_output=True, text=True)
            if build.returncode == 0:
                build = subprocess.run([clang, "-O1", "-Wall", "-Werror", HERE / "runs_test.c", f"{source}.o", "-lm", "-o", program],
                                       capture_output=True, text=True)
            if build.returncode:
                print("\n".join(line for line in build.stderr.splitlines() if "error" in line)[:2000])
                return 1
            seed = os.environ.get("XENON_TEST_SEED", "1")
            if subprocess.run([program, seed, *known.values()]).returncode:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
