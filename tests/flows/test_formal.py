"""Proofs of small gateware whose truth is plain."""

import pytest
from amaranth import Module, Signal
from amaranth.hdl import Assert
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from flows.cli import main
from flows.formal import prove


class Counter(wiring.Component):
    """Counts while it is told to, up to a most; asserts a bound."""

    def __init__(self, most, bound):
        self.most, self.bound = most, bound
        super().__init__({"go": In(1)})

    def elaborate(self, platform):
        m = Module()
        count = Signal(range(self.most + 1))
        with m.If(self.go & (count < self.most)):
            m.d.sync += count.eq(count + 1)
        m.d.comb += Assert(count <= self.bound, "the bound")
        return m


@pytest.mark.parametrize("unbounded", [False, True])
def test_what_holds_is_proven(tmp_path, unbounded):
    verdict = prove(Counter(9, 9), tmp_path, depth=20, unbounded=unbounded)
    assert verdict.holds
    assert verdict.cycles == (None if unbounded else 20)


@pytest.mark.parametrize("unbounded", [False, True])
def test_what_fails_comes_with_its_cycle_and_a_trace(tmp_path, unbounded):
    verdict = prove(Counter(9, 6), tmp_path, depth=20, unbounded=unbounded)
    assert not verdict.holds
    assert verdict.cycles == 7  # steps until the count is 7
    assert "test_formal.py" in verdict.failed
    assert verdict.trace.read_text().startswith(("$date", "$version", "$timescale"))


def test_what_lies_beyond_the_depth_is_not_seen(tmp_path):
    assert prove(Counter(9, 6), tmp_path, depth=7).holds


@pytest.mark.parametrize(
    ("options", "said"),
    [(["dot_int8x16"], "simd.dot has no proof"), (["--depth", "0"], "--depth must be in 1..10000, not 0")],
)
def test_what_cannot_be_proven_is_refused(capsys, monkeypatch, options, said):
    monkeypatch.setattr("sys.argv", ["niello", "formal", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
