"""Paragraphs across a corpus: hashes, first occurrences and cuts against plain Python on strings."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import unicodedata
from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from gristmill.config import RequestError
from gristmill.dedup.candidates import handles, partition_of, units_and_rows
from gristmill.dedup.occurrences import (
    OCCURRENCE,
    first_of_each,
    join_keep_lists,
    keep_list,
    merge,
    not_kept,
    occurrences,
)
from gristmill.dedup.paragraph_settings import BloomSettings, ParagraphSettings
from gristmill.dedup.paragraphs import deduplicate, edits, paragraphs
from gristmill.dedup.siphash import key_of, siphash
from gristmill.dedup.spelling import GROWTH, MOST_MARKS, normalised
from gristmill.document import words_to_keys
from hypothesis import given, settings
from hypothesis import strategies as st

# -- the same, slowly -------------------------------------------------------------------------------------------------


def spelled(text: str, form: str) -> str:
    """The form of a text by unicodedata and str."""
    if form == "raw":
        return text
    text = "".join("σ" if c == "ς" else c.lower() for c in unicodedata.normalize("NFD", text))
    if form == "ccnet":
        kept = []
        for c in text:
            kind = unicodedata.category(c)
            if c.isspace():
                kept.append(" ")
            elif not (unicodedata.combining(c) or kind.startswith("P") or kind in ("Cc", "Cf")):
                kept.append("0" if kind == "Nd" else c)
        text = "".join(kept)
    return " ".join(text.split())


def pieces(text: str, unit: str) -> list[tuple[int, int]]:
    """(start, end) in characters of every line, or of every paragraph."""
    spans, at = [], 0
    for line in text.split("\n"):
        spans.append((at, at + len(line)))
        at += len(line) + 1
    if unit == "line":
        return spans
    made: list[tuple[int, int]] = []
    open_at = None
    for start, end in spans:
        if not text[start:end].strip():
            open_at = None
        elif open_at is None:
            open_at = start
            made.append((start, end))
        else:
            made[-1] = (open_at, end)
    return made


def expected(documents, options: ParagraphSettings) -> list[tuple[str, list[int], bool, float]]:
    """(text that is left, ordinals that go, dropped, share) of documents (rank, key, text)."""
    candidates = []
    for d, (rank, key, text) in enumerate(documents):
        for ordinal, (start, end) in enumerate(pieces(text, options.unit)):
            piece = text[start:end]
            form = spelled(piece, options.normalise)
            if not piece.strip() or not form:
                continue
            if len(piece) < options.min_characters or len(piece.split()) < options.min_words:
                continue
            candidates.append((d, ordinal, form, (rank, key, ordinal, d)))

    def going(dropped):
        """The ordinals that each document loses, if the dropped ones have no claim."""
        first: dict[str, tuple] = {}
        for d, _, form, order in candidates:
            if d not in dropped:
                first[form] = min(first.get(form, order), order)
        return [
            {o for d, o, form, order in candidates if d == i and first.get(form, order) != order}
            for i in range(len(documents))
        ]

    once = outcome(documents, options, going(()))
    dropped = [d for d, result in enumerate(once) if result[2]]
    again = outcome(documents, options, going(dropped))
    return [first if first[2] else second for first, second in zip(once, again, strict=True)]


def outcome(documents, options, gone):
    """The result of each document if it loses the ordinals `gone`."""
    results = []
    for (_, _, text), going in zip(documents, gone, strict=True):
        spans = pieces(text, options.unit)

        def size(span, text=text):
            piece = text[span[0] : span[1]]
            return (len(piece) if piece.strip() else 0) if options.share_of == "characters" else len(piece.split())

        lost, total = sum(size(spans[o]) for o in going), sum(map(size, spans))
        share = lost / max(total, 1)
        dropped = share > options.max_removed or (0 < lost == total)
        if options.unit == "line":
            left = "\n".join(text[a:b] for o, (a, b) in enumerate(spans) if o not in going)
        elif not spans:
            left = text
        else:
            left = text[: spans[0][0]]
            kept = [o for o in range(len(spans)) if o not in going]
            for o in kept:
                behind = spans[o][1]
                left += text[spans[o][0] : behind]
                left += text[behind : spans[o + 1][0]] if o != kept[-1] else ""
            left += text[spans[-1][1] :]
        results.append((left, sorted(going), dropped, share))
    return results


def batch_of(documents) -> pa.RecordBatch:
    words = np.array([[0, key] for _, key, _ in documents], np.uint64).reshape(-1, 2)
    texts = pa.array([text for *_, text in documents], pa.large_string())
    return pa.RecordBatch.from_arrays([words_to_keys(words), texts], ["key", "text"])


def without(text: str, spans) -> str:
    data = text.encode()
    for start, end in sorted(spans, reverse=True):
        assert 0 <= start < end <= len(data)
        data = data[:start] + data[end:]
    return data.decode()  # strict: no cut within a character


def run(batches, options):
    """(text left, ordinals, dropped, share) of every document of `batches`, lists of (rank, key, text)."""
    of_text = {text: rank for batch in batches for rank, _, text in batch}
    found = deduplicate(
        [batch_of(batch) for batch in batches],
        options,
        lambda texts: np.array([of_text[t] for t in texts.to_pylist()], np.int64),
    )
    results = []
    for batch, made in zip(batches, found.edits, strict=True):
        assert (np.diff(made.rows) >= 0).all()
        same = np.diff(made.rows) == 0
        assert (made.starts[1:][same] > made.ends[:-1][same]).all()  # neither overlap nor touch
        for row, (_, _, text) in enumerate(batch):
            mine = made.rows == row
            detail = json.loads(made.details[row]) if made.details[row] else {}
            assert detail.get(f"removed_{options.unit}s", 0) == made.removed[row]
            numbers = [number - 1 for number in detail.get(f"{options.unit}s", [])]
            spans = zip(made.starts[mine].tolist(), made.ends[mine].tolist(), strict=True)
            results.append((without(text, spans), numbers, bool(made.drop[row]), float(made.share[row])))
    return results


line = st.sampled_from(
    [
        *("", " ", "\t\r", "---", "\u2028", "\0", "\u00ad", "a", "é", "e\u0301"),
        *("One line", "one  LINE!", "One lyne", "2 apples", "3 apples", "日本語の段落", "日本語の段落。", "x" * 30),
    ]
)
texts = st.lists(line, max_size=7).map("\n".join)
documents = st.lists(st.tuples(st.integers(0, 1), texts), max_size=8).map(
    lambda rows: [(len(text) % 2 + 3 * rank, i, text) for i, (rank, text) in enumerate(rows)]
)
options = st.builds(
    ParagraphSettings,
    unit=st.sampled_from(["line", "paragraph"]),
    normalise=st.sampled_from(["raw", "text", "ccnet"]),
    min_characters=st.sampled_from([0, 2, 9]),
    min_words=st.sampled_from([0, 2]),
    max_removed=st.sampled_from([1.0, 0.5, 0.0]),
    share_of=st.sampled_from(["characters", "words"]),
    seed=st.sampled_from([0, 2**64 - 1]),
)


def consistent(docs):
    """`run` finds a document's rank by its text: equal texts get the rank of the first of them."""
    ranks: dict[str, int] = {}
    return [(ranks.setdefault(text, rank), key, text) for rank, key, text in docs]


