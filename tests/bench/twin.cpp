// The fast walk (kernels/plain_walk.py) once more in C++ with AVX-512 intrinsics, made for one size of problem:
// what hand-written code reaches on the same machine. Same random numbers, same float32 operations in the same
// order, so the same counts, bit for bit. It knows one scenario, one level, no funding, no shocks, no replays.
//
// Sizes are given when it is compiled (-DASSETS=8 ...), so that every loop's length is known to the compiler.

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

constexpr int W = 16, TILE = 32, ROWS = 4, MARKS = 3;
constexpr int A = ASSETS, F = FACTORS, K = REGIMES, P = ACCOUNTS, L = LEVERAGES, T = STEPS, H = HORIZONS, C = TILES;
constexpr int BLOCKS = (A + ROWS - 1) / ROWS, POOL_BLOCKS = (P + ROWS - 1) / ROWS, PADDED = POOL_BLOCKS * ROWS;
constexpr uint32_t SLOT_STEP = 0, SLOT_FACTORS = 1 << 8;
constexpr int CELL_BITS = 6, SMALLEST_OCTAVE = -43, CELL_SHIFT = 23 - CELL_BITS;
constexpr uint32_t MIXING_CELLS = ((-1 - SMALLEST_OCTAVE) << CELL_BITS) + 2;
constexpr uint32_t FIRST_CELL = (127 + SMALLEST_OCTAVE) << CELL_BITS, WITHIN = (1 << CELL_SHIFT) - 1;

using Floats = __m512;
using Words = __m512i;
#define INLINE static inline __attribute__((always_inline))

INLINE Floats spread(float x) { return _mm512_set1_ps(x); }
INLINE Words words(uint32_t x) { return _mm512_set1_epi32(int(x)); }
INLINE Words wide(uint64_t x) { return _mm512_set1_epi64(int64_t(x)); }
INLINE Floats load(const float *x) { return _mm512_load_ps(x); }
INLINE Words load(const uint32_t *x) { return _mm512_load_si512(x); }
INLINE void store(float *x, Floats v) { _mm512_store_ps(x, v); }
INLINE void store(uint32_t *x, Words v) { _mm512_store_si512(x, v); }
INLINE Floats fma(Floats x, Floats y, Floats z) { return _mm512_fmadd_ps(x, y, z); }
INLINE Floats fma(Floats x, float y, float z) { return _mm512_fmadd_ps(x, spread(y), spread(z)); }
INLINE Floats fma(Floats x, Floats y, float z) { return _mm512_fmadd_ps(x, y, spread(z)); }
INLINE Floats as_floats(Words x) { return _mm512_castsi512_ps(x); }
INLINE Words as_words(Floats x) { return _mm512_castps_si512(x); }

// ---------------------------------------------------------------------------------------- elementary functions

INLINE Floats log16(Floats x) {
    Words shifted = _mm512_add_epi32(as_words(x), words(0x3F800000 - 0x3F3504F3));
    Floats n = _mm512_sub_ps(_mm512_cvtepu32_ps(_mm512_srli_epi32(shifted, 23)), spread(127.0f));
    Words mantissa = _mm512_add_epi32(_mm512_and_si512(shifted, words(0x7FFFFF)), words(0x3F3504F3));
    Floats f = _mm512_sub_ps(as_floats(mantissa), spread(1.0f));
    Floats p = fma(f, 0.08734843134880066f, -0.14307521283626556f);
    p = fma(f, p, 0.14917974174022675f);
    p = fma(f, p, -0.16570508480072021f);
    p = fma(f, p, 0.19962072372436523f);
    p = fma(f, p, -0.25001755356788635f);
    p = fma(f, p, 0.33333951234817505f);
    p = fma(f, p, -0.49999991059303284f);
    return fma(n, spread(0.6931471805599453f), fma(_mm512_mul_ps(f, f), p, f));
}

INLINE Floats exp16(Floats x) {
    Floats rounded = fma(x, float(1.0 / 0.6931471805599453), 12582912.0f);
    Floats n = _mm512_sub_ps(rounded, spread(12582912.0f));
    Floats r = fma(n, spread(-0.693359375f), x);
    r = fma(n, spread(float(0.693359375 - 0.6931471805599453)), r);
    Floats p = fma(r, 0.001381461275741458f, 0.008368710055947304f);
    p = fma(r, p, 0.04166838899254799f);
    p = fma(r, p, 0.1666652113199234f);
    p = fma(r, p, 0.4999999403953552f);
    p = _mm512_add_ps(fma(_mm512_mul_ps(r, r), p, r), spread(1.0f));
    return as_floats(_mm512_add_epi32(as_words(p), _mm512_slli_epi32(as_words(rounded), 23)));
}

