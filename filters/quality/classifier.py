"""Quality by a trained classifier: the probability that a fastText model gives one of its labels.

The idea is that of GPT-3 (Brown et al. 2020, arXiv:2005.14165) and of DCLM (Li et al. 2024, arXiv:2406.11794): a
linear model over words, trained on text that is known to be good against text of the crawl, ranks pages better than
any list of rules, at the price of sharing the taste of whoever chose the examples. `gristmill filter train-classifier`
makes such a model; any supervised model of fastText will do, DCLM's or one that finds toxic text (`max_score`).

A recipe that asks several models names further rules of its own: `class Toxic(Classifier): name = "toxic"`.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ...config import Settings
from ...console import RequestError
from ..measures.texts import Texts
from ..rule import Limit, Measured, Rule


class Classifier(Rule):
    """A fastText classifier: the probability of a label."""

    name = "classifier"

    class Settings(Settings):
        """The model and which probabilities stay; null switches a threshold off."""

        model: str = Field(description="Path of a fastText model (.bin, .ftz) that classifies")
        label: str = Field("good", description="Whose probability is asked, without `__label__`")
        min_score: float | None = Field(0.5, ge=0, le=1, description="The least probability of the label, of 1")
        max_score: float | None = Field(None, ge=0, le=1, description="The greatest probability of the label, of 1")

    limits = (Limit("min_score", "score"), Limit("max_score", "score"))

    def __init__(self, settings: Any):
        super().__init__(settings)
        self._predictor: Any = None
        self._column = 0

    def files(self) -> tuple[str, ...]:
        """The model. Raises RequestError where it is no such model or does not know the label."""
        self._read()
        return (self.settings.model,)

    def measure(self, texts: Texts) -> Measured:
        """The label's probability, float64[n]; NaN where the model knows nothing of a text.

        The first call opens the model. Raises RequestError as `files` does.
        """
        if self._predictor is None:
            self._predictor = self._load()
        return Measured({"score": self._predictor(texts.data, texts.offsets, texts.active)[:, self._column]})

    def _read(self) -> Any:
        from ..classifier.model_file import BadModel, read

        path, label = self.settings.model, self.settings.label
        try:
            model = read(path)
        except FileNotFoundError:
            raise self._wrong("model", f"{path}: no such file") from None
        except OSError as error:
            raise self._wrong("model", f"{path}: cannot be read: {error.strerror}") from None
        except BadModel as error:
            raise self._wrong("model", f"{path}: {error}") from None
        if label not in model.labels:
            raise self._wrong("label", f"the model has no label {label}; it knows {_some(model.labels)}")
        self._column = model.labels.index(label)
        return model

    def _load(self) -> Any:
        from ..classifier.folded import predictor
        from ..classifier.model_file import BadModel

        try:
            return predictor(self._read())
        except BadModel as error:
            raise self._wrong("model", f"{self.settings.model}: {error}") from None
        except ImportError:
            message = "a quantised or hierarchical model needs the module fasttext: install gristmill[pipelines]"
            raise self._wrong("model", f"{self.settings.model}: {message}") from None

    def _wrong(self, key: str, message: str) -> RequestError:
        return RequestError(f"quality.{self.name}.{key}: {message}")


def _some(labels: tuple[str, ...], most: int = 20) -> str:
    shown = ", ".join(sorted(labels)[:most])
    return shown if len(labels) <= most else f"{shown}, ... ({len(labels)} in all)"
