"""The stage: nothing planted survives, what was scrubbed stays as it is, and a row does not depend on its batch."""

from __future__ import annotations

import json
import re
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from gristmill.config import validate
from gristmill.console import RequestError, WorkError
from gristmill.document import DOCUMENT, json_text
from gristmill.filters.pii import gate as gate_module
from gristmill.filters.pii import scrub
from gristmill.filters.pii.actions import ACTIONS, Actions
from gristmill.filters.pii.catalogue import DEFAULT_KINDS
from gristmill.filters.pii.scrub import FIELDS, Scrub, redact, scrub_ids, scrub_texts
from gristmill.filters.pii.settings import NO_EXCEPTIONS, ScrubSettings, fingerprint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PLANTED = {
    "EMAIL_ADDRESS": "jane.roe+x@mail.example.co.uk",
    "PHONE_NUMBER": "(212) 555-2368",
    "CREDIT_CARD": "4111 1111 1111 1111",
    "IP_ADDRESS": "93.184.216.34",
    "IBAN_CODE": "DE89 3704 0044 0532 0130 00",
    "US_SSN": "219-09-9999",
}


def batch_of(**columns) -> pa.RecordBatch:
    n = len(next(iter(columns.values())))
    defaults = {"key": [bytes(16)] * n, "source": ["in.jsonl"] * n, "record": range(n)}
    arrays = [pa.array(columns.get(f.name, defaults.get(f.name, [None] * n)), f.type) for f in DOCUMENT]
    return pa.RecordBatch.from_arrays(arrays, schema=DOCUMENT)


def run(batch, **options):
    return Scrub(ScrubSettings(**options))(batch)


def scrubbed(text: str, **options) -> str:
    return run(batch_of(text=[text]), **options).batch["text"][0].as_py()


def test_texts_edits_and_signals():
    texts = [
        f"see {PLANTED['EMAIL_ADDRESS']}, {PLANTED['EMAIL_ADDRESS']}.",
        None,
        "plain",
        f"at {PLANTED['IP_ADDRESS']}",
    ]
    outcome = run(batch_of(text=texts))
    assert outcome.batch["text"].to_pylist() == ["see <EMAIL>, <EMAIL>.", None, "plain", "at <IP>"]
    assert outcome.batch.schema == DOCUMENT
    assert outcome.drops == []
    assert set(outcome.signals) == {f"pii_{kind.lower()}" for kind in DEFAULT_KINDS} | {"pii_excepted"}
    assert outcome.signals["pii_email_address"].tolist() == [2, 0, 0, 0]
    email, ip = outcome.edits
    assert (email.rule, email.rows.tolist(), email.values.tolist(), email.detail) == (
        "email_address",
        [0],
        [2.0],
        ['{"by":{"presidio":2},"count":2}'],
    )
    assert (ip.rule, ip.rows.tolist(), ip.values.tolist()) == ("ip_address", [3], [1.0])


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize(
    "frame", ["{}", "a {} b", "<{}>", "\u201c{}\u201d,", "x\n{}\ny", "né {}\u3000", '{{"to": "{}"}}', "[{}]({})"]
)
def test_planted_data_are_gone(kind, frame):
    text = frame.replace("{}", PLANTED[kind]).replace("{{", "{").replace("}}", "}")
    clean = scrubbed(text)
    assert PLANTED[kind] not in clean
    assert not any(part in clean for part in PLANTED[kind].replace("@", " ").replace("-", " ").split() if len(part) > 3)


