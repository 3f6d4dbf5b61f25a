"""Repeated passages: every cut against brute force, on made and on real texts; and what is promised of the steps."""

from __future__ import annotations

import random
import sys

import numpy as np
import pyarrow as pa
import pytest
from gristmill.dedup import repeats, substring
from gristmill.dedup.anchors import anchors, find_words, windows
from gristmill.dedup.candidates import handles, units_and_rows
from gristmill.dedup.substring import cuts, digests, most_copied, remove_repeats
from gristmill.dedup.substring_settings import SubstringSettings
from gristmill.document import key_words, words_to_keys
from hypothesis import example, given, settings
from hypothesis import strategies as st

N = 8  # words: the least that the settings allow
M = 32  # bytes
NUMBERS = [str(i) for i in range(100)]
LETTERS = ["ab", "é", "è", "日本", "\U00010400", " ", "c"]  # some share their first bytes
HIRAGANA = [chr(i) for i in range(0x3041, 0x3080)]
SPACES = [chr(c) for c in range(sys.maxunicode + 1) if chr(c).isspace()]


def batch_of(texts, keys, kind=None):
    column = pa.array(texts, kind or pa.large_string())
    return pa.RecordBatch.from_arrays(
        [column, words_to_keys(np.asarray(keys, np.uint64).reshape(-1, 2))], ["text", "key"]
    )


def cut_out(texts, cut):
    """The texts without the spans; every piece must be whole UTF-8."""
    spans = {}
    for row, start, end in zip(*(part.tolist() for part in cut), strict=True):
        spans.setdefault(row, []).append((start, end))
    left = []
    for row, text in enumerate(texts):
        data, at, pieces = text.encode(), 0, []
        for start, end in spans.get(row, []):
            assert at <= start < end <= len(data)
            data[start:end].decode()
            pieces.append(data[at:start].decode())
            at = end
        left.append("".join([*pieces, data[at:].decode()]))
    return left


def brute_force(documents, ranks, keys, length, within):
    """For each sequence, which units are in a run of `length` that stands earlier, by comparing all places."""
    covered = [[False] * len(units) for units in documents]
    order = sorted(range(len(documents)), key=lambda d: (ranks[d], tuple(keys[d]), d))
    for number, b in enumerate(order):
        for a in order[: number + 1]:
            one, two = documents[a], documents[b]
            if a == b and not within:
                continue
            common = [0] * (len(two) + 1)  # of one[i:] and two[j:], from the end of `one` on
            for i in range(len(one) - 1, -1, -1):
                for j in range(len(two)):  # common[j + 1] is still that of i + 1
                    common[j] = common[j + 1] + 1 if one[i] == two[j] else 0
                    if common[j] >= length and (a != b or j >= i + length):
                        covered[b][j : j + length] = [True] * length
    return covered


@st.composite
def corpora(draw, alphabet, strange):
    """Documents made of pieces of a few passages, so that they overlap in all ways, and of units found nowhere else."""
    passages = draw(st.lists(st.lists(st.sampled_from(alphabet), min_size=1, max_size=30), min_size=1, max_size=4))
    passages = [passage * draw(st.integers(1, 30 // len(passage))) for passage in passages]
    documents, strange = [], iter(strange)
    for _ in range(draw(st.integers(1, 6))):
        units = []
        for _ in range(draw(st.integers(0, 4))):
            passage = draw(st.sampled_from(passages))
            start = draw(st.integers(0, len(passage)))
            units += passage[start : start + draw(st.integers(1, 30))] * draw(st.integers(1, 2))
            units += [next(strange)] * draw(st.integers(0, 1))
        documents.append(units)
    n = len(documents)
    ranks = draw(st.lists(st.integers(-1, 0), min_size=n, max_size=n))
    keys = draw(st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0, 1, 1 << 63])), min_size=n, max_size=n))
    return documents, ranks, keys


# -- words and anchors -----------------------------------------------------------------------------------------------


