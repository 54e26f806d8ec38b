#!/usr/bin/env python3
"""Builds a small random model of any family that Hugging Face transformers knows, and what transformers computes with it.

The folder that this writes has the form of ../shared/models/FAMILY: config.json and model.safetensors as transformers
stores them, and golden.json, which `xenon verify FOLDER FOLDER/golden.json` holds a port to. Use it to look at an option
of a family that no other reference model sets.

    tools/make_golden.py --list
    tools/make_golden.py --preset deepseek_v3-noqlora OUT
    tools/make_golden.py --config config.json --long OUT
    tools/make_golden.py --all OUT                        every preset, each into a folder of its own

Weights are drawn from --seed so that every part matters: matrices keep the size of what passes through them, routers
decide sharply, and each parameter whose neutral value is 0 or 1 (norms, biases, gates, sinks, correction biases, layer
scalars) is away from it. All are rounded to bfloat16 but A_log and D of the state-space layers, which stay float32. The
final norm or the head is then scaled so that the logits have the standard deviation --std. What is written is read back
and computed in float32, with no cache, eager attention and plain loops over experts. Prompts are random token ids, so no
tokenizer is needed, and the golden has no `text`.

Needs torch and transformers (5.17.0 gave the presets' names), for instance
    python3 -m venv venv && venv/bin/pip install torch transformers==5.17.0
"""

import argparse
import json
import math
import os
import re
import sys

try:
    import torch
    import transformers
    from safetensors.torch import load_file, save_file
except ImportError:  # --help and --list do without
    torch = None

PRESETS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden_presets.json")
KEPT_FLOAT32 = re.compile(r"(^|\.)(A_log|D)$")
FINAL_NORM = re.compile(r"^(model|backbone)\.(norm|norm_f|final_layernorm|embedding_norm)\.weight$")
ROUTER = re.compile(r"(^|\.)(router|router\.layer|router\.proj|mlp\.gate|mixer\.gate|feed_forward\.gate|shared_expert_gate)\.weight$")
# Families whose fused expert tensors are (experts, in, out); all others have (experts, out, in).
EXPERTS_IN_OUT = {"gpt_oss"}
# What config.json of gpt-oss says of its MXFP4 experts.
MXFP4_CONFIG = {
    "quantization_config": {
        "modules_to_not_convert": [
            "model.layers.*.self_attn",
            "model.layers.*.mlp.router",
            "model.embed_tokens",
            "lm_head",
        ],
        "quant_method": "mxfp4",
    }
}
# A prompt is drawn again, at most so often, until its greedy tokens are this clear and so many of them different.
MARGIN, VARIETY, TRIES = 0.02, 8, 8


def presets():
    """The presets by name, each merged over its family's base: {about, family, config, std}, and where a row has them
    long, prompt, mxfp4, scale (factors of parameters, by name), written and without (keys that config.json gets or
    lacks, to look as other programs store it)."""
    with open(PRESETS) as file:
        table = json.load(file)
    rows = {}
    for name, row in table["presets"].items():
        base = table["families"][row["family"]]
        config = {**table["common"], **base.get("config", {}), **row.get("config", {})}
        rows[name] = {"std": base.get("std", 3.0), **row, "config": config}
    return rows


def normal(generator, like, std, mean=0.0):
    return torch.randn(like.shape, generator=generator, dtype=torch.float32) * std + mean


def uniform(generator, like, low, high):
    return torch.rand(like.shape, generator=generator, dtype=torch.float32) * (high - low) + low


def draw(name, value, model, generator):
    """A new float32 value for a parameter or persistent buffer, by its name, shape and neutral value."""
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "A_log":
        return torch.log(uniform(generator, value, 1.0, 16.0))
    if leaf == "dt_bias":
        return normal(generator, value, 0.5, -2.0)
    if leaf == "D":
        return normal(generator, value, 0.2, 1.0)
    if leaf == "sinks":
        return normal(generator, value, 1.5)
    if leaf == "layer_scalar":
        return uniform(generator, value, 0.6, 1.2)
    if leaf in ("e_score_correction_bias", "expert_bias"):
        return normal(generator, value, 0.1)
    if leaf.endswith("bias"):
        return normal(generator, value, 0.1 if value.dim() == 1 else 0.35)
    if "norm" in name or value.dim() == 1:
        return normal(generator, value, 0.2, float(value.detach().mean().round()))
    if "embed" in name:
        scale = getattr(model.get_submodule(name.rsplit(".", 1)[0]), "scalar_embed_scale", None)
        # Where the head is the embedding, one that is large in the residual makes every token predict itself.
        std = 0.5 if not model.config.tie_word_embeddings else 0.2 if scale else 0.04
        return normal(generator, value, std / (scale or getattr(model.config, "embedding_multiplier", 1.0)))
    if name == "lm_head.weight":
        return normal(generator, value, 3.0 / value.shape[-1] ** 0.5)
    if value.dim() == 3 and value.shape[1] == 1 and "conv" in name:
        return normal(generator, value, 0.8 / value.shape[-1] ** 0.5)
    if ROUTER.search(name):
        return normal(generator, value, 4.0 / value.shape[-1] ** 0.5)
    if value.dim() == 3 and model.config.model_type in EXPERTS_IN_OUT:
        return normal(generator, value, max(value.shape[-2], 1) ** -0.5)
    return normal(generator, value, max(value.shape[-1], 1) ** -0.5)  # 0 where there are no shared experts


