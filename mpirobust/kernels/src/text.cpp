#include "text.hpp"

// What a function reads, it reads from `at` on, and moves `at` behind it. None goes past a newline.
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

void blanks(const char *&at) {
    while (*at == ' ' || *at == '\t') ++at;
}

bool digits(const char *&at) {
    const char *first = at;
    while (is_digit(*at)) ++at;
    return at != first;
}

void sign(const char *&at) {
    if (*at == '+' || *at == '-') ++at;
}

bool number(const char *&at) {
    sign(at);
    bool some = digits(at);
    if (*at == '.') some |= digits(++at);
    if (!some) return false;
    if (*at != 'e' && *at != 'E') return true;
    sign(++at);
    return digits(at);
}

bool feature(const char *&at) {
    if (*at == '+') ++at;
    if (!digits(at) || *at != ':') return false;
    blanks(++at);
    return number(at);
}

bool line(const char *&at) {
    blanks(at);
    if (*at != '\n' && !number(at)) return false;
    for (const char *word = at;; word = at) {
        blanks(at);
        if (*at == '\n') return true;
        if (at == word || !feature(at)) return false;
    }
}

}  // namespace

const char *text::wrong_line(const char *text, const char *end) {
    while (text != end) {
        const char *at = text;
        if (!line(at)) return text;
        text = at + 1;
    }
    return end;
}
