"""Names of people, places and organisations, by a statistical model that the user has installed.

Two kinds of models are read. One of spaCy gives what Presidio's SpacyRecognizer makes of its entities: the same spans,
the same kinds (GPE, LOC and FAC are LOCATION), the same score of 0.85, by the configuration that Presidio ships. Of its
pipeline only what entities depend on is run, and that includes the parser, which takes half of the time: no entity goes
across the start of a sentence, so without it one in some hundreds differs. A folder of transformers (token
classification, weights in safetensors) gives its own scores, by Presidio's configuration of its TransformersNlpEngine;
spans end where the model's words do, and are not widened to the tokens of spaCy.

Each text goes through the model alone. In a batch, products of matrices add up in another order, the last bits of the
scores differ, and what is found would depend on the neighbours. Batches would save a tenth of the time on documents of
some kilobytes, half of it on single sentences.

Memory. A model needs some 20 kB a token, so a text is read in pieces of at most `LONGEST` characters (about 100 MB; 400
where each character is a token) that end where a paragraph does, else a line, a sentence, a word. What stands beside a
cut is read without its other side: of 1,840 names in 400 kB of novels that changed none. spaCy's tokeniser is quadratic
in what holds no white space, so that runs of more than `LONGEST_RUN` characters are read by themselves, in parts. The
strings that spaCy keeps of all it has seen are dropped after each call of `find`. All this runs in one thread, on the
CPU, and asks no network.

A model knows one language, and finds nonsense in another: documents that are said to be in another are not searched.
A multilingual model (spaCy's `xx`) and one of transformers, which names no language, search all.

spaCy: https://spacy.io/usage/processing-pipelines, and /usage/memory-management for its memory zones (MIT).
Presidio: https://microsoft.github.io/presidio/analyzer/customizing_nlp_models/ (MIT).
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from ...config import Settings
from ...console import RequestError, WorkError
from ..spacy_alone import import_spacy
from .catalogue import NAME_KINDS, language_of
from .finding import Finding, Kind

if TYPE_CHECKING:
    from presidio_analyzer.nlp_engine import NerModelConfiguration, NlpEngineProvider
    from spacy.language import Language

KEY = "scrub.names.model"  # what errors name
LONGEST = 20_000  # characters of a piece
LONGEST_RUN = 1_000  # characters without white space within a piece
EVERY_LANGUAGE = "xx"  # spaCy's name of a multilingual model


class NamesSettings(Settings):
    """Names of people, places and organisations, which need a model."""

    model: str = Field(
        min_length=1,
        description="An installed spaCy model (`en_core_web_sm`), or the folder of one, or of a transformers model for "
        "token classification. Nothing is downloaded.",
    )
    kinds: tuple[Literal["PERSON", "LOCATION", "ORGANIZATION", "NRP"], ...] = Field(
        default=("PERSON",), min_length=1, description="Which names; NRP: nationality, religion, politics."
    )


class Entity(NamedTuple):
    """Characters [start, end) of a piece, by the model's label; `score` is None where the model gives none."""

    start: int
    end: int
    label: str
    score: float | None