def stored(name, value):
    """The nearest value that the folder can hold, as float32."""
    return value if KEPT_FLOAT32.search(name) else value.to(torch.bfloat16).float()


def entries(model):
    """Every stored parameter and buffer once: a tied head is left out."""
    tied = model.config.tie_word_embeddings
    return [(n, v) for n, v in model.state_dict(keep_vars=True).items() if not (tied and n == "lm_head.weight")]


def logits_of(model, ids):
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float()


def random_ids(generator, n, vocab):
    return torch.randint(0, vocab, (n,), generator=generator).tolist()


def set_scale(model, generator, std):
    """Scales the head, or the final norm where the head is the embedding, for logits of that standard deviation."""
    names = dict(entries(model))
    target = "lm_head.weight" if "lm_head.weight" in names else next(n for n in names if FINAL_NORM.match(n))
    value = names[target]
    centre = 0.0 if target == "lm_head.weight" or value.mean() > 0.5 else 1.0  # a norm may store weight - 1
    ids = random_ids(generator, 64, model.config.vocab_size)
    for _ in range(3):  # a soft cap makes the logits' size not quite proportional
        factor = std / logits_of(model, ids).std()
        value.data = stored(target, (value.data + centre) * factor - centre)


def build(config, seed, std, scale):
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32)
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    for name, value in entries(model):
        factors = [factor for pattern, factor in scale.items() if re.search(pattern, name)]
        value.data = stored(name, draw(name, value, model, generator) * math.prod(factors))
    set_scale(model, generator, std)
    return model


def mxfp4(weight):
    """Blocks and scales (OCP microscaling, E2M1 values and E8M0 scales) of (experts, in, out), as gpt-oss stores them:
    blocks (experts, out, in / 32, 16), the even of two values in the low nibble; scales (experts, out, in / 32)."""
    rows = weight.transpose(1, 2).contiguous()
    groups = rows.reshape(*rows.shape[:-1], rows.shape[-1] // 32, 32)
    exponent = torch.floor(torch.log2(groups.abs().amax(-1).clamp(min=2.0**-100))) - 2
    magnitudes = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
    scaled = groups / torch.exp2(exponent)[..., None]
    code = (scaled.abs()[..., None] - magnitudes).abs().argmin(-1) + 8 * (scaled < 0)
    blocks = (code[..., 0::2] + 16 * code[..., 1::2]).to(torch.uint8)
    return blocks, (exponent + 127).to(torch.uint8)


def change(path, written, without):
    """Sets and drops keys of a config.json, to store it as an older transformers or another program would."""
    with open(path) as file:
        config = json.load(file)
    config = {key: value for key, value in (config | written).items() if key not in without}
    with open(path, "w") as file:
        json.dump(config, file, indent=2)
        file.write("\n")


def save(model, out, quantize, written, without):
    """Writes config.json and model.safetensors; with quantize, expert matrices as MXFP4."""
    for name, value in entries(model):
        if not KEPT_FLOAT32.search(name):
            value.data = value.data.to(torch.bfloat16)
    model.config.dtype = torch.bfloat16
    model.save_pretrained(out)
    generation = os.path.join(out, "generation_config.json")
    if os.path.exists(generation):
        os.remove(generation)
    change(os.path.join(out, "config.json"), written | (MXFP4_CONFIG if quantize else {}), without)
    if not quantize:
        return
    path = os.path.join(out, "model.safetensors")
    tensors = {}
    for name, value in load_file(path).items():
        if re.search(r"experts\.(gate_up|down)_proj$", name):
            tensors[name + "_blocks"], tensors[name + "_scales"] = mxfp4(value.float())
        else:
            tensors[name] = value
    save_file(tensors, path, metadata={"format": "pt"})


def inner(name):
    """A tensor's name below the base model, which some families call otherwise in files than in the program."""
    return name.split(".", 1)[1]


def load(out, quantized):
    options = {"attn_implementation": "eager", "experts_implementation": "eager"}
    if quantized:
        options["quantization_config"] = transformers.Mxfp4Config(dequantize=True)
    dtype = torch.bfloat16 if quantized else torch.float32
    model, info = transformers.AutoModelForCausalLM.from_pretrained(out, dtype=dtype, output_loading_info=True, **options)
    if info["missing_keys"] or info["unexpected_keys"] or info["mismatched_keys"]:
        raise SystemExit(f"{out}: transformers does not read back what it wrote: {info}")
    model = model.float().eval()
    kept = {inner(n): v for n, v in load_file(os.path.join(out, "model.safetensors")).items() if KEPT_FLOAT32.search(n)}
    for name, value in model.state_dict().items():
        if inner(name) in kept and not torch.equal(value, kept[inner(name)]):
            raise SystemExit(f"{out}: {name} lost precision when it was read back")
    return model


def run(model, prompt, greedy):
    """Logits of the prompt, and the greedy tokens after it with the gap between the best two logits at each."""
    logits, ids, tokens, margins = logits_of(model, prompt), list(prompt), [], []
    last = logits[-1]
    for step in range(greedy):
        best = torch.topk(last, 2)
        tokens.append(int(best.indices[0]))
        margins.append(float(best.values[0] - best.values[1]))
        ids.append(tokens[-1])
        if step + 1 < greedy:
            last = logits_of(model, ids)[-1]
    return logits, tokens, margins


def rounded(values, digits=5):
    return [round(float(v), digits) for v in values]


def golden(out, arch, quantized, seed, n_prompt, long):
    model = load(out, quantized)  # anew for each file: a dynamic rope remembers the longest text it saw
    generator = torch.Generator().manual_seed(seed + (2 if long else 1))
    for _ in range(1 if long else TRIES):
        prompt = random_ids(generator, n_prompt, model.config.vocab_size)
        logits, tokens, margins = run(model, prompt, 8 if long else 24)
        if min(margins) >= MARGIN and len(set(tokens)) >= VARIETY:
            break
        model = load(out, quantized)
    nll = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(prompt[1:]), reduction="none")
    if not torch.isfinite(logits).all():
        raise SystemExit(f"{out}: logits are not finite")
    source = f"transformers {transformers.__version__}, float32 compute on bfloat16-rounded random weights; random prompt ids"
    result = {"arch": arch, "prompt_ids": prompt}
    if long:
        result |= {"mean_nll": float(nll.mean()), "nll": rounded(nll[-64:]), "nll_of": "last 64 tokens"}
    else:
        result |= {"nll": rounded(nll, 6), "mean_nll": float(nll.mean())}
    result |= {"logits_first": rounded(logits[0]), "logits_last": rounded(logits[-1]),
               "greedy_ids": tokens, "greedy_margin": rounded(margins), "source": source}
    file_name = "golden-long.json" if long else "golden.json"
    with open(os.path.join(out, file_name), "w") as file:
        json.dump(result, file)
    print(f"{out}/{file_name}: logits std {logits[0].std():.3f} {logits[-1].std():.3f} mean_nll {nll.mean():.4f} "
          f"smallest margin {min(margins):.4f} different tokens {len(set(tokens))}", flush=True)


