"""Machine words at any place in a byte array, and the first bit that is set: one instruction each, which Numba lacks.

The idea: a word of a text is hashed with one load of eight bytes, and a text is lower-cased eight bytes at a time;
written in Numba such a load is eight, each with its shift. These five say it to LLVM directly.

The trade-off: nothing is checked, so whoever calls them leaves room behind (eight bytes behind the last place). Words
are read in the machine's order, which is little-endian wherever Numba runs.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.extending import intrinsic


def _bytes(array) -> None:
    if not (isinstance(array, types.Array) and array.dtype == types.uint8 and array.layout == "C"):
        raise TypingError(f"a contiguous uint8 array is wanted, not {array}")


def _pointer(context, builder, array_type, array, index, bits):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), ir.IntType(bits).as_pointer())


def _load(bits: int, result):
    def typed(typing, array, index):
        _bytes(array)

        def generate(context, builder, signature, arguments):
            pointer = _pointer(context, builder, signature.args[0], *arguments, bits)
            return builder.load(pointer, align=1)

        return result(array, types.intp), generate

    return typed


def _store(bits: int, given):
    def typed(typing, array, index, value):
        _bytes(array)

        def generate(context, builder, signature, arguments):
            pointer = _pointer(context, builder, signature.args[0], *arguments[:2], bits)
            builder.store(arguments[2], pointer, align=1)
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
