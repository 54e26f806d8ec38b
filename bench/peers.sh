#!/usr/bin/env bash
# Xenon beside another engine: see --help.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
    cat <<'END'
usage: bench/peers.sh PEER_BIN_DIR [options]

Measures xenon beside the llama-bench of ik_llama.cpp or llama.cpp that stands in PEER_BIN_DIR: the same GGUF files (random
weights, written by `xenon synth` once and kept), the same threads, in turn, medians. Builds nothing.

  -q, --quant Q[,Q]      mixtures of formats (Q4_K_M,Q4_0,Q8_0,BF16)
  --shape NAME           shape of the model (qwen2.5-1.5b); xenon synth --list shows all
  --layers N             only its first N layers (0: all)
  -p, --prompt N[,N]     tokens of a prompt; 0: no such test (512)
  -n, --generate N[,N]   tokens to generate; 0: no such test (128)
  -t, --threads N        threads of both (2)
  -r, --repetitions N    of each test, each engine in turn (5)
  --level LEVEL          instruction set of xenon: sets XENON_CPU
  --pin CPUS             processors that both may use, as taskset takes them: 0,1
  --peer-args "ARGS"     options of llama-bench ("-rtr 1 -fa 1" for ik_llama.cpp, "-fa 1" for llama.cpp); where the
                         former fails on a file it is tried with -rtr 0
  --work DIR             where the files stay (build/peers)
  -h, --help             this text

Environment: XENON is the program (build/xenon). The share of the limit is of the memory bandwidth (generation) or of the
peak (prompts) that xenon bench measured, the best of all repetitions; the peer's is of the same bytes and operations.
A test that the peer fails is told in the table. Exit status: 0 done, 1 xenon failed, 2 wrong usage.

examples:
  bench/peers.sh ~/ik_llama.cpp/build/bin
  bench/peers.sh /tmp/peers/ik-avx2/bin --level avx2 -q Q4_K_M -p 512,4096 -n 128 --pin 0,1
  bench/peers.sh ~/llama.cpp/build/bin -q BF16 -n 0 --peer-args "-fa 0"
END
}
die() { # status message
    printf 'peers.sh: %s\n' "$2" >&2
    exit "$1"
}

peer_dir='' quants=Q4_K_M,Q4_0,Q8_0,BF16 shape=qwen2.5-1.5b layers=0 prompts=512 generates=128 threads=2 repetitions=5
level='' pin='' peer_args='' work=$root/build/peers given_args=
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        usage
        exit 0
        ;;
    -*)
        [ $# -gt 1 ] || die 2 "$1 needs an argument (see --help)"
        case $1 in
        -q | --quant) quants=$2 ;;
        --shape) shape=$2 ;;
        --layers) layers=$2 ;;
        -p | --prompt) prompts=$2 ;;
        -n | --generate) generates=$2 ;;
        -t | --threads) threads=$2 ;;
        -r | --repetitions) repetitions=$2 ;;
        --level) level=$2 ;;
        --pin) pin=$2 ;;
        --peer-args) peer_args=$2 given_args=yes ;;
        --work) work=$2 ;;
        *) die 2 "unknown option $1 (see --help)" ;;
        esac
        shift
        ;;
    *)
        [ -z "$peer_dir" ] || die 2 "one folder of a peer, found $peer_dir and $1 (see --help)"
        peer_dir=$1
        ;;
    esac
    shift
