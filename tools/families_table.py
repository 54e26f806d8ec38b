#!/usr/bin/env python3
"""Writes docs/families.md: every model of a folder, from each of its containers, verified at every instruction set.

usage: tools/families_table.py MODELS [options]     MODELS: a folder of folders, such as ../shared/models
    --xenon PATH    the program (build/xenon)
    --gguf FOLDER   GGUF files of models that have none of their own, FOLDER/MODEL.gguf
    --out FILE      the table (docs/families.md); - prints it
    --results FILE  what was measured (build/families.json): a second run measures what is missing or what a file has
                    changed of; the program counts as a file
    -j N            runs at once (the number of processors); each takes one thread
    --only NAME     of the models only this one (may be given again)

Exit status: 0 where every run is ok, 1 where one is not, 2 for a wrong command line.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import threading

DEVICES = ["reference", "c", "avx2", "avx512", "avx512vnni"]
GOLDENS = ["golden.json", "golden-long.json"]

# What a family's models may have that is refused with a message that names it, or passed over; by family, as `xenon
# info` says it.
EVERYWHERE = [
    "Weights of folders are bfloat16, float16 or float32 (`quantization_config` is refused, but for gpt_oss in mxfp4); "
    "quantized weights come as GGUF.",
    "Language models alone: of models that also see or hear, the language part is read. Models for embeddings "
    "(attention to both sides) are refused.",
    "Layers that predict several tokens ahead (nextn, MTP) are passed over.",
    "Rope types other than default, linear, dynamic, llama3, yarn, longrope and proportional are refused.",
    "GGUF files are those of llama.cpp's converter (May 2026). What it does not write can't be read from them: sliding "
    "windows of the llama architecture (mistral), window patterns other than Gemma 3's own, finite time step limits of "
    "Mamba-2, yarn's truncation and separate mscale, interleaved rope switched off (deepseek). Of a container that is "
    "missing in the table no file was there, or it could not hold the model.",
]
NOTES = {
    "deepseek_v2": "`moe_layer_freq` other than 1",
    "deepseek_v3": "`moe_layer_freq` other than 1; DeepSeek V3.2's sparse attention",
    "gemma3": "Gemma 3n is another family, not known",
    "gemma4": "per-layer settings other than head sizes and numbers of key heads",
    "gpt_oss": "`swiglu_limit` other than 7",
    "mamba2": "activations other than silu in the mixers",
    "falcon_h1": "activations other than silu in the mixers",
    "granitemoehybrid": "activations other than silu in the mixers",
    "nemotron_h": "activations other than silu in the mixers",
    "olmo2": "OLMo 3's sliding windows",
}


class Runs:
    """Runs the program, and keeps what it said in a file for the next time."""

    def __init__(self, program, path, models):
        self.program, self.path, self.models, self.lock = program, path, models, threading.Lock()
        try:
            self.kept = json.loads(path.read_text())
        except (OSError, ValueError):
            self.kept = {}

    def stamp(self, *files):
        return [[str(f), f.stat().st_size, f.stat().st_mtime_ns] for f in (self.program, *files)]

    def known(self, key, stamp):
        with self.lock:
            found = self.kept.get(key)
        return found["result"] if found and found["stamp"] == stamp else None

    def keep(self, key, stamp, result):
        with self.lock:
            self.kept[key] = {"stamp": stamp, "result": result}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new = self.path.with_suffix(".new")
            new.write_text(json.dumps(self.kept))
            new.replace(self.path)

    def run(self, arguments, device=None):
        environment = dict(os.environ)
        if device:
            environment["XENON_CPU"] = device
        done = subprocess.run([str(self.program), *arguments], capture_output=True, text=True, env=environment, check=False)
        try:
            return json.loads(done.stdout)
        except ValueError:
            lines = done.stderr.strip().splitlines()
            error = lines[-1] if lines else f"exit status {done.returncode}"
            return {"error": error.removeprefix("xenon: ").replace(f"{self.models}/", "")}


class Model:
    """One container of one model."""

    def __init__(self, folder, container, path):
        self.folder, self.container, self.path = folder, container, path
        self.goldens = [g for g in GOLDENS if (folder / g).exists()]
        self.info, self.results = {}, {}

    @property
    def name(self):
        return self.folder.name

    def files(self):
        if self.path.is_file():
            return [self.path]
        return sorted(p for p in self.path.iterdir() if p.suffix == ".safetensors" or p.name == "config.json")


def find_models(models, gguf, only):
    found = []
    for folder in sorted(models.iterdir()):
        if not (folder / "config.json").exists() or not any((folder / g).exists() for g in GOLDENS):
            continue
        if only and folder.name not in only:
            continue
        found.append(Model(folder, "folder", folder))
        files = [folder / "model.gguf"] + ([gguf / f"{folder.name}.gguf"] if gguf else [])
        for file in files:
            if file.exists():
                found.append(Model(folder, "GGUF", file))
                break
    return found


def measure(runs, model, device, golden):
    path = model.folder / golden
    key = f"{model.path} {golden} {device}"
    stamp = runs.stamp(path, *model.files())
    result = runs.known(key, stamp)
    if result is None:
        result = runs.run(["verify", str(model.path), str(path), "--json", "--threads", "1"], device)
        if "error" not in result or "instruction set" not in result["error"]:  # another machine may have it
            runs.keep(key, stamp, result)
    return result


def measure_all(runs, models, workers):
    for model in models:
        model.info = runs.run(["info", str(model.path), "--json"])
    read = [m for m in models if "error" not in m.info]
    jobs = [(m, d, g) for g in GOLDENS for m in read for d in DEVICES if g in m.goldens]
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(measure, runs, m, d, g): (m, d, g) for m, d, g in jobs}
        for n, future in enumerate(concurrent.futures.as_completed(futures), 1):
            model, device, golden = futures[future]
            result = model.results[device, golden] = future.result()
            state = "ok" if result.get("ok") else result.get("error", "differs")
            print(f"{n}/{len(jobs)} {model.name} ({model.container}) {golden} {device}: {state}", file=sys.stderr)


# --- the table ---

def mixers(info):
    kinds = []
    for group in info.get("mixers", []):
        kind = group["is"].get("kind", "?")
        if kind == "attention" and group["is"].get("window"):
            kind = "windowed attention"
        if group["is"].get("beside"):
            kind += " beside " + group["is"]["beside"].get("kind", "?")
        if kind not in kinds and kind != "none":
            kinds.append(kind)
    experts = any(g["is"].get("kind") == "experts" for g in info.get("feed_forward", []))
    return ", ".join(kinds) + ("; experts" if experts else "")


def distance(model, device):
    if "error" in model.info:
        return "not read"
    results = [model.results[device, g] for g in model.goldens]
    errors = [r["error"] for r in results if "error" in r]
    if errors:
        return "-" if all("instruction set" in e for e in errors) else "fails"
    worst = max(results, key=lambda r: r["rel_l2"])
    text = f"{worst['rel_l2']:.1e}"
    return text if all(r["ok"] for r in results) else f"**{text}**"


def measured(model):
    return [r for r in model.results.values() if "error" not in r]


def greedy(model):
    """Steps whose token is the golden's, of all; where instruction sets disagree, the fewest."""
    counts = []
    for golden in model.goldens:
        of = [r for (d, g), r in model.results.items() if g == golden and "error" not in r]
        if of:
            counts.append(f"{min(r['greedy_right'] for r in of)}/{of[0]['greedy_total']}")
    return ", ".join(counts) or "-"


