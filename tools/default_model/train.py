"""Trains the model on one GPU for a given number of minutes.

    python3 train.py TOKENS OUT --minutes 8 [--resume FOLDER]

The learning rate warms up, stays, and decays to zero over the last part of the
time, while the rows become longer and the share of dialogues shifts a little. Matrices
are trained with Muon, the embedding and the norms with AdamW. Writes the
weights under OUT (checkpoint.py) and prints the validation losses.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import checkpoint
from model import Model, Shape

PROMPT_WEIGHT = 0.15
WARM_UP, DECAY = 0.02, 0.40           # shares of the time
CHAT_SHARE, CHAT_SHARE_AT_END = 0.76, 0.74
PROSE_DROPOUT = 0.1                   # rows of dialogues have none
LONG_FROM = 0.80                      # rows of the full context from here on
REPORTED_TOKENS = 100_000             # of each held-out stream, during training


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal, matrix by matrix.

    Matrices of one shape are stacked and orthogonalised together by a
    Newton-Schulz iteration in bfloat16.
    """

    def __init__(self, params, lr: float, momentum: float = 0.95, decay: float = 0.1) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = {}
            for p in group["params"]:
                by_shape.setdefault(p.shape, []).append(p)
            for shape, params in by_shape.items():
                state = self.state[params[0]]
                grads = torch.stack([p.grad for p in params])
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(grads)
                state["momentum"].lerp_(grads, 1 - group["momentum"])
                update = orthogonal(grads.lerp_(state["momentum"], group["momentum"]))
                scale = group["lr"] * math.sqrt(max(1.0, shape[0] / shape[1]))
                torch._foreach_mul_(params, 1 - group["lr"] * group["decay"])
                torch._foreach_add_(params, list(update.to(params[0].dtype).unbind()), alpha=-scale)


@torch.compile
def orthogonal(stack: Tensor) -> Tensor:
    """The nearest orthogonal matrices, roughly, by five Newton-Schulz steps."""
    x = stack.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return x.mT if tall else x


class Stream:
    """A row of tokens on the GPU from which training rows are cut."""

    def __init__(self, path: Path, device: str) -> None:
        data = np.fromfile(path, dtype=np.uint16)
        self.tokens = torch.from_numpy(data.view(np.int16)).to(device)
        self.starts = (self.tokens == 0).nonzero().flatten() + 1
        self.whole = path.stem.startswith("chat")

    def rows(self, count: int, length: int) -> Tensor:
        """Random rows; those of dialogues begin where a dialogue begins."""
        limit = len(self.tokens) - length - 1
        if self.whole:
            picked = torch.randint(len(self.starts), (count,), device=self.tokens.device)
            at = self.starts[picked].clamp(max=limit)
        else:
            at = torch.randint(limit, (count,), device=self.tokens.device)
        span = torch.arange(length + 1, device=self.tokens.device)
        return self.tokens[at[:, None] + span]


class Mixture:
    """Dialogues and the prose streams, the latter by size times repetition."""

    def __init__(self, folder: Path, device: str) -> None:
        self.chat = Stream(folder / "chat.bin", device)
        paths = sorted(folder.glob("prose-*.bin"))
        self.prose = [Stream(p, device) for p in paths]
        weights = np.array([len(s.tokens) * int(p.stem.split("-")[1])
                            for s, p in zip(self.prose, paths)], dtype=float)
        self.shares = weights / weights.sum()

    def rows(self, count: int, length: int, chat_share: float) -> Tensor:
        chat = round(count * chat_share)
        parts = [self.chat.rows(chat, length)]
        counts = np.random.multinomial(count - chat, self.shares)
        parts += [s.rows(int(n), length) for s, n in zip(self.prose, counts) if n]
        return torch.cat(parts)


