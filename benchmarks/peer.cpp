// What hand-written loops do on packed one-bit messages, straightforwardly: the peer of benchmarks/center.py, which builds
// it with -O3 -march=native. Rows are n messages of dim bits, the most significant bit of a byte first.
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

using std::size_t;
using std::uint64_t;
using std::uint8_t;

namespace {

constexpr size_t strip = 64;  // coordinates whose sums stay in registers

uint64_t word(const uint8_t *row, size_t byte, size_t nbytes) {
    uint64_t bits = 0;
    std::memcpy(&bits, row + byte, nbytes - byte < 8 ? nbytes - byte : 8);
    return bits;
}

// sums[lane] = Σ of the weights whose bit is set, in the order of the rows, for the 8 × 8 bits of the words.
#if defined(__AVX512F__)
inline void strip_sums(const uint8_t *const *rows, size_t n, size_t byte, size_t nbytes, const double *weights,
                       double *sums) {
    __m512d acc[8];
    for (auto &each : acc) each = _mm512_setzero_pd();
    for (size_t k = 0; k < n; ++k) {
        const uint64_t bits = word(rows[k], byte, nbytes);
        const __m512d weight = _mm512_set1_pd(weights[k]);
#pragma GCC unroll 8
        for (size_t b = 0; b < 8; ++b)
            acc[b] = _mm512_mask_add_pd(acc[b], static_cast<__mmask8>(bits >> (8 * b)), acc[b], weight);
    }
    for (size_t b = 0; b < 8; ++b) _mm512_storeu_pd(sums + 8 * b, acc[b]);
}
#elif defined(__AVX2__)
struct Masks {
    alignas(32) uint64_t of[16][4];
    Masks() {
        for (unsigned bits = 0; bits < 16; ++bits)
            for (unsigned lane = 0; lane < 4; ++lane) of[bits][lane] = bits >> lane & 1 ? ~uint64_t(0) : 0;
    }
};
const Masks masks;

inline void strip_sums(const uint8_t *const *rows, size_t n, size_t byte, size_t nbytes, const double *weights,
                       double *sums) {
    for (size_t half = 0; half < 2; ++half) {  // 32 coordinates are what 16 registers have room for
        __m256d acc[8];
        for (auto &each : acc) each = _mm256_setzero_pd();
        for (size_t k = 0; k < n; ++k) {
            const uint64_t bits = word(rows[k], byte, nbytes) >> (32 * half);
            const __m256d weight = _mm256_set1_pd(weights[k]);
#pragma GCC unroll 8
            for (size_t b = 0; b < 8; ++b) {
                const auto *mask = reinterpret_cast<const double *>(masks.of[bits >> (4 * b) & 15]);
                acc[b] = _mm256_add_pd(acc[b], _mm256_and_pd(_mm256_load_pd(mask), weight));
            }
        }
        for (size_t b = 0; b < 8; ++b) _mm256_storeu_pd(sums + 32 * half + 4 * b, acc[b]);
    }
}
#else
inline void strip_sums(const uint8_t *const *rows, size_t n, size_t byte, size_t nbytes, const double *weights,
                       double *sums) {
    std::memset(sums, 0, strip * sizeof *sums);
    for (size_t k = 0; k < n; ++k) {
        const uint64_t bits = word(rows[k], byte, nbytes);
        for (size_t lane = 0; lane < strip; ++lane) sums[lane] += bits >> lane & 1 ? weights[k] : 0.0;
    }
}
#endif

}  // namespace

// out[j] = Σ_k ±weights[k]: twice the sum of those whose bit is set, less the sum of all.
extern "C" void weighted_sum(const uint8_t *const *rows, size_t n, size_t dim, const double *weights, double *out) {
    double all = 0;
    for (size_t k = 0; k < n; ++k) all += weights[k];
    const size_t nbytes = (dim + 7) / 8;
    for (size_t first = 0; first < dim; first += strip) {
        double sums[strip];
        strip_sums(rows, n, first / 8, nbytes, weights, sums);
        const size_t have = dim - first < strip ? dim - first : strip;
        if (have == strip)
            for (size_t b = 0; b < 8; ++b)
                for (size_t j = 0; j < 8; ++j) out[first + 8 * b + j] = 2 * sums[8 * b + 7 - j] - all;
        else
            for (size_t j = 0; j < have; ++j) out[first + j] = 2 * sums[j / 8 * 8 + 7 - j % 8] - all;
    }
}

// counts[j] = in how many rows bit j is set, of at most 255: a ripple over 8 bit planes.
extern "C" void counts(const uint8_t *const *rows, size_t n, size_t dim, uint8_t *counts) {
    uint64_t spread[256] = {};  // the bits of a byte as bytes 0 or 1, first coordinate first
    for (unsigned byte = 0; byte < 256; ++byte) {
        uint8_t lanes[8];
        for (unsigned j = 0; j < 8; ++j) lanes[j] = byte >> (7 - j) & 1;
        std::memcpy(spread + byte, lanes, 8);
    }
    typedef uint64_t Words __attribute__((vector_size(64)));
    const size_t nbytes = (dim + 7) / 8;
    for (size_t first = 0; first < nbytes; first += sizeof(Words)) {
        const size_t have = nbytes - first < sizeof(Words) ? nbytes - first : sizeof(Words);
        Words planes[8] = {};
        for (size_t k = 0; k < n; ++k) {
            Words carry{};
            if (have == sizeof carry) std::memcpy(&carry, rows[k] + first, sizeof carry);
            else std::memcpy(&carry, rows[k] + first, have);
#pragma GCC unroll 8
            for (Words &plane : planes) {
                const Words both = plane & carry;
                plane ^= carry;
                carry = both;
            }
        }
        uint8_t bytes[8][sizeof(Words)];
        std::memcpy(bytes, planes, sizeof bytes);
        for (size_t byte = 0; byte < have; ++byte) {
            uint64_t eight = 0;
            for (size_t p = 0; p < 8; ++p) eight |= spread[bytes[p][byte]] << p;
            const size_t at = 8 * (first + byte);
            std::memcpy(counts + at, &eight, dim - at < 8 ? dim - at : 8);
        }
    }
}

// differ[i * n + k] = in how many of the first dim bits rows i and k differ, for k < i.
extern "C" void differences(const uint8_t *const *rows, size_t n, size_t dim, uint64_t *differ) {
    constexpr size_t tile = 2048;  // bytes: a tile of all rows stays in the second-level cache
    const size_t nbytes = dim / 8;
    std::memset(differ, 0, n * n * sizeof *differ);
    for (size_t first = 0; first < nbytes; first += tile) {
        const size_t last = nbytes - first < tile ? nbytes : first + tile;
        for (size_t i = 0; i < n; ++i)
            for (size_t k = 0; k < i; ++k) {
                uint64_t found = 0, a, b;
                size_t at = first;
                for (; at + 8 <= last; at += 8) {
                    std::memcpy(&a, rows[i] + at, 8);
                    std::memcpy(&b, rows[k] + at, 8);
                    found += uint64_t(__builtin_popcountll(a ^ b));
                }
                for (; at < last; ++at) found += uint64_t(__builtin_popcount(rows[i][at] ^ rows[k][at]));
                differ[i * n + k] += found;
            }
    }
    for (size_t i = 0; dim % 8 && i < n; ++i)
        for (size_t k = 0; k < i; ++k)
            differ[i * n + k] += uint64_t(__builtin_popcount((rows[i][nbytes] ^ rows[k][nbytes]) >> (8 - dim % 8)));
}
