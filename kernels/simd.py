"""Vectors of sixteen numbers that stay in registers, one path a lane.

    Floats16 = sixteen float32, Words16 = sixteen uint32, Wide8 = eight uint64, Mask16 = sixteen truths

Formulae over them read like formulae over numbers: `+ - * & | ^ << >>` and comparisons work lane by lane,
and a number beside a vector stands for that number in every lane. What has no sign is a function here.

Each is one generic LLVM instruction on a vector, which LLVM turns into what the processor has: one
instruction with AVX-512, two with AVX2, four with SSE or on ARM. So bits are the same everywhere: IEEE
arithmetic as written, no fastmath, `fma` rounded once where it is written and nowhere else. (A processor
without fused multiply-add calls the C library for it: right, and thirty times slower.)

numba's own vectorizer is not relied on: one conditional load in a loop, or more than eight arrays, and it
falls back to one path at a time without a word.

Interpreted (NUMBA_DISABLE_JIT=1) the same names are those of `kernels.simd_numpy`, which says in numpy what
each one does; the tests hold the two against each other.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.imputils import lower_builtin, lower_cast
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

from kernels import simd_numpy

WIDTH = 16  # lanes of a vector
Vector = simd_numpy.Vector  # of any kind: mypy takes it for what it is when interpreted

Emit = Callable[..., ir.Value]  # (builder, *operands) -> result

_BIT, _INT, _LONG, _FLOAT = ir.IntType(1), ir.IntType(32), ir.IntType(64), ir.FloatType()


class VectorType(types.Type):
    """A numba type: so many lanes of one LLVM type, beside the numba type of a single lane."""

    def __init__(self, name: str, lane: ir.Type, lanes: int, of: types.Type) -> None:
        self.llvm = ir.VectorType(lane, lanes)
        self.lanes = lanes
        self.of = of
        super().__init__(name=name)


@register_model(VectorType)
class VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    """A vector is one LLVM value."""

    def __init__(self, manager: Any, vector: VectorType) -> None:
        super().__init__(manager, vector, vector.llvm)


FLOATS = VectorType("Floats16", _FLOAT, 16, types.float32)
WORDS = VectorType("Words16", _INT, 16, types.uint32)
WIDE = VectorType("Wide8", _LONG, 8, types.uint64)
MASK = VectorType("Mask16", _BIT, 16, types.boolean)


def _fill(builder: ir.IRBuilder, value: ir.Value, vector: VectorType) -> ir.Value:
    """That value in every lane."""
    undefined = ir.Constant(vector.llvm, ir.Undefined)
    first = builder.insert_element(undefined, value, _INT(0))
    return builder.shuffle_vector(first, undefined, _INT_LANES(vector.lanes, [0] * vector.lanes))


def _INT_LANES(lanes: int, values: list[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(_INT, lanes), values)


def _constant(vector: VectorType, value: int) -> ir.Constant:
    return ir.Constant(vector.llvm, [value] * vector.lanes)


@lower_cast(types.Number, VectorType)  # type: ignore[untyped-decorator]
def cast_number(
    context: Any, builder: ir.IRBuilder, kind: Any, vector: VectorType, value: ir.Value
) -> ir.Value:
    """A number beside a vector: first as a number of the lane's type, then in every lane."""
    return _fill(builder, context.cast(builder, value, kind, vector.of), vector)


def _call(name: str) -> Emit:
    """The LLVM intrinsic of that name, for the operands' own type."""

    def emit(builder: ir.IRBuilder, *operands: ir.Value) -> ir.Value:
        kind = operands[0].type
        function = ir.FunctionType(kind, [operand.type for operand in operands])
        return builder.call(cgutils.get_or_insert_function(builder.module, function, name), operands)

    return emit


def _instruction(name: str) -> Emit:
    return lambda builder, *operands: getattr(builder, name)(*operands)


