// One instruction set of loops.hpp: SET is its name, and the compiler's flags are those of the set.
#include "loops.hpp"

#include <cmath>
#include <cstring>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

namespace {

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

Block load(const uint8_t *row) { return load(row, bytes); }

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

template <class T> size_t pack(const T *v, size_t dim, uint8_t *out) {
    size_t zeros = 0, at = 0;
#if defined(__AVX512F__)
    auto reversed = [](unsigned byte) {
        return uint8_t((byte * 0x0202020202ULL & 0x010884422010ULL) % 1023);
    };
    for (; at + 8 <= dim; at += 8) {
        __m512d eight;
        if constexpr (sizeof(T) == 8) eight = _mm512_loadu_pd(v + at);
        else eight = _mm512_cvtps_pd(_mm256_loadu_ps(v + at));
        out[at / 8] = reversed(_mm512_cmp_pd_mask(eight, _mm512_setzero_pd(), _CMP_GE_OQ));
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

template <class T> bool add_exact(const T *v, size_t dim, const double *units, double top, int64_t *limbs) {
    bool below = true;
    T largest = 0;
    for (size_t j = 0; j < dim; ++j) {
        T size = std::fabs(v[j]);
        below &= size < top;
        largest = size > largest ? size : largest;
    }
    if (!below) return false;
    size_t first = 0;
    while (first < 3 && units[first] > largest) ++first;
    for (size_t j = 0; j < dim; ++j) {
        double rest = v[j];
        for (size_t l = first; l < 4; ++l) {
            int64_t whole = int64_t(rest * (1 / units[l]));  // towards 0; exact, as is the next: powers of two
            limbs[l * dim + j] += whole;
            rest -= double(whole) * units[l];
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
    TEXT(SET), count, order, pack<float>, pack<double>, add_exact<float>, add_exact<double>,
};
