"""Which of many conditions a text meets, in one linear pass.

Each condition is a few patterns, one of which must match somewhere. RE2 compiles all of them into one automaton, so a
text is read once, whatever the number of recognisers that wait behind their conditions. Plain texts, which nearly all
are (`implied.is_plain`), have conditions of their own, without the digits of all scripts: a much smaller automaton.

RE2: https://github.com/google/re2 (BSD).
"""

from __future__ import annotations

from collections.abc import Sequence

import re2

from .implied import is_plain

MEMORY = 64 << 20  # bytes the automaton may take before RE2 falls back to a slower one


class Condition:
    """Patterns in RE2's syntax, one of which a text must match; the empty pattern holds of every text.

    `plain`: the same for plain texts.
    """

    def __init__(self, patterns: Sequence[str], plain: Sequence[str] | None = None):
        self.patterns = tuple(patterns)
        self.plain = self.patterns if plain is None else tuple(plain)


class Scan:
    """Several conditions at once."""

    def __init__(self, conditions: Sequence[Condition]):
        self._plain = _Automaton([condition.plain for condition in conditions])
        self._any = _Automaton([condition.patterns for condition in conditions])

    def hits(self, text: str) -> list[int]:
        """The places of the conditions that `text` meets, in ascending order. `text` holds no lone surrogates."""
        data = text.encode()
        return (self._plain if is_plain(data) else self._any).hits(data)


class _Automaton:
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

    def hits(self, data: bytes) -> list[int]:
        matched = self._set.Match(data) if self._met else None
        return sorted(self._always.union(*(self._met[i] for i in matched or ())))
