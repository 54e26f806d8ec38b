#!/usr/bin/env python3
"""A program for NVIDIA's GPUs, as the engine hands it to a driver, made a shared library for this processor: clang compiles it with what
OpenCL has of functions (lanes.py), local memory of a group where the emulated driver puts it, and PTX as functions, one for each instruction,
whose operands are those that the program names. Arguments: the source, the library to write, the driver's library."""
import pathlib
import re
import subprocess
import sys

import lanes

# Instructions that stand together, by a name; {} are register declarations.
TOGETHER = {"{ .reg .b16 l, h; mov.b32 {l, h}, %1; cvt.f32.f16 %0, l; }": "low_half",
            "{ .reg .b16 l, h; mov.b32 {l, h}, %1; cvt.f32.f16 %0, h; }": "high_half",
            "{ .reg .pred p; setp.ne.u32 p, %2, 0; mov.f32 %0, 0f00000000; @p ld.global.f32 %0, [%1]; }": "load_if",
            "{ .reg .b16 h; cvt.u16.u32 h, %1; cvt.f32.f16 %0, h; }": "low_half",
            "{ .reg .pred p; setp.ne.u32 p, %1, 0; bar.red.popc.u32 %0, 0, p; }": "group_count"}

BEFORE = """
uint test_group(void);
uint test_groups(void);
local void *test_local(uint which, uint bytes);
uint test_shuffle(uint x, uint lane);
uint test_group_count(uint one);
void test_warp(void);
void test_poll(void);
void test_copy(ulong to, global const void *from, uint all, uint bytes);
void test_turned_matrices(ulong address, void *to);
void test_copied(void);
global const void *test_aligned(global const void *p, uint bytes);
float test_function(uint which, float x);
#define get_group_id(dimension) test_group()
#define get_num_groups(dimension) test_groups()
#define sqrt(x) __builtin_sqrtf(x)
#define rsqrt(x) (1.0f / __builtin_sqrtf(x))
#define fabs(x) __builtin_fabsf(x)
#define floor(x) __builtin_floorf(x)
#define rint(x) __builtin_rintf(x)
#define cos(x) test_function(0, x)
#define sin(x) test_function(1, x)
#define log(x) test_function(2, x)
#define log1p(x) test_function(3, x)
#define convert_int_rte(x) ((int)__builtin_rintf(x))
#define TEST_PAIR(low, high) ((uint)test_half_bits(low) | (uint)test_half_bits(high) << 16)
#define TEST_LOW(x) test_half_value((ushort)(x))
#define TEST_HIGH(x) test_half_value((ushort)((x) >> 16))
#define TEST_GIVE(type, y, x, lane) y = as_##type(test_shuffle(as_uint(x), lane))
static inline uint test_pack(int a, int b, uint c) { return (uint)clamp(b, -128, 127) & 255 | ((uint)clamp(a, -128, 127) & 255) << 8 | c << 16; }
static inline int test_dot(int a, int b, int c) {
    char4 x = as_char4(a), y = as_char4(b);
    return c + x.x * y.x + x.y * y.y + x.z * y.z + x.w * y.w;
}
static inline uint test_permute(uint a, uint b, uint selector) {
    ulong both = (ulong)b << 32 | a;
    uint r = 0;
    for (uint i = 0; i < 4; i++) r |= (uint)(both >> 8 * (selector >> 4 * i & 7) & 255) << 8 * i;
    return r;
}
#define PTX_cvt_f32_f16(x, bits) x = test_half_value(bits)
#define PTX_group_count(all, one) all = test_group_count(one)
#define PTX_mul_rn_f32(z, x, y) z = (x) * (y)
#define PTX_add_rn_f32(z, x, y) z = (x) + (y)
#define PTX_low_half(x, both) x = TEST_LOW(both)
#define PTX_high_half(x, both) x = TEST_HIGH(both)
#define PTX_cvt_rn_f16x2_f32(both, high, low) both = TEST_PAIR(low, high)
#define PTX_sub_f16x2(r, a, b) r = TEST_PAIR(TEST_LOW(a) - TEST_LOW(b), TEST_HIGH(a) - TEST_HIGH(b))
#define PTX_mul_f16x2(r, a, b) r = TEST_PAIR(TEST_LOW(a) * TEST_LOW(b), TEST_HIGH(a) * TEST_HIGH(b))
#define PTX_prmt_b32(r, a, b, selector) r = test_permute(a, b, selector)
#define PTX_shfl_sync_bfly_b32(y, x, mask, segment, members) TEST_GIVE(float, y, x, test_lid() % XN_LANES ^ (mask))
#define PTX_shfl_sync_idx_b32(y, x, lane, segment, members) TEST_GIVE(float, y, x, (lane) % XN_LANES)
#define PTX_dp4a_s32_s32(sum, a, b, acc) sum = test_dot(a, b, acc)
#define PTX_cvt_pack_sat_s8_s32_b32(r, a, b, c) r = test_pack(a, b, c)
#define PTX_fence_acq_rel_gpu()
#define PTX_ld_global_L1__no_allocate_v4_u32(a, b, c, d, p) { uint4 test_v = *(global const uint4 *)test_aligned(p, 16); a = test_v.x; b = test_v.y; c = test_v.z; d = test_v.w; }
#define PTX_ld_global_v4_u32 PTX_ld_global_L1__no_allocate_v4_u32
#define PTX_ld_global_v2_u32(a, b, p) { uint2 test_v = *(global const uint2 *)test_aligned(p, 8); a = test_v.x; b = test_v.y; }
#define PTX_ld_global_f32(x, p) x = *(global const float *)test_aligned(p, 4)
#define PTX_ld_global_u32(x, p) x = *(global const uint *)test_aligned(p, 4)
#define PTX_load_if(x, p, is) x = (is) ? *(global const float *)test_aligned(p, 4) : 0
#define PTX_ld_global_u16(x, p) x = *(global const ushort *)test_aligned(p, 2)
#define PTX_ld_global_u8(x, p) x = *(global const uchar *)(p)
#define PTX_bar_warp_sync(members) test_warp()
#define PTX_prefetch_global_L2(p)
#define PTX_red_release_gpu_global_add_u32(p, x) *(p) += x
#define PTX_ld_acquire_gpu_global_u32(x, p) { test_poll(); x = *(p); }
// Of 16 bytes so many are read, and the others 0; places in local memory are numbers of 32 bits or pointers.
#define PTX_cp_async_cg_shared_global(...) TEST_COPY(__VA_ARGS__, 16)
#define TEST_COPY(to, from, all, bytes, ...) test_copy((ulong)(to), test_aligned(from, all), all, bytes)
#define PTX_cp_async_ca_shared_global(to, from, all) test_copy((ulong)(to), test_aligned(from, all), all, all)
#define PTX_cp_async_commit_group()
#define PTX_cp_async_wait_group(most) test_copied()
#define PTX_st_shared_v4_b32(to, a, b, c, d) *(local uint4 *)(ulong)(to) = (uint4)(a, b, c, d)
#define TEST_MATRICES(function, a, b, c, d, p) { uint4 test_v; function(p, &test_v); a = test_v.x; b = test_v.y; c = test_v.z; d = test_v.w; }
#define PTX_ldmatrix_sync_aligned_m8n8_x4_shared_b16(a, b, c, d, p) TEST_MATRICES(test_matrices, a, b, c, d, p)
#define PTX_ldmatrix_sync_aligned_m8n8_x4_trans_shared_b16(a, b, c, d, p) TEST_MATRICES(test_turned_matrices, a, b, c, d, p)
#define PTX_ex2_approx_ftz_f32(y, x) y = test_exp2f(x)
#define PTX_atom_acq_rel_gpu_global_add_u32(y, p, x) y = *(p), *(p) += x
#define PTX_redux_sync_max_u32(y, x, members) y = test_most(x)
static inline uint test_most(uint x) {
    for (uint mask = 16; mask; mask /= 2) {
        uint other = test_shuffle(x, test_lid() % 32 ^ mask);
        x = max(x, other);
    }
    return x;
}
#define PTX_cp_async_wait_all() test_copied()
#define PTX_mma_sync_aligned_m16n8k16_row_col_f32_f16_f16_f32(c0, c1, c2, c3, a0, a1, a2, a3, b0, b1, d0, d1, d2, d3) \\
    { float test_c[4] = {d0, d1, d2, d3}; uint4 test_a = (uint4)(a0, a1, a2, a3); test_mma(test_c, &test_a, b0, b1); c0 = test_c[0]; c1 = test_c[1]; c2 = test_c[2]; c3 = test_c[3]; }
void test_mma_bytes(uint *c, const uint *a, const uint *b, uint deep);
#define PTX_mma_sync_aligned_m16n8k32_row_col_s32_s8_s8_s32(c0, c1, c2, c3, a0, a1, a2, a3, b0, b1, d0, d1, d2, d3) \\
    { uint test_c[4] = {d0, d1, d2, d3}, test_a[4] = {a0, a1, a2, a3}, test_b[2] = {b0, b1}; test_mma_bytes(test_c, test_a, test_b, 32); c0 = test_c[0]; c1 = test_c[1]; c2 = test_c[2]; c3 = test_c[3]; }
#define PTX_mma_sync_aligned_m16n8k16_row_col_s32_s8_s8_s32(c0, c1, c2, c3, a0, a1, b0, d0, d1, d2, d3) \\
    { uint test_c[4] = {d0, d1, d2, d3}, test_a[2] = {a0, a1}, test_b[1] = {b0}; test_mma_bytes(test_c, test_a, test_b, 16); c0 = test_c[0]; c1 = test_c[1]; c2 = test_c[2]; c3 = test_c[3]; }
"""


