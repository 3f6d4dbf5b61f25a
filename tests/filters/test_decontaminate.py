"""Evaluation items in documents: the compiled scan against the definition in plain Python, plants, cuts, the index."""

from __future__ import annotations

import gzip
import json
import random
import re
import subprocess
import sys
import unicodedata
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from gristmill.config import validate
from gristmill.console import RequestError
from gristmill.document import DOCUMENT, text_buffers
from gristmill.filters.decontaminate import (
    Contamination,
    DecontaminateSettings,
    build_index,
    decontaminate_stage,
    inputs,
)
from gristmill.filters.measures.folded_words import ALONE, JOINED, PASS, PLAIN, SEPARATE, SEVERAL, SPLIT, fold, folding
from gristmill.filters.measures.ngram_index import find, item_name, items_of
from gristmill.filters.stage import first_verdicts
from hypothesis import given, settings
from hypothesis import strategies as st


def batch_of(texts: list[str]) -> pa.RecordBatch:
    n = len(texts)
    columns = {f.name: pa.nulls(n, f.type) for f in DOCUMENT}
    columns["text"] = pa.array(texts, pa.large_string())
    return pa.RecordBatch.from_pydict(columns, DOCUMENT)


def recipe(sets: dict, **options) -> DecontaminateSettings:
    return validate(DecontaminateSettings, {"sets": sets, **options}, "recipe")


def one_set(folder: Path, items: list, name: str = "s.jsonl", **options) -> DecontaminateSettings:
    """A recipe with one set of items, whose texts stand in the field `t`."""
    folder.joinpath(name).write_text("\n".join(json.dumps(i if isinstance(i, dict) else {"t": i}) for i in items))
    return recipe({"s": {"paths": str(folder / name), "fields": ["t"]}}, **options)


def dropped(stage, texts: list[str]) -> dict[int, dict]:
    """Row -> what the ledger tells."""
    outcome = stage(batch_of(texts))
    return {
        int(r): json.loads(d) for drop in first_verdicts(outcome) for r, d in zip(drop.rows, drop.detail, strict=True)
    }


# -- the definition, as slowly as it reads ----------------------------------------------------------------------------

UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]"
)


def words_of(text: str, reading: int) -> list[str]:
    words, word = [], ""
    for character in text:
        if character in "'’‘‛ʼʹ`´′＇":
            folded = " " if reading == SPLIT else ""
        elif unicodedata.category(character) in ("Cn", "Cs", "Co", "Cc", "Zs", "Zl", "Zp"):
            folded = " "
        else:
            whole = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
            folded = ""
            for part in whole:
                kind = unicodedata.category(part)
                if kind in ("Mn", "Me", "Cf"):
                    continue
                if part.isalnum() or kind == "Mc":
                    folded += f" {part} " if UNSPACED.match(part) and not part.isdigit() else part
                elif reading != JOINED or part.isspace():
                    folded += " "
        for part in folded:
            if part == " ":
                words += [word] if word else []
                word = ""
            else:
                word += part
    return words + ([word] if word else [])


def grams_of(text: str, reading: int, n: int, least: int) -> set[tuple[str, ...]]:
    """What is looked for of an item's text."""
    words = words_of(text, reading)
    if len(words) < n:
        return {tuple(words)} if len(words) >= least else set()
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def runs_of(text: str, n: int, least: int) -> set[tuple[str, ...]]:
    words = words_of(text, PLAIN)
    return {tuple(words[i : i + k]) for k in range(least, n + 1) for i in range(len(words) - k + 1)}


def expected(items: list[list[str]], text: str, n: int, least: int, ignore=(), most=None):
    """(most n-grams of one item, largest share, share of the document, {item: how many})."""
    owners = defaultdict(set)
    plain = defaultdict(set)
    left_out = set().union(*(grams_of(t, r, n, least) for t in ignore for r in range(3)))
    for i, texts in enumerate(items):
        for t in texts:
            for reading in range(3):
                for gram in grams_of(t, reading, n, least) - left_out:
                    owners[gram].add(i)
                    if reading == PLAIN:
                        plain[i].add(gram)
    if most is not None:
        owners = {g: o for g, o in owners.items() if len(o) <= most}
    found = runs_of(text, n, least) & set(owners)
    counts, shares = defaultdict(int), {}
    for gram in found:
        for i in owners[gram]:
            counts[i] += 1
    for i, count in counts.items():
        total = sum(g in owners for g in plain[i]) or sum(i in o for o in owners.values())
        shares[i] = min(count, total) / total
    words = words_of(text, PLAIN)
    windows = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    document = sum(w in owners for w in windows) / len(windows) if windows else np.nan
    return max(counts.values(), default=0), max(shares.values(), default=0.0), document, dict(counts)


