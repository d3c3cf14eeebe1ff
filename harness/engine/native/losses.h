// The gradient and the value of each loss; the few lines of torch that they stand beside are in
// harness/components/losses, where a loss's spec names its number here as its `kernel`.
#pragma once

#include "functions.h"

enum Loss {  // 0: none of these, its gradient comes from torch
    CROSS_ENTROPY = 1, MSE, BRIER, BCE, HINGE, CRAMMER_SINGER, SQUENTROPY,  // targets 0 ... V - 1
    SQUARED_ERROR, BINARY_CROSS_ENTROPY, MAX_MARGIN,  // one logit, targets -1 and 1
};
inline bool binary(long loss) { return loss >= SQUARED_ERROR; }

struct Objective {  // one run's loss
    long loss, V;
    T smoothing;  // a: the target is t = (1 - a) onehot + a / V
    T share;      // of each class in the value: 1 where they are summed, else 1 / V
    T scale;      // of the gradient: matching, and 1 / B where the batch is averaged
};

// d (scale * value) / d z for a vector of examples, columns of z and d (V, ld), with targets y.
inline void gradient(const Objective& o, const T* z, T* d, long ld, const int32_t* y) {
    const T one = o.scale, each = o.scale * o.share, a = o.smoothing / o.V, b = 1 - o.smoothing;
    Vec own = NONE, more = NONE;  // the target's logit, or the label; what its own entry gets beside
    for (long i = 0; i < N; i++) own[i] = binary(o.loss) ? T(y[i]) : z[y[i] * ld + i];
    const T *z_end = z + o.V * ld, *from = z;
    T* to = d;
#define CLASSES for (from = z, to = d; from < z_end; from += ld, to += ld)
    if (o.loss == CROSS_ENTROPY || o.loss == BRIER || o.loss == SQUENTROPY) {  // d = softmax(z)
        Vec top = at(z), total = NONE;
        CLASSES top = at(from) > top ? at(from) : top;
        CLASSES total += at(to) = exp(at(from) - top);
        const Vec inverse = 1 / total;
        CLASSES at(to) *= inverse;
    }
    switch (o.loss) {
        case CROSS_ENTROPY:
            CLASSES at(to) = (at(to) - a) * one;
            more -= b * one;
            break;
        case MSE:
            CLASSES at(to) = (at(from) - a) * (2 * each);
            more -= 2 * b * each;
            break;
        case BRIER: {  // 2 p (p - t - sum p (p - t)): the uniform part of t cancels
            Vec square = NONE, p = NONE;
            CLASSES square += at(to) * at(to);
            for (long i = 0; i < N; i++) p[i] = d[y[i] * ld + i];
            CLASSES at(to) *= (at(to) - (square - b * p)) * (2 * each);
            more -= 2 * b * each * p;
            break;
        }
        case BCE:
            CLASSES at(to) = (1 / (1 + exp(-at(from))) - a) * each;
            more -= b * each;
            break;
        case HINGE:  // a rival inside the margin gets 1, the target minus their number
            CLASSES more -= at(to) = at(from) > own - 1 ? splat(each) : NONE;
            break;
        case CRAMMER_SINGER: {  // rivals that tie for strongest share the 1
            Vec rival = splat(-INF), ties = NONE;
            CLASSES at(to) = at(from);
            for (long i = 0; i < N; i++) d[y[i] * ld + i] = -INF;
            CLASSES rival = at(to) > rival ? at(to) : rival;
            CLASSES ties += at(to) == rival ? ONE : NONE;
            const Vec in = rival > own - 1 ? splat(one) : NONE;
            CLASSES at(to) = at(to) == rival ? in / ties : NONE;
            more -= in;
            break;
        }
        case SQUENTROPY: {  // cross-entropy, and the mean square of the wrong classes' logits
            const T pull = 2 * one / (o.V - 1);
            CLASSES at(to) = at(to) * one + at(from) * pull;
            more -= one + own * pull;
            break;
        }
        case SQUARED_ERROR: at(d) = 2 * one * (at(z) - own); break;
        case BINARY_CROSS_ENTROPY: at(d) = -one * own / (1 + exp(own * at(z))); break;
        case MAX_MARGIN: at(d) = own * at(z) < 1 ? -one * own : NONE; break;
    }
#undef CLASSES
    for (long i = 0; i < N && !binary(o.loss); i++) d[y[i] * ld + i] += more[i];
}

// What the targets that may follow one context share: the value of each is then a few operations.
struct Seen {  // two largest logits, log sum exp(z), sum z, sum p^2, sum base(z)
    double top, second, log_total, sum, square, base;
};
inline bool has_base(long loss) { return loss == MSE || loss == BCE || loss == SQUENTROPY; }
inline Vec base(long loss, Vec z) { return loss == BCE ? softplus(z) : z * z; }

inline double positive(double x) { return x < 0 ? 0 : x; }  // what is not a number stays so

// The loss of one example: own is its target's logit, row (V, padded by -inf) all of them.
inline double value(const Objective& o, const Seen& s, double own, const T* row) {
    const double a = o.smoothing, b = 1 - a, V = double(o.V);
    const double target = b * b + a * (2 - a) / V;  // sum t^2
    switch (o.loss) {
        case CROSS_ENTROPY: return b * (s.log_total - own) + a * (s.log_total - s.sum / V);
        case MSE: return o.share * (s.base - 2 * (b * own + a / V * s.sum) + target);
        case BRIER:
            return o.share * (s.square - 2 * (b * std::exp(own - s.log_total) + a / V) + target);
        case BCE: return o.share * (s.base - b * own - a / V * s.sum);
        case HINGE: {
            Vec total = NONE;
            for (long v = 0; v < padded(o.V); v += N) {
                const Vec over = at(row + v) - T(own) + 1;
                total += over <= 0 ? NONE : over;  // what is not a number stays so
            }
            return o.share * (sum(total) - 1);  // the target is not its own rival
        }
        case CRAMMER_SINGER:
            return std::isnan(s.sum) ? s.sum : positive(1 + (own < s.top ? s.top : s.second) - own);
        case SQUENTROPY: return s.log_total - own + (s.base - own * own) / (V - 1);
        case SQUARED_ERROR:  // in the binary losses the label comes as `own`, the logit as row[0]
            return (row[0] - own) * (row[0] - own);
        case BINARY_CROSS_ENTROPY: {
            const double m = row[0] * own;
            return positive(-m) + std::log1p(std::exp(-std::fabs(m)));
        }
        case MAX_MARGIN: return positive(1 - row[0] * own);
        default: return std::numeric_limits<double>::quiet_NaN();
    }
}