def split(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, targets and the targets' weights, from rows with prompt bits."""
    tokens = (rows & 0x7FFF).long()
    weights = torch.where(rows[:, 1:] < 0, PROMPT_WEIGHT, 1.0)
    return tokens[:, :-1], tokens[:, 1:], weights


def loss_of(model: torch.nn.Module, inputs: Tensor, targets: Tensor, weights: Tensor,
            drop: Tensor) -> Tensor:
    logits = model(inputs, drop).float()
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return (losses * weights.flatten()).sum() / weights.sum()


@torch.no_grad()
def validation(model: torch.nn.Module, path: Path, device: str, most: int = -1) -> float:
    """Mean loss in nats per token on the stream or its first tokens, prompts left out."""
    data = np.fromfile(path, dtype=np.uint16, count=most).view(np.int16)
    data = torch.from_numpy(data).to(device)
    length = 1024
    data = data[:(len(data) - 1) // length * length + 1]
    rows = torch.stack([data[i:i + length + 1] for i in range(0, len(data) - 1, length)])
    total = count = 0.0
    for part in rows.split(32):
        inputs, targets, weights = split(part)
        logits = model(inputs).float()
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        kept = (weights.flatten() == 1.0).float()
        total += (losses * kept).sum().item()
        count += kept.sum().item()
    return total / count


def rate(progress: float) -> float:
    """The learning rate's factor at a share of the training time."""
    if progress < WARM_UP:
        return 0.02 + 0.98 * progress / WARM_UP
    return min(1.0, max(0.0, (1 - progress) / DECAY))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tokens", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, required=True, help="compilation included")
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--rows", type=int, default=128, help="rows of 1024 tokens a step")
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--muon-rate", type=float, default=0.02)
    parser.add_argument("--adam-rate", type=float, default=0.005)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(args.seed)
    np.random.seed(args.seed)
    torch.set_float32_matmul_precision("high")
    shape = Shape()
    model = Model(shape)
    if args.resume:
        model.load_state_dict(checkpoint.load(args.resume))
    model.to(device)
    mixture = Mixture(args.tokens, device)
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embd" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embd" in n]
    optimizers = [Muon(matrices, lr=args.muon_rate),
                  torch.optim.AdamW(others, lr=args.adam_rate, betas=(0.9, 0.95),
                                    weight_decay=0.0, fused=device == "cuda")]
    rates = [args.muon_rate, args.adam_rate]
    fast_loss = torch.compile(loss_of, dynamic=False)

    def step(length: int, chat_share: float) -> Tensor:
        count = max(1, args.rows * args.length // length)
        inputs, targets, weights = split(mixture.rows(count, length, chat_share))
        drop = torch.full((count, 1, 1), PROSE_DROPOUT, device=device)
        drop[:round(count * chat_share)] = 0.0
        with torch.autocast(device, torch.bfloat16):
            loss = fast_loss(model, inputs, targets, weights, drop)
        loss.backward()
        return loss.detach()

    def report(most: int = -1) -> None:
        for path in sorted(args.tokens.glob("valid-*.bin")):
            with torch.autocast(device, torch.bfloat16):
                value = validation(model, path, device, most)
            print(f"{path.stem}: {value:.4f} nats per token", flush=True)

    began = time.time()
    for length in (args.length, shape.context):     # compile both lengths first
        step(length, 0.5)
        for p in model.parameters():
            p.grad = None
    print(f"compiled in {time.time() - began:.0f} s", flush=True)

    seconds = 60 * args.minutes - (time.time() - began)
    began, steps, tokens, reports = time.time(), 0, 0, 1
    while (progress := (time.time() - began) / seconds) < 1.0:
        for optimizer, base in zip(optimizers, rates):
            for group in optimizer.param_groups:
                group["lr"] = base * rate(progress)
        tail = max(0.0, (progress - 1 + DECAY) / DECAY)
        chat_share = CHAT_SHARE + tail * (CHAT_SHARE_AT_END - CHAT_SHARE)
        loss = step(args.length if progress < LONG_FROM else shape.context, chat_share)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        steps += 1
        tokens += args.rows * args.length
        if steps % 10 == 0:
            value = loss.item()             # also keeps the clock honest
            if steps % 200 == 0 or steps == 10:
                print(f"{progress:.3f} step {steps} loss {value:.4f} "
                      f"{tokens / (time.time() - began) / 1e6:.2f} Mtok/s", flush=True)
            if progress > reports / 4:
                report(REPORTED_TOKENS)
                reports += 1
    checkpoint.save(model.state_dict(), args.out)
    report()
    print(f"{steps} steps, {tokens / 1e6:.0f} million tokens, "
          f"{(time.time() - began) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
