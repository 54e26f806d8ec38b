#!/bin/sh
# xenon devices, and --device gpuN: what is there and what is not, that nothing chooses a processor through OpenCL by
# itself, and a program's first and second start.
. "${0%/*}/lib.sh"
unset XENON_CPU
XDG_CACHE_HOME=$work/cache
export XDG_CACHE_HOME
mkdir "$XDG_CACHE_HOME"
model=$XENON_SOURCE/models/xenon-default-q8_0.gguf

run devices --json
expect_status 0
expect_no_err
n=$(python3 - "$work/out" <<'END'
import json, sys
rows = json.load(open(sys.argv[1]))
assert rows[0]["device"] == "cpu" and rows[0]["threads"] > 0 and rows[0]["memory"] > 1e8, rows[0]
for i, row in enumerate(rows[1:]):
    assert row["device"] == f"gpu{i}" and row["name"] and row["platform"] and row["driver"], row
    assert 0 < row["max_allocation"] <= row["memory"] and row["compute_units"] > 0, row
kinds = [row["kind"] for row in rows[1:]]
assert kinds == sorted(kinds), kinds  # GPUs before processors
print(len(rows) - 1)
END
) || fail "$line: not the rows expected"
run devices
expect_status 0
expect_out "cpu "
[ "$(grep -c "^gpu" "$work/out")" = "$n" ] || fail "$line: not the devices of --json"
run devices extra
expect_error 2 "extra"

# Without a platform there is no GPU, and nothing else changes.
vendors=${OCL_ICD_VENDORS:-}
OCL_ICD_VENDORS=$work/none/
export OCL_ICD_VENDORS
mkdir "$OCL_ICD_VENDORS"
run devices
expect_status 0
expect_out "no GPU"
run info "$model" --device gpu0
expect_error 1 "gpu0" "no devices"
run info "$model"
expect_status 0
if [ -n "$vendors" ]; then OCL_ICD_VENDORS=$vendors; else unset OCL_ICD_VENDORS; fi

[ "$n" -gt 0 ] || { echo "no OpenCL devices: the rest is skipped"; finish; }
run info "$model" --device "gpu$n"
expect_error 1 "gpu$n" "xenon devices"
run devices --measure --json
expect_status 0
expect_out '"bandwidth":'

run check --device gpu0 --op add --no-speed --json
expect_status 0
expect_out '"set":"gpu0"'
run check --device gpu0 --op add --quick --report "$work/report" ${XENON_INSTRUMENTED:+--no-speed}
expect_status 0
grep -q "^gpu0, with kernels in the variant" "$work/report" || fail "$line: the report does not describe the device"
grep -q "driver " "$work/report" || fail "$line: the report lacks the driver"
[ -n "$XENON_INSTRUMENTED" ] || expect_out "a launch (measured): "
run check --device gpu0 --op head --format q8_0 --quick ${XENON_INSTRUMENTED:+--no-speed}
expect_status 0
expect_out "all ok"
# The second start takes the built programs from the folder.
run run "$model" "Hello" -n 4 -v --temp 0 --device gpu0
expect_status 0
expect_err "building kernel project"
cp "$work/out" "$work/first"
run run "$model" "Hello" -n 4 -v --temp 0 --device gpu0
expect_status 0
grep -q "building kernel" "$work/err" && fail "$line: kernels are built again"
cmp -s "$work/out" "$work/first" || fail "$line: the second start says something else"
# A device is named, or it is the processor.
run check --op add --no-speed --json
expect_status 0
grep -q '"set":"gpu' "$work/out" && fail "$line: a GPU is checked unasked"
run bench "$model" -p 8 -n 2 -r 1 --json --device gpu0
expect_status 0
expect_out '"backend":"OpenCL gpu0"'
expect_out '"launched":"'
run bench "$model" -p 8 -n 0 -r 1 --json
expect_out '"backend":"CPU '
# Each way to run a step says what it is, and the same; what a driver can't do is done in the next way.
for way in "" +recorded +launches +dp4a +logits; do
    run run "$model" "Hello" -n 4 --temp 0 --device "gpu0$way"
    expect_status 0
    cmp -s "$work/out" "$work/first" || fail "$line: gpu0$way says something else"
done
# What is drawn is the same whether the best tokens come to the host or all logits.
for option in "--temp 1.3" "--temp 1 --repeat-penalty 1.3" "--temp 1 --top-k 0"; do
    run run "$model" "Hello" -n 12 --raw --seed 5 $option --device gpu0
    expect_status 0
    cp "$work/out" "$work/best"
    run run "$model" "Hello" -n 12 --raw --seed 5 $option --device gpu0+logits
    expect_status 0
    cmp -s "$work/out" "$work/best" || fail "$line: another text than by the best tokens"
done
run bench "$model" -p 0 -n 2 -r 1 --ops --json --device gpu0+launches
expect_status 0
expect_out '"launched":"launches"'
run bench "$model" -p 0 -n 2 -r 1 --ops --device gpu0
expect_status 0
expect_out "launch"
expect_out "project_add"
run info "$model" --device gpu0+walks
expect_error 1 "gpu0+walks" "+launches"
finish