@settings(max_examples=300)
@given(documents, options, st.integers(1, 4))
def test_it_is_what_plain_python_does(docs, options, size):
    docs = consistent(docs)
    batches = [docs[i : i + size] for i in range(0, len(docs), size)]
    assert run(batches, options) == expected(docs, options)


@settings(max_examples=60)
@given(documents, options, st.randoms(use_true_random=False))
def test_neither_batches_nor_their_order_matter(docs, options, random):
    docs = consistent(docs)
    random.shuffle(docs)
    sizes = []
    while sum(sizes) < len(docs):
        sizes.append(random.randint(0, 3))
    cuts = np.cumsum([0, *sizes])
    batches = [docs[a:b] for a, b in pairwise(cuts)]
    bloom = random.choice([None, BloomSettings(expected=1, rate=0.5), BloomSettings(expected=1000, rate=1e-4)])
    results = run(batches, options.model_copy(update={"bloom": bloom}))
    by_key = {key: result for (_, key, _), result in zip(docs, results, strict=True)}
    docs.sort(key=lambda document: document[1])
    assert [by_key[key] for _, key, _ in docs] == expected(docs, options)


@settings(max_examples=40)
@given(documents, st.integers(1, 5), st.integers(1, 3), st.randoms(use_true_random=False))
def test_a_pipeline_of_blocks_gives_the_same(docs, partitions, size, random):
    """Mappers send the smallest of each hash, whoever has a partition merges them in any order, lists come back."""
    docs, options = consistent(docs), ParagraphSettings(min_characters=0)
    batches = [docs[i : i + size] for i in range(0, len(docs), size)]
    columns = [batch_of(batch).column("text") for batch in batches]
    found = [paragraphs(column, options) for column in columns]
    blocks: list[list[np.ndarray]] = [[] for _ in range(partitions)]
    for unit, (batch, part) in enumerate(zip(batches, found, strict=True)):
        rank = np.array([rank for rank, *_ in batch], np.int64)
        key = np.array([[0, key] for _, key, _ in batch], np.uint64)
        rows = part.rows
        sent = occurrences(part.hashes, rank[rows], key[rows], part.ordinals, handles(unit, rows))
        merged = merge([sent])
        to = partition_of(merged["hash"][:, 0], partitions)
        for partition in range(partitions):
            blocks[partition].append(merged[to == partition])
    answers, alone = [], 0
    for mine in blocks:
        random.shuffle(mine)
        merged = merge(mine)
        answers.append(keep_list(merged))
        alone += int((merged["repeated"] == 0).sum())
    hashes = [tuple(row) for part in found for row in part.hashes.tolist()]
    assert alone == sum(hashes.count(row) == 1 for row in hashes)
    results = []
    for unit, (column, part) in enumerate(zip(columns, found, strict=True)):
        mine = join_keep_lists(answer[units_and_rows(answer["handle"])[0] == unit] for answer in answers)
        gone = not_kept(handles(unit, part.rows), part.ordinals, mine)
        made = edits(column, part, gone, options)
        results += [json.loads(detail)["lines"] if detail else [] for detail in made.details]
    assert results == [[o + 1 for o in ordinals] for _, ordinals, *_ in expected(docs, options)]


