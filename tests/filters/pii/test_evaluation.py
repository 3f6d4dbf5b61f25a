"""`gristmill scrub evaluate`: its counts against a count by characters, and its readers."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import zstandard
from gristmill.console import RequestError
from gristmill.filters import commands
from gristmill.filters.pii.catalogue import KINDS
from gristmill.filters.pii.evaluation import Measures, Scores, evaluate, lines, plain_presidio, scrubber
from gristmill.filters.pii.finding import Finding
from gristmill.filters.pii.labelled import Labelled, Span, read_labelled
from gristmill.filters.pii.settings import ScrubSettings
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

SETS = ("presidio-generated-large-part1", "presidio-synth-v2-part1")


def labelled(text: str, *spans: tuple[int, int, str], language: str | None = None, place: str = "a:1") -> Labelled:
    return Labelled(text, frozenset(Span(*span) for span in spans), language, place)


def search_for(*findings: tuple[int, int, str], left: tuple[tuple[int, int, str], ...] = ()):
    """A search that finds the same in every text."""
    sides = tuple([Finding(*span, 1.0) for span in side] for side in (findings, left))
    return lambda text, language: sides


# -- counting --------------------------------------------------------------------------------------------------------


def test_counts_worked_by_hand():
    text = "x" * 60
    truth = labelled(
        text, (0, 10, "US_SSN"), (20, 30, "US_SSN"), (40, 50, "US_SSN"), (52, 55, "US_SSN"), (52, 55, "AGE")
    )
    # one as marked, one cut in two, one short by a character, one under the name of another kind, one of nothing
    search = search_for((0, 10, "US_SSN"), (20, 24, "US_SSN"), (25, 30, "US_SSN"), (40, 49, "US_SSN"))
    result = evaluate([truth], search, ["US_SSN"])
    scores = result.overall()["US_SSN"]
    assert scores == Scores(spans=4, findings=4, exact=1, found=3, right=4)
    assert scores.exactly() == Measures(1 / 4, 1 / 4, 1 / 4)
    assert scores.overlapping() == Measures(1.0, 3 / 4, 5 * 0.75 / 4.75)
    assert result.not_looked_for == {"AGE": 1}
    assert [m.span.start for m in result.missed] == [20, 40, 52]
    assert result.missed[0].there == ("US_SSN 20-24", "US_SSN 25-30")
    assert not result.false


def test_nothing_to_be_a_share_of():
    assert Scores(spans=3).exactly() == Measures(None, 0.0, None)
    assert Scores(findings=3).exactly() == Measures(0.0, None, None)
    assert Scores(spans=3, findings=3).exactly() == Measures(0.0, 0.0, 0.0)


def test_what_stays_by_an_exception_is_no_finding():
    search = search_for(left=((0, 5, "IP_ADDRESS"), (7, 9, "IP_ADDRESS")))
    result = evaluate([labelled("1.2.3 4.5.", (0, 5, "IP_ADDRESS"))], search, KINDS)
    assert result.overall()["IP_ADDRESS"] == Scores(spans=1)
    assert (result.left_marked, result.left_unmarked) == ({"IP_ADDRESS": 1}, {"IP_ADDRESS": 1})
    assert result.missed[0].there == ("IP_ADDRESS 0-5 by an exception",)


spans = st.lists(
    st.tuples(st.integers(0, 19), st.integers(1, 6), st.sampled_from(["US_SSN", "IBAN_CODE"])), max_size=6
).map(lambda drawn: {(start, min(start + size, 20), kind) for start, size, kind in drawn})


@given(spans, spans)
def test_counts_by_characters(marked, found):
    scores = evaluate([labelled("x" * 20, *marked)], search_for(*found), ["US_SSN", "IBAN_CODE"]).overall()
    for kind in ("US_SSN", "IBAN_CODE"):
        truths, findings = ([s for s in side if s[2] == kind] for side in (marked, found))
        covered = [{i for start, end, _ in side for i in range(start, end)} for side in (truths, findings)]
        assert scores[kind] == Scores(
            spans=len(truths),
            findings=len(findings),
            exact=len({*truths} & {*findings}),
            found=sum(bool(covered[1] & {*range(start, end)}) for start, end, _ in truths),
            right=sum(bool(covered[0] & {*range(start, end)}) for start, end, _ in findings),
        )


def test_languages_add_up():
    texts = [labelled("x" * 9, (0, 3, "US_SSN"), language=language) for language in ("de", "en", "de", None)]
    result = evaluate(texts, search_for((1, 3, "US_SSN")), ["US_SSN"])
    assert {language: scores["US_SSN"].spans for language, scores in result.scores.items()} == {
        "de": 2,
        "en": 1,
        None: 1,
    }
    shown = [line for line in lines(result, 0) if "language" in line]
    assert shown == ["language de", "language en", "no language"]


def test_a_search_is_told_the_language():
    texts = [labelled("x", language=language) for language in ("de", "en", None, "de")]
    told = []
    evaluate(texts, lambda text, language: told.append(language) or ([], []), ["US_SSN"])
    assert told == ["de", "en", None, "de"]


def test_who_found_what_is_counted_and_printed():
    found = [("US_SSN", "presidio"), *(("CREDIT_CARD", by) for by in ("presidio", "recipe", "gristmill", "presidio"))]
    findings = [Finding(at, at + 1, kind, 1.0, by) for at, (kind, by) in enumerate(found)]
    result = evaluate([labelled("x" * 9)] * 1_000, lambda text, language: (findings, []), KINDS)
    assert result.finders == {
        "US_SSN": {"presidio": 1_000},
        "CREDIT_CARD": {"presidio": 2_000, "gristmill": 1_000, "recipe": 1_000},
    }
    assert [line for line in lines(result, 0) if line.startswith("found by")] == [
        "found by: CREDIT_CARD gristmill 1,000, presidio 2,000, recipe 1,000",
        "found by: US_SSN presidio 1,000",
    ]


def test_kinds_that_are_nowhere_are_in_no_table():
    texts = [labelled("x" * 9, (0, 3, "US_SSN"), language="de"), labelled("x" * 9, language="en")]
    shown = list(lines(evaluate(texts, search_for((5, 6, "IBAN_CODE")), KINDS), 0))
    rows = [line.split()[0] for line in shown if line.startswith((*KINDS, "all kinds")) and ":" not in line]
    assert rows == [*("IBAN_CODE", "US_SSN", "all") * 2, "IBAN_CODE", "all"]


# -- labelled texts --------------------------------------------------------------------------------------------------

PLAIN = [
    {"text": "für jane@web.de", "spans": [{"start": 4, "end": 15, "kind": "EMAIL_ADDRESS"}], "language": "de"},
    {"text": "nothing", "spans": []},
]
RESEARCH = [
    {
        "full_text": "für jane@web.de",
        "spans": [
            {"entity_type": "EMAIL_ADDRESS", "start_position": 4, "end_position": 15, "entity_value": "jane@web.de"}
        ],
        "language": "de",
        "masked": "für {{email}}",
    },
    {"full_text": "nothing", "spans": []},
]


def as_lines(records: list) -> bytes:
    return "".join(json.dumps(record) + "\n\n" for record in records).encode()


@pytest.mark.parametrize(
    ("name", "content", "second_place"),
    [
        ("a.jsonl", as_lines(PLAIN), 3),
        ("a.jsonl.gz", gzip.compress(as_lines(PLAIN)), 3),
        ("a.jsonl.zst", zstandard.compress(b"\xef\xbb\xbf" + as_lines(PLAIN)), 3),
        ("a.jsonl", as_lines(RESEARCH), 3),
        ("a.json", json.dumps(RESEARCH, indent=2).encode(), 2),
        ("a.json.gz", gzip.compress(json.dumps(RESEARCH).encode()), 2),
    ],
)
def test_every_form_says_the_same(tmp_path, name, content, second_place):
    (tmp_path / name).write_bytes(content)
    first, second = read_labelled([tmp_path / name])
    assert first == ("für jane@web.de", {Span(4, 15, "EMAIL_ADDRESS")}, "de", f"{name}:1")
    assert second == ("nothing", frozenset(), None, f"{name}:{second_place}")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"text": "für a@b.de", "spans": [{"start": 5, "end": 11, "kind": "E"}]}', r"span 1: \[5, 11\) is no part"),
        ('{"text": "ü a@b.de", "spans": [{"start": 3, "end": 7, "kind": "E", "value": "a@b."}]}', "in characters"),
        ('{"text": "a", "spans": [{"start": 1, "end": 1, "kind": "E"}]}', "no part"),
        ('{"text": "a", "spans": [{"start": -1, "end": 1, "kind": "E"}]}', "no part"),
        ('{"text": "a", "spans": [{"start": true, "end": 1, "kind": "E"}]}', "start: expected a whole number"),
        ('{"text": "a", "spans": [{"start": 0, "end": 1}]}', "kind: expected text, found nothing"),
        ('{"text": "a", "spans": ["E"]}', "expected an object, found str"),
        ('{"text": "a"}', "spans: expected a list, found nothing"),
        ('{"spans": []}', "text: expected text, found nothing"),
        ("[1]", "expected an object, found int"),
        ("[1", "not valid JSON"),
        ("{", "a.jsonl:1: is not valid JSON"),
        ("\n", "holds no text"),
        ("[]", "holds no text"),
    ],
)
def test_what_is_refused(tmp_path, content, complaint):
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(RequestError, match=complaint) as refused:
        list(read_labelled([tmp_path / "a.jsonl"]))
    assert "a@b" not in str(refused.value)


# -- what is found ---------------------------------------------------------------------------------------------------


MARKED = {"EMAIL_ADDRESS": 47, "PHONE_NUMBER": 10, "CREDIT_CARD": 135, "IP_ADDRESS": 5, "IBAN_CODE": 24}
OVEREAGER = ("US_DRIVER_LICENSE", "US_BANK_NUMBER")  # that Presidio finds where none is marked


@pytest.mark.parametrize("min_score", [0.0, 0.4])
def test_as_much_as_plain_presidio(shared_data, min_score):
    """On the sets that are labelled by others: the same if asked for, else nothing less, and fewer mistakes."""
    files = [shared_data / "pii" / f"{name}.jsonl.gz" for name in SETS]

    def measured(of, **options):
        settings = ScrubSettings(min_score=min_score, exceptions=(), **options)
        return evaluate(read_labelled(files), of(settings), settings.all_kinds)

    presidio, alone, ours = measured(plain_presidio), measured(scrubber, recognizers="presidio"), measured(scrubber)
    assert alone == presidio
    theirs, scores = presidio.overall(), ours.overall()
    assert {kind: counts.spans for kind, counts in scores.items() if counts.spans} == MARKED
    for kind in MARKED:
        assert scores[kind].found >= theirs[kind].found, kind
        assert scores[kind].exact >= theirs[kind].exact, kind
    for kind in ("EMAIL_ADDRESS", "IP_ADDRESS", "IBAN_CODE", "CREDIT_CARD"):
        assert scores[kind].exact == scores[kind].findings == MARKED[kind], kind
    assert theirs["CREDIT_CARD"].found == 121
    assert scores["PHONE_NUMBER"].found >= 9
    assert scores["PHONE_NUMBER"].overlapping().precision >= 0.85
    for kind, found in zip(OVEREAGER, (124, 133), strict=True):
        assert theirs[kind] == Scores(findings=0 if min_score else found)
        assert scores[kind].findings <= theirs[kind].findings / 2


# -- the commands ----------------------------------------------------------------------------------------------------


def command(*arguments: str | Path):
    """`gristmill scrub` in this process."""
    import typer

    app = typer.Typer()
    commands.register(app)
    return CliRunner().invoke(app, ["scrub", *map(str, arguments)])


@pytest.fixture
def truth(tmp_path) -> Path:
    """13 addresses that are found, one that is none, a name, and a number that nobody marked."""
    mail = "mail jane.roe@site.org\x1b[2J now"
    records = [
        {"text": mail, "language": "en", "spans": [{"start": 5, "end": 22, "kind": "EMAIL_ADDRESS"}]} for _ in range(13)
    ]
    records += [{"text": "a jane at\x1b[2J b", "spans": [{"start": 2, "end": 13, "kind": "EMAIL_ADDRESS"}]}] * 12
    records.append({"text": "Jane, 219-09-9999", "spans": [{"start": 0, "end": 4, "kind": "PERSON"}]})
    path = tmp_path / "truth.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.parametrize("options", [[], ["--plain-presidio"]])
def test_evaluate(truth, options):
    result = command("evaluate", "--truth", truth, *options)
    assert result.exit_code == 0, result.output
    shown = result.stdout.splitlines()
    assert shown[0] == "26 texts"
    assert shown[3].split() == ["EMAIL_ADDRESS", "25", "13", *["1.000", "0.520", "0.575"] * 2]
    assert [line.split()[1] for line in shown if line.startswith("EMAIL_ADDRESS ")] == ["25", "13", "12"]
    assert "found by: EMAIL_ADDRESS presidio 13" in shown
    assert "not looked for: PERSON 1" in shown
    at = shown.index("EMAIL_ADDRESS, missed, or found with other borders: 12")
    assert shown[at + 1] == r"  truth.jsonl:14 2-13: a [[jane at\x1b[2J]] b"
    assert shown[at + 11] == "  ... and 2 more (--all)"
    assert "  truth.jsonl:26 6-17: Jane, [[219-09-9999]]" in shown
    assert "\x1b" not in result.stdout


def test_evaluate_all_and_with_settings(truth):
    result = command("evaluate", "--truth", truth, "--all", "--set", "scrub.kinds=[EMAIL_ADDRESS]")
    assert "more (--all)" not in result.stdout
    assert result.stdout.count("[[jane at") == 12
    assert "US_SSN" not in result.stdout


def test_evaluate_under_other_names(tmp_path):
    """Several kinds of the texts may be one of ours."""
    path = tmp_path / "truth.jsonl"
    spans = [{"start": 0, "end": 17, "kind": "MAIL"}, {"start": 19, "end": 36, "kind": "REPLY_TO"}]
    path.write_text(json.dumps({"text": "jane.roe@site.org, john.doe@site.org", "spans": spans}) + "\n")
    labels = ["--label", "MAIL=EMAIL_ADDRESS", "--label", "REPLY_TO=EMAIL_ADDRESS"]
    bare, named = (command("evaluate", "--truth", path, *options).stdout for options in ([], labels))
    assert "not looked for: MAIL 1, REPLY_TO 1" in bare
    assert "not looked for" not in named
    row = next(line for line in named.splitlines() if line.startswith("EMAIL_ADDRESS "))
    assert row.split()[1:3] == ["2", "2"]


@pytest.mark.parametrize("label", ["MAIL", "=EMAIL_ADDRESS", "MAIL="])
def test_a_label_has_two_names(truth, label):
    result = command("evaluate", "--truth", truth, "--label", label)
    assert isinstance(result.exception, RequestError)
    assert "THEIRS=OURS" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--truth", "absent.jsonl"], "absent.jsonl: no such file"),
        (["--truth", "TRUTH", "--set", "dedup.exact="], "only the keys of `scrub`"),
        (["--truth", "TRUTH", "--set", "scrub="], "only the keys of `scrub`"),
        (["--truth", "TRUTH", "--set", "scrub.min_score=2"], "min_score"),
    ],
)
def test_evaluate_refuses(truth, arguments, complaint):
    result = command("evaluate", *(truth if argument == "TRUTH" else argument for argument in arguments))
    assert isinstance(result.exception, RequestError)
    assert complaint in str(result.exception)


def test_kinds_are_listed():
    shown = command("kinds").stdout.splitlines()
    assert [line.split()[0] for line in shown] == list(KINDS)
    assert "UK_NHS" + " " * 26 + "by default, in documents in en, beside a word that names it" in shown


def test_scrub_and_nothing_else(tmp_path):
    """Duplicates and short texts stay; the run has no tokens."""
    import pyarrow.parquet as pq

    source = tmp_path / "in" / "a.jsonl"
    source.parent.mkdir()
    source.write_text('{"text": "Write to jane.roe@site.org"}\n' * 2 + '{"text": "<p>x</p>"}\n')
    output = tmp_path / "run"
    result = command("--input", source.parent, "--output", output)
    assert result.exit_code == 0, result.output
    assert "3 documents" in result.stdout
    texts = [
        text for path in sorted(output.glob("documents/*.parquet")) for text in pq.read_table(path)["text"].to_pylist()
    ]
    assert sorted(texts) == ["<p>x</p>", "Write to <EMAIL>", "Write to <EMAIL>"]
    assert not (output / "tokens").exists()


def test_scrub_asks_for_what_it_needs():
    result = command("--output", "run")
    assert isinstance(result.exception, RequestError)
    assert "--input" in str(result.exception)
