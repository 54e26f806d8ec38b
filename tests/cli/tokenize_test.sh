#!/bin/sh
# The command gives the reference ids for every case, and decoding gives the text back.
. "${0%/*}/lib.sh"
[ -d "$XENON_SHARED/text/tokenize" ] || skip "no reference texts at $XENON_SHARED"
text=$XENON_SHARED/text

check() { # cases tokenizer
    cp "$1" "$work/in"
    run tokenize "$2" --jsonl
    expect_status 0
    # "ids" stands last but one in a case: {"text": ..., "ids": [...], "parse_special": ...}
    sed 's/.*"ids": *\[\([^]]*\)\].*/{"ids":[\1]}/; s/, */,/g' "$1" >"$work/expected"
    cmp -s "$work/expected" "$work/out" || {
        diff "$work/expected" "$work/out" | head -n 4 >"$work/err"
        : >"$work/out"
        fail "$2: other ids"
    }
}
check "$text/tokenize/qwen2_5.jsonl" "$text/vocab/qwen2_5"
check "$text/tokenize/qwen2_5.jsonl" "$text/vocab/qwen2_5/tokenizer.json"
for vocabulary in "$text"/vocab/gguf/ggml-vocab-*.gguf; do
    name=${vocabulary##*/ggml-vocab-}
    cases=$text/tokenize/${name%.gguf}.jsonl
    [ ! -e "$cases" ] || check "$cases" "$vocabulary"
done

# There and back, for bytes on standard input.
model=$text/vocab/qwen2_5
for sample in 'Hello world' '  two  spaces  ' 'naïve 東京 🚀' 'a
b

c'; do
    printf '%s' "$sample" >"$work/in"
    cp "$work/in" "$work/sample"
    run tokenize "$model"
    expect_status 0
    [ "$(wc -l <"$work/out")" = 1 ] || fail "$line: more than one line"
    mv "$work/out" "$work/in"
    run tokenize "$model" --decode
    expect_status 0
    cmp -s "$work/out" "$work/sample" || fail "$line: another text for: $sample"
done
: >"$work/in"
run tokenize "$model"
expect_status 0
[ "$(cat "$work/out")" = "" ] || fail "the empty text has ids"

# Special tokens: as text, or as one id; and shown or not.
printf '<|im_end|>' >"$work/in"
run tokenize "$model" --special
[ "$(cat "$work/out")" = 151645 ] || fail "$line: not 151645"
run tokenize "$model"
[ "$(wc -w <"$work/out")" -gt 1 ] || fail "$line: a special token out of ordinary text"
echo 9707 151645 >"$work/in"
run tokenize "$model" --decode
[ "$(cat "$work/out")" = Hello ] || fail "$line: a special token is shown"
run tokenize "$model" --decode --special
[ "$(cat "$work/out")" = "Hello<|im_end|>" ] || fail "$line: no special token is shown"
printf '{"ids": [9707, 1879]}\n' >"$work/in"
run tokenize "$model" --decode --jsonl
[ "$(cat "$work/out")" = '{"text":"Hello world"}' ] || fail "$line: not Hello world"
finish
