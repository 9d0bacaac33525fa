"""The event kernel, compiled once for all tests."""

from __future__ import annotations

import pytest

from flows.paths import build_root
from sim.sfq.kernel import Kernel, build_kernel


@pytest.fixture(scope="session")
def kernel():
    return Kernel(build_kernel(build_root() / "sfq"))
