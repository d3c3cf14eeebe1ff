// One run's network: its shape, its parameters in one block, a pass through it and back.
//
// Activations lie features-first, (O, examples): a product's columns are the examples, and a loss is
// a walk down V rows with an example in every lane. The first layer's weights are kept as (O, I), the
// others' as (I, O): the gradient of the first is then a product with the inputs as they are gathered,
// examples-first, and for the others only the gradient that comes down is transposed.
#pragma once

#include "functions.h"
#include "product.h"

enum Activation { LINEAR, TANH, RELU, GELU };
constexpr double NORM_EPS = 1e-5, NORM_MOMENTUM = 1e-3;  // of batch normalisation

constexpr long MOST_LAYERS = 65;
struct Layer {  // sizes, then offsets in a run's block of numbers; -1: absent
    int64_t inputs, outputs, weight, bias, gamma, beta, mean, variance;
};
struct Segment {  // one tensor of the block that is trained
    int64_t offset, size, embedded;
    double times;  // of the learning rate, see rates.py
};
struct Program {  // what the runs of one chunk share; sizes in numbers
    int64_t rows, context, embed, symbols, layers, segments, activation, optimizer;
    int64_t trained, size;  // of a block: what is trained comes first. embed 0: dense inputs
    double optimizer_settings[4];
    Layer layer[MOST_LAYERS];
    Segment segment[4 * MOST_LAYERS];  // the embedding first

    long outputs() const { return layer[layers - 1].outputs; }
};

// Buffers of a pass over up to `rows` examples, carved from one block of zeroed memory.
struct Buffers {
    long rows, lanes, ld, wide, bytes = 0;  // wide: of the inputs, padded
    T *x, *inputs, *d_inputs, *d_x;         // (lanes, wide), (I, ld), (I, ld), (lanes, wide)
    T *out[MOST_LAYERS], *slope[MOST_LAYERS], *d[MOST_LAYERS], *normed[MOST_LAYERS];  // (O, ld)
    T* inverse_std[MOST_LAYERS];            // (O)
    T *transposed, *chances;                // (lanes, O) of any layer; softmax's terms, (V, ld)
    T *gradient, *before, *real;            // of the block; the block's; (lanes) of 1, 0 past the rows
    int32_t* target;                        // (lanes)

    Buffers(const Program& p, long rows_, char* memory, bool backward) : rows(rows_) {
        // rows of many lines get an odd number of them: even strides share few sets of the cache
        lanes = padded(rows), ld = lanes > 4 * LINE && lanes / LINE % 2 == 0 ? lanes + LINE : lanes;
        wide = padded(p.layer[0].inputs);
        auto take = [&](long numbers) {  // without memory the bytes are only counted
            T* found = memory ? reinterpret_cast<T*>(memory + bytes) : nullptr;
            bytes += padded(numbers) * long(sizeof(T));
            return found;
        };
        x = take(lanes * wide), inputs = take(wide * ld);
        long widest = 0;
        for (long l = 0; l < p.layers; l++) {
            const long O = padded(p.layer[l].outputs);
            widest = std::max(widest, O);
            out[l] = take(O * ld), slope[l] = take(backward ? O * ld : 0);
            d[l] = take(backward ? O * ld : 0), inverse_std[l] = take(O);
            normed[l] = take(backward && p.layer[l].gamma >= 0 ? O * ld : 0);
        }
        transposed = take(lanes * widest), chances = take(p.outputs() * ld);
        d_inputs = take(backward ? wide * ld : 0), d_x = take(backward ? lanes * wide + LINE : 0);
        gradient = take(backward ? p.trained : 0), before = take(backward ? p.trained : 0);
        real = take(lanes), target = reinterpret_cast<int32_t*>(take(lanes));
        for (long i = 0; i < lanes && memory; i++) real[i] = T(i < rows);
    }
};

// Inputs of the pass: row i is example which[i] (i without `which`) of the table, codes (.., context)
// whose embeddings are set side by side, or dense numbers (.., I).
inline void gather(const Program& p, const T* block, Buffers& b, const void* table,
                   const int64_t* which) {
    const long I = p.layer[0].inputs, E = p.embed;
    for (long r = 0; r < b.rows; r++) {
        const long row = which ? which[r] : r;
        T* to = b.x + r * b.wide;
        if (!E) std::memcpy(to, static_cast<const T*>(table) + row * I, sizeof(T) * I);
        const int32_t* codes = static_cast<const int32_t*>(table) + row * p.context;
        for (long t = 0; t < p.context && E; t++, to += E) {
            const T* from = block + p.segment[0].offset + codes[t] * padded(E);
            long e = 0;  // whole vectors, where what they write too much is written over, or zero
            for (; e < E && t * E + e + N <= b.wide; e += N) std::memcpy(to + e, from + e, sizeof(Vec));
            for (; e < E; e++) to[e] = from[e];
        }
    }
    transpose(b.lanes, b.wide, b.x, b.wide, b.inputs, b.ld);
}

