// The link and the temperature under which a run's outputs read best, and the NLL under that reading.
// What they mean, and the same in numpy: harness/engine/calibration.py.
#pragma once

#include "losses.h"
#include "network.h"

struct Split {  // pairs (context, target) of one split, sorted by context
    const int64_t* start;       // (contexts + 1): where each context's pairs begin
    const int32_t* target;      // (pairs)
    const double* count;        // (pairs)
    const double* per_context;  // (contexts): the sum of its counts
    double n;
    int64_t ranked;             // accuracy, top3, Brier and ECE are wanted too
};

enum Link { SOFTMAX, CLIP, SIGMOID, LINKS };
constexpr double CLIP_AT = 0.005, LOW_T = 1e-3, HIGH_T = 1e3, TOLERANCE = 1e-5;
constexpr long MOST_PARTS = 3;
struct Reading {
    double link, temperature, raw;  // raw: NLL of the second part under softmax at temperature 1
    double nll[MOST_PARTS];         // of parts 1 ..., at their places
};
struct Calibration {  // what the runs of a chunk share
    T *kept, *scratch;    // the first contexts' logits, and room for them: tiles of (V, lanes)
    int64_t first;        // how many contexts: no part has one past them
    const Split* parts;   // over whole tiles of contexts. The first is what a reading is fitted on,
    int64_t count;        // with `prior` examples more of no class in particular
    double prior;
};

// NLL as a function of b = 1/T over contexts kept in tiles: mean log sum exp(b g) - b mean g[target],
// g being the logits under a link, less their largest.
struct Curve {
    T* g;
    long V, lanes, tiles;

    Curve(long link, const T* z, T* g_, long V_, long lanes_, long tiles_)
        : g(g_), V(V_), lanes(lanes_), tiles(tiles_) {
        for (long c = 0; c < tiles * lanes; c += N) {
            const long from = place(c);
            Vec top = splat(-INF);
            for (long i = from; i < from + V * lanes; i += lanes) {
                Vec x = at(z + i);
                if (link == CLIP) x = log(x > T(CLIP_AT) ? x : splat(T(CLIP_AT)));
                if (link == SIGMOID) x = -softplus(-x);
                at(g + i) = x, top = x > top ? x : top;
            }
            for (long i = from; i < from + V * lanes; i += lanes) at(g + i) -= top;
        }
    }
    long place(long c) const { return c / lanes * V * lanes + c % lanes; }
    static bool has(const Split& part, long c) {  // some of the vector of contexts from c on
        double total = 0;
        for (long j = 0; j < N; j++) total += part.per_context[c + j];
        return total != 0;
    }

    // mean over a part's examples of g[target], and over `prior` more of no class in particular
    double right(const Split& part, double prior = 0) const {
        double total = 0;
        for (long c = 0; c < tiles * lanes; c += N) {
            if (!has(part, c)) continue;
            for (long j = c; j < c + N; j++)
                for (int64_t k = part.start[j]; k < part.start[j + 1]; k++)
                    total += part.count[k] * double(g[place(j) + part.target[k] * lanes]);
            Vec all = NONE;
            for (long i = place(c); i < place(c) + V * lanes && prior > 0; i += lanes) all += at(g + i);
            for (long j = 0; j < N && prior > 0; j++)
                total += prior * part.per_context[c + j] / (part.n * double(V)) * double(all[j]);
        }
        return total / (part.n + prior);
    }
    // NLL at b; right: see above
    double nll(double b, const Split& part, double right) const {
        double total = 0;
        for (long c = 0; c < tiles * lanes; c += N) {
            if (!has(part, c)) continue;
            Vec sums = NONE;
            for (long i = place(c); i < place(c) + V * lanes; i += lanes) sums += exp(T(b) * at(g + i));
            const Vec value = log(sums);
            for (long j = 0; j < N; j++) total += part.per_context[c + j] * double(value[j]);
        }
        return total / part.n - b * right;
    }
    // its first two derivatives by b
    void bend(double b, const Split& part, double right, double* first, double* second) const {
        double slope = 0, curvature = 0;
        for (long c = 0; c < tiles * lanes; c += N) {
            if (!has(part, c)) continue;
            Vec sums = NONE, means = NONE, squares = NONE;
            for (long i = place(c); i < place(c) + V * lanes; i += lanes) {
                const Vec x = at(g + i), e = exp(T(b) * x), ex = e * x;
                sums += e, means += ex, squares += ex * x;
            }
            means /= sums, squares = squares / sums - means * means;
            for (long j = 0; j < N; j++) {
                slope += part.per_context[c + j] * double(means[j]);
                curvature += part.per_context[c + j] * double(squares[j]);
            }
        }
        *first = slope / part.n - right, *second = curvature / part.n;
    }
    // 1/T with the least NLL: Newton on its logarithm, held inside a bracket that every slope narrows
    double fit(const Split& part, double aim) const {
        double low = -std::log(HIGH_T), high = -std::log(LOW_T), x = 0, slope, second;
        for (int round = 0; round < 60; round++) {
            const double b = std::exp(x);
            bend(b, part, aim, &slope, &second);
            if (slope == 0) break;  // flat (all outputs equal), or there
            (slope < 0 ? low : high) = x;
            const double curvature = b * b * second + b * std::fmax(slope, 0);
            double after = x + (curvature > 0 ? -b * slope / curvature : std::copysign(1, -slope));
            if (!(low < after && after < high)) after = (low + high) / 2;
            const bool done = std::fabs(after - x) < TOLERANCE;
            x = after;
            if (done) break;
        }
        return std::exp(x);
    }
};

// The reading that suits parts[0] best, and the NLL of the other parts under it. links: a bit for each
// that is tried, ties go to the first.
inline Reading calibrate(const Calibration& a, long V, long lanes, long links) {
    const long tiles = (a.first + lanes - 1) / lanes;
    const Split* parts = a.parts;
    Reading out{};
    double least = std::numeric_limits<double>::infinity();
    for (long link = 0; link < LINKS; link++) {
        if (!(links >> link & 1)) continue;
        const Curve curve(link, a.kept, a.scratch, V, lanes, tiles);
        if (link == SOFTMAX && a.count > 2) out.raw = curve.nll(1, parts[1], curve.right(parts[1]));
        const double aim = curve.right(parts[0], a.prior), b = curve.fit(parts[0], aim);
        const double nll = links & (links - 1) ? curve.nll(b, parts[0], aim) : 0;
        if (!(nll < least)) continue;
        least = nll, out.link = double(link), out.temperature = 1 / b;
        for (long i = 1; i < a.count; i++) out.nll[i] = curve.nll(b, parts[i], curve.right(parts[i]));
    }
    return out;
}