@given(st.text(st.one_of(st.sampled_from(SPACES), st.characters(exclude_categories=["Cs"])), max_size=60))
@example("".join(SPACES))
@example("a" + "a".join(SPACES) + "a")
@example("\x84\xa1\u1681\u167f\u200b\u202a\u2030\u205e\u2060\u3001\u2fff")
def test_words_are_those_of_split(text):
    data = np.frombuffer(text.encode(), np.uint8)
    room = (len(data) + 1) // 2
    hashes, starts, ends = np.empty(room, np.uint64), np.empty(room, np.uint32), np.empty(room, np.uint32)
    n = find_words(data, 0, len(data), hashes, starts, ends)
    found = [data[starts[i] : ends[i]].tobytes().decode() for i in range(n)]
    assert found == text.split()
    assert len(set(hashes[:n].tolist())) == len(set(found))


@given(st.lists(st.lists(st.integers(0, 3), max_size=40), max_size=5), st.booleans())
def test_every_window_has_an_anchor(documents, words):
    column = pa.array([(" " if words else "").join(map(str, units)) for units in documents], pa.large_string())
    length = N if words else M
    hashes, offsets = anchors(column, words, length)
    assert offsets.tolist()[0] == 0
    assert len(offsets) == len(documents) + 1
    for d, units in enumerate(documents):  # with the anchors of the document alone
        known = np.unique(hashes[offsets[d] : offsets[d + 1]])
        found = windows(column, np.array([d]), words, length, known)
        assert found["unit"].tolist() == list(range(len(units) - length + 1))
        assert set(found["document"].tolist()) <= {d}
    lone = np.delete(np.unique(hashes), slice(1, None))
    shown = windows(column, np.arange(len(documents)), words, length, np.unique(hashes), 7)
    some = windows(column, np.arange(len(documents)), words, length, np.unique(hashes), 7, (2, 5))
    assert some.tolist() == shown[(shown["partition"] >= 2) & (shown["partition"] < 5)].tolist()
    assert len(windows(column, np.arange(len(documents)), words, length, lone)) <= len(shown)


def test_anchors_are_few():
    draw = random.Random(1)
    text = " ".join(str(draw.randrange(10**9)) for _ in range(200_000))
    hashes, _ = anchors(pa.array([text]), True, 50)
    assert len(hashes) == pytest.approx(200_000 * 2 / (50 - 17 + 2), rel=0.03)  # 2 / (runs in a window + 1)
    sizes = [len(block) for _, block in repeats.anchor_blocks(repeats.thinned(hashes), 10)]
    assert sizes == pytest.approx([8 * len(hashes) / 10] * 10, rel=0.15)
    hashes, _ = anchors(pa.array(["a " * 200_000]), True, 50)
    assert len(hashes) == 2


# -- the whole against brute force -----------------------------------------------------------------------------------


def kept_words(texts, found):
    return [text.split() for text in cut_out(texts, found.cuts[0])]


@settings(max_examples=250)
@given(
    corpora(["a", "b", "é", "日本"], NUMBERS),
    st.booleans(),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
)
def test_words_cut_are_those_that_stand_earlier(corpus, within, passes, random):
    documents, ranks, keys = corpus
    spaces = [" ", "\n", " \n\n", "\u3000"]
    texts = ["".join(random.choice(spaces) + unit for unit in units) for units in documents]
    chosen = SubstringSettings(min_words=N, within_documents=within)
    found = remove_repeats([batch_of(texts, keys)], chosen, [np.array(ranks)], passes)
    covered = brute_force(documents, ranks, keys, N, within)
    expected = [[u for u, c in zip(d, cs, strict=True) if not c] for d, cs in zip(documents, covered, strict=True)]
    assert kept_words(texts, found) == expected
    assert found.refused == 0
    assert {u for d in expected for u in d} == {u for d in documents for u in d}  # nothing is lost


def trimmed(text, covered, whole_words):
    """What stays of a text whose bytes are `covered`: spans shrink to whole characters, or to whole words."""
    ends = np.cumsum([len(c.encode()) for c in text]).tolist()
    gone, at = [], 0
    for end in ends:
        gone.append(all(covered[at:end]))
        at = end
    if not whole_words:
        return "".join(c for c, g in zip(text, gone, strict=True) if not g)
    kept, word = [], []
    for c, g in [*zip(text, gone, strict=True), (" ", False)]:
        if not c.isspace():
            word.append((c, g))
        elif word:
            kept += [] if all(g for _, g in word) else ["".join(c for c, _ in word)]
            word = []
    return kept


