"""Feed-forward. SwiGLU (Shazeer 2020): one projection gates another, then both go back to the residual stream."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class SwiGLU(nn.Module):
    """down(silu(gate(x)) · up(x))."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.gate = nn.Linear(dim, hidden, bias=False)
        self.up = nn.Linear(dim, hidden, bias=False)
        self.down = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, dim) -> (B, T, dim)
        return self.down(F.silu(self.gate(x)) * self.up(x))
