#include "codes.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace {

using std::int32_t;
using std::int64_t;
using std::size_t;
using std::uint16_t;
using std::uint32_t;
using std::uint64_t;
using std::uint8_t;

unsigned bit_length(uint64_t n) { return n ? 64 - unsigned(__builtin_clzll(n)) : 0; }

// Bits, the most significant of a byte first. Those after the last byte are zeros.
struct Bits {
    const uint8_t *bytes;
    size_t nbytes;

    uint64_t word(size_t byte) const {  // 64 bits from the first of this byte
        if (byte + 8 <= nbytes) {
            uint64_t all;
            std::memcpy(&all, bytes + byte, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            all = __builtin_bswap64(all);
#endif
            return all;
        }
        uint64_t all = 0;
        for (size_t i = byte; i < nbytes; ++i) all |= uint64_t(bytes[i]) << (56 - 8 * (i - byte));
        return all;
    }

    uint64_t number(size_t at, unsigned width) const {  // of at most 57 bits
        return width ? word(at / 8) << at % 8 >> (64 - width) : 0;
    }
};

// The ones of the bits in [at, end), in order.
class Ones {
  public:
    Ones(const Bits &bits, size_t at, size_t end) : bits(bits), byte(at / 8), end(end) {
        left = bits.word(byte) & ~uint64_t(0) >> at % 8;
    }

    size_t next() {  // the next one, or end
        while (!left) {
            byte += 8;
            if (8 * byte >= end) return end;
            left = bits.word(byte);
        }
        const unsigned zeros = unsigned(__builtin_clzll(left));
        left &= ~(uint64_t(1) << 63 >> zeros);
        return std::min(8 * byte + zeros, end);
    }

  private:
    const Bits &bits;
    size_t byte, end;
    uint64_t left;
};

class Writer {
  public:
    explicit Writer(uint64_t most) : bytes(most / 8 + 16) {}  // bits that are written

    void number(uint64_t value, unsigned width) {  // of at most 32 bits
        held = held << width | value;
        have += width;
        uint64_t whole = held << (63 - have) << 1;  // have may be 0
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        whole = __builtin_bswap64(whole);
#endif
        std::memcpy(bytes.data() + at, &whole, 8);
        at += have / 8;
        have %= 8;
    }
    void unary(size_t value) {
        for (; value >= 32; value -= 32) number(0, 32);
        number(1, unsigned(value) + 1);
    }
    std::vector<uint8_t> padded() {  // with zeros up to the byte
        bytes.resize(at + (have > 0));
        return std::move(bytes);
    }

  private:
    std::vector<uint8_t> bytes;
    size_t at = 0;
    uint64_t held = 0;
    unsigned have = 0;
};

constexpr uint32_t most_layers = 15;
constexpr unsigned most_tail = 15, width_of_width = 5;

// Numbers of all segments, one after another.
struct Numbers {
    std::vector<int32_t> all;
    std::vector<size_t> ends;  // of each segment
};

// One layer, or the tail: what it is made of, and how many bits each segment takes.
struct Stream {
    Numbers runs;
    unsigned low = 0;
    bool inverted = false;
    std::vector<uint64_t> lengths;