// The gradient of the embedding, from that of the inputs.
inline void scatter(const Program& p, Buffers& b, const void* table, const int64_t* which) {
    const long E = p.embed;
    T* gradient = b.gradient + p.segment[0].offset;
    std::memset(gradient, 0, sizeof(T) * p.symbols * padded(E));
    for (long r = 0; r < b.rows; r++) {
        const int32_t* codes = static_cast<const int32_t*>(table) + which[r] * p.context;
        const T* from = b.d_x + r * b.wide;
        for (long t = 0; t < p.context; t++, from += E) {
            T* to = gradient + codes[t] * padded(E);
            long e = 0;
            for (; e + N <= E; e += N) at(to + e) += load(from + e);
            for (; e < E; e++) to[e] += from[e];
        }
    }
}

// f(x) in place of a vector of x, and f'(x) into slope.
template <long KIND>
inline void activate(T* h, T* slope) {
    const Vec x = at(h);
    if (KIND == TANH) {
        const Vec y = at(h) = tanh(x);
        at(slope) = 1 - y * y;
    } else if (KIND == RELU) {
        at(h) = x <= 0 ? NONE : x;
        at(slope) = x > 0 ? ONE : NONE;
    } else if (KIND == GELU) {  // x Phi(x), Phi the normal distribution function
        const Vec e = exp(x * x * T(-0.5)), tail = normal_tail(magnitude(x), e);
        const Vec phi = x < 0 ? tail : 1 - tail;
        at(h) = x * phi;
        at(slope) = phi + x * e * T(0.3989422804014327);
    } else {
        at(slope) = ONE;
    }
}
template <long KIND>
void activate(long count, T* h, T* slope) {
    for (long i = 0; i < count; i += N) activate<KIND>(h + i, slope + i);
}

// 1 for each unit of a vector that passes almost no gradient, given f(x) and f'(x).
inline Vec saturated(long kind, Vec h, Vec slope) {
    switch (kind) {
        case TANH: return magnitude(h) > T(0.97) ? ONE : NONE;
        case RELU: return h <= 0 ? ONE : NONE;
        case GELU: return (slope <= 0 ? h : -ONE) > T(-0.0040496941) ? ONE : NONE;  // x < -3
        default: return NONE;
    }
}

// Batch normalisation (Ioffe & Szegedy 2015, arXiv:1502.03167) of a layer's outputs, (O, ld) in place:
// by the batch's statistics, which move the running ones, or by the running ones (normed null).
inline void normalise(const Layer& l, T* block, const Buffers& b, T* out, T* normed, T* inverse_std) {
    for (long o = 0; o < l.outputs; o++, out += b.ld) {
        const T gamma = block[l.gamma + o], beta = block[l.beta + o];
        T &mean = block[l.mean + o], &variance = block[l.variance + o];
        if (!normed) {
            const T times = gamma / std::sqrt(variance + T(NORM_EPS));
            for (long i = 0; i < b.lanes; i += N) at(out + i) = (at(out + i) - mean) * times + beta;
            continue;
        }
        Vec total = NONE, square = NONE;
        for (long i = 0; i < b.lanes; i += N) total += at(out + i) * at(b.real + i);
        const T here = sum(total) / b.rows;
        for (long i = 0; i < b.lanes; i += N) {
            const Vec x = at(normed + i) = (at(out + i) - here) * at(b.real + i);
            square += x * x;
        }
        const T spread = sum(square) / b.rows, times = 1 / std::sqrt(spread + T(NORM_EPS));
        for (long i = 0; i < b.lanes; i += N) {
            at(normed + i) *= times;
            at(out + i) = at(normed + i) * gamma + beta;
        }
        constexpr T KEEP = T(1 - NORM_MOMENTUM), TAKE = T(NORM_MOMENTUM);
        mean = mean * KEEP + here * TAKE;
        variance = variance * KEEP + spread * (TAKE * (T(b.rows) / T(b.rows - 1)));
        inverse_std[o] = times, normed += b.ld;
    }
}
inline void normalise_backward(const Layer& l, const T* block, Buffers& b, T* d, const T* normed,
                               const T* inverse_std) {
    for (long o = 0; o < l.outputs; o++, d += b.ld, normed += b.ld) {
        Vec total = NONE, along = NONE;
        for (long i = 0; i < b.lanes; i += N) total += at(d + i), along += at(d + i) * at(normed + i);
        const T d_beta = b.gradient[l.beta + o] = sum(total);
        const T d_gamma = b.gradient[l.gamma + o] = sum(along);
        const T times = block[l.gamma + o] * inverse_std[o];
        for (long i = 0; i < b.lanes; i += N) {
            const Vec x = at(d + i) - d_beta / b.rows - at(normed + i) * (d_gamma / b.rows);
            at(d + i) = x * (times * at(b.real + i));
        }
    }
}

