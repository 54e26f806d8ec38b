"""Writes the trained weights as GGUF files that any qwen3 engine loads.

    python3 export.py CHECKPOINT TOKENIZER.json OUTDIR

Makes xenon-default-q8_0.gguf (matrices and embedding in Q8_0, norms in F32)
and xenon-default-bf16.gguf of the same weights.
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np

import checkpoint
from model import Shape

CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
CONTROL, NORMAL = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL


def add_metadata(writer: gguf.GGUFWriter, shape: Shape, file_type: int) -> None:
    """Names, sizes and the licence."""
    writer.add_name("Xenon default model")
    writer.add_license("MIT")
    writer.add_description("A very small chat model, trained from scratch")
    writer.add_file_type(file_type)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_size)
    writer.add_value_length(shape.head_size)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_rope_freq_base(shape.rope_base)


def add_tokenizer(writer: gguf.GGUFWriter, path: Path) -> None:
    """The byte-level BPE vocabulary and its merges."""
    content = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = sorted(content["model"]["vocab"].items(), key=lambda item: item[1])
    tokens = [token for token, _ in vocabulary]
    special = {t["content"] for t in content["added_tokens"]}
    merges = [m if isinstance(m, str) else " ".join(m) for m in content["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([CONTROL if t in special else NORMAL for t in tokens])
    writer.add_token_merges(merges)
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def gguf_name(name: str) -> str:
    """The model's parameter name as GGUF spells it."""
    return name.replace("layers.", "blk.")


def write(path: Path, weights: dict[str, np.ndarray], tokenizer: Path,
          kind: gguf.GGMLQuantizationType, file_type: int) -> None:
    """One GGUF file, its matrices in the given format."""
    writer = gguf.GGUFWriter(path, "qwen3")
    add_metadata(writer, Shape(), file_type)
    add_tokenizer(writer, tokenizer)
    for name, values in weights.items():
        if values.ndim == 1:
            writer.add_tensor(gguf_name(name), values)
        else:
            writer.add_tensor(gguf_name(name), gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{path}: {path.stat().st_size} bytes")


def main() -> None:
    source, tokenizer, out = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    weights = {name: t.numpy() for name, t in checkpoint.load(source).items()}
    print(f"{sum(w.size for w in weights.values())} parameters")
    formats = gguf.GGMLQuantizationType
    types = gguf.LlamaFileType
    write(out / "xenon-default-q8_0.gguf", weights, tokenizer, formats.Q8_0, types.MOSTLY_Q8_0)
    write(out / "xenon-default-bf16.gguf", weights, tokenizer, formats.BF16, types.MOSTLY_BF16)


if __name__ == "__main__":
    main()