def worst_of(model, what):
    values = [r[f"{what}_rel_l2"] for r in measured(model) if r.get(f"{what}_rel_l2") is not None]
    if not values:
        return "-"
    good = all(r.get("chunks" if what == "chunk" else what) for r in measured(model))
    return f"{max(values):.0e}" if good else f"**{max(values):.0e}**"


def failures(models):
    for model in models:
        if "error" in model.info:
            yield f"{model.name} ({model.container}): {model.info['error']}"
        for (device, golden), r in sorted(model.results.items()):
            if not r.get("ok") and "instruction set" not in r.get("error", ""):
                yield f"{model.name} ({model.container}), {golden}, {device}: {r.get('error', 'differs')}"


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def write_table(models):
    lines = [
        "# Families",
        "",
        "Written by `tools/families_table.py`; do not edit by hand. Each model is held to what its family's reference "
        "implementation computed (`xenon verify`), with a short prompt and with one of 3,000 tokens, from each container "
        "and at each instruction set.",
        "",
        "- **reference** to **avx512vnni**: relative L2 distance of the logits, the worse of the two prompts; bold where "
        "it is more than `xenon verify` allows, - where the machine lacks the instructions.",
        "- **greedy**: steps after each prompt that choose the reference's token, at the instruction set with the fewest.",
        "- **pieces**: how far the logits move when the prompt is cut into steps of other sizes or mixed with another "
        "sequence; **state**: when the sequence is saved, restored, cut back and forked. The worst of all runs.",
        "",
        row("family", "container", "made of", *DEVICES, "greedy", "pieces", "state", "not supported"),
        row(*["---"] * 12),
    ]
    for model in models:
        family = model.info.get("family", model.name)
        note = NOTES.get(family, "") if model.container == "folder" else ""
        lines.append(row(model.name, model.container, mixers(model.info), *(distance(model, d) for d in DEVICES),
                         greedy(model), worst_of(model, "chunk"), worst_of(model, "state"), note))
    lines += ["", "## In every family", ""] + [f"- {note}" for note in EVERYWHERE]
    failing = list(failures(models))
    if failing:
        lines += ["", "## What does not hold", ""] + [f"- {failure}" for failure in failing]
    return "\n".join(lines) + "\n", failing


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("models", type=pathlib.Path)
    parser.add_argument("--xenon", type=pathlib.Path, default=pathlib.Path("build/xenon"))
    parser.add_argument("--gguf", type=pathlib.Path)
    parser.add_argument("--out", default="docs/families.md")
    parser.add_argument("--results", type=pathlib.Path, default=pathlib.Path("build/families.json"))
    parser.add_argument("-j", type=int, default=os.cpu_count())
    parser.add_argument("--only", action="append")
    given = parser.parse_args()
    if not given.models.is_dir():
        parser.error(f"{given.models} is no folder")
    if not given.xenon.is_file():
        parser.error(f"{given.xenon} is not there: build it first")
    models = find_models(given.models.resolve(), given.gguf, given.only)
    if not models:
        parser.error(f"{given.models} has no folder with a config.json and a golden.json")
    measure_all(Runs(given.xenon.resolve(), given.results, given.models.resolve()), models, max(1, given.j))
    text, failing = write_table(models)
    if given.out == "-":
        print(text, end="")
    else:
        pathlib.Path(given.out).write_text(text)
    for failure in failing:
        print(failure, file=sys.stderr)
    return 1 if failing else 0


if __name__ == "__main__":
    sys.exit(main())
