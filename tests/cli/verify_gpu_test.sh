#!/bin/sh
# Every reference model reproduces its golden outputs on the first device of OpenCL, from both containers.
. "${0%/*}/lib.sh"
need_shared
models=$XENON_SHARED/models
XDG_CACHE_HOME=$XENON_TEST_CACHE
export XDG_CACHE_HOME
run devices
grep -q "^gpu0" "$work/out" || skip "OpenCL has no devices here"

right=0
for golden in "$models"/*/golden.json; do
    folder=${golden%/*}
    for model in "$folder" "$folder/model.gguf"; do
        [ -e "$model" ] || continue
        # Other cuts into steps, and saved sequences, one container of each: they take most of the time.
        cuts=
        [ "$model" = "$folder" ] || cuts=--no-chunks
        run verify "$model" "$golden" --device gpu0 --tol-rel 0.001 $cuts
        if [ "$status" = 1 ] && grep -q "a family that is not known" "$work/err"; then continue; fi
        expect_status 0
        expect_out "state=ok ok"
        right=$((right + 1))
    done
done
[ "$right" -ge 40 ] || fail "only $right models"
finish
