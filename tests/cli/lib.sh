# What the shell tests of the command share. Sourced; expects XENON (the program), XENON_SHARED and XENON_SOURCE.
# A check that fails is told at once and makes `finish` fail.
set -u
failures=0
checks=0
work=$(mktemp -d "${TMPDIR:-/tmp}/xenon-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
unset XENON_DEFAULT_MODEL

fail() { # what is wrong
    failures=$((failures + 1))
    printf 'FAILED: %s\n' "$*"
    [ ! -s "$work/out" ] || head -n 5 "$work/out" | cut -c 1-300 | sed 's/^/  stdout: /'
    [ ! -s "$work/err" ] || head -n 5 "$work/err" | cut -c 1-300 | sed 's/^/  stderr: /'
}

# Runs the program with stdin from $work/in (empty unless made); leaves $work/out, $work/err and $status.
run() {
    checks=$((checks + 1))
    [ -e "$work/in" ] || : >"$work/in"
    status=0
    "$XENON" "$@" <"$work/in" >"$work/out" 2>"$work/err" || status=$?
    line="xenon $*"
}

expect_status() { [ "$status" = "$1" ] || fail "$line: exit status $status, expected $1"; }
expect_out() { grep -qF -e "$1" "$work/out" || fail "$line: stdout lacks: $1"; }
expect_err() { grep -qF -e "$1" "$work/err" || fail "$line: stderr lacks: $1"; }
expect_no_err() { [ ! -s "$work/err" ] || fail "$line: stderr is not empty"; }
expect_no_out() { [ ! -s "$work/out" ] || fail "$line: stdout is not empty"; }
# An error is one line that begins with "xenon: " and names what is wrong.
expect_error() { # status text...
    expect_status "$1"
    shift
    [ "$(wc -l <"$work/err")" = 1 ] || fail "$line: the error is not one line"
    case $(cat "$work/err") in "xenon: "*) ;; *) fail "$line: the error does not begin with xenon:" ;; esac
    for text in "$@"; do expect_err "$text"; done
}

skip() {
    echo "skipped: $*"
    exit 77
}
need_shared() { [ -d "$XENON_SHARED/models" ] || skip "no reference models at $XENON_SHARED"; }

finish() {
    echo "$checks runs, $failures failures"
    [ "$failures" = 0 ] && [ "$checks" -gt 0 ]
    exit $?
}
