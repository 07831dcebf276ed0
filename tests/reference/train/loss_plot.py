"""The losses of a training as an SVG, drawn with matplotlib."""

import math

import matplotlib
from matplotlib.figure import Figure

POINTS = 100  # of the training loss; each is the mean of the steps since the one before
EVALUATIONS = 30
STYLE = {
    "svg.hashsalt": "loss",  # or its ids are different every time
    "svg.fonttype": "none",  # text as text, not as outlines
}


def means(steps):
    """The tokens and the mean losses of runs of steps, at most POINTS of them."""
    length = math.ceil(len(steps) / POINTS) or 1
    runs = [steps[i : i + length] for i in range(0, len(steps), length)]
    return [r[-1]["tokens"] for r in runs], [sum(e["loss"] for e in r) / len(r) for r in runs]


def spread(entries, count):
    """At most `count` of them, evenly, with the last."""
    stride = math.ceil(len(entries) / count) or 1
    return entries[::-stride][::-1]


def draw(path, log):
    """`log`: training_log.json's content."""
    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    evaluations = spread(log["evaluations"], EVALUATIONS)
    axes.plot(*means(log["steps"]), lw=1, label="training")
    held_out = [e["nats_per_token"] for e in evaluations]
    axes.plot([e["tokens"] for e in evaluations], held_out, "o-", ms=3, lw=1, label="held out")
    axes.axhline(log["unigram"]["nats_per_token"], ls=":", color="gray", label="unigram")
    axes.set(xlabel="tokens", ylabel="nats a token", title=log["title"])
    axes.legend()
    with matplotlib.rc_context(STYLE):
        figure.savefig(path, format="svg", metadata={"Date": None})
