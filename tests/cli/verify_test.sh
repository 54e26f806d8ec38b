#!/bin/sh
# Every reference model whose family is known reproduces its golden outputs, from both containers, on two devices; and what
# differs is found.
. "${0%/*}/lib.sh"
need_shared
models=$XENON_SHARED/models

known=0
for golden in "$models"/*/golden.json; do
    folder=${golden%/*}
    for model in "$folder" "$folder/model.gguf"; do
        [ -e "$model" ] || continue
        run verify "$model" "$golden" --device reference
        # A family that is not there yet says so by its name; anything else must be right.
        if [ "$status" = 1 ] && grep -q "a family that is not known" "$work/err"; then continue; fi
        known=$((known + 1))
        expect_status 0
        expect_out "chunks=ok state=ok ok"
        expect_out "tokens=ok"
        run verify "$model" "$golden"
        expect_status 0
        grep -q " ok$" "$work/out" || fail "$line: the last word is not ok"
    done
done
[ "$known" -ge 18 ] || fail "only $known models are of known families"

# The long prompt, without the other cuts (which take a minute on the reference device).
run verify "$models/qwen3" "$models/qwen3/golden-long.json" --no-chunks
expect_status 0
expect_out "greedy=8/8"

run verify "$models/qwen3" "$models/qwen2/golden.json"
expect_status 1
grep -q " differs$" "$work/out" || fail "$line: the last word is not differs"
run verify "$models/qwen3" "$models/qwen3/golden.json" --tol-rel 0
expect_status 1
expect_out " differs"
run verify "$models/qwen3" "$models/qwen3/golden.json" --json
expect_status 0
expect_out '"ok":true'
expect_out '"greedy_right":24'
expect_out '"state":true'
run verify "$models/qwen3" "$models/qwen3/golden.json" --json --no-state
expect_status 0
grep -q '"state"' "$work/out" && fail "$line: --no-state has a state"

# A prompt of 3,000 tokens through a recurrent model, saved, restored, forked and cut back at half of it.
run verify "$models/qwen3_5" "$models/qwen3_5/golden-long.json" --no-chunks
expect_status 0
expect_out "state=ok ok"
# A tolerance of nothing finds the rounding of other steps.
run verify "$models/qwen3_5" "$models/qwen3_5/golden.json" --no-chunks --tol-chunks 0
expect_status 1
expect_out "state=differ state_rel_l2="

# Other ids for the text are found.
sed 's/"text": "The/"text": "One/' "$models/qwen3/golden.json" >"$work/other.json"
run verify "$models/qwen3" "$work/other.json" --no-chunks
expect_status 1
expect_out "tokens=differ"
finish