def closing(text, at):
    """The place of the parenthesis that closes the one at `at`."""
    depth, quoted = 0, False
    for i in range(at, len(text)):
        quoted ^= text[i] == '"' and text[i - 1] != "\\"
        depth += 0 if quoted else (text[i] == "(") - (text[i] == ")")
        if depth == 0:
            return i
    raise ValueError("an asm without an end")


def split(text, by):
    """At separators that stand in no parentheses and no strings."""
    parts, depth, quoted = [""], 0, False
    for c in text:
        quoted ^= c == '"'
        depth += 0 if quoted else (c in "([") - (c in ")]")
        if c == by and not depth and not quoted:
            parts.append("")
        else:
            parts[-1] += c
    return parts


def call_of(asm):
    """What stands for the text between an asm's parentheses; None: it is left as it is, for it is not compiled."""
    parts = split(asm, ":")
    strings = re.sub(r'"[^"]*"', "", parts[0])
    if strings.strip():
        return None
    template = "".join(re.findall(r'"([^"]*)"', parts[0])).strip()
    operands = []
    for of in parts[1:3]:
        for operand in split(of, ",") if of.strip() else []:
            operands.append(re.sub(r"^\(uint\)\(size_t\)", "", re.fullmatch(r'\s*"[^"]*"\((.*)\)\s*', operand, re.S).group(1)))
    if template in TOGETHER:
        return f"PTX_{TOGETHER[template]}({', '.join(operands)})"
    if not template:
        return "(void)0"
    if "{ .reg" in template:
        return None
    name, _, rest = template.rstrip(";").partition(" ")
    given = [g.strip() for g in re.sub(r"[{}\[\]]", "", rest).split(",") if g.strip()]
    given = [operands[int(g[1:])] if g[0] == "%" else g for g in given]
    return f"PTX_{re.sub(r'[.:]', '_', name)}({', '.join(given)})"


