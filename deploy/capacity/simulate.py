#!/usr/bin/env python3
"""Simulates fleets of ssmd from 10^4 to 10^8 sessions: what they take, what users feel, what a death costs.

../capacity.md has what comes of it. Figures are in figures.json, each with its source. The same figures, seed
and sizes give the same bytes. Python's standard library is all that it needs.

usage: simulate.py                         the tables, on standard output
       simulate.py --sizes 1e4 --scenarios cpu --json
       simulate.py --write                 tables into ../capacity.md, and ../capacity.svg (minutes)
"""

import argparse
import dataclasses
import json
import math
import multiprocessing
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plot
from clock import Clock, quantile
from plan import Plan, Scenario, breaks, plan, presence_s, read_figures, ring_shares, sample
from population import Fleet
from store import Server

HERE = Path(__file__).resolve().parent
PAGE, PICTURE = HERE.parent / "capacity.md", HERE.parent / "capacity.svg"
SIZES = [10**4, 10**5, 10**6, 10**7, 10**8]
PART = 10**6  # of more sessions, a part as of so many is simulated: they are so many fleets
WARM_UP_S, BACK_AFTER_S, BETWEEN_DEATHS_S = 20.0, 5.0, 8.0
Json = dict[str, Any]


@dataclasses.dataclass
class Effort:
    """How much is simulated: enough of each for the quantiles that are told."""

    turns: int = 20_000
    seconds_min: float = 20.0
    seconds_max: float = 100.0
    take_overs: int = 400
    deaths_max: int = 15


def make_fleet(scenario: Scenario, plan_: Plan, seed: int) -> Fleet:
    planning, clock = scenario.planning, Clock()
    replicas, redis = sample(plan_, planning)
    in_cell = math.ceil(plan_.replicas / plan_.cells)
    points = (
        max(planning["ring_points"], planning["ring_points_each"] * in_cell) * replicas // in_cell
    )
    shares = ring_shares(random.Random(f"{seed} ring"), replicas, points)
    others = (in_cell - replicas) * presence_s(scenario)
    servers = [Server(clock, scenario.redis["piece_s"], others) for _ in range(redis)]
    fleet = Fleet(
        clock,
        seed,
        scenario.load,
        scenario.machine,
        scenario.sharing,
        scenario.store,
        scenario.costs,
        servers,
        shares,
    )
    # Within `state_after` of a day sessions of hours have no state in the store.
    fleet.fill(
        round(plan_.sessions * replicas / plan_.replicas),
        states_are_stored=scenario.sharing.state_after_s < scenario.load.think_mean(),
    )
    return fleet


def simulate(scenario: Scenario, plan_: Plan, seed: int, effort: Effort) -> Json:
    """A calm while, then deaths one after the other."""
    fleet = make_fleet(scenario, plan_, seed)
    clock, replicas = fleet.clock, len(fleet.replicas)
    rate = plan_.turns_s * replicas / plan_.replicas
    calm_s = min(max(effort.turns / rate, effort.seconds_min), effort.seconds_max)
    clock.run(WARM_UP_S)
    fleet.reset()
    clock.run(WARM_UP_S + calm_s)
    calm = fleet.figures
    busy = sum(replica.engine.busy_s for replica in fleet.replicas) / replicas / calm_s
    redis_busy = sum(server.busy_s for server in fleet.servers) / len(fleet.servers) / calm_s
    sources = {
        source: count / len(calm.first_token) for source, count in sorted(calm.sources.items())
    }
    slots = sum(replica.engine.tiers.count("device") for replica in fleet.replicas) / replicas

    fleet.reset()
    running = sum(replica.engine.inside.value for replica in fleet.replicas) / replicas
    expected = rate / replicas * scenario.sharing.presence_s + running
    deaths = min(max(math.ceil(effort.take_overs / expected), 2), effort.deaths_max)
    order = random.Random(f"{seed} deaths").sample(range(replicas), replicas)
    for death in range(deaths):
        fleet.kill(order[death % replicas], BACK_AFTER_S)
        clock.run(clock.now + BETWEEN_DEATHS_S)
    after = fleet.figures
    return {
        "plan": dataclasses.asdict(plan_),
        "simulated": {
            "replicas": replicas,
            "redis": len(fleet.servers),
            "seconds": round(calm_s, 3),
            "deaths": deaths,
        },
        "turns": {
            "arrived": after.arrived,
            "served": after.served,
            "refused": after.refused,
            "inside": fleet.in_flight,
        },
        "first_token_s": quantiles(calm.first_token, (0.5, 0.99, 0.999)),
        "state_was": rounded(sources),
        "replica_busy": round(busy, 4),
        "redis_busy": round(redis_busy, 4),
        "redis_bytes_s": round(calm.written_bytes / calm_s * plan_.replicas / replicas),
        "slots_used": round(slots, 1),
        "record_lag_s": quantiles(calm.record_lag, (0.5, 0.99)),
        "state_lag_s": quantiles(calm.state_lag, (0.5, 0.99)),
        "renewals_failed": round(calm.renewals_failed / max(calm.renewals, 1), 5),
        "presence_lost": calm.presence_lost,
        "take_overs": len(after.take_over),
        "take_over_s": quantiles(after.take_over, (0.5, 0.99)),
        "take_over_first_token_s": quantiles(after.take_over_first_token, (0.5, 0.99)),
        "commits_lost": after.commits_lost,
    }