def test_every_field_is_scrubbed():
    planted = list(PLANTED.values())
    metadata = {"author": f"Jane <{planted[0]}>", planted[0]: {"cards": [1, planted[2]]}, "note": "né"}
    outcome = run(
        batch_of(text=["plain"], metadata=[json_text(metadata)], **{f: [f"x {planted[0]}"] for f in FIELDS[:-1]})
    )
    row = outcome.batch.to_pylist()[0]
    assert {row[name] for name in FIELDS[:-1]} == {"x <EMAIL>"}
    assert json.loads(row["metadata"]) == {
        "author": "Jane <<EMAIL>>",
        "<EMAIL>": {"cards": [1, "<CARD>"]},
        "note": "né",
    }
    assert row["source"] == "in.jsonl"
    email, card = outcome.edits
    assert email.detail == [json_text({"by": {"presidio": 6}, "count": 6, "fields": list(FIELDS)})]
    assert card.detail == ['{"by":{"presidio":1},"count":1,"fields":["metadata"]}']


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ('{"card":4111111111111111}', {"card": "<CARD>"}),
        ('{"card":4111111111111111.0,"n":[5500000000000004]}', {"card": "<CARD>", "n": ["<CARD>"]}),
        ('{"ssn":219099999,"phone":2125552368}', {"ssn": "<SSN>", "phone": "<PHONE>"}),
        ('{"created":1577310664,"score":0.780978486361372}', {"created": 1577310664, "score": 0.780978486361372}),
        ('{"a":"41111111","b":"11111111"}', {"a": "41111111", "b": "11111111"}),
        ('{"a@b.com":1,"c@d.com":2,"<EMAIL> 2":3}', {"<EMAIL>": 1, "<EMAIL> 3": 2, "<EMAIL> 2": 3}),
        ('{"x":"jane\\u0040acme.org"}', {"x": "<EMAIL>"}),
        ('{"x":"to\\njane@acme.org\\n\\"ok\\""}', {"x": 'to\n<EMAIL>\n"ok"'}),
        ('{"x":"\\ud800 jane@acme.org"}', {"x": "\ud800 <EMAIL>"}),
        ('{"t":"2012-01-02 08:00:00.5Z","u":"on 2012-01-02"}', {"t": "2012-01-02 08:00:00.5Z", "u": "on 2012-01-02"}),
        ('{"u":"6a8ac4ba-0580-5975-ed2f-89d94a2f20aa"}', {"u": "6a8ac4ba-0580-5975-ed2f-89d94a2f20aa"}),
        ('{"x":[true,null,false,1e400]}', {"x": [True, None, False, float("inf")]}),
        ("jane@acme.org is no JSON", None),
        ('{"deep":' + "[" * 5_000 + '"jane@acme.org"' + "]" * 5_000 + "}", None),
    ],
    ids=lambda value: str(value)[:24],
)
def test_metadata_stay_json(metadata, expected):
    clean = run(batch_of(text=["plain"], metadata=[metadata])).batch["metadata"][0].as_py()
    assert "jane" not in clean
    if expected is None:
        assert clean == metadata.replace("jane@acme.org", "<EMAIL>")
    else:
        assert json.loads(clean) == expected


def test_metadata_without_findings_keep_their_bytes():
    raw = '{ "b":1.0, "a": "\\u00e9 1234 5678 \\n" }'
    outcome = run(batch_of(text=["plain"], metadata=[raw]))
    assert outcome.batch["metadata"][0].as_py() == raw
    assert outcome.edits == []


def test_numeric_ids_are_no_phone_numbers_and_uuids_nothing():
    ids = ["2125552368", "<urn:uuid:6a8ac4ba-0580-5975-ed2f-89d94a2f20aa>", "4111111111111111", "tel 2125552368"]
    clean = [*ids[:2], "<CARD>", "tel <PHONE>"]
    assert run(batch_of(text=["x"] * 4, id=ids)).batch["id"].to_pylist() == clean
    assert scrub_ids(pa.array([*ids, None])).to_pylist() == [*clean, None]


def test_overlapping_findings_leave_nothing():
    # one number is a card and a phone number at once; a phone number runs into an address
    assert scrubbed("id 5527951622502 ok", recognizers="presidio") == "id <CARD> ok"
    assert scrubbed("ssn 219099999 10.0.0.1", exceptions=(), recognizers="presidio") == "ssn <PHONE>"


def test_threshold():
    assert scrubbed("219099999") == "219099999"
    assert scrubbed("ssn 219099999") == "ssn <SSN>"
    assert scrubbed("219099999", min_score=0.05) == "<SSN>"
    assert scrubbed("(212) 555-2368", min_score=0.5) == "(212) 555-2368"
    assert scrubbed("mobile (212) 555-2368", min_score=0.5) == "mobile <PHONE>"
    assert scrubbed("std::vector :: a@b.com", kinds=("IP_ADDRESS",)) == "std::vector :: a@b.com"


