"""Trains the tokenizer and writes the token streams that train.py reads.

    python3 tokenizer.py WORKDIR

Byte-level BPE behind the Qwen2 splitting rule, all 256 bytes in the vocabulary.
Reads prose.jsonl and dialogues-*.jsonl; writes tokenizer.json and tokens/:
prose-R.bin (train, repeated R times), chat.bin, and the validation streams.
Tokens are 16 bits; the high bit marks those a user or system message holds,
which count less in the loss.
"""

import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from sources import SOURCES

PUBLIC_DOMAIN = {s.package for s in SOURCES if s.licence == "public domain"}
FIRST = {s.package for s in SOURCES if s.held_out}     # what the vocabulary is made from
VOCABULARY = 6144
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
QWEN2_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
               r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
PROMPT_BIT = 0x8000
TRAINING_BYTES = {"prose": 30_000_000, "chat": 14_000_000}
TURN = re.compile(r"(<\|im_start\|>(?:user|system)\n.*?<\|im_end\|>\n<\|im_start\|>assistant\n"
                  r"|<\|im_start\|>system\n.*?<\|im_end\|>\n)", re.DOTALL)


def read(path: Path) -> Iterator[dict]:
    """The records of a JSON-lines file."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def train(prose: list[dict], chat: list[str]) -> Tokenizer:
    """A new tokenizer, from a sample of both kinds of text."""
    rng = random.Random(0)
    sample: list[str] = []
    texts = [d["text"] for d in prose if d["split"] == "train" and d["source"] in FIRST
             for _ in range(min(2, d["repeat"]))]
    for kind, source in (("prose", texts), ("chat", chat)):
        rng.shuffle(source)
        size = 0
        for text in source:
            sample.append(re.sub(r"<\|im_\w+\|>", "\n", text))
            size += len(text)
            if size > TRAINING_BYTES[kind]:
                break
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2_SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(sample, trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIALS, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


def encode_prose(tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    """The documents, each ended by <|endoftext|>."""
    pieces = []
    for encoding in tokenizer.encode_batch(texts):
        pieces.append(np.array([*encoding.ids, 0], dtype=np.uint16))
    return np.concatenate(pieces)


def encode_chat(tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    """Dialogues and stories, with the prompt bit on what the model need not say."""
    out = []
    for start in range(0, len(texts), 20_000):
        parts, marks = [], []
        for text in texts[start:start + 20_000]:
            pieces = TURN.split(text) if text.startswith("<|im_start|>") else ["", "", text]
            for index, piece in enumerate(pieces):
                if piece:
                    parts.append(piece)
                    marks.append(PROMPT_BIT if index % 2 else 0)
            parts.append(SPECIALS[0])
            marks.append(0)
        for encoding, mark in zip(tokenizer.encode_batch(parts), marks):
            out.append(np.array(encoding.ids, dtype=np.uint16) | np.uint16(mark))
    return np.concatenate(out)


def main() -> None:
    work = Path(sys.argv[1])
    prose = list(read(work / "prose.jsonl"))
    chat = {"train": [], "valid": []}
    for path in sorted(work.glob("dialogues-*.jsonl")):
        for record in read(path):
            chat[record["split"]].append(record["text"])
    if (work / "tokenizer.json").exists():
        tokenizer = Tokenizer.from_file(str(work / "tokenizer.json"))
    else:
        tokenizer = train(prose, chat["train"][:60_000])
        tokenizer.save(str(work / "tokenizer.json"))
    tokens = work / "tokens"
    tokens.mkdir(exist_ok=True)
    streams = {"chat": encode_chat(tokenizer, chat["train"]),
               "valid-chat": encode_chat(tokenizer, chat["valid"][:3000])}
    for repeat in sorted({d["repeat"] for d in prose}):
        texts = [d["text"] for d in prose if d["split"] == "train" and d["repeat"] == repeat]
        random.Random(0).shuffle(texts)
        streams[f"prose-{repeat}"] = encode_prose(tokenizer, texts)
    held_out = [d for d in prose if d["split"] == "valid"]
    streams["valid-prose"] = encode_prose(tokenizer, [d["text"] for d in held_out])
    free = [d["text"] for d in held_out if d["source"] in PUBLIC_DOMAIN]
    ids = tokenizer.encode("\n\n".join(free) + "\n").ids     # as validation.py writes it
    streams["valid-public"] = np.array(ids, dtype=np.uint16)
    for name, stream in streams.items():
        stream.tofile(tokens / f"{name}.bin")
        print(f"{name}: {len(stream)} tokens")


if __name__ == "__main__":
    main()