class Names:
    """Finds names. One a process: a model takes a second and some hundred megabytes to load.

    Raises RequestError where the model is not there, cannot be loaded, or knows no names of one of `kinds`.
    """

    def __init__(self, settings: NamesSettings, kinds: Sequence[Kind], min_score: float):
        self._model = _Transformers(settings.model) if _is_transformers(settings.model) else _Spacy(settings.model)
        self._kinds, self._min_score = frozenset(kinds), min_score
        configuration = self._model.configuration
        self._mapping: Mapping[str, Kind] = configuration.model_to_presidio_entity_mapping
        self._weak, self._weakened = configuration.low_score_entity_names, configuration.low_confidence_score_multiplier
        self._score = configuration.default_score
        known = {self._mapping.get(label, label) for label in self._model.labels}
        missing = [kind for kind in NAME_KINDS if kind in self._kinds - known]
        if missing:
            labels = ", ".join(sorted(self._model.labels))
            raise RequestError(f"{KEY}: {settings.model}: finds no {', '.join(missing)}; its labels are {labels}")

    def find(self, texts: Sequence[str], languages: Sequence[str | None] | None = None) -> list[list[Finding]]:
        """The names in each text in order, none overlapping another. Raises WorkError, which quotes no text.

        `languages`: of the texts, None where it is not known; texts in another language than the model's have no names.
        """
        known = [None] * len(texts) if languages is None else languages
        try:
            with self._model.memory():
                return [
                    list(self._find(text)) if self._reads(language) else []
                    for text, language in zip(texts, known, strict=True)
                ]
        except Exception as error:  # whose message may quote the text
            raise WorkError(f"the search for names failed ({type(error).__name__})") from None

    def _reads(self, language: str | None) -> bool:
        return not language or self._model.language in (EVERY_LANGUAGE, language_of(language))

    def _find(self, text: str) -> Iterator[Finding]:
        from .gate import readable

        text = readable(text)
        for start, end in pieces(text):
            for entity in self._model.entities(text[start:end]):
                kind = self._mapping.get(entity.label, entity.label)
                score = self._score if entity.score is None else entity.score
                if kind in self._weak:
                    score *= self._weakened
                if kind in self._kinds and score >= self._min_score:
                    yield Finding(start + entity.start, start + entity.end, kind, score, "presidio")


# -- pieces ----------------------------------------------------------------------------------------------------------

_ENDS = ("\n\n", "\n", ". ", "! ", "? ", "。", "！", "？", " ", ".")
_RUN = re.compile(r"\S+")


