"""How many replicas and how much of Redis a number of sessions takes: from the figures, by adding up."""

import json
import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from load import Load, Lognormal
from replica import TIERS, Machine
from sharing import LISTEN_S, WRITERS, SharingLimits
from store import Costs, StoreLimits

Json = dict[str, Any]


def read_figures(path: Path) -> Json:
    """figures.json without the words: of an object with a "value", that."""

    def strip(node: Any) -> Any:
        if isinstance(node, dict):
            if "value" in node:
                return strip(node["value"])
            return {
                key: strip(value) for key, value in node.items() if key not in ("source", "about")
            }
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
        slots = {
            tier: int(machine[f"{tier}_state_bytes"] / machine["state_bytes"]) for tier in TIERS
        }
        kept = {key: value for key, value in machine.items() if not key.endswith("_state_bytes")}
        kept["steps"] = [(streams, streams / rate) for streams, rate in kept.pop("decode_tok_s")]
        return Scenario(
            name,
            chosen["title"],
            Load(
                [
                    (kind["share"], Lognormal(kind["mean_s"], kind["sigma"]))
                    for kind in load["think"]
                ],
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
    ring_peak: float  # the fullest replica's sessions by the mean, with Envoy's ring as it is


def presence_s(scenario: Scenario) -> float:
    """Of each Redis's second, what one replica takes to be known as alive and to listen for wishes."""
    renewals = 3 / scenario.sharing.presence_s
    return renewals * scenario.costs.total("renew") + scenario.costs.total("listen") / LISTEN_S


@dataclass
class Demand:
    """What a session takes, in the mean of a long time."""

    turn_s: float  # of a busy replica
    turns_s: float  # of a session
    states_a_turn: float  # written
    bytes_a_turn: float
    calls_a_turn: float
    busy_a_turn: float  # of Redis's thread
    session_bytes: float  # in Redis
    left: float  # sessions that nobody comes back to, for each that is open


def demand(scenario: Scenario, moved: float = 1.0) -> Demand:
    """`moved`: the share of new sessions that are made at another replica than that of their place."""
    load, machine, sharing, costs = (
        scenario.load,
        scenario.machine,
        scenario.sharing,
        scenario.costs,
    )
    turn_s = machine.turn_s(load.prompt.mean, load.answer.mean)
    rate = 1 / (load.think_mean() + turn_s)
    # A session's turns that follow within `state_after` share a state that is written.
    states = 1 / (1 + sharing.state_after_s / load.think_mean())
    if states < 0.01:
        states = 0.0  # sessions are over before
    made = 1 / load.turns
    asked = 5 * made * moved  # small calls: three that ask, the wish and the giving up
    history = load.turns / 2 * (load.prompt.mean + load.answer.mean)
    state = machine.state_bytes if states else 0.0
    content = (
        sharing.image_bytes
        + history * sharing.image_token_bytes
        + state
        + scenario.redis["session_bytes"]
    )
    return Demand(
        turn_s=turn_s,
        turns_s=rate,
        states_a_turn=states,
        bytes_a_turn=sharing.record(load.prompt.mean, load.answer.mean)
        + states * machine.state_bytes
        + made * sharing.image_bytes,
        calls_a_turn=1 + states + made + asked,
        busy_a_turn=costs.total("append")
        + states * costs.total("put_state", machine.state_bytes)
        + made * costs.total("put_state", sharing.image_bytes)
        + asked * costs.total("renew"),
        session_bytes=content * scenario.redis["memory_by_bytes"],
        left=rate / load.turns * sharing.keep_s,
    )


def plan(scenario: Scenario, sessions: int) -> Plan:
    planning, one = scenario.planning, presence_s(scenario)
    needed = demand(scenario)
    rate = sessions * needed.turns_s
    held = sum(scenario.machine.slots.values())
    replicas = max(
        math.ceil(rate * needed.turn_s / planning["replica_busy"]), math.ceil(sessions / held), 2
    )
    needed = demand(scenario, 1 - 1 / replicas)
    presence = replicas * one
    cells = max(math.ceil(presence / planning["presence_busy"]), 1)
    needs = {
        "CPU": rate * needed.busy_a_turn / (planning["redis_busy"] - presence / cells),
        "memory": sessions * needed.session_bytes / scenario.redis["memory_bytes"],
        "network": rate
        * needed.bytes_a_turn
        / (planning["link_busy"] * scenario.store.link_bytes_s),
    }
    why = max(needs, key=lambda name: needs[name])
    return Plan(
        sessions=sessions,
        turns_s=rate,
        replicas=replicas,
        cells=cells,
        redis=cells * max(math.ceil(needs[why] / cells), 1),
        redis_why=why,
        redis_bytes=sessions * needed.session_bytes,
        redis_bytes_left=sessions * needed.left * needed.session_bytes,
        redis_bytes_s=rate * needed.bytes_a_turn,
        redis_calls_s=rate * needed.calls_a_turn
        + replicas * (3 / scenario.sharing.presence_s + 1 / LISTEN_S),
        redis_busy=rate * needed.busy_a_turn + presence,
        ring_peak=ring_peak(replicas, planning["ring_points"]),
    )


def breaks(scenario: Scenario) -> dict[str, float]:
    """With one Redis and all as it is by default: the open sessions at which each thing is at its end."""
    needed, machine, store, redis = (
        demand(scenario),
        scenario.machine,
        scenario.store,
        scenario.redis,
    )
    each = scenario.planning["replica_busy"] / (
        needed.turn_s * needed.turns_s
    )  # sessions of a replica
    fits = redis["memory_bytes"] / needed.session_bytes
    found = {
        "memory, and what is left": fits / (1 + needed.left),
        "memory": fits,
        "thread": 1 / (needed.turns_s * needed.busy_a_turn),
        "network": store.link_bytes_s / (needed.turns_s * needed.bytes_a_turn),
        "ring": each * uneven_from(scenario),
        "connections": each * redis["connections_max"] / (store.connections + 1),
        "presence": each / presence_s(scenario),
    }
    if needed.states_a_turn:
        seconds = (
            machine.state_bytes / machine.encode_bytes_s + machine.state_bytes / store.link_bytes_s
        )
        seconds += scenario.costs.total("put_state", machine.state_bytes)
        found["writers of one replica"] = (
            WRITERS / seconds / (needed.turns_s * needed.states_a_turn)
        )
    return found


def uneven_from(scenario: Scenario) -> int:
    """Replicas at which the fullest is asked for more than it can do, while the mean one is not."""
    planning = scenario.planning
    count = 2
    while ring_peak(count, planning["ring_points"]) * planning["replica_busy"] <= 1:
        count = math.ceil(count * 1.1)
    return count


def ring_shares(dice: random.Random, replicas: int, points: int) -> list[float]:
    """Of a consistent hash with so many points in all (Envoy gives each as many): gaps between them."""
    each = math.ceil(points / replicas)
    return [
        round(sum(dice.expovariate(1.0) for _ in range(each)) / each, 9) for _ in range(replicas)
    ]


def ring_peak(replicas: int, points: int) -> float:
    """The fullest of them by the mean; of more than 100,000 that of so many."""
    dice = random.Random("ring")
    shares = ring_shares(dice, min(replicas, 100_000), points if replicas < 100_000 else 1)
    return max(shares) * len(shares) / sum(shares)


def sample(plan_: Plan, planning: Json) -> tuple[int, int]:
    """To simulate, in a cell's proportion: all replicas, or as many as share one Redis."""
    replicas, redis = math.ceil(plan_.replicas / plan_.cells), plan_.redis // plan_.cells
    simulated = min(replicas, max(math.ceil(replicas / redis), planning["replicas_min"]))
    return simulated, max(round(simulated * redis / replicas), 1)
