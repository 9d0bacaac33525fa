"""Every design that the project names: its Verilog passes lint."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.load import named_designs

NIELLO = Path(sys.executable).with_name("niello")


@pytest.mark.deep
@pytest.mark.parametrize("design", named_designs())
def test_every_named_design_passes_lint(design, tmp_path):
    environment = {**os.environ, "NIELLO_BUILD": str(tmp_path)}
    argv = [str(NIELLO), "lint", design, "--plain"]
    result = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
