"""Predict every next token: the full language-model objective.

The loss of a step is the SUM over its tokens divided by the number of tokens of the GLOBAL batch, over micro-batches
and ranks together; gradients are summed, never averaged. A mean of means weighs a token by the company it keeps, which
is wrong as soon as two micro-batches carry different numbers of tokens (huggingface/transformers issue 34191).

The objective is a module around the model, so that the loss is computed inside the forward pass of what is wrapped for
data parallelism.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

IGNORED = -100  # a target that carries no loss


def counted(batch: Tensor) -> Tensor:
    """How many tokens of `batch` (B, length + 1) carry loss: int64 scalar, on the device of `batch`."""
    return (batch[:, 1:] != IGNORED).sum()


class CausalObjective(nn.Module):
    """Sum of -ln p(token | tokens before it), in nats."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, batch: Tensor) -> Tensor:  # (B, length + 1) int64 -> scalar, float32 (float64 where the model is)
        inputs, targets = batch[:, :-1].clamp(min=0), batch[:, 1:]
        logits = self.model(inputs)  # (B, length, rows)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")