# -- which one stays --------------------------------------------------------------------------------------------------

entry = st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(-1, 1), st.integers(0, 2), st.integers(0, 2))


@settings(max_examples=100)
@given(st.lists(entry, max_size=40), st.integers(1, 5))
def test_the_smallest_of_each_hash_stays(rows, size):
    """Hashes that agree in their first half too; keys all over the 64 bits."""
    table = np.array([(*row, i) for i, row in enumerate(rows)], np.int64).reshape(-1, 6)
    entries = np.zeros(len(rows), OCCURRENCE)
    entries["hash"], entries["rank"] = table[:, :2], table[:, 2]
    entries["key"][:, 0] = table[:, 3].astype(np.uint64) << np.uint64(62)
    entries["ordinal"], entries["handle"] = table[:, 4], table[:, 5]
    smallest: dict[tuple, tuple] = {}
    for h, g, *rest in table.tolist():
        smallest[h, g] = min(smallest.get((h, g), tuple(rest)), tuple(rest))
    first = first_of_each(entries)
    assert [tuple(table[f, 2:]) for f in first] == [smallest[h, g] for h, g in table[:, :2].tolist()]

    merged = merge(entries[i : i + size] for i in range(0, len(entries), size))
    assert merged["hash"].tolist() == [list(h) for h in sorted(smallest)]
    assert merged["handle"].tolist() == [smallest[h][-1] for h in sorted(smallest)]
    count = Counter(map(tuple, table[:, :2].tolist()))
    assert merged["repeated"].tolist() == [int(count[h] > 1) for h in sorted(smallest)]
    again = merge([merged[::-1].copy(), merged[:3]])
    assert again["repeated"].tolist() == [1] * len(merged[:3]) + merged["repeated"][3:].tolist()
    again["repeated"] = merged["repeated"]
    assert again.tobytes() == merged.tobytes()


def test_a_hot_line_is_merged_in_linear_time_and_little_room():
    """2 million occurrences of one line, in blocks that are made as they are asked for."""
    draw = np.random.default_rng(0)
    least = []

    def blocks(count, size=50_000):
        for b in range(count):
            entries = np.zeros(size, OCCURRENCE)
            entries["hash"] = (1, 2)
            entries["key"] = draw.integers(0, 1 << 64, (size, 2), dtype=np.uint64)
            entries["handle"] = handles(b, np.arange(size))
            least.append(entries["key"][np.lexsort(entries["key"].T[::-1])[0]].tolist())
            yield entries

    spent = []
    for count in (20, 40):
        start = time.process_time()
        merged = merge(blocks(count))
        spent.append(time.process_time() - start)
        assert len(merged) == 1
    assert merged["key"][0].tolist() == min(least[20:])
    assert spent[1] < 5 * spent[0]


