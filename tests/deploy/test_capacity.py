"""deploy/capacity: what holds of any run, cases whose answers are known, and the tables of capacity.md."""

import dataclasses
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy/capacity"))

from clock import Clock, Level, quantile  # noqa: E402
from load import Load, Lognormal  # noqa: E402
from plan import Plan, Scenario, plan, read_figures, ring_peak  # noqa: E402
from replica import Engine, Machine, Turn  # noqa: E402
from simulate import Effort, make_fleet, row, run, simulate  # noqa: E402
from store import Costs, Server, Store  # noqa: E402

FIGURES = ROOT / "deploy/capacity/figures.json"
SMALL = Effort(turns=1_000, seconds_min=10, seconds_max=30, take_overs=30, deaths_max=2)
PAGE = ROOT / "deploy/capacity.md"


def scenario(name: str = "cpu") -> Scenario:
    return Scenario.of(read_figures(FIGURES), name)


def machine(**changed: Any) -> Machine:
    made = Machine(
        steps=[(1, 0.01), (10, 0.02)], prefill_tok_s=1e9, token_budget=512, prompt_budget=64, max_running=256,
        max_waiting=10**9, state_bytes=1e6, slots={"device": 10**6, "host": 0, "disk": 0}, host_bytes_s=1e10,
        disk_bytes_s=1e9, disk_latency_s=0.0, encode_bytes_s=1e9,
    )  # fmt: skip
    return dataclasses.replace(made, **changed)


def poisson(
    clock: Clock, rate: float, count: int, arrive: Callable[[], None], seed: int = 1
) -> float:
    """The time of the last arrival."""
    dice, at = random.Random(seed), 0.0
    for _ in range(count):
        at += dice.expovariate(rate)
        clock.at(at, arrive)
    return at


# --- The same seed ---


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    chosen = scenario()
    made = [json.dumps(simulate(chosen, plan(chosen, 1000), seed, SMALL)) for seed in (1, 1, 2)]
    assert made[0] == made[1]
    assert made[0] != made[2]


# --- Queues whose means are known ---


def waits(run_s: Callable[[], float], rate: float, count: int = 40_000) -> float:
    clock, waited = Clock(), []
    server = Server(clock, piece_s=1.0)

    def arrive() -> None:
        arrived, work = clock.now, run_s()
        server.submit(0.0, work, 0, lambda: waited.append(clock.now - arrived - work))

    poisson(clock, rate, count, arrive)
    clock.run(1e9)
    assert len(waited) == count
    return sum(waited) / count


def test_a_redis_whose_calls_all_take_as_long_waits_as_m_d_1() -> None:
    busy, work = 0.7, 0.01
    expected = work * busy / (2 * (1 - busy))  # Pollaczek and Khinchine
    assert waits(lambda: work, busy / work) == pytest.approx(expected, rel=0.06)


def test_a_redis_whose_calls_are_exponential_waits_as_m_m_1() -> None:
    busy, work, dice = 0.7, 0.01, random.Random(5)
    expected = work * busy / (1 - busy)
    assert waits(lambda: dice.expovariate(1 / work), busy / work) == pytest.approx(
        expected, rel=0.08
    )


@pytest.mark.parametrize(("io_s", "run_s", "passes"), [(1.0, 0.0, True), (0.0, 1.0, False)])
def test_small_calls_pass_a_large_one_while_it_is_read_only(
    io_s: float, run_s: float, passes: bool
) -> None:
    clock = Clock()
    ends: dict[str, float] = {}
    server = Server(clock, piece_s=0.01)
    server.submit(io_s, run_s, 0, lambda: ends.setdefault("large", clock.now))
    clock.at(0.1, lambda: server.submit(0.0, 0.001, 0, lambda: ends.setdefault("small", clock.now)))
    clock.run(10)
    assert (ends["small"] < 0.2) == passes
    assert ends["large"] == pytest.approx(1.0, abs=0.02)


def test_presence_of_others_slows_a_redis_by_its_share() -> None:
    clock = Clock()
    server = Server(clock, piece_s=1.0, taken=0.2)
    server.submit(0.0, 0.08, 0, lambda: None)
    clock.run(1)
    assert server.busy_s == pytest.approx(0.1)


def one_at_a_time(clock: Clock, ended: Callable[[Turn], None]) -> Engine:
    return Engine(
        clock, machine(max_running=1, steps=[(1, 0.01)]), lambda _: None, ended, lambda _: None
    )