    uint64_t bits() const { return std::accumulate(lengths.begin(), lengths.end(), uint64_t(0)); }
    uint64_t cost(unsigned head) const {
        const uint64_t longest = *std::max_element(lengths.begin(), lengths.end());
        return head + width_of_width + bits() + bit_length(longest) * lengths.size();
    }
};

uint64_t sum_of(const std::vector<int32_t> &numbers, unsigned low) {
    uint64_t sum = 0;
    for (int32_t number : numbers) sum += uint32_t(number) >> low;
    return sum;
}

// The parameter that takes the fewest bits, of 0 and those around the logarithm of the mean.
unsigned best(const std::vector<int32_t> &numbers, unsigned most) {
    const uint64_t sum = sum_of(numbers, 0), n = numbers.size();
    const unsigned near = bit_length(sum / std::max(n, uint64_t(1)));
    unsigned chosen = 0;
    uint64_t fewest = n + sum;
    for (unsigned low = near > 2 ? near - 1 : 1; low <= std::min(near + 1, most); ++low) {
        const uint64_t cost = n * (low + 1) + sum_of(numbers, low);
        if (cost < fewest) fewest = cost, chosen = low;
    }
    return chosen;
}

void measure(Stream &stream) {
    size_t at = 0;
    for (size_t end : stream.runs.ends) {
        uint64_t length = (end - at) * (stream.low + 1);
        for (; at < end; ++at) length += uint32_t(stream.runs.all[at]) >> stream.low;
        stream.lengths.push_back(length);
    }
}

bool none(const int32_t *eight) {
    uint64_t words[4];
    std::memcpy(words, eight, sizeof words);
    return !(words[0] | words[1] | words[2] | words[3]);
}

// The positions of the numbers that are 0 (zeros) or that are not, of which there are `count`.
Numbers places_of(const int32_t *numbers, const std::vector<size_t> &ends, bool zeros, size_t count) {
    Numbers places;
    places.all.resize(count + 1);
    size_t at = 0, found = 0;
    for (size_t end : ends) {
        while (at < end) {
            const size_t stop = std::min(at + 8, end);
            if (!zeros && stop - at == 8 && none(numbers + at)) at = stop;
            for (; at < stop; ++at) {
                places.all[found] = int32_t(at);
                found += (numbers[at] == 0) == zeros;
            }
        }
        places.ends.push_back(found);
    }
    places.all.resize(count);
    return places;
}

// The runs that end at these places; each segment begins with one.
Numbers runs_of(Numbers places, const std::vector<size_t> &ends) {
    int32_t next = 0;
    size_t at = 0;
    for (size_t segment = 0; segment < ends.size(); ++segment) {
        for (; at < places.ends[segment]; ++at) {
            const int32_t place = places.all[at];
            places.all[at] = place - next;
            next = place + 1;
        }
        next = int32_t(ends[segment]);
    }
    return places;
}

// The layer that says which numbers are not 0: those at `places`.
Stream layer_of(const int32_t *numbers, const std::vector<size_t> &ends, const Numbers &places, unsigned most) {
    Stream layer;
    const size_t above = places.all.size(), size = ends.back();
    layer.inverted = 2 * above > size;
    layer.runs = runs_of(layer.inverted ? places_of(numbers, ends, true, size - above) : places, ends);
    layer.low = best(layer.runs.all, most);
    if (layer.low == 0 && layer.inverted) {  // no longer without, and then the length tells n
        layer.inverted = false;
        layer.runs = runs_of(places, ends);
    }
    measure(layer);
    return layer;
}

void write_segment(Writer &out, const Stream &stream, size_t segment, bool low_first) {
    const size_t begin = segment ? stream.runs.ends[segment - 1] : 0, end = stream.runs.ends[segment];
    const int32_t *runs = stream.runs.all.data(), mask = (1 << stream.low) - 1;
    const auto low = [&] {
        for (size_t at = begin; stream.low && at < end; ++at) out.number(uint32_t(runs[at] & mask), stream.low);
    };
    if (low_first) low();
    for (size_t at = begin; at < end; ++at) out.unary(uint32_t(runs[at]) >> stream.low);
    if (!low_first) low();
}

void write_lengths(Writer &out, const Stream &stream, size_t sent) {
    if (!sent) return;
    const auto &lengths = stream.lengths;
    const unsigned width = bit_length(*std::max_element(lengths.begin(), lengths.begin() + int64_t(sent)));
    out.number(width, width_of_width);
    for (size_t segment = 0; segment < sent; ++segment) out.number(lengths[segment], width);
}

}  // namespace

