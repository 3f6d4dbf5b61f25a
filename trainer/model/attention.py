"""Attention: the one path from queries, keys and values to what they give, and the cache that decoding keeps.

`attend` is the only place that chooses a kernel; every layer, with or without a cache, goes through it. Grouped-query
attention (Ainslie et al. 2023): several query heads read one key and value head, which makes the cache smaller.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import ModelConfig
from .positions import rotate


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention of the last Q of K positions: query i sees keys 0 .. K - Q + i.

    q: (B, heads, Q, head_dim); k, v: (B, kv_heads, K, head_dim), Q <= K. Result as q.
    """
    queries, keys = q.shape[2], k.shape[2]
    grouped = k.shape[1] != q.shape[1]
    if queries == keys:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped)
    mask = None  # a single query, the last, sees everything
    if queries > 1:
        mask = torch.ones(queries, keys, dtype=torch.bool, device=q.device).tril(keys - queries)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=grouped)


class Cache:
    """Keys and values of the positions a model has read, for decoding: room for `capacity` of them, allocated at once.

    `length` positions are filled. Memory: 2 x layers x B x kv_heads x capacity x head_dim numbers.
    """

    def __init__(self, config: ModelConfig, capacity: int):
        self.capacity, self.length = capacity, 0
        self.store: list[Tensor | None] = [None] * config.layers  # each (2, B, kv_heads, capacity, head_dim)

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Put k, v (B, kv_heads, T, head_dim) of one layer after those it has; all of that layer's keys and values."""
        end = self.length + k.shape[2]
        if end > self.capacity:
            raise ValueError(f"the cache holds {self.capacity} positions; {end} were asked of it")
        store = self.store[layer]
        if store is None:
            batch, heads, _, head_dim = k.shape
            store = self.store[layer] = k.new_empty((2, batch, heads, self.capacity, head_dim))
        store[0, :, :, self.length : end] = k
        store[1, :, :, self.length : end] = v
        return store[0, :, :, :end], store[1, :, :, :end]


class Attention(nn.Module):
    """Causal self-attention with rotary positions."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.head_dim = config.head_dim
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.key_value_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.key_value_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, cache: Cache | None, layer: int
    ) -> Tensor:  # (B, T, dim) -> (B, T, dim)
        batch, length, _ = x.shape
        q, k, v = (  # the number of heads is left open: under tensor parallelism a rank has some of them
            project(x).view(batch, length, -1, self.head_dim).transpose(1, 2)  # (B, heads, T, head_dim)
            for project in (self.query, self.key, self.value)
        )
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if cache is not None:
            k, v = cache.extend(layer, k, v)  # (B, kv_heads, all positions, head_dim)
        y = attend(q, k, v)
        return self.output(y.transpose(1, 2).reshape(batch, length, -1))
