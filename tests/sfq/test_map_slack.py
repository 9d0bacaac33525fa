"""`niello sfq map --slack-percent`: time that every pulse has to spare."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from flows.errors import BadInput
from flows.sfq.map import map_file
from hdl.sfq.netlist import Netlist, parse_event_json
from sim.sfq.event_model import run
from tests.sfq.map_helpers import blif, ripple


def longer(cell, ticks):
    """The cell with all its windows so much longer."""
    states = {
        state: {
            pin: replace(one, blocks={other: time + ticks for other, time in one.blocks.items()})
            for pin, one in reactions.items()
        }
        for state, reactions in cell.states.items()
    }
    return replace(cell, states=states)


def violations(path, ticks):
    """Pulses that come too soon in a netlist's own waves if all windows are so much longer."""
    netlist, stimulus = parse_event_json(json.loads(path.read_text()))
    instances = tuple(replace(one, cell=longer(one.cell, ticks)) for one in netlist.instances)
    return len(run(Netlist(netlist.name, instances, netlist.inputs, netlist.outputs), stimulus).violations)


@pytest.mark.parametrize(("kind", "phases"), [("gates", 1), ("t1", 1), pytest.param("t1", 3, marks=pytest.mark.deep)])
def test_windows_may_be_longer_by_the_slack(tmp_path, kind, phases):
    path, out = tmp_path / "adder.blif", tmp_path / "adder.json"
    path.write_text(blif(*ripple(3)))
    options = {"full_adders": kind, "phases": phases, "scripts": 1, "out": out}
    fast = map_file(path, **options)
    assert fast["slack_ps"] == 0 and violations(out, 0) == 0 and violations(out, 4) > 0
    result = map_file(path, slack_percent=10, **options)
    slack = round(10 * result["slack_ps"])
    assert fast["period_ps"] <= slack <= fast["period_ps"] + 1  # ticks: a tenth of a period in tenths
    assert round(10 * (result["period_ps"] - fast["period_ps"])) >= slack and result["equivalent"] is True
    assert violations(out, slack) == 0 and violations(out, slack + 40) > 0


@pytest.mark.parametrize("percent", [-1, 101])
def test_slack_out_of_range_is_refused(tmp_path, percent):
    message = f"--slack-percent must be in 0..100, not {percent}"
    with pytest.raises(BadInput, match=f"^{re.escape(message)}$"):
        map_file(tmp_path, slack_percent=percent)
