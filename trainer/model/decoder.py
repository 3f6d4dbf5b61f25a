"""The causal decoder: embedding, blocks of attention and feed-forward, norm, head.

Pre-norm residual blocks as in Llama (Touvron et al. 2023), thin over the parts beside this file. Blocks stand in a
dictionary by number, so that a rank can hold some of them and keep their names.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .attention import Attention, Cache
from .config import ModelConfig
from .feedforward import SwiGLU
from .norms import RMSNorm
from .positions import rotations


class Block(nn.Module):
    """x + attention(norm(x)), then x + feedforward(norm(x))."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.attention_norm = RMSNorm(config.dim, config.norm_eps)
        self.attention = Attention(config)
        self.feedforward_norm = RMSNorm(config.dim, config.norm_eps)
        self.feedforward = SwiGLU(config.dim, config.hidden)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, cache: Cache | None, layer: int) -> Tensor:
        x = x + self.attention(self.attention_norm(x), cos, sin, cache, layer)
        return x + self.feedforward(self.feedforward_norm(x))


class Decoder(nn.Module):
    """Token ids to logits of the next token."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.rows, config.dim)
        self.blocks = nn.ModuleDict({str(i): Block(config) for i in range(config.layers)})
        self.norm = RMSNorm(config.dim, config.norm_eps)
        self.head = nn.Linear(config.dim, config.rows, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight

    def hidden(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:  # (B, T) -> (B, T, dim)
        """The residual stream after the last norm; `cache` holds what came before `tokens` and takes them in."""
        start, length = cache.length if cache is not None else 0, tokens.shape[1]
        x = self.embedding(tokens)
        cos, sin = rotations(start, length, self.config.head_dim, self.config.rope_theta, like=x)
        for i, block in self.blocks.items():
            x = block(x, cos, sin, cache, int(i))
        if cache is not None:
            cache.length += length
        return self.norm(x)

    def forward(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:  # (B, T) -> (B, T, rows)
        return self.head(self.hidden(tokens, cache))


@torch.no_grad()
def initialise(model: Decoder, seed: int) -> None:
    """Fill the weights: normal, of deviation sqrt(2 / (5 dim)), what writes to the residual stream over sqrt(2 layers).

    The second is GPT-2's scheme (Radford et al. 2019): each of the 2 x layers additions to the stream then carries an
    equal share of its variance. GPT-2's own deviation of 0.02 suits its widths alone; the first (SmallInit, Nguyen and
    Salazar 2019) is 0.023 at 768 and grows as the model gets narrower, which a small model needs to start learning
    (measured at width 128, after a million tokens: 2.10 bits per byte, 2.25 with 0.02).

    Drawn in float32 on the CPU in the order of the parameters: a function of (config, seed) alone.
    """
    draw = torch.Generator().manual_seed(seed)
    wide = math.sqrt(2 / (5 * model.config.dim))
    narrow = wide / math.sqrt(2 * model.config.layers)
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            parameter.fill_(1.0)  # the gains of the norms
            continue
        deviation = narrow if name.endswith(("attention.output.weight", "feedforward.down.weight")) else wide
        parameter.copy_(torch.empty(parameter.shape, dtype=torch.float32).normal_(0.0, deviation, generator=draw))
