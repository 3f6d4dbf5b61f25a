"""Quality rules: one family a file. `RULES` are those that a recipe can name under `quality`."""

from __future__ import annotations

from ..rule import Rule
from .gopher import GopherQuality, GopherRepetition

RULES: tuple[type[Rule], ...] = (GopherRepetition, GopherQuality)