WORDS = [
    "a",
    "b",
    "c",
    "É",
    "e\u0301",
    "E",
    "don't",
    "dont",
    "x-y",
    "xy",
    "2,000",
    "2000",
    "ﬁ",
    "fi",
    "FI",
    "中",
    "文",
    "中文",
]
WORDS += ["한", "\u1112\u1161\u11ab", "ß", "ss", "½", "ก", "…", "'", "😀", "\u200b", "عـ", "ع", "_", "Ⅷ", "viii"]
GAPS = [" "] * 8 + ["\n", "\t", "\u00a0", ". ", ", ", " — ", "-", "", "\u2028", "\0", "'", "\u00ad"]
pieces = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(GAPS)), max_size=24)
texts = pieces.map(lambda p: "".join(w + g for w, g in p)) | st.text(max_size=30)


@given(
    st.lists(st.lists(texts, max_size=3), min_size=1, max_size=6),
    st.lists(texts, max_size=5),
    st.integers(4, 7),
    st.integers(1, 7),
    st.lists(texts, max_size=1),
    st.none() | st.integers(1, 2),
)
@settings(max_examples=120)
def test_signals_equal_the_definition(items, documents, n, least, ignore, most):
    least = min(n, least)
    documents = documents + [" ".join(item) for item in items]
    rule = Contamination.__new__(Contamination)
    rule.settings = DecontaminateSettings.model_construct(action="drop", mode="exact", min_matches=1)
    rule.sets, rule.index = ["s"], build_of(items, n, least, ignore, most)
    from gristmill.filters.measures.texts import Texts

    measured = rule.measure(Texts(batch_of(documents)))
    for row, text in enumerate(documents):
        ngrams, share, document, counts = expected(items, text, n, least, ignore, most)
        assert measured.signals["ngrams"][row] == ngrams
        assert measured.signals["item"][row] == share
        np.testing.assert_equal(measured.signals["document"][row], document)
        detail = measured.details["ngrams"][row]
        assert (detail is None) == (not counts)
        if counts:
            best = min(counts, key=lambda i: (-counts[i], i))
            told = json.loads(detail)
            assert (told["item"], told["ngrams"], told["items"]) == (str(best), counts[best], len(counts))


def build_of(items, n, least, ignore=(), most=None):
    from gristmill.filters.measures.ngram_index import build

    numbered = [(0, str(i), ts) for i, ts in enumerate(items)]
    return build(numbered, n=n, least=least, ignore=ignore, most_items=most, meta={"digest": ""})


@pytest.mark.parametrize("reading", [PLAIN, SPLIT, JOINED])
def test_every_code_point_folds_as_the_definition_says(reading):
    table, sequences = folding(reading)
    rng = random.Random(1)
    points = [*range(0x3000), *rng.sample(range(0x3000, 0x110000), 20_000), 0xFDFA, 0x337F, 0xFB01, 0x1F600]
    for point in points:
        entry, got = int(table[point]), []
        if entry < int(SEPARATE) and entry & int(SEVERAL):
            place = entry & ~int(SEVERAL)
            got = sequences[place + 1 : place + 1 + int(sequences[place])].tolist()
        elif entry != int(PASS):
            got = [entry]
        seen = "".join(
            " " if e == int(SEPARATE) else f" {chr(e & 0x1FFFFF)} " if e & int(ALONE) else chr(e) for e in got
        )
        if 0xD800 <= point < 0xE000:
            continue
        assert seen.split() == words_of(chr(point), reading), hex(point)
        # between letters it joins or parts them
        assert f"x{seen}y".split() == words_of(f"x{chr(point)}y", reading), hex(point)


