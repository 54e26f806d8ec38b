"""Checkpoints: the weights as raw float32, in a few files of bounded size."""

import json
from pathlib import Path

import numpy as np
import torch

FILE_BYTES = 15_000_000


def save(state: dict[str, torch.Tensor], folder: Path) -> None:
    """Writes weights-0.bin, weights-1.bin, ... and shapes.json."""
    folder.mkdir(parents=True, exist_ok=True)
    shapes = {name: list(t.shape) for name, t in state.items()}
    (folder / "shapes.json").write_text(json.dumps(shapes))
    raw = b"".join(t.detach().float().cpu().numpy().tobytes() for t in state.values())
    for index, start in enumerate(range(0, len(raw), FILE_BYTES)):
        (folder / f"weights-{index}.bin").write_bytes(raw[start:start + FILE_BYTES])


def load(folder: Path) -> dict[str, torch.Tensor]:
    """The weights that save wrote."""
    shapes = json.loads((folder / "shapes.json").read_text())
    raw = b"".join((folder / f"weights-{i}.bin").read_bytes()
                   for i in range(len(list(folder.glob("weights-*.bin")))))
    values = np.frombuffer(raw, dtype=np.float32)
    state, at = {}, 0
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        state[name] = torch.from_numpy(values[at:at + size].reshape(shape).copy())
        at += size
    return state
