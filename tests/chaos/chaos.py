"""What happens to conversations when things break: README.md.

Ends with 1 where a promise was not kept, and with 77 where nothing could run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import clock_faults
import disk_faults
import front_faults
import partition
import redis_faults
import replica_faults
import signal_storms
from figures import Report

SKIPPED = 77  # as ctest and run.sh have it
Scenario = Callable[[Path, argparse.Namespace], Report]
SCENARIOS: dict[str, Scenario] = {
    "kills": replica_faults.kills,
    "restarts": replica_faults.restarts,
    "redis": redis_faults.redis,
    "partition": partition.partitions,
    "envoy": front_faults.envoy,
    "disk": disk_faults.disk,
    "clock": clock_faults.clocks,
    "storms": signal_storms.storms,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", choices=[*SCENARIOS, "all"])
    parser.add_argument("--seed", type=int, default=1, help="draws prompts, pauses and victims")
    parser.add_argument(
        "--seconds", type=float, default=60, help="of kills; half of it of envoy and storms (60)"
    )
    parser.add_argument(
        "--every", type=float, default=5, help="seconds from kill to kill, at most (5)"
    )
    parser.add_argument("--restarts", type=int, default=100, help="rolling ones (100)")
    parser.add_argument(
        "--fault-seconds",
        type=float,
        default=5,
        help="each of Redis's lasts; clocks jump for twice as long (5)",
    )
    parser.add_argument(
        "--fault", choices=list(redis_faults.FAULTS), help="only this one of Redis's"
    )
    parser.add_argument("--conversations", type=int, default=200, help="at once (200)")
    parser.add_argument("--turns", type=int, default=5, help="of a conversation (5)")
    parser.add_argument("--json", type=Path, help="a file for the report")
    parser.add_argument("--keep", type=Path, help="a folder for logs, which stays; else none do")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    chosen = list(SCENARIOS) if options.scenario == "all" else [options.scenario]
    reports: dict[str, Report] = {}
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="ssmd-chaos-") as folder:
            where = Path(folder)
            if options.keep is not None:
                where = options.keep / f"{name}-{options.seed}-{os.getpid()}"
                where.mkdir(parents=True)
            reports[name] = SCENARIOS[name](where, options)
    if options.json is not None:
        options.json.write_text(json.dumps(reports, indent=2) + "\n")
    broken = [what for report in reports.values() for what in report["violations"]]
    for what in broken[:20]:
        print(f"BROKEN: {what}")
    skipped = [name for name in chosen if reports[name].get("skipped")]
    if skipped:
        print(f"skipped, as said above: {', '.join(skipped)}")
    if ran := [name for name in chosen if name not in skipped]:
        print(f"{', '.join(ran)}: seed {options.seed}: {len(broken)} promises broken")
    if not ran:
        return SKIPPED
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