done
[ -n "$peer_dir" ] || die 2 "no folder with a llama-bench named (see --help)"
for number in $threads $repetitions $layers ${prompts//,/ } ${generates//,/ }; do
    [[ $number =~ ^[0-9]+$ ]] || die 2 "a number expected, found \"$number\" (see --help)"
done
[ "$repetitions" -gt 0 ] || die 2 "at least one repetition (see --help)"
xenon=${XENON:-$root/build/xenon}
peer=$peer_dir/llama-bench
[ -x "$xenon" ] || die 1 "no program $xenon: build it, or name it by XENON="
[ -x "$peer" ] || die 1 "no program $peer"
prefix=()
[ -z "$pin" ] || prefix=(taskset -c "$pin")

# What the peer does best with.
peer_help=$("$peer" --help 2>&1 || true)
name=llama.cpp
if [[ $peer_help == *run-time-repack* ]]; then name=ik_llama.cpp; fi
if [ -z "$given_args" ]; then
    if [[ $peer_help == *flash-attn* ]]; then peer_args="-fa 1"; fi
    if [ $name = ik_llama.cpp ]; then peer_args="-rtr 1 $peer_args"; fi
fi

cut=
[ "$layers" = 0 ] || cut=-$layers-layers
mkdir -p "$work"
results=$(mktemp "$work/results.XXXXXX")
raw=$(mktemp "$work/raw.XXXXXX")
trap 'rm -f "$results" "$raw" "$raw.log"' EXIT

# Lines "FILE TEST ENGINE TPS BYTES FLOPS BANDWIDTH PEAK" of what an engine printed; fails where that is no whole answer.
parse() { # quant engine
    python3 - "$raw" "$1" "$2" >>"$results" <<'END'
import json, sys
path, quant, engine = sys.argv[1:]
text = open(path, errors="replace").read()
rows = json.loads(text[text.index("["):])
if not rows:
    sys.exit(1)
for r in rows:
    if engine == "xenon":
        numbers = [r[k] or 0 for k in ("tps", "bytes_per_token", "flops_per_token", "bandwidth", "peak")]
        test = r["test"]
    else:
        numbers = [r["avg_ts"], 0, 0, 0, 0]
        test = "pp%d" % r["n_prompt"] if r["n_prompt"] else "tg%d" % r["n_gen"]
    print(quant, test, engine, *numbers, sep="\t")
END
}

run_xenon() { # quant file
    local environment=() device=()
    [ -z "$level" ] || environment=(env "XENON_CPU=$level")
    [ -n "$level${XENON_CPU:-}" ] || device=(--device cpu)
    "${environment[@]}" "${prefix[@]}" "$xenon" bench "$2" "${device[@]}" -p "$prompts" -n "$generates" -r 1 -t "$threads" --json >"$raw" ||
        die 1 "xenon bench failed on $2"
    parse "$1" xenon || die 1 "xenon bench printed no results for $2"
}

# One test of the peer; leaves $reason where it fails.
try_peer() { # quant file prompt generate args...
    local quant=$1 file=$2 p=$3 n=$4 status=0
    shift 4
    "${prefix[@]}" "$peer" -m "$file" -p "$p" -n "$n" -r 1 -t "$threads" "$@" -o json >"$raw" 2>"$raw.log" || status=$?
    reason=
    if [ $status -gt 128 ]; then
        reason="crashed (signal $((status - 128)))"
    elif [ $status -ne 0 ]; then
        reason="failed (status $status)"
    elif ! parse "$quant" peer 2>/dev/null; then
        reason="printed no results"
    fi
    [ -z "$reason" ]
}

declare -A gave_up args_of
run_peer() { # quant file prompt generate
    local test=tg$4 args
    [ "$3" = 0 ] || test=pp$3
    [ -z "${gave_up[$1/$test]:-}" ] || return 0
    args=${args_of[$1]:-$peer_args}
    # shellcheck disable=SC2086 # options are words
    if try_peer "$@" $args; then return 0; fi
    if [ -z "$given_args" ] && [[ $args == *"-rtr 1"* ]]; then
        args=${args/-rtr 1/-rtr 0}
        # shellcheck disable=SC2086
        if try_peer "$@" $args; then
            args_of[$1]=$args
            return 0
        fi
    fi
    gave_up[$1/$test]=$reason
    printf '%s\t%s\tfailed\t%s\n' "$1" "$test" "$reason" >>"$results"
    printf '%s %s: the peer %s; its last words:\n' "$1" "$test" "$reason" >&2
    tail -n 3 "$raw.log" | sed 's/^/    /' >&2
}

note() { [ ! -t 2 ] || printf '\r\033[K%s' "$*" >&2; }

for quant in ${quants//,/ }; do
    file=$work/$shape$cut-$quant.gguf
    [ -e "$file" ] || "$xenon" synth "$shape" --quant "$quant" --layers "$layers" -o "$file" >&2 ||
        die 1 "cannot write $file"
    cat "$file" >/dev/null # into the page cache, for both
    for ((i = 1; i <= repetitions; i++)); do
        note "$quant: repetition $i of $repetitions"
        run_xenon "$quant" "$file"
        for p in ${prompts//,/ }; do [ "$p" = 0 ] || run_peer "$quant" "$file" "$p" 0; done
        for n in ${generates//,/ }; do [ "$n" = 0 ] || run_peer "$quant" "$file" 0 "$n"; done
    done
    note
done

special=
for quant in "${!args_of[@]}"; do special="$special; $quant with ${args_of[$quant]}"; done
printf '%s, %s threads, %s, %s repetitions; %s %s%s; load %s\n\n' \
    "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$threads" "xenon ${level:-at its best}" "$repetitions" \
    "$name" "$peer_args" "$special" "$(cut -d ' ' -f 1 /proc/loadavg)"
python3 - "$results" "$shape$cut" "$name" <<'END'
import statistics, sys
path, shape, peer_name = sys.argv[1:]
speeds, limits, failed, order = {}, {}, {}, []
for line in open(path):
    quant, test, engine, *numbers = line.rstrip("\n").split("\t")
    key = quant, test
    if key not in order:
        order.append(key)
    if engine == "failed":
        failed[key] = numbers[0]
        continue
    tps, *rest = map(float, numbers)
    speeds.setdefault((key, engine), []).append(tps)
    if engine == "xenon":  # cost of a token by bytes or operations, and the best that was measured of the limit
        cost, limit = (rest[1], rest[3]) if test.startswith("pp") else (rest[0], rest[2])
        limits[key] = cost, max(limit, limits.get(key, (0, 0))[1])
rows = [("file", "test", "xenon t/s", peer_name + " t/s", "ratio", "xenon of limit", "peer of limit")]
for key in order:
    def median(engine):
        values = speeds.get((key, engine))
        return statistics.median(values) if values else None
    def share(tps):
        cost, limit = limits.get(key, (0, 0))
        return "%.1f%%" % (100 * tps * cost / limit) if tps and limit else "-"
    ours, theirs = median("xenon"), median("peer")
    rows.append((
        "%s %s" % (shape, key[0]), key[1], "%.2f" % ours if ours else "-",
        "%.2f" % theirs if theirs else failed.get(key, "-"), "%.2f" % (ours / theirs) if ours and theirs else "-",
        share(ours), share(theirs)))
widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
for i, row in enumerate(rows):
    print("| " + " | ".join(c.ljust(w) if j < 2 else c.rjust(w) for j, (c, w) in enumerate(zip(row, widths))) + " |")
    if i == 0:
        print("| " + " | ".join("-" * w if j < 2 else "-" * (w - 1) + ":" for j, w in enumerate(widths)) + " |")
END
