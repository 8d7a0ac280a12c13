// Bit strings of codes, written and read one number after another. Unlike the loops of loops.hpp they are compiled once, for
// every instruction set. All give the bits of their NumPy twins (twins.py, rice.py).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace codes {

// The Rice code of integers of magnitude at most top (compressors/_rice.py), in segments of `block`, at most 2^16.
std::vector<std::uint8_t> pack_integers(const std::int32_t *integers, std::size_t count, std::uint32_t top, std::size_t block);

// Reads the segments of [start, stop) of such a code of `count` integers, which a stranger sent: nbytes > 0, the last byte is
// not 0. Writes the positions of the non-zeros, from start, and their values, at most stop - start of either, and how many
// these are. Returns why the code is none, or nullptr.
const char *unpack_integers(const std::uint8_t *code, std::size_t nbytes, std::size_t count, std::uint32_t top,
                            std::size_t block, std::size_t start, std::size_t stop, std::int64_t *places,
                            std::int32_t *values, std::size_t *found);

// out[places[i]] += terms[i], in order. Returns false at the first place that is none.
bool add_at(const std::int64_t *places, const double *terms, std::size_t count, double *out, std::size_t dim);

}  // namespace codes
