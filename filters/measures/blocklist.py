"""Which of tens of millions of listed domains and addresses covers an address: all suffixes and prefixes, looked up.

A listed domain covers itself and its subdomains, so the keys of an address are its host and every suffix of it that
begins after a dot. A listed address covers itself and what lies below its path, so the keys are host and path up to
every slash, up to the question mark, and whole. Each key is one 64-bit hash, made while walking over the bytes; a table
of sorted hashes says whether it is listed and by which list.

The hashes are not checked against the text: with n entries and k keys an address, an address nobody listed is taken for
listed with a chance of k n / 2^64: one in 6 * 10^10 with 30 million entries and ten keys.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import uint64

from ...document import text_buffers
from ...text import inline, kernel, mix64
from .arrayfile import Arrays
from .hashset import directory_bits, place_of

FNV_BASIS, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
LONGEST_HOST = 255  # what DNS can hold; of a longer one only the whole is looked up

SLASH, QUESTION, DOT, COLON, BRACKET = (np.uint8(ord(c)) for c in "/?.:[")
ZERO, NINE = np.uint8(ord("0")), np.uint8(ord("9"))


def entry_keys(entries: pa.Array) -> np.ndarray:
    """uint64[n]: the key of each domain (`example.com`) or address (`example.com/path`, no slash at the end)."""
    out = np.empty(len(entries), np.uint64)
    _entry_keys(*text_buffers(entries), out)
    return out


def covered(index: Arrays, addresses: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(int64[n], int64[n]): the place in the index of the listed domain, and of the listed address, that covers each.

    -1 where there is none. `addresses`: host, port and path as `urls.canonical_url` gives them, without the scheme; of
    several entries the longest domain and the shortest address count. A listed address holds for `www.` as well.
    """
    domains, urls = np.empty(len(addresses), np.int64), np.empty(len(addresses), np.int64)
    starts = index["starts"]
    data, offsets = text_buffers(addresses)
    _covered(data, offsets, index["keys"], starts, directory_bits(starts), domains, urls)
    return domains, urls


@inline
def _step(h, byte):
    return (h ^ uint64(byte)) * FNV_PRIME


@kernel
def _entry_keys(data, offsets, out):
    for i in range(len(out)):
        h = FNV_BASIS
        for at in range(offsets[i], offsets[i + 1]):
            h = _step(h, data[at])
        out[i] = mix64(h)


@kernel
def _is_number(data, start, end):
    """Whether a host is an address of the network: those have no subdomains."""
    if data[start] == BRACKET:
        return True
    at = end
    while at > start and ZERO <= data[at - 1] <= NINE:
        at -= 1
    return at < end and (at == start or data[at - 1] == DOT)


@kernel
def _covered(data, offsets, keys, starts, bits, domains, urls):
    for i in range(len(domains)):
        domains[i] = urls[i] = -1
        start, end = offsets[i], offsets[i + 1]
        path = start
        while path < end and data[path] != SLASH:
            path += 1
        host = path  # the host ends before the port
        if host > start and data[start] != BRACKET:
            host = start
            while host < path and data[host] != COLON:
                host += 1
        if host == start:
            continue
        whole = _is_number(data, start, host) or host - start > LONGEST_HOST
        label = start
        while label < host and domains[i] < 0:
            h = FNV_BASIS
            for at in range(label, host):
                h = _step(h, data[at])
            domains[i] = place_of(mix64(h), keys, starts, bits)
            if whole:
                break
            while label < host and data[label] != DOT:
                label += 1
            label += 1
        h, at = FNV_BASIS, start
        while at < path:
            h = _step(h, data[at])
            at += 1
        while at < end and urls[i] < 0:
            h = _step(h, data[at])  # a slash or the question mark
            if at == path:  # "host/": the host itself
                urls[i] = place_of(mix64(h), keys, starts, bits)
            at += 1
            while at < end and data[at] != SLASH and data[at] != QUESTION:
                h = _step(h, data[at])
                at += 1
            if urls[i] < 0 and at > path + 1:
                urls[i] = place_of(mix64(h), keys, starts, bits)
