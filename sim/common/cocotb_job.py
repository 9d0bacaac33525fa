"""One step of cocotb's own runner, as a process of its own: `python -m sim.common.cocotb_job < job.json`.

The runner reads and depends on the environment and the state of the process that calls it (PATH, MAKEFLAGS, whether
pytest runs) and ends it on failure. In a child, two builds at once cannot disturb each other, nor the caller.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import cocotb_tools.runner

from sim.common.verilator import JOBS, waiver_flags

QUICK_TO_COMPILE = ("--no-public-flat-rw", "--public-depth", "1", "--output-split", "0")
"""Over the runner's own options: a bench sees the signals of the top module, so that Verilator may optimise all others
away, and all C++ is one unit, since every unit parses Verilator's headers again."""


def build(job: dict[str, Any]) -> None:
    """Verilate and compile `job["source"]`, a file in the build folder, named relative to it: the generated C++ then
    holds no absolute path, so that it is found in ccache again wherever the build lies."""
    cocotb_tools.runner.MAX_PARALLEL_BUILD_JOBS = JOBS
    cocotb_tools.runner.get_runner("verilator").build(
        build_args=[*QUICK_TO_COMPILE, *waiver_flags(), *job["arguments"], job["source"]],
        hdl_toplevel=job["top"],
        build_dir=job["build_dir"],
        waves=job["waves"],
        timescale=("1ns", "1ps"),
    )


def test(job: dict[str, Any]) -> None:
    """Run the cocotb tests of `job["bench"]` on a build."""
    cocotb_tools.runner.get_runner("verilator").test(
        test_module=job["bench"],
        hdl_toplevel=job["top"],
        hdl_toplevel_lang="verilog",
        build_dir=job["build_dir"],
        test_dir=job["work"],
        results_xml=job["results"],
        seed=job["seed"],
        waves=job["waves"],
        testcase=job["tests"],
    )


if __name__ == "__main__":
    job = json.load(sys.stdin)
    try:
        {"build": build, "test": test}[job["step"]](job)
    except RuntimeError as error:  # the tool's output says more than the runner's traceback
        sys.exit(str(error))
