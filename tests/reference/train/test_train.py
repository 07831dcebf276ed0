"""Tests of the trainer on a real text: what it learns, what it writes, and that it goes on where it was.

The text is TinyStories where SSMD_TEST_DATA has it, else the headers of this repository. Most of the time
goes to training two mixers for as many steps as an idle core makes in half a minute or so.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import types

import jinja2
import pytest
import torch

import bpe
import limits
import model as ssm_lm
import model_card
import stack
import train
from mixers import MIXERS

ROOT = pathlib.Path(__file__).parents[3]
SMALL = ["--d-model=32", "--layers=2", "--context=32", "--batch=4", "--vocabulary=300", "--threads=1"]


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    stories = pathlib.Path(os.environ.get("SSMD_TEST_DATA", ROOT / "none")) / "text/tinystories/b.txt"
    if stories.exists():
        return stories
    path = tmp_path_factory.mktemp("text") / "headers.txt"
    headers = sorted(ROOT.glob("kernels/*.h")) + sorted(ROOT.glob("engine/*/*.h"))
    path.write_text(bpe.END.join(header.read_text() for header in headers))
    return path


def log_of(folder):
    return json.loads((folder / "training_log.json").read_text())


def refusal(capsys, *arguments):
    """The line that says why the trainer does not take these arguments."""
    with pytest.raises(SystemExit) as end:
        train.main(list(map(str, arguments)))
    assert end.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("train.py: ")
    assert said.err.count("\n") == 1
    return said.err


@pytest.mark.parametrize("mixer", ["s5", "rwkv7"])
def test_soon_beats_the_unigrams(mixer, text, tmp_path):
    train.main([str(tmp_path), str(text), "--mixer", mixer, "--layers=4", "--threads=1", "--steps=80"])
    log = log_of(tmp_path)
    final = log["evaluations"][-1]["bits_per_character"]
    print(f"{mixer}: {final:.3f} bits a character, unigram {log['unigram']['bits_per_character']:.3f}")
    assert final < 0.95 * log["unigram"]["bits_per_character"]


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--steps=0", "--steps: must be at least 1, got 0"),
        ("--batch=0", "--batch: must be at least 1, got 0"),
        ("--layers=0", "--layers: must be at least 1, got 0"),
        ("--context=1", "--context: must be at least 2, got 1"),
        ("--minutes=-1", "--minutes: must be at least 0.001, got -1"),
        ("--minutes=nan", "--minutes: must be at least 0.001, got nan"),
        ("--steps=many", "--steps: invalid int value: 'many'"),
        ("--lr=nan", "--lr: must be at least 0, got nan"),
        ("--lr=inf", "--lr: must be finite, got inf"),
        ("--weight-decay=nan", "--weight-decay: must be at least 0, got nan"),
        ("--weight-decay=-1", "--weight-decay: must be at least 0, got -1"),
        ("--seed=-1", "--seed: must be at least 0, got -1"),
        ("--seed=18446744073709551616", "--seed: must be at most 18446744073709551615, got"),
        (
            "--vocabulary=256",
            "--vocabulary: must be at least 257, got 256: a token for each of 256 bytes and for <|endoftext|>",
        ),
        ("--report-seconds=nan", "--report-seconds: must be at least 0, got nan"),
        ("--save-seconds=nan", "--save-seconds: must be at least 0, got nan"),
        ("--d-model=65537", "--d-model: must be at most 65536, got 65537"),
        ("--mixer=s5:d_state=x", "s5: d_state must be a whole number in [1, 131072], got 'x'"),
        ("--mixer=s5:d_state=-3", "s5: d_state must be a whole number in [1, 131072], got -3"),
        ("--mixer=s5:conj_sym=no", "s5: conj_sym must be true or false, got 'no'"),
        ("--mixer=s4d:d_state=33", "s4d: d_state must be even, got 33"),
        ("--mixer=s4d:d_state=1000", "s4d: d_state must be a whole number in [2, 512], got 1000"),
        ("--mixer=s4d:d_state=1e3", "s4d: d_state must be a whole number in [2, 512], got 1000.0"),
        ("--mixer=lru,s4d:d_state=33", "s4d: d_state must be even, got 33"),
        ("--mixer=s4d:discretization=euler", "s4d: discretization must be zoh or bilinear, got 'euler'"),
        ("--mixer=s4:discretization=zoh", "s4: discretization must be bilinear, got 'zoh'"),
        ("--mixer=s4:rank=5", "s4: rank must be a whole number in [1, 4], got 5"),
        ("--mixer=s4:rank=0", "s4: rank must be a whole number in [1, 4], got 0"),
        ("--mixer=s4:heads=2", "s4: heads must be 1 or d_model = 32, got 2"),
        ("--mixer=mamba:expand=0", "mamba: expand must be a whole number in [1, 64], got 0"),
        ("--mixer=mamba2:ngroups=0", "mamba2: ngroups must be a whole number in [1, 262144], got 0"),
        ("--mixer=hippo_legs:d_state=300", "hippo_legs: d_state must be a whole number in [1, 256], got 300"),
        (
            "--mixer=hippo_legt:window=0",
            "hippo_legt: window must be a whole number in [1, 1073741824], got 0",
        ),
        ("--mixer=rtf:d_state=600", "rtf: d_state must be a whole number in [1, 256], got 600"),
        ("--mixer=rtf:num_a=5", "rtf: num_a must be a divisor of d_model = 32, got 5"),
        ("--mixer=rtf:trunc_len=30", "rtf: trunc_len must be at least the --context, 32, got 30"),
        ("--mixer=retnet:num_heads=0", "retnet: num_heads must be a whole number in [1, 262144], got 0"),
        ("--mixer=retnet:num_heads=32", "retnet: d_key / num_heads must be even and at most 256, is 1"),
        ("--mixer=rwkv6:head_dim=2", "rwkv6: head_dim must be a whole number in [4, 256], got 2"),
        ("--mixer=rwkv7:head_dim=0", "rwkv7: head_dim must be a whole number in [4, 256], got 0"),
        ("--mixer=rwkv7:head_dim=8", "rwkv7: head_dim must be a multiple of 16, got 8"),
        ("--mixer=s6", "there is no mixer 's6'"),
    ],
)
def test_says_what_is_wrong_with_its_arguments(flag, words, text, tmp_path, capsys):
    assert words in refusal(capsys, tmp_path, text, *SMALL, "--steps=1", flag)
    assert not list(tmp_path.iterdir())


def test_a_vocabulary_of_dialogues_has_their_marks(tmp_path, capsys):
    path = tmp_path / "chats.txt"
    path.write_text("User: Hi.\nAssistant: Hello!\n\n" * 40)
    said = refusal(capsys, tmp_path / "out", path, *SMALL, "--steps=1", "--dialogues", "--vocabulary=259")
    assert "--vocabulary: must be at least 260, got 259: " in said


@pytest.mark.parametrize("flags", [[], ["--dialogues"]])
def test_refuses_text_that_is_not_utf_8(flags, text, tmp_path, capsys):
    path = tmp_path / "bytes.txt"
    path.write_bytes(b"User: words\n" * 10_000 + b"\xff" + b"more words" * 10_000)
    for arguments in ([path], [text, f"--held-out={path}"]):
        if not (flags and len(arguments) > 1):  # the other text is of no dialogues
            said = refusal(capsys, tmp_path / "out", *arguments, *SMALL, "--steps=1", *flags)
            assert f"{path} is not UTF-8: invalid start byte at offset 120000" in said
    assert not (tmp_path / "out").exists()


def test_the_limits_are_those_of_ssmd():
    headers = [*ROOT.glob("kernels/*.h"), *ROOT.glob("engine/models/**/*.h")]
    source = "\n".join(header.read_text() for header in headers)
    lines = (ROOT / "tests/reference/train/limits.py").read_text().splitlines()
    named = [line for line in lines if re.match(r"[A-Z_]+ = .*#", line)]
    assert len(named) == 10
    for line in named:
        names = re.findall(r"k[A-Z]\w+", line)
        value = getattr(limits, line.split()[0])
        for name in names:
            found = re.search(rf"constexpr int64_t {name} = (?:int64_t\{{1\}} << )?(\d+);", source)
            assert found, name
            assert value == (1 << int(found[1]) if "<<" in found[0] else int(found[1])), name


@pytest.mark.parametrize("kind", MIXERS)
def test_a_mixer_s_own_sizes_are_within_the_limits(kind):
    limits.check_mixer(stack.parse_mixer(kind, 128, 256), 128, 256)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ([], "no object of JSON"),
        ({"n_layer": 2, "mixer": {"type": "lru"}}, "d_model must be"),
        ({"d_model": 8, "mixer": {"type": "lru"}}, "n_layer must be"),
        ({"d_model": 8, "n_layer": 2}, "mixer must be"),
        ({"d_model": 8, "n_layer": 1, "mixer": {}}, "mixer must be"),
        ({"d_model": 8, "n_layer": 2, "layers": [{}]}, "layers must be"),
    ],
)
def test_a_config_that_lacks_something_is_named(config, said):
    with pytest.raises(ValueError, match=said):
        limits.check(config, 8)


@pytest.mark.parametrize(
    ("config", "said"), [('{"n_layer": 2}', "d_model must be"), ("{", "line 1"), (None, "No such file")]
)
def test_a_config_that_is_none_is_named_with_its_file(config, said, text, tmp_path, capsys):
    path = tmp_path / "c.json"
    if config is not None:
        path.write_text(config)
    errors = refusal(capsys, tmp_path / "out", text, f"--config={path}")
    assert f"argument --config: {path}: " in errors
    assert said in errors


def test_writes_the_folder_that_is_served(text, tmp_path):
    train.main([str(tmp_path), str(text), *SMALL, "--steps=2", "--mixer=s4d:d_state=8,rwkv6", "--type=bf16"])
    model = ssm_lm.load(tmp_path)
    assert [layer["mixer"]["type"] for layer in model.config["layers"]] == ["s4d", "rwkv6"]
    assert model.config["layers"][0]["mixer"]["d_state"] == 8
    tokenizer = bpe.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == model.config["vocab_size"] == 300
    assert tokenizer.token_to_id(bpe.END) == model.config["eos_token_id"]
    assert tokenizer.decode(tokenizer.encode("Ünïcode → bytes").ids) == "Ünïcode → bytes"
    assert torch.isfinite(model(torch.arange(20)[None])).all()
    for name in ("tokenizer_config.json", "generation_config.json", "loss.svg"):
        assert (tmp_path / name).stat().st_size > 0


def test_dialogues_make_a_model_to_chat_with(tmp_path):
    path = tmp_path / "chats.txt"
    path.write_text(
        "User: Hi.\nAssistant: Hello!\nHow can I help?\n\nUser: Bye.\nAssistant: Bye, <|user|>.\n" * 40
    )
    dialogues = bpe.read_dialogues([path])
    assert dialogues[0] == "<|user|>Hi.<|end|><|assistant|>Hello!\nHow can I help?<|end|>"
    assert bpe.characters(dialogues[0]) == len("_Hi.__Hello!\nHow can I help?_") + 1
    train.main([str(tmp_path), str(path), *SMALL, "--steps=2", "--dialogues", "--mixer=lru:d_state=8"])
    tokenizer = bpe.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    ends = json.loads((tmp_path / "generation_config.json").read_text())["eos_token_id"]
    assert ends == [tokenizer.token_to_id("<|end|>"), 0]
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    template = jinja2.Environment().from_string(config["chat_template"])
    talk = [{"role": "user", "content": "Hi. "}, {"role": "assistant", "content": "Hello!\nHow can I help?"}]
    assert template.render(messages=talk, bos_token="") == dialogues[0]
    path.write_text("User: Hi.\n\nHello!\n")
    with pytest.raises(ValueError, match="Hello!"):
        bpe.read_dialogues([path])


def test_goes_on_from_its_checkpoint_to_the_same_model(text, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    common = [str(text), *SMALL, "--mixer=mamba"]
    train.main([str(whole), *common, "--steps=6"])
    interrupted = train.prepare(train.parse_arguments([str(parts), *common, "--steps=6"]))
    for _ in range(3):
        interrupted.advance()
    interrupted.save()
    train.main([str(parts), *common, "--steps=6", "--resume"])
    assert (whole / "model.safetensors").read_bytes() == (parts / "model.safetensors").read_bytes()


# Sends itself a signal in the third step, between the gradients and the optimiser.
INTERRUPTED = """
import signal, sys
import torch, train

