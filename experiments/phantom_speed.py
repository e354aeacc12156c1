"""Simulated images per second at 448 px, one process and two: a line of figures.

    OMP_NUM_THREADS=1 python experiments/phantom_speed.py [rounds]

Medians over alternating rounds; `clock` figures mean little beside other busy processes.
"""

from __future__ import annotations

import sys

from lapse.phantom.analysis.throughput import measure_speed


def main(rounds: int = 7) -> None:
    speed = measure_speed(rounds=rounds)
    print(f"{speed.size} px, {speed.rounds} rounds, load {speed.load:.1f}")
    print(f"  {speed.per_core_second:.1f} images per second of one core's time")
    print(f"  {speed.per_second:.1f} images per second by the clock")
    print(f"  two processes: {speed.scaling:.0%} of the speed of each alone, by processor time")
    print(f"  two processes: {speed.clock_scaling:.0%} of twice one process, by the clock")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]))
