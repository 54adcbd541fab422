"""Elementary functions of sixteen numbers at a time, which LLVM does not vectorise by itself."""

from __future__ import annotations

from typing import no_type_check

from perpixel.kernels.cpu_compiled import part
from perpixel.kernels.cpu_vector import (
    as_floats,
    bits,
    muladd,
    splat,
    splat_integer,
    where,
)

LOG2_E = 1.4426950408889634
LN_2 = 0.6931471805599453


@part
@no_type_check
def maximum(x, y):
    """The larger, or y where either is NaN."""
    return where(x > y, x, y)


@part
@no_type_check
def minimum(x, y):
    """The smaller, or y where either is NaN."""
    return where(x < y, x, y)


@part
@no_type_check
def exp2(x):
    """2 to the power of x ≤ 0, to 2e-7 relative; below 2^-125 it stays there. NaN stays NaN.

    The whole part goes to the exponent's bits, the rest to a polynomial of degree 5, the minimax
    one on [-1/2, 1/2].
    """
    # Adding 1.5 · 2^23 leaves the nearest whole number in the lowest bits; 127 is the bias.
    magic = splat(12583039.0)
    x = where(x < splat(-125.0), splat(-125.0), x)
    shifted = x + magic
    rest = x - (shifted - magic)
    power = muladd(rest, splat(1.326472707e-3), splat(9.671512649e-3))
    power = muladd(rest, power, splat(5.550733744e-2))
    power = muladd(rest, power, splat(2.402224209e-1))
    power = muladd(rest, power, splat(6.931469776e-1))
    power = muladd(rest, power, splat(1.0))
    return power * bits(bits(shifted) << splat_integer(23))


@part
@no_type_check
def log2(x):
    """The logarithm to base 2 of a normal x > 0, to 1e-7 (absolute near 1). NaN stays NaN.

    With x = 2^e · m, m in [1/√2, √2): log m = 2 artanh((m - 1) / (m + 1)), by its series.
    """
    offset = splat_integer(0x3F3504F3)  # the bits of 1/√2
    shifted = bits(x) - offset
    exponent = shifted >> splat_integer(23)
    mantissa = bits((shifted & splat_integer(0x7FFFFF)) + offset)
    one = splat(1.0)
    t = (mantissa - one) / (mantissa + one)
    square = t * t
    series = muladd(square, splat(0.32059889), splat(0.41219858))
    series = muladd(square, series, splat(0.57707802))
    series = muladd(square, series, splat(0.96179669))
    series = muladd(square, series, splat(2.8853901))
    # x - x is NaN where x is, else 0: the bits above have lost it.
    return muladd(t, series, as_floats(exponent)) + (x - x)
