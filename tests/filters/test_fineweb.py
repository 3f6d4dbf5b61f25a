"""FineWeb's rule against its definition in plain Python, and on lines worked by hand."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from gristmill.console import RequestError
from gristmill.filters.measures.characters import SENTENCE_ENDS
from gristmill.filters.quality.fineweb import FineWeb
from gristmill.filters.rules import RuleStage
from gristmill.filters.stage import first_verdicts
from hypothesis import given
from hypothesis import strategies as st


def run(texts: list[str], **values) -> tuple[list[str | None], dict[str, np.ndarray]]:
    """(first broken rule of each text without its prefix, signals)"""
    stage = RuleStage("quality", [FineWeb(FineWeb.Settings(**values))])
    batch = pa.RecordBatch.from_arrays(
        [pa.array(texts, pa.large_string()), pa.nulls(len(texts), pa.string())], ["text", "language"]
    )
    outcome, found = stage(batch), [None] * len(texts)
    for drop in first_verdicts(outcome):
        for row in drop.rows:
            found[row] = drop.rule.removeprefix("fineweb_")
    return found, {name.removeprefix("fineweb_"): values for name, values in outcome.signals.items()}


def numbers(text: str, short: int, ends: str) -> list[tuple[str, Fraction | None]]:
    lines = [line for line in text.split("\n") if line.strip()]
    seen, again = set(), 0
    for line in lines:
        again += len(line) if line in seen else 0
        seen.add(line)

    def share(a: int, b: int) -> Fraction | None:
        return Fraction(a, b) if b else None

    return [
        ("lines", Fraction(len(lines))),
        ("terminal_lines", share(sum(line.endswith(tuple(ends)) for line in lines), len(lines))),
        ("short_lines", share(sum(len(line) <= short for line in lines), len(lines))),
        ("duplicate_line_characters", share(again, len(text.replace("\n", "")))),
        ("newlines_per_word", share(text.count("\n"), len(text.split()))),
    ]


PIECES = [
    "word",
    "a",
    "a longer line than thirty characters is",
    "end.",
    "ende。",
    "x;",
    " ",
    "\r",
    "\t",
    "\u2028",
    "\0",
    "é",
]


@st.composite
def texts(draw):
    rng = random.Random(draw(st.integers(0, 2**32)))
    line = [rng.choice(PIECES) for _ in range(rng.randrange(6))]
    lines = [" ".join(line if rng.random() < 0.2 else rng.choices(PIECES, k=rng.randrange(4))) for _ in range(9)]
    return rng.choice(["\n", "\n", "\n\n"]).join(lines)


@given(
    st.lists(st.text() | texts(), max_size=6),
    st.sampled_from([0, 5, 30]),
    st.sampled_from([SENTENCE_ENDS, ".", "e;"]),
    st.lists(st.sampled_from([0.0, 0.12, 0.3, 0.67, 2.0]), min_size=4, max_size=4),
)
def test_equals_the_definition(documents, short, ends, limits):
    thresholds = dict(zip([limit.setting for limit in FineWeb.limits], [1, *limits], strict=True))
    punctuation = None if ends == SENTENCE_ENDS else tuple(ends)
    found, signals = run(documents, short_line_length=short, terminal_punctuation=punctuation, **thresholds)
    for i, text in enumerate(documents):
        first = None
        for (name, number), limit in zip(numbers(text, short, ends), FineWeb.limits, strict=True):
            value, bound = np.nan if number is None else float(number), thresholds[limit.setting]
            np.testing.assert_equal(float(signals[name][i]), value)
            broken = value < bound if limit.setting.startswith("min_") else value > bound
            first = first or (limit.setting if broken else None)
        assert found[i] == first


def test_lines_worked_by_hand():
    prose = [f"This is sentence number {i} of a text that nobody has to read." for i in range(10)]
    unended = [line[:-1] for line in prose]
    cases = {
        "\n".join(prose): None,
        "": "min_lines",
        " \n\t\n\n": "min_lines",
        "\n".join(unended): "min_terminal_lines",
        "\n".join(unended[:8] + prose[8:]): None,  # 2 of 10
        "\n".join(unended[:9] + prose[9:]): "min_terminal_lines",  # 1 of 10
        " \n".join(prose[:9]): "min_terminal_lines",  # 1 of 9: white space at the end is no punctuation
        "\r\n".join(prose[:9]): "min_terminal_lines",
        "\n".join(["Short one."] * 0 + [f"Short {i}." for i in range(7)] + prose[:3]): "max_short_lines",  # 7 of 10
        "\n".join([f"Short {i}." for i in range(6)] + prose[:4]): None,  # 6 of 10
        "\n".join([*prose, prose[0]]): "max_duplicate_line_characters",
        "\n\n\n\n\n\n\n".join(prose[:5]): "max_newlines_per_word",  # 28 newlines, 65 words
        "\n\n\n\n".join(prose[:5]): None,  # 16
    }
    found, _ = run(list(cases))
    assert dict(zip(cases, found, strict=True)) == cases


def test_a_text_without_terminal_punctuation_may_be_excused():
    text = "\n".join(f"a line of more than thirty characters, the {i}th" for i in range(9))
    ended = text + "\nand one that ends in a full stop, after all of it."
    assert run([text, ended])[0] == ["min_terminal_lines", "min_terminal_lines"]
    assert run([text, ended], terminal_exclude_zero=True)[0] == [None, "min_terminal_lines"]


def test_spacy_counts_punctuation_as_words():
    pytest.importorskip("spacy")
    text = "\n".join(["Well, yes, sir."] * 3)
    assert run([text])[1]["newlines_per_word"] == [2 / 9]
    assert run([text], words="spacy")[1]["newlines_per_word"] == [2 / 18]
    assert run([text], words="unicode")[1]["newlines_per_word"] == [2 / 9]


def test_terminal_punctuation_is_single_characters():
    from gristmill.config import validate

    with pytest.raises(RequestError, match="terminal_punctuation"):
        validate(FineWeb.Settings, {"terminal_punctuation": ["..."]}, "recipe")