number, times, *arguments = sys.argv[1:]
calls, clip = [], torch.nn.utils.clip_grad_norm_


def clip_and_interrupt(*arguments):
    calls.append(1)
    for _ in range(int(times) if len(calls) == 3 else 0):
        signal.raise_signal(int(number))
    return clip(*arguments)


signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background has it ignored
torch.nn.utils.clip_grad_norm_ = clip_and_interrupt
train.main(arguments)
"""


def interrupt(number, times, *arguments):
    command = [sys.executable, "-c", INTERRUPTED, number.value, times, *arguments]
    here = pathlib.Path(train.__file__).parent
    return subprocess.run(list(map(str, command)), cwd=here, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_step_is_finished_and_gone_on_from(number, text, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    common = [text, *SMALL, "--mixer=lru:d_state=8", "--steps=6"]
    train.main(list(map(str, [whole, *common])))
    child = interrupt(number, 1, parts, *common)
    assert child.stderr == "train.py: interrupted after step 3; --resume goes on from here\n"
    assert child.returncode == 1
    assert log_of(parts)["steps"][-1]["step"] == 3
    train.main([str(parts), "--resume"])
    assert (whole / "model.safetensors").read_bytes() == (parts / "model.safetensors").read_bytes()


def test_a_second_interrupt_ends_it_at_once_and_unsaved(text, tmp_path):
    child = interrupt(signal.SIGINT, 2, tmp_path, text, *SMALL, "--mixer=lru:d_state=8", "--steps=6")
    assert child.returncode == -signal.SIGINT
    assert not (tmp_path / "training.pt").exists()


def test_handlers_of_signals_are_as_before():
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in signals]
    with train.Interrupts():
        pass
    assert [signal.getsignal(number) for number in signals] == before


@pytest.mark.parametrize(
    ("flags", "interrupted"),
    [(["--steps=1"], False), (["--steps=2"], True), (["--steps=2", "--save-seconds=0"], False)],
)
def test_a_loss_that_is_not_finite_is_not_saved(flags, interrupted, text, tmp_path):
    arguments = [str(tmp_path), str(text), *SMALL, "--mixer=lru:d_state=8", "--lr=1e9", *flags]
    training = train.prepare(train.parse_arguments(arguments))
    with pytest.raises(SystemExit, match="held-out text's loss after step 1 is not finite"):
        training.run(types.SimpleNamespace(came=interrupted))
    assert not (tmp_path / "model.safetensors").exists()
    assert not (tmp_path / "training.pt").exists()


def test_weights_that_the_type_does_not_hold_are_no_model(text, tmp_path):
    training = train.prepare(train.parse_arguments([str(tmp_path), str(text), *SMALL, "--type=f16"]))
    with torch.no_grad():
        training.model.backbone.norm_f.weight[0] = 1e5
    with pytest.raises(SystemExit, match=r"norm_f\.weight has weights that are not finite in f16"):
        training.save()
    assert not (tmp_path / "model.safetensors").exists()


@pytest.fixture(scope="module")
def trained(text, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    train.main([str(out), str(text), *SMALL, "--steps=1", "--mixer=lru:d_state=8", "--type=bf16", "--seed=0"])
    return out


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--mixer=s5", "argument --mixer: the training of {path} was with lru:d_state=8, got s5;"),
        ("--layers=3", "argument --layers: the training of {path} was with 2, got 3;"),
        ("--d-model=64", "argument --d-model: the training of {path} was with 32, got 64;"),
        ("--d-inner=48", "argument --d-inner: the training of {path} was without it, got 48;"),
        ("--mlp=gelu", "argument --mlp: the training of {path} was with auto, got gelu;"),
        ("--vocabulary=400", "argument --vocabulary: the training of {path} was with 300, got 400;"),
        ("--context=64", "argument --context: the training of {path} was with 32, got 64;"),
        ("--batch=2", "argument --batch: the training of {path} was with 4, got 2;"),
        ("--weight-decay=0.1", "argument --weight-decay: the training of {path} was with 0.05, got 0.1;"),
        ("--seed=1", "argument --seed: the training of {path} was with 0, got 1;"),
        ("--dialogues", "argument --dialogues: the training of {path} was without it, got True;"),
        ("--held-out={other}", "argument --held-out: the training of {path} was without it, got {other};"),
        ("--config={other}", "argument --config: the training of {path} was without it, got {other};"),
        ("{other}", "argument texts: the training of {path} was with {text}, got {text} {other} (sha256 "),
    ],
)
def test_going_on_refuses_what_contradicts_the_checkpoint(flag, words, trained, text, tmp_path, capsys):
    other = tmp_path / "other.txt"
    other.write_text("Other words.")
    names = {"path": trained / "training.pt", "other": other, "text": text}
    before = (trained / "training.pt").read_bytes()
    said = refusal(capsys, trained, text, flag.format(**names), "--resume", "--steps=2")
    assert words.format(**names) in said
    assert (trained / "training.pt").read_bytes() == before


def test_going_on_takes_the_checkpoint_s_arguments(trained, text, tmp_path):
    same = tmp_path / "the_same.txt"  # a text is what is in it
    same.write_bytes(text.read_bytes())
    args = train.parse_arguments([str(trained), str(same), "--resume", "--mixer=lru:d_state=8", "--lr=0.001"])
    assert (args.steps, args.minutes, args.layers, args.context, args.seed) == (1, None, 2, 32, 0)
    assert (args.type, args.threads, args.lr, args.dialogues) == ("bf16", 1, 0.001, False)
    longer = train.parse_arguments([str(trained), str(text), "--resume", "--minutes=3"])
    assert (longer.steps, longer.minutes) == (None, 3)


def test_going_on_takes_the_checkpoint_s_texts(text, tmp_path, capsys):
    out, own = tmp_path / "out", tmp_path / "own.txt"
    own.write_bytes(text.read_bytes())
    train.main([str(out), *SMALL, "--steps=1", "--mixer=lru:d_state=8", str(own)])
    train.main([str(out), "--resume", "--steps=2"])
    assert log_of(out)["evaluations"][-1]["tokens"] == 2 * 4 * 32
    for change, words in [
        (lambda: own.write_text("Other words."), "; name one that is as it was, or train anew"),
        (own.unlink, f"'{own}'; say where it is now"),
    ]:
        change()
        capsys.readouterr()
        assert words in refusal(capsys, out, "--resume", "--steps=3")
    said = refusal(capsys, tmp_path / "new", *SMALL, "--steps=1")
    assert "the following arguments are required: texts" in said


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.99])
def test_a_checkpoint_that_is_cut_short_is_named(part, trained, tmp_path, capsys):
    path = tmp_path / "training.pt"
    whole = (trained / "training.pt").read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    said = refusal(capsys, tmp_path, "--resume")
    assert said == f"train.py: argument --resume: {path} is no whole checkpoint of a training\n"


def test_a_training_is_not_begun_over_another(trained, text, capsys):
    before = (trained / "training.pt").read_bytes()
    said = refusal(capsys, trained, text, *SMALL, "--steps=1")
    assert "training.pt: --resume to go on, or another OUT" in said
    assert (trained / "training.pt").read_bytes() == before


def test_a_config_says_what_the_model_is(trained, text, tmp_path, capsys):
    said = refusal(capsys, tmp_path, text, f"--config={trained / 'config.json'}", "--layers=3")
    assert "argument --layers: --config" in said


def test_a_card_says_how_its_sample_is_had_again(trained, tmp_path, capsys):
    (tmp_path / "said").write_text("Once\n\nmore")
    words = [str(trained), str(tmp_path / "m"), "--data=d", "--data-licence=e", "--licence=f"]
    words.append(f"--sample={tmp_path / 'said'}")
    with pytest.raises(SystemExit):
        model_card.main(words)
    assert "--sample wants --sample-command and --sample-profile" in capsys.readouterr().err
    model_card.main([*words, "--sample-command=ssmctl generate --seed=1", "--sample-profile=p"])
    card = (tmp_path / "m" / "README.md").read_text()
    assert "**It says**, to `ssmctl generate --seed=1` (numerics profile `p`; another" in card
    assert "> Once\n>\n> more\n" in card


def test_held_out_documents_are_not_trained_on(tmp_path):
    (tmp_path / "all.txt").write_text(bpe.END.join(["one “a”", "two\n two", "three"]))
    (tmp_path / "some.txt").write_text('one "a"\n')
    documents = bpe.read_documents([tmp_path / "all.txt"])
    assert bpe.without(documents, bpe.read_documents([tmp_path / "some.txt"])) == documents[1:]


@pytest.mark.parametrize(
    ("mixer", "words"),
    [
        ("s6", "no mixer 's6'"),
        ("s4d:heads=3", "s4d has no heads"),
        ("mamba2:headdim=7", "headdim must divide"),
    ],
)
def test_says_what_is_wrong_with_a_mixer(mixer, words, text, tmp_path, capsys):
    assert words in refusal(capsys, tmp_path, text, *SMALL, f"--mixer={mixer}", "--steps=1")
