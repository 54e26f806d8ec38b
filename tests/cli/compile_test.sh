#!/bin/sh
# xenon compile: with a stand-in for Intel's offline compiler, what it is asked, what becomes of its output and of its
# failures; with the real one, where it is there, one kernel.
. "${0%/*}/lib.sh"
model=$XENON_SOURCE/models/xenon-default-q8_0.gguf
mkdir "$work/bin" "$work/none"
real=$PATH
cat >"$work/bin/ocloc" <<'END'
#!/bin/sh
# Says what it was asked, and writes a binary; FAIL: what it complains of instead.
[ "$1" = compile ] || exit 9
shift
while [ $# -gt 0 ]; do
    case $1 in
    -file) file=$2 ;;
    -device) device=$2 ;;
    -options) options=$2 ;;
    -out_dir) folder=$2 ;;
    --format) [ "$2" = zebin ] && [ -z "${OLD:-}" ] || { echo "Invalid option (arg 9): --format"; exit 7; } ;;
    *) exit 8 ;;
    esac
    shift 2
done
echo "$device $options $(sed -n 's/^#define XN_OP_\([A-Z_]*\)$/\1/p' "$file") $(sed -n 's/^#define XN_FORMATS(X)//p' "$file")" >>"$ASKED"
[ -z "${FAIL:-}" ] || { echo "$FAIL"; exit 1; }
printf 'a binary of %s' "$device" >"$folder/program_$device.bin"
: >"$folder/program_$device.spv"
END
chmod +x "$work/bin/ocloc"
ASKED=$work/asked
export ASKED
XDG_CACHE_HOME=$work/cache
export XDG_CACHE_HOME
mkdir "$XDG_CACHE_HOME"

run compile --list --json
expect_status 0
expect_out '"target":"acm-g10"'
run compile --list
expect_out "Arc A770"
run compile
expect_error 1 "--target"
run compile --target acm-g99 --formats q4_k
expect_error 1 "acm-g99" "acm-g10"
run compile --target acm-g10
expect_error 1 "MODEL" "--formats"
run compile --target acm-g10 --formats q4_k,q4_q
expect_error 1 "q4_q"
run compile --target acm-g10 "$work/nothing.gguf"
expect_error 1 "nothing.gguf"
PATH=$work/none
run compile --target acm-g10 --formats q4_k
PATH=$real
grep -q "this build has no OpenCL" "$work/err" && skip "this build has no OpenCL"
expect_error 1 "ocloc" "PATH"

PATH=$work/bin:$real
run compile --target acm-g10,bmg-g21 --formats Q4_K,q6_k --cache-type f16 --json -o "$work/kernels"
expect_status 0
expect_no_err
python3 - "$work/out" "$work/kernels" "$ASKED" <<'END' || fail "$line: not what was expected"
import json, os, sys
result = json.load(open(sys.argv[1]))
assert result["folder"] == sys.argv[2], result["folder"]
rows = result["programs"]
asked = open(sys.argv[3]).read().split("\n")[:-1]
assert len(asked) == len(rows), (len(asked), len(rows))
files = set()
for row in rows:
    assert row["file"].startswith(f'{sys.argv[2]}/{row["target"]}/'), row
    data = open(row["file"], "rb").read()
    assert data.endswith(b"a binary of " + row["target"].encode()) and len(data) > row["bytes"], row
    files.add(row["file"])
assert len(files) == len(rows), "two programs in one file"
for target in "acm-g10", "bmg-g21":
    gates = [row["formats"] for row in rows if row["kernel"] == "gate" and row["target"] == target and row["shape"] == "few rows"]
    assert gates == [["Q4_K"], ["Q4_K", "Q6_K"], ["Q6_K"]], gates
assert {row.get("cache") for row in rows} == {None, "F16"}
assert any(line.startswith("acm-g10 -cl-std=CL1.2 GATE  X(Q4_K) X(Q6_K)") for line in asked), asked[:3]
END

# One that has no choice of formats is asked without.
: >"$ASKED"
OLD=1
export OLD
run compile --target acm-g10 --formats f32 --kernels add,gate -o "$work/kernels"
expect_status 0
[ "$(wc -l <"$ASKED")" = 3 ] || fail "$line: not asked for each program once"
unset OLD

# A model has the programs that it needs, and no others.
: >"$ASKED"
run compile --target acm-g10 "$model"
expect_status 0
expect_out "$XDG_CACHE_HOME/xenon/opencl"
grep -q "GATE  X(Q8_0)$" "$ASKED" || fail "$line: no gate for Q8_0"
grep -Eq "Q4_K|DELTA_NET" "$ASKED" && fail "$line: more than the model needs"
[ "$(ls "$XDG_CACHE_HOME/xenon/opencl/acm-g10" | wc -l)" = "$(wc -l <"$ASKED")" ] || fail "$line: not a file each"
run compile --target acm-g10 "$model" --kernels head,nothing --json
expect_status 0
expect_out '"kernel":"head"'
run compile --target acm-g10 "$model" --kernels nothing
expect_error 1 "nothing"

# What the compiler complains of is passed on.
FAIL="noise
12:3: error: use of undeclared identifier 'xyz'"
export FAIL
run compile --target acm-g10 "$model" -o "$work/kernels"
expect_error 1 "acm-g10" "undeclared identifier 'xyz'"
FAIL="Error: Cannot get HW Info for device ptl-h."
run compile --target ptl-h "$model" -o "$work/kernels"
expect_error 1 "ocloc does not know ptl-h"
unset FAIL
printf '#!/bin/sh\nexit 0\n' >"$work/bin/ocloc"
run compile --target acm-g10 "$model" -o "$work/kernels"
expect_error 1 "no binary"
run compile --target acm-g10 "$model" -o "$work/no/such/folder"
expect_error 1 "$work/no/such/folder"
[ -z "$(ls -d "${TMPDIR:-/tmp}"/xenon-compile-* 2>/dev/null)" ] || echo "note: another run's folder is there"

PATH=$real
command -v ocloc >/dev/null 2>&1 || { echo "no ocloc: the rest is skipped"; finish; }
run compile --target acm-g10 --formats f32 --kernels add -o "$work/real"
expect_status 0
expect_out "1 programs"
finish
