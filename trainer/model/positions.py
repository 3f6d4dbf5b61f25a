"""Positions. Rotary embedding (Su et al. 2021): a query and a key are turned by their place, so that their product
depends on the distance between them alone.

Two conventions exist for which numbers are turned together: neighbours (2i, 2i + 1), as in the paper and Meta's code,
or halves (i, i + head_dim/2), as in Hugging Face's. Halves are used here, so that weights travel without permutation.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rotations(start: int, count: int, head_dim: int, theta: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """cos and sin, each (count, head_dim / 2), of the angles of positions start .. start + count.

    Angles are taken in float32, as everybody does, and in float64 where the model is; on the device of `like`.
    """
    dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
    pair = torch.arange(0, head_dim, 2, dtype=dtype, device=like.device)  # (head_dim / 2,)
    position = torch.arange(start, start + count, dtype=dtype, device=like.device)  # (count,)
    angle = torch.outer(position, theta ** (-pair / head_dim))  # (count, head_dim / 2)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (x[i], x[i + head_dim/2]) by its angle. x: (B, heads, T, head_dim); cos, sin: (T, half)."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).type_as(x)  # bfloat16 is turned in float32
