"""Normalisation. RMSNorm (Zhang and Sennrich 2019): the length of a vector is taken out, its mean is left in."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RMSNorm(nn.Module):
    """x / sqrt(mean(x²) + eps) · weight, over the last axis."""

    def __init__(self, dim: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:  # (B, T, dim) -> (B, T, dim)
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)
