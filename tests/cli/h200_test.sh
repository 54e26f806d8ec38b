#!/bin/sh
# bench/h200.sh on whatever OpenCL has, with a program before it that checks and verifies nothing: the table, what is
# right and what is not, and what it refuses.
. "${0%/*}/lib.sh"
command -v bash >/dev/null || skip "no bash"
XDG_CACHE_HOME=$XENON_TEST_CACHE
export XDG_CACHE_HOME
run devices
grep -q "^gpu0" "$work/out" || skip "OpenCL has no devices here"

program=$XENON
mkdir "$work/golden"
touch "$work/golden/golden.json"
cat >"$work/xenon" <<END
#!/bin/sh
case "\$1 \$*" in
"check "*) echo "all right \$3" ;;
"verify "*) echo "\$2 by \$5: ok" ;;
"bench "*dp4a*-s*) echo "bench: the GPU is gone" >&2; exit 1 ;;
"perplexity "*dp4a*)
    [ ! -e "$work/wrong" ] || { echo '{"perplexity": 7}'; exit 0; }
    exec "$program" "\$@"
    ;;
*) exec "$program" "\$@" ;;
esac
END
chmod +x "$work/xenon"
XENON=$work/xenon
export XENON

has() { grep -q -e "$1" "$work/out" || fail "$line: stdout lacks: $1"; }
bench() { # arguments of h200.sh
    checks=$((checks + 1))
    status=0
    bash "$XENON_SOURCE/bench/h200.sh" --work "$work/files" "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
    line="h200.sh $*"
}

bench --shapes tiny-qwen3 -q Q4_K_M -p 8 -n 2 -s 1,3 -d 4 -r 1 "$work/golden" "$work"
expect_status 1
has "gpu0+dp4a: operations  *all right gpu0+dp4a"
has "^gpu0: golden  *$work/golden by gpu0: ok"
has "| tiny-qwen3-Q4_K_M  *| default  *| tg2 x3 .*%"
has "| tiny-qwen3-Q4_K_M  *| +dp4a  *| failed: bench: the GPU is gone"
has "| tiny-qwen3-Q4_K_M  *| default  *| pp8 "
has "| tiny-qwen3-Q4_K_M  *| default  *| tg2 @ d4 "
has "^tiny-qwen3-Q4_K_M: [0-9.]* [0-9.]*: ok"
touch "$work/wrong"
bench --shapes tiny-qwen3 -q Q4_K_M -p 0 -n 0
expect_status 1
has "7: differ"
bench --ways default --shapes tiny-qwen3 -q Q4_K_M -p 0 -n 2 -s 1 -d 0 -r 1 --no-check
expect_status 0
bench --shapes
expect_status 2
bench -r none
expect_status 2
bench --device gpu77
expect_status 1
grep -q "there is no gpu77" "$work/err" || fail "$line: does not say which device"
finish