@settings(max_examples=150)
@given(corpora(LETTERS, HIRAGANA), st.booleans(), st.booleans())
def test_bytes_cut_are_those_that_stand_earlier_in_whole_characters(corpus, within, whole_words):
    documents, ranks, keys = corpus
    texts = ["".join(units) for units in documents]
    chosen = SubstringSettings(min_bytes=M, within_documents=within, whole_words=whole_words)
    found = remove_repeats([batch_of(texts, keys)], chosen, [np.array(ranks)])
    covered = brute_force([text.encode() for text in texts], ranks, keys, M, within)
    left = cut_out(texts, found.cuts[0])
    expected = [trimmed(text, cover, whole_words) for text, cover in zip(texts, covered, strict=True)]
    assert [text.split() for text in left] == expected if whole_words else left == expected
    assert found.refused == 0


def equal_runs(documents, length):
    """Names of all runs of `length` words, by doubling (Karp, Miller and Rosenberg 1972): no hashes."""
    known = {}
    names = [np.array([known.setdefault(word, len(known)) for word in words], np.int64) for words in documents]
    step = 1
    while step < length:
        on = min(step, length - step)
        pairs = [np.stack([n[: max(len(n) - on, 0)], n[on:]], axis=1) for n in names]
        both = np.concatenate(pairs)
        _, named = np.unique(both[:, 0] * (both.max(initial=0) + 1) + both[:, 1], return_inverse=True)
        names = np.split(named, np.cumsum([len(p) for p in pairs])[:-1])
        step += on
    return names


def by_doubling(texts, ranks, keys, length):
    """The words that stay, of texts of any size."""
    documents = [text.split() for text in texts]
    names, first, kept = equal_runs(documents, length), {}, {}
    for d in sorted(range(len(texts)), key=lambda d: (ranks[d], tuple(keys[d].tolist()))):
        covered = np.zeros(len(documents[d]), bool)
        for i, name in enumerate(names[d].tolist()):
            where, at = first.setdefault(name, (d, i))
            if where != d or i >= at + length:
                covered[i : i + length] = True
        kept[d] = [word for word, gone in zip(documents[d], covered.tolist(), strict=True) if not gone]
    return [kept[d] for d in range(len(texts))]


def test_real_revisions_lose_all_repeats_and_nothing_else(revisions, random_keys):
    texts = [text for _, text in revisions][:120]
    keys = random_keys(len(texts), 5)
    column = pa.array(texts, pa.large_string())
    ranks = substring.survivor_rank(column)
    parts = np.array_split(np.arange(len(texts)), 7)
    batches = [batch_of([texts[i] for i in part], keys[part]) for part in parts]
    found = remove_repeats(batches, SubstringSettings(), passes=2)
    left = [t for part, cut in zip(parts, found.cuts, strict=True) for t in cut_out([texts[i] for i in part], cut)]
    assert [text.split() for text in left] == by_doubling(texts, ranks, keys, 50)
    assert found.refused == 0
    assert sum(map(len, left)) < 0.85 * sum(map(len, texts))  # there was something to find


def test_a_character_is_never_torn():
    """Letters of one alphabet share their first byte, so a repeat of bytes goes half a letter too far at both ends."""
    passage = "съешь ещё этих мягких французских булок да выпей чаю"
    texts = [f"д{passage}а", f"е{passage}б", f"ж{passage}", f"{passage}ъ"]
    chosen = SubstringSettings(min_bytes=64)
    found = remove_repeats([batch_of(texts, [(i, 0) for i in range(4)])], chosen, [np.zeros(4, int)])
    assert cut_out(texts, found.cuts[0]) == [texts[0], "еб", "ж", "ъ"]


# -- order -----------------------------------------------------------------------------------------------------------


def made(count, draw, words=400):
    """Texts of random words, a third of which hold passages of others."""
    texts = []
    for _ in range(count):
        text = [f"w{draw.randrange(3000)}" for _ in range(draw.randrange(words))]
        for _ in range(draw.randrange(3) if texts else 0):
            other = draw.choice(texts).split()
            start = draw.randrange(len(other) + 1)
            at = draw.randrange(len(text) + 1)
            text[at:at] = other[start : start + draw.randrange(200)]
        texts.append(" ".join(text))
    return texts


