"""How many replicas and how much of Redis a number of sessions takes: from the figures, by adding up. The simulation then
says what it is like there."""

import json
import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Tuple

from load import Load, Lognormal
from replica import TIERS, Machine
from sharing import LISTEN_S, SharingLimits
from store import Costs, StoreLimits

Json = Dict[str, Any]


def read_figures(path: Path) -> Json:
    """figures.json without the words: of an object with a "value" that, of one with "rows" too."""

    def strip(node: Any) -> Any:
        if isinstance(node, dict):
            if "value" in node:
                return strip(node["value"])
            return {key: strip(value) for key, value in node.items() if key not in ("source", "about")}
        return [strip(value) for value in node] if isinstance(node, list) else node

    figures = strip(json.loads(path.read_text(encoding="utf-8")))
    assert isinstance(figures, dict)
    return figures


@dataclass
class Scenario:
    name: str
    title: str
    load: Load
    machine: Machine
    sharing: SharingLimits
    store: StoreLimits
    costs: Costs
    redis: Json
    planning: Json

    @staticmethod
    def of(figures: Json, name: str) -> "Scenario":
        chosen = figures["scenarios"][name]
        load, machine = figures["load"], figures["machines"][chosen["machine"]]
        slots = {tier: int(machine[f"{tier}_state_bytes"] / machine["state_bytes"]) for tier in TIERS}
        kept = {key: value for key, value in machine.items() if not key.endswith("_state_bytes")}
        kept["steps"] = [(streams, streams / rate) for streams, rate in kept.pop("decode_tok_s")]
        return Scenario(
            name,
            chosen["title"],
            Load(
                [(kind["share"], Lognormal(kind["mean_s"], kind["sigma"])) for kind in load["think"]],
                load["turns"],
                Lognormal(**load["prompt_tokens"]),
                Lognormal(**load["answer_tokens"]),
                load["tokens_max"],
                load["popularity_sigma"],
            ),
            Machine(slots=slots, **{key: value for key, value in kept.items() if key != "title"}),
            SharingLimits(**{**figures["sharing"], **chosen.get("sharing", {})}),
            StoreLimits(**figures["store"]),
            Costs(figures["redis"]["rows"]),
            figures["redis"],
            figures["planning"],
        )


@dataclass
class Plan:
    sessions: int
    turns_s: float
    replicas: int
    cells: int  # fleets that share nothing with one another, each with its own Redis
    redis: int  # processes, of all cells
    redis_why: str
    redis_bytes: float  # of open sessions
    redis_bytes_left: float  # of those that nobody comes back to, until they end
    redis_bytes_s: float
    redis_calls_s: float
    redis_busy: float  # seconds of main threads a second
    presence_busy: float  # of that, in each Redis, when all replicas are one fleet
    ring_peak: float  # the fullest replica's sessions by the mean, with Envoy's ring as it is


def presence_s(scenario: Scenario) -> float:
    """Of each Redis's second, what one replica takes to be known as alive and to listen for wishes."""
    renewals = 3 / scenario.sharing.presence_s
    return renewals * scenario.costs.total("renew") + scenario.costs.total("listen") / LISTEN_S


def states_a_turn(scenario: Scenario) -> float:
    """Of a session's turns those within `state_after` of one another share a state that is written."""
    after = scenario.sharing.state_after_s
    return 1 / (1 + after / scenario.load.think_mean())


def plan(scenario: Scenario, sessions: int) -> Plan:
    load, machine, sharing, costs = scenario.load, scenario.machine, scenario.sharing, scenario.costs
    planning, redis = scenario.planning, scenario.redis
    turn_s = machine.turn_s(load.prompt.mean, load.answer.mean)
    rate = sessions / (load.think_mean() + turn_s)
    held = sum(machine.slots.values())
    replicas = max(math.ceil(rate * turn_s / planning["replica_busy"]), math.ceil(sessions / held), 2)

    tokens = load.prompt.mean + load.answer.mean
    record = sharing.record_bytes + tokens * sharing.record_token_bytes
    states = states_a_turn(scenario)
    record_only = 0.0 if states > 0.01 else 1.0  # then sessions have no state there at all
    # Each new session is made at one replica and asked for by another.
    made = 1 / load.turns
    moved = made * (1 - 1 / replicas)
    bytes_a_turn = record + states * machine.state_bytes + made * sharing.image_bytes
    calls_a_turn = 1 + states + made + 5 * moved
    busy_a_turn = (
        costs.total("append")
        + states * costs.total("put_state", machine.state_bytes)
        + made * costs.total("put_state", sharing.image_bytes)
        + 5 * moved * costs.total("renew")
    )
    one = presence_s(scenario)
    cells = max(math.ceil(replicas * one / planning["presence_busy"]), 1)
    history = load.turns / 2 * tokens
    session = sharing.image_bytes + history * sharing.image_token_bytes + machine.state_bytes * (1 - record_only)
    session = (session + redis["session_bytes"]) * redis["memory_by_bytes"]
    left = rate / load.turns * sharing.keep_s
    busy = rate * busy_a_turn
    usable = planning["redis_busy"] - planning["presence_busy"] * min(replicas * one / planning["presence_busy"], 1)
    needs = {
        "CPU": busy / usable,
        "memory": sessions * session / redis["memory_bytes"],
        "network": rate * bytes_a_turn / (planning["link_busy"] * scenario.store.link_bytes_s),
    }
    why = max(needs, key=lambda name: needs[name])
    return Plan(
        sessions=sessions,
        turns_s=rate,
        replicas=replicas,
        cells=cells,
        redis=cells * max(math.ceil(needs[why] / cells), 1),
        redis_why=why,
        redis_bytes=sessions * session,
        redis_bytes_left=left * session,
        redis_bytes_s=rate * bytes_a_turn,
        redis_calls_s=rate * calls_a_turn + replicas * (3 / sharing.presence_s + 1 / LISTEN_S),
        redis_busy=busy + replicas * one,
        presence_busy=replicas * one,
        ring_peak=ring_peak(replicas, planning["ring_points"]),
    )


def ring_shares(dice: random.Random, replicas: int, points: int) -> List[float]:
    """Of a consistent hash with so many points in all (Envoy rounds up to as many for each): gaps between random points."""
    each = math.ceil(points / replicas)
    return [round(sum(dice.expovariate(1.0) for _ in range(each)) / each, 9) for _ in range(replicas)]


def ring_peak(replicas: int, points: int) -> float:
    """The fullest of them by the mean. Of 100,000 and more the peak of as many grows no more that one could see."""
    dice = random.Random("ring")
    shares = ring_shares(dice, min(replicas, 100_000), points if replicas < 100_000 else 1)
    return max(shares) * len(shares) / sum(shares)


def sample(plan_: Plan, planning: Json) -> Tuple[int, int]:
    """Replicas and Redis processes to simulate, in the proportion of a cell's: all, or as many as share one Redis."""
    replicas, redis = math.ceil(plan_.replicas / plan_.cells), plan_.redis // plan_.cells
    simulated = min(replicas, max(math.ceil(replicas / redis), planning["replicas_min"]))
    return simulated, max(round(simulated * redis / replicas), 1)
