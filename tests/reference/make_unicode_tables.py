#!/usr/bin/env python3
"""Writes engine/text/unicode_tables.inc: what Hugging Face `tokenizers` takes each code point for.

Every part of that library has its own Unicode version (its regex engine, its normaliser, Rust's
standard library), so the tables are asked of the library itself, one code point at a time, rather
than taken from any one version of the Unicode database. Needs `pip install tokenizers` and
Debian's libutf8proc2; Python's own unicodedata must be Unicode 14 (Python 3.11), which is what
PCRE2 10.42 knows.

    python3 tests/reference/make_unicode_tables.py > engine/text/unicode_tables.inc
"""

import ctypes
import sys
import unicodedata

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
EVERYTHING = "".join(map(chr, CODE_POINTS))
CHUNK = 50_000

# The bits of a class entry, as engine/text/unicode.h names them.
CLASSES = ["letter", "number", "space", "numeric", "punctuation", "word"]

# Categories that a Split pattern may name. Mn, Mc and those of C are left out: between Unicode 14
# and the regex engine's version code points also left them, which additions cannot express.
CATEGORIES = (
    "L Ll Lm Lo Lt Lu M Me N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs".split()
)


def regex_class(pattern):
    kept = pre_tokenizers.Split(Regex(pattern), "removed").pre_tokenize_str(EVERYTHING)
    return set(CODE_POINTS) - {ord(c) for piece, _ in kept for c in piece}


def isolated_by(pre_tokenizer):
    found = set()
    for at in range(0, len(CODE_POINTS), CHUNK):
        chunk = CODE_POINTS[at : at + CHUNK]
        pieces = pre_tokenizer.pre_tokenize_str("".join(f"a{chr(c)}a" for c in chunk))
        starts = {offsets[0] for _, offsets in pieces}
        found |= {c for k, c in enumerate(chunk) if {3 * k + 1, 3 * k + 2} <= starts}
    return found


def added_token_starts(**options):
    """For each code point before the token "[T]": where the token's match starts, if it matches."""
    tokenizer = Tokenizer(models.BPE({"x": 0}, []))
    tokenizer.add_tokens([AddedToken("[T]", **options)])
    starts = {}
    for at in range(0, len(CODE_POINTS), CHUNK):
        chunk = CODE_POINTS[at : at + CHUNK]
        encoding = tokenizer.encode("".join(f"{chr(c)}[T]-" for c in chunk))
        matches = {offsets[1]: offsets[0] for offsets in encoding.offsets}
        for k, c in enumerate(chunk):
            start = matches.get(5 * k + 4)
            starts[c] = None if start is None else start - 5 * k
    return starts


class Utf8proc:
    STABLE, COMPOSE, DECOMPOSE = 2, 8, 16

    def __init__(self):
        self.library = ctypes.CDLL("libutf8proc.so.2")
        self.library.utf8proc_map.restype = ctypes.c_ssize_t
        self.library.utf8proc_map.argtypes = [
            ctypes.c_char_p,
            ctypes.c_ssize_t,
            ctypes.POINTER(ctypes.c_void_p),
            ctypes.c_int,
        ]
        self.free = ctypes.CDLL(None).free
        self.free.argtypes = [ctypes.c_void_p]

    def nfd(self, text):
        data, result = text.encode(), ctypes.c_void_p()
        size = self.library.utf8proc_map(
            data, len(data), ctypes.byref(result), self.STABLE | self.DECOMPOSE
        )
        decoded = ctypes.string_at(result, size).decode()
        self.free(result)
        return decoded


def unknown_to_normalizer():
    """Code points that utf8proc decomposes or reorders and the library's (older) tables do not."""
    ours, theirs = Utf8proc().nfd, normalizers.NFD().normalize_str
    # U+0345 has the highest combining class, U+0334 the lowest.
    probes = ["{}", "x\u0345{}", "x{}\u0334"]
    return {
        c
        for c in CODE_POINTS
        if any(ours(probe.format(chr(c))) != theirs(probe.format(chr(c))) for probe in probes)
    }


def ranges(code_points):
    result = []
    for c in sorted(code_points):
        if result and result[-1][1] == c - 1:
            result[-1][1] = c
        else:
            result.append([c, c])
    return result


def emit(name, kind, entries):
    print(f"constexpr {kind} {name}[] = {{")
    line = "   "
    for entry in entries:
        if len(line) + len(entry) + 2 > 100:
            print(line)
            line = "   "
        line += f" {entry},"
    print(line)
    print("};\n")


def main():
    assert unicodedata.unidata_version == "14.0.0", unicodedata.unidata_version
    spaces = regex_class(r"\s")
    starts = added_token_starts(lstrip=True)
    assert spaces == {c for c in CODE_POINTS if starts[c] == 0}, "two notions of white space"
    starts = added_token_starts(single_word=True)
    classes = [
        regex_class(r"\p{L}"),
        regex_class(r"\p{N}"),
        spaces,
        isolated_by(pre_tokenizers.Digits(True)),
        isolated_by(pre_tokenizers.Punctuation("isolated")),
        {c for c in CODE_POINTS if starts[c] is None},
    ]
    bits = {}
    for bit, members in enumerate(classes):
        for c in members:
            bits[c] = bits.get(c, 0) | 1 << bit
    entries, last = [], 0
    for c in range(0x110000):
        now = bits.get(c, 0)
        if now != last:
            entries.append(f"{{0x{c:x}, {now}}}")
            last = now

    print(f"// Generated by tests/reference/make_unicode_tables.py from Hugging Face tokenizers")
    print(f"// {tokenizers.__version__}; not to be edited.\n// clang-format off\n")
    print("// From each code point on (until the next entry's), the bits:")
    print(f"// {', '.join(CLASSES)}.")
    emit("kClassRuns", "ClassRun", entries)
    print("// Code points that Hugging Face's normaliser, of an older Unicode, leaves alone.")
    emit(
        "kUnknownToNormalizer",
        "CodePointRange",
        [f"{{0x{a:x}, 0x{b:x}}}" for a, b in ranges(unknown_to_normalizer())],
    )
    by_category = {}
    for c in CODE_POINTS:
        category = unicodedata.category(chr(c))
        by_category.setdefault(category, set()).add(c)
        by_category.setdefault(category[0], set()).add(c)
    print("// By category, what the regex engine's Unicode has beyond Unicode 14 (PCRE2 10.42's).")
    print("constexpr CategoryAddition kCategoryAdditions[] = {")
    for category in CATEGORIES:
        newer = regex_class(r"\p{%s}" % category)
        assert by_category[category] <= newer, category
        print(f'    {{"{category}",')
        line = ""
        for a, b in ranges(newer - by_category[category]):
            item = rf"\x{{{a:x}}}" if a == b else rf"\x{{{a:x}}}-\x{{{b:x}}}"
            if len(line) + len(item) > 86:
                print(f'     R"({line})"')
                line = ""
            line += item
        print(f'     R"({line})"}},')
    print("};\n\n// clang-format on")


if __name__ == "__main__":
    sys.exit(main())