std::vector<uint8_t> codes::pack_integers(const int32_t *integers, size_t count, uint32_t top, size_t block) {
    std::vector<size_t> ends;
    for (size_t at = 0; at < count; at += block) ends.push_back(std::min(at + block, count));
    const size_t segments = ends.size();
    std::vector<Stream> layers;
    Stream tail;
    std::vector<uint8_t> negative;  // of the non-zeros
    std::vector<size_t> signs;      // the end of each segment's
    size_t used = 0;
    uint64_t of_layers = 0, fewest = 0, before = 0;
    std::vector<int32_t> held;
    const int32_t *numbers = integers;  // above the layers so far; after the first they are not negative
    while (layers.size() < std::min(top, most_layers)) {
        const size_t above = ends.back() - size_t(std::count(numbers, numbers + ends.back(), 0));
        Numbers rest = places_of(numbers, ends, false, above);
        layers.push_back(layer_of(numbers, ends, rest, bit_length(block - 1)));
        if (layers.size() == 1) {
            for (int32_t at : rest.all) negative.push_back(numbers[at] < 0);
            signs = rest.ends;
            for (size_t s = 0; s < segments; ++s) layers[0].lengths[s] += signs[s] - (s ? signs[s - 1] : 0);
        }
        of_layers += layers.back().cost(5);
        for (int32_t &each : rest.all) {
            const uint32_t number = uint32_t(numbers[each]);
            each = int32_t((numbers[each] < 0 ? 0 - number : number) - 1);
        }
        Stream left;
        const bool any = size_t(std::count(rest.all.begin(), rest.all.end(), 0)) < above;
        if (any) {
            left.runs = rest;
            left.low = best(rest.all, most_tail);
            measure(left);
        }
        const uint64_t cost = of_layers + (any ? left.cost(4) : 0);
        if (!used || cost < fewest) {
            fewest = cost;
            used = layers.size();
            tail = std::move(left);
        }
        if (!any || (layers.size() > 1 && cost > before)) break;
        before = cost;
        held = std::move(rest.all);
        ends = std::move(rest.ends);
        numbers = held.data();
    }

    const bool tailed = !tail.lengths.empty();
    Writer out(fewest + 64 * (used + 1));
    if (top > 1) out.number(2 * used + tailed, 5);
    if (tailed) out.number(tail.low, 4);
    for (size_t j = 0; j < used; ++j) out.number(2 * layers[j].low + layers[j].inverted, 5);
    for (size_t j = 0; j < used; ++j) write_lengths(out, layers[j], segments - (j + 1 == used && !tailed));
    if (tailed) write_lengths(out, tail, segments - 1);
    for (size_t s = 0; s < segments; ++s) {
        for (size_t j = 0; j < used; ++j) {
            write_segment(out, layers[j], s, false);
            for (size_t at = s ? signs[s - 1] : 0; j == 0 && at < signs[s]; ++at) out.number(negative[at], 1);
        }
        if (tailed) write_segment(out, tail, s, true);
    }
    out.number(1, 1);
    return out.padded();
}

namespace {

// A code that a stranger sent.
class Packed {
  public:
    Packed(const uint8_t *code, size_t nbytes, size_t count, uint32_t top, size_t block)
        : bits{code, nbytes}, end(8 * nbytes - unsigned(__builtin_ctz(code[nbytes - 1])) - 1), count(count), top(top),
          block(block), marks(std::min(block, count)), over(marks.size()), reaches(marks.size()) {}

    const char *open() {
        const char *const too_short = "shorter than its head says";
        size_t at = 0, layers = 1;
        if (top > 1) {
            if (at + 5 > end) return too_short;
            layers = bits.number(at, 4);
            tail = bits.number(at + 4, 1);
            at += 5;
            if (tail) {
                if (at + 4 > end) return too_short;
                k = unsigned(bits.number(at, 4));
                at += 4;
            }
        }
        if (at + 5 * layers > end) return too_short;
        bool known = layers > 0;
        for (size_t j = 0; j < layers; ++j, at += 5) {
            heads.push_back({unsigned(bits.number(at, 4)), bool(bits.number(at + 4, 1))});
            known &= heads[j].low <= bit_length(block - 1);
        }
        if (!known) return "a layer has no such code";
        const size_t segments = (count + block - 1) / block, streams = layers + tail;
        cuts.assign(segments * streams + 1, 0);
        for (size_t j = 0; j < streams; ++j) {
            const size_t sent = segments - (j + 1 == streams);
            if (!sent) continue;
            if (at + width_of_width > end) return too_short;
            const unsigned width = unsigned(bits.number(at, width_of_width));
            at += width_of_width;
            if (sent * width > end - at) return too_short;
            for (size_t s = 0; s < sent; ++s, at += width) cuts[s * streams + j + 1] = bits.number(at, width);
        }
        cuts[0] = at;
        for (size_t i = 1; i < cuts.size(); ++i) cuts[i] += cuts[i - 1];
        if (cuts.back() > end) return "the segments are longer than the message";
        cuts.back() = end;
        return nullptr;
    }

