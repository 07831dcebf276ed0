"""Times published GPU kernels of Mamba beside ssmd's, on the same shapes and the same GPU.

    kernels_bench --json=ours.json
    peers.py --ours ours.json --mamba ~/mamba --flashinfer ~/flashinfer --json peers.json

Needs PyTorch with CUDA, and Triton and einops for state-spaces/mamba. The packages are taken from
where Python finds them or from the folders given, each of which has the package's own folder in it
(DIR/mamba_ssm, DIR/flashinfer). Of mamba_ssm only the Triton files are loaded: its compiled parts
need not be there. What cannot be loaded or does not take a shape is skipped, and the table says why.

Peers are timed as ssmd's kernels are: calls for as many layers as the model has, one after the other
in a CUDA graph, each with states of its own (as far as memory goes), median of nine runs after
warming up. States are f32 on both sides. Activations are bf16 for the peers, which is less to read
than ssmd's f32. The ratio is the peer's time by ssmd's: 1.00 or more is what ssmd promises.
"""

import argparse
import dataclasses
import importlib
import json
import pathlib
import statistics
import sys
import types

HEAD_DIM = 64
PROMISED = 1.0
RUNS = 9
RUN_MS = 20.0
STATE_BYTES_MAX = 16 << 30


class Skip(Exception):
    """Why something is not timed."""


@dataclasses.dataclass(frozen=True)
class Shape:
    model: str
    inner: int
    state: int
    layers: int
    mamba2: bool

    @property
    def heads(self):
        return self.inner // HEAD_DIM

    def state_bytes(self, sessions):
        return 4 * sessions * self.inner * self.state


SHAPES = {shape.model: shape for shape in (Shape("mamba-2.8b", 5120, 16, 64, False),
                                           Shape("mamba2-2.7b", 5120, 128, 64, True))}


@dataclasses.dataclass(frozen=True)
class Case:
    """One kernel of a peer, and what it is held against: a figure of kernels_bench."""
    peer: str
    shape: Shape
    sessions: int
    tokens: int  # 1: a decode step
    figure: str

    @property
    def load(self):
        return str(self.sessions) if self.tokens == 1 else f"{self.sessions}x{self.tokens}"


def cases(rows, prompt):
    mamba1, mamba2 = SHAPES["mamba-2.8b"], SHAPES["mamba2-2.7b"]
    return [Case(peer, shape, sessions, 1, "scan")
            for peer in ("triton selective_state_update", "flashinfer selective_state_update")
            for shape in (mamba1, mamba2) for sessions in rows
            ] + [Case("triton chunk scan", mamba2, *prompt, "scan_chunked")]


def our_ms(report, case):
    """The median of one layer's kernel. Raises Skip where it was not measured."""
    for figure in report["figures"]:
        if (figure["group"], figure["model"], figure["load"], figure["name"]) == (
                "kernel", case.shape.model, case.load, case.figure):
            return figure["ms"]["median"]
    raise Skip("kernels_bench has not measured it")


def compare(report, all_cases, time):
    """A row for each case. `time(case)` gives the peer's times of one call, in ms, or raises Skip."""
    rows = []
    for case in all_cases:
        row = dict(peer=case.peer, model=case.shape.model, load=case.load, figure=case.figure,
                   ours_ms=None, peer_ms=None, peer_lowest_ms=None, peer_highest_ms=None,
                   ratio=None, skipped=None)
        try:
            row["ours_ms"] = our_ms(report, case)
            times = time(case)
            row.update(peer_ms=statistics.median_low(times), peer_lowest_ms=min(times),
                       peer_highest_ms=max(times))
            row["ratio"] = row["peer_ms"] / row["ours_ms"]
        except Skip as skip:
            row["skipped"] = str(skip)
        rows.append(row)
    return rows


def verdict(row):
    if row["ratio"] is None:
        return "skipped: " + row["skipped"]
    return "met" if row["ratio"] >= PROMISED else "MISSED"


def table(rows):
    lines = [f"{'peer':34} {'model':12} {'rows':>7} {'ours ms':>9} {'peer ms':>9} {'ratio':>6}"]
    for row in rows:
        def cell(key, digits):
            return "-" if row[key] is None else f"{row[key]:.{digits}f}"
        lines.append(f"{row['peer']:34} {row['model']:12} {row['load']:>7} {cell('ours_ms', 4):>9} "
                     f"{cell('peer_ms', 4):>9} {cell('ratio', 2):>6}  {verdict(row)}")
    return "\n".join(lines)


def load_mamba(folder, module):
    """A module of mamba_ssm.ops.triton, without running mamba_ssm/__init__.py."""
    if folder and "mamba_ssm" not in sys.modules:
        package = types.ModuleType("mamba_ssm")
        package.__path__ = [str(pathlib.Path(folder).expanduser() / "mamba_ssm")]
        sys.modules["mamba_ssm"] = package
    return importlib.import_module("mamba_ssm.ops.triton." + module)


