"""Which of many conditions a text meets, in one linear pass.

Each condition is a few patterns, one of which must match somewhere. RE2 compiles all of them into one automaton, so a
text is read once, whatever the number of recognisers that wait behind their conditions. It is read folded
(`characters.fold`): with ASCII's digits for those of all scripts, which would make the automaton many times as large.

RE2: https://github.com/google/re2 (BSD).
"""

from __future__ import annotations

from collections.abc import Sequence

import re2

from .characters import fold

MEMORY = 64 << 20  # bytes the automaton may take before RE2 falls back to a slower one


class Scan:
    """`conditions`: for each, patterns in RE2's syntax; the empty pattern holds of every text."""

    def __init__(self, conditions: Sequence[Sequence[str]]):
        self._always = {i for i, patterns in enumerate(conditions) if "" in patterns}
        waiting: dict[str, set[int]] = {}
        for i, patterns in enumerate(conditions):
            for pattern in patterns:
                if i not in self._always:
                    waiting.setdefault(pattern, set()).add(i)
        self._met = list(waiting.values())
        options = re2.Options()
        options.max_mem, options.log_errors = MEMORY, False
        self._set = re2.Set.SearchSet(options)
        for pattern in waiting:
            self._set.Add(pattern)
        self._set.Compile()

    def hits(self, text: str) -> list[int]:
        """The places of the conditions that `text` meets, in ascending order. `text` holds no lone surrogates."""
        matched = self._set.Match(fold(text).encode()) if self._met else None
        return sorted(self._always.union(*(self._met[i] for i in matched or ())))