def test_not_kept_needs_no_order_of_the_paragraphs():
    keep = keep_list(np.array([((0, 0), 0, (0, 0), o, 0, h) for h, o in [(3, 1), (1, 2), (1, 0)]], OCCURRENCE))
    handle, ordinal = np.array([1, 1, 1, 3, 3, 2, 1, 1]), np.array([0, 1, 2, 0, 1, 0, 2, 0])
    assert not_kept(handle, ordinal, keep).tolist() == [False, True, False, True, False, True, False, False]


# -- hashes and spelling ----------------------------------------------------------------------------------------------


def sip(data: bytes, key: tuple[int, int]) -> bytes:
    """SipHash-2-4-128 in Python, after the paper and the reference code."""
    mask = 2**64 - 1
    v = [key[0] ^ 0x736F6D6570736575, key[1] ^ 0x646F72616E646F6D ^ 0xEE]
    v += [key[0] ^ 0x6C7967656E657261, key[1] ^ 0x7465646279746573]

    def left(x, b):
        return (x << b | x >> (64 - b)) & mask

    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & mask
            v[2] = (v[2] + v[3]) & mask
            v[1], v[3] = left(v[1], 13) ^ v[0], left(v[3], 16) ^ v[2]
            v[0] = left(v[0], 32)
            v[2] = (v[2] + v[1]) & mask
            v[0] = (v[0] + v[3]) & mask
            v[1], v[3] = left(v[1], 17) ^ v[2], left(v[3], 21) ^ v[0]
            v[2] = left(v[2], 32)

    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) % 256])
    for i in range(0, len(padded), 8):
        word = int.from_bytes(padded[i : i + 8], "little")
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xEE
    rounds(4)
    first = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xDD
    rounds(4)
    return b"".join(x.to_bytes(8, "little") for x in (first, v[0] ^ v[1] ^ v[2] ^ v[3]))


def compiled_sip(data: bytes, key: tuple[int, int]) -> bytes:
    words = siphash(np.frombuffer(data, np.uint8), 0, len(data), np.uint64(key[0]), np.uint64(key[1]))
    return b"".join(int(word).to_bytes(8, "little") for word in words)


def test_siphash_has_the_published_values():
    """The first of the test vectors of the authors' reference code."""
    key = tuple(int.from_bytes(bytes(range(i, i + 8)), "little") for i in (0, 8))
    vectors = ("a3817f04ba25a8e66df67214c7550293", "da87c1d86b99af44347659119b22fc45")
    for n, vector in enumerate(vectors):
        assert compiled_sip(bytes(range(n)), key).hex() == vector
        assert sip(bytes(range(n)), key).hex() == vector


@given(st.binary(max_size=300), st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)))
def test_siphash_of_any_bytes(data, key):
    assert compiled_sip(data, key) == sip(data, key)


def test_a_paragraph_s_hash_is_that_of_its_normalised_text():
    text = "  Ünïcode, 12 “times”…\nDas ist ein Satz.\n"
    for form in ("raw", "text", "ccnet"):
        found = paragraphs(pa.array([text]), ParagraphSettings(normalise=form, min_characters=0, seed=7))
        key = tuple(map(int, key_of(7, "paragraphs")))
        hashes = [row.astype("<u8").tobytes() for row in found.hashes]
        assert hashes == [sip(spelled(piece, form).encode(), key) for piece in text.split("\n")[:2]]


@pytest.mark.parametrize("form", ["text", "ccnet"])
def test_every_character_is_spelled_as_unicodedata_says(form):
    characters = [chr(i) for i in range(sys.maxunicode + 1) if not 0xD800 <= i <= 0xDFFF]
    got = normalised(pa.array(characters), form).to_pylist()
    sample = characters[:0x3000] + characters[0xA000:0xB000] + characters[0xF000::17]
    for text, spelling in zip(sample, normalised(pa.array([f"a{c} b" for c in sample]), form).to_pylist(), strict=True):
        assert spelling == spelled(f"a{text} b", form)
    assert max(len(g.encode()) / len(c.encode()) for c, g in zip(characters, got, strict=True)) == GROWTH


marks = "".join(chr(i) for i in range(0x300, 0x3000) if unicodedata.combining(chr(i)))
hard = st.text(
    st.one_of(st.sampled_from(marks), st.sampled_from("aAéİΣς .1\t\u2002\u212b가각ཀ"), st.characters(codec="utf-8"))
)


