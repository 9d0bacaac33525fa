"""What the pattern cache of `pim.lut_gemv` saves, by the model that the gateware takes the cycles of."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.common import say
from hdl.pim.lut_gemv_config import LutGemvConfig
from sim.pim.lut_gemv_model import LutJob, cost

K, VECTORS = 1024, (1, 8, 64)


def pattern_cache() -> dict[str, Any]:
    """Cycles without the cache over cycles with it, for normal random numbers quantised by their largest."""
    rng = np.random.default_rng(1)
    found = {}
    for bits, group in ((4, 4), (8, 4), (4, 6), (8, 6)):
        for n in VECTORS:
            numbers = rng.normal(size=(n, K))
            index = np.rint(numbers / np.abs(numbers).max() * (2 ** (bits - 1) - 1)).astype(np.int8)
            table = rng.integers(-128, 128, K, np.int8)
            cycles = []
            for cache in (False, True):
                config = LutGemvConfig(group=group, tables=4, depth=64, pattern_cache=cache)
                job = LutJob(table, index, bits, "int32", np.zeros(n, np.uint32))
                cycles.append(cost(config, job).cycles)
            name = f"bits {bits}, group {group}, vectors {n}"
            found[name] = {"without": cycles[0], "with": cycles[1], "ratio": round(cycles[0] / cycles[1], 3)}
            say(f"cycles without / with the cache, {name}", cycles[0] / cycles[1], "", "above 1")
    return found
