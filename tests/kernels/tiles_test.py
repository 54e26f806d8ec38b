#!/usr/bin/env python3
"""Tiles as GPUs multiply them, on this processor: clang compiles the kernels over Intel's own dialect and NVIDIA's matrix layer, and tiles_test.c
has the work-items of a group take turns, so that functions of a sub-group (the matrix unit's, block reads and writes) do what Intel's
extensions to OpenCL, or PTX, say of all its lanes. Held to decoded weights times activations: formats with each kind of decoder, both sub-group
sizes, parts, experts, cut tiles, sizes that fill none. Exit 77 where clang is missing."""
import os
import re
import subprocess
import sys
import tempfile

import lanes

COMMON = ["common.cl", "decode.cl", "decode_k.cl", "decode_iq.cl", "formats.cl", "matrix.cl", "matrix_half.cl"]
INTEL = ["shared.h", "dialect.cl", "dialect_intel.cl", *COMMON, "dpas_intel.cl", "matrix_intel.cl", "decode_half.cl", "tile.cl", "tile_intel.cl"]
NVIDIA = ["shared.h", "dialect.cl", "dialect_plain.cl", *COMMON, "matrix_nvidia.cl", "decode_half.cl", "tile.cl", "tile_steps.cl"]

# Kernels, their formats, lanes of a sub-group (32: a warp).
PROGRAMS = [("TILE", ["Q4_K"], 8), ("TILE", ["Q6_K", "Q8_0"], 8), ("TILE", ["F16"], 8), ("TILE", ["BF16"], 8),
            ("TILE_EXPERTS", ["Q4_K", "Q6_K"], 8), ("TILE_EXACT", ["Q8_0", "BF16"], 8), ("TILE", ["Q5_K", "Q4_0", "MXFP4", "IQ4_XS"], 8),
            ("TILE", ["Q4_K", "F16"], 16), ("TILE_EXPERTS", ["Q8_0"], 16),
            ("TILE", ["Q4_K"], 32), ("TILE", ["BF16"], 32), ("TILE", ["Q6_K", "IQ4_XS"], 32), ("TILE_EXACT", ["F16", "F32"], 32),
            ("TILE_EXPERTS", ["Q8_0"], 32)]

AFTER = """
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
    if not lanes.find_clang():
        print("skipped: no clang")
        return 77
    numbers = dict(re.findall(r"XN_(\w+) = (\d+)", (lanes.SOURCE / "quant/format.h").read_text()))
    wanted = [p for p in PROGRAMS if len(sys.argv) < 2 or sys.argv[1] in (p[0], *p[1])]
    with tempfile.TemporaryDirectory(prefix="xenon-tiles-") as folder:
        for kernel, formats, width in wanted:
            group = 16 * width if width < 32 else 256 if kernel == "TILE_EXPERTS" else 128
            defines = f"#define {'XN_NVIDIA' if width == 32 else 'XN_INTEL'}\n#define XN_MANY\n#define XN_OP_{kernel}\n"
            defines += f"#define XN_GROUP {group}\n#define XN_LANES {width}\n"
            defines += "#define XN_CACHE_BYTES 2\n" + "".join(f"#define XN_TYPE_{f} {numbers[f]}\n" for f in formats)
            defines += "#define XN_FORMATS(X)" + "".join(f" X({f})" for f in formats) + "\n"
            program = lanes.compile_kernels(folder, "tiles_test", defines, NVIDIA if width == 32 else INTEL, AFTER)
            if not program:
                return 1
            seed = os.environ.get("XENON_TEST_SEED", "1")
            name = f"{kernel.lower()} {'+'.join(formats)}, {width} lanes"
            if subprocess.run([program, name, seed, *(numbers[f] for f in formats)]).returncode:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
