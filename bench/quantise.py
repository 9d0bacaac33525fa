"""The figures of quantised networks: accuracy of formats and of mixes under a budget; predictions in codes.

    .venv/bin/python bench/quantise.py [NAME ...]

All of them, or: mixes seeds codes. Prints tables, and one JSON object at the end; all of them take minutes. Networks
are 64-32-32-10 for the digits and 30-32-32-2 for breast cancer. The test sets have 360 and 114 samples, so one sample
is 0.28 % and 0.88 %: of differences between rows, `seeds` says more than `mixes`. Another machine's last bits train
another network, whose figures differ by as much as another seed's.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import Any

import numpy as np

from bench.common import run, say
from sim.simd import mlp
from sim.simd.datasets import NAMES
from sim.simd.quantise import FORMATS, pick, quantise, roundings
from sim.simd.quantise_mix import Mix, Row, Study, choose, measure, study, tune

BUDGETS = (4, 5, 6, 8)
"""Bits per weight."""
SEEDS = (1, 2, 3, 4, 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures; all of them if none is named")
    run({"mixes": mixes, "seeds": seeds, "codes": codes}, parser.parse_args().names)


def mixes() -> dict[str, Any]:
    """One network's accuracy in every format alone, and in the mix chosen for each budget."""
    figures = {}
    for name in NAMES:
        of = study(name)
        rows = [measure(of, mix) for mix in _uniform(of)] + [measure(of, choose(of, budget)) for budget in BUDGETS]
        _head(f"{name}, seed 1")
        for row, what in zip(rows, [*FORMATS, *(f"at most {budget} bits" for budget in BUDGETS)], strict=True):
            _line(what, row, " ".join(row.mix))
        figures[name] = [asdict(row) for row in rows]
    return {"quantised": figures}


def seeds() -> dict[str, Any]:
    """The same, mean over networks that differ in their seeds alone; each network has its own mixes."""
    figures: dict[str, Any] = {}
    for name in NAMES:
        found: dict[str, list[Row]] = {}
        for seed in SEEDS:
            of = study(name, seed=seed)
            for what, mix in [
                *zip(FORMATS, _uniform(of), strict=True),
                *((f"at most {budget} bits", choose(of, budget)) for budget in BUDGETS),
            ]:
                found.setdefault(what, []).append(measure(of, mix))
        _head(f"{name}, mean of {len(SEEDS)} seeds")
        for what, rows in found.items():
            columns = np.mean([list(asdict(row).values())[1:] for row in rows], axis=0).tolist()
            mean = Row((), *columns)
            _line(what, mean, "")
            figures.setdefault(name, {})[what] = {key: value for key, value in asdict(mean).items() if key != "mix"}
    return {"quantised_means": figures}


def codes() -> dict[str, Any]:
    """Test samples whose scores or classes in codes, by the golden model of `simd.matmul`, differ from float64's."""
    from sim.simd.matmul_model import matmul

    differing = {}
    for name in NAMES:
        of = study(name)
        for mix in [*_uniform(of), *(choose(of, budget) for budget in BUDGETS)]:
            schemes = pick(of.calibration, mix)
            wrong = np.zeros(2, int)
            for network in (of.network, tune(of, mix)):
                x = of.data.test.features
                got = quantise(network, schemes).run(x, matmul)
                want = mlp.scores(network, x, roundings(schemes))
                wrong[0] += (got != want.astype(np.float32)).any(axis=1).sum()
                wrong[1] += (got.argmax(axis=1) != want.argmax(axis=1)).sum()
            label = f"{name} {' '.join(mix)}"
            say(f"{label}: scores that differ", int(wrong[0]), f"of {2 * len(x)}", "0")
            say(f"{label}: classes", int(wrong[1]), f"of {2 * len(x)}", "0")
            differing[label] = {"scores": int(wrong[0]), "classes": int(wrong[1])}
    return {"codes_differing": differing}


def _uniform(of: Study) -> list[Mix]:
    return [(mode,) * len(of.network) for mode in FORMATS]


def _head(title: str) -> None:
    print(f"{title:34} {'bits':>6} {'float':>8} {'rounded':>8} {'tuned':>8}", file=sys.stderr)


def _line(what: str, row: Row, mix: str) -> None:
    shares = (row.float_accuracy, row.post_training_accuracy, row.aware_accuracy)
    shown = " ".join(f"{100 * share:7.2f}%" for share in shares)
    print(f"  {what:32} {row.bits_per_weight:6.2f} {shown}  {mix}".rstrip(), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
