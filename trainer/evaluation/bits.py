"""Bits per byte: how many bits a model needs for a byte of held-out text.

Loss per token cannot be compared between tokenisers, since a token of one may be two of another; the bytes of the text
are the same for all. Each predicted token is counted once. The number of bytes is the manifest's own: predicted tokens
times the bytes per token of the split, so that the few tokens at its end that fill no sequence, or those beyond a
limit, leave the quotient as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from ...console import RequestError
from ..distributed import World
from ..loader.stream import TokenStream
from ..objectives.causal import CausalObjective, counted
from ..precision import Precision


@dataclass(frozen=True)
class Bits:
    """`per_byte` bits, of `tokens` predicted tokens at `nats` each on average."""

    per_byte: float
    nats: float
    tokens: int


def bytes_per_token(stream: TokenStream) -> float:
    """UTF-8 bytes of text for each token id of a split; an end-of-text id is a token of no bytes."""
    if not stream.tokens:
        raise RequestError(
            f"{stream.directory}: the {stream.split} split is empty; tokenise with a share of the documents held out"
        )
    return stream.utf8_bytes / stream.tokens


def as_bits(nats: float, tokens: int, token_bytes: float) -> Bits:
    """`nats` in all over `tokens` predicted tokens, of `token_bytes` bytes each on average."""
    return Bits(nats / math.log(2) / (tokens * token_bytes), nats / tokens, tokens)


@torch.no_grad()
def bits_per_byte(
    objective: CausalObjective, batches: Iterable[np.ndarray], token_bytes: float, world: World, precision: Precision
) -> Bits:
    """The model's bits on `batches` (this rank's share, each int64[b, length + 1]), summed over the ranks."""
    totals = torch.zeros(2, dtype=torch.float64, device=world.device)  # nats, tokens
    training = objective.training
    objective.eval()
    for batch in batches:
        x = torch.from_numpy(batch).to(world.device)
        with precision.computing():
            totals[0] += objective(x)
        totals[1] += counted(x)
    objective.train(training)
    nats, tokens = world.sum(totals).tolist()
    return as_bits(nats, round(tokens), token_bytes)
