// One instruction set of loops.hpp: SET is its name, and the compiler's flags are those of the set.
#include "loops.hpp"

#include <cmath>
#include <cstring>
#include <type_traits>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

namespace {

using std::int32_t;
using std::int64_t;
using std::size_t;
using std::uint32_t;
using std::uint64_t;
using std::uint8_t;

// Bit slices: plane p of a block holds bit p of a number for each of its coordinates.
#if defined(__AVX512F__)
constexpr size_t bytes = 64;
#elif defined(__AVX2__)
constexpr size_t bytes = 32;
#else
constexpr size_t bytes = 16;
#endif
typedef uint64_t Block __attribute__((vector_size(bytes)));
constexpr size_t width = 8 * bytes;  // coordinates
constexpr size_t most_planes = 32;

Block load(const uint8_t *row, size_t have) {
    Block block{};
    std::memcpy(&block, row, have);
    return block;
}

size_t bit_width(size_t n) {
    size_t bits = 0;
    for (; n; n >>= 1) ++bits;
    return bits;
}

// 8 bits of a byte, most significant first, to 8 bytes in memory order. Constant: nothing of an instruction set that the
// processor may lack runs before binding.cpp has chosen.
struct Spread {
    uint64_t of[256];
    constexpr Spread() : of() {
        for (unsigned byte = 0; byte < 256; ++byte)
            for (unsigned bit = 0; bit < 8; ++bit) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
                of[byte] |= uint64_t(byte >> (7 - bit) & 1) << (8 * bit);
#else
                of[byte] |= uint64_t(byte >> (7 - bit) & 1) << (56 - 8 * bit);
#endif
            }
    }
};
constexpr Spread spread;

// Calls store(j, number) for the numbers of the first `have` coordinates of a block.
template <class Store> void unslice(const Block *planes, size_t count, size_t have, Store store) {
    uint8_t sliced[most_planes][bytes];
    std::memcpy(sliced, planes, count * bytes);
    for (size_t byte = 0; 8 * byte < have; ++byte) {
        uint32_t numbers[8] = {};
        for (size_t first = 0; first < count; first += 8) {
            uint64_t eight = 0;
            for (size_t p = first; p < count && p < first + 8; ++p) eight |= spread.of[sliced[p][byte]] << (p - first);
            uint8_t lanes[8];
            std::memcpy(lanes, &eight, 8);
            for (size_t j = 0; j < 8; ++j) numbers[j] |= uint32_t(lanes[j]) << first;
        }
        size_t last = have - 8 * byte < 8 ? have - 8 * byte : 8;
        for (size_t j = 0; j < last; ++j) store(8 * byte + j, numbers[j]);
    }
}

// Adds one bit to the number of each coordinate; returns the carry out of the last plane.
template <size_t P> inline Block ripple(Block *planes, Block carry) {
    for (size_t p = 0; p < P; ++p) {
        Block both = planes[p] & carry;
        planes[p] ^= carry;
        carry = both;
    }
    return carry;
}

// Calls work<P>() with P >= planes; a constant P keeps the planes in registers.
template <class Work> void with_planes(size_t planes, Work work) {
    using std::integral_constant;
    if (planes <= 4) work(integral_constant<size_t, 4>{});
    else if (planes <= 6) work(integral_constant<size_t, 6>{});
    else if (planes <= 7) work(integral_constant<size_t, 7>{});
    else if (planes <= 8) work(integral_constant<size_t, 8>{});
    else if (planes <= 10) work(integral_constant<size_t, 10>{});
    else if (planes <= 14) work(integral_constant<size_t, 14>{});
    else work(integral_constant<size_t, most_planes>{});
}

// Calls block(first, have) for each block of coordinates.
template <class Work> void blocks(size_t dim, Work work) {
    for (size_t first = 0; first < dim; first += width) work(first, dim - first < width ? dim - first : width);
}

void count(const uint8_t *const *rows, size_t n, size_t dim, uint32_t *counts) {
    with_planes(bit_width(n), [&](auto constant) {
        constexpr size_t P = decltype(constant)::value;
        blocks(dim, [&](size_t first, size_t have) {
            Block planes[P] = {};
            for (size_t k = 0; k < n; ++k) ripple<P>(planes, load(rows[k] + first / 8, (have + 7) / 8));
            unslice(planes, P, have, [&](size_t j, uint32_t number) { counts[first + j] = number; });
        });
    });
}

