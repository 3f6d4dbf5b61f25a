"""Quality rules: one family a file. `RULES` are those that a recipe can name under `quality`."""

from __future__ import annotations

from ..rule import Rule
from .badwords import BadWords
from .boilerplate import Boilerplate, LoremIpsum
from .c4 import C4Quality
from .classifier import Classifier
from .curator import CuratorCharacters, CuratorLines, CuratorWords
from .fineweb import FineWeb
from .gopher import GopherQuality, GopherRepetition
from .markup import Code, Markup
from .perplexity import Perplexity
from .refinedweb import RefinedWebLines

RULES: tuple[type[Rule], ...] = (
    GopherRepetition,
    GopherQuality,
    FineWeb,
    C4Quality,
    RefinedWebLines,
    CuratorCharacters,
    CuratorWords,
    CuratorLines,
    BadWords,
    LoremIpsum,
    Boilerplate,
    Code,
    Markup,
    Classifier,
    Perplexity,
)
