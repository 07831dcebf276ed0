"""Makes a folder to give away of one that train.py made: what is served, the loss, and a README.md.

    model_card.py OUT deploy/models/NAME --data "TinyStories" --data-licence CDLA-Sharing-1.0 --licence Apache-2.0

--sample is a file with what the model said, for the card, and --sample-command what it said that to: with its
sampling and seed, so that it can be had again.
"""

import argparse
import json
import pathlib
import shlex
import shutil

FILES = (
    "config.json",
    "generation_config.json",
    "loss.svg",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)
# Arguments of train.py that say where, not what.
PLACES = ("out", "texts", "held_out", "resume", "report_seconds", "save_seconds", "minutes")


def command(arguments):
    """The one that trains the same again."""

    def base_name(path):
        return path.rstrip("'])").rsplit("/", 1)[-1]

    words = ["train.py", "OUT", *map(base_name, arguments["texts"].split(", "))]
    if arguments["held_out"] != "None":
        words += ["--held-out", base_name(arguments["held_out"])]
    for name, value in arguments.items():
        flag = "--" + name.replace("_", "-")
        if name not in PLACES and value not in ("None", "False"):
            words += [flag] if value == "True" else [flag, value]
    return shlex.join(words)


def layers_of(config):
    layers = config.get("layers") or [{}] * config["n_layer"]
    return [layer.get("mixer", config.get("mixer")) for layer in layers]


def sizes(mixer):
    return ", ".join(f"{name} {value}" for name, value in mixer.items() if name != "type")


def describe(config):
    mixers = layers_of(config)
    each = {mixer["type"]: mixer for mixer in mixers}
    order = " → ".join(mixer["type"] for mixer in mixers)
    what = f"{len(mixers)} layers" if len(each) == 1 else f"{len(mixers)} layers ({order})"
    members = "; ".join(f"{kind}: {sizes(mixer)}" for kind, mixer in each.items() if sizes(mixer))
    return f"{what}, d_model {config['d_model']}" + (f"; {members}" if members else "")


def card(name, log, weights, args):
    config, final, arguments = log["config"], log["evaluations"][-1], log["arguments"]
    kinds = dict.fromkeys(mixer["type"] for mixer in layers_of(config))
    yield f"# {name}\n"
    yield (
        f"A small language model of {' and '.join(kinds)}: {describe(config)}; {log['parameters'] / 1e6:.2f} M parameters, "
        f"vocabulary {config['vocab_size']:,} (byte-level BPE), weights in {arguments['type']}, {weights / 1e6:.1f} MB.\n"
    )
    yield f"**Data**: {args.data} ({args.data_licence}).\n"
    yield (
        f"**Training**: {log['tokens']:,} tokens, in {log['steps'][-1]['step']:,} steps; with "
        "[tests/reference/train](../../../tests/reference/train/README.md):\n"
    )
    yield f"    {command(arguments)}\n"
    yield (
        f"**Held out**: {final['bits_per_character']:.3f} bits a character in sequences of {arguments['context']} tokens "
        f"that begin with an empty state; the frequencies of tokens alone give {log['unigram']['bits_per_character']:.3f}.\n"
    )
    yield "![Loss and held-out bits over the tokens trained on](loss.svg)\n"
    if args.sample:
        yield (
            f"**It says**, to `{args.sample_command}` (numerics profile `{args.sample_profile}`; another one may "
            "draw other words):\n"
        )
        yield "\n".join(f"> {line}" if line else ">" for line in args.sample.read_text().splitlines()) + "\n"
    yield f"It is a demonstration: it knows nothing. Licence of the weights: {args.licence}."


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=pathlib.Path, help="what train.py made")
    parser.add_argument("folder", type=pathlib.Path, help="what to make; its name is the model's")
    parser.add_argument("--data", required=True)
    parser.add_argument("--data-licence", required=True)
    parser.add_argument("--licence", required=True, help="of the weights")
    parser.add_argument("--sample", type=pathlib.Path)
    parser.add_argument("--sample-command")
    parser.add_argument("--sample-profile", help="as ssmctl models names it")
    args = parser.parse_args(argv)
    if args.sample and not (args.sample_command and args.sample_profile):
        parser.error("--sample wants --sample-command and --sample-profile")
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(args.out / name, args.folder / name)
    log = json.loads((args.out / "training_log.json").read_text())
    weights = (args.folder / "model.safetensors").stat().st_size
    (args.folder / "README.md").write_text(
        "\n".join(card(args.folder.resolve().name, log, weights, args)) + "\n"
    )


if __name__ == "__main__":
    main()