def by_steps(texts, keys, ranks, units, partitions, chosen, draw):
    """As pipelines do it: units in any order, blocks of partitions in any order. The texts left, by row."""
    words, length = chosen.words, chosen.length
    columns = [pa.array([texts[i] for i in unit], pa.large_string()) for unit in units]
    sampled = [anchors(column, words, length) for column in columns]
    shuffled = {}
    for number, (hashes, _) in enumerate(sampled):
        for partition, block in repeats.anchor_blocks(repeats.thinned(hashes), partitions):
            shuffled.setdefault(partition, []).append((number, block))
    known = {number: [np.empty(0, np.uint64)] for number in range(len(units))}
    for _, group in sorted(shuffled.items()):
        draw.shuffle(group)
        for (number, _), answer in zip(group, repeats.repeated([block for _, block in group]), strict=True):
            known[number].append(answer)

    gathered, shuffled = [], {}
    for number, (unit, column) in enumerate(zip(units, columns, strict=True)):
        again = np.concatenate(known[number])
        rows, _ = repeats.holding(*sampled[number], again)
        found = windows(column, rows, words, length, again, partitions)
        unit_handles = handles(number, np.arange(len(unit)))
        gathered.append(repeats.gather([found], unit_handles, ranks[unit], keys[unit]))
        for partition, block in repeats.window_blocks(gathered[-1]):
            shuffled.setdefault(partition, []).append((number, block))
    answers = {number: {} for number in range(len(units))}
    for partition, group in shuffled.items():
        draw.shuffle(group)
        for (number, _), answer in zip(group, repeats.resolve([block for _, block in group]), strict=True):
            answers[number][partition] = answer

    left = {}
    for number, (unit, column) in enumerate(zip(units, columns, strict=True)):
        claimed = repeats.claims(gathered[number], answers[number], length, chosen.within_documents)
        _, row = units_and_rows(claimed["handle"])
        mine = digests(column, row, claimed["unit"], claimed["count"], words)
        of_unit, of_row = units_and_rows(claimed["of_handle"])
        for other in set(of_unit.tolist()):
            at = np.flatnonzero(of_unit == other)
            theirs = digests(columns[other], of_row[at], claimed["of_unit"][at], claimed["count"][at], words)
            assert (theirs == mine[at]).all()
        cut = cuts(column, row, claimed["start"], claimed["end"], chosen)
        left.update(zip(unit, cut_out([texts[i] for i in unit], cut), strict=True))
    return [left[i] for i in range(len(texts))]


@pytest.mark.parametrize("chosen", [SubstringSettings(), SubstringSettings(min_bytes=200)])
def test_no_order_and_no_division_changes_what_stays(chosen, random_keys):
    draw = random.Random(3)
    texts = made(90, draw)
    keys, ranks = random_keys(len(texts), 1), np.array([draw.randrange(3) for _ in texts])
    whole = remove_repeats([batch_of(texts, keys)], chosen, [ranks])
    expected = cut_out(texts, whole.cuts[0])
    assert sum(map(len, expected)) < 0.9 * sum(map(len, texts))

    for passes, batches in ((1, 4), (5, 1), (3, 13)):
        order = list(range(len(texts)))
        draw.shuffle(order)
        parts = [part.tolist() for part in np.array_split(order, batches)]
        dealt = [batch_of([texts[i] for i in part], keys[part]) for part in parts]
        found = remove_repeats(dealt, chosen, [ranks[part] for part in parts], passes)
        left = {}
        for part, cut in zip(parts, found.cuts, strict=True):
            left.update(zip(part, cut_out([texts[i] for i in part], cut), strict=True))
        assert [left[i] for i in range(len(texts))] == expected
        assert by_steps(texts, keys, ranks, parts, passes + 2, chosen, draw) == expected


