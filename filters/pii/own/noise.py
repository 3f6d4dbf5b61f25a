"""What a secret is not: a placeholder of documentation, or a name.

What follows `token =` in code is a name, a path or a call as a rule. Words are told from noise by their letter pairs:
120 of the 676 make up 4 of 5 pairs of English, and 1 of 6 in noise (counted in the Python Enhancement Proposals; the
idea is as old as Shannon's "Prediction and Entropy of Printed English", 1951). Counting characters alone, as entropy
does, cannot tell `getAccessTokenSilently` from a key; it is asked too, for `aaaa1111`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise

import re2

# Anywhere in a value: variables and templates, words that say that it is none, regular expressions, and the start of
# published examples: Amazon's (both hold EXAMPLE), Azure's storage emulator, Aladdin's of RFC 7617.
_PLACEHOLDER = re2.compile(
    r"(?i)\$\{|\$\(|\{\{|#\{|<|>|%\(|%d|%s\b|\.\.\.|…|\*\*\*|xxxx|your|example|sample|placeholder|replace|insert"
    r"|dummy|redacted|todo|fixme|foobar|undefined|unknown|localhost|qwerty|123456789|abcdefgh|a1b2c3"
    r"|p[a4@][s5$]{2}w[o0]?r?d|secret|private.?key|api.?key|access.?token|auth.?token"
    r"|(?:token|key).?here|my.?(?:token|key|api|pass)|change.?(?:me|this|it)"
    r"|\][+*{]|\(\?|\\[dswb]|eby8vdm02xnocqflqu|qwxhzgrpbjpvcgvuihnlc2ft"
)
_VARIABLE = re.compile(r"\$\w+|%\w+%|[@:&%][A-Za-z_]+|\{.*\}|\[.*\]|\(.*\)")
# The whole of a value, in the languages that manuals are translated into. Digits behind the word say nothing.
_PLACEHOLDER_WORDS = re2.compile(
    r"(?i)(?:(?:my|the|some|any|new|old|db|user(?:name)?|root|admin|guest|test(?:ing)?|demo|foo|bar|baz|qux|pass|pwd|pw"
    r"|key|token|word|value|string|hidden|private|secure|default|env|empty|none|null|nil|true|false|x+|letmein|hunter"
    r"|tiger|welcome|login|hello|world|postgres|mysql|redis|rabbitmq|mongo|oracle|elastic|minio|motdepasse|passwort"
    r"|kennwort|passord|wachtwoord|lösenord|contraseña|contrasenya|clau|senha|parola|hasło|heslo|katasandi|sandi|пароль"
    r"|密码)[-_.!]{0,3})+[0-9!]{0,6}|[-_.*?]+|[a-z]"
)


def is_placeholder(value: str) -> bool:
    """Whether `value` stands where a secret would: a variable, a template, a word of documentation."""
    return bool(_PLACEHOLDER.search(value) or _VARIABLE.fullmatch(value) or _PLACEHOLDER_WORDS.fullmatch(value))


# A letter, and those that often follow it.
_FOLLOWERS = """
abcdilmnrst belu caehklot deio eacdeflmnprstx fio ge haeio ibcflmnost ladeiloy maeop nacdegiost
ocdfmnprstuw paelorty raeiost seiostu taehiorstu ulnrst ve whi yt
"""
_PAIRS = frozenset(word[0] + follower for word in _FOLLOWERS.split() for follower in word[1:])
WORDLIKE = 0.5  # noise is under it 199 times of 200 (16 characters), names of code are over it 19 times of 20


def predictable(value: str) -> float:
    """The share of the pairs of letters and digits that are common in English, equal or next to each other."""
    pairs = expected = 0
    value = value.lower()
    for a, b in pairwise(value):
        if a.isalnum() and b.isalnum():
            pairs += 1
            expected += a + b in _PAIRS or abs(ord(a) - ord(b)) <= 1
    return expected / pairs if pairs else 1.0


def _entropy(value: str) -> float:
    """Bits a character, by the characters' own frequencies."""
    return -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())


HEX, _PIECE = re.compile(r"[0-9a-f-]+|[0-9A-F-]+"), re.compile(r"[^-_./: ]+")
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
PATH = re.compile(r"\.{0,2}/[a-z]|~/|[A-Za-z]:[\\/]|[a-z][a-z0-9+.-]{1,20}://")
_NAMESPACED = re.compile(r"[a-z][a-z0-9+.-]{1,20}:(?://|[a-z])")  # URLs, `arn:aws:`, `urn:ietf:`
_LEAST_PIECE = 8  # characters of a token between two that part words


def is_noise(value: str) -> bool:
    """Whether a token is no name: letters with digits or in both cases, one long piece, no words, no repeats."""
    classes = sum(any(map(test, value)) for test in (str.islower, str.isupper, str.isdigit))
    if classes < 2 or value.isdecimal() or _NAMESPACED.match(value) or predictable(value) > WORDLIKE:
        return False
    if max(map(len, _PIECE.findall(value))) < _LEAST_PIECE:
        return False
    alphabet = 16 if HEX.fullmatch(value) else 36 if classes == 2 else 62
    return _entropy(value) >= 0.65 * math.log2(min(len(value), alphabet))
