// The Python side of the loops: checks every length, lets go of the interpreter lock, chooses the instruction set.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "codes.hpp"
#include "loops.hpp"
#include "text.hpp"

namespace nb = nanobind;
using std::size_t;

template <class T> using Vector = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Square = nb::ndarray<std::int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Rows = std::vector<Vector<const std::uint8_t>>;

namespace {

// What this processor can do, best first.
std::vector<const Loops *> usable() {
    std::vector<const Loops *> found;
#ifdef HAS_avx512
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        if (__builtin_cpu_supports("avx512vpopcntdq")) found.push_back(&loops_avx512popcnt);
        found.push_back(&loops_avx512);
    }
#endif
#ifdef HAS_avx2
    if (__builtin_cpu_supports("avx2")) found.push_back(&loops_avx2);
#endif
    found.push_back(&loops_baseline);
    return found;
}

const Loops *loops = usable().front();

void expect(bool right, const char *what) {
    if (!right) throw std::invalid_argument(what);
}

// Raises mpirobust.errors.Malformed if there is a reason.
void refuse(const char *why) {
    if (!why) return;
    PyErr_SetString(nb::module_::import_("mpirobust.errors").attr("Malformed").ptr(), why);
    throw nb::python_error();
}

std::vector<const std::uint8_t *> starts(const Rows &rows, size_t dim) {
    std::vector<const std::uint8_t *> found;
    for (const auto &row : rows) {
        expect(row.size() >= (dim + 7) / 8, "a row is too short");
        found.push_back(row.data());
    }
    return found;
}

void count(const Rows &rows, Vector<std::uint32_t> out) {
    auto found = starts(rows, out.size());
    const Loops *chosen = loops;
    nb::gil_scoped_release release;
    chosen->count(found.data(), found.size(), out.size(), out.data());
}

void order(const Rows &rows, Vector<const double> values, size_t place, Vector<double> out) {
    auto found = starts(rows, out.size());
    expect(values.size() == 2 * rows.size() && place < rows.size(), "values or place do not fit the rows");
    const Loops *chosen = loops;
    nb::gil_scoped_release release;
    chosen->order(found.data(), found.size(), out.size(), values.data(), place, out.data());
}

void add(const Rows &rows, Vector<const double> weights, Vector<double> out) {
    auto found = starts(rows, out.size());
    expect(weights.size() == rows.size(), "not as many weights as rows");
    const Loops *chosen = loops;
    nb::gil_scoped_release release;
    chosen->add(found.data(), found.size(), out.size(), weights.data(), out.data());
}

void trim(const Rows &rows, Vector<const double> values, size_t cut, Vector<double> out) {
    auto found = starts(rows, out.size());
    expect(values.size() == 2 * rows.size() && cut < rows.size() && 2 * cut < rows.size(), "values or cut do not fit the rows");
    const Loops *chosen = loops;
    nb::gil_scoped_release release;
    chosen->trim(found.data(), found.size(), out.size(), values.data(), cut, out.data());
}

void compare(const Rows &rows, size_t dim, Square out) {
    auto found = starts(rows, dim);
    expect(out.shape(0) == rows.size() && out.shape(1) == rows.size(), "out has another shape");
    const Loops *chosen = loops;
    nb::gil_scoped_release release;
    chosen->compare(found.data(), found.size(), dim, out.data());
}

template <class T, auto loop> size_t pack(Vector<const T> v, Vector<std::uint8_t> out) {
    expect(out.size() == (v.size() + 7) / 8, "out has another length");
    const Loops *chosen = loops;
    nb::gil_scoped_release release;
    return (chosen->*loop)(v.data(), v.size(), out.data());
}

template <class T, auto loop> bool add_exact(Vector<const T> v, Vector<const double> units, double top,
                                             nb::ndarray<std::int64_t, nb::shape<4, -1>, nb::c_contig, nb::device::cpu> limbs) {
    expect(units.size() == 4 && limbs.shape(1) == v.size(), "limbs or units have another length");
    const Loops *chosen = loops;
    nb::gil_scoped_release release;
    return (chosen->*loop)(v.data(), v.size(), units.data(), top, limbs.data());
}

