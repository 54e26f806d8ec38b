#!/bin/sh
# A model over several devices: --device with a list, --split, -ngl, --cpu-moe and --gpu-memory; the families of the
# reference models over two, with their layers or experts on the processor; and what can't be.
. "${0%/*}/lib.sh"
unset XENON_CPU
XDG_CACHE_HOME=$XENON_TEST_CACHE
POCL_DEVICES="pthread pthread"
export XDG_CACHE_HOME POCL_DEVICES
model=$XENON_SOURCE/models/xenon-default-q8_0.gguf

# Without any GPU.
run run "$model" "Hello" -n 8 --temp 0 -q --device reference
expect_status 0
cp "$work/out" "$work/whole"
run run "$model" "Hello" -n 8 --temp 0 -q --device reference,reference --split 1,2
expect_status 0
cmp -s "$work/out" "$work/whole" || fail "$line: another text than on one device"
run run "$model" "Hello" -n 8 --temp 0 -q --device reference,cpu:c --session "$work/session"
expect_status 0
run run "$model" "Hello" -n 1 -v --device cpu,reference
expect_status 0
expect_err "reference: 6 layers (6 to 11), head"
run info "$model" --device cpu,reference
expect_status 0
expect_out "activations"
run run "$model" --device cpu,gpuX "Hello"
expect_error 1 "gpuX"
run run "$model" --device cpu, "Hello"
expect_error 1 "commas"
run run "$model" --device cpu,cpu --split 1 "Hello"
expect_error 1 "2 numbers"
run run "$model" --device cpu,cpu --split 1,-1 "Hello"
expect_error 1 "1,-1"
run run "$model" --device cpu,cpu --split 0,0 "Hello"
expect_error 1 "0,0"
run run "$model" -ngl 3 "Hello"
expect_error 1 "-ngl" "--device gpu0"
run run "$model" --split 3,1 "Hello"
expect_error 1 "--split"
run run "$model" --device cpu,cpu --cpu-moe "Hello"
expect_error 1 "--cpu-moe" "no GPU"
run run "$model" -ngl x "Hello"
expect_error 2 "option -ngl:" '"x"'
run run "$model" --device auto "Hello" -n 1 -q
expect_status 0

run devices
grep -q "^gpu1" "$work/out" || { echo "no two OpenCL devices: the rest is skipped"; finish; }

# What fits one device runs there as if it were named alone, and what does not is spread.
run bench "$model" -p 8 -n 2 -r 1 --json --device gpu0
expect_status 0
expect_out '"backend":"OpenCL gpu0"'
run bench "$model" -p 8 -n 2 -r 1 --json --device gpu0,gpu1
expect_status 0
expect_out '"backend":"OpenCL gpu0 + OpenCL gpu1"'
run bench "$model" -p 8 -n 2 -r 1 --device gpu0 -ngl 1
expect_status 0
expect_out "CPU "
expect_out " + OpenCL gpu0"
run run "$model" "Hello" -n 8 --temp 0 -q --device gpu0,gpu1,cpu --split 2,1,1 -v
expect_status 0
expect_err "gpu1: "
cmp -s "$work/out" "$work/whole" || fail "$line: another text than on one device"
# A session goes on elsewhere.
run run "$model" "Hello" -n 8 --temp 0 -q --device gpu0,gpu1 --session "$work/gpus" --cache-type f32
expect_status 0
run run "$model" "Hello" -n 8 --temp 0 -q --device reference --session "$work/gpus" --cache-type f32
expect_status 0
cmp -s "$work/out" "$work/whole" || fail "$line: another text than on one device"
# Blocks of a cache too, which two devices have parts of.
run run "$model" "Hello" -n 8 --temp 0 -q --device gpu0 --session "$work/blocks" --cache-type q8_0
expect_status 0
cp "$work/out" "$work/first"
run run "$model" "And then?" -n 8 --temp 0 -q --device gpu0 --session "$work/blocks" --cache-type q8_0
expect_status 0
cp "$work/out" "$work/second"
run run "$model" "Hello" -n 8 --temp 0 -q --device gpu0,gpu1 --session "$work/blocks2" --cache-type q8_0
expect_status 0
cmp -s "$work/out" "$work/first" || fail "$line: another text than on one device"
run run "$model" "And then?" -n 8 --temp 0 -q --device gpu0 --session "$work/blocks2" --cache-type q8_0
expect_status 0
cmp -s "$work/out" "$work/second" || fail "$line: another text than on one device"
# Little memory: as many layers as fit, or an error that says which would.
run run "$model" "Hello" -n 8 --temp 0 -q -v --device gpu0 --gpu-memory 0.01 -c 256 -b 64
expect_status 0
expect_err "cpu: "
cmp -s "$work/out" "$work/whole" || fail "$line: another text than on one device"
run run "$model" "Hello" -n 8 -q --device gpu0 --gpu-memory 0.01 -c 256 -b 64 -ngl 999
expect_error 1 "gpu0: " "are needed" "are there: -ngl "
fits=$(sed -n 's/.*: -ngl \([0-9]*\).*/\1/p' "$work/err")
run run "$model" "Hello" -n 8 -q --device gpu0 --gpu-memory 0.01 -c 256 -b 64 -ngl "${fits:-none}"
expect_status 0
run run "$model" --device gpu0,cpu --split 1,1 -ngl 2 "Hello"
expect_error 1 "-ngl 2" "--split 1,1"

need_shared
models=$XENON_SHARED/models
check() { # family options...
    family=$1
    shift
    run verify "$models/$family" "$models/$family/golden.json" "$@" --tol-rel 0.001 --no-chunks
    expect_status 0
    expect_out "state=ok ok"
}
# Attention, recurrent states, a cache that layers share, latent attention, inputs of layers.
for family in qwen3 qwen3_5 falcon_h1 gemma4 deepseek_v3 mamba2 lfm2 nemotron_h; do
    check "$family" --device gpu0,gpu1
    check "$family" --device gpu0 -ngl 1
done
for family in qwen3_moe gpt_oss glm4_moe qwen3_next granitemoehybrid; do
    check "$family" --device gpu0 --cpu-moe
done
finish
