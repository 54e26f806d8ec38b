"""The model: the qwen3 architecture in PyTorch, at a size that fits 12 MB in Q8_0."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """Sizes; every matrix row is a multiple of 256 so that any format applies."""

    vocabulary: int = 6144
    hidden: int = 256
    layers: int = 12
    heads: int = 4
    kv_heads: int = 2
    head_size: int = 64
    feed_forward: int = 768
    context: int = 2048
    rope_base: float = 10_000.0
    epsilon: float = 1e-6


class RMSNorm(nn.Module):
    """Division by the root mean square, times a learned weight."""

    def __init__(self, size: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        y = x.float()
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.epsilon)
        return (y * self.weight).to(x.dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE on halves: the first half of a head pairs with the second."""
    a, b = x.float().chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).to(x.dtype)


def dropped(x: Tensor, rates: Tensor | None) -> Tensor:
    """Dropout at a rate of its own for each row of the batch."""
    if rates is None:
        return x
    kept = torch.rand_like(x) >= rates
    return x * kept / (1 - rates).to(x.dtype)


class Layer(nn.Module):
    """Attention with normed queries and keys, then the gated feed-forward part."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        q_size, kv_size = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
        self.attn_norm = RMSNorm(shape.hidden, shape.epsilon)
        self.attn_q = nn.Linear(shape.hidden, q_size, bias=False)
        self.attn_k = nn.Linear(shape.hidden, kv_size, bias=False)
        self.attn_v = nn.Linear(shape.hidden, kv_size, bias=False)
        self.attn_q_norm = RMSNorm(shape.head_size, shape.epsilon)
        self.attn_k_norm = RMSNorm(shape.head_size, shape.epsilon)
        self.attn_output = nn.Linear(q_size, shape.hidden, bias=False)
        self.ffn_norm = RMSNorm(shape.hidden, shape.epsilon)
        self.ffn_gate = nn.Linear(shape.hidden, shape.feed_forward, bias=False)
        self.ffn_up = nn.Linear(shape.hidden, shape.feed_forward, bias=False)
        self.ffn_down = nn.Linear(shape.feed_forward, shape.hidden, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, drop: Tensor | None = None) -> Tensor:
        batch, length, _ = x.shape
        h = self.attn_norm(x)
        q, k, v = (f(h).view(batch, length, -1, self.shape.head_size)
                   for f in (self.attn_q, self.attn_k, self.attn_v))
        q = rotate(self.attn_q_norm(q), cos, sin).transpose(1, 2)
        k = rotate(self.attn_k_norm(k), cos, sin).transpose(1, 2)
        y = F.scaled_dot_product_attention(q, k, v.transpose(1, 2),
                                           is_causal=True, enable_gqa=True)
        x = x + dropped(self.attn_output(y.transpose(1, 2).reshape(batch, length, -1)), drop)
        h = self.ffn_norm(x)
        return x + dropped(self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h)), drop)


class Model(nn.Module):
    """Tokens in, logits out; the embedding doubles as the output matrix."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.output_norm = RMSNorm(shape.hidden, shape.epsilon)
        half = shape.head_size // 2
        steps = shape.rope_base ** (-torch.arange(half, dtype=torch.float64) / half)
        angles = torch.outer(torch.arange(shape.context, dtype=torch.float64), steps)
        self.register_buffer("cos", angles.cos().float()[:, None, :], persistent=False)
        self.register_buffer("sin", angles.sin().float()[:, None, :], persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, std=0.02)
            if name.endswith(("attn_output.weight", "ffn_down.weight")):
                nn.init.zeros_(weight)

    def forward(self, tokens: Tensor, drop: Tensor | None = None) -> Tensor:
        """Logits; drop holds each row's dropout rate, [rows, 1, 1]."""
        length = tokens.shape[1]
        x = self.token_embd(tokens)
        if drop is not None:
            x = dropped(x, drop)
        for layer in self.layers:
            x = layer(x, self.cos[:length], self.sin[:length], drop)
        return F.linear(self.output_norm(x), self.token_embd.weight)
