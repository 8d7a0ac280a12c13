"""The grammar of LIBSVM text as a pattern: the twin of src/text.cpp.

It is what LIBSVM's own reader takes, which splits at blanks and calls strtol and strtod; besides empty lines.
"""

from __future__ import annotations

import re

# Possessive quantifiers, so that a wrong line is found in linear time; of single characters only, because those of
# groups are wrong before Python 3.11.5 (https://github.com/python/cpython/issues/106052).
DECIMAL = rb"[-+]?+(?=\.?+[0-9])[0-9]*+\.?+[0-9]*+(?:[eE][-+]?+[0-9]++)?"
_FEATURE = rb"\+?+[0-9]++:[ \t]*+%b" % DECIMAL
_LINE = rb"[ \t]*+(?:%b(?:[ \t]++%b)*[ \t]*+)?\n" % (DECIMAL, _FEATURE)
_WRONG_LINE = re.compile(rb"^(?!%b|\Z)" % _LINE, re.MULTILINE)


def wrong_line(text: bytes) -> int:
    found = _WRONG_LINE.search(text)
    return found.start() if found else len(text)
