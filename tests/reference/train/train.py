"""Trains a small language model from any state-space layers, and writes a folder that ssmd serves.

    train.py OUT stories.txt --mixer mamba2 --minutes 30
    train.py OUT stories.txt --mixer s4d:d_state=64,rwkv7 --layers 8 --d-model 192 --minutes 60
    train.py OUT --minutes 90 --resume                    go on where the last one was when it ended; what is
                                                          not given is as it was then

    train.py OUT chats.txt --dialogues --mixer mamba2     a model to chat with

Texts are UTF-8; <|endoftext|> separates documents. A vocabulary of byte pairs is made of them first.
OUT gets config.json, model.safetensors, tokenizer.json and what else ssmd reads, training_log.json
and loss.svg, and training.pt to go on from. `ssmd --model m=OUT` serves it.

The model starts each sequence from an empty state. It is trained by AdamW, its rate warmed up and then
falling along a cosine over the budget, which is --minutes or --steps. With --steps a seed gives the same model
again, on the same machine with the same number of threads; --minutes asks the clock.

SIGINT or SIGTERM ends it after the step under way, for --resume; a second one ends it at once, and saves nothing.
"""

import argparse
import hashlib
import json
import math
import pathlib
import signal
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

import bpe
import limits
import loss_plot
import model as ssm_lm
from mixers import compiled
from stack import make_config

WARM_UP = 0.03  # of the budget, but no fewer than
WARM_UP_STEPS = 20
SSM_RATE = 0.3  # of the learning rate, for what a mixer has beside matrices
# What is not given; of the budget, --minutes where there is no --steps.
DEFAULTS = {
    "dialogues": False,
    "mixer": "mamba2",
    "d_model": 128,
    "layers": 6,
    "mlp": "auto",
    "vocabulary": 1024,
    "type": "f32",
    "batch": 8,
    "context": 256,
    "lr": 3e-3,
    "weight_decay": 0.05,
    "seed": 1,
    "threads": torch.get_num_threads(),
    "resume": False,
    "report_seconds": 10.0,
    "save_seconds": 120.0,
}
DEFAULT_MINUTES = 10.0
RATE = 1e9  # of --lr and --weight-decay, the most: their product is a float32, too
SEED = 2**64 - 1  # torch's most
SHAPE = ("mixer", "d_model", "layers", "mlp", "d_inner")  # what --config says instead
FILES = ("texts", "held_out", "config")  # the same where their contents are
# What may differ where a training goes on; all else is in its checkpoint.
FREE = ("out", "resume", "minutes", "steps", "type", "lr", "threads", "report_seconds", "save_seconds")


class Corpus:
    """Tokens to train on and held-out tokens."""

    def __init__(self, args, tokenizer=None):
        generator = np.random.default_rng(args.seed)
        read = bpe.read_dialogues if args.dialogues else bpe.read_documents
        documents = read(args.texts)
        if args.held_out:
            held_out = read([args.held_out])
            documents = bpe.without(documents, held_out)
        else:
            documents, held_out = bpe.split_off(documents, 0.02, generator)
        self.tokenizer = tokenizer or bpe.train_tokenizer(documents, args.vocabulary, args.dialogues)
        self.train = torch.tensor(bpe.encode(self.tokenizer, documents))
        self.held_out = torch.tensor(bpe.encode(self.tokenizer, held_out))
        self.held_out_characters = sum(map(bpe.characters, held_out))
        if len(self.train) <= args.context + 1:
            raise ValueError(f"{len(self.train)} tokens are too few for a --context of {args.context}")

    def batch(self, count, context, generator):
        starts = torch.randint(len(self.train) - context - 1, (count,), generator=generator)
        return self.train[starts[:, None] + torch.arange(context + 1)]

    def figures(self, nats):
        """Of a mean loss of the held-out tokens."""
        bits = nats / math.log(2) * (len(self.held_out) - 1)
        return {"nats_per_token": nats, "bits_per_character": bits / self.held_out_characters}

    def unigram(self, vocabulary):
        """What the frequencies of tokens alone give."""
        counts = torch.bincount(self.train, minlength=vocabulary) + 1
        log_frequencies = torch.log(counts / counts.sum())
        return self.figures(-log_frequencies[self.held_out[1:]].mean().item())


