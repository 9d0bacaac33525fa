"""What takes compiling: the event kernel and processors, once for all tests."""

from __future__ import annotations

import json

import pytest

from flows.paths import build_root
from sim.sfq.kernel import Kernel, build_kernel
from tests.sfq.processors import Built


@pytest.fixture(scope="session")
def kernel():
    return Kernel(build_kernel(build_root() / "sfq"))


@pytest.fixture(scope="session")
def processors(tmp_path_factory):
    """A function from parameters to a `Processor`'s build, each made once."""
    made = {}

    def of(optimise="-O0", **params):
        key = json.dumps(params, sort_keys=True)
        if key not in made:
            made[key] = Built(params, tmp_path_factory.mktemp("processor"), optimise)
        return made[key]

    return of
