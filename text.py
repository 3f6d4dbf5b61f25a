"""Text as the compiled loops see it: UTF-8 bytes to code points, and the mixing that turns words into hashes.

Kernels over Arrow string buffers (see `document.text_buffers`) live in the rooms; the few lines they share live here.
They trust their input to be valid UTF-8, as Arrow strings built from Python text are. `njit` as used in this project:
no GIL, cached on disk, no bounds checks (set NUMBA_BOUNDSCHECK=1 to put them back in a test).
"""

from __future__ import annotations

from functools import partial

import numba
from llvmlite import ir
from numba import types, uint32, uint64
from numba.core.errors import TypingError
from numba.extending import intrinsic

kernel = partial(numba.njit, nogil=True, cache=True, boundscheck=False)
inline = partial(numba.njit, inline="always")


@inline
def decode(data, i):
    """(code point, index of the next one) at data[i] of valid UTF-8."""
    c = uint32(data[i])
    if c < uint32(0x80):
        return c, i + 1
    if c < uint32(0xE0):
        return ((c & uint32(0x1F)) << uint32(6)) | (uint32(data[i + 1]) & uint32(0x3F)), i + 2
    if c < uint32(0xF0):
        high = ((c & uint32(0x0F)) << uint32(12)) | ((uint32(data[i + 1]) & uint32(0x3F)) << uint32(6))
        return high | (uint32(data[i + 2]) & uint32(0x3F)), i + 3
    high = ((c & uint32(7)) << uint32(18)) | ((uint32(data[i + 1]) & uint32(0x3F)) << uint32(12))
    return high | ((uint32(data[i + 2]) & uint32(0x3F)) << uint32(6)) | (uint32(data[i + 3]) & uint32(0x3F)), i + 4


@inline
def mix64(h):
    """MurmurHash3's 64-bit finaliser (Appleby, public domain): every input bit moves every output bit."""
    h ^= h >> uint64(33)
    h *= uint64(0xFF51AFD7ED558CCD)
    h ^= h >> uint64(33)
    h *= uint64(0xC4CEB9FE1A85EC53)
    h ^= h >> uint64(33)
    return h


@inline
def mix32(h):
    """MurmurHash3's 32-bit finaliser; every step is cut to 32 bits, since Numba widens."""
    h = uint32(h ^ (h >> uint32(16)))
    h = uint32(h * uint32(0x85EBCA6B))
    h = uint32(h ^ (h >> uint32(13)))
    h = uint32(h * uint32(0xC2B2AE35))
    return uint32(h ^ (h >> uint32(16)))


# -- machine words at any byte, and the first bit that is set: one instruction each, which Numba lacks --
#
# Written in Numba a load of eight bytes is eight loads, each with its shift; these say it to LLVM directly. Nothing is
# checked, so whoever calls them leaves room behind (eight bytes behind the last place). Words are read in the machine's
# order, which is little-endian wherever Numba runs.


def _bytes(array) -> None:
    if not (isinstance(array, types.Array) and array.dtype == types.uint8 and array.layout == "C"):
        raise TypingError(f"a contiguous uint8 array is wanted, not {array}")


def pointer(context, builder, array_type, array, index, kind):
    """Inside an intrinsic: where a value of LLVM's type `kind` lies at any byte of a contiguous uint8 array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), kind.as_pointer())


def _load(bits: int, result):
    def typed(typing, array, index):
        _bytes(array)

        def generate(context, builder, signature, arguments):
            place = pointer(context, builder, signature.args[0], *arguments, ir.IntType(bits))
            return builder.load(place, align=1)

        return result(array, types.intp), generate

    return typed


def _store(bits: int, given):
    def typed(typing, array, index, value):
        _bytes(array)

        def generate(context, builder, signature, arguments):
            place = pointer(context, builder, signature.args[0], *arguments[:2], ir.IntType(bits))
            builder.store(arguments[2], place, align=1)
            return context.get_dummy_value()

        return types.void(array, types.intp, given), generate

    return typed


@intrinsic
def load64(typing, array, index):
    """uint64: array[index : index + 8] of a contiguous uint8 array."""
    return _load(64, types.uint64)(typing, array, index)


@intrinsic
def load32(typing, array, index):
    """uint32: array[index : index + 4] of a contiguous uint8 array."""
    return _load(32, types.uint32)(typing, array, index)


@intrinsic
def store64(typing, array, index, value):
    """array[index : index + 8] = value, a uint64."""
    return _store(64, types.uint64)(typing, array, index, value)


@intrinsic
def store32(typing, array, index, value):
    """array[index : index + 4] = value, a uint32."""
    return _store(32, types.uint32)(typing, array, index, value)


@intrinsic
def trailing_zeros(typing, value):
    """int64: how many zero bits stand below the lowest bit that is set; `value`, a uint64, is not 0."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate
