"""What happens when a loss or a gradient is not finite: the update is left out, and a run of such steps ends the
training.

Everything is decided from numbers that are the same on all ranks (the summed loss and the norm of the summed
gradients), on the device, so no rank waits for another or for the host. One bad batch costs one step; the counts are
part of a checkpoint, so a resumed run judges as the undisturbed one would.
"""

from __future__ import annotations

import torch
from torch import Tensor

PATIENCE = 10  # bad steps in a row that end a run


class Guard:
    """Counts of bad steps: `in_a_row` up to now, and `skipped` in the whole run; int64 scalars on the device."""

    def __init__(self, device: torch.device):
        self.in_a_row = torch.zeros((), dtype=torch.int64, device=device)
        self.skipped = torch.zeros((), dtype=torch.int64, device=device)

    def judge(self, loss: Tensor, norm: Tensor) -> Tensor:
        """Whether the step is bad, as a bool scalar on the device; it is counted."""
        bad = ~(loss.isfinite() & norm.isfinite())
        self.in_a_row = torch.where(bad, self.in_a_row + 1, torch.zeros_like(self.in_a_row))
        self.skipped = self.skipped + bad
        return bad

    def state(self) -> dict[str, int]:
        """The counts, for a checkpoint."""
        return {"in_a_row": int(self.in_a_row), "skipped": int(self.skipped)}

    def load(self, state: dict[str, int]) -> None:
        """Put back what `state` gave."""
        self.in_a_row.fill_(state["in_a_row"])
        self.skipped.fill_(state["skipped"])
