"""Quality by perplexity: text that surprises a language model of good text is dropped (CCNet, arXiv:1911.00359).

The idea: an n-gram model of Wikipedia finds its own kind of prose easy and boilerplate, lists and garbled text hard.
The trade-off: it finds dialogue and dialect hard as well, and repeated words easy (`min_perplexity` is for these). A
perplexity means something only next to others of the same model: CCNet cuts at the 30th and 60th percentile of each
language. Needs the module kenlm, which the extras do not bring, and its model. The scoring is KenLM's own, a call a
line: the slowest rule here, so it stands best at the end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from ...config import Settings
from ...console import RequestError
from ..measures.texts import Texts
from ..perplexity import LanguageModel, need_libraries
from ..rule import Limit, Measured, Rule


class Perplexity(Rule):
    """Perplexity of a KenLM language model."""

    name = "perplexity"
    prefix = "kenlm"

    class Settings(Settings):
        """The model and which perplexities stay; null switches a threshold off."""

        model: str = Field(description="Path of a KenLM model (.arpa, or binary, which is mapped)")
        normalization: Literal["ccnet"] | None = Field(
            "ccnet", description="`ccnet`: lower case, no accents, digits 0, ASCII punctuation; null: the text as it is"
        )
        pieces: str | None = Field(None, description="Path of the SentencePiece model that cuts text, as CCNet's need")
        min_perplexity: float | None = Field(None, ge=0, description="The least perplexity, a token")
        max_perplexity: float | None = Field(None, ge=0, description="The greatest perplexity, a token")

    limits = (Limit("min_perplexity", "perplexity"), Limit("max_perplexity", "perplexity"))

    def __init__(self, settings: Any):
        super().__init__(settings)
        self._model: LanguageModel | None = None

    def files(self) -> tuple[str, ...]:
        """The models. Raises RequestError where one is missing, or the library."""
        paths = {key: getattr(self.settings, key) for key in ("model", "pieces")}
        for key, path in paths.items():
            if path is not None and not Path(path).is_file():
                raise RequestError(f"quality.{self.name}.{key}: {path}: no such file")
        need_libraries(self.settings.pieces is not None, f"quality.{self.name}")
        return tuple(path for path in paths.values() if path is not None)

    def measure(self, texts: Texts) -> Measured:
        """Perplexity, float64[n]; NaN where a text has no word.

        The first call opens the model. Raises RequestError where that fails.
        """
        if self._model is None:
            asked = self.settings
            self._model = LanguageModel(
                asked.model, asked.normalization == "ccnet", asked.pieces, f"quality.{self.name}"
            )
        found = np.full(len(texts), np.nan)
        for row in np.flatnonzero(texts.active).tolist():
            text = texts.data[texts.offsets[row] : texts.offsets[row + 1]].tobytes().decode()
            found[row] = self._model.perplexity(text)
        return Measured({"perplexity": found})