// ---------------------------------------------------------------------------------------------- random numbers

struct Key { // round keys, the same for all paths
    Words first[10], second[10];
    explicit Key(uint64_t seed) {
        uint32_t a = uint32_t(seed), b = uint32_t(seed >> 32);
        for (int i = 0; i < 10; i++, a += 0x9E3779B9u, b += 0xBB67AE85u) first[i] = wide(a), second[i] = wide(b);
    }
};

struct Four {
    Words word[4];
};

// Philox 4x32-10 of sixteen counters: even and odd lanes apart, since products have 64 bits.
INLINE Four philox16(Words path, Words path_high, uint32_t step, uint32_t slot, const Key &key) {
    const Words m0 = wide(0xD2511F53u), m1 = wide(0xCD9E8D57u);
    Words even[4] = {path, path_high, wide(step), wide(slot)};
    Words odd[4] = {_mm512_srli_epi64(path, 32), _mm512_srli_epi64(path_high, 32), wide(step), wide(slot)};
#pragma GCC unroll 10
    for (int i = 0; i < 10; i++) {
        for (Words *c : {even, odd}) {
            Words p0 = _mm512_mul_epu32(c[0], m0), p1 = _mm512_mul_epu32(c[2], m1);
            c[0] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p1, 32), c[1], key.first[i], 0x96);
            c[2] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p0, 32), c[3], key.second[i], 0x96);
            c[1] = p1;
            c[3] = p0;
        }
    }
    Four result;
    for (int i = 0; i < 4; i++)
        result.word[i] = _mm512_mask_blend_epi32(0xAAAA, even[i], _mm512_slli_epi64(odd[i], 32));
    return result;
}

INLINE Floats fine_uniform16(Words word, Words other) {
    Floats rest = _mm512_add_ps(_mm512_cvtepu32_ps(_mm512_and_si512(other, words(1023))), spread(0.5f));
    return fma(_mm512_cvtepu32_ps(word), spread(0x1p-32f), _mm512_mul_ps(rest, spread(0x1p-42f)));
}

INLINE void normals_of_words16(Words radius, Words turn, float *first, float *second) {
    Floats r = _mm512_sqrt_ps(_mm512_mul_ps(log16(fine_uniform16(radius, turn)), spread(-2.0f)));
    Floats a = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_slli_epi32(turn, 2)),
                             spread(float(0.5 * 3.141592653589793 * 0x1p-32)));
    Floats a2 = _mm512_mul_ps(a, a);
    Floats s = fma(a2, -0.0001951528392964974f, 0.00833216030150652f);
    s = fma(a2, s, -0.16666655242443085f);
    s = fma(_mm512_mul_ps(a2, a), s, a);
    Floats c = fma(a2, 2.44331567955669e-05f, -0.0013887316454201937f);
    c = fma(a2, c, 0.04166664555668831f);
    c = fma(a2, c, -0.5f);
    c = fma(a2, c, 1.0f);
    __mmask16 swap = _mm512_testn_epi32_mask(turn, words(0x40000000));
    Floats sign = as_floats(_mm512_ternarylogic_epi32(as_words(r), turn, words(0x80000000), 0x78)); // r ^ (turn & bit)
    store(first, _mm512_mul_ps(sign, _mm512_mask_blend_ps(swap, s, c)));
    store(second, _mm512_mul_ps(sign, _mm512_mask_blend_ps(swap, c, s)));
}

// ------------------------------------------------------------------------------------------------ what it works on

struct Problem { // as kernels.plain.Plain, of one scenario
    const uint32_t *initial, *transitions, *mixing; // (K - 1), (K, K - 1), (K,)
    const float *mixing_table, *loading;            // (K, BLOCKS, F, 4)
    const int64_t *depth;                           // (BLOCKS,)
    const float *drift, *weights;                   // (K, A), (MARKS, POOL_BLOCKS, A, 4)
    const int64_t *ends, *horizon;                  // (T,)
    const float *threshold;                         // (MARKS, P, L)
    const int64_t *ranks, *leverage;                // (MARKS, P), (P, L)
    const float *first_low;                         // (MARKS, PADDED)
    int64_t unit, joint;
};

struct alignas(64) State {
    uint32_t path[2][TILE], word[2][TILE], regime[TILE];
    float price[A][TILE], lowest[MARKS][PADDED][TILE];
};