def quantiles(values: Sequence[float], shares: Sequence[float]) -> list[float]:
    return [round(quantile(values, share), 4) for share in shares]


def rounded(shares: dict[str, float]) -> dict[str, float]:
    return {name: round(share, 4) for name, share in shares.items()}


def run(job: tuple[str, str, int, int, Effort]) -> Json:
    path, name, sessions, seed, effort = job
    scenario = Scenario.of(read_figures(Path(path)), name)
    return simulate(scenario, plan(scenario, sessions), seed, effort)


def at_size(scenario: Scenario, sessions: int, part: Json) -> Json:
    """A part's figures with the plan of the whole."""
    whole = dataclasses.asdict(plan(scenario, sessions))
    by_part = whole["replicas"] / part["plan"]["replicas"]
    return {**part, "plan": whole, "redis_bytes_s": round(part["redis_bytes_s"] * by_part)}


# --- Tables ---


def power(count: float) -> str:
    return "10" + "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in str(round(math.log10(count))))


def amount(value: float, unit: str = "") -> str:
    """Two digits and a prefix."""
    for prefix, factor in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= factor * 0.9995:
            return f"{value / factor:.3g} {prefix}{unit}".rstrip()
    return f"{value:.2g} {unit}".rstrip() if value < 10 else f"{value:.0f} {unit}".rstrip()


def duration(seconds: float) -> str:
    if math.isnan(seconds):
        return "none"
    if seconds < 0.0995:
        return f"{seconds * 1e3:.2g} ms"
    return f"{seconds * 1e3:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"


def durations(values: Sequence[float]) -> str:
    return " / ".join(duration(value) for value in values)


HEAD = [
    "sessions", "turns/s", "replicas", "sessions of one: all, in slots", "Redis: bytes", "written/s",
    "calls/s", "threads busy", "processes, for want of", "commit, state in it after (p99)",
    "take-over p50 / p99",
    "its first token p50 / p99", "first token p50 / p99 / p99.9",
]  # fmt: skip


def row(result: Json) -> list[str]:
    made = result["plan"]
    cells = f" in {made['cells']} cells" if made["cells"] > 1 else ""
    return [
        power(made["sessions"]),
        f"{made['turns_s']:,.0f}",
        f"{made['replicas']:,}{cells}",
        f"{made['sessions'] / made['replicas']:,.0f}, {result['slots_used']:,.0f}",
        amount(made["redis_bytes"], "B"),
        amount(result["redis_bytes_s"], "B"),
        amount(made["redis_calls_s"]),
        f"{made['redis_busy']:,.0f}" if made["redis_busy"] >= 100 else f"{made['redis_busy']:.3g}",
        f"{made['redis']:,} ({made['redis_why']})",
        f"{duration(result['record_lag_s'][1])}, {duration(result['state_lag_s'][1])}",
        durations(result["take_over_s"]),
        durations(result["take_over_first_token_s"]),
        durations(result["first_token_s"]),
    ]


