#!/usr/bin/env python3
"""Writes tests/unit/text/data/: texts and the token ids that Hugging Face `tokenizers` gives them.

For the bundled model's tokenizer, for small synthetic ones that between them use every supported
feature (written beside their cases), and, where SSMD_TEST_DATA names the data folder, for
GPT-NeoX-20B's. Needs `pip install tokenizers`; the output depends on its version and on nothing else.

    python3 tests/reference/make_tokenizer_golden.py
"""

import json
import os
import pathlib
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers as pre
from tokenizers import trainers

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests/unit/text/data"

TEXTS = [
    "",
    "a",
    " ",
    "Once upon a time, there was a little girl named Lily. She didn't like rain.",
    "It's they're we'VE I'm you'll he'd 'tis rock'n'roll ''s 's 'S don\u2019t \u017f'\u017f",
    "  two   three    four\n\n\tlines\r\n\r\n \n x ",
    " " * 24 + "x" + " " * 25 + "y" + " " * 49,
    "\x00\x01\x1f\x7f\x80\x85\x9f\xa0\xad",
    "a\u0085b\u00a0c\u180ed\u200be\u2028f\u2029g\u202fh\u205fi\u3000j\ufeffk\u1680l",
    "1234567890 \u0661\u0662\u0663 \u0967\u0968 \uff11\uff12 \u00bd \u2167 \u2460 \U0001d7ce 3.14",
    "e\u0301 \u00e9 A\u030a \u212b \u1e69 s\u0323\u0307 s\u0307\u0323 \u0344 \u2126 \ufb01",
    "\u1100\u1161\u11a8 \uac00\u11a8 \uac01 \u0f71\u0f72 \u0f73\u0f75 \u0958 \u0928\u093c \u09c7\u09be",
    "\u0308\u0301 x\u0345\u0316\u0334 \u0897 x\u0301\u1ac1\u0323 \U00011935\U00011930 \U00011938 \u0c3c\u0c4d",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466\U0001f3f3\ufe0f\u200d\U0001f308\U0001f44d\U0001f3fd 1\ufe0f\u20e3",
    "Привет, мир! Γειά σου Κόσμε. שלום עולם مرحبا بالعالم नमस्ते दुनिया สวัสดีชาวโลก",
    "你好,世界。こんにちは世界 안녕하세요 세계 𠮷野家",
    "def f(x):\n    return {'a': [1, 2], \"b\": x ** 2 != 3}  # comment\n\n\n",
    "https://example.org/a?b=c&d=%20#e <a href='x'>y</a> C:\\dir\\*.txt",
    "<|endoftext|> <|endoftext|<|endoftext|>|endoftext|> <|padding|>",
    "<mask> a<mask>b  <mask>  <pad>   x [MASK]. y[MASK] [MASK] ask> <mask><pad>   <pad>",
    "hello hello, othello  word wordy sword word",
    "aa aaa aaaa a a, \u00e9\u00e9 \u00dcn\u00ef U\u0308ni\u0308 \u0120the",
    "x" * 100 + " " + "ab" * 60 + "!" * 80,
    "\U0001e4d0\U00016d40\U00011f02\U0001dfa0\U00031350\U000e0001\U0010ffff\ue000\ufdd0",
    "CamelCaseWords ALLCAPS iPhone McDonald's \u01c5\u01c6 \u1e9e\u00df \u0130\u0131",
]

PIECES = [
    " ", "  ", "    ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "'s", "'ll", "'", "the", " The", " a",
    "a", "aa", "hello", "word", "<mask>", "<pad>", "[MASK]", "ask>", "<|endoftext|>", "<|", "12", "3",
    "\u0664", "\u00b2", ".", "...", "!?", "-", "_", "$", "+", "\u00e9", "e\u0301", "U\u0308n", "\u4e2d",
    "\u6587", "\ud55c", "\u0440", "\u05d0", "\u093f", "\U0001f600", "\u200d", "\ufe0f", "\u0301", "\u0323",
]  # fmt: skip

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CAMEL = r"(?=\p{Lu})|\d+|[,.]"


def texts():
    rng = random.Random(20)
    return TEXTS + ["".join(rng.choices(PIECES, k=rng.randint(2, 16))) for _ in range(150)]


def split(pattern, behavior="isolated", invert=False):
    return pre.Split(pattern, behavior, invert)