def test_scrubbing_again_changes_nothing(hostile):
    draw = Random(4)
    texts = [hostile(draw) for _ in range(800)]
    first = run(batch_of(text=texts, metadata=[json_text({"x": text, text: 1}) for text in texts]))
    second = run(first.batch)
    assert second.edits == []
    assert second.batch.equals(first.batch)
    # a case that one search would not settle: the tag of the card brings "ssn" nearer to the digits
    text = "ssn b 4111 1111 1111 1111 219099999"
    assert len(scrub.search_of(NO_EXCEPTIONS, None).find(text)) == 1
    assert scrubbed(text) == scrubbed(scrubbed(text)) == "ssn b <CARD> <SSN>"


PIECES = [
    *PLANTED.values(),
    "call",
    "ssn",
    "ip",
    " ",
    "\n",
    "1",
    "-",
    ".",
    "x",
    "@",
    "::",
    "é",
    "\xad",
    "noreply@a.com",
]
FAKES = ["babebibobubo@example.org", "203.0.113.9", "212-555-0123", "000-12-3456", "4000 0025 0719 9063", "2001:db8::1"]
HIDING = Actions(dict.fromkeys(DEFAULT_KINDS, "tag"))
MIXED = dict(zip(PLANTED, ("fake", "mask", "hash", "fake", "remove", "fake"), strict=True))


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("SCRUB_KEY", "a secret key of many characters")
    return {"key_env": "SCRUB_KEY"}


@given(st.lists(st.sampled_from(PIECES), max_size=14))
@settings(max_examples=150, deadline=None)
def test_scrubbed_text_holds_nothing(pieces):
    clean = redact("".join(pieces))
    assert not scrub.search_of(NO_EXCEPTIONS, None).find(HIDING.hide(clean))
    assert redact(clean) == clean


@pytest.mark.parametrize("action", [*ACTIONS, "mixed"])
@given(st.lists(st.sampled_from(PIECES + FAKES), max_size=14))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_action_comes_to_an_end(key, action, pieces):
    options = {"actions": MIXED} if action == "mixed" else {"action": action}
    texts = ["".join(pieces), "\n".join(pieces)]
    first = run(batch_of(text=texts, id=texts), **key, **options)
    again = run(first.batch, **key, **options)
    assert again.edits == []
    assert again.batch.equals(first.batch)
    for value in PLANTED.values():
        assert value not in first.batch["text"][1].as_py()


@pytest.mark.parametrize("action", ["fake", "hash", "mask", "remove"])
def test_hostile_text_with_every_action(key, action, hostile):
    draw = Random(9)
    texts = [hostile(draw) for _ in range(200)]
    first = run(batch_of(text=texts, metadata=[json_text({"x": text}) for text in texts]), action=action, **key)
    second = run(first.batch, action=action, **key)
    assert second.edits == []
    assert second.batch.equals(first.batch)


def test_actions_a_kind(key):
    text = f"{PLANTED['EMAIL_ADDRESS']} {PLANTED['CREDIT_CARD']}; {PLANTED['US_SSN']}, {PLANTED['IP_ADDRESS']}"
    clean = scrubbed(
        text, action="mask", actions={"EMAIL_ADDRESS": "fake", "US_SSN": "hash", "IP_ADDRESS": "tag"}, **key
    )
    assert re.fullmatch(r"[a-z]{12}@example\.(com|net|org) \*{4} \*{4} \*{4} \*{4}; <SSN:[a-p]{16}>, <IP>", clean)