@given(st.text(max_size=40))
def test_spellings_of_a_text_are_one(text):
    for other in (unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text), text.casefold()):
        if "ͅ" not in unicodedata.normalize("NFD", text):  # the iota below is a letter in folded text
            assert words_of(text, PLAIN) == words_of(other, PLAIN)


def test_fold():
    assert [fold(c) for c in "ÉßﬁＡ½\u0301\u200bⅧ"] == ["e", "ss", "fi", "a", "1⁄2", "", "", "viii"]


# -- modes, cuts, what the ledger says --------------------------------------------------------------------------------

QUESTION = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many in all?"
)
SHORT = "when was the last time anyone was on the moon"
PROSE = "The lower stone lies still and the upper turns, and wheat that comes in damp has to be dried before. "


def test_the_ledger_names_set_and_item_and_no_text(tmp_path):
    stage = decontaminate_stage(one_set(tmp_path, [QUESTION, {"t": SHORT, "id": "q7"}, {"t": "too short", "id": 3}]))
    told = dropped(stage, [PROSE, PROSE + QUESTION, f"{SHORT.upper()}?", f"{QUESTION} {SHORT}", QUESTION[:40], ""])
    assert told == {
        1: {"set": "s", "item": "s.jsonl:1", "ngrams": 12, "of": 12, "items": 1},
        2: {"set": "s", "item": "q7", "ngrams": 1, "of": 1, "items": 1},
        3: {"set": "s", "item": "s.jsonl:1", "ngrams": 12, "of": 12, "items": 2},
    }
    assert stage.rules[0].index.meta["items_too_short"] == 1


def test_modes_and_thresholds(tmp_path):
    half = " ".join(QUESTION.split()[:16])  # 4 of the 12 n-grams

    def rows(text=half, **options):
        outcome = decontaminate_stage(one_set(tmp_path, [QUESTION, SHORT], **options))(batch_of([text, PROSE]))
        return {drop.rule for drop in outcome.drops if 0 in drop.rows}

    assert rows() == rows(min_matches=4) == {"contaminated_ngrams"}
    assert rows(min_matches=5) == set()
    assert rows(SHORT, min_matches=5) == {"contaminated_item"}  # of a short item there is no more to find
    assert rows(mode="containment", max_containment=4 / 12) == set()
    assert rows(mode="containment", max_containment=0.33) == {"contaminated_item"}
    assert rows(mode="document", max_document_share=0.99) == {"contaminated_document"}
    assert rows(half + PROSE * 4, mode="document") == set()
    assert rows(n=8, min_words=8, min_matches=9) == {"contaminated_ngrams"}
    assert rows(n=8, min_words=8, min_matches=10) == set()


def test_common_phrases_count_for_nothing(tmp_path):
    boilerplate = "choose the one answer that fits best of the four answers that are given below"
    items = [f"{boilerplate} {word} is what is asked in this place of all" for word in ("corn", "rye", "oats")]
    (tmp_path / "ignore.txt").write_text(boilerplate)
    for options in ({"max_items": 2}, {"ignore": str(tmp_path / "ignore.txt")}):
        stage = decontaminate_stage(one_set(tmp_path, items, **options))
        assert list(dropped(stage, [boilerplate, items[1]])) == [1]
    assert list(dropped(decontaminate_stage(one_set(tmp_path, items)), [boilerplate, items[1]])) == [0, 1]


def cut_texts(stage, texts: list[str]) -> list[str]:
    outcome = stage(batch_of(texts))
    assert outcome.drops == []
    changed = {int(r) for edit in outcome.edits for r in edit.rows}
    new = outcome.batch.column("text").to_pylist()
    assert changed == {i for i, (a, b) in enumerate(zip(texts, new, strict=True)) if a != b}
    return new