struct alignas(64) Room {
    State tile[C];
    float factor[F][TILE], noise[BLOCKS * ROWS][TILE], weight[TILE];
    uint32_t hit[MARKS][P][L];
    int astray[K][K][C * TILE + 1];
};

// ------------------------------------------------------------------------------------------------------ a step

INLINE void switch_regimes(const Problem &problem, const Key &key, int step, State &state) {
    for (int v = 0; v < TILE; v += W) {
        Four drawn = philox16(load(state.path[0] + v), load(state.path[1] + v), step, SLOT_STEP, key);
        store(state.word[0] + v, drawn.word[1]);
        store(state.word[1] + v, drawn.word[0]);
        Words half = _mm512_srli_epi32(drawn.word[0], 1), now = load(state.regime + v), next = words(0);
        for (int c = 0; c < K - 1; c++) {
            Words bound = words(step == 0 ? problem.initial[c] : problem.transitions[c]);
            for (int k = 1; k < K && step > 0; k++)
                bound = _mm512_mask_mov_epi32(bound, _mm512_cmpeq_epi32_mask(now, words(k)),
                                              words(problem.transitions[k * (K - 1) + c]));
            next = _mm512_mask_add_epi32(next, _mm512_cmpge_epu32_mask(half, bound), next, words(1));
        }
        store(state.regime + v, next);
    }
}

INLINE void draw_factors(const Key &key, int step, State &state, Room &room) {
    for (int v = 0; v < TILE; v += W) {
        Words path = load(state.path[0] + v), path_high = load(state.path[1] + v);
        for (int j = 0; j < F; j += 4) {
            Four drawn = philox16(path, path_high, step, SLOT_FACTORS + j / 4, key);
            normals_of_words16(drawn.word[0], drawn.word[1], room.factor[j] + v, room.factor[j + 1] + v);
            normals_of_words16(drawn.word[2], drawn.word[3], room.factor[j + 2] + v, room.factor[j + 3] + v);
        }
    }
}

// Four rows of weights (columns, 4) times x (columns, TILE): eight sums under way.
INLINE void sum_rows(const float *weights, int columns, const float (*x)[TILE], Floats sums[ROWS][2]) {
    for (int i = 0; i < ROWS; i++) sums[i][0] = sums[i][1] = _mm512_setzero_ps();
    for (int j = 0; j < columns; j++) {
        Floats first = load(x[j]), second = load(x[j] + W);
        for (int i = 0; i < ROWS; i++) {
            Floats w = spread(weights[j * ROWS + i]);
            sums[i][0] = fma(w, first, sums[i][0]);
            sums[i][1] = fma(w, second, sums[i][1]);
        }
    }
}

// Every regime that is present is computed for all paths, and each takes its own.
INLINE void correlate(const Problem &problem, const State &state, Room &room) {
    __mmask16 here[K][2];
    for (int k = 0; k < K; k++)
        for (int v = 0; v < 2; v++) here[k][v] = _mm512_cmpeq_epi32_mask(load(state.regime + v * W), words(k));
    for (int block = 0; block < BLOCKS; block++) {
        bool taken = false;
        for (int k = 0; k < K; k++) {
            if (!(here[k][0] | here[k][1])) continue;
            Floats sums[ROWS][2];
            const float *loading = problem.loading + (k * BLOCKS + block) * F * ROWS;
            sum_rows(loading, int(problem.depth[block]), room.factor, sums);
            for (int i = 0; i < ROWS; i++)
                for (int v = 0; v < 2; v++) {
                    float *target = room.noise[block * ROWS + i] + v * W;
                    if (taken)
                        _mm512_mask_store_ps(target, here[k][v], sums[i][v]);
                    else
                        store(target, sums[i][v]);
                }
            taken = true;
        }
    }
}

INLINE void mix_weights(const Problem &problem, const State &state, Room &room) {
    for (int v = 0; v < TILE; v += W) {
        Words word = load(state.word[0] + v), other = load(state.word[1] + v), regime = load(state.regime + v);
        Words start = words(problem.mixing[0]);
        for (int k = 1; k < K; k++)
            start = _mm512_mask_mov_epi32(start, _mm512_cmpeq_epi32_mask(regime, words(k)), words(problem.mixing[k]));
        __mmask16 upper = _mm512_movepi32_mask(word);
        Words flip = _mm512_maskz_mov_epi32(upper, words(0xFFFFFFFF));
        Words u = as_words(fine_uniform16(_mm512_xor_si512(word, flip), _mm512_xor_si512(other, flip)));
        Words cell = _mm512_mask_add_epi32(start, upper, start, words(MIXING_CELLS));
        cell = _mm512_add_epi32(cell, _mm512_sub_epi32(_mm512_srli_epi32(u, CELL_SHIFT), words(FIRST_CELL)));
        Floats below = _mm512_i32gather_ps(cell, problem.mixing_table, 4);
        Floats above = _mm512_i32gather_ps(_mm512_add_epi32(cell, words(1)), problem.mixing_table, 4);
        Floats share = _mm512_mul_ps(_mm512_cvtepu32_ps(_mm512_and_si512(u, words(WITHIN))),
                                     spread(1.0f / (WITHIN + 1)));
        store(room.weight + v, fma(share, _mm512_sub_ps(above, below), below));
    }
}

