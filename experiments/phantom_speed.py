"""Rendering speed at 448 px with one and two processes.

    OMP_NUM_THREADS=1 python experiments/phantom_speed.py [rounds]

Medians over alternating rounds. Wall-clock rates depend on other load on the machine.
"""

from __future__ import annotations

import sys

from lapse.phantom.analysis.throughput import measure_speed


def main(rounds: int = 7) -> None:
    speed = measure_speed(rounds=rounds)
    print(f"{speed.size} px, {speed.rounds} rounds, load {speed.load:.1f}")
    print(f"  {speed.per_core_second:.1f} images per second of processor time")
    print(f"  {speed.per_second:.1f} images per second of wall-clock time")
    print(f"  two processes: {speed.scaling:.0%} of the rate of one, by processor time")
    print(f"  two processes: {speed.clock_scaling:.0%} of twice the rate of one, by wall clock")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]))
