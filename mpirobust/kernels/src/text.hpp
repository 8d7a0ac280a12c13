// The grammar of LIBSVM text, read byte by byte. The same lines are right as by the pattern of svmlight.py.
#pragma once

#include <cstddef>

namespace text {

// Returns where the first line begins that is no row `label index:value ...`, or the end. The last byte before the end
// is a newline.
const char *wrong_line(const char *text, const char *end);

}  // namespace text
