#!/usr/bin/env bash
# Everything to know of a GPU in one call: see --help.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
    cat <<'END'
usage: bench/h200.sh [options] [FOLDER...]

Measures a GPU, by default an NVIDIA H200's work: first that it computes right (every operation in every format; FOLDERs with
a golden.json as in ../shared/models), then tokens a second of models with random weights, which `xenon synth` writes once
and which stay. What is computed in several ways there (--ways) is measured in each, in turn, and must agree: the perplexities of
a text in pieces of 8 tokens, which are steps of 8 rows. Lines of the table come as they are measured, so that a run that is cut
off has told what it knew.

  --device NAME          the GPU (gpu0)
  --ways A[,A]           what stands behind its name in turn; the first alone does tests that know no ways. Default
                         "default,+dp4a": products of 2 to 8 rows on the matrix unit of NVIDIA's GPUs, and without it
  --shapes NAME[,NAME]   shapes of models (qwen2.5-1.5b,qwen2.5-7b); xenon synth --list shows all
  -q, --quant Q[,Q]      mixtures of formats (Q4_K_M,Q8_0,BF16)
  --layers N             only the first N layers (0: all)
  -p, --prompt N[,N]     tokens of a prompt; 0: no such test (512)
  -n, --generate N       tokens to generate; 0: no such test (128)
  -s, --sequences N[,N]  sequences at once (1,8)
  -d, --depth N[,N]      tokens that stand in the cache before, for one sequence; 0: no such test (32768)
  -r, --repetitions N    of each test (3)
  --no-check             does not check operations first
  --work DIR             where the files stay (build/h200)
  -h, --help             this text

Environment: XENON is the program (build/xenon). The share is of the memory bandwidth (generation) that was measured in the
same run, of the bytes that a step must read. Exit status: 0 done, 1 something failed or was wrong, 2 wrong usage.

examples:
  bench/h200.sh ../shared/models/*
  bench/h200.sh --no-check --shapes qwen2.5-7b -q Q4_K_M -p 0 -d 0 -s 2,4,8
  bench/h200.sh --ways default,+recorded,+launches --shapes llama-3.2-1b -q Q4_K_M
END
}
die() { # status message
    printf 'h200.sh: %s\n' "$2" >&2
    exit "$1"
}

device=gpu0 ways=default,+dp4a shapes=qwen2.5-1.5b,qwen2.5-7b quants=Q4_K_M,Q8_0,BF16 layers=0 prompts=512 generate=128
sequences=1,8 depths=32768 repetitions=3 check=yes work=$root/build/h200 folders=()
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        usage
        exit 0
        ;;
    --no-check) check= ;;
    -*)
        [ $# -gt 1 ] || die 2 "$1 needs an argument (see --help)"
        case $1 in
        --device) device=$2 ;;
        --ways) ways=$2 ;;
        --shapes) shapes=$2 ;;
        -q | --quant) quants=$2 ;;
        --layers) layers=$2 ;;
        -p | --prompt) prompts=$2 ;;
        -n | --generate) generate=$2 ;;
        -s | --sequences) sequences=$2 ;;
        -d | --depth) depths=$2 ;;
        -r | --repetitions) repetitions=$2 ;;
        --work) work=$2 ;;
        *) die 2 "unknown option $1 (see --help)" ;;
        esac
        shift
        ;;
    *) folders+=("$1") ;;
    esac
    shift
done
for number in $layers $generate $repetitions ${prompts//,/ } ${sequences//,/ } ${depths//,/ }; do
    [[ $number =~ ^[0-9]+$ ]] || die 2 "a number expected, found \"$number\" (see --help)"
done
[ "$repetitions" -gt 0 ] || die 2 "at least one repetition (see --help)"
xenon=${XENON:-$root/build/xenon}
[ -x "$xenon" ] || die 1 "no program $xenon: build it, or name it by XENON="
mkdir -p "$work"
raw=$(mktemp "$work/raw.XXXXXX")
trap 'rm -f "$raw"' EXIT
failed=

named() { # way: the device in this way
    if [ "$1" = default ]; then printf %s "$device"; else printf %s "$device$1"; fi
}
IFS=, read -ra way <<<"$ways"
[ "${#way[@]}" -gt 0 ] || die 2 "no way named (see --help)"
"$xenon" devices >"$raw" 2>&1 || die 1 "$(tail -n 1 "$raw")"
grep -q "^${device%%+*} " "$raw" || die 1 "there is no $device (see $xenon devices)"
about=$(sed -n "/^${device%%+*} /,/^gpu/p" "$raw" | head -n 2)

# --- right? ---

# What a command ends with, behind its name.
tell() { # name command...
    local name=$1 status=0
    shift
    "$@" >"$raw" 2>&1 || status=$?
    printf '%-44s %s\n' "$name" "$(tail -n 1 "$raw")"
    [ $status -eq 0 ] || failed=yes
}
for w in "${way[@]}"; do
    [ -z "$check" ] || tell "$(named "$w"): operations" "$xenon" check --device "$(named "$w")" --no-speed
    for folder in ${folders[@]+"${folders[@]}"}; do
        [ -e "$folder/golden.json" ] || continue
        tell "$(named "$w"): ${folder##*/}" "$xenon" verify "$folder" "$folder/golden.json" --device "$(named "$w")"
    done
