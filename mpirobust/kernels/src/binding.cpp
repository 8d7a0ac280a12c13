// The Python side of the loops: checks every length, lets go of the interpreter lock, chooses the instruction set.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "loops.hpp"

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
}
