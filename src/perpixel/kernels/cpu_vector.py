"""Sixteen numbers at a time, inside Numba functions.

LLVM turns a plain Numba loop into vector code only where it can prove that no two arrays overlap
and that no result depends on order, and it seldom can. So the kernels say what they mean: a value
of type `floats` is sixteen float32 that stay in registers, and each operation below is one
instruction with AVX-512, two with AVX2, four with SSE or NEON. Nothing here checks bounds.
"""

from __future__ import annotations

import operator
from typing import no_type_check

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES = 16

_FLOAT = ir.FloatType()  # type: ignore[no-untyped-call]
_INTEGER, _FLAG = ir.IntType(32), ir.IntType(1)  # type: ignore[no-untyped-call]
_ELEMENTS = {"floats": _FLOAT, "integers": _INTEGER, "flags": _FLAG}


class Vector(types.Type):
    """The type of sixteen float32 ("floats"), int32 ("integers") or booleans ("flags")."""


class _VectorModel(models.PrimitiveModel):
    @no_type_check
    def __init__(self, manager, kind):
        super().__init__(manager, kind, ir.VectorType(_ELEMENTS[kind.name], LANES))


register_model(Vector)(_VectorModel)

floats = Vector("floats")
integers = Vector("integers")
flags = Vector("flags")
_DOUBLES = ir.VectorType(ir.DoubleType(), LANES)  # type: ignore[no-untyped-call]


@no_type_check
def _binary(symbol, operand, result, emit):
    """Give a Python operator its meaning between two vectors."""
    cases = [signature(result, operand, operand)]
    infer_global(symbol)(type(f"_{symbol.__name__}", (ConcreteTemplate,), {"cases": cases}))

    def lower(context, builder, call, arguments):
        return emit(builder, *arguments)

    lower_builtin(symbol, operand, operand)(lower)


_binary(operator.add, floats, floats, ir.IRBuilder.fadd)
_binary(operator.sub, floats, floats, ir.IRBuilder.fsub)
_binary(operator.mul, floats, floats, ir.IRBuilder.fmul)
_binary(operator.truediv, floats, floats, ir.IRBuilder.fdiv)
_binary(operator.gt, floats, flags, lambda b, x, y: b.fcmp_ordered(">", x, y))
_binary(operator.ge, floats, flags, lambda b, x, y: b.fcmp_ordered(">=", x, y))
_binary(operator.lt, floats, flags, lambda b, x, y: b.fcmp_ordered("<", x, y))
# Unlike ==, which no NaN passes: this is Python's own meaning of != for floats.
_binary(operator.ne, floats, flags, lambda b, x, y: b.fcmp_unordered("!=", x, y))
_binary(operator.and_, flags, flags, ir.IRBuilder.and_)
_binary(operator.or_, flags, flags, ir.IRBuilder.or_)
_binary(operator.and_, integers, integers, ir.IRBuilder.and_)
_binary(operator.or_, integers, integers, ir.IRBuilder.or_)
_binary(operator.add, integers, integers, ir.IRBuilder.add)
_binary(operator.sub, integers, integers, ir.IRBuilder.sub)
_binary(operator.lshift, integers, integers, ir.IRBuilder.shl)
_binary(operator.rshift, integers, integers, ir.IRBuilder.ashr)


@no_type_check
def _spread(builder, value, element):
    kind = ir.VectorType(element, LANES)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.IntType(32)(0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), lanes)


@intrinsic
@no_type_check
def splat(typing_context, number):
    """The same float in all lanes."""

    def emit(context, builder, call, arguments):
        value = context.cast(builder, arguments[0], call.args[0], types.float32)
        return _spread(builder, value, ir.FloatType())

    return floats(number), emit


@intrinsic
@no_type_check
def splat_integer(typing_context, number):
    """The same integer in all lanes."""

    def emit(context, builder, call, arguments):
        value = context.cast(builder, arguments[0], call.args[0], types.int32)
        return _spread(builder, value, ir.IntType(32))

    return integers(number), emit


@no_type_check
def _address(context, builder, array_type, array, index, vector):
    """A pointer to a vector's worth of the array's elements, from a flat index on."""
    data = context.make_array(array_type)(context, builder, array).data
    element = builder.gep(data, [index])
    return builder.bitcast(element, vector.as_pointer())


