// Whole-split numbers of one run: every distinct context forward once, and every metric in one walk
// over its logits while they are at hand, weighted by how often each target follows.
// The same numbers in torch: harness/engine/evaluation.py.
#pragma once

#include "calibrate.h"

constexpr int BINS = 15;  // of the expected calibration error: Guo et al. 2017, arXiv:1706.04599

struct Metrics {
    double loss, nll, accuracy, top3, brier, ece;
};
struct Tally {  // of one split, while it is walked
    double loss = 0, nll = 0, hits = 0, top3 = 0, brier = 0, sure[BINS] = {}, right[BINS] = {};

    // Where the target, `own`, ranks among its context's logits; ties are shared.
    void rank(double count, const T* row, long V, T own, int bin) {
        Vec above = NONE, level = NONE;
        for (long v = 0; v < padded(V); v += N) {
            above += at(row + v) > own ? ONE : NONE;
            level += at(row + v) == own ? ONE : NONE;
        }
        const double higher = sum(above), same = std::fmax(sum(level), 1);
        const double hit = count * std::fmin(std::fmax(1 - higher, 0) / same, 1);
        hits += hit, right[bin] += hit;
        top3 += count * std::fmin(std::fmax(3 - higher, 0) / same, 1);
    }
    Metrics over(double n) const {
        double apart = 0;
        for (int i = 0; i < BINS; i++) apart += std::fabs(sure[i] - right[i]);
        return {loss / n, nll / n, hits / n, top3 / n, brier / n, apart / n};
    }
};

// One vector of contexts: what the targets that follow them share. e (V, ld): exp(z - top).
struct Columns {
    Vec top, second, total, finite, sums = NONE, squares = NONE, bases = NONE, log_total;

    Columns(const Objective& o, const T* z, T* e, long ld) {
        top = total = at(z), second = splat(-INF), finite = magnitude(top) <= HUGEST ? ONE : NONE;
        for (long v = 1; v < o.V; v++) {
            const Vec x = at(z + v * ld), low = x < top ? x : top;
            second = low > second ? low : second, top = x > top ? x : top, total += x;
            finite = magnitude(x) <= HUGEST ? finite : NONE;
        }
        for (long v = 0; v < o.V; v++) {
            const Vec x = at(e + v * ld) = exp(at(z + v * ld) - top);
            sums += x, squares += x * x;
        }
        for (long v = 0; v < o.V && has_base(o.loss); v++)
            bases += base(o.loss, at(z + v * ld));
        log_total = top + log(sums);
    }
    Seen seen(long j) const {
        return {double(top[j]),   double(second[j]), double(log_total[j]),
                double(total[j]), double(squares[j] / (sums[j] * sums[j])), double(bases[j])};
    }
};

// Per hidden unit, over a split's examples: sums of h, of h^2 and of saturation, (3, O) a layer.
inline void add_units(const Program& p, const Buffers& b, const double* weight, double* to) {
    for (long l = 0; l + 1 < p.layers; l++) {
        const long O = p.layer[l].outputs;
        for (long o = 0; o < O; o++)
            for (long i = 0; i < b.rows; i += N) {
                const Vec h = at(b.out[l] + o * b.ld + i), slope = at(b.slope[l] + o * b.ld + i);
                const Vec off = saturated(p.activation, h, slope);
                for (long j = i; j < std::min(i + N, b.rows); j++) {
                    const double x = double(h[j - i]);
                    to[o] += weight[j] * x, to[O + o] += weight[j] * x * x;
                    to[2 * O + o] += weight[j] * double(off[j - i]);
                }
            }
        to += 3 * O;
    }
}

struct Wanted {  // of an evaluation, beside the metrics; null: not
    T* logits;             // (contexts, V)
    double* units;         // see add_units; over the first split
    const double* shares;  // (V): of each symbol among the targets of the first split, for
    double* shuffled;      // its mean loss, were every context followed by the symbols in these shares
};

// Returns whether every logit is finite: where one is not, ranks mean nothing.
inline bool evaluate(const Program& p, T* block, const Objective& o, Buffers& b, const void* table,
                     long contexts, const Split* splits, long count, Metrics* metrics,
                     const Wanted& want, const Calibration* fit) {
    const long V = o.V, wide = padded(V), tile = b.lanes;  // rows of a tile fill its lanes
    const long row_bytes = p.embed ? p.context * sizeof(int32_t) : p.layer[0].inputs * sizeof(T);
    Tally tallies[3];
    bool finite = true;
    for (long from = 0; from < contexts; from += tile) {
        b.rows = std::min(contexts - from, tile);
        gather(p, block, b, static_cast<const char*>(table) + from * row_bytes, nullptr);
        forward(p, block, b, false);
        if (want.units) add_units(p, b, splits[0].per_context + from, want.units);
        const T* z = b.out[p.layers - 1];
        transpose(wide, b.lanes, z, b.ld, b.transposed, wide);
        for (long r = 0; r < b.rows; r++) {
            T* row = b.transposed + r * wide;
            if (want.logits) std::memcpy(want.logits + (from + r) * V, row, sizeof(T) * V);
            std::fill(row + V, row + wide, -INF);
        }
        for (long v = 0; v < V && fit && from < fit->first; v++)
            std::memcpy(fit->kept + from * V + v * tile, z + v * b.ld, sizeof(T) * tile);
        for (long i = 0; i < b.rows; i += N) {
            const Columns columns(o, z + i, b.chances + i, b.ld);
            for (long r = i; r < std::min(i + N, b.rows); r++) {
                const T* row = b.transposed + r * wide;
                const Seen seen = columns.seen(r - i);
                const double sure = 1 / double(columns.sums[r - i]);
                const int bin = std::min(std::max(int(std::ceil(BINS * sure)), 1), BINS) - 1;
                finite &= columns.finite[r - i] != 0;
                const double weight = splits[0].per_context[from + r] / splits[0].n;
                for (long v = 0; v < V && want.shuffled && weight != 0; v++)
                    if (want.shares[v] != 0)
                        *want.shuffled += weight * want.shares[v] * value(o, seen, double(row[v]), row);
                for (long s = 0; s < count; s++) {
                    const Split& split = splits[s];
                    Tally& to = tallies[s];
                    const double here = split.per_context[from + r];
                    if (here == 0) continue;
                    if (V > 1) to.sure[bin] += here * sure, to.brier += here * (seen.square + 1);
                    for (long k = split.start[from + r]; k < split.start[from + r + 1]; k++) {
                        const int32_t y = split.target[k];
                        const double n = split.count[k];
                        if (V > 1) {
                            const double own = double(row[y]);
                            to.loss += n * value(o, seen, own, row);
                            to.nll += n * (seen.log_total - own);
                            if (!split.ranked) continue;
                            to.rank(n, row, V, row[y], bin);
                            to.brier -= n * 2 * sure * double(b.chances[y * b.ld + r]);
                        } else {  // binary: labels -1 and 1, nll of sigmoid(z)
                            const Objective yardstick{BINARY_CROSS_ENTROPY, 1, 0, 1, 1};
                            const double margin = double(row[0]) * y, wrong = 1 / (1 + std::exp(margin));
                            to.loss += n * value(o, seen, y, row);
                            to.nll += n * value(yardstick, seen, y, row);
                            to.hits += n * (margin > 0 ? 1 : margin == 0 ? 0.5 : 0);
                            to.brier += n * 2 * wrong * wrong;
                        }
                    }
                }
            }
        }
    }
    for (long s = 0; s < count; s++) metrics[s] = tallies[s].over(splits[s].n);
    return finite;
}
