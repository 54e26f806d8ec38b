#!/bin/sh
# A job that fails says why in one line, names the file, and exits with 1.
. "${0%/*}/lib.sh"

nowhere=$work/nowhere.gguf
for command in info tokenize run; do
    run "$command" "$nowhere"
    expect_error 1 "$nowhere"
done
printf 'GGUF' >"$work/cut.gguf"
head -c 4096 /dev/zero >"$work/zeros.gguf"
printf 'GGUF\003\000\000\000\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377' >"$work/huge.gguf"
for file in cut zeros huge; do
    for command in info tokenize run; do
        run "$command" "$work/$file.gguf"
        expect_error 1 "$work/$file.gguf"
    done
done

mkdir "$work/empty" "$work/hostile"
for command in info tokenize run; do
    run "$command" "$work/empty"
    expect_error 1 "$work/empty"
done
printf '{"model_type": "frobnicate"' >"$work/hostile/config.json"
run info "$work/hostile"
expect_error 1 "$work/hostile/config.json"

# Devices.
run info --device gpu9 "$nowhere"
expect_status 1
model=$XENON_SOURCE/models/xenon-default-q8_0.gguf
run info "$model" --device gpu9
expect_error 1 "gpu9"
run info "$model" --device gpu
expect_error 1 '"gpu"' "cpu:LEVEL" "gpu0"
run info "$model" --device gpu0x
expect_error 1 '"gpu0x"'
run info "$model" --device gpu99999999999999999999
expect_error 1 "gpu99999999999999999999"
run info "$model" --device cpu:mmx
expect_error 1 '"mmx"'
checks=$((checks + 1))
XENON_CPU=mmx "$XENON" info "$model" >"$work/out" 2>"$work/err" && fail "XENON_CPU=mmx is accepted"
grep -q "XENON_CPU.*mmx" "$work/err" || fail "XENON_CPU=mmx: the error does not name both"

# Golden files.
golden() { printf '%s' "$1" >"$work/golden.json"; run verify "$model" "$work/golden.json"; }
golden '{'
expect_error 1 "golden.json"
golden '[]'
expect_error 1 "golden.json" "object"
golden '{"logits_first": 3}'
expect_error 1 "golden.json" "logits_first"
golden '{"logits_first": [1, 2], "logits_last": [1]}'
expect_error 1 "golden.json" "logits_last" "found 1"
golden '{"logits_first": [1, 2], "logits_last": [1, "x"]}'
expect_error 1 "golden.json" "logits_last" "element 1"
golden '{"logits_first": [1, 2], "logits_last": [1, 2], "prompt_ids": [0, 2]}'
expect_error 1 "golden.json" "prompt_ids" "element 1"
golden '{"logits_first": [1, 2], "logits_last": [1, 2], "prompt_ids": [0, 1], "greedy_ids": [1], "greedy_margin": []}'
expect_error 1 "golden.json" "greedy_margin"
golden '{"logits_first": [1, 2], "logits_last": [1, 2], "prompt_ids": [0, 1], "greedy_ids": [], "greedy_margin": []}'
expect_error 1 "golden.json" "mean_nll"
golden '{"logits_first": [1, 2], "logits_last": [1, 2], "prompt_ids": [0, 1], "greedy_ids": [], "greedy_margin": [], "mean_nll": 1}'
expect_error 1 "golden.json" "vocabulary of 6144"

# Text to tokenize.
lines() { printf '%s\n' "$1" >"$work/in"; shift; run tokenize "$model" --jsonl "$@"; }
lines '{"text": 3}'
expect_error 1 "line 1" '"text"'
lines '{"hex": "abc"}'
expect_error 1 "line 1" '"hex"'
lines '{"hex": "zz"}'
expect_error 1 "line 1" '"hex"'
lines 'nonsense'
expect_error 1 "line 1"
lines '{"ids": [6144]}' --decode
expect_error 1 "line 1" "6144"
lines '{"ids": ["a"]}' --decode
expect_error 1 "line 1" "element 0"
echo "1 2 x" >"$work/in"
run tokenize "$model" --decode
expect_error 1 '"x'
echo "1 -5" >"$work/in"
run tokenize "$model" --decode
expect_error 1 "-5"
finish
