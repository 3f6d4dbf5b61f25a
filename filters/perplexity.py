"""How surprised an n-gram language model is by a text: perplexity a word, by KenLM (Heafield 2011, WMT).

The perplexity of a document is 10 to the power of minus the mean log10 probability of its tokens, those that end its
lines included: the mean over lines weighted by their length, as CCNet takes it (Wenzek et al. 2020, arXiv:1911.00359).
CCNet's models know lower-cased text without accents and with every digit 0, cut by SentencePiece: `ccnet_line` is their
normalisation, copied in effect with its quirks (what is left is decomposed, NFD; a tab is deleted, not a space).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..console import RequestError

# What CCNet writes for punctuation (cc_net/text_normalizer.py, MIT); control characters are deleted
_PUNCTUATION = dict(
    zip("，。、„”“«»」「《》´∶：？！（）；–～’━〈〉【】％►", ',.,"""""""""\'::?!();-~\'-<>[]%-', strict=True)
)
_TABLE = str.maketrans(
    {**dict.fromkeys(map(chr, [*range(32), *range(127, 160)])), **_PUNCTUATION, "—": " - ", "．": ". ", "…": "..."}
)
_DIGIT = re.compile(r"\d")


def ccnet_line(line: str) -> str:
    """`line` as CCNet's models were trained on: stripped, lower-case, no accents, digits 0, ASCII punctuation."""
    line = unicodedata.normalize("NFD", line.strip().lower())
    if not line.isascii():
        line = "".join(c for c in line if unicodedata.category(c) != "Mn")
    return _DIGIT.sub("0", line).translate(_TABLE)


class LanguageModel:
    """A KenLM model (`.arpa`, `.bin`; a binary file is mapped, not read) and what its text looked like.

    `pieces`: the SentencePiece model whose pieces were its words. Then a document is one line, as CCNet does it.
    Raises RequestError, under the name `key`, where a library or a file is missing or wrong.
    """

    def __init__(self, model: str, ccnet: bool = True, pieces: str | None = None, key: str = "perplexity"):
        need_libraries(pieces is not None, key)
        self.ccnet, self.pieces = ccnet, None
        self.model = _open_kenlm(model, key)
        if pieces is not None:
            self.pieces = _open_pieces(pieces, key)

    def perplexity(self, text: str) -> float:
        """Of a document, a token; NaN where it has no word."""
        total, tokens = 0.0, 0
        for line in self._lines(text):
            words = len(line.encode().split())  # at ASCII white space, as KenLM's module cuts them
            if words:
                total += self.model.score(line)
                tokens += words + 1
        with np.errstate(over="ignore"):
            return float(np.float64(10.0) ** (-total / tokens)) if tokens else float("nan")

    def _lines(self, text: str) -> Iterable[str]:
        if self.pieces is not None:
            return (" ".join(self.pieces.encode(ccnet_line(text) if self.ccnet else text, out_type=str)),)
        lines = text.split("\n")
        return map(ccnet_line, lines) if self.ccnet else lines


def need_libraries(pieces: bool, key: str) -> None:
    """Raises RequestError, under the name `key`, where the module kenlm, or for `pieces` sentencepiece, is missing."""
    for module, wanted, more in (("kenlm", True, " (it needs a C++ compiler)"), ("sentencepiece", pieces, "")):
        if wanted and find_spec(module) is None:
            raise RequestError(f"{key}: the module {module} was not found; pip install {module}{more}")


def _open_kenlm(path: str, key: str) -> Any:
    import kenlm

    config = kenlm.Config()
    config.show_progress, config.arpa_complain = False, kenlm.ARPALoadComplain.NONE
    return _opened(lambda: kenlm.Model(path, config), path, f"{key}.model", "a model of KenLM")


def _open_pieces(path: str, key: str) -> Any:
    from sentencepiece import SentencePieceProcessor

    return _opened(lambda: SentencePieceProcessor(model_file=path), path, f"{key}.pieces", "a SentencePiece model")


def _opened(load: Any, path: str, key: str, kind: str) -> Any:
    if not Path(path).is_file():
        raise RequestError(f"{key}: {path}: no such file")
    try:
        return load()
    except (OSError, RuntimeError, ValueError, MemoryError):  # their text may quote the file
        raise RequestError(f"{key}: {path}: not {kind}") from None