def translate(text):
    """The program as C functions, kernels among them."""
    head = re.match(r"(#define .*\n)+", text).group(0)
    text = text[len(head):]
    out, at = "", 0
    for found in re.finditer(r"\basm( volatile)?\(", text):
        if found.start() < at:
            continue
        end = closing(text, found.end() - 1)
        call = call_of(text[found.end():end])
        out += text[at:found.start()] + (call if call is not None else text[found.start():end + 1])
        at = end + 1
    text = out + text[at:]
    text = re.sub(r"#define XN_KERNEL .*", "#define XN_KERNEL", text)
    # Local memory. A variable alone is an array of one.
    text = re.sub(r"\blocal (\w+) (\w+)\[([^\]]*)\]( __attribute__\(\(aligned\(\d+\)\)\))?;",
                  r"local \1 *\2 = (local \1 *)test_local(__COUNTER__, sizeof(\1) * (\3));", text)
    return head + lanes.BEFORE + BEFORE + text


def main():
    source, library, driver = (pathlib.Path(a) for a in sys.argv[1:])
    c = source.with_suffix(".c.cl")
    c.write_text(translate(source.read_text()))
    build = subprocess.run([lanes.find_clang(), "-x", "cl", "-cl-std=CL1.2", "-Xclang", "-finclude-default-header", "-target",
                            "x86_64-linux-gnu", "-O0", "-w", "-fPIC", "-c", c, "-o", f"{c}.o"], capture_output=True, text=True)
    if build.returncode == 0:
        build = subprocess.run([lanes.find_clang(), "-shared", "-Wl,-z,defs", f"{c}.o", driver, "-lm", "-lc", "-o", library],
                               capture_output=True, text=True)
    if build.returncode:
        print("\n".join(line for line in build.stderr.splitlines() if "error" in line or "undefined" in line)[:2000])
    return build.returncode


if __name__ == "__main__":
    sys.exit(main())