size_t trit_bytes(size_t dim, size_t block) {
    expect(block > 0, "no such blocks");
    return dim / block * ((block + 4) / 5) + (dim % block + 4) / 5;
}

void trits(Vector<const std::uint8_t> row, double scale, Vector<double> out) {
    expect(row.size() >= (out.size() + 4) / 5, "a row is too short");
    const Loops *chosen = loops;
    nb::gil_scoped_release release;
    chosen->trits(row.data(), out.size(), scale, out.data());
}

void add_trits(const Rows &rows, size_t block, Vector<const double> scales, Vector<const double> weights,
               Vector<double> out) {
    auto found = starts(rows, 8 * trit_bytes(out.size(), block));
    expect(weights.size() == rows.size() && scales.size() == rows.size(), "not as many weights as rows");
    const Loops *chosen = loops;
    nb::gil_scoped_release release;
    chosen->add_trits(found.data(), found.size(), out.size(), block, scales.data(), weights.data(), out.data());
}

nb::bytes pack_integers(Vector<const std::int32_t> integers, std::uint32_t top, size_t block) {
    expect(block > 1 && block <= 1 << 16, "no such segments");
    expect(integers.size() && integers.size() < size_t(1) << 31 && top && top <= 1 << 15, "no such integers");
    std::vector<std::uint8_t> code;
    {
        nb::gil_scoped_release release;
        code = codes::pack_integers(integers.data(), integers.size(), top, block);
    }
    return nb::bytes(code.data(), code.size());
}

size_t unpack_integers(Vector<const std::uint8_t> code, size_t count, std::uint32_t top, size_t block, size_t start,
                       Vector<std::int64_t> places, Vector<std::int32_t> values) {
    expect(code.size() && code.data()[code.size() - 1], "a code without an end");
    expect(block > 1 && block <= 1 << 16 && start % block == 0 && start < count, "no such segments");
    expect(top && top <= 1 << 15 && places.size() == values.size(), "no such integers");
    expect(places.size() == count - start || (places.size() < count - start && places.size() % block == 0), "no such room");
    size_t found = 0;
    const char *why;
    {
        nb::gil_scoped_release release;
        why = codes::unpack_integers(code.data(), code.size(), count, top, block, start, start + places.size(),
                                     places.data(), values.data(), &found);
    }
    refuse(why);
    return found;
}

void expect_ascending(size_t nbytes, size_t count, std::uint64_t limit, unsigned low) {
    expect(count && limit && limit < std::uint64_t(1) << 48 && low < 48 && count < std::uint64_t(1) << 48, "no such numbers");
    expect(nbytes == (codes::ascending_bits(count, limit, low) + 7) / 8, "a code of another length");
}

nb::bytes pack_ascending(Vector<const std::int64_t> numbers, std::uint64_t limit, unsigned low) {
    expect(numbers.size() && limit && low < 32, "no such numbers");
    std::int64_t before = 0;
    for (size_t i = 0; i < numbers.size(); before = numbers.data()[i++])
        expect(before <= numbers.data()[i] && std::uint64_t(numbers.data()[i]) >> low <= (limit - 1) >> low,
               "numbers are not ascending");
    auto code = codes::pack_ascending(numbers.data(), numbers.size(), limit, low);
    return nb::bytes(code.data(), code.size());
}

void unpack_ascending(Vector<const std::uint8_t> code, std::uint64_t limit, unsigned low, Vector<std::int64_t> numbers) {
    expect_ascending(code.size(), numbers.size(), limit, low);
    const char *why;
    {
        nb::gil_scoped_release release;
        why = codes::unpack_ascending(code.data(), code.size(), numbers.size(), limit, low, numbers.data());
    }
    refuse(why);
}