INLINE void move_prices(const Problem &problem, State &state, const Room &room) {
    for (int v = 0; v < TILE; v += W) {
        Floats weight = load(room.weight + v);
        Words regime = load(state.regime + v);
        __mmask16 here[K];
        for (int k = 1; k < K; k++) here[k] = _mm512_cmpeq_epi32_mask(regime, words(k));
        for (int a = 0; a < A; a++) {
            Floats drift = spread(problem.drift[a]);
            for (int k = 1; k < K; k++) drift = _mm512_mask_mov_ps(drift, here[k], spread(problem.drift[k * A + a]));
            Floats x = fma(weight, load(room.noise[a] + v), drift);
            x = _mm512_max_ps(_mm512_min_ps(x, spread(80.0f)), spread(-80.0f));
            const __m512 moved = _mm512_mul_ps(load(state.price[a] + v), exp16(x));
            store(state.price[a] + v, _mm512_min_ps(moved, _mm512_set1_ps(1e25f)));
        }
    }
}

INLINE void lower_rows(const Problem &problem, State &state) {
    for (int mark = 0; mark < MARKS; mark++)
        for (int block = 0; block < POOL_BLOCKS; block++) {
            Floats sums[ROWS][2];
            sum_rows(problem.weights + (mark * POOL_BLOCKS + block) * A * ROWS, A, state.price, sums);
            for (int i = 0; i < ROWS; i++)
                for (int v = 0; v < 2; v++) {
                    float *lowest = state.lowest[mark][block * ROWS + i] + v * W;
                    store(lowest, _mm512_min_ps(sums[i][v], load(lowest)));
                }
        }
}

// --------------------------------------------------------------------------------------------- sorting, counting

static void swap_lanes(Room &room, int first, int second) {
    State &one = room.tile[first / TILE], &other = room.tile[second / TILE];
    int v = first % TILE, w = second % TILE;
    for (int i = 0; i < 2; i++) std::swap(one.path[i][v], other.path[i][w]), std::swap(one.word[i][v], other.word[i][w]);
    std::swap(one.regime[v], other.regime[w]);
    for (int a = 0; a < A; a++) std::swap(one.price[a][v], other.price[a][w]);
    for (int mark = 0; mark < MARKS; mark++)
        for (int p = 0; p < P; p++) std::swap(one.lowest[mark][p][v], other.lowest[mark][p][w]);
}

// Bring every lane into the region of its regime; see kernels/plain_sort.py.
static void sort_lanes(Room &room, int tiles) {
    int size[K] = {}, end[K];
    for (int tile = 0; tile < tiles; tile++)
        for (int v = 0; v < TILE; v += W)
            for (int k = 0; k < K; k++)
                size[k] += __builtin_popcount(_mm512_cmpeq_epi32_mask(load(room.tile[tile].regime + v), words(k)));
    for (int k = 0, sum = 0; k < K; k++) end[k] = sum += size[k];
    for (int a = 0; a < K; a++)
        for (int b = 0; b < K; b++) room.astray[a][b][0] = 0;
    const Words numbers = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    for (int first = 0; first < tiles * TILE; first += W) {
        const uint32_t *regime = room.tile[first / TILE].regime + first % TILE;
        Words lane = _mm512_add_epi32(numbers, words(first)), region = words(0);
        for (int k = 0; k < K - 1; k++)
            region = _mm512_mask_add_epi32(region, _mm512_cmpge_epu32_mask(lane, words(end[k])), region, words(1));
        alignas(64) uint32_t of[W];
        store(of, region);
        for (uint32_t left = _mm512_cmpneq_epi32_mask(region, load(regime)); left; left &= left - 1) {
            int v = __builtin_ctz(left);
            int *list = room.astray[of[v]][regime[v]];
            list[++list[0]] = first + v;
        }
    }
    for (int region = 0; region < K; region++)
        for (int wanted = 0; wanted < K; wanted++)
            while (wanted != region && room.astray[region][wanted][0] > 0) {
                int *list = room.astray[region][wanted];
                int lane = list[list[0]--], found = region;
                if (!room.astray[wanted][region][0])
                    for (found = 0; found == wanted || !room.astray[wanted][found][0];) found++;
                int *others = room.astray[wanted][found];
                swap_lanes(room, lane, others[others[0]--]);
                if (found != region) {
                    int *still = room.astray[region][found];
                    still[++still[0]] = lane;
                }
            }
}

