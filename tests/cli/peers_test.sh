#!/bin/sh
# bench/peers.sh beside an engine that is a script: the table, the options it gets, and what it fails at.
. "${0%/*}/lib.sh"
command -v bash >/dev/null || skip "no bash"
export XENON
peers=$XENON_SOURCE/bench/peers.sh

mkdir "$work/bin"
cat >"$work/bin/llama-bench" <<'END'
#!/bin/sh
case " $* " in *" --help "*)
    echo "  -fa, --flash-attn <0|1>"
    echo "  -rtr, --run-time-repack <0|1>"
    exit 0
    ;;
esac
echo "$*" >>"${0%/*}/calls"
model= p= n=
while [ $# -gt 1 ]; do
    case $1 in -m) model=$2 ;; -p) p=$2 ;; -n) n=$2 ;; -rtr) rtr=$2 ;; esac
    shift
done
case $model in
*-BF16.gguf) [ "$rtr" = 0 ] || { echo "no repacking of BF16" >&2; exit 1; } ;;
*-Q8_0.gguf) [ "$n" = 0 ] || { echo "something dreadful" >&2; kill -SEGV $$; } ;;
esac
count=$(wc -l <"${0%/*}/calls")
echo "a line that is no JSON"
echo "[{\"n_prompt\": $p, \"n_gen\": $n, \"avg_ts\": $count.5}]"
END
chmod +x "$work/bin/llama-bench"

compare() { # arguments of peers.sh
    checks=$((checks + 1))
    status=0
    bash "$peers" "$@" --work "$work/files" >"$work/out" 2>"$work/err" </dev/null || status=$?
    line="peers.sh $*"
}

compare "$work/bin" --shape tiny-qwen3 -q Q4_K_M,BF16,Q8_0 -p 8,16 -n 4 -r 3 -t 1 --level c
expect_status 0
expect_out "ik_llama.cpp -rtr 1 -fa 1; BF16 with -rtr 0 -fa 1"
expect_out "| file              | test | xenon t/s |"
[ "$(grep -c "^| tiny-qwen3 Q4_K_M .*%.*% |$" "$work/out")" = 3 ] || fail "$line: not three rows of Q4_K_M"
# Of the peer's first, fourth and seventh calls, 1.5, 4.5 and 7.5 tokens a second, the median.
grep -q "^| tiny-qwen3 Q4_K_M *| pp8 *| *[0-9.]* *| *4.50 |" "$work/out" || fail "$line: no median"
grep -q "^| tiny-qwen3 BF16 *| tg4 .*%.*% |$" "$work/out" || fail "$line: BF16 was not tried without repacking"
grep -q "^| tiny-qwen3 Q8_0 *| tg4 .*crashed (signal 11)" "$work/out" || fail "$line: the crash is not in the table"
grep -q "^| tiny-qwen3 Q8_0 *| pp16 .*%.*% |$" "$work/out" || fail "$line: a crash took another test with it"
expect_err "something dreadful"
grep -q -- "-p 16 -n 0 -r 1 -t 1 -rtr 1 -fa 1 -o json" "$work/bin/calls" || fail "$line: other options than expected"

before=$(ls -l "$work/files"/*.gguf)
compare "$work/bin" --shape tiny-qwen3 -q Q4_K_M -p 0 -n 4 -r 1 --peer-args "-fa 0"
expect_status 0
[ "$before" = "$(ls -l "$work/files"/*.gguf)" ] || fail "$line: the files were written again"
tail -n 1 "$work/bin/calls" | grep -q -- "-t 2 -fa 0 -o json" || fail "$line: --peer-args are not taken"

compare --help
expect_status 0
expect_out "examples:"
compare
expect_status 2
compare "$work/bin" --frobnicate 1
expect_status 2
compare "$work/bin" -r many
expect_status 2
expect_err '"many"'
compare "$work/nowhere"
expect_status 1
expect_err "$work/nowhere/llama-bench"
compare "$work/bin" --shape no-such-shape
expect_status 1
expect_err "no-such-shape"
finish