std::pair<size_t, size_t> unpack_within(Vector<const std::uint8_t> code, size_t count, std::uint64_t limit, unsigned low,
                                        std::uint64_t start, std::uint64_t stop, Vector<std::int64_t> numbers) {
    expect_ascending(code.size(), count, limit, low);
    nb::gil_scoped_release release;
    size_t below;
    const size_t found = codes::unpack_within(code.data(), code.size(), count, limit, low, start, stop, numbers.size(),
                                              numbers.data(), &below);
    return {below, found};
}

void add_at(Vector<const std::int64_t> places, Vector<const double> terms, Vector<double> out) {
    expect(places.size() == terms.size(), "not as many terms as places");
    nb::gil_scoped_release release;
    expect(codes::add_at(places.data(), terms.data(), terms.size(), out.data(), out.size()), "a place is none of out");
}

size_t wrong_line(const nb::bytes &given) {
    const char *start = given.c_str(), *end = start + given.size();
    expect(start == end || end[-1] == '\n', "a line without an end");
    nb::gil_scoped_release release;
    return size_t(text::wrong_line(start, end) - start);
}

}  // namespace

NB_MODULE(_compiled, module) {
    module.def("sets", [] {
        std::vector<std::string> names;
        for (const Loops *each : usable()) names.push_back(each->name);
        return names;
    });
    module.def("choose", [](const std::string &name) {
        for (const Loops *each : usable())
            if (name == each->name) {
                loops = each;
                return;
            }
        throw std::invalid_argument("this processor has no such instruction set");
    });
    module.def("count", count, nb::arg("rows"), nb::arg("out").noconvert());
    module.def("order", order, nb::arg("rows"), nb::arg("values"), nb::arg("place"), nb::arg("out").noconvert());
    module.def("add", add, nb::arg("rows"), nb::arg("weights"), nb::arg("out").noconvert());
    module.def("trim", trim, nb::arg("rows"), nb::arg("values"), nb::arg("cut"), nb::arg("out").noconvert());
    module.def("compare", compare, nb::arg("rows"), nb::arg("dim"), nb::arg("out").noconvert());
    module.def("pack", pack<float, &Loops::pack32>, nb::arg("v").noconvert(), nb::arg("out").noconvert());
    module.def("pack", pack<double, &Loops::pack64>, nb::arg("v").noconvert(), nb::arg("out").noconvert());
    module.def("add_exact", add_exact<float, &Loops::add_exact32>, nb::arg("v").noconvert(), nb::arg("units"),
               nb::arg("top"), nb::arg("limbs").noconvert());
    module.def("add_exact", add_exact<double, &Loops::add_exact64>, nb::arg("v").noconvert(), nb::arg("units"),
               nb::arg("top"), nb::arg("limbs").noconvert());
    module.def("pack_integers", pack_integers, nb::arg("integers").noconvert(), nb::arg("top"), nb::arg("block"));
    module.def("unpack_integers", unpack_integers, nb::arg("code"), nb::arg("count"), nb::arg("top"), nb::arg("block"),
               nb::arg("start"), nb::arg("places").noconvert(), nb::arg("values").noconvert());
    module.def("trits", trits, nb::arg("row"), nb::arg("scale"), nb::arg("out").noconvert());
    module.def("add_trits", add_trits, nb::arg("rows"), nb::arg("block"), nb::arg("scales"), nb::arg("weights"),
               nb::arg("out").noconvert());
    module.def("pack_ascending", pack_ascending, nb::arg("numbers"), nb::arg("limit"), nb::arg("low"));
    module.def("unpack_ascending", unpack_ascending, nb::arg("code"), nb::arg("limit"), nb::arg("low"),
               nb::arg("numbers").noconvert());
    module.def("unpack_within", unpack_within, nb::arg("code"), nb::arg("count"), nb::arg("limit"), nb::arg("low"),
               nb::arg("start"), nb::arg("stop"), nb::arg("numbers").noconvert());
    module.def("wrong_line", wrong_line, nb::arg("text"));
    module.def("add_at", add_at, nb::arg("places"), nb::arg("terms"), nb::arg("out").noconvert());
}