// Inverted dropout (Srivastava et al. 2014): a unit stays where its 16 random bits are `below` or
// more, and is then multiplied by `keep`. bits: (steps, O, rows) for each hidden layer.
struct Dropout {
    const uint16_t* const* bits;
    long below, step;
    T keep;
};

// For the diagnostics: the sum and the sum of squares of a layer's outputs, how many are saturated.
inline double* observe(long kind, long O, const Buffers& b, const T* h, const T* slope, double* to) {
    to[0] = to[1] = to[2] = 0;
    for (long o = 0; o < O; o++, h += b.ld, slope += b.ld) {
        Vec t = NONE, s = NONE, n = NONE;
        for (long i = 0; i < b.lanes; i += N) {
            const Vec x = at(h + i) * at(b.real + i);
            t += x, s += x * x, n += saturated(kind, at(h + i), at(slope + i)) * at(b.real + i);
        }
        to[0] += sum(t), to[1] += sum(s), to[2] += sum(n);
    }
    return to + 3;
}

// Logits (V, ld) of the gathered inputs, in the last `out`. watch: see observe, layer by layer, before
// dropout. Slopes are written where the buffers have room for them: always in training.
inline void forward(const Program& p, T* block, Buffers& b, bool training, const Dropout& drop = {},
                    double* watch = nullptr) {
    const T* x = b.inputs;
    for (long l = 0; l < p.layers; x = b.out[l++]) {
        const Layer& a = p.layer[l];
        const long I = a.inputs, O = a.outputs, count = O * b.ld;
        const long am = l ? 1 : padded(I), ak = l ? padded(O) : 1;
        T *h = b.out[l], *slope = b.slope[l];
        product(O, b.lanes, I, block + a.weight, am, ak, x, b.ld, h, b.ld,
                a.bias < 0 ? nullptr : block + a.bias);
        if (l < p.layers - 1) {
            if (a.gamma >= 0) normalise(a, block, b, h, training ? b.normed[l] : nullptr, b.inverse_std[l]);
            switch (p.activation) {
                case TANH: activate<TANH>(count, h, slope); break;
                case RELU: activate<RELU>(count, h, slope); break;
                case GELU: activate<GELU>(count, h, slope); break;
                default: activate<LINEAR>(count, h, slope);
            }
        }
        const long kind = l < p.layers - 1 ? p.activation : int64_t(LINEAR);
        if (watch) watch = observe(kind, O, b, h, slope, watch);
        if (!drop.below || l == p.layers - 1) continue;
        for (long o = 0; o < O; o++) {
            const uint16_t* bits = drop.bits[l] + (drop.step * O + o) * b.rows;
            for (long i = 0; i < b.rows; i++) {
                const T mask = bits[i] >= drop.below ? drop.keep : T(0);
                h[o * b.ld + i] *= mask, slope[o * b.ld + i] *= mask;
            }
        }
    }
}

// From d loss / d logits in the last `d` (0 in lanes past the rows) to the gradient of the block.
inline void backward(const Program& p, const T* block, Buffers& b, const void* table,
                     const int64_t* which) {
    T* g = b.gradient;
    for (long l = p.layers - 1; l >= 0; l--) {
        const Layer& a = p.layer[l];
        const long I = a.inputs, O = a.outputs, wide_I = padded(I), wide_O = padded(O);
        T* d = b.d[l];
        for (long o = 0; o < O && a.bias >= 0; o++) {
            Vec total = NONE;
            for (long i = 0; i < b.lanes; i += N) total += at(d + o * b.ld + i);
            g[a.bias + o] = sum(total);
        }
        if (l) {
            const Layer& under = p.layer[l - 1];
            T *down = b.d[l - 1], *slope = b.slope[l - 1];
            transpose(wide_O, b.lanes, d, b.ld, b.transposed, wide_O);
            product(I, wide_O, b.rows, b.out[l - 1], b.ld, 1, b.transposed, wide_O, g + a.weight, wide_O);
            product(I, b.lanes, O, block + a.weight, wide_O, 1, d, b.ld, down, b.ld);
            for (long i = 0; i < I * b.ld; i += N) at(down + i) *= at(slope + i);
            if (under.gamma >= 0)
                normalise_backward(under, block, b, down, b.normed[l - 1], b.inverse_std[l - 1]);
        } else {
            product(O, wide_I, b.rows, d, b.ld, 1, b.x, wide_I, g + a.weight, wide_I);
            if (!p.embed) return;
            product(I, b.lanes, O, block + a.weight, 1, wide_I, d, b.ld, b.d_inputs, b.ld);
            transpose(wide_I, b.lanes, b.d_inputs, b.ld, b.d_x, wide_I);
            scatter(p, b, table, which);
        }
    }
}
