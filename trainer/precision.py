"""In which numbers a model computes, decided by the device.

Weights and optimiser state are float32 always (float64 for proofs). Matrix products run in bfloat16 where the device is
fast at it; a CPU is not (measured nine times slower than float32).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Precision:
    """`name`: fp32, bf16 or fp64. `weights`: dtype of parameters. `products`: of matrix products where it differs."""

    name: str
    weights: torch.dtype
    products: torch.dtype | None
    device: torch.device

    def computing(self) -> contextlib.AbstractContextManager:
        """The context in which the model runs."""
        if self.products is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.products)


def choose(name: str, device: torch.device) -> Precision:
    """`name`: auto, fp32, bf16 or fp64. auto is bf16 on CUDA devices of compute capability 8 and above, else fp32."""
    if name == "auto":
        fast = device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 8
        name = "bf16" if fast else "fp32"
    return {
        "fp32": Precision(name, torch.float32, None, device),
        "bf16": Precision(name, torch.float32, torch.bfloat16, device),
        "fp64": Precision(name, torch.float64, None, device),
    }[name]