    // Writes the non-zeros of a segment, positions from `first` on, and adds their number to found.
    const char *segment(size_t number, int64_t first, int64_t *places, int32_t *values, size_t *found) {
        const uint64_t *cut = &cuts[number * (heads.size() + tail)];
        const size_t size = std::min(block, count - number * block);
        size_t n, low_end;
        if (const char *why = read_marks(0, cut[0], cut[1], size, &n, &low_end)) return why;
        const size_t reached = select(0, size, n, [](size_t at) { return uint32_t(at); });
        for (size_t i = 0; i < reached; ++i) places[i] = first + int64_t(over[i]);
        std::fill(values, values + reached, 1);
        size_t left = reached;  // how many may still be larger
        std::iota(over.begin(), over.begin() + int64_t(left), 0);
        for (size_t j = 1; j < heads.size(); ++j) {
            if (const char *why = read_marks(j, cut[j], cut[j + 1], left, &n, nullptr)) return why;
            left = select(j, left, n, [&](size_t at) { return over[at]; });
            for (size_t i = 0; i < left; ++i) ++values[over[i]];
        }
        if (tail)
            if (const char *why = add_tail(cut[heads.size()], cut[heads.size() + 1], left, values)) return why;
        for (size_t i = 0; i < reached; ++i) {
            if (uint32_t(values[i]) > top) return "a magnitude is out of its range";
            const int32_t negative = int32_t(bits.number(low_end + i, 1));
            values[i] = (values[i] ^ -negative) + negative;
        }
        *found += reached;
        return nullptr;
    }

  private:
    struct Head {
        unsigned low;
        bool inverted;
    };

    // Reads a layer of [begin, stop): n marks among `size`. With low_end, signs follow, which begin there.
    const char *read_marks(size_t layer, size_t begin, size_t stop, size_t size, size_t *n, size_t *low_end) {
        const unsigned low = heads[layer].low;
        Ones ones(bits, begin, stop);
        size_t found = 0, at = begin;
        for (;;) {
            const size_t signs = !low_end ? 0 : heads[layer].inverted ? size - found : found;
            const size_t reach = at + found * low + signs;
            if (reach == stop) break;
            const size_t one = reach < stop && found < size ? ones.next() : stop;
            if (one == stop) return "no number of runs gives the length of a layer";
            marks[found++] = uint32_t(std::min(one - at, size));  // longer is beyond as well
            at = one + 1;
        }
        uint64_t mark = 0;
        for (size_t i = 0; i < found; ++i, at += low) {
            mark += uint64_t(marks[i]) << low | bits.number(at, low);
            if (mark >= size) return "a run ends beyond the last integer";
            marks[i] = uint32_t(mark++);
        }
        *n = found;
        if (low_end) *low_end = at;
        return nullptr;
    }

    // Leaves in `over` what(at) of those of `size` that reach the layer, of which n are marked; returns how many.
    template <class What> size_t select(size_t layer, size_t size, size_t n, What what) {
        if (!heads[layer].inverted) {
            for (size_t i = 0; i < n; ++i) over[i] = what(marks[i]);
            return n;
        }
        std::fill(reaches.begin(), reaches.begin() + int64_t(size), 1);
        for (size_t i = 0; i < n; ++i) reaches[marks[i]] = 0;
        size_t found = 0;
        for (size_t at = 0; at < size; ++at) {
            over[found] = what(at);
            found += reaches[at];
        }
        return found;
    }

    const char *add_tail(size_t begin, size_t stop, size_t left, int32_t *values) {
        const char *const other = "a tail of another length";
        if (left * k > stop - begin) return other;
        size_t at = begin + left * k;
        Ones ones(bits, at, stop);
        for (size_t i = 0; i < left; ++i) {
            const size_t one = ones.next();
            if (one == stop) return other;
            marks[i] = uint32_t(std::min(one - at, size_t(1) << 15));  // more is out of range as well
            at = one + 1;
        }
        if (at != stop) return other;
        for (size_t i = 0; i < left; ++i)
            values[over[i]] += int32_t(marks[i] << k | uint32_t(bits.number(begin + i * k, k)));
        return nullptr;
    }

