"""The losses of a training as an SVG, drawn with matplotlib."""

import matplotlib
from matplotlib.figure import Figure


def draw(path, log):
    """`log`: training_log.json's content."""
    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    steps, evaluations = log["steps"], log["evaluations"]
    axes.plot([e["tokens"] for e in steps], [e["loss"] for e in steps], lw=1, label="training")
    held_out = [e["nats_per_token"] for e in evaluations]
    axes.plot([e["tokens"] for e in evaluations], held_out, "o-", ms=3, lw=1, label="held out")
    axes.axhline(log["unigram"]["nats_per_token"], ls=":", color="gray", label="unigram")
    axes.set(xlabel="tokens", ylabel="nats a token", title=log["title"])
    axes.legend()
    with matplotlib.rc_context({"svg.hashsalt": "loss"}):  # or its ids are different every time
        figure.savefig(path, format="svg", metadata={"Date": None})
