"""AdamW (Loshchilov and Hutter 2019), with weight decay on matrices only and steps that the device itself may refuse.

Gains of norms are not decayed: pulling them to zero shrinks the signal and regularises nothing. Fused kernels take one
flag on the device, `found_inf`, and leave weights, moments and step count as they are where it is set. That flag exists
for loss scaling; here it says that the loss or the gradient was not finite, so no value has to travel to the host for a
bad step to be skipped (and nothing is multiplied by zero, which would keep a NaN).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def adamw(
    model: nn.Module, lr: float, betas: tuple[float, float], eps: float, weight_decay: float
) -> torch.optim.AdamW:
    """AdamW over the trained parameters of `model`: those with two or more dimensions are decayed."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=lr, betas=betas, eps=eps, fused=True)


def step_unless(optimizer: torch.optim.Optimizer, bad: Tensor) -> None:
    """One step, or none at all where `bad` (bool scalar on the device of the weights) is true."""
    optimizer.found_inf = bad.float()
    optimizer.step()


def named_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's tensors under `parameter/slot`, for a checkpoint; nothing before the first step."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{names[parameter]}/{slot}": value
        for parameter, slots in optimizer.state.items()
        for slot, value in slots.items()
    }


def load_named_state(model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Tensor]) -> None:
    """Put back what `named_state` gave, each tensor as it was and beside its parameter."""
    parameters = dict(model.named_parameters())
    optimizer.state.clear()
    for key, value in state.items():
        name, _, slot = key.rpartition("/")
        parameter = parameters[name]
        optimizer.state[parameter][slot] = value.to(parameter.device)