def make(out, row, args):
    if isinstance(row["config"], str):
        config = transformers.AutoConfig.from_pretrained(row["config"])
    else:
        fields = dict(row["config"])
        config = transformers.AutoConfig.for_model(fields.pop("model_type"), **fields)
    os.makedirs(out, exist_ok=True)
    config._experts_implementation = "eager"
    quantized = bool(row.get("mxfp4"))
    model = build(config, args.seed, row["std"], row.get("scale", {}))
    save(model, out, quantized, row.get("written", {}), row.get("without", []))
    golden(out, row["family"], quantized, args.seed, row.get("prompt", 48), False)
    if args.long or row.get("long"):
        golden(out, row["family"], quantized, args.seed, args.long_tokens, True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", help="folder to write; with --all, the folder of all folders")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", help="a config.json of transformers, small enough to compute with")
    what.add_argument("--preset", help="a row of tools/golden_presets.json")
    what.add_argument("--all", action="store_true", help="every preset that OUT does not have yet")
    what.add_argument("--list", action="store_true", help="print the presets and end")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--std", type=float, help="standard deviation of the logits (3; 1 for the granite families)")
    parser.add_argument("--prompt", type=int, help="tokens of golden.json's prompt (48)")
    parser.add_argument("--long", action="store_true", help="write golden-long.json too")
    parser.add_argument("--long-tokens", type=int, default=3000)
    parser.add_argument("--mxfp4", action="store_true", help="store gpt-oss's experts as MXFP4, as released")
    args = parser.parse_args()
    rows = presets()
    if args.list:
        print("\n".join(f"{n:32} {r['about']}{' (long too)' if r.get('long') else ''}" for n, r in rows.items()))
        return 0
    if not args.out:
        parser.error("the folder to write is missing")
    if torch is None:
        parser.error("this needs torch and transformers: see --help")
    if args.config:
        with open(args.config) as file:
            family = json.load(file)["model_type"]
        jobs = {args.out: {"family": family, "config": args.config, "std": 1.0 if "granite" in family else 3.0}}
    elif args.preset:
        if args.preset not in rows:
            parser.error(f"no preset '{args.preset}'; --list prints them")
        jobs = {args.out: rows[args.preset]}
    else:
        jobs = {os.path.join(args.out, name): row for name, row in rows.items()}
        jobs = {out: row for out, row in jobs.items() if not os.path.exists(os.path.join(out, "golden.json"))}
    given = {"std": args.std, "prompt": args.prompt, "mxfp4": args.mxfp4 or None}
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    failed = 0
    for out, row in jobs.items():
        try:
            make(out, {**row, **{k: v for k, v in given.items() if v is not None}}, args)
        except Exception as error:  # one family that this transformers cannot compute does not keep the others away
            failed += 1
            print(f"{out}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
