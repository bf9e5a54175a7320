"""Gate matrix elements and their first two derivatives, to hundreds of digits, rounded once.

Nothing here shares an algorithm with the kernels: the tables come from the two-term recurrences
(the ones that lose all digits in floating point) run in fixed point on Python integers, with so
many bits that what they lose does not matter; the derivatives come from the closed rules applied
to those integers.  `closed_form_*` are finite sums in mpmath, which check the tables.

Parameters are the exact values of the floats given.
"""

from functools import cache
from math import isqrt

import mpmath
import numpy as np

BITS = 1024  # fixed point of the one-mode tables: D(10) at cutoff 200 loses about 270 bits
SECTOR_BITS = 384  # of the beamsplitter: a 50:50 one at cutoff 100 loses about 95 bits


class _Fixed:
    """Fixed-point arithmetic on Python integers (and object arrays of them)."""

    def __init__(self, bits):
        self.bits = bits

    def of(self, x):
        return int(mpmath.nint(mpmath.ldexp(x, self.bits)))

    def sqrt(self, n):
        """sqrt(n) of an array of integers n."""
        roots = [isqrt(int(k) << 2 * self.bits) for k in np.ravel(n)]
        return np.array(roots, object).reshape(np.shape(n))

    def rsqrt(self, n):
        return (1 << 2 * self.bits) // self.sqrt([n])[0]

    def mul(self, a, b):
        return (a * b) >> self.bits

    def floats(self, table):
        out = np.empty(table.shape)
        scale = 1 << self.bits  # int / int in Python is correctly rounded
        out.flat = [value / scale for value in table.flat]
        return out


def _down(table, rows, columns):
    """table[m - rows, n - columns], zero where an index is negative."""
    out = np.zeros(table.shape, object)
    size = len(table)
    out[rows:, columns:] = table[: size - rows, : size - columns]
    return out


def _columns_outer(fixed, first, multiply, size):
    """Columns of a table from its first one: multiply(n, column_n, column_{n-1})."""
    columns = [first, multiply(0, first, 0 * first)]
    for n in range(1, size - 1):
        columns.append(multiply(n, columns[n], columns[n - 1]))
    return np.stack(columns[:size], axis=1)


@cache
def displacement(r, cutoff, bits=BITS):
    """(R, dR/dr, d2R/dr2), each (cutoff, cutoff): the matrix elements of D(r), r real."""
    fixed = _Fixed(bits)
    with mpmath.workprec(bits + 64):
        x = mpmath.mpf(float(r))
        alpha = fixed.of(x)
        first = np.zeros(cutoff, object)
        first[0] = fixed.of(mpmath.exp(-x * x / 2))
        for m in range(1, cutoff):
            first[m] = fixed.mul(fixed.mul(first[m - 1], alpha), fixed.rsqrt(m))
    root = fixed.sqrt(np.arange(cutoff))
    shift = _shift(fixed, root)

    # D a+ = (a+ - alpha) D, on |n>
    def step(n, column, _):
        return fixed.mul(shift(column) - fixed.mul(alpha, column), fixed.rsqrt(n + 1))

    table = _columns_outer(fixed, first, step, cutoff)

    def generator(t):  # a+ t - t a, the part of d/dr that does not depend on r
        up = fixed.mul(root[:, None], _down(t, 1, 0))
        return up - fixed.mul(root[None, :], _down(t, 0, 1))

    one = generator(table) - fixed.mul(alpha, table)
    two = generator(one) - fixed.mul(alpha, one) - table
    return fixed.floats(table), fixed.floats(one), fixed.floats(two)


def _shift(fixed, root):
    """column -> a+ column."""

    def shift(column):
        out = 0 * column
        out[1:] = fixed.mul(root[1:], column[:-1])
        return out

    return shift