def byte_level(add_prefix_space=False, use_regex=True):
    return pre.ByteLevel(add_prefix_space=add_prefix_space, use_regex=use_regex)


# name: (pre-tokenizer, NFC?, ignore_merges?, added tokens?)
SYNTHETIC = {
    "features": (byte_level(), True, False, True),
    "prefix-space": (byte_level(add_prefix_space=True), False, False, True),
    "no-regex": (byte_level(use_regex=False), False, False, False),
    "llama3": (
        pre.Sequence([split(Regex(LLAMA3)), byte_level(use_regex=False)]), False, True, False,
    ),
    "falcon": (
        pre.Sequence(
            [
                pre.Punctuation("contiguous"),
                byte_level(),
                pre.Digits(False),
                split(Regex("[0-9][0-9][0-9]")),
            ]
        ), False, False, False,
    ),
    "digits": (pre.Sequence([pre.Digits(True), byte_level()]), True, False, False),
    "removed": (
        pre.Sequence([split(" ", "removed"), byte_level(True, False)]), False, False, False,
    ),
    "inverted": (
        pre.Sequence([split(Regex(CAMEL), "removed", True), byte_level(use_regex=False)]),
        False, False, False,
    ),
    "merged-with-previous": (
        pre.Sequence([split(Regex(CAMEL), "merged_with_previous"), byte_level(use_regex=False)]),
        False, False, False,
    ),
    "merged-with-next": (
        pre.Sequence([split(Regex(CAMEL), "merged_with_next"), byte_level(use_regex=False)]),
        False, False, False,
    ),
}  # fmt: skip

ADDED = [
    AddedToken("<mask>", lstrip=True, special=True, normalized=False),
    AddedToken("<pad>", rstrip=True, normalized=False),
    AddedToken("[MASK]", lstrip=True, rstrip=True, single_word=True, special=True, normalized=True),
    AddedToken("hello", normalized=True),
    AddedToken("word", single_word=True, normalized=False),
    AddedToken("U\u0308n", normalized=True),
    AddedToken("ask>", normalized=False),
    AddedToken("    ", normalized=True),
    AddedToken("  ", rstrip=True, normalized=True),
    AddedToken("aa", normalized=True),
]


def make_synthetic(pre_tokenizer, nfc, ignore_merges, added):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    if nfc:
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFC()])
    trainer = trainers.BpeTrainer(
        vocab_size=380,
        show_progress=False,
        initial_alphabet=pre.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>"],
    )
    tokenizer.train_from_iterator(texts(), trainer)
    if added:
        tokenizer.add_tokens(ADDED)
    return tokenizer


def write_cases(name, tokenizer):
    cases = []
    for text in texts():
        tokenizer.encode_special_tokens = True
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = False
        special = tokenizer.encode(text, add_special_tokens=False).ids
        cases.append([text, ids] + ([special] if special != ids else []))
    rng = random.Random(21)
    size = tokenizer.get_vocab_size()
    decoded = []
    for _ in range(40):
        ids = [rng.randrange(size) for _ in range(rng.randint(1, 12))]
        decoded.append([ids, tokenizer.decode(ids, skip_special_tokens=False)])
    with open(OUT / f"{name}.json", "w") as file:
        file.write('{"encode": [\n')
        file.write(",\n".join(json.dumps(case, separators=(",", ":")) for case in cases))
        file.write('\n], "decode": [\n')
        file.write(",\n".join(json.dumps(case, separators=(",", ":")) for case in decoded))
        file.write("\n]}\n")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for name, options in SYNTHETIC.items():
        (OUT / name).mkdir(exist_ok=True)
        tokenizer = make_synthetic(*options)
        tokenizer.save(str(OUT / name / "tokenizer.json"), pretty=False)
        write_cases(name, Tokenizer.from_file(str(OUT / name / "tokenizer.json")))
    tales = ROOT / "deploy/models/tales-2m/tokenizer.json"
    write_cases("tales-2m", Tokenizer.from_file(str(tales)))
    if data := os.environ.get("SSMD_TEST_DATA"):
        path = pathlib.Path(data) / "tokenizers/20B_tokenizer.json"
        write_cases("gpt-neox-20b", Tokenizer.from_file(str(path)))


if __name__ == "__main__":
    main()