@intrinsic
@no_type_check
def load(typing_context, array, index):
    """Sixteen consecutive numbers of a contiguous float32 or int32 array, from a flat index on."""
    result = floats if array.dtype == types.float32 else integers

    def emit(context, builder, call, arguments):
        vector = context.get_value_type(call.return_type)
        at = context.cast(builder, arguments[1], call.args[1], types.intp)
        pointer = _address(context, builder, call.args[0], arguments[0], at, vector)
        loaded = builder.load(pointer)
        loaded.align = 4
        return loaded

    return result(array, index), emit


@intrinsic
@no_type_check
def store(typing_context, array, index, vector):
    """Write sixteen consecutive numbers of a contiguous array, from a flat index on."""

    def emit(context, builder, call, arguments):
        kind = context.get_value_type(call.args[2])
        at = context.cast(builder, arguments[1], call.args[1], types.intp)
        pointer = _address(context, builder, call.args[0], arguments[0], at, kind)
        builder.store(arguments[2], pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, index, vector), emit


@intrinsic
@no_type_check
def store_bytes(typing_context, target, at, first, second):
    """Write the bytes of first[0], second[0], first[1], second[1] … into a uint8 array."""

    def emit(context, builder, call, arguments):
        order = [lane // 2 + lane % 2 * LANES for lane in range(2 * LANES)]
        order = ir.Constant(ir.VectorType(ir.IntType(32), 2 * LANES), order)
        both = builder.shuffle_vector(arguments[2], arguments[3], order)
        place = context.cast(builder, arguments[1], call.args[1], types.intp)
        pointer = _address(context, builder, call.args[0], arguments[0], place, both.type)
        builder.store(both, pointer, align=1)
        return context.get_dummy_value()

    return types.void(target, at, first, second), emit


@intrinsic
@no_type_check
def store_word(typing_context, target, at, source, index):
    """Write the int32 source[index] as four bytes into a uint8 array."""

    def emit(context, builder, call, arguments):
        place, from_ = (
            context.cast(builder, arguments[i], call.args[i], types.intp) for i in (1, 3)
        )
        word = ir.IntType(32)
        value = builder.load(_address(context, builder, call.args[2], arguments[2], from_, word))
        pointer = _address(context, builder, call.args[0], arguments[0], place, word)
        builder.store(value, pointer, align=1)
        return context.get_dummy_value()

    return types.void(target, at, source, index), emit


@intrinsic
@no_type_check
def muladd(typing_context, x, y, z):
    """x * y + z, in one rounding where the machine can."""

    def emit(context, builder, call, arguments):
        kind = arguments[0].type
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(kind, [kind] * 3), f"llvm.fmuladd.v{LANES}f32"
        )
        return builder.call(function, arguments)

    return floats(x, y, z), emit


@intrinsic
@no_type_check
def where(typing_context, condition, yes, no):
    """Lane by lane, `yes` where the flag is set and `no` elsewhere."""

    def emit(context, builder, call, arguments):
        return builder.select(*arguments)

    return yes(condition, yes, no), emit


@intrinsic
@no_type_check
def any_of(typing_context, condition):
    """Whether a flag is set in any lane."""

    def emit(context, builder, call, arguments):
        bits = builder.bitcast(arguments[0], ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.IntType(LANES)(0))

    return types.boolean(condition), emit


@intrinsic
@no_type_check
def bits(typing_context, vector):
    """The float32 lanes' bits as integers, or the reverse."""
    result = integers if vector == floats else floats

    def emit(context, builder, call, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(call.return_type))

    return result(vector), emit


@intrinsic
@no_type_check
def as_floats(typing_context, vector):
    """Integer lanes as the floats of the same value."""

    def emit(context, builder, call, arguments):
        return builder.sitofp(arguments[0], context.get_value_type(floats))

    return floats(vector), emit


@intrinsic
@no_type_check
def total(typing_context, vector):
    """The lanes' sum in float64, always added up in the same order."""

    def emit(context, builder, call, arguments):
        wide = builder.fpext(arguments[0], _DOUBLES)
        lane = [builder.extract_element(wide, ir.IntType(32)(i)) for i in range(LANES)]
        while len(lane) > 1:
            half = len(lane) // 2
            lane = [builder.fadd(x, y) for x, y in zip(lane[:half], lane[half:], strict=True)]
        return lane[0]

    return types.float64(vector), emit
