"""The array that a module of tests builds: one for each of its `CONFIGS`."""

import pytest

from hdl.attention.array import Array
from hdl.attention.config import ArrayConfig


@pytest.fixture(scope="module")
def block(request):
    def of(name):
        params = request.module.CONFIGS[name]
        config = ArrayConfig.parse(params)
        return params, config, Array(config)

    return of
