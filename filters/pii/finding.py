"""What the search for personal data yields: a kind, a span of characters, how sure one is of it, and who found it.

Light on purpose: recipes import it, and nothing here needs Presidio or spaCy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, Protocol, TypeVar

Kind = str
"""The name of a kind of personal data: those of `catalogue.KINDS` by Presidio's names, and those of a recipe."""

By = Literal["presidio", "gristmill", "recipe"]
"""Whose recogniser found it: Presidio's, one of ours (`own/`), or one that the recipe describes."""


class Finding(NamedTuple):
    """Characters [start, end) of a text hold personal data of a kind; `score` is between 0 and 1."""

    start: int
    end: int
    kind: Kind
    score: float
    by: By = "presidio"


class Spanned(Protocol):
    """What has a place in a text: characters [start, end)."""

    start: int
    end: int


S = TypeVar("S", bound=Spanned)


def clusters(ordered: Iterable[S]) -> Iterator[list[S]]:
    """What overlaps, directly or through others, together; `ordered` by `start`. Neighbours that touch do not overlap.

    Findings are compared within a cluster alone: a text may hold a hundred thousand of them.
    """
    cluster: list[S] = []
    end = 0
    for item in ordered:
        if cluster and item.start >= end:
            yield cluster
            cluster = []
        end = max(end, item.end) if cluster else item.end
        cluster.append(item)
    if cluster:
        yield cluster
