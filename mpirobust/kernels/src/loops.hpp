// The loops, compiled once for each instruction set. All give the bits of their NumPy twins (twins.py).
#pragma once

#include <cstddef>
#include <cstdint>

struct Loops {
    const char *name;

    // counts[j] = how many of n rows have bit j set; bit 7 of a byte is its first coordinate.
    void (*count)(const std::uint8_t *const *rows, std::size_t n, std::size_t dim, std::uint32_t *counts);

    // out[j] = the value at the given place, from 0, in ascending order of coordinate j of n vectors. Row k has the entries
    // values[n - 1 - k] (bit not set) and values[n + k] (bit set); values is ascending.
    void (*order)(const std::uint8_t *const *rows, std::size_t n, std::size_t dim, const double *values,
                  std::size_t place, double *out);

    // out[j] += Σ_k ±weights[k], + where bit j of row k is set: eight rows at a time are summed, in order, and then added.
    void (*add)(const std::uint8_t *const *rows, std::size_t n, std::size_t dim, const double *weights, double *out);

    // out[j] = the sum, in ascending order from 0.0, of the values of coordinate j without the lowest and the highest
    // `cut`; rows and values as in `order`.
    void (*trim)(const std::uint8_t *const *rows, std::size_t n, std::size_t dim, const double *values,
                 std::size_t cut, double *out);

    // differ[i n + k] = in how many of the first dim bits rows i and k differ.
    void (*compare)(const std::uint8_t *const *rows, std::size_t n, std::size_t dim, std::int64_t *differ);

    // Sets bit j of out if v[j] >= 0, clears the bits after the last; returns how many entries are 0.
    std::size_t (*pack32)(const float *v, std::size_t dim, std::uint8_t *out);
    std::size_t (*pack64)(const double *v, std::size_t dim, std::uint8_t *out);

    // out[j] = scale trit j of the row, and out[j] += Σ_k weights[k] (scales[k] trit j of row k), in order. Trits are -1, 0
    // and 1; five are a byte, the first times 1, the next times 3 and so on, and a block of coordinates begins with a byte
    // of its own.
    void (*trits)(const std::uint8_t *row, std::size_t dim, double scale, double *out);
    void (*add_trits)(const std::uint8_t *const *rows, std::size_t n, std::size_t dim, std::size_t block,
                      const double *scales, const double *weights, double *out);

    // Adds v to a sum of four limbs of dim int64 each, in units of units[0..3], powers of two, each less than 2^51 times the
    // next and top less than 2^51 times the first; a unit above the largest entry gets nothing.
    // Returns false, and adds nothing, unless all entries are below top.
    bool (*add_exact32)(const float *v, std::size_t dim, const double *units, double top, std::int64_t *limbs);
    bool (*add_exact64)(const double *v, std::size_t dim, const double *units, double top, std::int64_t *limbs);
};

extern const Loops loops_baseline, loops_avx2, loops_avx512, loops_avx512popcnt;