def loss_of(model, tokens):
    logits = model(tokens[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


@torch.no_grad()
def evaluate(model, corpus, args, most=None):
    """Mean loss of held-out tokens in sequences one after the other; `most`: of the first ones alone."""
    context = min(args.context, len(corpus.held_out) - 1)
    count = (len(corpus.held_out) - 1) // context
    rows = corpus.held_out[: count * context + 1].unfold(0, context + 1, context)[:most]
    losses = [loss_of(model, batch) * len(batch) for batch in rows.split(args.batch)]
    return sum(losses).item() / len(rows)


def make_optimiser(model, args):
    """Matrices decay; what else a mixer has does not, and learns more slowly (as S4 was trained)."""
    matrices, others, ssm = [], [], []
    for name, parameter in model.named_parameters():
        if ".mixer." in name and not name.endswith((".weight", ".bias")):
            ssm.append(parameter)
        else:
            (matrices if parameter.dim() == 2 else others).append(parameter)
    groups = [
        {"params": matrices, "weight_decay": args.weight_decay, "scale": 1.0},
        {"params": others, "weight_decay": 0.0, "scale": 1.0},
        {"params": ssm, "weight_decay": 0.0, "scale": SSM_RATE},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=args.lr, betas=(0.9, 0.95))


def rate_at(done, step):
    """Of the learning rate: linear warm-up, then from a part of the budget on a cosine down to a tenth."""
    warm = min(1, (step + 1) / WARM_UP_STEPS, (done + 1e-3) / (WARM_UP + 1e-3))
    falling = max(0, (done - WARM_UP) / (1 - WARM_UP))
    return warm * (0.1 + 0.45 * (1 + math.cos(math.pi * falling)))


class Interrupts:
    """SIGINT and SIGTERM, while it is entered: the first is noted, the next ends the process."""

    def __enter__(self):
        self.came = False
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        # What is ignored stays so, as under nohup.
        self.before = {number: was for number, was in handlers.items() if was != signal.SIG_IGN}
        for number in self.before:
            signal.signal(number, self.note)
        return self

    def note(self, number, frame):
        self.came = True
        for other in self.before:
            signal.signal(other, signal.SIG_DFL)

    def __exit__(self, *error):
        for number, handler in self.before.items():
            signal.signal(number, handler)


class Training:
    """The state of a training: model, optimiser, random numbers, time spent and the log."""

    def __init__(self, args, config, corpus):
        self.args, self.corpus = args, corpus
        torch.manual_seed(args.seed)
        self.model = ssm_lm.SsmLm(config)
        self.optimiser = make_optimiser(self.model, args)
        self.generator = torch.Generator().manual_seed(args.seed)
        self.step, self.seconds = 0, 0.0
        self.digests = {name: digest(value) for name in FILES if (value := getattr(args, name))}
        parameters = sum(p.numel() for p in self.model.parameters())
        layers = config.get("layers") or [{}] * config["n_layer"]
        names = dict.fromkeys(layer.get("mixer", config["mixer"])["type"] for layer in layers)
        self.log = {
            "title": f"{', '.join(names)}: {parameters / 1e6:.2f} M parameters",
            "parameters": parameters,
            "config": config,
            "arguments": {k: str(v) for k, v in vars(args).items()},
            "unigram": corpus.unigram(config["vocab_size"]),
            "steps": [],
            "evaluations": [],
        }

    def restore(self, saved):
        self.model.load_state_dict(saved["model"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.generator.set_state(saved["generator"])
        self.step, self.seconds, self.log = saved["step"], saved["seconds"], saved["log"]
        self.digests = saved["digests"]

    def save(self):
        """All of OUT. The files that training goes on from are replaced at once or not at all."""
        out = self.args.out
        unfinished = out / "training.pt.new"
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "generator": self.generator.get_state(),
                "step": self.step,
                "seconds": self.seconds,
                "log": self.log,
                "arguments": plain(self.args),
                "digests": self.digests,
            },
            unfinished,
        )
        unfinished.rename(out / "training.pt")
        try:
            ssm_lm.save(self.model, out, self.args.type)
        except ValueError as error:
            raise SystemExit(
                f"train.py: {error}, so model.safetensors is not written; "
                "--resume with another --type, or train anew with a smaller --lr"
            ) from None
        (out / "training_log.json").write_text(json.dumps(self.log, indent=1) + "\n")
        loss_plot.draw(out / "loss.svg", self.log)

    def done(self):
        """The part of the budget that is spent."""
        by_steps = self.step / self.args.steps if self.args.steps else 0
        by_time = self.seconds / (60 * self.args.minutes) if self.args.minutes else 0
        return max(by_steps, by_time)

    def advance(self):
        """One step of the optimiser; its loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.args.lr * group["scale"] * rate_at(min(self.done(), 1), self.step)
        loss = loss_of(self.model, self.corpus.batch(self.args.batch, self.args.context, self.generator))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        if not torch.isfinite(norm):
            raise SystemExit(f"train.py: the gradient of step {self.step} is not finite; try a smaller --lr")
        self.optimiser.step()
        self.model.constrain()
        self.step += 1
        return loss.item()

    def evaluate(self, most=None):
        """Bits a character. A training whose loss is not finite ends here, before it is saved."""
        figures = self.corpus.figures(evaluate(self.model, self.corpus, self.args, most))
        if not math.isfinite(figures["nats_per_token"]):
            raise SystemExit(
                f"train.py: the held-out text's loss after step {self.step} is not finite, so that is not saved; "
                "try a smaller --lr"
            )
        self.log["evaluations"].append({"tokens": self.tokens(), **figures})
        return figures["bits_per_character"]

    def tokens(self):
        return self.step * self.args.batch * self.args.context

    def run(self, interrupts):
        """To the end of the budget: the bits a character then. Or of the step that was interrupted: None."""
        last_report = last_save = time.monotonic()
        losses, before, interrupted = [], last_report, False
        while self.done() < 1 and not interrupted:
            losses.append(self.advance())
            now = time.monotonic()
            self.seconds, before = self.seconds + now - before, now
            interrupted = interrupts.came
            saves = interrupted or now - last_save > self.args.save_seconds
            if saves or now - last_report > self.args.report_seconds or self.done() >= 1:
                self.report(losses, now - last_report)
                losses, last_report = [], time.monotonic()
            if saves:
                self.save()
                last_save = now
        if self.done() < 1:
            return None
        final = self.evaluate()
        self.log["seconds"], self.log["tokens"] = self.seconds, self.tokens()
        self.save()
        return final

    def report(self, losses, seconds):
        """A line of progress: a quick look at the held-out text is part of it."""
        bits, mean = self.evaluate(most=self.args.batch), sum(losses) / len(losses)
        speed = len(losses) * self.args.batch * self.args.context / seconds
        left = self.seconds / max(self.done(), 1e-9) - self.seconds
        self.log["steps"].append(
            {"step": self.step, "tokens": self.tokens(), "loss": mean, "tokens_per_second": speed}
        )
        print(
            f"step {self.step}  loss {mean:.3f}  held out {bits:.3f} bits a character  {speed:,.0f} tokens/s  "
            f"{max(left, 0) / 60:.1f} min left",
            flush=True,
        )


def number(kind, least, most=math.inf):
    """An argument's type: a number of this kind, no less than that, and no more."""

    def parse(text):
        value = kind(text)
        if not value >= least:  # nor is nan
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {text}")
        if value == math.inf:
            raise argparse.ArgumentTypeError(f"must be finite, got {text}")
        if value > most:
            raise argparse.ArgumentTypeError(f"must be at most {most}, got {text}")
        return value

    parse.__name__ = kind.__name__  # argparse names it where the text is no number
    return parse


def refuse(message):
    print(f"train.py: {message}", file=sys.stderr)
    raise SystemExit(2)


class Parser(argparse.ArgumentParser):
    def error(self, message):
        """Without the usage, which is longer than a screen."""
        refuse(message)


def make_parser():
    """What is not given is None: see DEFAULTS."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path, help="the folder to make")
    parser.add_argument(
        "texts", nargs="*", type=pathlib.Path, help="what to train on; with --resume not needed"
    )
    parser.add_argument(
        "--held-out",
        type=pathlib.Path,
        help="a text to judge by; its documents are left out of the others; default: 2%% of them",
    )
    parser.add_argument(
        "--dialogues",
        action="store_true",
        default=None,
        help="for a chat model: texts are dialogues, lines of `User: ` and `Assistant: `, a blank line between two",
    )
    model = parser.add_argument_group("model")
    model.add_argument(
        "--mixer",
        metavar="NAME[:MEMBER=VALUE…][,…]",
        help="one for all layers, or several in turn; see README.md for names and members",
    )
    model.add_argument(
        "--config", type=pathlib.Path, help="instead: a config.json; vocab_size is that of --vocabulary"
    )
    model.add_argument("--d-model", type=number(int, 1, limits.MODEL))
    model.add_argument("--layers", type=number(int, 1, limits.LAYERS))
    model.add_argument(
        "--mlp",
        choices=["auto", "none", "swiglu", "gelu", "rwkv4", "rwkv5", "rwkv6", "rwkv7"],
    )
    model.add_argument(
        "--d-inner", type=number(int, 1, limits.INNER), help="of the mlp; default: twice --d-model"
    )
    model.add_argument("--vocabulary", type=number(int, 1, limits.VOCABULARY))
    model.add_argument("--type", choices=list(ssm_lm.DTYPES), help="of the weights in OUT")
    training = parser.add_argument_group("training")
    training.add_argument(
        "--minutes", type=number(float, 0.001), help="the budget; default 10, unless --steps is given"
    )
    training.add_argument(
        "--steps", type=number(int, 1), help="the budget; with --minutes, whichever ends first"
    )
    training.add_argument("--batch", type=number(int, 1), help="sequences a step")
    training.add_argument("--context", type=number(int, 2), help="tokens a sequence")
    training.add_argument("--lr", type=number(float, 0, RATE))
    training.add_argument("--weight-decay", type=number(float, 0, RATE))
    training.add_argument("--seed", type=number(int, 0, SEED))
    training.add_argument("--threads", type=number(int, 1))
    training.add_argument(
        "--resume",
        action="store_true",
        default=None,
        help="from OUT/training.pt, with its model, texts and arguments; others for the budget, --lr, --type, "
        "--threads and reports may be given",
    )
    training.add_argument("--report-seconds", type=number(float, 0))
    training.add_argument("--save-seconds", type=number(float, 0))
    return parser


def parse_arguments(argv):
    """Raises ValueError and OSError where arguments do not fit one another, or files."""
    args = make_parser().parse_intermixed_args(argv)  # texts may be none, and may come after options
    args.texts = args.texts or None
    if not args.texts and not args.resume:
        raise ValueError("the following arguments are required: texts")
    checkpoint = args.out / "training.pt"
    if checkpoint.exists() and not args.resume:
        raise ValueError(f"there is a {checkpoint}: --resume to go on, or another OUT")
    budget = ("minutes", "steps") if args.minutes is None and args.steps is None else ()
    refuse_shape(args, args.config)
    if args.resume:
        go_on(args, checkpoint, budget)
    for name, value in DEFAULTS.items():
        if getattr(args, name) is None and not (args.config and name in SHAPE):
            setattr(args, name, value)
    if args.minutes is None and args.steps is None:
        args.minutes = DEFAULT_MINUTES
    if args.config and not args.resume:
        try:
            limits.check(json.loads(args.config.read_text()), args.context)
        except (ValueError, OSError) as error:
            raise ValueError(f"argument --config: {args.config}: {error}") from error
    special = bpe.special_tokens(args.dialogues)
    if args.vocabulary < (least := bpe.BYTES + len(special)) and not args.resume:
        raise ValueError(
            f"argument --vocabulary: must be at least {least}, got {args.vocabulary}: "
            f"a token for each of {bpe.BYTES} bytes and for {' '.join(special)}"
        )
    return args


def flag(name):
    return name if name in ("out", "texts") else "--" + name.replace("_", "-")


def refuse_shape(args, config):
    """A model is that of --config or that of other arguments."""
    for name in SHAPE if config else ():
        if (value := getattr(args, name)) is not None:
            raise ValueError(f"argument {flag(name)}: --config {config} says what the model is, got {value}")


def digest(paths):
    """Of the contents of a file, or of several in a row."""
    sha256 = hashlib.sha256()
    for path in paths if isinstance(paths, list) else [paths]:
        sha256.update(path.read_bytes() + b"\0")
    return sha256.hexdigest()[:12]


def plain(args):
    """What training.pt has of the arguments: paths are absolute there."""

    def one(value):
        if isinstance(value, list):
            return [one(element) for element in value]
        return str(value.resolve()) if isinstance(value, pathlib.Path) else value

    return {name: one(value) for name, value in vars(args).items()}


def load_checkpoint(path):
    with path.open("rb") as file:
        try:
            return dict(torch.load(file, weights_only=True))
        except Exception as error:  # torch and pickle raise whatever the bytes lead them to
            raise ValueError(f"argument --resume: {path} is no whole checkpoint of a training") from error


def go_on(args, path, budget):
    """Arguments of a training that goes on from `path`: what is not given is as it was, and what is given agrees
    with it. `budget`: what of that is taken over, too."""
    saved = load_checkpoint(path)
    if "arguments" not in saved:
        raise ValueError(
            f"argument --resume: {path} is of an older train.py and lacks its arguments; train anew"
        )
    was = saved["arguments"]
    refuse_shape(args, was["config"])
    for name, given in vars(args).items():
        if given is None and (name not in ("minutes", "steps") or name in budget):
            setattr(args, name, paths(was[name]) if name in FILES and was[name] else was[name])
        # Of a config, OUT has a copy.
        if name in FILES and (given or (name != "config" and getattr(args, name))):
            refuse_other_contents(args, name, given, path, saved)
        elif given is not None and name not in FREE and given != was[name]:
            refuse_other(path, name, was[name], given)


def paths(saved):
    """What `plain` made of paths, as paths again."""
    return [pathlib.Path(path) for path in saved] if isinstance(saved, list) else pathlib.Path(saved)


def refuse_other_contents(args, name, given, path, saved):
    """`given`: nothing where the argument is the checkpoint's."""
    before, value = saved["digests"].get(name), getattr(args, name)
    try:
        now = digest(value)
    except OSError as error:
        if given:
            raise
        raise ValueError(f"argument {flag(name)}: {error}; say where it is now") from error
    if now != before:
        contents = f" (sha256 {before}…, now {now}…)" if before else ""
        remedy = "leave it out" if given else "name one that is as it was"
        refuse_other(path, name, saved["arguments"][name], value, contents, remedy)


def refuse_other(path, name, was, given, difference="", remedy="leave it out"):
    def shown(value):
        return " ".join(map(str, value)) if isinstance(value, list) else str(value)

    before = "without it" if was is None or was is False else f"with {shown(was)}"
    raise ValueError(
        f"argument {flag(name)}: the training of {path} was {before}, got {shown(given)}{difference}; "
        f"{remedy}, or train anew without --resume, into another OUT"
    )


def prepare(args):
    """A training from its start, or from where the last one ended."""
    if args.resume:
        tokenizer = bpe.Tokenizer.from_file(str(args.out / "tokenizer.json"))
        saved = load_checkpoint(args.out / "training.pt")
        training = Training(args, saved["log"]["config"], Corpus(args, tokenizer))
        training.restore(saved)
        return training
    config = json.loads(args.config.read_text()) if args.config else make_config(args)
    limits.check(config, args.context)
    corpus = Corpus(args)
    args.out.mkdir(parents=True, exist_ok=True)
    bpe.save_tokenizer(corpus.tokenizer, args.out)
    return Training(args, config | {"vocab_size": corpus.tokenizer.get_vocab_size()}, corpus)


def main(argv=None):
    try:
        args = parse_arguments(argv)
        torch.set_num_threads(args.threads)
        torch.set_flush_denormal(True)
        training = prepare(args)
    except (ValueError, OSError) as error:
        refuse(error)
    if problem := compiled.compile_into(args.out / "cache"):
        print(f"No compiled scans, so those of Mamba and RWKV are slow: {problem}")
    unigram = training.log["unigram"]["bits_per_character"]
    print(
        f"{training.log['title']}; {len(training.corpus.train):,} tokens to train on; "
        f"unigram {unigram:.3f} bits a character",
        flush=True,
    )
    with Interrupts() as interrupts:
        final = training.run(interrupts)
    if final is None:
        raise SystemExit(f"train.py: interrupted after step {training.step}; --resume goes on from here")
    print(
        f"{training.tokens():,} tokens in {training.seconds / 60:.1f} min; "
        f"held out: {final:.3f} bits a character (unigram {unigram:.3f}); {args.out}"
    )


if __name__ == "__main__":
    main()