def _compare(sign: str, ordered: bool) -> Emit:
    if ordered:
        return lambda builder, x, y: builder.fcmp_ordered(sign, x, y)
    return lambda builder, x, y: builder.icmp_unsigned(sign, x, y)


# Which instruction a sign is, by the vectors it stands between.
_SIGNS: dict[Any, dict[VectorType, Emit]] = {
    operator.add: {
        FLOATS: _instruction("fadd"),
        WORDS: _instruction("add"),
        WIDE: _instruction("add"),
    },
    operator.sub: {
        FLOATS: _instruction("fsub"),
        WORDS: _instruction("sub"),
        WIDE: _instruction("sub"),
    },
    operator.mul: {FLOATS: _instruction("fmul"), WORDS: _instruction("mul")},
    operator.and_: {v: _instruction("and_") for v in (WORDS, WIDE, MASK)},
    operator.or_: {v: _instruction("or_") for v in (WORDS, WIDE, MASK)},
    operator.xor: {v: _instruction("xor") for v in (WORDS, WIDE, MASK)},
    operator.lshift: {v: _instruction("shl") for v in (WORDS, WIDE)},
    operator.rshift: {v: _instruction("lshr") for v in (WORDS, WIDE)},
}
_COMPARISONS = {operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">=", operator.eq: "=="}
_SIGNS.update(
    {
        sign: {FLOATS: _compare(text, True), WORDS: _compare(text, False)}
        for sign, text in _COMPARISONS.items()
    }
)