// Goes up the values: the bits not set from the last row down, then the bits set from the first row up. A counter that
// starts at 2^P - (place + 1) overflows at the value wanted, and only there, as n - place <= 2^P: the step is noted.
void order(const uint8_t *const *rows, size_t n, size_t dim, const double *values, size_t place, double *out) {
    size_t larger = place + 1 > n - place ? place + 1 : n - place;
    with_planes(bit_width(larger - 1), [&](auto constant) {
        constexpr size_t P = decltype(constant)::value;
        const uint64_t start = (uint64_t(1) << P) - (place + 1);
        const size_t step_bits = bit_width(2 * n - 1);
        blocks(dim, [&](size_t first, size_t have) {
            Block planes[P], noted[most_planes] = {};
            for (size_t p = 0; p < P; ++p) planes[p] = Block{} - (start >> p & 1);
            const size_t used = (have + 7) / 8;
            for (size_t step = 0; step < 2 * n; ++step) {
                size_t k = step < n ? n - 1 - step : step - n;
                Block bits = load(rows[k] + first / 8, used);
                Block found = ripple<P>(planes, step < n ? ~bits : bits);
                for (size_t p = 0, left = step; left; ++p, left >>= 1)
                    if (left & 1) noted[p] |= found;
            }
            unslice(noted, step_bits, have, [&](size_t j, uint32_t number) { out[first + j] = values[number]; });
        });
    });
}

// Eight coordinates at a time, which are the bits of a byte: +v where the bit is set and -v where it is not, and a sum of
// those that are set. A sum with 0.0 in place of what is not set has the same bits, as no sum here is -0.0.
#if defined(__AVX512F__)
struct Eight {
    __m512d all;
};

struct Reversed {
    uint8_t of[256];
    constexpr Reversed() : of() {
        for (unsigned byte = 0; byte < 256; ++byte)
            for (unsigned bit = 0; bit < 8; ++bit) of[byte] |= uint8_t((byte >> bit & 1) << (7 - bit));
    }
};
constexpr Reversed reverse;

inline Eight with_signs(double v, uint8_t bits) {
    return {_mm512_mask_blend_pd(reverse.of[bits], _mm512_set1_pd(-v), _mm512_set1_pd(v))};
}
inline void operator+=(Eight &sum, Eight v) { sum.all = _mm512_add_pd(sum.all, v.all); }
inline void add_set(Eight &sum, double v, uint8_t bits) {
    sum.all = _mm512_mask_add_pd(sum.all, reverse.of[bits], sum.all, _mm512_set1_pd(v));
}
#else
typedef double Four __attribute__((vector_size(32)));
typedef uint64_t Words __attribute__((vector_size(32)));

struct Eight {
    Four half[2];
};

// For each half of a byte four words: `set` where its bit is set, and `clear` where it is not.
struct Words4 {
    uint64_t of[16][4];
    constexpr Words4(uint64_t set, uint64_t clear) : of() {
        for (unsigned bits = 0; bits < 16; ++bits)
            for (unsigned lane = 0; lane < 4; ++lane) of[bits][lane] = bits >> (3 - lane) & 1 ? set : clear;
    }
};
alignas(32) constexpr Words4 masks{~uint64_t(0), 0}, signs{0, uint64_t(1) << 63};

inline void masked(Four &v, unsigned bits) {
    Words mask;
    std::memcpy(&mask, masks.of[bits], sizeof mask);
    v = Four(Words(v) & mask);
}
inline void negated(Four &v, unsigned bits) {
    Words sign;
    std::memcpy(&sign, signs.of[bits], sizeof sign);
    v = Four(Words(v) ^ sign);
}
inline Eight with_signs(double v, uint8_t bits) {
    Eight all = {{{v, v, v, v}, {v, v, v, v}}};
    negated(all.half[0], bits >> 4);
    negated(all.half[1], bits & 15);
    return all;
}
inline void operator+=(Eight &sum, const Eight &v) {
    sum.half[0] += v.half[0];
    sum.half[1] += v.half[1];
}
inline void add_set(Eight &sum, double v, uint8_t bits) {
    Eight all = {{{v, v, v, v}, {v, v, v, v}}};
    masked(all.half[0], bits >> 4);
    masked(all.half[1], bits & 15);
    sum += all;
}
#endif

constexpr size_t line = 64;  // bytes of a row at a time

// Calls work(first, have, sums) for `line` bytes of the rows at a time; sums are those of out[first], have of them.
template <class Work> void lines(size_t dim, double *out, Work work) {
    for (size_t first = 0; first < dim; first += 8 * line) {
        const size_t have = dim - first < 8 * line ? dim - first : 8 * line;
        Eight sums[line] = {};
        std::memcpy(sums, out + first, have * sizeof(double));
        work(first, (have + 7) / 8, sums);
        std::memcpy(out + first, sums, have * sizeof(double));
    }
}

