#!/bin/sh
# The default model, end to end: found without being named, holds a simple exchange, and predicts held-out prose.
. "${0%/*}/lib.sh"
model=$XENON_SOURCE/models/xenon-default-q8_0.gguf
[ "$(wc -c <"$model")" -le 12000000 ] || fail "$model: more than 12 MB"

says() { # question, expected in the answer
    run run "$1" --temp 0 -n 60 -q
    expect_status 0
    expect_no_err
    expect_out "$2"
}
says "What is the capital of France?" Paris
says "What is 2+2?" 4
says "Hi, who are you?" Xenon
says "What colour is grass?" green

run run "Tell me a story about a dragon." --temp 0 -n 200 --json
expect_out dragon
expect_out '"finish":"end"'

# A document where every token had the same chance would give a perplexity of 6,144.
run perplexity "$model" -f "$XENON_SOURCE/models/validation.txt" --chunks 8 --json
expect_status 0
perplexity=$(sed 's/.*"perplexity":\([0-9.]*\).*/\1/' "$work/out")
awk "BEGIN { exit !($perplexity > 10 && $perplexity < 40) }" || fail "$line: perplexity $perplexity, 10 to 40 expected"
finish