    Bits bits;
    size_t end, count;
    uint32_t top;
    size_t block;
    bool tail = false;
    unsigned k = 0;
    std::vector<Head> heads;
    std::vector<uint64_t> cuts;
    std::vector<uint32_t> marks, over;
    std::vector<uint8_t> reaches;
};

}  // namespace

const char *codes::unpack_integers(const uint8_t *code, size_t nbytes, size_t count, uint32_t top, size_t block, size_t start,
                            size_t stop, int64_t *places, int32_t *values, size_t *found) {
    Packed packed(code, nbytes, count, top, block);
    *found = 0;
    const char *why = packed.open();
    for (size_t at = start; !why && at < stop; at += block)
        why = packed.segment(at / block, int64_t(at - start), places + *found, values + *found, found);
    return why;
}

uint64_t codes::ascending_bits(uint64_t count, uint64_t limit, unsigned low) {
    return count + ((limit - 1) >> low) + count * low;
}

std::vector<uint8_t> codes::pack_ascending(const int64_t *numbers, size_t count, uint64_t limit, unsigned low) {
    const uint64_t highest = (limit - 1) >> low;
    Writer out(ascending_bits(count, limit, low));
    uint64_t at = 0;
    for (size_t i = 0; i < count; ++i) {
        const uint64_t high = uint64_t(numbers[i]) >> low;
        out.unary(high - at);
        at = high;
    }
    for (; at < highest; ++at) out.number(0, 1);
    for (size_t i = 0; i < count; ++i) out.number(uint64_t(numbers[i]) & ((uint64_t(1) << low) - 1), low);
    return out.padded();
}

const char *codes::unpack_ascending(const uint8_t *code, size_t nbytes, size_t count, uint64_t limit, unsigned low,
                                    int64_t *numbers) {
    const Bits bits{code, nbytes};
    const size_t high_end = count + size_t((limit - 1) >> low);
    Ones ones(bits, 0, high_end);
    for (size_t i = 0; i < count; ++i) {
        const size_t one = ones.next();
        if (one == high_end) return "not as many positions as expected";
        numbers[i] = int64_t((one - i) << low | bits.number(high_end + i * low, low));
    }
    if (ones.next() != high_end) return "not as many positions as expected";
    bool sound = uint64_t(numbers[count - 1]) < limit;
    for (size_t i = 1; i < count; ++i) sound &= numbers[i - 1] <= numbers[i];
    return sound ? nullptr : "positions are not ascending below the dimension";
}

size_t codes::unpack_within(const uint8_t *code, size_t nbytes, size_t count, uint64_t limit, unsigned low, uint64_t start,
                            uint64_t stop, size_t room, int64_t *numbers, size_t *below) {
    const Bits bits{code, nbytes};
    const size_t high_end = count + size_t((limit - 1) >> low);
    size_t before = 0, word = 0;  // whole words whose numbers are all below start are only counted
    for (; 64 * (word + 1) <= high_end; ++word) {
        const size_t found = before + size_t(__builtin_popcountll(bits.word(8 * word)));
        if (64 * (word + 1) - found >= start >> low) break;  // as many zeros: the high part of the next number
        before = found;
    }
    Ones ones(bits, 64 * word, high_end);
    size_t found = 0;
    *below = before;
    for (size_t i = before; i < count && found < room; ++i) {
        const size_t one = ones.next();
        const uint64_t number = uint64_t(one - i) << low | bits.number(high_end + i * low, low);
        if (one == high_end || number >= stop) break;
        if (number < start) ++*below;
        else numbers[found++] = int64_t(number);
    }
    return found;
}

bool codes::add_at(const int64_t *places, const double *terms, size_t count, double *out, size_t dim) {
    for (size_t i = 0; i < count; ++i) {
        if (uint64_t(places[i]) >= dim) return false;
        out[places[i]] += terms[i];
    }
    return true;
}