def test_an_engine_that_runs_one_turn_at_a_time_is_m_d_1_and_keeps_littles_law() -> None:
    clock, busy, steps, count = Clock(), 0.6, 10, 20_000
    spent: list[float] = []
    engine = one_at_a_time(clock, lambda turn: spent.append(clock.now - turn.arrived))
    # The prompt's step takes no time worth speaking of, the first token comes with it.
    service = 0.01 * (steps - 1)
    rate = busy / service
    last = poisson(clock, rate, count, lambda: engine.offer(Turn(object(), clock.now, 1, steps)))
    clock.run(last)
    inside = engine.inside.mean()
    clock.run(1e9)
    assert len(spent) == count
    mean = sum(spent) / count
    assert mean == pytest.approx(service * (1 + busy / (2 * (1 - busy))), rel=0.06)
    assert inside == pytest.approx(rate * mean, rel=0.03)


def test_littles_law_holds_for_a_fleet() -> None:
    chosen = scenario()
    fleet = make_fleet(chosen, plan(chosen, 2000), 1)
    fleet.clock.run(20)
    fleet.reset()
    level, spent = Level(fleet.clock), []
    level.add(fleet.in_flight)
    arrive, over = fleet._arrive, fleet._over
    ends: dict[str, int] = {"in": 0}

    def arrived(session: Any) -> None:
        level.add(1)
        ends["in"] += 1
        arrive(session)

    def ended(turn: Turn) -> None:
        level.add(-1)
        spent.append(fleet.clock.now - turn.arrived)
        over(turn)

    setattr(fleet, "_arrive", arrived)  # noqa: B010 (mypy: a method)
    setattr(fleet, "_over", ended)  # noqa: B010
    fleet.clock.run(420)
    assert level.mean() == pytest.approx(ends["in"] / 400 * sum(spent) / len(spent), rel=0.05)


# --- Limits of what there is ---


def test_without_thinking_a_replica_gives_all_it_has() -> None:
    clock, streams = Clock(), 10
    engine: Engine

    def again(turn: Turn) -> None:
        engine.offer(Turn(turn.session, clock.now, 1, 100))

    engine = Engine(clock, machine(), lambda _: None, again, lambda _: None)
    for name in range(streams):
        engine.offer(Turn(name, 0.0, 1, 100))
    clock.run(200)
    assert engine.busy_s == pytest.approx(200, rel=0.01)
    assert engine.tokens / 200 == pytest.approx(streams / 0.02, rel=0.03)


def test_a_full_engine_refuses_and_counts() -> None:
    clock = Clock()
    refused: list[Turn] = []
    ended: list[Turn] = []
    engine = Engine(
        clock, machine(max_running=1, max_waiting=2), lambda _: None, ended.append, refused.append
    )
    for name in range(5):
        engine.offer(Turn(name, 0.0, 1, 5))
    clock.run(10)
    assert (len(ended), len(refused)) == (3, 2)


def test_states_go_down_the_tiers_and_cost_their_way_back() -> None:
    clock, first = Clock(), []
    chosen = machine(
        slots={"device": 1, "host": 1, "disk": 1},
        host_bytes_s=1e6,
        disk_bytes_s=1e6,
        state_bytes=1e6,
    )
    engine = Engine(
        clock,
        chosen,
        lambda turn: first.append((turn.source, clock.now)),
        lambda _: None,
        lambda _: None,
    )
    for name in ("a", "b", "c", "d"):
        engine.tiers.put(name)
    assert [engine.tiers.find(name) for name in ("a", "b", "c", "d")] == [
        None,
        "disk",
        "host",
        "device",
    ]
    for name in ("d", "c", "b"):
        engine.offer(Turn(name, 0.0, 1, 1))
    clock.run(10)
    assert [source for source, _ in first] == ["device", "host", "disk"]
    assert [time for _, time in first] == pytest.approx([0.0, 1.0, 2.0], abs=0.02)


# --- Redis's clients ---


def test_a_call_fails_at_its_deadline_and_the_next_at_once_until_the_breaker_closes() -> None:
    chosen = scenario()
    clock, told = Clock(), []
    server = Server(clock, piece_s=1.0)
    costs = Costs([{"call": "renew", "bytes": 0, "cpu_us": 1.0, "exec_us": 1.0}])
    store = Store(clock, server, costs, chosen.store)
    server.submit(0.0, 0.2, 0, lambda: None)  # somebody's long command
    store.call("renew", 0, lambda well: told.append((well, clock.now)))
    clock.at(0.1, lambda: store.call("renew", 0, lambda well: told.append((well, clock.now))))
    clock.at(0.3, lambda: store.call("renew", 0, lambda well: told.append((well, clock.now))))
    clock.run(1)
    assert [well for well, _ in told] == [False, False, True]
    assert told[0][1] == pytest.approx(chosen.store.timeout_s)
    assert told[1][1] == pytest.approx(0.1)


def test_costs_go_through_what_was_measured() -> None:
    rows = read_figures(FIGURES)["redis"]["rows"]
    costs = Costs(rows)
    for entry in rows:
        assert costs.total(entry["call"], entry["bytes"]) == pytest.approx(entry["cpu_us"] * 1e-6)
    between = costs.total("put_state", 1_000_000)
    assert costs.total("put_state", 233_472) < between < costs.total("put_state", 2_801_664)