// sums[byte] += Σ_k ±weights[k], the k of one group of at most eight.
template <size_t most> inline void add_group(const uint8_t (*bits)[line], size_t some, size_t used,
                                             const double *weights, Eight *sums) {
    for (size_t byte = 0; byte < used; ++byte) {
        Eight sum = with_signs(weights[0], bits[0][byte]);
#pragma GCC unroll 8
        for (size_t k = 1; k < most; ++k)
            if (most == 8 || k < some) sum += with_signs(weights[k], bits[k][byte]);
        sums[byte] += sum;
    }
}

void add(const uint8_t *const *rows, size_t n, size_t dim, const double *weights, double *out) {
    lines(dim, out, [&](size_t first, size_t used, Eight *sums) {
        uint8_t bits[8][line];
        for (size_t group = 0; group < n; group += 8) {
            const size_t some = n - group < 8 ? n - group : 8;
            for (size_t k = 0; k < some; ++k) std::memcpy(bits[k], rows[group + k] + first / 8, used);
            if (some == 8) add_group<8>(bits, 8, used, weights + group, sums);
            else add_group<7>(bits, some, used, weights + group, sums);
        }
    });
}

// As in `order`, with two counters: one overflows when `cut` values have gone by, the other when only `cut` are left.
void trim(const uint8_t *const *rows, size_t n, size_t dim, const double *values, size_t cut, double *out) {
    std::memset(out, 0, dim * sizeof(double));
    with_planes(bit_width(n), [&](auto constant) {
        constexpr size_t P = decltype(constant)::value;
        const uint64_t start[2] = {(uint64_t(1) << P) - cut, (uint64_t(1) << P) - (n - cut)};
        lines(dim, out, [&](size_t first, size_t used, Eight *sums) {
            for (size_t at = 0; at < used; at += bytes) {
                const size_t some = used - at < bytes ? used - at : bytes;
                Block planes[2][P], past[2] = {Block{} - (cut == 0), Block{}};
                for (size_t c = 0; c < 2; ++c)
                    for (size_t p = 0; p < P; ++p) planes[c][p] = Block{} - (start[c] >> p & 1);
                for (size_t step = 0; step < 2 * n; ++step) {
                    size_t k = step < n ? n - 1 - step : step - n;
                    Block here = load(rows[k] + first / 8 + at, some);
                    if (step < n) here = ~here;
                    const Block kept = here & past[0] & ~past[1];
                    for (size_t c = 0; c < 2; ++c) past[c] |= ripple<P>(planes[c], here);
                    uint8_t bits[bytes];
                    std::memcpy(bits, &kept, bytes);
                    for (size_t byte = 0; byte < some; ++byte) add_set(sums[at + byte], values[step], bits[byte]);
                }
            }
        });
    });
}

void compare(const uint8_t *const *rows, size_t n, size_t dim, int64_t *differ) {
    constexpr size_t tile = 2048;  // bytes of a row: those of some hundred rows stay in the cache
    const uint8_t last = dim % 8 ? uint8_t(0xff << (8 - dim % 8)) : 0xff;
    const size_t whole = (dim + 7) / 8;
    std::memset(differ, 0, n * n * sizeof *differ);
    for (size_t first = 0; first < whole; first += tile) {
        const size_t used = whole - first < tile ? whole - first : tile;
        for (size_t i = 0; i < n; ++i)
            for (size_t k = 0; k < i; ++k) {
                const uint8_t *a = rows[i] + first, *b = rows[k] + first;
                uint64_t found = 0, x, y;
                size_t at = 0;
                for (; at + 8 < used; at += 8) {
                    std::memcpy(&x, a + at, 8);
                    std::memcpy(&y, b + at, 8);
                    found += uint64_t(__builtin_popcountll(x ^ y));
                }
                for (; at < used; ++at) {
                    unsigned both = unsigned(a[at] ^ b[at]);
                    if (first + at + 1 == whole) both &= last;
                    found += uint64_t(__builtin_popcount(both));
                }
                differ[i * n + k] += int64_t(found);
            }
    }
    for (size_t i = 0; i < n; ++i)
        for (size_t k = 0; k < i; ++k) differ[k * n + i] = differ[i * n + k];
}

