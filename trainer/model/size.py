"""How large a model is: parameters and floating-point operations, counted from its structure.

The convention of PaLM (Chowdhery et al. 2022, appendix B), which published utilisations use: six operations a token for
each weight that multiplies (forward two, backward four), plus 12 x layers x heads x head_dim x length for attention,
not halved for the causal mask. An embedding multiplies nothing, unless it is also the head.
"""

from __future__ import annotations

from torch import nn

from .decoder import Decoder


def parameters(model: nn.Module) -> int:
    """Trained numbers; a tied weight is one."""
    return sum(p.numel() for p in model.parameters())


def flops_per_token(model: Decoder, length: int) -> int:
    """Operations of forward and backward for one token in a sequence of `length`."""
    multiplied = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear))
    config = model.config
    return 6 * multiplied + 12 * config.layers * config.heads * config.head_dim * length