INLINE uint32_t lanes_of(__mmask16 first, __mmask16 second) { return uint32_t(first) | uint32_t(second) << W; }

static void count_hits(const Problem &problem, const State &state, uint64_t first_path, int64_t paths, int horizon,
                       Room &room, int64_t *hits, int64_t *joint) {
    Words start = words(uint32_t(first_path)), end = words(uint32_t(std::min<int64_t>(paths, C * TILE)));
    uint32_t lanes = lanes_of(_mm512_cmplt_epu32_mask(_mm512_sub_epi32(load(state.path[0]), start), end),
                              _mm512_cmplt_epu32_mask(_mm512_sub_epi32(load(state.path[0] + W), start), end));
    memset(room.hit, 0, sizeof room.hit);
    for (int mark = 0; mark < MARKS; mark++)
        for (int p = 0; p < P; p++) {
            Floats x = load(state.lowest[mark][p]), y = load(state.lowest[mark][p] + W);
            for (int rank = 0; rank < problem.ranks[mark * P + p]; rank++) {
                Floats level = spread(problem.threshold[(mark * P + p) * L + rank]);
                uint32_t below = lanes & lanes_of(_mm512_cmp_ps_mask(x, level, _CMP_LT_OQ),
                                                  _mm512_cmp_ps_mask(y, level, _CMP_LT_OQ));
                if (!below) break; // thresholds descend
                int leverage = int(problem.leverage[p * L + rank]);
                room.hit[mark][p][leverage] = below;
                hits[((mark * P + p) * L + leverage) * H + horizon] += __builtin_popcount(below);
            }
        }
    for (int i = 0; i < P && problem.joint; i++)
        for (int j = 0; j < P; j++)
            joint[(int64_t(horizon) * P + i) * P + j] +=
                __builtin_popcount(room.hit[1][i][problem.unit] & room.hit[1][j][problem.unit]);
}

INLINE void start_tile(const Problem &problem, uint64_t first, State &state) {
    for (int v = 0; v < TILE; v++) {
        state.path[0][v] = uint32_t(first + v);
        state.path[1][v] = uint32_t((first + v) >> 32);
        state.regime[v] = 0;
        for (int a = 0; a < A; a++) state.price[a][v] = 1.0f;
        for (int mark = 0; mark < MARKS; mark++)
            for (int p = 0; p < PADDED; p++) state.lowest[mark][p][v] = problem.first_low[mark * PADDED + p];
    }
}

// Add to hits (MARKS, P, L, H) and joint (H, P, P) what paths have met by each horizon.
extern "C" void walk(uint64_t seed, uint64_t first_path, int64_t paths, const Problem *given, int64_t *hits,
                     int64_t *joint) {
    const Problem problem = *given;
    const Key key(seed);
    Room &room = *static_cast<Room *>(std::aligned_alloc(64, sizeof(Room)));
    for (int64_t offset = 0; offset < paths; offset += C * TILE) {
        int tiles = int((std::min<int64_t>(C * TILE, paths - offset) + TILE - 1) / TILE);
        uint64_t first = first_path + uint64_t(offset);
        for (int tile = 0; tile < tiles; tile++) start_tile(problem, first + uint64_t(tile) * TILE, room.tile[tile]);
        for (int step = 0; step < T; step++) {
            for (int tile = 0; tile < tiles; tile++) switch_regimes(problem, key, step, room.tile[tile]);
            if (tiles > 1) sort_lanes(room, tiles);
            for (int tile = 0; tile < tiles; tile++) {
                State &state = room.tile[tile];
                draw_factors(key, step, state, room);
                correlate(problem, state, room);
                mix_weights(problem, state, room);
                move_prices(problem, state, room);
                lower_rows(problem, state);
                if (problem.ends[step])
                    count_hits(problem, state, first, paths - offset, int(problem.horizon[step]), room, hits, joint);
            }
        }
    }
    std::free(&room);
}