def _define_sign(sign: Any, meanings: dict[VectorType, Emit]) -> None:
    """Teach numba what a sign between two vectors, or a vector and a number, is."""

    class Sign(AbstractTemplate):  # type: ignore[misc]
        key = sign

        def generic(self, args: tuple[types.Type, ...], kws: Any) -> Any:
            vectors = [kind for kind in args if isinstance(kind, VectorType)]
            if not vectors or len(args) != 2 or vectors[0] not in meanings:
                return None
            if len(vectors) == 2 and vectors[0] is not vectors[1]:
                return None
            result = MASK if sign in _COMPARISONS else vectors[0]
            return signature(result, vectors[0], vectors[0])

    infer_global(sign)(Sign)

    def lower(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return meanings[sig.args[0]](builder, *args)

    lower_builtin(sign, VectorType, VectorType)(lower)


for _sign, _meanings in _SIGNS.items():
    _define_sign(_sign, _meanings)


def _define(emit: Emit, result: types.Type, *operands: types.Type) -> Any:
    """A function of vectors, by the instruction it is; named and explained by its numpy twin."""
    names = [f"x{i}" for i in range(len(operands))]

    def typing(context: Any, *given: Any) -> Any:
        def lower(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
            return emit(builder, *args)

        return result(*operands), lower

    # numba reads how many operands there are from the function itself
    scope: dict[str, Any] = {"typing": typing}
    listed = ", ".join(names)
    exec(f"def function(context, {listed}):\n    return typing(context, {listed})\n", scope)
    return intrinsic(scope["function"])


def _bitcast(vector: VectorType) -> Emit:
    return lambda builder, x: builder.bitcast(x, vector.llvm)


def _extreme(sign: str) -> Emit:
    """The lesser or the greater: one instruction, where LLVM sees no more in it.

    Frozen, because x or y may have just been loaded from where the result goes: LLVM then stores under a
    mask, and the masks go through memory.
    """

    def frozen(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
        instruction = ir.instructions.Instruction(builder.block, x.type, "freeze", [x])
        builder._insert(instruction)
        return instruction

    def emit(builder: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
        x, y = frozen(builder, x), frozen(builder, y)
        return builder.select(builder.fcmp_ordered(sign, x, y), x, y)

    return emit


def _multiply_low(builder: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    low = _constant(WIDE, 0xFFFFFFFF)
    return builder.mul(builder.and_(x, low), builder.and_(y, low))


def _join(builder: ir.IRBuilder, even: ir.Value, odd: ir.Value) -> ir.Value:
    # a shuffle: shifting a product would be folded into a multiplication of whole 64 bits, which is slow
    halves = builder.bitcast(even, WORDS.llvm), builder.bitcast(odd, WORDS.llvm)
    return builder.shuffle_vector(*halves, _INT_LANES(16, [i - i % 2 + 16 * (i % 2) for i in range(16)]))


def _lanes_of(builder: ir.IRBuilder, mask: ir.Value) -> ir.Value:
    return builder.zext(builder.bitcast(mask, ir.IntType(16)), _INT)


def _lane_numbers(builder: ir.IRBuilder, first: ir.Value) -> ir.Value:
    return builder.add(_fill(builder, first, WORDS), _INT_LANES(16, list(range(16))))


def _count_bits(builder: ir.IRBuilder, bits: ir.Value) -> ir.Value:
    return builder.zext(_call("llvm.ctpop.i32")(builder, bits), _LONG)


def _lowest_bit(builder: ir.IRBuilder, bits: ir.Value) -> ir.Value:
    function = ir.FunctionType(_INT, [_INT, _BIT])
    counter = cgutils.get_or_insert_function(builder.module, function, "llvm.cttz.i32")
    return builder.zext(builder.call(counter, [bits, _BIT(0)]), _LONG)


_compiled = {
    "fma": _define(_call("llvm.fma.v16f32"), FLOATS, FLOATS, FLOATS, FLOATS),
    "root": _define(_call("llvm.sqrt.v16f32"), FLOATS, FLOATS),
    "least": _define(_extreme("<"), FLOATS, FLOATS, FLOATS),
    "most": _define(_extreme(">"), FLOATS, FLOATS, FLOATS),
    "choose": _define(_instruction("select"), FLOATS, MASK, FLOATS, FLOATS),
    "choose_words": _define(_instruction("select"), WORDS, MASK, WORDS, WORDS),
    "floats": _define(lambda builder, x: x, FLOATS, FLOATS),
    "words": _define(lambda builder, x: x, WORDS, WORDS),
    "wide": _define(lambda builder, x: x, WIDE, WIDE),
    "lane_numbers": _define(_lane_numbers, WORDS, types.uint32),
    "floats_of_words": _define(lambda builder, x: builder.uitofp(x, FLOATS.llvm), FLOATS, WORDS),
    "floats_of_signed": _define(lambda builder, x: builder.sitofp(x, FLOATS.llvm), FLOATS, WORDS),
    "words_of_mask": _define(lambda builder, x: builder.zext(x, WORDS.llvm), WORDS, MASK),
    "bits": _define(_bitcast(WORDS), WORDS, FLOATS),
    "floats_of_bits": _define(_bitcast(FLOATS), FLOATS, WORDS),
    "even_words": _define(_bitcast(WIDE), WIDE, WORDS),
    "odd_words": _define(
        lambda builder, x: builder.lshr(builder.bitcast(x, WIDE.llvm), _constant(WIDE, 32)), WIDE, WORDS
    ),
    "multiply_low": _define(_multiply_low, WIDE, WIDE, WIDE),
    "join": _define(_join, WORDS, WIDE, WIDE),
    "lanes_of": _define(_lanes_of, types.uint32, MASK),
    "count_bits": _define(_count_bits, types.int64, types.uint32),
    "lane_of": _define(_instruction("extract_element"), types.float32, FLOATS, types.int64),
    "lowest_bit": _define(_lowest_bit, types.int64, types.uint32),
}


def _element(context: Any, builder: ir.IRBuilder, array: Any, index: Any, args: Any) -> ir.Value:
    """The address of an element, without numba's look at negative and too large indices."""
    struct = context.make_array(array)(context, builder, args[0])
    places = [args[1]] if isinstance(index, types.Integer) else cgutils.unpack_tuple(builder, args[1])
    kinds = [index] if isinstance(index, types.Integer) else list(index)
    places = [
        context.cast(builder, place, kind, types.intp) for place, kind in zip(places, kinds, strict=True)
    ]
    return cgutils.get_item_pointer(context, builder, array, struct, places, wraparound=False)


def _vector_in(array: Any) -> VectorType:
    """What an array holds sixteen of."""
    if array.dtype not in (types.float32, types.uint32):
        raise numba.core.errors.TypingError(f"vectors are of float32 or uint32, not {array.dtype}")
    return FLOATS if array.dtype == types.float32 else WORDS


@intrinsic  # type: ignore[untyped-decorator]
def _load(context: Any, array: Any, index: Any) -> Any:
    vector = _vector_in(array)

    def lower(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        place = _element(context, builder, sig.args[0], sig.args[1], args)
        return builder.load(builder.bitcast(place, vector.llvm.as_pointer()), align=4)

    return vector(array, index), lower


@intrinsic  # type: ignore[untyped-decorator]
def _store(context: Any, array: Any, index: Any, value: Any) -> Any:
    widened = array.dtype == types.float64

    def lower(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        place = _element(context, builder, sig.args[0], sig.args[1], args)
        stored = args[2]
        if widened:
            stored = builder.fpext(stored, ir.VectorType(ir.DoubleType(), WIDTH))
        builder.store(
            stored, builder.bitcast(place, stored.type.as_pointer()), align=array.dtype.bitwidth // 8
        )
        return context.get_dummy_value()

    return types.void(array, index, FLOATS if widened else _vector_in(array)), lower


@intrinsic  # type: ignore[untyped-decorator]
def _spread(context: Any, array: Any, index: Any) -> Any:
    vector = _vector_in(array)

    def lower(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return _fill(
            builder, builder.load(_element(context, builder, sig.args[0], sig.args[1], args)), vector
        )

    return vector(array, index), lower


@intrinsic  # type: ignore[untyped-decorator]
def _gather(context: Any, array: Any, index: Any) -> Any:
    vector = _vector_in(array)

    def lower(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        data = builder.ptrtoint(context.make_array(sig.args[0])(context, builder, args[0]).data, _LONG)
        longs = VectorType("", _LONG, WIDTH, types.uint64)
        bytes_on = builder.shl(builder.zext(args[1], longs.llvm), _constant(longs, 2))
        places = ir.VectorType(vector.llvm.element.as_pointer(), WIDTH)
        place = builder.inttoptr(builder.add(_fill(builder, data, longs), bytes_on), places)
        everywhere, nothing = ir.Constant(MASK.llvm, [1] * WIDTH), ir.Constant(vector.llvm, ir.Undefined)
        operands = [place, _INT(4), everywhere, nothing]
        kind = ir.FunctionType(vector.llvm, [operand.type for operand in operands])
        suffix = {FLOATS: "f32", WORDS: "i32"}[vector]
        name = f"llvm.masked.gather.v16{suffix}.v16p0"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), operands)

    return vector(array, WORDS), lower


_compiled.update({"load": _load, "store": _store, "spread": _spread, "gather": _gather})
_names: dict[str, Any] = vars(simd_numpy) if numba.config.DISABLE_JIT else _compiled

fma = _names["fma"]
root = _names["root"]
least = _names["least"]
most = _names["most"]
choose = _names["choose"]
choose_words = _names["choose_words"]
floats = _names["floats"]
words = _names["words"]
wide = _names["wide"]
lane_numbers = _names["lane_numbers"]
floats_of_words = _names["floats_of_words"]
floats_of_signed = _names["floats_of_signed"]
words_of_mask = _names["words_of_mask"]
bits = _names["bits"]
floats_of_bits = _names["floats_of_bits"]
even_words = _names["even_words"]
odd_words = _names["odd_words"]
multiply_low = _names["multiply_low"]
join = _names["join"]
lanes_of = _names["lanes_of"]
count_bits = _names["count_bits"]
lane_of = _names["lane_of"]
lowest_bit = _names["lowest_bit"]
load = _names["load"]
store = _names["store"]
spread = _names["spread"]
gather = _names["gather"]