@cache
def squeezing(r, cutoff, bits=BITS):
    """(R, dR/dr, d2R/dr2), each (cutoff, cutoff): the matrix elements of S(r), r real."""
    fixed = _Fixed(bits)
    with mpmath.workprec(bits + 64):
        x = mpmath.mpf(float(r))
        t, s = fixed.of(mpmath.tanh(x)), fixed.of(mpmath.sech(x))
        first = np.zeros(cutoff, object)
        first[0] = fixed.of(mpmath.sqrt(mpmath.sech(x)))
        for m in range(2, cutoff, 2):
            ratio = fixed.mul(fixed.rsqrt(m), fixed.sqrt([m - 1])[0])
            first[m] = -fixed.mul(fixed.mul(first[m - 2], t), ratio)
    root = fixed.sqrt(np.arange(cutoff))
    shift = _shift(fixed, root)

    # S a+ = sech a+ S + tanh S a, on |n>
    def step(n, column, previous):
        grown = fixed.mul(s, shift(column)) + fixed.mul(fixed.mul(t, root[n]), previous)
        return fixed.mul(grown, fixed.rsqrt(n + 1))

    table = _columns_outer(fixed, first, step, cutoff)
    mul = fixed.mul
    n = np.arange(cutoff)
    both = fixed.sqrt(np.outer(n, n))
    pair = fixed.sqrt(n * np.maximum(n - 1, 0))
    pieces = (
        lambda u: -(u >> 1),
        lambda u: -mul(both, _down(u, 1, 1)),
        lambda u: (mul(pair[None, :], _down(u, 0, 2)) - mul(pair[:, None], _down(u, 2, 0))) >> 1,
    )
    s2 = mul(s, s)
    weights = (t, mul(s, t), s2)
    slopes = (s2, mul(s, s2 - mul(t, t)), -2 * mul(s2, t))  # d/dr of tanh, sech tanh, sech^2

    def apply(w, u):
        return sum(mul(a, piece(u)) for a, piece in zip(w, pieces, strict=True))

    one = apply(weights, table)
    two = apply(weights, one) + apply(slopes, table)
    return fixed.floats(table), fixed.floats(one), fixed.floats(two)


@cache
def beamsplitter(theta, cutoffs, bits=SECTOR_BITS):
    """(B, dB/dtheta, d2B/dtheta2) of BS(theta, 0), packed as `real_blocks` packs it.

    B[r, a, c] with a, c photons (out, in) in the mode of the smaller cutoff (mode 1 if equal) and
    (r - a) mod max(cutoffs), (r - c) mod max(cutoffs) in the other, 0 where the totals differ.
    """
    fixed = _Fixed(bits)
    d1, d2 = cutoffs
    e1, e2 = d1 + 2, d2 + 2  # each derivative reaches one photon further
    with mpmath.workprec(bits + 64):
        x = mpmath.mpf(float(theta))
        c, s = fixed.of(mpmath.cos(x)), fixed.of(mpmath.sin(x))
    small, large = min(cutoffs), max(cutoffs)
    tables = [np.zeros((large, small, small)) for _ in range(3)]
    top = max(e1, e2)
    root = fixed.sqrt(np.arange(top))
    inverse = [0] + [fixed.rsqrt(k) for k in range(1, top)]
    p = np.arange(e1)

    def add_photon(column, total, to_1, to_2):
        """(to_1 a1+ + to_2 a2+) column; column[p] = <p, total - p|...>, inside the box."""
        q = total + 1 - p
        out = np.zeros(e1, object)
        inside = (q >= 0) & (q < e2)
        grown = fixed.mul(to_2, fixed.mul(root[np.clip(q, 0, e2 - 1)], column))
        grown[1:] += fixed.mul(to_1, fixed.mul(root[1:e1], column[:-1]))
        out[inside] = grown[inside]
        return out

    @cache
    def ladder(total):
        """sqrt(p (q + 1)) and sqrt((p + 1) q) of every p, q = total - p."""
        q = np.clip(total - p, 0, None)
        return fixed.sqrt(p * (q + 1)), fixed.sqrt((p + 1) * q)

    def derivative(column, total):
        """(a1 a2+ - a1+ a2) column, right one photon further inside than column is."""
        lower, upper = ladder(total)
        out = np.zeros(e1, object)
        out[1:] -= fixed.mul(lower[1:], column[:-1])
        out[:-1] += fixed.mul(upper[:-1], column[1:])
        return out

    def store(n1, n2, column):
        total = n1 + n2
        series = [column]
        for _ in range(2):
            series.append(derivative(series[-1], total))
        rows = np.arange(max(0, total - d2 + 1), min(total, d1 - 1) + 1)
        out, c_in = (rows, n1) if d1 <= d2 else (total - rows, n2)
        for table, values in zip(tables, series, strict=True):
            table[total % large, out, c_in] = fixed.floats(values[rows])

    vacuum = np.zeros(e1, object)
    vacuum[0] = 1 << bits
    edge = vacuum
    for n2 in range(d2):
        if n2:  # BS a2+ BS+ = c a2+ - s a1+
            edge = fixed.mul(add_photon(edge, n2 - 1, -s, c), inverse[n2])
        column = edge
        for n1 in range(d1):
            if n1:  # BS a1+ BS+ = c a1+ + s a2+
                column = fixed.mul(add_photon(column, n1 + n2 - 1, c, s), inverse[n1])
            store(n1, n2, column)
    return tuple(tables)


