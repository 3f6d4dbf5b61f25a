"""From logits to the next token: greedy, temperature, the k likeliest, the nucleus.

The order is everybody's: temperature first, then top-k, then top-p (Holtzman et al. 2020) of what is left. Drawing is
done on the CPU in float64, one vector a token, so that a seed gives the same text wherever the logits were made.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...console import RequestError


@dataclass(frozen=True)
class Sampling:
    """How to draw. `temperature` 0: always the likeliest token. `top_k`, `top_p`: None keeps every token."""

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise RequestError(f"temperature {self.temperature}: expected a number from 0 up (0: always the likeliest)")
        if self.top_k is not None and self.top_k < 1:
            raise RequestError(f"top-k {self.top_k}: expected at least 1 token")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise RequestError(f"top-p {self.top_p}: expected a share above 0 and up to 1")


def probabilities(logits: Tensor, how: Sampling) -> Tensor:
    """What each token is drawn with. logits: (V,); result: (V,) float64 on the CPU, summing to 1."""
    logits = logits.detach().to("cpu", torch.float64)
    if how.temperature == 0:
        return torch.zeros_like(logits).index_fill_(0, logits.argmax(), 1.0)
    logits = logits / how.temperature
    if how.top_k is not None and how.top_k < len(logits):
        kept = logits.topk(how.top_k).indices
        logits = torch.full_like(logits, -torch.inf).index_copy_(0, kept, logits[kept])
    p = logits.softmax(0)
    if how.top_p is not None and how.top_p < 1:
        p, order = p.sort(descending=True, stable=True)
        before = p.cumsum(0) - p  # mass of all that are likelier: the token that crosses top_p still belongs
        p = torch.zeros_like(p).index_copy_(0, order, p.where(before < how.top_p, 0.0))
        p /= p.sum()
    return p


class Sampler:
    """Draws one token after another; the same seed draws the same tokens from the same logits."""

    def __init__(self, how: Sampling, seed: int):
        self.how = how
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, logits: Tensor) -> int:
        """A token id. logits: (V,)."""
        p = probabilities(logits, self.how)
        if not bool(p.isfinite().all()):
            raise RequestError("the model's logits are not finite; its weights are of a run that diverged")
        return int(torch.multinomial(p, 1, generator=self.generator))
