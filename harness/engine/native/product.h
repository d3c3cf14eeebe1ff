// One product of small matrices, register-tiled: it serves every layer, forward and backward.
#pragma once

#include "vectors.h"

// C[m, n] = start + sum_k A[m * am + k * ak] * B[k * ldb + n] for ROWS values of m, WIDE vectors of n.
// A is read one number at a time, so its strides are free: a transposed A costs nothing.
enum class Start { ZERO, BIAS, C };  // from 0, from bias[m], or onto what C holds

template <int ROWS, int WIDE>
void tile(long K, const T* A, long am, long ak, const T* B, long ldb, T* C, long ldc, Start start,
          const T* bias) {
    constexpr int GROUP = 3, GROUPS = (ROWS + GROUP - 1) / GROUP;  // base, base + am, base + 2 am
    const T* base[GROUPS];
    UNROLL for (int g = 0; g < GROUPS; g++) base[g] = A + g * GROUP * am;
    Vec c[ROWS][WIDE];
    UNROLL for (int i = 0; i < ROWS; i++)
        UNROLL for (int j = 0; j < WIDE; j++) c[i][j] = Vec{};
    for (long k = 0; k < K; k++) {
        Vec b[WIDE];
        UNROLL for (int j = 0; j < WIDE; j++) b[j] = at(B + j * N);
        UNROLL for (int i = 0; i < ROWS; i++) {
            const Vec a = splat(base[i / GROUP][i % GROUP * am]);
            UNROLL for (int j = 0; j < WIDE; j++) c[i][j] += a * b[j];
        }
        UNROLL for (int g = 0; g < GROUPS; g++) base[g] += ak;
        B += ldb;
    }
    UNROLL for (int i = 0; i < ROWS; i++)
        UNROLL for (int j = 0; j < WIDE; j++) {
            Vec& to = at(C + i * ldc + j * N);
            if (start == Start::BIAS) c[i][j] += splat(bias[i]);
            if (start == Start::C) c[i][j] += to;
            to = c[i][j];
        }
}

// Accumulators fill the registers but a few: 12 x 2 of 32, 6 x 2 of 16.
constexpr int MOST_ROWS = REGISTERS == 32 ? 12 : 6, MOST_WIDE = 2;
constexpr long MOST_K = 512;  // so that a panel of B stays in the first-level cache

template <int WIDE, int... I>
inline auto tile_of(int rows, std::integer_sequence<int, I...>) {
    static constexpr decltype(&tile<1, WIDE>) all[] = {tile<I + 1, WIDE>...};
    return all[rows - 1];
}

// The same for M rows, columns in whole lines, and any K.
inline void product(long M, long columns, long K, const T* A, long am, long ak, const T* B, long ldb,
                    T* C, long ldc, const T* bias = nullptr) {
    constexpr auto ROWS = std::make_integer_sequence<int, MOST_ROWS>();
    const long tiles = (M + MOST_ROWS - 1) / MOST_ROWS;
    const int few = int(M / tiles), more = int(M % tiles);  // even shares: no thin last tile
    Start start = bias ? Start::BIAS : Start::ZERO;
    for (long k = 0; k == 0 || k < K; k += MOST_K, start = Start::C)
        for (long n = 0; n < columns; n += MOST_WIDE * N)
            for (long t = 0, m = 0; t < tiles; t++) {
                const int rows = few + (t < more);
                const auto f = n + N < columns ? tile_of<MOST_WIDE>(rows, ROWS) : tile_of<1>(rows, ROWS);
                f(std::min(K - k, MOST_K), A + m * am + k * ak, am, ak, B + k * ldb + n, ldb,
                  C + m * ldc + n, ldc, start, bias ? bias + m : nullptr);
                m += rows;
            }
}