@cache
def two_mode_squeezing(r, cutoffs, bits=SECTOR_BITS):
    """(S, dS/dr, d2S/dr2) of S2(r, 0), packed as `Sectors` packs it.

    S[q, a, c] with a, c photons (out, in) in the mode of the smaller cutoff and (q + a) mod
    max(cutoffs), (q + c) mod max(cutoffs) in the other, 0 where the differences do not agree.
    """
    fixed = _Fixed(bits)
    small, large = min(cutoffs), max(cutoffs)
    with mpmath.workprec(bits + 64):
        x = mpmath.mpf(float(r))
        t, s = fixed.of(mpmath.tanh(x)), fixed.of(mpmath.sech(x))
    mul = fixed.mul
    root = fixed.sqrt(np.arange(large))
    inverse = [0] + [fixed.rsqrt(k) for k in range(1, large)]
    st, s2 = mul(s, t), mul(s, s)
    weights = (t, s2, st)
    slopes = (s2, -2 * mul(s2, t), mul(s, s2 - mul(t, t)))  # d/dr of tanh, sech^2, sech tanh
    m = np.arange(small)

    def down(column):
        out = 0 * column
        out[1:] = column[:-1]
        return out

    # values[c, n][a] = <a, n + a - c| S |c, n> by S a1+ = sech a1+ S - tanh S a2, which needs no
    # photon number over the box either.
    zero = np.zeros(small, object)
    values: dict[tuple[int, int], np.ndarray] = {}
    for n in range(large):
        for c in range(small):
            b = n + m - c
            if c:
                up = mul(s, mul(root[:small], down(values[c - 1, n])))
                back = mul(t, mul(root[n], values[c - 1, n - 1])) if n else zero
                column = mul(up - back, inverse[c])
            elif n:  # S a2+ = sech a2+ S - tanh S a1
                column = mul(
                    mul(s, mul(root[np.clip(b, 0, large - 1)], values[0, n - 1])), inverse[n]
                )
            else:
                column = np.array([s] + [0] * (small - 1), object)
                for a in range(1, small):
                    column[a] = mul(column[a - 1], t)
            column[(b < 0) | (b >= large)] = 0
            values[c, n] = column

    def pieces(v, c, n):
        """d/dr in three parts, to be weighted with tanh, sech^2 and sech tanh: what e^{t a1+ a2+}
        sech^{n1 + n2 + 1} e^{-t a1 a2} gives, so that no photon number over the box is needed.
        """
        b = np.clip(n + m - c, 0, large - 1)
        one = -v[c, n]
        pair = mul(mul(root[:small], root[b]), down(v[c, n])) - mul(
            mul(root[c], root[n]), v.get((c - 1, n - 1), zero)
        )
        hop = -mul(mul(root[:small], root[c]), down(v.get((c - 1, n), zero))) - mul(
            mul(root[b], root[n]), v.get((c, n - 1), zero)
        )
        inside = (n + m - c >= 0) & (n + m - c < large)
        return [np.where(inside, piece, 0) for piece in (one, pair, hop)]

    def combine(weights, v):
        return {
            key: sum(mul(w, piece) for w, piece in zip(weights, pieces(v, *key), strict=True))
            for key in v
        }

    first = combine(weights, values)
    again, slope = combine(weights, first), combine(slopes, values)
    tables = [np.zeros((large, small, small)) for _ in range(3)]
    for (c, n), value in values.items():
        b = n + m - c
        rows = m[(b >= 0) & (b < large)]
        for table, column in zip(
            tables, (value, first[c, n], again[c, n] + slope[c, n]), strict=True
        ):
            table[(n - c) % large, rows, c] = fixed.floats(column[rows])
    return tuple(tables)


