"""Checks a GGUF file of the model: losses, samples, agreement with a checkpoint.

    python3 check.py MODEL.gguf loss FILE.txt          nats per token, bits per byte
    python3 check.py MODEL.gguf chat "Hello" "..."     one dialogue, a turn an argument
    python3 check.py MODEL.gguf text "Once upon a"     continues prose
    python3 check.py MODEL.gguf against CHECKPOINT     largest difference of logits

Its forward pass is written in NumPy from the file's own metadata, apart from
the training code, so that the two check each other.
"""

import argparse
import math
from pathlib import Path

import gguf
import numpy as np
import regex
from gguf.constants import GGUFValueType

SPLIT = regex.compile(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
                      r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_letters() -> dict[int, str]:
    """The printable letter that stands for each byte in a GPT-2 vocabulary."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in kept]
    return {b: chr(b) for b in kept} | {b: chr(256 + i) for i, b in enumerate(others)}


class Vocabulary:
    """Text to tokens and back."""

    def __init__(self, tokens: list[str], merges: list[str]) -> None:
        self.tokens = tokens
        self.ids = {t: i for i, t in enumerate(tokens)}
        self.ranks = {tuple(m.split(" ")): i for i, m in enumerate(merges)}
        self.letters = byte_letters()
        self.bytes = {letter: b for b, letter in self.letters.items()}
        self.cache: dict[str, list[int]] = {}

    def _word(self, word: str) -> list[int]:
        if word not in self.cache:
            parts = [self.letters[b] for b in word.encode()]
            while len(parts) > 1:
                pairs = [self.ranks.get(p, math.inf) for p in zip(parts, parts[1:])]
                best = min(range(len(pairs)), key=pairs.__getitem__)
                if pairs[best] == math.inf:
                    break
                parts[best:best + 2] = [parts[best] + parts[best + 1]]
            self.cache[word] = [self.ids[p] for p in parts]
        return self.cache[word]

    def encode(self, text: str) -> list[int]:
        out = []
        for piece in regex.split(r"(<\|im_start\|>|<\|im_end\|>|<\|endoftext\|>)", text):
            if piece in self.ids and piece.startswith("<|"):
                out.append(self.ids[piece])
            else:
                for word in SPLIT.findall(piece):
                    out += self._word(word)
        return out

    def decode(self, ids: list[int]) -> str:
        raw = b"".join(bytes(self.bytes[c] for c in self.tokens[i]) for i in ids)
        return raw.decode("utf-8", errors="replace")


class Model:
    """The forward pass over a GGUF file's tensors, with a key-value cache."""

    def __init__(self, path: str) -> None:
        reader = gguf.GGUFReader(path)
        fields = reader.fields

        def field(name: str):
            found = fields[name]
            if found.types[0] == GGUFValueType.ARRAY:
                return [bytes(found.parts[i]).decode() for i in found.data]
            return found.parts[found.data[0]][0]

        self.vocabulary = Vocabulary(field("tokenizer.ggml.tokens"), field("tokenizer.ggml.merges"))
        self.layers = int(field("qwen3.block_count"))
        self.heads = int(field("qwen3.attention.head_count"))
        self.kv_heads = int(field("qwen3.attention.head_count_kv"))
        self.size = int(field("qwen3.attention.key_length"))
        self.epsilon = float(field("qwen3.attention.layer_norm_rms_epsilon"))
        self.base = float(field("qwen3.rope.freq_base"))
        self.weights = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32)
                        for t in reader.tensors}
        self.reset()

    def reset(self) -> None:
        """Forgets the text so far."""
        self.cache: list[tuple[np.ndarray, np.ndarray] | None] = [None] * self.layers
        self.position = 0

    def _norm(self, x: np.ndarray, name: str) -> np.ndarray:
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.epsilon) * self.weights[name + ".weight"]

    def _rotated(self, x: np.ndarray) -> np.ndarray:
        half = self.size // 2
        angles = np.outer(self.position + np.arange(x.shape[0]),
                          self.base ** (-np.arange(half) / half))[:, None, :]
        cos, sin = np.cos(angles), np.sin(angles)
        a, b = x[..., :half], x[..., half:]
        return np.concatenate((a * cos - b * sin, b * cos + a * sin), -1).astype(np.float32)

    def _attention(self, h: np.ndarray, layer: int, at: str) -> np.ndarray:
        count = len(h)
        q, k, v = ((h @ self.weights[f"{at}attn_{n}.weight"].T).reshape(count, -1, self.size)
                   for n in "qkv")
        q = self._rotated(self._norm(q, at + "attn_q_norm"))
        k = self._rotated(self._norm(k, at + "attn_k_norm"))
        if self.cache[layer]:
            k, v = (np.concatenate(pair) for pair in zip(self.cache[layer], (k, v)))
        self.cache[layer] = (k, v)
        shared = self.heads // self.kv_heads
        keys, values = (np.repeat(x, shared, axis=1).transpose(1, 0, 2) for x in (k, v))
        scores = q.transpose(1, 0, 2) @ keys.transpose(0, 2, 1) / np.float32(math.sqrt(self.size))
        late = np.arange(len(k))[None, :] > self.position + np.arange(count)[:, None]
        scores = np.where(late, -np.inf, scores)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        return (scores @ values).transpose(1, 0, 2).reshape(count, -1)

    def forward(self, ids: list[int]) -> np.ndarray:
        """Logits after each of the given tokens, which continue the text so far."""
        w = self.weights
        x = w["token_embd.weight"][ids]
        for layer in range(self.layers):
            at = f"blk.{layer}."
            x = x + (self._attention(self._norm(x, at + "attn_norm"), layer, at)
                     @ w[at + "attn_output.weight"].T)
            h = self._norm(x, at + "ffn_norm")
            gate = h @ w[at + "ffn_gate.weight"].T
            x = x + ((gate / (1 + np.exp(-gate)) * (h @ w[at + "ffn_up.weight"].T))
                     @ w[at + "ffn_down.weight"].T)
        self.position += len(ids)
        return self._norm(x, "output_norm") @ w["token_embd.weight"].T

    def generate(self, ids: list[int], limit: int, temperature: float,
                 rng: np.random.Generator) -> str:
        """Continues the text until an end token or the limit."""
        ends = {self.vocabulary.ids["<|im_end|>"], self.vocabulary.ids["<|endoftext|>"]}
        out: list[int] = []
        while len(out) < limit:
            logits = self.forward(ids)[-1].astype(np.float64)
            if temperature > 0:
                p = np.exp((logits - logits.max()) / temperature)
                token = int(rng.choice(len(p), p=p / p.sum()))
            else:
                token = int(logits.argmax())
            if token in ends:
                break
            out.append(token)
            ids = [token]
        return self.vocabulary.decode(out)