@pytest.mark.parametrize("action", ["fake", "hash"])
def test_same_value_same_replacement_wherever_it_stands(key, action):
    mail, card = "Jane.Roe@acme.org", "4111111111111111"
    batch = batch_of(
        text=[f"to {mail}, {card}", f"({mail.lower()}) 4111-1111-1111-1111"],
        id=[mail, None],
        metadata=[json_text({mail: int(card)}), None],
    )
    first, second = run(batch, action=action, **key).batch.to_pylist()
    new = first["id"]
    assert first["text"].startswith(f"to {new}, ")
    assert second["text"].startswith(f"({new}) ")
    ((name, number),) = json.loads(first["metadata"]).items()
    assert name == new
    assert first["text"].endswith(number)
    assert second["text"].replace("-", "").endswith(number.replace("-", ""))


def test_a_key_is_needed_and_never_shown(tmp_path, monkeypatch):
    for action in ("fake", "hash"):
        with pytest.raises(RequestError, match="key_file or key_env"):
            validate(ScrubSettings, {"actions": {"US_SSN": action}}, "recipe.yaml")
        with pytest.raises(RequestError, match="key_file or key_env"):
            validate(ScrubSettings, {"action": action, "key_file": "a", "key_env": "B"}, "recipe.yaml")
        validate(ScrubSettings, {"kinds": ["IP_ADDRESS"], "actions": {"US_SSN": action}}, "recipe.yaml")
    path = tmp_path / "key"
    settings = ScrubSettings(action="fake", key_file=str(path))
    with pytest.raises(RequestError, match=r"key_file: .*key: cannot be read"):
        fingerprint(settings)
    path.write_text("short\n")
    with pytest.raises(RequestError, match="holds 5 bytes") as caught:
        Scrub(settings)(batch_of(text=["x"]))
    assert "short" not in str(caught.value)
    path.write_text("0123456789abcdefghij\n")
    monkeypatch.setenv("SCRUB_KEY", "0123456789abcdefghij")
    named = ScrubSettings(action="hash", key_env="SCRUB_KEY")
    assert fingerprint(settings) == fingerprint(named)
    assert re.fullmatch("[0-9a-f]{12}", fingerprint(named))
    monkeypatch.setenv("SCRUB_KEY", "0123456789abcdefghik")
    assert fingerprint(settings) != fingerprint(named)
    assert fingerprint(ScrubSettings(key_env="SCRUB_KEY")) is None
    assert fingerprint(None) is None
    monkeypatch.delenv("SCRUB_KEY")
    with pytest.raises(RequestError, match="key_env: SCRUB_KEY: holds 0 bytes"):
        fingerprint(named)


def test_exceptions_stay_and_are_counted_apart():
    text = "noreply@acme.org, 10.0.0.1, 10.0.0.2, jane@acme.org"
    outcome = run(batch_of(text=[text, "127.0.0.1", "x"], url=[None, "http://8.8.8.8", None]))
    assert outcome.batch["text"].to_pylist() == ["noreply@acme.org, 10.0.0.1, 10.0.0.2, <EMAIL>", "127.0.0.1", "x"]
    assert {e.rule: (e.rows.tolist(), e.detail) for e in outcome.edits} == {
        "email_address": ([0], ['{"by":{"presidio":1},"count":1,"excepted":1}']),
        "ip_address": ([1], ['{"by":{"presidio":1},"count":1,"excepted":1,"fields":["url"]}']),
    }
    assert outcome.signals["pii_excepted"].tolist() == [3, 1, 0]
    strict = run(batch_of(text=[text]), exceptions=())
    assert strict.batch["text"].to_pylist() == ["<EMAIL>, <IP>, <IP>, <EMAIL>"]
    assert strict.signals["pii_excepted"].tolist() == [0]
    some = run(batch_of(text=[text]), exceptions=("no_reply",))
    assert some.batch["text"].to_pylist() == ["noreply@acme.org, <IP>, <IP>, <EMAIL>"]
    assert redact(text) == "<EMAIL>, <IP>, <IP>, <EMAIL>"