def phases_of(phi, numbers):
    """e^{i n phi} for an array of integers n, to float64's last bit."""
    unique, where = np.unique(numbers, return_inverse=True)
    with mpmath.workdps(50):
        x = mpmath.mpf(float(phi))
        values = np.array([complex(mpmath.expj(int(n) * x)) for n in unique])
    return values[where].reshape(np.shape(numbers))


def turned(table, phi, numbers):
    """e^{i phi numbers} * table."""
    return phases_of(phi, numbers) * table


# Closed forms, for spot checks of the tables above.  Call inside mpmath.workdps(...).


def closed_form_displacement(r, m, n):
    sign, low, k = (1, n, m - n) if m >= n else ((-1) ** (n - m), m, n - m)
    total = mpmath.fsum(
        (-1) ** i * mpmath.binomial(low + k, low - i) * r ** (2 * i) / mpmath.factorial(i)
        for i in range(low + 1)
    )
    weight = mpmath.sqrt(mpmath.factorial(low) / mpmath.factorial(low + k))
    return sign * weight * r**k * mpmath.exp(-r * r / 2) * total


def closed_form_squeezing(r, m, n):
    if (m - n) % 2:
        return mpmath.mpf(0)
    t, s = mpmath.tanh(r), mpmath.sech(r)
    total = mpmath.mpf(0)
    for i in range(n % 2, min(m, n) + 1, 2):  # i photons survive from |n> to <m|
        up, down = (m - i) // 2, (n - i) // 2
        total += (
            (-t / 2) ** up
            * (t / 2) ** down
            * s**i
            / (mpmath.factorial(up) * mpmath.factorial(down) * mpmath.factorial(i))
        )
    return mpmath.sqrt(s * mpmath.factorial(m) * mpmath.factorial(n)) * total


def closed_form_beamsplitter(theta, p, q, m, n):
    """<p, q|BS(theta, 0)|m, n>."""
    if p + q != m + n:
        return mpmath.mpf(0)
    c, s = mpmath.cos(theta), mpmath.sin(theta)
    total = mpmath.mpf(0)
    for i in range(max(0, p - n), min(m, p) + 1):  # i of the m photons stay in mode 1
        j = p - i  # j of the n photons come over, with amplitude -s
        total += (
            mpmath.binomial(m, i)
            * mpmath.binomial(n, j)
            * c ** (i + n - j)
            * s ** (m - i)
            * (-s) ** j
        )
    norm = mpmath.factorial(p) * mpmath.factorial(q) / (mpmath.factorial(m) * mpmath.factorial(n))
    return total * mpmath.sqrt(norm)


def closed_form_two_mode_squeezing(r, p, q, m, n):
    """<p, q|S2(r, 0)|m, n>, in normal order: e^{t a1+ a2+} sech^{n1 + n2 + 1} e^{-t a1 a2}."""
    if p - q != m - n:
        return mpmath.mpf(0)
    t, s = mpmath.tanh(r), mpmath.sech(r)
    total = mpmath.mpf(0)
    for i in range(max(0, m - p), min(m, n) + 1):  # i pairs are destroyed, p - m + i created
        total += (
            (-t) ** i
            * t ** (p - m + i)
            * s ** (m + n - 2 * i + 1)
            / mpmath.factorial(i)
            / mpmath.factorial(p - m + i)
            / mpmath.factorial(m - i)
            / mpmath.factorial(n - i)
        )
    factorials = [mpmath.factorial(k) for k in (p, q, m, n)]
    return total * mpmath.sqrt(mpmath.fprod(factorials))
