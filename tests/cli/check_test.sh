#!/bin/sh
# xenon check from the command line: all of it is right on this machine, in a table, as JSON and in a report.
. "${0%/*}/lib.sh"

# Under sanitizers measurements say nothing and take long.
speed=
[ -z "$XENON_INSTRUMENTED" ] || speed=--no-speed
unset XENON_CPU

run check --quick --seed 3 --json --report "$work/report" $speed
expect_status 0
expect_no_err
python3 - "$work/out" "$speed" <<'END' || fail "$line: not the rows expected"
import json, statistics, sys
report = json.load(open(sys.argv[1]))
rows, measured = report["rows"], not sys.argv[2]
assert report["ok"] and report["wrong"] == 0 and not report["failures"] and report["seed"] == 3, report
assert report["cases"] == sum(r["cases"] for r in rows) > 400
sets = {r["set"] for r in rows}
assert "c" in sets
for name in sets:
    mine = [r for r in rows if r["set"] == name]
    assert len({r["operation"] for r in mine}) == 14, name
    assert len({r["format"] for r in mine if r["operation"] == "project_add"}) > 20, name
for r in rows:
    assert r["ok"] and r["cases"] > 0 and 0 <= r["error"] <= r["tolerance"] < 0.5, r
timed = [r for r in rows if r["one_row"] and r["operation"] == "project_add"]
assert bool(timed) == measured
for r in timed:
    assert r["one_row"]["share"] > 0 and r["many_rows"]["share"] > 0, r
if measured: # one alone may be off: machines are shared
    for rows in "one_row", "many_rows":
        assert statistics.median(r[rows]["share"] for r in timed) < 2, timed
    assert report["bandwidth"] > 0 and set(report["peak"]) == sets, report
END
grep -q "^instructions:" "$work/report" || fail "the report does not describe the machine"
grep -q "^c  *project_add  *Q4_K  *6 .* ok " "$work/report" || fail "the report lacks a row"
grep -q "27 formats, .*: all ok$" "$work/report" || fail "the report does not sum up"

# One operation and format of one instruction set, all sizes; the same seed finds the same.
run check --device cpu:c --op project --format q6_k --no-speed -t 1
expect_status 0
expect_out "1 instruction set, 1 operation, 1 formats, 20 cases"
row=$(grep "^c .*project .*Q6_K" "$work/out")
run check --device cpu:c --op project --format Q6_K --no-speed
[ "$row" = "$(grep "^c .*project .*Q6_K" "$work/out")" ] || fail "$line: another result of the same seed"
XENON_CPU=c
export XENON_CPU
run check --op add --no-speed
expect_status 0
expect_out "1 instruction set, 1 operation"
XENON_CPU=avx9
run check --op add
expect_error 1 "XENON_CPU" "avx9"
unset XENON_CPU

run check --op project_ad
expect_error 1 "project_ad" "did you mean project_add?"
run check --op nonsense
expect_error 1 "nonsense" "embed" "project_add" "head"
run check --format I32
expect_error 1 "I32"
run check --op route --format Q4_K
expect_error 1 "route" "Q4_K"
run check --device reference
expect_error 1 "reference"
run check --device cpu:avx9
expect_error 1 "avx9"
run check --op add --no-speed --report "$work/nowhere/report"
expect_error 1 "nowhere"
run check model.gguf
expect_error 2 "model.gguf"
finish
