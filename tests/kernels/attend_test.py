#!/usr/bin/env python3
"""Attention as Intel's GPUs compute it, on this processor (lanes.py), held to plain C by attend_test.c: both sizes of heads,
caches of halves and in blocks, both sub-group sizes. Exit 77 where clang is missing."""
import os
import subprocess
import sys
import tempfile

import lanes

FILES = ["shared.h", "dialect.cl", "dialect_intel.cl", "common.cl", "cache.cl", "attend_unit.cl", "attend_plain.cl", "dpas_intel.cl",
         "attend_few_intel.cl", "attend_many_intel.cl", "attend.cl"]
# The type of the cache, whether of few rows, lanes of a sub-group.
PROGRAMS = [("F16", False, 8), ("Q8_0", False, 8), ("F16", False, 16), ("F16", True, 16), ("Q8_0", True, 16), ("Q4_0", True, 16)]
AFTER = """
void test_attend(const struct xn_env *e, global const struct xn_cl_attend *d, uint group, uint groups, local float *scratch) {
    xn_op_attend(e, d, group, groups, scratch);
}
#ifdef XN_CACHE_BLOCKS
#define TEST_BLOCKS 1
#else
#define TEST_BLOCKS 0
#endif
#ifdef XN_FEW
#define TEST_FEW 1
#else
#define TEST_FEW 0
#endif
#ifdef XN_CACHE_Q4_0
#define TEST_BYTES 16
#else
#define TEST_BYTES 32
#endif
constant uint test_sizes[] = {XN_GROUP, XN_LANES, XN_SCRATCH, TEST_BLOCKS, TEST_FEW, TEST_BYTES};
"""


def main():
    if not lanes.find_clang():
        print("skipped: no clang")
        return 77
    with tempfile.TemporaryDirectory(prefix="xenon-attend-") as folder:
        for cache, few, width in PROGRAMS:
            defines = f"#define XN_INTEL\n#define XN_{'FEW' if few else 'MANY'}\n#define XN_OP_ATTEND\n#define XN_LANES {width}\n"
            defines += f"#define XN_GROUP {512 if few else 16 * width}\n#define XN_CACHE_{cache}\n#define XN_CACHE_BYTES 2\n"
            defines += "#define XN_FORMATS(X)\n#define XN_FEW_SIZES(X) X(1, 2, 1) X(2, 4, 2) X(3, 8, 4)\n"
            if not few:
                defines += "#define XN_MANY_MOST 2\n#define XN_MANY_SIZES(X) X(1, 2, 1) X(2, 4, 2)\n"
            files = [f for f in FILES if not few or f != "attend_many_intel.cl"]
            program = lanes.compile_kernels(folder, "attend_test", defines, files, AFTER)
            if not program:
                return 1
            seed = os.environ.get("XENON_TEST_SEED", "1")
            if subprocess.run([program, f"{'few' if few else 'many'} rows, cache of {cache}, {width} lanes", seed]).returncode:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
