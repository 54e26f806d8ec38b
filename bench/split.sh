#!/bin/sh
# What a model costs on one GPU, over several, and with layers or experts on the processor. Run from the source tree:
#   bench/split.sh [SHAPE [EXPERTS_SHAPE]]     (qwen2.5-7b, and qwen3-30b-a3b cut to 12 layers)
# XENON is the program (build/xenon), GPUS the devices (gpu0, or all that xenon devices lists as "gpu"). Where ../shared is
# there, reference models are verified first, in the same ways. Exit status 1 where one of them differs or a run fails.
set -u
xenon=${XENON:-build/xenon}
shape=${1:-qwen2.5-7b}
experts=${2:-qwen3-30b-a3b}
gpus=${GPUS:-$("$xenon" devices | sed -n 's/^\(gpu[0-9]*\) .*(gpu)$/\1/p' | paste -sd, -)}
[ -n "$gpus" ] || { echo "no GPU here" >&2; exit 1; }
first=${gpus%%,*}
several=$gpus
[ "$several" != "$first" ] || several=$first,$first # one card as two devices: what crossing over costs
failed=0
models=${XENON_SHARED:-../shared}/models

verify() { # family options...
    family=$1
    shift
    printf '%-16s %-32s ' "$family" "$*"
    "$xenon" verify "$models/$family" "$models/$family/golden.json" --tol-rel 0.002 --no-chunks "$@" || failed=1
}
if [ -d "$models" ]; then
    for golden in "$models"/*/golden.json; do
        family=${golden%/golden.json}
        verify "${family##*/}" --device "$several"
        verify "${family##*/}" --device "$first" -ngl 1
        verify "${family##*/}" --device "$first" --cpu-moe
    done
fi

measure() { # options of xenon bench...
    echo "## $*"
    "$xenon" bench -p 512,2048 -n 128 -r 3 "$@" | sed -n '/^| /p' || failed=1
}
measure --shape "$shape" --quant Q4_K_M --device "$first"
measure --shape "$shape" --quant Q4_K_M --device "$several"
measure --shape "$shape" --quant Q4_K_M --device "$first" -ngl 24
measure --shape "$shape" --quant Q4_K_M --device "$first" --gpu-memory 3
measure --shape "$experts" --layers 12 --quant Q4_K_M --device "$first"
measure --shape "$experts" --layers 12 --quant Q4_K_M --device "$first" --cpu-moe
measure --shape "$experts" --layers 12 --quant Q4_K_M --device "$first" --gpu-memory 5 # some of the experts
exit $failed
