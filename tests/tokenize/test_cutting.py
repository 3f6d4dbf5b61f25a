"""Cutting long texts: the parts encode to the ids of the whole, whatever the text."""

import json

import pytest
from gristmill.tokenize.cutting import cut, may_cut
from hypothesis import given
from hypothesis import strategies as st

# Characters that meet at the borders of the GPT-2 pattern: white space, letters, marks, digits, contractions
ALPHABET = "ab1 \n\t\r.'sé\u0301中。\u3000\u00a0\u0085\x1c\u180e\u200b\ufeff\u2028😀"


@pytest.fixture(scope="module")
def pieces():
    from tokenizers import pre_tokenizers

    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return lambda text: [piece for piece, _ in level.pre_tokenize_str(text)]


@given(text=st.text(ALPHABET, max_size=60), length=st.integers(1, 12))
def test_the_pieces_of_the_parts_are_the_pieces_of_the_whole(pieces, text, length):
    parts = cut(text, length)
    assert "".join(parts) == text
    assert [piece for part in parts for piece in pieces(part)] == pieces(text)


@given(text=st.text(max_size=200), length=st.integers(1, 12))
def test_any_unicode(pieces, text, length):
    assert [piece for part in cut(text, length) for piece in pieces(part)] == pieces(text)


def test_parts_are_about_as_long_as_asked():
    parts = cut("word and another\n" * 10_000, 1000)
    assert max(map(len, parts)) < 1000 + 10
    assert len(parts) > 160


def test_without_a_safe_place_the_text_stays_whole():
    assert cut("a" * 5000, 100) == ["a" * 5000]
    assert cut(" " * 5000, 100) == [" " * 5000]


def test_who_may_be_cut(shared_data):
    gpt2 = {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}, "normalizer": None}
    assert may_cut(gpt2)
    assert may_cut(gpt2 | {"normalizer": {"type": "NFC"}})
    assert not may_cut(gpt2 | {"normalizer": {"type": "Lowercase"}})
    assert not may_cut(gpt2 | {"pre_tokenizer": {"type": "Whitespace"}})
    assert not may_cut(gpt2 | {"pre_tokenizer": gpt2["pre_tokenizer"] | {"add_prefix_space": True}})
    assert not may_cut(gpt2 | {"added_tokens": [{"content": "New York", "rstrip": False, "special": False}]})
    assert not may_cut(gpt2 | {"added_tokens": [{"content": "York", "rstrip": True, "special": False}]})
    assert may_cut(json.loads((shared_data / "models/gpt-neox-olmo/tokenizer.json").read_text()))