# --- Fleets ---


@pytest.mark.parametrize("name", ["cpu", "gpu", "gpu-tokens"])
def test_every_turn_is_served_or_refused_once_and_what_is_committed_is_written(name: str) -> None:
    chosen = scenario(name)
    fleet = make_fleet(chosen, plan(chosen, 1000), 3)
    fleet.clock.run(60)
    fleet.kill(0, 5.0)
    fleet.clock.run(120)
    figures = fleet.figures
    assert figures.served > 50
    assert figures.arrived == figures.served + figures.refused + fleet.in_flight
    waiting = sum(
        size
        for replica in fleet.replicas
        for _, _, session in replica._due
        for _, size, _ in session.records
    )
    assert figures.written_bytes + waiting + figures.commits_lost * 1e5 >= figures.noted_bytes


def test_without_a_death_nothing_is_taken_over_and_with_one_it_waits_for_presence_to_end() -> None:
    chosen = scenario()
    fleet = make_fleet(chosen, plan(chosen, 3000), 1)
    fleet.clock.run(60)
    assert fleet.figures.taken_over == 0
    assert fleet.figures.commits_lost == 0
    assert fleet.figures.take_over == []
    fleet.kill(0, 5.0)
    fleet.clock.run(75)
    assert fleet.figures.taken_over > 0
    waited, presence = fleet.figures.take_over, chosen.sharing.presence_s
    # The last renewal was up to a third of it before the death.
    assert 2 / 3 * presence - 0.3 < max(waited) < presence + 0.5


def test_what_the_store_has_no_state_of_is_read_again() -> None:
    firsts = {}
    for after in (1.0, 86400.0):
        chosen = scenario()
        chosen = dataclasses.replace(
            chosen, sharing=dataclasses.replace(chosen.sharing, state_after_s=after)
        )
        fleet = make_fleet(chosen, plan(chosen, 3000), 1)
        fleet.clock.run(30)
        fleet.kill(0, 5.0)
        fleet.clock.run(60)
        firsts[after] = quantile(fleet.figures.take_over_first_token, 0.5)
    assert firsts[86400.0] > firsts[1.0] + 0.5


# --- Adding up ---


def test_a_plan_grows_with_its_sessions() -> None:
    chosen = scenario()
    plans: list[Plan] = [plan(chosen, 10**power) for power in range(4, 9)]
    for less, more in zip(plans, plans[1:]):
        assert more.turns_s == pytest.approx(10 * less.turns_s)
        assert 9 * less.replicas <= more.replicas <= 10 * less.replicas
        assert more.redis > less.redis
    assert plans[0].cells == 1 < plans[-1].cells


def test_a_ring_with_a_point_for_each_is_uneven_and_with_many_is_not() -> None:
    assert ring_peak(1000, 4096) > 2
    assert ring_peak(1000, 200_000) < 1.4


def test_a_pause_that_is_met_is_longer_than_one_that_is_drawn() -> None:
    load = Load([(1.0, Lognormal(10.0, 1.0))], 20, Lognormal(1, 0), Lognormal(1, 0), 10, 0.0)
    dice = random.Random(1)
    met = [sum(load.draw_met_pause(dice)) for _ in range(20_000)]
    drawn = [load.draw_think(dice) for _ in range(20_000)]
    assert sum(drawn) / len(drawn) == pytest.approx(10.0, rel=0.05)
    assert sum(met) / len(met) == pytest.approx(10.0 * 2.718, rel=0.1)  # E[x²] / E[x]


# --- The page ---


@pytest.mark.parametrize("name", ["cpu", "gpu-tokens"])
def test_the_page_says_what_the_simulation_does(name: str) -> None:
    text = (
        PAGE.read_text(encoding="utf-8")
        .split(f"<!-- {name} -->")[1]
        .split(f"<!-- end of {name} -->")[0]
    )
    expected = "| " + " | ".join(row(run((str(FIGURES), name, 10**4, 1, Effort())))) + " |"
    assert expected in text.splitlines()


def test_every_figure_says_where_it_is_from() -> None:
    def walk(node: Any, path: str) -> None:
        if isinstance(node, dict) and "value" in node:
            assert node.get("source"), path
        elif isinstance(node, dict):
            for key, value in node.items():
                walk(value, f"{path}.{key}")
        else:
            assert path.endswith(("about", "title")) or ".scenarios." in path, path

    walk(json.loads(FIGURES.read_text(encoding="utf-8")), "")


def test_a_wrong_size_or_scenario_is_named() -> None:
    for arguments, word in (
        (["--sizes", "5"], "sizes are from"),
        (["--scenarios", "tpu"], "no scenario tpu"),
    ):
        command = [sys.executable, str(ROOT / "deploy/capacity/simulate.py"), *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 1
        assert word in ended.stderr