def pieces(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of what is read at once: all of `text` in order, but for pieces of white space alone."""
    for start, end in _parts(text, 0, len(text), LONGEST):
        for run in _RUN.finditer(text, start, end):
            if run.end() - run.start() > LONGEST_RUN:
                if text[start : run.start()].strip():
                    yield start, run.start()
                yield from _parts(text, *run.span(), LONGEST_RUN)
                start = run.end()
        if text[start:end].strip():
            yield start, end


def _parts(text: str, start: int, end: int, longest: int) -> Iterator[tuple[int, int]]:
    while end - start > longest:
        middle, stop = start + longest // 2, start + longest
        found = ((text.rfind(mark, middle, stop), mark) for mark in _ENDS)
        cut = next((place + len(mark) for place, mark in found if place >= 0), stop)
        yield start, cut
        start = cut
    yield start, end


# -- models ----------------------------------------------------------------------------------------------------------


def model_files(model: str) -> tuple[str, ...]:
    """Paths of the files of a model, in order. Raises RequestError if it is neither a package nor a folder of one."""
    folder = _folder(model)
    return tuple(str(p) for p in sorted(folder.rglob("*")) if p.is_file() and p.parent.name != "__pycache__")


def _folder(model: str) -> Path:
    package = importlib.util.find_spec(model) if model.isidentifier() else None
    places = package.submodule_search_locations if package is not None else None
    folder = Path(next(iter(places))) if places else Path(model)
    if any((folder / name).is_file() for name in ("meta.json", "config.json")):
        return folder
    if model.isidentifier():
        told = f"no such model is installed: python -m spacy download {model}, or pip install {model}"
    else:
        told = "not the folder of a model: it holds neither meta.json (spaCy) nor config.json (transformers)"
    raise RequestError(f"{KEY}: {model}: {told}")


def _is_transformers(model: str) -> bool:
    return not (_folder(model) / "meta.json").is_file()


def _unloadable(model: str, error: Exception) -> RequestError:
    first = str(error).partition("\n")[0]
    return RequestError(f"{KEY}: {model}: cannot be loaded ({type(error).__name__}: {first})")


class _Spacy:
    """A pipeline of spaCy, reduced to what its entities depend on."""

    # Components whose work neither bounds sentences nor is read by the entity recogniser, and all the others that
    # spaCy's own models have; a pipeline with anything else, such as rules that ask for lemmas, is run whole.
    _UNREAD = frozenset({"tagger", "morphologizer", "attribute_ruler", "lemmatizer", "trainable_lemmatizer"})
    _READ = frozenset({"tok2vec", "transformer", "curated_transformer", "parser", "senter", "sentencizer", "ner"})

    def __init__(self, model: str):
        import_spacy()
        import spacy
        from presidio_analyzer.nlp_engine import NlpEngineProvider

        try:
            self._nlp: Language = spacy.load(model)
        except Exception as error:
            raise _unloadable(model, error) from None
        factories = {name: self._nlp.get_pipe_meta(name).factory for name in self._nlp.pipe_names}
        finders = [name for name in factories if "doc.ents" in self._nlp.get_pipe_meta(name).assigns]
        self.labels = {label for name in finders for label in self._nlp.pipe_labels.get(name, ())}
        if self._UNREAD.union(self._READ).issuperset(factories.values()):
            for name, factory in factories.items():
                if factory in self._UNREAD:
                    self._nlp.disable_pipe(name)
        self.language = self._nlp.lang
        self.configuration = _configuration(NlpEngineProvider())

    def memory(self) -> AbstractContextManager:
        """A block at whose end everything that spaCy has learnt within it is dropped."""
        return self._nlp.memory_zone()

    def entities(self, text: str) -> Iterator[Entity]:
        """The entities of a text, as `Doc.ents` has them."""
        for entity in self._nlp(text).ents:
            yield Entity(entity.start_char, entity.end_char, entity.label_, None)


class _Transformers:
    """A token classifier of transformers, on windows of as many tokens as it takes, which overlap."""

    language = EVERY_LANGUAGE

    def __init__(self, model: str):
        try:
            import torch
            from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline
            from transformers.utils.logging import disable_progress_bar
        except ImportError:
            raise RequestError(f"{KEY}: {model}: needs two packages: pip install torch transformers") from None
        import_spacy()
        import presidio_analyzer
        from presidio_analyzer.nlp_engine import NlpEngineProvider

        file = Path(presidio_analyzer.__file__).parent / "conf" / "transformers.yaml"
        self.configuration = _configuration(NlpEngineProvider(conf_file=file))
        torch.set_num_threads(1)  # sums of several threads differ in the last bits
        disable_progress_bar()
        try:
            tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
            network = AutoModelForTokenClassification.from_pretrained(
                model, local_files_only=True, use_safetensors=True
            )
        except Exception as error:
            raise _unloadable(model, error) from None
        if not tokenizer.is_fast or tokenizer.model_max_length > LONGEST:
            raise RequestError(f"{KEY}: {model}: needs tokenizer.json, and model_max_length in tokenizer_config.json")
        self._classify = pipeline(
            "token-classification",
            model=network,
            tokenizer=tokenizer,
            aggregation_strategy=self.configuration.aggregation_strategy,
            stride=self.configuration.stride,
            device="cpu",
        )
        self.labels = {re.sub("^[BI]-", "", label) for label in network.config.id2label.values()}

    def memory(self) -> AbstractContextManager:
        """Nothing is kept of what was read."""
        return nullcontext()

    def entities(self, text: str) -> Iterator[Entity]:
        """The entities of a text."""
        for entity in self._classify(text):
            yield Entity(entity["start"], entity["end"], entity["entity_group"], float(entity["score"]))


def _configuration(provider: NlpEngineProvider) -> NerModelConfiguration:
    """What Presidio does with labels. Those that it ignores by default (ORGANIZATION) count here, if asked for."""
    from presidio_analyzer.nlp_engine import NerModelConfiguration

    return NerModelConfiguration.from_dict(provider.nlp_configuration["ner_model_configuration"])