def test_cuts_take_the_span_and_nothing_else(tmp_path):
    stage = decontaminate_stage(one_set(tmp_path, [QUESTION, SHORT], action="cut"))
    loud = QUESTION.upper().replace(" ", "\n")
    given = [
        f"Before. “{QUESTION}” After.",
        f"Before.\n{loud}\nAfter.",
        f"one ({SHORT}), two {SHORT}; three",
        QUESTION,
        PROSE,
        f"half {' '.join(QUESTION.split()[:14])} gone",
        f"é{SHORT}é",
    ]
    assert cut_texts(stage, given) == [
        "Before. After.",
        "Before.\n\nAfter.",
        "one two three",
        "",
        PROSE,
        "half gone",
        given[6],
    ]
    outcome = stage(batch_of(given))
    assert outcome.edits[0].rule == "contaminated_spans"
    assert outcome.edits[0].values.tolist() == [1, 1, 2, 1, 1]
    assert json.loads(outcome.edits[0].detail[2])["item"] == "s.jsonl:2"


def test_cuts_with_a_margin_end_between_words(tmp_path):
    stage = decontaminate_stage(one_set(tmp_path, [SHORT], action="cut", cut_margin=8))
    assert cut_texts(stage, [f"alpha beta gamma {SHORT} delta epsilon zeta"]) == ["alpha zeta"]
    assert cut_texts(stage, [f"ab {SHORT} cd"]) == [""]


def test_cuts_only_what_is_over_the_threshold(tmp_path):
    part = " ".join(QUESTION.split()[:14])
    made = one_set(tmp_path, [QUESTION, SHORT], action="cut", mode="containment", max_containment=0.5)
    assert cut_texts(decontaminate_stage(made), [f"x {part} y {SHORT} z"]) == [f"x {part} y z"]


@given(st.lists(st.lists(texts, max_size=2), min_size=1, max_size=4), st.lists(texts, min_size=1, max_size=4))
@settings(max_examples=60)
def test_what_is_cut_is_gone_and_the_rest_stays(items, hosts):
    rule = Contamination.__new__(Contamination)
    rule.settings = DecontaminateSettings.model_construct(action="cut", mode="exact", min_matches=1, cut_margin=0)
    rule.sets, rule.index = ["s"], build_of(items, 4, 3)
    from gristmill.filters.rules import RuleStage

    documents = [f"{a} zq {' '.join(item)} zq {b}" for a, b, item in zip(hosts, reversed(hosts), items, strict=False)]
    new = RuleStage("decontaminate", [rule])(batch_of(documents)).batch.column("text").to_pylist()
    grams = set().union(*(grams_of(t, r, 4, 3) for item in items for t in item for r in range(3)))
    for old, text in zip(documents, new, strict=True):
        rest = iter(old)
        assert all(c in rest for c in text)  # a subsequence
        if not runs_of(old, 4, 3) & grams:
            assert text == old
        else:
            assert len(words_of(text, PLAIN)) < len(words_of(old, PLAIN))


# -- the index --------------------------------------------------------------------------------------------------------


def test_the_index_is_kept_shared_and_built_again_when_something_changes(tmp_path):
    folder = tmp_path / "work" / "indexes"
    made = one_set(tmp_path, [QUESTION])
    first = build_index(made, folder)
    (file,) = folder.iterdir()
    before = file.stat()
    again = build_index(made, folder)
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert not again["keys"].flags.writeable
    in_memory = build_index(made)
    for name in first.arrays:
        np.testing.assert_array_equal(first[name], again[name])
        np.testing.assert_array_equal(first[name], in_memory[name])
    one_set(tmp_path, [SHORT])  # the same file with something else in it
    assert item_name(build_index(made, folder), 0) == "s.jsonl:1"
    assert len(build_index(made, folder)["keys"]) == 1
    assert len(list(folder.iterdir())) == 2
    build_index(one_set(tmp_path, [SHORT], n=12), folder)
    assert len(list(folder.iterdir())) == 3
    for damage in (b"", b"gristmill", bytes(5000), file.read_bytes()[:-1]):
        one_set(tmp_path, [QUESTION])
        file.write_bytes(damage)
        np.testing.assert_array_equal(build_index(made, folder)["keys"], in_memory["keys"])
    assert not [p for p in folder.iterdir() if p.name.startswith(".")]


