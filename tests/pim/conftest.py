import pytest

from flows.paths import build_root
from sim.pim.channel_kernel import build_kernel


@pytest.fixture(scope="session")
def library():
    """The compiled channel."""
    return build_kernel(build_root() / "pim")
