"""The learning rate over a run: a linear rise, then half a cosine down to a fraction of the peak (Loshchilov 2017)."""

from __future__ import annotations

import math


def cosine(step: int, peak: float, warmup: int, steps: int, floor: float) -> float:
    """The rate of step 0, 1, ...: step warmup - 1 is the first at `peak`, step `steps` - 1 is at floor · peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    done = min(1.0, (step - warmup + 1) / max(1, steps - warmup))
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done)))
