"""The keywords around a place, read in pieces, are those that Presidio takes from the tokens of the whole text."""

from __future__ import annotations

from random import Random

import pytest
from gristmill.filters.pii import context
from gristmill.filters.pii.context import PIECE, ContextWords
from gristmill.filters.pii.engine import TokenEngine, context_enhancer


@pytest.fixture(scope="module")
def engine():
    return TokenEngine()


@pytest.fixture(scope="module")
def memo():
    return ContextWords(context_enhancer())


def whole_text(engine, text, starts):
    """Presidio's sets of words around each place; white space, which is in no context word, written as one space."""
    artifacts = engine.process_text(text, "en")
    words = [context_enhancer()._extract_surrounding_words(artifacts, "", start) for start in starts]
    return [{" " if word.isspace() else word for word in around} for around in words]


def test_words_around_places(engine, memo, hostile):
    draw = Random(8)
    filler = ["the ", "of it ", ". ", "( ", "word ", "\n", "the:x ", " " * 9, "\x1f", "\u3000"]
    for _ in range(150):
        text = "".join(
            draw.choice(filler) * draw.randint(0, 120) + hostile(draw)[:PIECE] for _ in range(draw.randint(1, 4))
        )
        places = [i for i, c in enumerate(text) if not c.isspace()]
        starts = sorted(draw.choices(places, k=draw.randint(1, 12))) if places else []
        if max(map(len, text.split()), default=0) > PIECE:
            continue
        reader = memo.reader(text)
        assert [set(reader.around(start)) for start in starts] == whole_text(engine, text, starts), text


def test_long_pieces_are_cut(memo):
    text = "ssn " + "a" * (3 * PIECE) + " 219099999"
    assert memo.reader(text).around(len(text) - 9)[0] == "ssn"
    assert max(map(len, memo.reader(text).around(len(text) - 9))) == PIECE


def test_the_memo_is_bounded_and_forgets_without_change(monkeypatch):
    monkeypatch.setattr(context, "MEMO", 5)
    words = ContextWords(context_enhancer())
    text = " ".join(f"w{i % 7}:{i % 3} the x{i}" for i in range(20))
    starts = range(0, len(text), 40)
    small, plain = words.reader(text), ContextWords(context_enhancer()).reader(text)
    for start in starts:
        assert small.around(start) == plain.around(start)
        assert len(words._memo) <= 5
