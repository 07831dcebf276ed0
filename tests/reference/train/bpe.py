"""Texts as documents, and the byte-level BPE that ssmd reads (tokenizer.json)."""

import json
import pathlib
import re

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END = "<|endoftext|>"  # between documents, and before the first; id 0
END_ID = 0
TURNS = {"User: ": "<|user|>", "Assistant: ": "<|assistant|>"}  # how a speaker's line begins, and is trained
TURN_END = "<|end|>"
BYTES = 256  # every byte has a token, so that any text can be said
MARKS = re.compile("|".join(map(re.escape, [*TURNS.values(), TURN_END])))
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] not in ['user', 'assistant'] %}"
    "{{ raise_exception('this model knows user and assistant, not ' + message['role']) }}{% endif %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] | trim + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
QUOTES = str.maketrans("‘’“”", "''\"\"")


def _read(path):
    try:
        return pathlib.Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error.reason} at offset {error.start}") from None


def read_documents(paths):
    """What lies between END in the files; all of a file where there is none."""
    texts = [_read(path) for path in paths]
    return [document.strip() for text in texts for document in text.split(END) if document.strip()]


def read_dialogues(paths):
    """What blank lines part in the files; turns begin with `User: ` or `Assistant: `, for which tokens are put."""
    texts = [_read(path) for path in paths]
    return [_dialogue(part.strip()) for text in texts for part in re.split(r"\n\s*\n", text) if part.strip()]


def _dialogue(text):
    before, *turns = re.split(rf"^({'|'.join(TURNS)})", text, flags=re.M)
    if before:
        raise ValueError(f"a dialogue begins with neither of {', '.join(TURNS)}: {before[:60]!r}")
    return "".join(
        TURNS[speaker] + words.strip() + TURN_END
        for speaker, words in zip(turns[::2], turns[1::2], strict=True)
    )


def characters(document):
    """A mark counts as one, and so does the END after a document."""
    return len(MARKS.sub(".", document)) + 1


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


def special_tokens(dialogues):
    return [END, *([*TURNS.values(), TURN_END] if dialogues else [])]


def train_tokenizer(documents, vocabulary, dialogues=False):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        documents,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=special_tokens(dialogues),
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
    """All that ssmd reads of it; with a chat template if it was made of dialogues."""
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = {"add_bos_token": False, "bos_token": END, "eos_token": END}
    ends = END_ID
    if (turn_end := tokenizer.token_to_id(TURN_END)) is not None:
        config["chat_template"] = CHAT_TEMPLATE
        ends = [turn_end, END_ID]
    generation = {
        "bos_token_id": END_ID,
        "eos_token_id": ends,
        "do_sample": True,
        "temperature": 0.8,
        "top_p": 0.95,
    }
    for name, members in [("tokenizer_config", config), ("generation_config", generation)]:
        (folder / f"{name}.json").write_text(json.dumps(members, indent=2) + "\n")
