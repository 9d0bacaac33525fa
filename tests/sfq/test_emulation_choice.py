"""The choice of an emulation's next step against what it says in words: the earliest of all that waits and comes."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.sim import Simulator

from hdl.sfq.emulation_schedule import SkipChoice

CASES = 300


def situation(rng, delays, half):
    """What waits by queue (None: nothing), which queues something comes to, the stimulus, whether it ends the run."""
    now = int(rng.integers(4 * half))
    # Few different steps, so that many are the same; what waits came earlier than now, and so is due earlier.
    ahead = rng.integers(1, max(delays) + 1, 2)
    waits = [int(now + rng.choice(ahead)) if rng.random() < 0.5 and min(ahead) < delay else None for delay in delays]
    waits = [
        one if one is None or one < now + delay else now + delay - 1 if delay > 1 else None
        for one, delay in zip(waits, delays, strict=True)
    ]
    comes = [bool(one) for one in rng.random(len(delays)) < rng.choice([0, 0.3, 0.9])]
    near, last = bool(rng.random() < 0.7), bool(rng.random() < 0.3)
    after = rng.choice([int(rng.integers(1, half)), int(rng.choice(ahead)), int(rng.choice(delays))])
    stimulus = now + int(after if near else rng.integers(half, 4 * half))
    return now, waits, comes, stimulus, near, last


def chosen(delays, now, waits, comes, stimulus, near, last):
    """The next step, the queues that are due in it, whether the stimulus is its."""
    entries = [
        one if one is not None else now + delay if come else None
        for delay, one, come in zip(delays, waits, comes, strict=True)
    ]
    there = [one for one in entries if one is not None]
    take = not there or (near and (stimulus < min(there) if last else stimulus <= min(there)))
    step = stimulus if take else min(there)
    return step, [one == step for one in entries], take


@pytest.mark.parametrize("delays", [(5,), (1, 2, 3), (43, 58, 64, 90)])
def test_next_step_is_the_earliest(delays):
    bits = 1 + (2 * max(delays)).bit_length()
    half, mask = 1 << bits - 1, (1 << bits) - 1
    choice, rng = SkipChoice(delays, bits), np.random.default_rng(max(delays))
    seen = set()

    async def bench(context):
        for number in range(CASES):
            now, waits, comes, stimulus, near, last = case = situation(rng, delays, half)
            fed = [(choice.now, now), (choice.begun, 1), (choice.near, near), (choice.last, last)]
            fed.append((choice.stimulus_time, stimulus))
            for i, (delay, one, come) in enumerate(zip(delays, waits, comes, strict=True)):
                held = int(rng.integers(mask + 1)) if one is None else one  # where nothing waits there may be anything
                fed += [(choice.waits[i], one is not None), (choice.times[i], held), (choice.comes[i], come)]
                fed += [(choice.afters[i], now + delay), (choice.stimulus_rivals[i], stimulus - delay)]
                fed += [(choice.rivals[i][j], held - other) for j, other in enumerate(delays)]
            for port, value in fed:
                context.set(port, int(value) & (mask if len(port) > 1 else 1))
            await context.delay(1e-9)
            step, due, take = chosen(delays, *case)
            found = [bool(context.get(one)) for one in choice.due]
            assert (context.get(choice.next_now), found, context.get(choice.take)) == (step & mask, due, take), number
            seen.add((take, any(due)))

    simulator = Simulator(choice)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == {(False, True), (True, False), (True, True)}