def table(title: str, results: Sequence[Json]) -> str:
    lines = [
        f"**{title[:1].upper()}{title[1:]}**",
        "",
        "| " + " | ".join(HEAD) + " |",
        "|" + "---|" * len(HEAD),
    ]
    return "\n".join([*lines, *("| " + " | ".join(row(result)) + " |" for result in results)])


BREAKS = {
    "memory, and what is left": "memory of one Redis, sessions that are over included (`--shared-keep`)",
    "memory": "memory of one Redis, nothing left behind",
    "thread": "its thread is busy all the time",
    "network": "its 10 Gb/s are full",
    "writers of one replica": "a single replica's two writers are busy all the time",
    "ring": "the fullest of Envoy's ring is asked for more than it can do",
    "connections": "`maxclients` of Redis's default, 10,000",
    "presence": "presence alone keeps a Redis busy",
}


def breaks_table(scenarios: Sequence[Scenario]) -> str:
    found = [breaks(scenario) for scenario in scenarios]
    lines = [
        "| open sessions at which | "
        + " | ".join(f"`{scenario.name}`" for scenario in scenarios)
        + " |"
    ]
    lines.append("|---|" + "---|" * len(scenarios))
    for name, what in BREAKS.items():
        cells = [f"{significant(limits[name]):,}" if name in limits else "none" for limits in found]
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def significant(value: float) -> int:
    """Two digits: more would be pretence."""
    return int(float(f"{value:.1e}"))


def replace_tables(page: str, tables: dict[str, str]) -> str:
    """Between the page's marks."""
    for name, text in tables.items():
        begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        head, rest = page.split(begin)
        page = head + begin + "\n" + text + "\n" + end + rest.split(end, 1)[1]
    return page


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\nusage")[0])
    parser.add_argument("--figures", default=str(HERE / "figures.json"))
    parser.add_argument("--scenarios", help="names in figures.json, with commas between them (all)")
    parser.add_argument(
        "--sizes", help="numbers of sessions, with commas between them (1e4 to 1e8)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="all that is known, in place of tables")
    parser.add_argument(
        "--write", action="store_true", help="into ../capacity.md, and ../capacity.svg"
    )
    options = parser.parse_args(arguments)
    titles = {
        name: entry["title"]
        for name, entry in read_figures(Path(options.figures))["scenarios"].items()
    }
    names = options.scenarios.split(",") if options.scenarios else list(titles)
    sizes = [int(float(size)) for size in options.sizes.split(",")] if options.sizes else SIZES
    for name in names:
        if name not in titles:
            sys.exit(f"simulate.py: there is no scenario {name}; there are {', '.join(titles)}")
    if min(sizes) < 100 or max(sizes) > 10**9:
        sys.exit("simulate.py: sizes are from 100 to 1e9 sessions")
    scenarios = {name: Scenario.of(read_figures(Path(options.figures)), name) for name in names}
    parts = sorted({min(size, PART) for size in sizes})
    jobs = [
        (options.figures, name, size, options.seed, Effort()) for size in parts for name in names
    ]
    with multiprocessing.Pool(maxtasksperchild=1) as pool:
        found = pool.map(run, jobs, chunksize=1)
    made = {(job[1], job[2]): result for job, result in zip(jobs, found)}
    results = {
        name: [at_size(scenarios[name], size, made[name, min(size, PART)]) for size in sizes]
        for name in names
    }
    if options.json:
        json.dump(results, sys.stdout, indent=1)
        print()
    tables = {name: table(titles[name], results[name]) for name in names}
    tables["breaks"] = breaks_table(list(scenarios.values()))
    if options.write:
        PAGE.write_text(replace_tables(PAGE.read_text(encoding="utf-8"), tables), encoding="utf-8")
        PICTURE.write_text(plot.draw(results), encoding="utf-8")
    elif not options.json:
        print("\n\n".join(tables.values()))


if __name__ == "__main__":
    main(sys.argv[1:])