def test_documents_made_of_personal_data_are_dropped():
    texts = ["a@b.com c@d.com " + "x " * 492, "a@b.com c@d.com e@f.com " + "x " * 488, "a@b.com", None, "x"]
    assert [len(t) for t in texts[:2]] == [1000, 1000]
    outcome = run(batch_of(text=texts, url=[None] * 4 + ["a@b.com"]), drop_above={"density": 2.0})
    (drop,) = outcome.drops
    assert (drop.rule, drop.threshold, drop.rows.tolist()) == ("pii_density", 2.0, [1, 2])
    assert drop.values.tolist() == [3.0, pytest.approx(1000 / 7)]
    assert drop.detail is None
    (edits,) = outcome.edits
    assert edits.rows.tolist() == [0, 4]  # a document that is dropped has no edits
    assert outcome.signals["pii_email_address"].tolist() == [2, 3, 1, 0, 1]
    assert run(batch_of(text=texts)).drops == []
    for wrong in (0, -1):
        with pytest.raises(RequestError):
            validate(ScrubSettings, {"drop_above": {"density": wrong}}, "recipe.yaml")


def test_ledger_details_hold_no_value(key, hostile):
    draw = Random(3)
    texts = [f"{hostile(draw)} {draw.choice(list(PLANTED.values()))}" for _ in range(100)]
    for action in ACTIONS:
        outcome = run(batch_of(text=texts, url=texts), action=action, drop_above={"density": 500.0}, **key)
        assert outcome.edits
        for edits in outcome.edits:
            for detail in edits.detail:
                told = json.loads(detail)
                assert sum(told["by"].values()) == told["count"]
                assert told.keys() <= {"by", "count", "excepted", "fields"}
                assert told.get("fields", ["url"]) == ["url"]
                assert isinstance(told.get("excepted", 0), int)


def test_a_row_does_not_depend_on_its_batch(hostile):
    draw = Random(6)
    texts = [hostile(draw) for _ in range(200)]
    batch = batch_of(text=texts, metadata=[json_text({"x": text[:50]}) for text in texts])
    whole = run(batch)
    pieces = [run(batch.slice(start, 7)) for start in range(0, 200, 7)]
    assert pa.Table.from_batches([p.batch for p in pieces]).combine_chunks() == pa.Table.from_batches([whole.batch])
    for name, numbers in whole.signals.items():
        assert np.array_equal(numbers, np.concatenate([p.signals[name] for p in pieces]))
    for edits in whole.edits:
        details = dict(zip(edits.rows.tolist(), edits.detail, strict=True))
        parts = [
            (7 * i + row, detail)
            for i, p in enumerate(pieces)
            for e in p.edits
            if e.rule == edits.rule
            for row, detail in zip(e.rows.tolist(), e.detail, strict=True)
        ]
        assert dict(parts) == details


def test_rejected_text_and_messages():
    assert scrub_texts(pa.array(["a@b.com x", None, "y"])).to_pylist() == ["<EMAIL> x", None, "y"]
    assert scrub_texts(pa.array([], pa.large_string())).to_pylist() == []
    sliced = pa.array(["1", "a@b.com", "2"]).slice(1)
    assert scrub_texts(sliced, ScrubSettings(kinds=("US_SSN",))).to_pylist() == ["a@b.com", "2"]
    assert redact("bad value 'a@b.com' at 8.8.8.8") == "bad value '<EMAIL>' at <IP>"


def test_errors_quote_no_text(monkeypatch):
    def fail(self, text, context=()):
        if "@" in text:
            raise ValueError(f"cannot read {text}")
        return []

    monkeypatch.setattr(gate_module.Gate, "find", fail)
    with pytest.raises(WorkError) as caught:
        run(batch_of(text=["plain", "jane@acme.org"]))
    assert str(caught.value) == "scrubbing text of in.jsonl, record 1 failed (ValueError)"
    assert caught.value.__suppress_context__
    with pytest.raises(WorkError, match=r"^scrubbing text of row 0 failed \(ValueError\)$"):
        scrub_texts(pa.array(["jane@acme.org"]))


def test_settings_are_strict():
    assert ScrubSettings().kinds == DEFAULT_KINDS
    for wrong in ({"kinds": []}, {"kinds": ["PERSON"]}, {"min_score": 1.5}, {"action": "hash"}, {"colour": 1}):
        with pytest.raises(RequestError):
            validate(ScrubSettings, wrong, "recipe.yaml")