def loss(model: Model, text: str, window: int = 1024) -> None:
    """Mean loss in windows that start afresh, as perplexity tools do."""
    ids = model.vocabulary.encode(text)
    total, count = 0.0, 0
    for start in range(0, len(ids) - 1, window):
        part = ids[start:start + window + 1]
        model.reset()
        logits = model.forward(part[:-1]).astype(np.float64)
        top = logits.max(-1, keepdims=True)
        scale = top[:, 0] + np.log(np.exp(logits - top).sum(-1))
        total += float((scale - logits[np.arange(len(part) - 1), part[1:]]).sum())
        count += len(part) - 1
    nats = total / count
    print(f"{count} tokens, {nats:.4f} nats per token, perplexity {math.exp(nats):.3f}, "
          f"{total / math.log(2) / len(text.encode()):.4f} bits per byte")


def chat(model: Model, turns: list[str], temperature: float, seed: int) -> None:
    """One dialogue, printed turn by turn."""
    rng = np.random.default_rng(seed)
    model.reset()
    for turn in turns:
        prompt = f"<|im_start|>user\n{turn}<|im_end|>\n<|im_start|>assistant\n"
        reply = model.generate(model.vocabulary.encode(prompt), 400, temperature, rng)
        model.forward(model.vocabulary.encode("<|im_end|>\n"))
        print(f"> {turn}\n{reply}\n")


def against(model: Model, folder: Path) -> None:
    """Compares the logits with the training code's on the checkpoint."""
    import torch

    import checkpoint
    from model import Model as Trained, Shape
    trained = Trained(Shape())
    trained.load_state_dict(checkpoint.load(folder))
    ids = model.vocabulary.encode("<|im_start|>user\nHello! Who are you?<|im_end|>\n")
    with torch.no_grad():
        expected = trained(torch.tensor([ids]))[0].numpy()
    found = model.forward(ids)
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    print(f"relative difference of the logits: {error:.2e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("what", choices=["loss", "chat", "text", "against"])
    parser.add_argument("arguments", nargs="+")
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    model = Model(args.model)
    if args.what == "loss":
        loss(model, Path(args.arguments[0]).read_text(encoding="utf-8"))
    elif args.what == "chat":
        chat(model, args.arguments, args.temperature, args.seed)
    elif args.what == "against":
        against(model, Path(args.arguments[0]))
    else:
        text = args.arguments[0]
        rng = np.random.default_rng(args.seed)
        print(text + model.generate(model.vocabulary.encode(text), 120, args.temperature, rng))


if __name__ == "__main__":
    main()
