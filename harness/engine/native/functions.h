// exp, log and what is made of them, on vectors; each within a few units in the last place. What is
// not a number stays so, and what overflows becomes inf, so that a diverging run is seen.
#pragma once

#include "vectors.h"

constexpr int BITS = SINGLE ? 23 : 52, BIAS = SINGLE ? 127 : 1023;  // of the format's fraction, exponent
constexpr T LN2 = T(0.693147180559945309417);

// x = n ln 2 + r, 2^n from the exponent's bits, exp(r) by Taylor's series to degree 7 (13): |r| < .35,
// so the first term left out is below half a unit in the last place. Ends at the smallest normal
// number below, at inf above.
inline Vec exp(Vec x) {
    constexpr T LOW = SINGLE ? T(-87.3) : T(-708.3), HIGH = SINGLE ? T(88.3) : T(709.4);
    constexpr T ROUND = SINGLE ? T(12582912.0) : T(6755399441055744.0);  // 1.5 * 2^23, 1.5 * 2^52
    constexpr T MOST = SINGLE ? T(0.693359375) : T(0.693147180369123816490);  // of ln 2, few bits
    constexpr T REST = SINGLE ? T(-2.12194440e-4) : T(1.90821492927058770002e-10);
    constexpr int DEGREE = SINGLE ? 7 : 13;
    Vec y = x < LOW ? splat(LOW) : x;
    y = y > HIGH ? splat(HIGH) : y;
    const Vec t = y * (1 / LN2) + ROUND, n = t - ROUND, r = (y - n * MOST) - n * REST;
    T factorial = 1;
    for (int k = 2; k <= DEGREE; k++) factorial *= k;
    Vec p = splat(1 / factorial);
    UNROLL for (int k = DEGREE; k > 0; k--) {
        factorial /= k;
        p = p * r + 1 / factorial;
    }
    p *= (Vec)(((Ints)t + BIAS) << BITS);
    return x > HIGH ? splat(INF) : p;
}

// (1 - e) / (1 + e) with e = exp(-2|x|), and x's sign
inline Vec tanh(Vec x) {
    const Vec e = exp(-2 * magnitude(x)), size = (1 - e) / (1 + e);
    return (Vec)((Ints)size | ((Ints)x & std::numeric_limits<Int>::min()));
}

// log(1 + u) for u in [-.3, 1]: 2 artanh(s) with s = u / (2 + u), |s| <= 1/3, by its series
inline Vec log1p(Vec u) {
    constexpr int LAST = SINGLE ? 15 : 33;
    const Vec s = u / (2 + u), q = s * s;
    Vec p = splat(T(1) / LAST);
    for (int k = LAST - 2; k > 0; k -= 2) p = p * q + T(1) / k;
    return 2 * s * p;
}

// log(x) of a normal number above 0: x = 2^n m with m in [.75, 1.5)
inline Vec log(Vec x) {
    const Ints bits = (Ints)x, n = (bits - (Int(BIAS) << BITS) + (Int(1) << (BITS - 1))) >> BITS;
    return __builtin_convertvector(n, Vec) * LN2 + log1p((Vec)(bits - (n << BITS)) - 1);
}

// log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|))
inline Vec softplus(Vec x) { return (x < 0 ? NONE : x) + log1p(exp(-magnitude(x))); }

// Phi(-x) of the normal distribution for x >= 0, given e = exp(-x^2 / 2): e t g(t), t = 1 / (1 + x/4),
// g a Chebyshev series fitted to erfcx; its relative error is 5e-8 after 10 terms, 5e-15 after 21.
inline Vec normal_tail(Vec x, Vec e) {
    constexpr int LAST = SINGLE ? 9 : 20;
    constexpr double G[21] = {
        0.24261280114151915,     0.18792720420989265,     0.055548388918812815,
        0.012129438315111582,    0.0017314801240606512,   8.0149618599582807e-05,
        -2.5136847907994832e-05, -4.7258422549565466e-06, 2.5258922143574e-07,
        1.536333687021996e-07,   -8.4525504166698479e-10, -5.1716270011664861e-09,
        -2.820646281780679e-11,  1.9435049792415389e-10,  -2.4852560073617911e-12,
        -7.9361677573860395e-12, 4.606896716374949e-13,   3.2816855606759676e-13,
        -4.3534018022487712e-14, -1.2333569986251895e-14, 2.9401943016540754e-15};
    const Vec t = 1 / (1 + x * T(0.25)), y = 2 * t - 1;
    Vec b = splat(T(G[LAST])), before = NONE;
    for (int k = LAST - 1; k > 0; k--) {
        const Vec next = 2 * y * b - before + T(G[k]);
        before = b, b = next;
    }
    return e * t * (y * b - before + T(G[0]));
}
