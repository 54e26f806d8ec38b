#!/bin/sh
# Exit statuses, help and errors of the command line.
. "${0%/*}/lib.sh"

run --help
expect_status 0
expect_no_err
commands=$(sed -n '/^commands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p' "$work/out")
for command in run info tokenize verify; do
    case " $(echo $commands) " in *" $command "*) ;; *) fail "--help does not list $command" ;; esac
done
run -h
expect_status 0
run --version
expect_status 0
expect_out "xenon $(sed -n 's/^#define XENON_VERSION_STRING "\(.*\)"/\1/p' "$XENON_SOURCE/include/xenon/xenon.h")"

run
expect_error 2 "no command"
run tokenise
expect_error 2 '"tokenise"' "did you mean tokenize?"
run frobnicate
expect_error 2 '"frobnicate"'
run --frobnicate
expect_error 2 '"--frobnicate"'

# Every command has help with a usage line and examples, refuses an unknown option, and names a near one.
for command in $commands; do
    run "$command" --help
    expect_status 0
    expect_no_err
    expect_out "usage: xenon $command"
    expect_out "--help"
    expect_out "examples:"
    run "$command" --frobnicate
    expect_error 2 "--frobnicate"
    run "$command" --hepl
    expect_error 2 "--hepl" "did you mean --help?"
done

# Missing and surplus arguments, arguments out of range.
for command in info tokenize verify; do
    run "$command"
    expect_error 2 "missing argument"
done
run info a b
expect_error 2 '"b"'
run verify a
expect_error 2 "missing argument"
run run -n
expect_error 2 "-n needs an argument"
run run -n many
expect_error 2 "-n" '"many"'
run run -n -2
expect_error 2 "-n" "-2"
run run --temp=-1
expect_error 2 "--temp" "-1"
run run --top-p 1.5
expect_error 2 "--top-p" "1.5"
run run --cache-type q4
expect_error 2 "--cache-type" '"q4"' "f32 f16"
run run -p one -m model.gguf two
expect_error 2 '"two"'
run run --template-args '[1]' -m /nowhere.gguf -p x
expect_error 1 "--template-args"

# Standard output that can't be written is an error.
checks=$((checks + 1))
if [ -w /dev/full ]; then
    "$XENON" --help >/dev/full 2>"$work/err" && fail "--help to a full device succeeds"
    grep -q "standard output" "$work/err" || fail "--help to a full device does not say so"
fi

: >"$work/err"
# The manual page knows every command and every option.
for command in $commands; do
    grep -q "^\.SS \"xenon $command" "$XENON_MAN" || fail "xenon.1 lacks the command $command"
    "$XENON" "$command" --help | sed -n 's/^  \(-[a-zA-Z],\|   \) \(--[a-z][a-z0-9-]*\).*/\2/p' >"$work/options"
    [ -s "$work/options" ] || fail "no options found in the help of $command"
    while read -r option; do
        grep -qF -e "$(printf '%s' "$option" | sed 's/-/\\-/g')" "$XENON_MAN" || fail "xenon.1 lacks $command $option"
    done <"$work/options"
done

# bash completes commands and options.
if command -v bash >/dev/null; then
    checks=$((checks + 1))
    complete() { # words; the last is completed
        bash -c 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _xenon 2>/dev/null; printf "%s\n" "${COMPREPLY[@]}"' \
            - "$XENON_SOURCE/docs/completion/xenon.bash" "$XENON" "$@"
    }
    [ "$(complete tok)" = tokenize ] || fail "completion of tok: $(complete tok)"
    [ "$(complete run --top-)" = "--top-k
--top-p
--top-nsigma" ] || fail "completion of run --top-: $(complete run --top-)"
    [ "$(complete info --device ref)" = reference ] || fail "completion of --device ref"
fi
finish
