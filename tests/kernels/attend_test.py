#!/usr/bin/env python3
"""Attention of many rows as Intel's GPUs compute it, on this processor (lanes.py), held to plain C by attend_test.c: both sizes of heads,
caches of halves and in blocks, both sub-group sizes. Exit 77 where clang is missing."""
import os
import subprocess
import sys
import tempfile

import lanes

FILES = ["shared.h", "dialect.cl", "dialect_intel.cl", "common.cl", "cache.cl", "attend_unit.cl", "attend_plain.cl", "dpas_intel.cl",
         "attend_many_intel.cl", "attend.cl"]
AFTER = """
void test_attend(const struct xn_env *e, global const struct xn_cl_attend *d, uint group, uint groups, local float *scratch) {
    xn_op_attend(e, d, group, groups, scratch);
}
#ifdef XN_CACHE_BLOCKS
#define TEST_BLOCKS 1
#else
#define TEST_BLOCKS 0
#endif
constant uint test_sizes[] = {XN_GROUP, XN_LANES, XN_SCRATCH, TEST_BLOCKS};
"""


def main():
    if not lanes.find_clang():
        print("skipped: no clang")
        return 77
    with tempfile.TemporaryDirectory(prefix="xenon-attend-") as folder:
        for cache, width in ("F16", 8), ("Q8_0", 8), ("F16", 16):
            defines = f"#define XN_INTEL\n#define XN_MANY\n#define XN_OP_ATTEND\n#define XN_GROUP {16 * width}\n#define XN_LANES {width}\n"
            defines += f"#define XN_CACHE_{cache}\n#define XN_CACHE_BYTES 2\n#define XN_FORMATS(X)\n#define XN_FEW_SIZES(X)\n"
            defines += "#define XN_MANY_MOST 2\n#define XN_MANY_SIZES(X) X(1, 2, 1) X(2, 4, 2)\n"
            program = lanes.compile_kernels(folder, "attend_test", defines, FILES, AFTER)
            if not program:
                return 1
            seed = os.environ.get("XENON_TEST_SEED", "1")
            if subprocess.run([program, f"cache of {cache}, {width} lanes", seed]).returncode:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
