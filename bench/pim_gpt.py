"""GPT models and products on channels: cycles, row hits, utilisation; how fast the burst simulator is."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from bench.common import one_core, say
from flows.pim.gemv import gemv
from flows.pim.gpt import gpt_token
from flows.pim.orders import ORDERS, ordered_channel, simulator
from hdl.pim.commands import Command, Instruction, Op, encode_program
from sim.pim.gemv import Gemv
from sim.pim.gpt_models import MODELS
from sim.pim.gpt_token import token

CONTEXT = 512

EXPECTED_CYCLES = {
    "gpt2-small": 116_043,
    "gpt2-medium": 311_014,
    "gpt2-large": 687_238,
    "gpt2-xl": 1_377_354,
    "gpt3-small": 116_043,
    "gpt3-medium": 311_014,
    "gpt3-large": 635_517,
    "gpt3-xl": 1_063_551,
}
"""Of the closed form for packed rows with refresh, readout 3 cycles, before any simulator was written."""


def gpt() -> dict[str, Any]:
    """A token of the eight models in each order."""
    found: dict[str, Any] = {}
    for order in ORDERS:
        found[order] = {}
        for name in MODELS:
            one = gpt_token(name, CONTEXT, "pimgpt", order, None, 8)
            still = gpt_token(name, CONTEXT, "pimgpt", order, "off", 8)
            keys = ["cycles", "product_cycles", "row_hit_rate"]
            keys += ["utilisation", "utilisation_with_refresh", "utilisation_with_cache"]
            found[order][name] = {key: one[key] for key in keys} | {
                "utilisation_without_refresh": still["utilisation"],
                "refresh_cycles": one["cycles_by_product"]["refresh"],
                "cache_cycles": one["cycles_by_product"]["cache"],
                "of_expected_cycles": round(
                    (one["product_cycles"] + one["cycles_by_product"]["refresh"]) / EXPECTED_CYCLES[name], 3
                ),
            }
        least = min(one["utilisation"] for one in found[order].values())
        target = {"serial": "56", "two-rows": "85"}.get(order, "-")
        say(f"{order}: least utilisation of the eight", 100 * least, "%", target)
        least = min(one["utilisation_with_refresh"] for one in found[order].values())
        say(f"{order}: the same, of products and refreshes", 100 * least, "%", "-")
        hits = min(one["row_hit_rate"] for one in found[order].values())
        say(f"{order}: fewest row hits of the eight", 100 * hits, "%", "98.1")
    return found


def large_gemv() -> dict[str, Any]:
    """4096 by 4096 with aim's times."""
    found = {
        "serial": gemv(4096, 4096, "aim", "serial", None, 8)["cycles"],
        "overlap": gemv(4096, 4096, "aim", "overlap", None, 8, mode_switch=False)["cycles"],
        "two-rows": gemv(4096, 4096, "aim", "two-rows", None, 8, mode_switch=False)["cycles"],
    }
    for order, target in (("serial", "37120 (peer)"), ("overlap", "29100"), ("two-rows", "17000")):
        say(f"GEMV 4096 x 4096, aim, {order}", found[order], "cycles", target)
    return found


def burst() -> dict[str, Any]:
    """Simulated cycles a second, and seconds a token, on one core's processor time; best of five."""
    found: dict[str, Any] = {"mcycle_per_s": {}, "token_s": {}}
    with one_core():
        for profile, order in (("aim", "serial"), *(("pimgpt", order) for order in ORDERS)):
            config = ordered_channel(profile, order, "on")
            plan = Gemv(config, 50257, 4096, channels=8)
            words = np.tile(encode_program([*plan.program.instructions, Instruction(Op.EOC)]), 20)
            speeds = []
            for _ in range(5):
                with simulator(config) as channel:
                    start = time.process_time()
                    done = channel.run(words)
                    speeds.append(int(done.cycles.sum()) / (time.process_time() - start) / 1e6)
            assert done.counts.issued[Command.REF]
            found["mcycle_per_s"][f"{profile} {order}"] = round(max(speeds), 1)
            say(f"burst simulator, {profile} {order}, refresh on", max(speeds), "Mcycle/s", "150")
        config = ordered_channel("pimgpt", "serial", None)
        for name, model in MODELS.items():
            seconds = []
            for _ in range(6):
                with simulator(config) as channel:
                    start = time.process_time()
                    token(channel, model, CONTEXT)
                    seconds.append(time.process_time() - start)
            found["token_s"][name] = round(min(seconds), 4)
        say("slowest token of the eight, after the first", max(found["token_s"].values()), "s", "0.2")
    return found


def tiny() -> dict[str, Any]:
    """The tiny GPT: perplexity on held-out text, and a text by programs on the device's golden model."""
    from sim.pim.tiny_gpt import DeviceProducts, PlainProducts, TinyGpt, load, perplexity

    config = ordered_channel("pimgpt", "serial", None)
    weights = load()
    found = {
        "perplexity": round(perplexity(weights, PlainProducts(config), 2048), 3),
        "bigram_perplexity": round(float(weights["bigram_perplexity"]), 3),
    }
    say("tiny GPT: perplexity of a held-out character", found["perplexity"], "", f"below {found['bigram_perplexity']}")
    texts = [TinyGpt(weights, kind(config)).write("The ", 100, seed=1) for kind in (DeviceProducts, PlainProducts)]
    return found | {"text": "The " + texts[0], "same": texts[0] == texts[1]}
