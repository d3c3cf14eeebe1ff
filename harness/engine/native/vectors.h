// Vectors as wide as this processor's registers. GCC's and Clang's vector extensions turn the same
// lines into AVX-512, AVX2, SSE2 or NEON code. Rows of every matrix are padded to whole lines of 64
// bytes, so no loop here has a tail.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#ifndef NUMBER
#define NUMBER float
#endif
#ifndef VECTOR_BYTES  // a narrower vector can be forced, for tests
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
#endif
#if defined(__aarch64__) || (defined(__AVX512F__) && VECTOR_BYTES == 64)
constexpr int REGISTERS = 32;
#else
constexpr int REGISTERS = 16;
#endif
#define UNROLL _Pragma("GCC unroll 16")

using T = NUMBER;  // the library is built once for float and once for double
constexpr bool SINGLE = sizeof(T) == 4;
using Int = std::conditional_t<SINGLE, int32_t, int64_t>;
typedef T Vec __attribute__((vector_size(VECTOR_BYTES)));
typedef Int Ints __attribute__((vector_size(VECTOR_BYTES)));
constexpr long N = VECTOR_BYTES / sizeof(T), LINE = 64 / sizeof(T);  // numbers
constexpr T INF = std::numeric_limits<T>::infinity(), HUGEST = std::numeric_limits<T>::max();
const Vec NONE = {}, ONE = T(1) - NONE;

inline Vec splat(T x) { return x - NONE; }
inline Vec& at(T* p) { return *reinterpret_cast<Vec*>(p); }  // p on a whole vector
inline const Vec& at(const T* p) { return *reinterpret_cast<const Vec*>(p); }
inline Vec load(const T* p) {  // p anywhere
    Vec v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
constexpr long padded(long n) { return (n + LINE - 1) / LINE * LINE; }  // to whole lines

inline T sum(Vec v) {
    T out[N];
    std::memcpy(out, &v, sizeof v);
    for (long half = N / 2; half; half /= 2)
        for (long i = 0; i < half; i++) out[i] += out[i + half];
    return out[0];
}
inline Vec magnitude(Vec x) { return (Vec)((Ints)x & std::numeric_limits<Int>::max()); }
inline Vec root(Vec x) {
    for (long i = 0; i < N; i++) x[i] = std::sqrt(x[i]);
    return x;
}

// The first halves of a and b interleaved (a0 b0 a1 b1 ...), or the second halves.
template <bool SECOND, int... I>
inline Vec zip(Vec a, Vec b, std::integer_sequence<int, I...>) {
    constexpr int FROM = SECOND ? N / 2 : 0;
#ifdef __clang__
    return __builtin_shufflevector(a, b, (FROM + I / 2 + I % 2 * int(N))...);
#else
    return __builtin_shuffle(a, b, Ints{(FROM + I / 2 + I % 2 * int(N))...});
#endif
}

// to[c, r] = from[r, c] for whole lines of rows and columns: blocks of N x N, each by log2(N) rounds
// of interleaving its first half with its second.
inline void transpose(long rows, long columns, const T* from, long ldf, T* to, long ldt) {
    constexpr auto EACH = std::make_integer_sequence<int, N>();
    for (long r = 0; r < rows; r += N)
        for (long c = 0; c < columns; c += N) {
            Vec v[N], w[N];
            UNROLL for (long i = 0; i < N; i++) v[i] = at(from + (r + i) * ldf + c);
            UNROLL for (long round = 1; round < N; round *= 2) {
                UNROLL for (long i = 0; i < N / 2; i++) {
                    w[2 * i] = zip<false>(v[i], v[i + N / 2], EACH);
                    w[2 * i + 1] = zip<true>(v[i], v[i + N / 2], EACH);
                }
                UNROLL for (long i = 0; i < N; i++) v[i] = w[i];
            }
            UNROLL for (long i = 0; i < N; i++) at(to + (c + i) * ldt + r) = v[i];
        }
}
