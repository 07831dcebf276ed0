"""Texts as documents, and the byte-level BPE that ssmd reads (tokenizer.json)."""

import json
import pathlib
import re

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END = "<|endoftext|>"  # between documents, and before the first; id 0
END_ID = 0
QUOTES = str.maketrans("‘’“”", "''\"\"")


def read_documents(paths):
    """What lies between END in the files; all of a file where there is none."""
    texts = [pathlib.Path(path).read_text(encoding="utf-8", errors="replace") for path in paths]
    return [document.strip() for text in texts for document in text.split(END) if document.strip()]


def without(documents, held_out):
    """Documents that are not among the held-out ones, however these are spaced and quoted."""

    def plain(text):
        return re.sub(r"\s+", " ", text.translate(QUOTES))

    known = {plain(document) for document in held_out}
    return [document for document in documents if plain(document) not in known]


def split_off(documents, share, generator):
    """(training, held-out): at random by documents, or the end of a single one."""
    if len(documents) == 1:
        cut = int(len(documents[0]) * (1 - share))
        return [documents[0][:cut]], [documents[0][cut:]]
    order = generator.permutation(len(documents))
    count = max(1, round(share * len(documents)))
    held_out = set(order[:count].tolist())
    return (
        [d for i, d in enumerate(documents) if i not in held_out],
        [documents[i] for i in sorted(held_out)],
    )


def train_tokenizer(documents, vocabulary):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        documents,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=[END],
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    return tokenizer


def encode(tokenizer, documents):
    """Ids of all documents in a row, END before each and at the end."""
    ids = []
    for encoding in tokenizer.encode_batch(documents):
        ids += [END_ID, *encoding.ids]
    return [*ids, END_ID]


def save_tokenizer(tokenizer, folder):
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"add_bos_token": False, "bos_token": END, "eos_token": END}, indent=2) + "\n"
    )
    (folder / "generation_config.json").write_text(
        json.dumps(
            {
                "bos_token_id": END_ID,
                "eos_token_id": END_ID,
                "do_sample": True,
                "temperature": 0.8,
                "top_p": 0.95,
            },
            indent=2,
        )
        + "\n"
    )
