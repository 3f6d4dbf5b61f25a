"""Presidio's context words without tokenising whole documents.

A finding's score rises when a context word of its recogniser ("phone", "ssn", "iban") is among the keywords around
it: the last six up to the token where the finding starts, and the first one from there on. A keyword is a lemma that
is neither a stop word nor punctuation. Presidio tokenises every document for this, its largest single cost.

With lemmas that depend on the token alone, and spaCy cutting at white space first, the tokens of a piece of text
between white space do not depend on its surroundings. So pieces are tokenised one by one, remembered, and only around
findings. The tokens, keywords and their order are those of `engine.TokenEngine`, with one exception: a piece is cut
after `PIECE` characters, since spaCy's tokeniser takes quadratic time on one long piece ("((((...").

Findings are asked about in order and every piece is read at most a few times, whatever the text.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import regex
from presidio_analyzer.context_aware_enhancers import LemmaContextAwareEnhancer
from spacy.attrs import IS_PUNCT, IS_STOP, LOWER

from .catalogue import ENGLISH
from .engine import tokeniser

PIECE = 512
MEMO = 16_000  # pieces remembered: some 40 MB with what spaCy keeps of them; real text repeats its words

_SPACES = "".join(c for c in map(chr, range(0x3100)) if c.isspace())  # what spaCy cuts at: str.isspace
_RUNS = re.compile(rf"[{_SPACES}]+|[^{_SPACES}]+")
_SPACE = re.compile(rf"[{_SPACES}]")
_LAST_SPACE = regex.compile(rf"(?r)[{_SPACES}]")
_LAST_WORD = regex.compile(rf"(?r)[^{_SPACES}]")


class Token(NamedTuple):
    end: int  # where it ends, counted from the start of its piece or, in a `_Reader`, of the text
    lemma: str
    keyword: bool


class Piece(NamedTuple):
    tokens: tuple[Token, ...]
    parts: frozenset[str]  # of tokens with a colon: Presidio takes a:b apart, and counts a and b wherever they stand


class ContextWords:
    """Tokens and keywords of pieces of text, remembered; shared by all documents of a worker."""

    def __init__(self, enhancer: LemmaContextAwareEnhancer, language: str = ENGLISH):
        self.before = enhancer.context_prefix_count + 1  # the finding's own token counts too
        self._language = language
        self._memo: dict[str, Piece] = {}
        self._start_afresh()

    def _start_afresh(self) -> None:
        """Forget everything; the tokeniser too, which has interned every string that it saw."""
        self._memo.clear()
        nlp = tokeniser(self._language)
        getters = nlp.vocab.lex_attr_getters
        self._is_stop, self._is_punct = getters[IS_STOP], getters[IS_PUNCT]
        nlp.vocab.lex_attr_getters = {LOWER: getters[LOWER]}  # the twenty other features of a word take half the time
        self._tokenizer = nlp.tokenizer

    def reader(self, text: str) -> _Reader:
        """The keywords around places of `text`, to be asked for in ascending order."""
        return _Reader(self, text)

    def piece(self, text: str) -> Piece:
        """The tokens of a piece of text without white space."""
        piece = self._memo.get(text)
        if piece is None:
            if len(self._memo) >= MEMO:
                self._start_afresh()
            piece = self._memo[text] = self._tokenise(text)
        return piece

    def _tokenise(self, text: str) -> Piece:
        tokens: list[Token] = []
        parts: set[str] = set()
        for token in self._tokenizer(text):
            lemma = token.lower_
            keyword = not self._is_stop(lemma) and not self._is_punct(lemma) and lemma not in ("-PRON-", "be")
            lemma = lemma.lower()
            if keyword and ":" in lemma:
                parts.update(lemma.split(":"))
                keyword = False
            tokens.append(Token(token.idx + len(token), lemma, keyword))
        return Piece(tuple(tokens), frozenset(parts))


class _Reader:
    """The keywords around places of one text."""

    def __init__(self, memo: ContextWords, text: str):
        self.memo, self.text = memo, text
        self._stream = _Stream(self, 0)
        self._parts: set[str] | None = None
        self._run = (0, 0)

    def around(self, start: int) -> list[str]:
        """The keywords around the token at `start`; each call with a `start` not below the last one."""
        back = 80
        while start - back > self._stream.end:  # far from what was read: read a window, a larger one if it has too few
            stream = _Stream(self, self._piece_start(start - back))
            stream.advance(start)
            if len(stream.recent) == self.memo.before:
                self._stream = stream
                return stream.words()
            back *= 3
        self._stream.advance(start)
        return self._stream.words()

    def is_keyword(self, token: Token) -> bool:
        if token.keyword:
            return True
        if self._parts is None:
            self._parts = self._colon_parts()
        return token.lemma in self._parts

    def tokens(self, start: int) -> Iterator[Token]:
        """All tokens from the piece that starts at `start` on. White space is one, but for one space after a word."""
        for run in _RUNS.finditer(self.text, start):
            at, end = run.span()
            if self.text[at].isspace():
                if end - at > 1 or at == 0 or self.text[at] != " ":  # spaCy makes a word of what is left
                    yield Token(end, " ", True)
                continue
            while at < end:
                stop = min(at + PIECE, end)
                for token in self.memo.piece(self.text[at:stop]).tokens:
                    yield Token(at + token.end, token.lemma, token.keyword)
                at = stop

    def _piece_start(self, place: int) -> int:
        """Where a piece of words starts, at or before `place`; 0 when there is none."""
        word = _LAST_WORD.search(self.text, 0, place + 1)
        if word is None:
            return 0
        first, _ = self._run_at(word.start())
        return first + (word.start() - first) // PIECE * PIECE

    def _run_at(self, place: int) -> tuple[int, int]:
        """The run of characters without white space around `place`; remembered, since it may be long."""
        if not self._run[0] <= place < self._run[1]:
            before = _LAST_SPACE.search(self.text, 0, place)
            after = _SPACE.search(self.text, place)
            self._run = before.end() if before else 0, after.start() if after else len(self.text)
        return self._run

    def _colon_parts(self) -> set[str]:
        parts: set[str] = set()
        colon = self.text.find(":")
        while colon >= 0:
            first, end = self._run_at(colon)
            start = first + (colon - first) // PIECE * PIECE
            stop = min(start + PIECE, end)
            parts |= self.memo.piece(self.text[start:stop]).parts
            colon = self.text.find(":", stop)
        return parts


class _Stream:
    """A forward reading of tokens that keeps the last keywords and knows the next one."""

    def __init__(self, reader: _Reader, start: int):
        self.reader = reader
        self.recent: deque[str] = deque(maxlen=reader.memo.before)
        self.end = start  # of the current token
        self._tokens = reader.tokens(start)
        self._ahead: deque[Token] = deque()  # read, not yet current
        self._next: Token | None = None  # the first keyword at or after the current token, while it is not behind

    def advance(self, start: int) -> None:
        """Make the token that covers `start` the current one."""
        while self.end <= start:
            token = self._ahead.popleft() if self._ahead else next(self._tokens, None)
            if token is None:
                return
            self.end = token.end
            if self.reader.is_keyword(token):
                self.recent.append(token.lemma)
                self._next = token

    def words(self) -> list[str]:
        """The keywords up to the current token, and the first one from it on."""
        if self._next is None or self._next.end < self.end:
            self._next = None
            for token in self._tokens:
                self._ahead.append(token)
                if self.reader.is_keyword(token):
                    self._next = token
                    break
        return [*self.recent, self._next.lemma] if self._next else list(self.recent)
