"""The secret key of `fake` and `hash`: read from a file or the environment, and never written anywhere.

A hash of personal data without a key is no protection: all phone numbers of the world are hashed in minutes. With one,
the same value gets the same replacement in every document and run, and nobody without the key can try values out. What
a run may keep of the key is its fingerprint, an HMAC of a fixed text: it tells two keys apart and gives neither away.

HMAC: RFC 2104, with SHA-256.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from ...console import RequestError

KEYED = ("fake", "hash")  # the actions that need a key
LEAST_BYTES = 16  # of a key: 128 bits, if they are random


def read_key(key_file: str | None, key_env: str | None) -> bytes:
    """The key, without the white space around it. Raises RequestError, which says where it looked and quotes nothing.

    Give one of the two: `key_file`, the path of a file, or `key_env`, the name of an environment variable.
    """
    if key_file is not None:
        where = f"key_file: {key_file}"
        try:
            key = Path(key_file).read_bytes().strip()
        except OSError as error:
            raise RequestError(f"{where}: cannot be read ({error.strerror})") from None
    elif key_env is not None:
        where = f"key_env: {key_env}"
        key = os.environb.get(key_env.encode(), b"").strip()
    else:
        raise RequestError(
            "the actions fake and hash need a secret key: name its file (key_file) or the environment "
            "variable that holds it (key_env)"
        )
    if len(key) < LEAST_BYTES:
        raise RequestError(
            f"{where}: holds {len(key)} bytes; a key has at least {LEAST_BYTES}, e.g. openssl rand -hex 32"
        )
    return key


def keyed(key: bytes, *parts: str) -> int:
    """A number below 2^256 that only who has the key can tell from chance, the same for the same parts."""
    return int.from_bytes(hmac.digest(key, "\0".join(parts).encode("utf-8", "surrogatepass"), hashlib.sha256), "big")


def fingerprint_of(key: bytes) -> str:
    """12 hexadecimal digits that tell keys apart."""
    return hmac.digest(key, b"gristmill scrub key", hashlib.sha256).hex()[:12]
