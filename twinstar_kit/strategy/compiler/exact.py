"""Compiled arithmetic that gives Python's bits and raises Python's errors, where numba's own would not.

numba lets `math.sqrt(-1.0)` be NaN, `int(nan)` a number and 64-bit products wrap in silence; Python raises. And LLVM
turns `pow(x, 2.0)` into `x * x`, whose last bit differs from the C library's `pow`, which Python calls.
"""

# numba's extension API is typed in part only
# mypy: disable-error-code="attr-defined, no-untyped-call, no-untyped-def, call-arg, arg-type, override, operator, misc, untyped-decorator, unreachable, no-any-return"
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit
from numba.core import types
from numba.extending import intrinsic, overload

from twinstar_kit.strategy.compiler.pointers import OPTIONS

_DOUBLE = ir.DoubleType()
_TOO_LARGE = 9223372036854775808.0


def _one_argument(function: Callable[[float], float], overflows: bool) -> Any:
    """A function of `math` of one argument, with the errors CPython derives from its result."""
    plain = njit(**OPTIONS)(function)

    def errors_first(x: float) -> float:
        value = float(x)
        result: float = plain(value)
        if math.isnan(result) and not math.isnan(value):
            raise ValueError("math domain error")
        if math.isinf(result) and not math.isinf(value):
            if overflows:
                raise OverflowError("math range error")
            raise ValueError("math domain error")
        return result

    return njit(**OPTIONS)(errors_first)


acos = _one_argument(lambda x: math.acos(x), False)
acosh = _one_argument(lambda x: math.acosh(x), False)
asin = _one_argument(lambda x: math.asin(x), False)
asinh = _one_argument(lambda x: math.asinh(x), False)
atan = _one_argument(lambda x: math.atan(x), False)
atanh = _one_argument(lambda x: math.atanh(x), False)
cos = _one_argument(lambda x: math.cos(x), False)
cosh = _one_argument(lambda x: math.cosh(x), True)
erf = _one_argument(lambda x: math.erf(x), False)
erfc = _one_argument(lambda x: math.erfc(x), False)
exp = _one_argument(lambda x: math.exp(x), True)
expm1 = _one_argument(lambda x: math.expm1(x), True)
fabs = _one_argument(lambda x: math.fabs(x), False)
log = _one_argument(lambda x: math.log(x), False)
log10 = _one_argument(lambda x: math.log10(x), False)
log1p = _one_argument(lambda x: math.log1p(x), False)
log2 = _one_argument(lambda x: math.log2(x), False)
sin = _one_argument(lambda x: math.sin(x), False)
sinh = _one_argument(lambda x: math.sinh(x), True)
sqrt = _one_argument(lambda x: math.sqrt(x), False)
tan = _one_argument(lambda x: math.tan(x), False)
tanh = _one_argument(lambda x: math.tanh(x), False)


@njit(**OPTIONS)
def degrees(x: float) -> float:
    """`math.degrees`."""
    return math.degrees(float(x))


@njit(**OPTIONS)
def radians(x: float) -> float:
    """`math.radians`."""
    return math.radians(float(x))


@njit(**OPTIONS)
def isnan(x: float) -> bool:
    """`math.isnan`."""
    return math.isnan(float(x))


@njit(**OPTIONS)
def isinf(x: float) -> bool:
    """`math.isinf`."""
    return math.isinf(float(x))


@njit(**OPTIONS)
def isfinite(x: float) -> bool:
    """`math.isfinite`."""
    return math.isfinite(float(x))


@njit(**OPTIONS)
def copysign(x: float, y: float) -> float:
    """`math.copysign`."""
    return math.copysign(float(x), float(y))


@njit(**OPTIONS)
def atan2(y: float, x: float) -> float:
    """`math.atan2`."""
    return math.atan2(float(y), float(x))


