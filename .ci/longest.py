"""Passes the output of `cargo test` on and ends with the tests that took longest.

Stable libtest says when a test ended, not when it began. But it begins them in the order of their names, as many at
once as RUST_TEST_THREADS says, and the next one whenever one ends: so every beginning can be told from the ends.
"""

import os
import re
import sys
import time

RUNNING = re.compile(r"running (\d+) tests?$")
DONE = re.compile(r"test (.+?)(?: - should panic)? \.\.\. (?:ok|FAILED|ignored)\b")


def durations(began, ends, threads):
    """How long each test of one program ran; `ends` are (name, when), as they came.

    Two at a time: `c` begins when `a` has ended, `d` when `c` has.

    >>> durations(0, [("a", 3), ("c", 5), ("b", 10), ("d", 11)], 2)
    [(3, 'a'), (2, 'c'), (10, 'b'), (6, 'd')]

    One that never ended (the program broke off) shifts nothing that came before it.

    >>> durations(0, [("a", 3)], 2)
    [(3, 'a')]
    """
    order = sorted(name for name, _ in ends)
    begins = dict.fromkeys(order[:threads], began)
    waiting = order[threads:]
    took = []
    for name, when in ends:
        took.append((when - begins.get(name, when), name))
        if waiting:
            begins[waiting.pop(0)] = when
    return took


def main(threads):
    took, began, ends = [], 0.0, []
    for line in sys.stdin:
        sys.stdout.write(line)
        sys.stdout.flush()
        now = time.monotonic()
        if RUNNING.match(line.strip()):
            took += durations(began, ends, threads)
            began, ends = now, []
        elif done := DONE.match(line):
            ends.append((done[1], now))
    took += durations(began, ends, threads)
    print("\nThe longest ten tests:")
    for seconds, name in sorted(took, reverse=True)[:10]:
        print(f"{seconds:8.1f} s  {name}")


if __name__ == "__main__":
    main(int(os.environ["RUST_TEST_THREADS"]))
