// Penalties, optimizers and the cap on weights' norms: how a tensor moves, given its gradient. The
// same steps in torch: harness/components/penalties and optimizers.
#pragma once

#include "network.h"

enum Optimizer { SGD, MOMENTUM, ADAM };

struct Penalty {  // of one tensor of one run; 0: none
    double square, absolute;  // added to the gradient: square * w + absolute * sign(w)
    double decay;             // w is first multiplied by 1 - rate * decay
    double most;              // and last, each unit's incoming weights scaled to this norm at most
};

inline void update(const Program& p, long size, const Penalty& penalty, T rate, T momentum, long step,
                   T* w, T* g, T* slot0, T* slot1) {
    const T square = T(penalty.square), absolute = T(penalty.absolute);
    for (long i = 0; i < size && (square != 0 || absolute != 0); i += N) {
        const Vec x = at(w + i), sign = x > 0 ? ONE : x < 0 ? -ONE : NONE;
        at(g + i) += square * x + absolute * sign;
    }
    for (long i = 0; i < size && penalty.decay != 0; i += N) at(w + i) *= 1 - rate * T(penalty.decay);
    if (p.optimizer == SGD) {
        for (long i = 0; i < size; i += N) at(w + i) -= rate * at(g + i);
    } else if (p.optimizer == MOMENTUM) {
        for (long i = 0; i < size; i += N)
            at(w + i) -= rate * (at(slot0 + i) = momentum * at(slot0 + i) + at(g + i));
    } else {  // Adam: Kingma & Ba 2015, arXiv:1412.6980
        const double *of = p.optimizer_settings, n = double(step + 1);
        const T old1 = T(of[0]), new1 = T(1 - of[0]), old2 = T(of[1]), new2 = T(1 - of[1]);
        const T first = T(rate / (1 - std::pow(of[0], n))), eps = T(of[2]);
        const T second = T(1 / std::sqrt(1 - std::pow(of[1], n)));
        for (long i = 0; i < size; i += N) {
            const Vec x = at(g + i), m = at(slot0 + i) = old1 * at(slot0 + i) + new1 * x;
            const Vec v = at(slot1 + i) = old2 * at(slot1 + i) + new2 * x * x;
            at(w + i) -= first * m / (root(v) * second + eps);
        }
    }
}

// Scale each output unit's incoming weights to a norm of at most `most`.
inline void cap(const Layer& l, bool first, T* w, T most) {
    const long rows = first ? l.outputs : l.inputs, wide = padded(first ? l.inputs : l.outputs);
    for (long n = 0; n < wide && !first; n += N) {  // (I, O): a unit in every lane
        Vec square = NONE;
        for (long m = 0; m < rows; m++) square += at(w + m * wide + n) * at(w + m * wide + n);
        const Vec norm = root(square), times = norm > most ? most / norm : ONE;
        for (long m = 0; m < rows; m++) at(w + m * wide + n) *= times;
    }
    for (T* row = w; row < w + rows * wide && first; row += wide) {  // (O, I): a unit in every row
        Vec square = NONE;
        for (long n = 0; n < wide; n += N) square += at(row + n) * at(row + n);
        const T norm = std::sqrt(sum(square)), times = norm > most ? most / norm : T(1);
        for (long n = 0; n < wide; n += N) at(row + n) *= times;
    }
}

// For the diagnostics: the sum and the sum of squares of `size` numbers, given vector by vector.
template <class F>
double* moments(long size, F number, double* to) {
    to[0] = to[1] = 0;
    for (long i = 0; i < size; i += N) {
        const Vec x = number(i);
        to[0] += sum(x), to[1] += sum(x * x);
    }
    return to + 2;
}