done

# --- how fast? ---

# A line for each test of what bench printed.
rows() { # file-name way
    python3 - "$raw" "$1" "$2" <<'END'
import json, sys
path, model, way = sys.argv[1:]
text = open(path, errors="replace").read()
for r in json.loads(text[text.index("["):]):
    share = "%.1f%%" % (100 * r["share"]) if r["share"] and r["test"].startswith("tg") else "-"
    deviation = "%.1f" % r["tps_stddev"] if r["tps_stddev"] is not None else "-"
    read = "%.0f GB/s" % (r["bandwidth"] / 1e9) if r["bandwidth"] else "-"
    print("| %-30s | %-10s | %-16s | %10.1f | %8s | %6s | %10s | %-14s |" % (
        model, way, r["test"], r["tps"], deviation, share, read, r.get("launched", "-")))
END
}
measure() { # model file way options...
    local model=$1 file=$2 w=$3
    shift 3
    if "$xenon" bench "$file" --device "$(named "$w")" -r "$repetitions" --json "$@" >"$raw" 2>"$raw.log"; then
        rows "$model" "$w"
    else
        printf '| %-30s | %-10s | failed: %s |\n' "$model" "$w" "$(tail -n 1 "$raw.log")"
        failed=yes
    fi
    rm -f "$raw.log"
}
# Perplexities of a model in all ways, one behind the other; fails where logarithms are further apart than rounding to 8 bits
# makes them (some thousandths: sums in another order round other activations the other way).
agree() { # model file
    local w numbers=()
    for w in "${way[@]}"; do
        "$xenon" perplexity "$2" -f "$root/README.md" -c 8 --chunks 16 --device "$(named "$w")" --json >"$raw" 2>&1 || {
            failed=yes
            agreed+="$1: $w: $(tail -n 1 "$raw")"$'\n'
            return
        }
        numbers+=("$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["perplexity"])' "$raw")")
    done
    if python3 -c 'import math, sys; x = [math.log(float(a)) for a in sys.argv[1:]]; sys.exit(max(x) - min(x) > 1e-2)' "${numbers[@]}"; then
        agreed+="$1: ${numbers[*]}: ok"$'\n'
    else
        agreed+="$1: ${numbers[*]}: differ"$'\n'
        failed=yes
    fi
}
agreed='' cut=''
[ "$layers" = 0 ] || cut=-$layers-layers
printf '%s\n\n' "$about"
printf '| %-30s | %-10s | %-16s | %10s | %8s | %6s | %10s | %-14s |\n' model way test t/s deviation share bandwidth launched
printf '|%s|%s|%s|%s:|%s:|%s:|%s:|%s|\n' "$(printf -- '-%.0s' {1..32})" ------------ ------------------ ----------- --------- \
    ------- ----------- ----------------
for shape in ${shapes//,/ }; do
    for quant in ${quants//,/ }; do
        file=$work/$shape$cut-$quant.gguf
        [ -e "$file" ] || "$xenon" synth "$shape" --quant "$quant" --layers "$layers" -o "$file" >&2 || die 1 "cannot write $file"
        model=$shape$cut-$quant
        [ -z "$check" ] || agree "$model" "$file"
        for w in "${way[@]}"; do # of several sequences first: it is what ways differ in
            [ "$generate" = 0 ] || measure "$model" "$file" "$w" -p 0 -n "$generate" -s "$sequences"
        done
        [ "$prompts" = 0 ] || measure "$model" "$file" "${way[0]}" -p "$prompts" -n 0
        for depth in ${depths//,/ }; do
            [ "$depth" = 0 ] || [ "$generate" = 0 ] || measure "$model" "$file" "${way[0]}" -p 0 -n "$generate" -d "$depth"
        done
    done
done
[ -z "$agreed" ] || printf '\nperplexities (%s):\n%s' "$ways" "$agreed"
[ -z "$failed" ]
