#!/bin/sh
# Options of sampling: each is taken and reproducible, some by what they must do; wrong values are refused before a model is read.
. "${0%/*}/lib.sh"
model=$XENON_SOURCE/models/xenon-default-q8_0.gguf
ask="Tell me a story about a dragon."

run run "$model" "$ask" -n 24 --temp 0 -q
cp "$work/out" "$work/greedy"
run run "$model" "$ask" -n 24 -q --seed 5
cp "$work/out" "$work/five"

# What keeps one token gives the most likely text.
for option in "--top-k 1" "--top-p 0" "--min-p 1" "--top-nsigma 0.001" "--temp 0.0001" "--samplers top_k --top-k 1" "--mirostat 2 --mirostat-ent 0"; do
    run run "$model" "$ask" -n 24 -q --seed 5 $option
    expect_status 0
    cmp -s "$work/out" "$work/greedy" || fail "$line: not the most likely text"
done

# What is off by default, and the default written out, change nothing.
for option in "--typical 1" "--top-nsigma -1" "--xtc-probability 0" "--xtc-threshold 0.6 --xtc-probability 1" "--dry-multiplier 0" "--dynatemp-range 0" \
    "--repeat-penalty 1 --repeat-last-n 5" "--mirostat 0" "--samplers penalties;dry;top_n_sigma;top_k;typ_p;top_p;min_p;xtc;temperature" "--min-keep 1" "--logit-bias 5+0"; do
    run run "$model" "$ask" -n 24 -q --seed 5 $option
    expect_status 0
    cmp -s "$work/out" "$work/five" || fail "$line: another text"
done

# What is on gives the same text twice, and another than without.
for option in "--typical 0.3" "--xtc-probability 1 --xtc-threshold 0.01" "--dynatemp-range 0.6 --dynatemp-exp 0.5" "--repeat-penalty 1.5" "--presence-penalty 2" \
    "--frequency-penalty 1.5" "--dry-multiplier 50 --dry-allowed-length 0 --dry-base 2 --dry-sequence-breaker none" "--mirostat 1 --mirostat-ent 8" \
    "--mirostat 2 --mirostat-ent 8 --mirostat-lr 0.3" "--samplers temperature --temp 1.5" "--temp 2 --min-keep 40"; do
    run run "$model" "$ask" -n 24 -q --seed 5 $option
    expect_status 0
    cp "$work/out" "$work/once"
    cmp -s "$work/out" "$work/five" && fail "$line: the same text"
    run run "$model" "$ask" -n 24 -q --seed 5 $option
    cmp -s "$work/out" "$work/once" || fail "$line: another text by the same seed"
done

# A token that is biased away is not chosen, one that is pushed is chosen always.
run run "$model" "$ask" -n 5 -q --temp 0 --logit-bias 300+1000
expect_status 0
cp "$work/out" "$work/pushed"
cmp -s "$work/pushed" "$work/greedy" && fail "$line: the bias changes nothing"
run run "$model" "$ask" -n 5 -q --temp 0 -l 300+1000 -l 300-inf
cmp -s "$work/out" "$work/pushed" && fail "$line: a token that is never chosen was"

# Wrong ones: a usage error that says what was expected.
run run "$model" "$ask" --samplers "top_k;topp"
expect_error 2 "--samplers" "topp" "typ_p"
run run "$model" "$ask" --logit-bias 5
expect_error 2 "--logit-bias" "15043+1.5"
run run "$model" "$ask" --logit-bias x+1
expect_error 2 "--logit-bias"
run run "$model" "$ask" --logit-bias 5+nan
expect_error 2 "--logit-bias"
run run "$model" "$ask" --mirostat 3
expect_error 2 "--mirostat" "0 to 2"
run run "$model" "$ask" --typical 1.5
expect_error 2 "--typical" "0 to 1"
run run "$model" "$ask" --xtc-probability -1
expect_error 2 "--xtc-probability"
run run "$model" "$ask" --dry-multiplier nan
expect_error 2 "--dry-multiplier"
run run "$model" "$ask" --top-nsigmas 1
expect_error 2 "did you mean --top-nsigma?"
# These need the model: an id outside its vocabulary, an empty breaker.
run run "$model" "$ask" --logit-bias 999999+1
expect_error 1 "logit_bias" "999999"
run run "$model" "$ask" --dry-multiplier 1 --dry-sequence-breaker ""
expect_error 1 "empty sequence breaker"
finish