def first_line(error):
    """The last line of what went wrong has the reason, mostly."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1][:160]}" if lines else type(error).__name__


class Peers:
    """Calls of the peers' kernels on tensors of a GPU."""

    def __init__(self, torch, args):
        self.torch = torch
        self.args = args
        self.updates = {}

    def load(self, case):
        """The peer's function. Raises Skip."""
        if case.peer not in self.updates:
            try:
                self.updates[case.peer] = self.load_now(case.peer)
            except Exception as error:  # whatever a package of others raises when it is imported
                self.updates[case.peer] = Skip(f"cannot be loaded ({first_line(error)})")
        if isinstance(self.updates[case.peer], Skip):
            raise self.updates[case.peer]
        return self.updates[case.peer]

    def load_now(self, peer):
        if peer == "triton selective_state_update":
            return load_mamba(self.args.mamba, "selective_state_update").selective_state_update
        if peer == "triton chunk scan":
            return load_mamba(self.args.mamba, "ssd_combined").mamba_chunk_scan_combined
        if self.args.flashinfer:
            sys.path.insert(0, str(pathlib.Path(self.args.flashinfer).expanduser()))
        return importlib.import_module("flashinfer.mamba").selective_state_update

    def random(self, *sizes):
        return self.torch.randn(*sizes, device="cuda", dtype=self.torch.bfloat16)

    def rates(self, *sizes):
        return -1 - 15 * self.torch.rand(*sizes, device="cuda", dtype=self.torch.float32)

    def states(self, case):
        """As many as there are layers, if they fit; (sessions, heads, head_dim, state) or without heads."""
        shape = case.shape
        sizes = (shape.heads, HEAD_DIM) if shape.mamba2 else (shape.inner,)
        count = max(2, min(shape.layers, STATE_BYTES_MAX // shape.state_bytes(case.sessions)))
        return [self.torch.zeros(case.sessions, *sizes, shape.state, device="cuda")
                for _ in range(count)]

    def update_calls(self, case, update):
        """A call for each state, with decays of its own."""
        shape, sessions = case.shape, case.sessions
        if shape.mamba2:  # of heads, each with one Δ and one decay
            x = self.random(sessions, shape.heads, HEAD_DIM)
            dt = self.random(sessions, shape.heads, 1).expand(-1, -1, HEAD_DIM)
            a = lambda: self.rates(shape.heads, 1, 1).expand(-1, HEAD_DIM, shape.state)
            d, dt_bias = (self.random(shape.heads, 1).expand(-1, HEAD_DIM) for _ in range(2))
            b, c = (self.random(sessions, 1, shape.state) for _ in range(2))
            z = None
        else:
            x, dt, z = (self.random(sessions, shape.inner) for _ in range(3))
            a = lambda: self.rates(shape.inner, shape.state)
            d, dt_bias = (self.random(shape.inner) for _ in range(2))
            b, c = (self.random(sessions, shape.state) for _ in range(2))
        return [lambda state=state, a=a(): update(state, x, dt, a, b, c, d, z=z, dt_bias=dt_bias,
                                                  dt_softplus=True) for state in self.states(case)]

    def scan_calls(self, case, scan):
        shape, sizes = case.shape, (case.sessions, case.tokens)
        x = self.random(*sizes, shape.heads, HEAD_DIM)
        dt = self.random(*sizes, shape.heads)
        b, c = (self.random(*sizes, 1, shape.state) for _ in range(2))
        a, d, dt_bias = self.rates(shape.heads), self.random(shape.heads), self.random(shape.heads)
        return [lambda state=state: scan(x, dt, a, b, c, chunk_size=256, D=d, dt_bias=dt_bias,
                                         initial_states=state, dt_softplus=True,
                                         return_final_states=True) for state in self.states(case)]

    def time(self, case):
        function = self.load(case)
        try:
            make = self.update_calls if case.tokens == 1 else self.scan_calls
            with self.torch.no_grad():
                return self.time_calls(make(case, function))
        except Exception as error:  # whatever a package of others raises on such a shape
            raise Skip(f"does not take this shape ({first_line(error)})") from error
        finally:
            self.torch.cuda.empty_cache()

    def time_calls(self, calls):
        cuda = self.torch.cuda
        stream = cuda.Stream()
        stream.wait_stream(cuda.current_stream())
        with cuda.stream(stream):  # compiles, and finds the best configuration
            for call in calls[:3] * 2:
                call()
        cuda.current_stream().wait_stream(stream)
        cuda.synchronize()
        graph = cuda.CUDAGraph()
        with cuda.graph(graph):
            for call in calls:
                call()
        repeats = max(1, round(RUN_MS / self.time_replays(graph, 3)))
        return [self.time_replays(graph, repeats) / len(calls) for _ in range(RUNS)]

    def time_replays(self, graph, repeats):
        """Milliseconds of one replay."""
        cuda = self.torch.cuda
        start, end = (cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(repeats):
            graph.replay()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / repeats


def timer_of(args):
    """What compare() takes. Without a GPU everything is skipped."""
    try:
        import torch
    except ImportError as error:
        reason = Skip(f"no PyTorch ({error})")
    else:
        if torch.cuda.is_available():
            return Peers(torch, args).time, torch.cuda.get_device_name()
        reason = Skip("PyTorch finds no GPU")

    def skip(_case):
        raise reason
    return skip, None


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True, type=pathlib.Path, metavar="FILE",
                        help="what kernels_bench --json wrote on this GPU")
    parser.add_argument("--mamba", metavar="DIR", help="folder with mamba_ssm in it")
    parser.add_argument("--flashinfer", metavar="DIR", help="folder with flashinfer in it")
    parser.add_argument("--rows", default="1,64,256", metavar="A,B",
                        help="sessions that decode (default: %(default)s)")
    parser.add_argument("--prompt", default="4x2048", metavar="SESSIONSxTOKENS",
                        help="for the chunk scan (default: %(default)s)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="all rows, for machines")
    return parser.parse_args(arguments)


def main(arguments=None):
    args = parse(arguments)
    report = json.loads(args.ours.read_text())
    time, gpu = timer_of(args)
    if gpu and gpu not in report["ceilings"]["gpu"]:
        print(f"ours is of {report['ceilings']['gpu']}, peers are timed on {gpu}: not comparable")
        return 1
    rows = compare(report, cases([int(row) for row in args.rows.split(",")],
                                 [int(side) for side in args.prompt.split("x")]), time)
    print(table(rows))
    if args.json:
        args.json.write_text(json.dumps(dict(bench="gpu_peers", gpu=gpu, rows=rows), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