def test_a_copied_text_is_one_answer(random_keys):
    """Of each partition and run of windows: numbers that go on one after the other are told once."""
    text = " ".join(f"p{i}" for i in range(300))
    column, keys = pa.array([text], pa.large_string()), random_keys(2)
    everything = np.unique(anchors(column, True, 50)[0])
    gathered = [
        repeats.gather([windows(column, np.arange(1), True, 50, everything)], handles(unit, np.arange(1)), *about)
        for unit, about in enumerate(((np.array([-1]), keys[:1]), (np.array([0]), keys[1:])))
    ]
    kept, lost = repeats.resolve([dict(repeats.window_blocks(unit))[0] for unit in gathered])
    assert (len(kept), lost.tolist()) == (0, [(0, 251, 0, 0)])
    (claim,) = repeats.claims(gathered[1], {0: lost}, 50, True)
    assert (claim["unit"], claim["count"], claim["of_handle"], claim["of_unit"]) == (0, 300, 0, 0)


# -- what is claimed is checked --------------------------------------------------------------------------------------


def test_a_clash_of_hashes_cuts_nothing():
    """From 1,024 letters on a Thue-Morse text and its complement have one polynomial hash modulo 2^64, of any base."""
    first = "".join("ab"[bin(i).count("1") % 2] for i in range(1024))
    second = first.translate(str.maketrans("ab", "ba"))
    chosen = SubstringSettings(min_bytes=1024)
    column = pa.array([first, second])
    everything = np.unique(anchors(column, False, 1024)[0])
    hashes = windows(column, np.arange(2), False, 1024, everything)["hash"]
    assert hashes[0] == hashes[1]
    prose = " ".join(map(str, range(2000)))
    batch = batch_of([first, second, prose, prose], [(i, 0) for i in range(4)])
    found = remove_repeats([batch], chosen, [np.zeros(4, int)])
    assert found.refused == 1
    assert [cut.tolist() for cut in found.cuts[0]] == [[3], [0], [len(prose)]]


def test_digests_are_of_the_text_itself():
    column = pa.array(["x", "one  two\nthree", "two three"])
    same = digests(column, np.array([2, 1]), np.array([0, 1]), np.array([2, 2]), True)
    assert (same[0] == same[1]).all()
    raw = digests(column, np.array([2, 1]), np.array([0, 5]), np.array([9, 9]), False)
    assert (raw[0] != raw[1]).any()
    with pytest.raises(ValueError, match="row 1 has 3 units"):
        digests(column, np.array([1]), np.array([2]), np.array([2]), True)
    assert digests(column, *np.zeros((3, 0), int), True).shape == (0, 2)


# -- boilerplate and repetition --------------------------------------------------------------------------------------


def test_boilerplate_costs_one_step_a_copy(random_keys):
    """20,000 copies of one notice, in five wordings that differ in the middle; a pair of them is never compared."""
    draw = random.Random(2)
    notice = [f"n{i}" for i in range(120)]
    texts = []
    for i in range(20_000):
        notice[60] = f"version{i % 5}"
        texts.append(f"{i} {draw.random()} {' '.join(notice)} {draw.random()} {i}")
    found = remove_repeats([batch_of(texts, random_keys(len(texts)))], SubstringSettings())
    assert found.windows <= 20_000 * 75  # each window once
    left = cut_out(texts, found.cuts[0])
    assert sum(len(text.split()) == 4 for text in left) == 20_000 - 5
    (*_, copies), *_ = most_copied(found.claims)
    assert copies == pytest.approx(20_000, rel=0.01)


@pytest.mark.slow
def test_a_notice_in_200_000_documents(random_keys):
    notice = " ".join(f"n{i}" for i in range(300))
    texts = [f"{i} {notice} {i}" for i in range(200_000)]
    found = remove_repeats([batch_of(texts, random_keys(len(texts)))], SubstringSettings(), passes=8)
    assert [len(cut) for cut in found.cuts[0]] == [199_999] * 3


def test_a_text_that_repeats_itself_keeps_one_passage():
    lead = " ".join(f"x{i}" for i in range(100)) + " "
    for text, kept in (
        ("a " * 5000, 50),
        ("a b c " * 5000, 50),
        (lead + "a " * 5000, 150),
        (lead + "a b c " * 5000, 150),
        ("a " * 99, 99),
        ("a " * 100, 50),
    ):
        batch = batch_of([text], [(0, 0)])
        found = remove_repeats([batch], SubstringSettings())
        assert len(cut_out([text], found.cuts[0])[0].split()) == pytest.approx(kept, abs=2)
        assert len(found.claims) <= len(text) / 50  # what covers it, not one a window
        alone = remove_repeats([batch], SubstringSettings(within_documents=False))
        assert len(alone.cuts[0].rows) == 0


