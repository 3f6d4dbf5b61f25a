"""C4's rules (Raffel et al. 2020, arXiv:1910.10683, section 2.2): keep the lines that are sentences, then the pages.

The idea of the paper: a line of prose ends in a mark and has some words; menus, buttons and notices do not. So lines
are removed first, and a page goes if too little is left, or if it holds code (a curly bracket) or dummy text (lorem
ipsum). Two readings are in use. `tfds` is the code that made C4 (`c4_utils.py` of TensorFlow Datasets); `datatrove` is
that of FineWeb (`C4QualityFilter` 0.10), whose two numbers are swapped, which lets a line end in an apostrophe, and
which counts a line's words before its citations are cut out. FineWeb itself ran with
`require_terminal_punctuation: false`.

The trade-off: `sentences: punctuation` counts marks at ends of words, which is fast and near enough for a threshold of
five; `spacy` counts as datatrove does. What both tools do and the paper does not say: lines are stripped, and joined by
one newline. Pages are counted as if no page rule were there, so that thresholds can be changed afterwards.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from ...config import Settings
from ..measures.texts import Texts
from ..rule import Cuts, Limit, Measured, Rule

POLICY_PHRASES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
DATATROVE = {  # where its constants differ from those of `tfds`, the defaults below
    "max_characters": None,
    "min_sentences": 5,
    "min_words_per_line": 3,
    "words_before_citations": True,
    "terminal_punctuation": ".?!\"'",
    "sentences": "spacy",
}


class C4Quality(Rule):
    """C4: lines without a mark at their end, short ones and notices are removed; pages by what is left."""

    name = "c4"

    class Settings(Settings):
        """Thresholds and line rules; null or false switches one off. Defaults are those of the dialect."""

        dialect: Literal["tfds", "datatrove"] = Field("tfds", description="Whose constants are the defaults")
        max_characters: int | None = Field(190_000, ge=0, description="Characters of the page before it is cleaned")
        max_lorem_ipsum: int | None = Field(0, ge=0, description='Lines with "lorem ipsum" among those that stayed')
        max_curly_brackets: int | None = Field(0, ge=0, description='Lines with "{" among those that stayed')
        min_sentences: int | None = Field(3, ge=0, description="Sentences in the lines that stay")
        sentences: Literal["punctuation", "spacy"] = Field(
            "punctuation", description="How sentences are counted: by marks at ends of words, or as spaCy does"
        )
        split: Literal["lines", "sentences"] = Field(
            "lines", description="What the line rules below look at: lines, or spaCy's sentences, joined by a blank"
        )
        max_word_length: int | None = Field(1000, ge=1, description="Characters; a line with a longer word is removed")
        min_words_per_line: int | None = Field(5, ge=1, description="Words; a shorter line is removed")
        words_before_citations: bool = Field(False, description="Count a line's words with its citations")
        require_terminal_punctuation: bool = Field(True, description="Remove lines that end in none of the marks")
        terminal_punctuation: str = Field('.?!"', description="The marks; a line that ends in three full stops goes")
        remove_citations: bool = Field(True, description="Cut [1], [], [edit] and [citation needed] out of lines")
        remove_javascript: bool = Field(True, description='Remove lines with the word "javascript"')
        policy_phrases: tuple[str, ...] = Field(
            POLICY_PHRASES, strict=False, description="Remove lines with one of these, capitals or not"
        )

        @model_validator(mode="before")
        @classmethod
        def _by_dialect(cls, data: Any) -> Any:
            if isinstance(data, dict) and data.get("dialect") == "datatrove":
                return DATATROVE | data
            return data

        @model_validator(mode="after")
        def _one_splitter(self) -> Any:
            if self.split == "sentences" and self.sentences != "spacy":
                raise ValueError("`split: sentences` needs `sentences: spacy`")
            return self

    limits = (
        Limit("max_characters", "characters"),
        # The tools stop at the first line that breaks either rule: the one they met first is named
        Limit("max_lorem_ipsum", "lorem_ipsum_first", "lorem_ipsum"),
        Limit("max_curly_brackets", "curly_brackets", "curly_bracket"),
        Limit("max_lorem_ipsum", "lorem_ipsum", "lorem_ipsum"),
        Limit("min_sentences", "sentences", "too_few_sentences"),
    )
    edits: ClassVar = {"lines": "cut_bytes"}

    def measure(self, texts: Texts) -> Measured:
        """Counts, int64[n]; the cuts `lines`, told in JSON: lines removed by reason, the first hundred numbers."""
        from ..measures.c4_lines import COUNTS, clean

        s = self.settings
        by_sentence = s.split == "sentences"
        found = clean(
            texts.data,
            texts.offsets,
            texts.active,
            max_word_length=s.max_word_length,
            min_words=s.min_words_per_line or 1,
            words_after_citations=not s.words_before_citations,
            terminal=s.terminal_punctuation if s.require_terminal_punctuation else None,
            citations=s.remove_citations,
            javascript=s.remove_javascript,
            policy=[phrase for phrase in s.policy_phrases if phrase],
            keep_lines=s.sentences == "spacy" and not by_sentence,
            units=_sentences(texts) if by_sentence else None,
        )
        signals: dict[str, np.ndarray] = {"characters": texts.characters()}
        signals |= {name: found.counts[name] for name in COUNTS.names}
        if s.sentences == "spacy" and not by_sentence:
            signals["sentences"] = _spacy_sentences(texts.data, found)
        cuts = Cuts("lines", found.rows, found.starts, found.ends, found.fill)
        return Measured(signals, {"lines": _details(found)}, (cuts,))


def _sentences(texts: Texts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The sentences of the active texts as `c4_lines.clean` takes them."""
    from ..measures.sentence_spans import sentence_spans

    rows = np.flatnonzero(texts.active)
    starts, ends, first = sentence_spans(texts.data, texts.offsets[rows], texts.offsets[rows + 1])
    counts = np.zeros(len(texts) + 1, np.int64)
    counts[rows + 1] = np.diff(first)
    return starts, ends, np.cumsum(counts)


def _spacy_sentences(data: np.ndarray, found: Any) -> np.ndarray:
    """int64[n]: sentences of the lines that stay."""
    from ..measures.sentences import count_sentences

    total = np.zeros(len(found.counts), np.int64)
    for buffer, place in ((data, 0), (found.buffer, 1)):
        lines = found.kept[found.kept[:, 3] == place]
        starts, ends = np.ascontiguousarray(lines[:, 1]), np.ascontiguousarray(lines[:, 2])
        np.add.at(total, lines[:, 0], count_sentences(buffer, starts, ends))
    return total


def _details(found: Any) -> list[str | None]:
    """JSON for each document that is cut: `{"removed_lines": [2, 5], "short_lines": 2, "citations": 1}`."""
    from ..measures.c4_lines import REASONS

    details: list[str | None] = [None] * len(found.counts)
    rows = np.unique(found.rows)
    numbers = found.removed[:, 1].tolist()
    first = np.searchsorted(found.removed[:, 0], rows).tolist()
    last = np.searchsorted(found.removed[:, 0], rows, side="right").tolist()
    names = (*REASONS, "citations")
    columns = [found.counts[name][rows].tolist() for name in names]
    for row, start, end, *values in zip(rows.tolist(), first, last, *columns, strict=True):
        parts = [f'"{name}":{value}' for name, value in zip(names, values, strict=True) if value]
        lines = ",".join(map(str, numbers[start:end]))
        details[row] = "{" + ",".join([*parts, f'"removed_lines":[{lines}]']) + "}"
    return details
