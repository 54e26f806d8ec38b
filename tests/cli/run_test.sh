#!/bin/sh
# Generation: what stands where, repeatable by seed, stop strings, limits.
. "${0%/*}/lib.sh"
model=$XENON_SOURCE/models/xenon-default-q8_0.gguf
ask="Tell me a story about a dragon." # more than 40 tokens of answer

run run "$model" "$ask" -n 12 --temp 0
expect_status 0
expect_err "prompt: "
expect_err "generated: 12 tokens"
expect_err "memory: weights"
cp "$work/out" "$work/greedy"
[ -s "$work/greedy" ] || fail "$line: no text"

# The same in every spelling, and quiet.
run run -m "$model" -p "$ask" -n12 --temp=0 -q
expect_status 0
expect_no_err
cmp -s "$work/out" "$work/greedy" || fail "$line: another text"
printf '%s\n' "$ask" >"$work/in"
run run "$model" -n 12 --temp 0 -q
cmp -s "$work/out" "$work/greedy" || fail "$line: another text from standard input"
printf '%s' "$ask" >"$work/prompt"
run run "$model" --file "$work/prompt" -n 12 --temp 0 -q
cmp -s "$work/out" "$work/greedy" || fail "$line: another text from a file"
: >"$work/in"
checks=$((checks + 1))
XENON_DEFAULT_MODEL=$model "$XENON" run "$ask" -n 12 --temp 0 -q >"$work/out" 2>"$work/err" || fail "no default model"
cmp -s "$work/out" "$work/greedy" || fail "another text by the default model"
run run "$model" "$ask" -n 12 --temp 0 -q --raw
cmp -s "$work/out" "$work/greedy" && fail "$line: --raw makes no difference"
prompt_tokens() { sed 's/.*"prompt_tokens":\([0-9]*\).*/\1/' "$work/out"; }
run run "$model" "$ask" -n 1 --json
plain=$(prompt_tokens)
run run "$model" "$ask" -n 1 --json --system "Be brief."
[ "$(prompt_tokens)" -gt "$plain" ] || fail "$line: --system adds nothing to the prompt"
run run "$model" "$ask" -n 12 --temp 0 -q -b 3
cmp -s "$work/out" "$work/greedy" || fail "$line: another text in batches of 3"

run run "$model" "$ask" -n 12 --temp 0 -q --checkpoints -1
cmp -s "$work/out" "$work/greedy" || fail "$line: another text without checkpoints"

# By seed.
run run "$model" "$ask" -n 40 -q --seed 7
cp "$work/out" "$work/seven"
run run "$model" "$ask" -n 40 -q --seed 7
cmp -s "$work/out" "$work/seven" || fail "$line: another text by the same seed"
run run "$model" "$ask" -n 40 -q --seed 8
cmp -s "$work/out" "$work/seven" && fail "$line: the same text by another seed"

# A stop string cut out of the known text ends it there, with nothing of itself.
run run "$model" "$ask" -n 40 -q --temp 0
text=$(cat "$work/out")
stop=$(printf '%s' "$text" | LC_ALL=C tr -cd 'a-zA-Z \n' | head -c 1)
before=${text%%"$stop"*}
run run "$model" "$ask" -n 40 -q --temp 0 --stop "$stop"
expect_status 0
[ "$(cat "$work/out")" = "$before" ] || fail "$line: the text does not end before '$stop'"

# JSON.
run run "$model" "$ask" -n 12 --temp 0 --json
expect_status 0
expect_no_err
expect_out '"finish":"length"'
expect_out '"generated_tokens":12'
run run "$model" "$ask" -n 40 --temp 0 --stop "$stop" --json
expect_out '"finish":"stop"'

# A session: the next run computes only what is new, gives the same text, and keeps what it computed in turn.
computed() { sed 's/.*"prompt_computed":\([0-9]*\).*/\1/' "$work/out"; }
run run "$model" "$ask" -n 12 --temp 0 -q --session "$work/session"
expect_status 0
cmp -s "$work/out" "$work/greedy" || fail "$line: another text with a session"
run run "$model" "$ask" -n 12 --temp 0 -q --session "$work/session"
cmp -s "$work/out" "$work/greedy" || fail "$line: another text from a session"
run run "$model" "$ask" -n 12 --temp 0 --json --session "$work/session"
[ "$(computed)" = 1 ] || fail "$line: the prompt is computed again"
run run "$model" "Something else, then." -n 2 --temp 0 --json --session "$work/session"
expect_status 0
[ "$(computed)" -gt 1 ] || fail "$line: another prompt is taken from the session"
run run "$model" "$ask" -n 12 --temp 0 -q --session "$work/session"
cmp -s "$work/out" "$work/greedy" || fail "$line: another text after another prompt"
yes "many words" | head -n 60 >"$work/in"
run run "$model" -n 1 -q --session "$work/session"
expect_status 0
cp "$work/session" "$work/whole"
run run "$model" -n 1 -c 64 --session "$work/session"
expect_error 1 "room for"
cmp -s "$work/session" "$work/whole" || fail "$line: the session was changed by a run that failed"
head -c 5000 "$work/whole" >"$work/session"
run run "$model" "$ask" -n 2 --session "$work/session"
expect_error 1 "$work/session"
run run "$model" "$ask" -n 2 --session "$work"
expect_error 1 "$work"
: >"$work/in"
run run "$model" "$ask" -n 2 -q --session "$work/no/such/folder"
expect_error 1 "$work/no/such/folder"

# The context: the text stops there, and a prompt that does not fit is an error.
run run "$model" "$ask" -n 500 --temp 0 -c 64 --json
expect_status 0
grep -qE '"finish":"(context|end)"' "$work/out" || fail "$line: does not stop at the context"
run run "$model" "$ask" -n 500 --temp 0 -c 64 -q
expect_status 0
yes "many words" | head -n 200 >"$work/in"
run run "$model" -c 64 -n 4
expect_error 1 "64"
: >"$work/in"
run run "$model" "$ask" -n 0 -q
expect_status 0
finish
