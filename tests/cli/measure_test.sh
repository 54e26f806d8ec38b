#!/bin/sh
# synth, bench and perplexity from the command line, on models of tiny shapes.
. "${0%/*}/lib.sh"

run synth --list
expect_status 0
expect_out "qwen3.5-122b-a10b"
expect_out "Q4_K_M"
if grep -q tiny- "$work/out"; then fail "$line: lists a shape that is for tests"; fi
run synth qwen3-4 -o "$work/x.gguf"
expect_error 1 "qwen3-4" "qwen3-4b" "--list"
run synth tiny-qwen3 -q Q4_K_X -o "$work/x.gguf"
expect_error 1 "Q4_K_X" "Q4_K_"
run synth tiny-qwen3 --layers 9 -o "$work/x.gguf"
expect_error 1 "8 layers" "9"
run synth tiny-qwen3 -o "$work/nowhere/x.gguf"
expect_error 1 "nowhere"
run synth
expect_error 1 "no shape"
[ ! -e "$work/x.gguf" ] || fail "a failed synth left a file"

run synth tiny-qwen3 -q Q4_K_M -o "$work/tiny.gguf" --json
expect_status 0
expect_out '"format":"Q4_K_M"'
run synth tiny-qwen3.5-moe -q Q8_0 --layers 4 -o "$work/hybrid.gguf"
expect_status 0

# What a context needs: of tiny models little, the more the longer.
for model in tiny hybrid; do
    run info "$work/$model.gguf" --json
    expect_status 0
    python3 - "$work/out" <<'END' || fail "$line: not the memory expected"
import json, sys
rows = json.load(open(sys.argv[1]))["memory"]
assert rows, rows
for r in rows:
    assert 0 < r["activation_bytes"] < 256 << 20, r
    assert r["total_bytes"] > r["activation_bytes"] + r["cache_bytes"], r
assert [r["cache_bytes"] for r in rows] == sorted({r["cache_bytes"] for r in rows}), rows
END
done

for model in tiny hybrid; do
    run bench "$work/$model.gguf" -p 5,9 -n 3 -r 2 --json
    expect_status 0
    python3 - "$work/out" <<'END' || fail "$line: not the rows expected"
import json, sys
rows = json.load(open(sys.argv[1]))
assert [r["test"] for r in rows] == ["pp5", "pp9", "tg3"], rows
for r in rows:
    assert r["tps"] > 0 and r["tps_stddev"] >= 0 and r["bytes_per_token"] > 0 and r["threads"] >= 1, r
    # of limits that were measured a moment ago, beside whatever else this machine does: it may be above 1
    used = r["flops_per_token"] / r["peak"] if r["test"].startswith("pp") else r["bytes_per_token"] / r["bandwidth"]
    assert abs(r["share"] / (used * r["tps"]) - 1) < 1e-6, r
END
done
run bench --shape tiny-qwen3 -q Q8_0 -p 4 -n 2 -d 0,8 -r 1 --ops --device reference
expect_status 0
expect_out "Tiny Qwen3 Q8_0"
expect_out "tg2 @ d8"
expect_out "project_add"
run bench "$work/tiny.gguf" -p 0 -n 0
expect_error 1 "-p and -n"
run bench "$work/tiny.gguf" -p 5,x
expect_error 1 "-p" "5,x"
run bench "$work/tiny.gguf" --shape tiny-qwen3
expect_error 1 "either"

i=0
while [ $i -lt 60 ]; do echo "the old man and the sea told a story $i times"; i=$((i + 1)); done >"$work/text"
run perplexity "$work/tiny.gguf" -f "$work/text" -c 64 --chunks 3 --json
expect_status 0
expect_out '"chunks":3,"tokens":93'
run perplexity "$work/tiny.gguf" -f "$work/text" -c 65536
expect_error 1 "65536" "two chunks"
run perplexity "$work/tiny.gguf" -f "$work/none"
expect_error 1 "$work/none"
run perplexity "$work/tiny.gguf"
expect_error 2 "-f"
finish