# -- the places of cuts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "behind", "expected"),
    [
        ("one ", " two", "one two"),
        ("one\n\n", "\n\ntwo", "one\n\ntwo"),
        ("one ", "\n\ntwo", "one\n\ntwo"),
        ("one\n\n", " two", "one\n\ntwo"),
        ("one\u3000", "\u2003two", "one\u3000two"),
        ("", " two", "two"),
        ("\n", "\ntwo", "\ntwo"),
        ("one ", "", "one"),
        ("one ", "\n", "one\n"),
        (" ", "\n", ""),
    ],
)
def test_one_white_space_stays_where_a_passage_was(before, behind, expected):
    passage = " ".join(f"p{i}" for i in range(60))
    texts = [passage, before + passage + behind]
    found = remove_repeats([batch_of(texts, [(0, 0), (1, 0)])], SubstringSettings(), [np.zeros(2, int)])
    assert cut_out(texts, found.cuts[0]) == [passage, expected]


def test_passages_side_by_side_are_one_cut():
    one, two = (" ".join(f"{p}{i}" for i in range(60)) for p in "ab")
    texts = [one, two, f"x {two}\n\n{one} y"]
    found = remove_repeats([batch_of(texts, [(i, 0) for i in range(3)])], SubstringSettings(), [np.zeros(3, int)])
    assert cut_out(texts, found.cuts[0]) == [one, two, "x y"]
    assert len(found.cuts[0].rows) == 1
    assert most_copied(found.claims) == [(0, 0, 1), (1, 0, 1)]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_slices_nulls_and_nothing(kind):
    passage = " ".join(f"p{i}" for i in range(60))
    batch = batch_of([passage, "x", None, f"y {passage}", passage], [(i, 0) for i in range(5)], kind).slice(1, 3)
    for chosen in (SubstringSettings(), SubstringSettings(min_bytes=100)):
        assert len(remove_repeats([batch], chosen).cuts[0].rows) == 0
        assert remove_repeats([], chosen).cuts == []
        found = remove_repeats([batch, batch.slice(0, 0), batch_of([passage], [(9, 9)], kind)], chosen)
        assert [len(cut.rows) for cut in found.cuts] == [0, 0, 1]  # the longest stays
        assert found.claims["of_handle"].tolist() == handles(0, np.array([2])).tolist()


def test_passes_keep_to_the_memory(random_keys):
    texts = made(60, random.Random(5))
    batch = batch_of(texts, random_keys(len(texts)))
    whole, many = (remove_repeats([batch], SubstringSettings(), memory=memory) for memory in (1 << 30, 1 << 17))
    assert whole.passes == 1
    assert many.passes == pytest.approx(whole.windows * substring.WINDOW_BYTES / (1 << 17), rel=0.3)
    assert cut_out(texts, many.cuts[0]) == cut_out(texts, whole.cuts[0])


def test_settings():
    assert (SubstringSettings().words, SubstringSettings().length) == (True, 50)
    assert (SubstringSettings(min_bytes=200).words, SubstringSettings(min_bytes=200).length) == (False, 200)
    for chosen in (SubstringSettings(), SubstringSettings(min_words=9), SubstringSettings(min_bytes=200)):
        assert SubstringSettings.model_validate_json(chosen.model_dump_json()) == chosen
    for wrong in ({"min_bytes": 100, "min_words": 50}, {"whole_words": True}, {"keep": "first"}):
        with pytest.raises(ValueError):
            SubstringSettings(**wrong)
    with pytest.raises(ValueError, match="0 passes"):
        remove_repeats([], SubstringSettings(), passes=0)


def test_keys_of_batches_are_read(random_keys):
    passage = " ".join(f"p{i}" for i in range(60))
    keys = np.array([[1 << 63, 0], [1, 0]], np.uint64)  # compared as unsigned numbers
    batch = batch_of([passage, passage], keys)
    assert (key_words(batch.column("key")) == keys).all()
    assert remove_repeats([batch], SubstringSettings()).cuts[0].rows.tolist() == [0]
