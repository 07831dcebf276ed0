"""Renders conversations with the chat templates of real models, here and by Hugging Face transformers:
the texts must be equal byte for byte, the token ids too, and what one refuses so must the other.

    compare.py --render RENDER_CHATS --work DIR --tokenizer TOKENIZER.json WHEEL_OR_FOLDER…

Templates are others' and are not kept here: they are read from a wheel of PyPI that has them
(xinference: in its descriptions of models), or from folders of .jinja files.
"""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import jinja2
import tokenizers
import transformers
from conversations import CONVERSATIONS

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
REFUSALS = (
    jinja2.TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    RecursionError,
)


def templates_of_wheel(path):
    """text → name of the first model that has it"""
    found = {}
    with zipfile.ZipFile(path) as wheel:
        for name in sorted(wheel.namelist()):
            if not re.fullmatch(r"xinference/model/llm/models/[^/]*\.json", name):
                continue
            described = json.loads(wheel.read(name))
            for model in described if isinstance(described, list) else [described]:
                if model.get("chat_template"):
                    found.setdefault(model["chat_template"], model["model_name"])
    return found


def templates_of_folder(path):
    # As they are: newlines are the template's own affair.
    return {file.read_bytes().decode(): file.stem for file in sorted(path.glob("*.jinja"))}


def model_folder(folder, tokenizer_file, template):
    """A tokenizer that has the template's special tokens, and the template. Returns the tokenizer as
    transformers has it."""
    tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer_file))
    written = sorted(set(re.findall(r"<\|[a-z_]+\|>", template)) | set(SPECIAL.values()))
    tokenizer.add_special_tokens(written)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(SPECIAL))
    (folder / "chat_template.jinja").write_bytes(template.encode())
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL)
    fast.chat_template = template
    return fast


def expected(tokenizer, conversation):
    """(text, ids), or None and why it is refused."""
    arguments = {
        "tools": conversation.get("tools"),
        "add_generation_prompt": conversation.get("add_generation_prompt", False),
        "continue_final_message": conversation.get("continue_final_message", False),
        **conversation.get("arguments", {}),
    }
    try:
        messages = conversation["messages"]
        text = tokenizer.apply_chat_template(messages, tokenize=False, **arguments)
        ids = tokenizer.apply_chat_template(messages, return_dict=False, **arguments)
        return (text.encode(), ids), ""
    except REFUSALS as error:
        return None, str(error)


def as_request(conversation):
    """What render_chats reads: JSON within JSON is text."""
    request = dict(conversation)
    request["messages"] = [
        {**m, "tool_calls": json.dumps(m["tool_calls"])} if "tool_calls" in m else m
        for m in conversation["messages"]
    ]
    if "tools" in conversation:
        request["tools"] = json.dumps(conversation["tools"])
    if "arguments" in conversation:
        request["template_arguments"] = json.dumps(request.pop("arguments"))
    return request


def read_answers(output):
    """(text, ids), or None and why it is refused, of each."""
    at = 0
    while at < len(output):
        end = output.index(b"\n", at)
        kind, _, rest = output[at:end].partition(b" ")
        at = end + 1
        if kind == b"error":
            yield None, rest.decode()
            continue
        text = output[at : at + int(rest)]
        at += len(text) + 1
        end = output.index(b"\n", at)
        yield (text, [int(i) for i in output[at:end].split()[1:]]), ""
        at = end + 1


def difference(wanted, why, got, why_not):
    if wanted is None or got is None:
        return "" if wanted == got else f"refused here: {why_not!r}; there: {why!r}"
    if wanted[0] != got[0]:
        at = next((i for i, (a, b) in enumerate(zip(wanted[0], got[0])) if a != b), 0)
        around = slice(max(0, at - 40), at + 40)
        return f"text at byte {at}: {got[0][around]!r}, there {wanted[0][around]!r}"
    return "" if wanted[1] == got[1] else "the ids differ"


def compare(args, name, template):
    """Counts of (compared, rendered by both), and the differences."""
    folder = args.work / re.sub(r"[^A-Za-z0-9.-]", "_", name)
    tokenizer = model_folder(folder, args.tokenizer, template)
    requests = json.dumps([as_request(c) for c in CONVERSATIONS])
    ran = subprocess.run([args.render, folder], input=requests.encode(), capture_output=True)
    if ran.returncode != 0:
        return 0, 0, [f"{name}: {ran.stderr.decode().strip()}"]
    answers = list(read_answers(ran.stdout))
    assert len(answers) == len(CONVERSATIONS)
    rendered, differences = 0, []
    for i, (conversation, (got, why_not)) in enumerate(zip(CONVERSATIONS, answers)):
        wanted, why = expected(tokenizer, conversation)
        rendered += wanted is not None and got is not None
        said = difference(wanted, why, got, why_not)
        if said:
            differences.append(f"{name}, conversation {i}: {said}")
    return len(answers), rendered, differences


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--render", required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True)
    parser.add_argument("sources", type=pathlib.Path, nargs="+")
    args = parser.parse_args()

    templates = {}
    for source in args.sources:
        found = templates_of_folder(source) if source.is_dir() else templates_of_wheel(source)
        templates.update({text: name for text, name in found.items() if text not in templates})
    compared = rendered = 0
    differences = []
    for template, name in templates.items():
        more, both, said = compare(args, name, template)
        compared, rendered, differences = compared + more, rendered + both, differences + said
    for line in differences:
        print(line)
    print(
        f"{len(templates)} templates, {len(CONVERSATIONS)} conversations of each: {compared} compared, "
        f"{rendered} of them rendered and the others refused by both, {len(differences)} differences"
    )
    sys.exit(bool(differences) or len(templates) < 10)


if __name__ == "__main__":
    main()
