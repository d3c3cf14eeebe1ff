// The C interface that bindings.py calls. All memory is the caller's, nothing is kept between calls.
#include "evaluate.h"
#include "update.h"

struct Run {  // one run of a chunk; pointers into arrays that Python holds
    T *block, *slot0, *slot1;  // (program.size), (program.trained) twice
    char* buffers;             // harness_bytes(program, rows, 1), zeroed once
    int64_t loss;
    double smoothing, share, scale, momentum;  // see Objective
    int64_t drop_below;                        // see Dropout
    double keep;
    const uint16_t* const* bits;
    const void* table;               // training inputs: codes (examples, context) or numbers (.., I)
    const int32_t* targets;          // (examples)
    const int64_t* examples;         // (steps, rows): which make each step's batch
    const double *rate, *embed_rate;  // (steps)
    const Penalty* penalties;        // (segments)
    double* watch;                   // null, or where the last step's diagnostics go
    int64_t links;                   // that suit its loss, see calibrate()
    Wanted want;                     // of its evaluation

    Objective objective(const Program& p) const {
        return {long(loss), p.outputs(), T(smoothing), T(share), T(scale)};
    }
};
enum Phase { FORWARD = 1, BACKWARD = 2 };  // both, unless a loss without a kernel comes between

static void step(const Program& p, const Run& r, Buffers& b, long s, long step, long phase,
                 double* watch) {
    const int64_t* which = r.examples + s * p.rows;
    const long V = p.outputs(), last = p.layers - 1;
    if (phase & FORWARD) {
        for (long i = 0; i < b.rows; i++) b.target[i] = r.targets[which[i]];
        gather(p, r.block, b, r.table, which);
        forward(p, r.block, b, true, {r.bits, long(r.drop_below), s, T(r.keep)}, watch);
        for (long i = 0; i < b.lanes && r.loss; i += N)
            gradient(r.objective(p), b.out[last] + i, b.d[last] + i, b.ld, b.target + i);
    }
    if (!(phase & BACKWARD)) return;
    for (long v = 0; v < V; v++) std::fill(b.d[last] + v * b.ld + b.rows, b.d[last] + v * b.ld + b.lanes, T(0));
    backward(p, r.block, b, r.table, which);
    if (watch) std::memcpy(b.before, r.block, sizeof(T) * p.trained);
    for (long i = 0; i < p.segments; i++) {
        const Segment& g = p.segment[i];
        update(p, g.size, r.penalties[i], T((g.embedded ? r.embed_rate : r.rate)[s] * g.times), T(r.momentum),
               step, r.block + g.offset, b.gradient + g.offset, r.slot0 ? r.slot0 + g.offset : nullptr,
               r.slot1 ? r.slot1 + g.offset : nullptr);
        for (long l = 0; l <= last && r.penalties[i].most > 0; l++)
            if (p.layer[l].weight == g.offset)
                cap(p.layer[l], l == 0, r.block + g.offset, T(r.penalties[i].most));
    }
    watch = watch ? watch + 3 * p.layers : nullptr;
    for (long i = 0; i < p.segments && watch; i++) {
        const long from = p.segment[i].offset, size = p.segment[i].size;
        const T *now = r.block + from, *before = b.before + from, *slope = b.gradient + from;
        watch = moments(size, [&](long j) { return at(now + j) - at(before + j); }, watch);
        watch = moments(size, [&](long j) { return at(now + j); }, watch);
        watch = moments(size, [&](long j) { return at(slope + j); }, watch);
    }
}

// While one lives, numbers below the smallest normal one are 0, read and written. The gradients of
// saturated units are such numbers, and a processor takes a hundred cycles for each.
struct Flush {
#if defined(__x86_64__)
    const unsigned before = __builtin_ia32_stmxcsr();
    Flush() { __builtin_ia32_ldmxcsr(before | 0x8040); }  // flush to zero, denormals are zero
    ~Flush() { __builtin_ia32_ldmxcsr(before); }
#elif defined(__aarch64__)
    uint64_t before;
    Flush() {
        asm volatile("mrs %0, fpcr" : "=r"(before));
        asm volatile("msr fpcr, %0" : : "r"(before | 1u << 24));
    }
    ~Flush() { asm volatile("msr fpcr, %0" : : "r"(before)); }
#else
    Flush() {}
#endif
};

#pragma GCC visibility push(default)  // of nothing else: both libraries are loaded in one process
extern "C" {
int64_t harness_sizes(int64_t which) {  // so that Python's copies of the structures can be checked
    const int64_t sizes[] = {sizeof(Program), sizeof(Run), sizeof(Split), sizeof(Metrics),
                             sizeof(Reading), sizeof(Calibration), sizeof(T),
                             VECTOR_BYTES};
    return sizes[which];
}
int64_t harness_bytes(const Program* p, int64_t rows, int64_t backward) {
    return Buffers(*p, rows, nullptr, backward).bytes;
}
// Where a pass keeps what a loss without a kernel needs, in numbers from the start of its buffers.
void harness_logits(const Program* p, char* memory, int64_t* logits, int64_t* gradient, int64_t* stride) {
    const Buffers b(*p, p->rows, memory, true);
    *logits = b.out[p->layers - 1] - reinterpret_cast<T*>(memory);
    *gradient = b.d[p->layers - 1] - reinterpret_cast<T*>(memory);
    *stride = b.ld;
}
// Steps first ... first + steps - 1 of each run, one run after another.
void harness_train(const Program* p, const Run* runs, int64_t count, int64_t steps, int64_t first,
                   int64_t phase) {
    const Flush flush;
    for (int64_t k = 0; k < count; k++) {
        Buffers b(*p, p->rows, runs[k].buffers, true);
        for (int64_t s = 0; s < steps; s++)
            step(*p, runs[k], b, s, first + s, phase, s == steps - 1 ? runs[k].watch : nullptr);
    }
}
// metrics (runs, splits), finite (runs), readings (runs; of finite runs, where `fit` is not null);
// buffers: harness_bytes(program, tile, 1).
void harness_evaluate(const Program* p, const Run* runs, int64_t count, const void* table,
                      int64_t contexts, int64_t tile, const Split* splits, int64_t split_count,
                      const Calibration* fit, char* buffers, Metrics* metrics, int64_t* finite,
                      Reading* readings) {
    const Flush flush;
    for (int64_t k = 0; k < count; k++) {
        Buffers b(*p, tile, buffers, true);
        finite[k] = evaluate(*p, runs[k].block, runs[k].objective(*p), b, table, contexts, splits,
                             split_count, metrics + k * split_count, runs[k].want, fit);
        if (fit && finite[k]) readings[k] = calibrate(*fit, p->outputs(), tile, runs[k].links);
    }
}
}
#pragma GCC visibility pop
