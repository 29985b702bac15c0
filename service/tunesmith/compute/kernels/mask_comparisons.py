"""Comparisons of 64 bars at a time, to a word of a mask (see `masks`).

They are what generated conditions are made of: eight bars an instruction where the processor can, and every
formula of conditions after that is one of whole words. They read 64 values wherever they are told to begin.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from tunesmith.compute.kernels.masks import BITS


@intrinsic  # type: ignore[untyped-decorator]
def less_nb(typing: Any, a: Any, i: Any, b: Any, j: Any) -> Any:
    """Mask of a[i + k] < b[j + k]; `a` and `b` are float64[n], or a number, whose index is not looked at, or both are
    float32[n]."""
    return types.uint64(a, i, b, j), _comparison("<")


@intrinsic  # type: ignore[untyped-decorator]
def at_most_nb(typing: Any, a: Any, i: Any, b: Any, j: Any) -> Any:
    """Mask of a[i + k] <= b[j + k]; see `less_nb`."""
    return types.uint64(a, i, b, j), _comparison("<=")


@intrinsic  # type: ignore[untyped-decorator]
def equal_nb(typing: Any, a: Any, i: Any, b: Any, j: Any) -> Any:
    """Mask of a[i + k] == b[j + k]; see `less_nb`."""
    return types.uint64(a, i, b, j), _comparison("==")


@intrinsic  # type: ignore[untyped-decorator]
def lowest_bit_nb(typing: Any, mask: Any) -> Any:
    """Position of the lowest bit of a uint64 that is set; 64 where none is."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


def _comparison(operator: str) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        is_single = types.float32 in (getattr(kind, "dtype", None) for kind in signature.args)
        vector = ir.VectorType(ir.FloatType() if is_single else ir.DoubleType(), BITS)

        def values(kind: Any, given: Any, at: Any) -> Any:
            if isinstance(kind, types.Array):
                array = context.make_array(kind)(context, builder, given)
                place = builder.bitcast(builder.gep(array.data, [at]), vector.as_pointer())
                loaded = builder.load(place)
                loaded.align = 4 if is_single else 8
                return loaded
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), given, ir.Constant(ir.IntType(32), 0))
            zeros = ir.Constant(ir.VectorType(ir.IntType(32), BITS), [0] * BITS)
            return builder.shuffle_vector(one, one, zeros)

        a = values(signature.args[0], arguments[0], arguments[1])
        b = values(signature.args[2], arguments[2], arguments[3])
        return builder.bitcast(builder.fcmp_ordered(operator, a, b), ir.IntType(BITS))

    return generate
