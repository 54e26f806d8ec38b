#!/usr/bin/env bash
# Line coverage of src/ by the tests: builds with gcov instrumentation, runs the tests, prints a table by file and the total.
# Usage: tools/coverage.sh [MINIMUM]   exits 1 where the total is below MINIMUM per cent (default 80)
set -euo pipefail
cd "$(dirname "$0")/.."
minimum=${1:-80}
command -v gcovr >/dev/null || { echo "coverage: install gcovr (Debian and Ubuntu: apt-get install gcovr)" >&2; exit 1; }
cmake -S . -B build-coverage -G Ninja -DXENON_COVERAGE=ON -DCMAKE_BUILD_TYPE=Debug >/dev/null
cmake --build build-coverage -j "$(nproc)"
find build-coverage -name '*.gcda' -delete
ctest --test-dir build-coverage --output-on-failure
# Test programs are not what is measured; a process that is killed half way may leave a count that gcov can't read.
gcovr --root . --object-directory build-coverage --filter 'src/' --exclude '.*_test\.c$' \
    --gcov-ignore-parse-errors --fail-under-line "$minimum"