template <class T> size_t pack(const T *v, size_t dim, uint8_t *out) {
    size_t zeros = 0, at = 0;
#if defined(__AVX512F__)
    for (; at + 8 <= dim; at += 8) {
        __m512d eight;
        if constexpr (sizeof(T) == 8) eight = _mm512_loadu_pd(v + at);
        else eight = _mm512_cvtps_pd(_mm256_loadu_ps(v + at));
        out[at / 8] = reverse.of[_mm512_cmp_pd_mask(eight, _mm512_setzero_pd(), _CMP_GE_OQ)];
        zeros += __builtin_popcount(_mm512_cmp_pd_mask(eight, _mm512_setzero_pd(), _CMP_EQ_OQ));
    }
#endif
    for (; at < dim; at += 8) {
        size_t have = dim - at < 8 ? dim - at : 8;
        unsigned byte = 0;
        for (size_t j = 0; j < have; ++j) {
            byte |= unsigned(v[at + j] >= 0) << (7 - j);
            zeros += v[at + j] == 0;
        }
        out[at / 8] = uint8_t(byte);
    }
    return zeros;
}

struct Trits {
    double of[256][5];
    constexpr Trits() : of() {
        for (unsigned byte = 0; byte < 243; ++byte)
            for (unsigned j = 0, left = byte; j < 5; ++j, left /= 3) of[byte][j] = double(left % 3) - 1;
    }
};
constexpr Trits trits_of;

// Calls put(j, trit) for each of dim trits.
template <class Put> inline void each_trit(const uint8_t *row, size_t dim, Put put) {
    size_t first = 0;
    for (; first + 5 <= dim; first += 5, ++row)
        for (size_t j = 0; j < 5; ++j) put(first + j, trits_of.of[*row][j]);
    for (size_t j = 0; first + j < dim; ++j) put(first + j, trits_of.of[*row][j]);
}

void trits(const uint8_t *row, size_t dim, double scale, double *out) {
    each_trit(row, dim, [=](size_t j, double trit) { out[j] = scale * trit; });
}

void add_trits(const uint8_t *const *rows, size_t n, size_t dim, size_t block, const double *scales, const double *weights,
               double *out) {
    const size_t whole = (block + 4) / 5;  // bytes of a block
    for (size_t first = 0; first < dim; first += block, out += block) {
        const size_t have = dim - first < block ? dim - first : block;
        for (size_t k = 0; k < n; ++k) {
            const double scale = scales[k], weight = weights[k];
            each_trit(rows[k] + first / block * whole, have,
                      [=](size_t j, double trit) { out[j] += weight * (scale * trit); });
        }
    }
}

int64_t bits_of(double v) {
    int64_t bits;
    std::memcpy(&bits, &v, sizeof bits);
    return bits;
}

int32_t bits_of(float v) {
    int32_t bits;
    std::memcpy(&bits, &v, sizeof bits);
    return bits;
}

// Each loop over a part is one that compilers turn into vectors. Numbers below 2^51 are rounded, and made integers, by
// adding one whose last bit is 1.
template <class T> bool add_exact(const T *v, size_t dim, const double *units, double top, int64_t *limbs) {
    constexpr size_t part = 256;
    constexpr double even = 0x1p52, middle = 0x1.8p52;
    decltype(bits_of(T())) bits = 0;  // of the largest: they grow with the number, and those of NaN are above all
    for (size_t j = 0; j < dim; ++j) {
        auto size = bits_of(T(std::fabs(v[j])));
        bits = size > bits ? size : bits;
    }
    T largest;
    std::memcpy(&largest, &bits, sizeof largest);
    if (!(largest < top)) return false;
    size_t first = 0;
    while (first < 3 && units[first] > largest) ++first;
    double rest[part];
    for (size_t start = 0; start < dim; start += part) {
        size_t have = dim - start < part ? dim - start : part;
        for (size_t j = 0; j < have; ++j) rest[j] = v[start + j];
        for (size_t l = first; l < 4; ++l) {
            double unit = units[l], many = 1 / unit;
            int64_t *limb = limbs + l * dim + start, none = bits_of(middle), one = bits_of(1.0);
            for (size_t j = 0; j < have; ++j) {
                double scaled = rest[j] * many;  // exact, as is what follows: powers of two
                double size = std::fabs(scaled), whole = (size + even) - even;
                int64_t over = -int64_t(uint64_t(bits_of(size - whole)) >> 63) & one;  // 1.0 if it was rounded up
                double down;
                std::memcpy(&down, &over, sizeof down);
                whole = std::copysign(whole - down, scaled);  // towards 0
                limb[j] += bits_of(whole + middle) - none;
                rest[j] -= whole * unit;
            }
        }
    }
    return true;
}

}  // namespace

#define JOINED(a, b) a##b
#define NAME(set) JOINED(loops_, set)
#define QUOTED(a) #a
#define TEXT(a) QUOTED(a)

extern const Loops NAME(SET) = {
    TEXT(SET), count, order, add, trim, compare, pack<float>, pack<double>, trits, add_trits, add_exact<float>, add_exact<double>,
};