@intrinsic
def _library_pow(typing_context: Any, x: Any, y: Any) -> Any:
    """The C library's `pow`, behind a function that LLVM may not look into."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        module = builder.module
        name = "twinstar_pow"
        if name in module.globals:
            outer = module.globals[name]
        else:
            kind = ir.FunctionType(_DOUBLE, [_DOUBLE, _DOUBLE])
            library = module.globals.get("pow") or ir.Function(module, kind, "pow")
            outer = ir.Function(module, kind, name)
            outer.linkage = "linkonce_odr"
            outer.attributes.add("noinline")
            inner = ir.IRBuilder(outer.append_basic_block())
            inner.ret(inner.call(library, outer.args))
        return builder.call(outer, args)

    return types.float64(types.float64, types.float64), generate


@njit(**OPTIONS)
def pow(x: float, y: float) -> float:
    """`math.pow`."""
    base, exponent = float(x), float(y)
    result: float = _library_pow(base, exponent)
    if math.isfinite(base) and math.isfinite(exponent):
        if math.isnan(result):
            raise ValueError("math domain error")
        if math.isinf(result):
            if base == 0.0:
                raise ValueError("math domain error")
            raise OverflowError("math range error")
    return result


@njit(**OPTIONS)
def _whole(x: float) -> int:
    if math.isnan(x):
        raise ValueError("cannot convert float NaN to integer")
    if not (-_TOO_LARGE <= x < _TOO_LARGE):
        raise OverflowError("a whole number beyond 64 bits")
    return int(x)


def to_int(x):
    """`int(x)`."""
    raise NotImplementedError("compiled code only")


def to_round(x):
    """`round(x)`."""
    raise NotImplementedError("compiled code only")


def floor(x):
    """`math.floor`."""
    raise NotImplementedError("compiled code only")


def ceil(x):
    """`math.ceil`."""
    raise NotImplementedError("compiled code only")


trunc = to_int


def _to_whole(stub: Any, rounded: Callable[[float], Any]) -> None:
    """Give `stub` its compiled form: whole numbers stay as they are, floats are rounded first."""
    compiled = njit(**OPTIONS)(rounded)

    # numba compares signatures, annotations included, with those of the lambdas
    @overload(stub, jit_options=OPTIONS)
    def choose(x):
        if isinstance(x, (types.Integer, types.Boolean)):
            return lambda x: types.int64(x)
        if isinstance(x, types.Float):
            return lambda x: _whole(compiled(x))
        return None


_to_whole(to_int, lambda x: x)
_to_whole(floor, lambda x: math.floor(x) if abs(x) < 4503599627370496.0 else x)
_to_whole(ceil, lambda x: math.ceil(x) if abs(x) < 4503599627370496.0 else x)


@njit(**OPTIONS)
def _half_to_even(x: float) -> float:
    if not abs(x) < 4503599627370496.0:
        return x
    whole = float(math.floor(x))
    rest = x - whole
    if rest > 0.5 or (rest == 0.5 and whole % 2.0 != 0.0):
        whole += 1.0
    return whole


_to_whole(to_round, lambda x: _half_to_even(x))


def _overflowing(word: str) -> Any:
    """A 64-bit operation of LLVM's that says whether it overflowed."""

    @intrinsic
    def operate(typing_context: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            result = getattr(builder, f"s{word}_with_overflow")(*args)
            with builder.if_then(builder.extract_value(result, 1), likely=False):
                context.call_conv.return_user_exc(builder, OverflowError, ("a whole number beyond 64 bits",))
            return builder.extract_value(result, 0)

        return types.int64(types.int64, types.int64), generate

    return operate


def _checked(word: str, plain: Callable[[Any, Any], Any]) -> Any:
    """A binary operation that raises where 64 bits are not enough, and is the plain one for floats."""
    overflowing = _overflowing(word)

    def stub(a, b):
        raise NotImplementedError("compiled code only")

    @overload(stub, jit_options=OPTIONS)
    def choose(a, b):
        whole = (types.Integer, types.Boolean)
        if isinstance(a, whole) and isinstance(b, whole):
            return lambda a, b: overflowing(types.int64(a), types.int64(b))
        return plain

    return stub


checked_add = _checked("add", lambda a, b: a + b)
checked_sub = _checked("sub", lambda a, b: a - b)
checked_mul = _checked("mul", lambda a, b: a * b)