@settings(max_examples=300)
@given(st.lists(hard, max_size=4), st.sampled_from(["text", "ccnet"]))
def test_texts_are_spelled_as_unicodedata_says(texts, form):
    """Marks in a row, capitals of two characters, Hangul, spaces that decompose. (Rows beyond MOST_MARKS: below.)"""
    got = normalised(pa.array(["x", *texts], pa.string())[1:], form).to_pylist()
    assert got == [spelled(text, form) for text in texts]
    for other in ("NFC", "NFD"):
        same = [unicodedata.normalize(other, text) for text in texts]
        assert normalised(pa.array(same, pa.large_string()), form).to_pylist() == got


def test_hostile_texts():
    """Rows of marks without end, one line of megabytes, nothing but line feeds: linear, and to be cut exactly."""
    zalgo = "a" + "\u0316\u0301" * 200_000
    text = normalised(pa.array([zalgo]), "text")[0].as_py()
    assert len(text) == len(zalgo)
    assert text[: MOST_MARKS + 1] == "a" + "\u0316" * (MOST_MARKS // 2) + "\u0301" * (MOST_MARKS // 2)

    long = "word " * 400_000
    for unit in ("line", "paragraph"):
        chosen = ParagraphSettings(unit=unit, min_characters=0)
        docs = [(0, 0, long + "\n" * 300_000 + "end"), (0, 1, zalgo), (0, 2, ""), (0, 3, "\n" * 1000), (0, 4, "end")]
        docs += [(0, 5, "\u2028".join("ab") + "\n\0\n\n" + long), (0, 6, "\ufeff\n\u200f"), (0, 7, zalgo)]
        results = run([docs], chosen)
        assert [dropped for _, _, dropped, _ in results] == [False] * 4 + [True, False, False, True]
        assert results[5][0] == ("a\u2028b\n\0\n" if unit == "line" else "a\u2028b\n\0")


def test_slices_chunks_and_nulls_are_read():
    rows = ["same long line of text", None, "same long line of text\nother"]
    column = pa.chunked_array([pa.array(rows[:1]), pa.array(["skip", *rows[1:]])[1:]])
    found = paragraphs(column, ParagraphSettings())
    assert (found.rows.tolist(), found.totals.tolist()) == ([0, 2], [22, 0, 27])
    assert (found.hashes[0] == found.hashes[1]).all()
    nothing = paragraphs(pa.array([], pa.large_string()), ParagraphSettings())
    assert len(nothing.rows) == len(nothing.totals) == 0
    assert merge([]).dtype == OCCURRENCE
    assert len(deduplicate([], ParagraphSettings()).edits) == 0


def test_a_ledger_row_names_at_most_so_many_lines():
    docs = [(0, 0, "a long enough line to count"), (0, 1, "\n".join(["a long enough line to count"] * 150))]
    (_, made) = deduplicate([batch_of([d]) for d in docs], ParagraphSettings()).edits
    told = json.loads(made.details[0])
    assert (told["lines"], told["removed_lines"]) == (list(range(1, 101)), 150)
    assert told["removed_characters"] == 150 * 27


def test_the_sieve_spares_comparisons_and_reports_its_rate():
    docs = [
        (0, i, f"paragraph number {chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{chr(97 + i // 676)}") for i in range(4000)
    ]
    docs += [(0, 5000 + i, docs[i][2]) for i in range(100)]
    whole = deduplicate([batch_of(docs)], ParagraphSettings())
    sieved = deduplicate([batch_of(docs)], ParagraphSettings(bloom=BloomSettings(expected=4000, rate=0.01)))
    assert (whole.paragraphs, whole.compared, whole.compared_for_nothing) == (4100, 4100, 3900)
    assert sieved.edits[0].drop.tolist() == whole.edits[0].drop.tolist()
    assert sieved.compared == 200 + sieved.compared_for_nothing
    assert sieved.false_positive_rate == sieved.compared_for_nothing / 3900
    assert sieved.false_positive_rate < 0.02


def test_settings_are_light_and_refused_by_name():
    code = "import sys, gristmill.dedup.paragraph_settings\nassert not {'numpy', 'numba', 'pyarrow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    for wrong in ({"unit": "sentence"}, {"max_removed": 1.5}, {"min_words": -1}, {"seed": 2**64}):
        with pytest.raises((ValueError, RequestError)):
            ParagraphSettings(**wrong)
