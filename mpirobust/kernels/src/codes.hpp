// The bit strings of codes, written and read number by number, and sums of sparse vectors. They gain nothing from vectors:
// unlike loops.hpp they are compiled once. All give the bits of their NumPy twins (twins.py, rice.py).
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

// The code of ascending numbers below limit (compressors/_sparse.py): for each a one after as many zeros as its part above
// the `low` bits has gone up, then the low bits. Of `count` numbers it takes ascending_bits.
std::uint64_t ascending_bits(std::uint64_t count, std::uint64_t limit, unsigned low);
std::vector<std::uint8_t> pack_ascending(const std::int64_t *numbers, std::size_t count, std::uint64_t limit, unsigned low);

// Reads such a code, which a stranger sent. Returns why it is none, or nullptr.
const char *unpack_ascending(const std::uint8_t *code, std::size_t nbytes, std::size_t count, std::uint64_t limit,
                             unsigned low, std::int64_t *numbers);

// Reads what a code that was read before has in [start, stop): how many numbers are below, and at most `room` others.
// Returns how many these are.
std::size_t unpack_within(const std::uint8_t *code, std::size_t nbytes, std::size_t count, std::uint64_t limit, unsigned low,
                          std::uint64_t start, std::uint64_t stop, std::size_t room, std::int64_t *numbers,
                          std::size_t *below);

// out[places[i]] += terms[i], in order. Returns false at the first place that is none.
bool add_at(const std::int64_t *places, const double *terms, std::size_t count, double *out, std::size_t dim);

}  // namespace codes