def test_processes_that_build_at_once_and_any_hash_seed_give_one_index(tmp_path):
    one_set(tmp_path, [QUESTION, SHORT, PROSE])
    code = (
        "import sys; from pathlib import Path\n"
        "from gristmill.config import validate\n"
        "from gristmill.filters.decontaminate import DecontaminateSettings, build_index\n"
        "s = {'sets': {'s': {'paths': sys.argv[1], 'fields': ['t']}}}\n"
        "print(len(build_index(validate(DecontaminateSettings, s, 'r'), Path(sys.argv[2]))['keys']))\n"
    )
    runs = []
    for seed in "12":
        folder = tmp_path / "both"
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-c", code, str(tmp_path / "s.jsonl"), str(folder)]
        runs.append(subprocess.Popen(command, env={"PYTHONHASHSEED": seed}, stdout=subprocess.PIPE, text=True))
    assert {run.communicate()[0] for run in runs} == {"21\n"}
    (file,) = folder.iterdir()
    one = tmp_path / "one"
    one.mkdir()
    build_index(one_set(tmp_path, [QUESTION, SHORT, PROSE]), one)
    assert file.read_bytes() == next(one.iterdir()).read_bytes()


def test_inactive_rows_and_empty_batches_cost_nothing(tmp_path):
    index = build_index(one_set(tmp_path, [SHORT]))
    data, offsets = text_buffers(pa.array([SHORT, SHORT], pa.large_string()))
    hits = find(index, data, offsets, np.array([False, True]))
    assert hits.rows.tolist() == [1]
    assert items_of(index, hits.grams)[1].tolist() == [0]
    stage = decontaminate_stage(one_set(tmp_path, [SHORT]))
    assert stage(batch_of([])).drops == []
    empty = decontaminate_stage(one_set(tmp_path, ["short"]))
    assert dropped(empty, [SHORT, "", "short"]) == {}


@pytest.mark.parametrize(
    "text", ["a" * 10_000_000, "a " * 5_000_000, SHORT * 200_000, "\0" * 10_000, "\u202e😀\u200b" * 9999, "ﷺ" * 9999]
)
def test_hostile_texts(tmp_path, text):
    dropped(decontaminate_stage(one_set(tmp_path, [QUESTION, SHORT], action="cut")), [text, SHORT])


def test_wrong_requests_name_key_and_path(tmp_path):
    made = one_set(tmp_path, [QUESTION])
    assert inputs(made) == [str(tmp_path / "s.jsonl")]
    one = made.sets["s"]

    def refused(match, **change):
        broken = made.model_copy(update={"sets": {"s": one.model_copy(update=change)}})
        with pytest.raises(RequestError, match=match):
            decontaminate_stage(broken).prepare()

    refused(r"decontaminate\.sets\.s\.paths: .*gone\.jsonl: no such file", paths="gone.jsonl")
    refused(r"decontaminate\.sets\.s\.paths: .*: is a folder", paths=str(tmp_path))
    refused(r"decontaminate\.sets\.s\.paths: .*: no file matches", paths=str(tmp_path / "*.none"))
    refused(r"decontaminate\.sets\.s\.fields: no record of .* has text under `u`", fields=("t", "u"))
    for name, data, match in (
        ("bad.jsonl", b'{"t": "x"}\n{"t": \n', r"bad\.jsonl:2: not a JSON object"),
        ("list.jsonl", b"[1]", r"list\.jsonl:1: not a JSON object"),
        ("bad.jsonl.gz", b"\x1f\x8b nothing", r"bad\.jsonl\.gz: cannot be read"),
        ("cut.jsonl.gz", gzip.compress(b'{"t": "x"}')[:-9], r"cut\.jsonl\.gz: cannot be read"),
        ("bad.jsonl.zst", b"nothing at all", r"bad\.jsonl\.zst: cannot be read"),
        ("bad.parquet", b"PAR1 nothing", r"bad\.parquet: cannot be read"),
    ):
        (tmp_path / name).write_bytes(data)
        refused(rf"decontaminate\.sets\.s\.paths: .*{match}", paths=str(tmp_path / name))
    with pytest.raises(RequestError, match=r"decontaminate\.ignore: .*no such file"):
        inputs(made.model_copy(update={"ignore": "gone.txt"}))
    with pytest.raises(RequestError, match="min_words"):
        one_set(tmp_path, [QUESTION], n=8, min_words=9)
    with pytest.raises(RequestError, match="sets"):
        recipe({})
