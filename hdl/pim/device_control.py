"""The device's registers: what happened in it, and what it is to store wrong."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Value

from hdl.common.arithmetic import wire
from hdl.common.csr_bank import CSRBank
from hdl.pim.device import Device


def connect_device(m: Module, bank: CSRBank, device: Device) -> None:
    """Joins a device to a register bank that has the registers of `device_registers.rdl` under its names for them."""
    status = bank.device_status
    happened = {
        "overflow": device.overflow,
        "nan": device.nan,
        "infinite": device.infinite,
        "checksum": device.checksum_wrong,
        "ecc_error": device.wrong.any(),
        "timing": device.violation.any(),
    }
    for name, event in happened.items():
        m.d.comb += getattr(status, name).set.eq(event)

    for count, events in ((bank.ecc_corrected.count, device.fixed), (bank.ecc_detected.count, device.wrong)):
        more = wire(m, count.value + events, "more")
        full = more[len(count.value) :].any()
        m.d.comb += [count.we.eq(events.any()), count.next.eq(Mux(full, ~0, more))]

    # The first of its kind: what stands while the bit is set is older.
    wrong = {name: getattr(device, f"wrong_{name}") for name in ("bank", "row", "column", "word")}
    _keep(m, bank.ecc_address, device.wrong.any() & ~status.ecc_error.value, wrong)
    broke = {"command": device.violation_command, "bank": device.violation_bank, "rule": device.violation}
    _keep(m, bank.violation, device.violation.any() & ~status.timing.value, broke)

    m.d.comb += [
        device.inject_mask.eq(Cat(bank.inject_low.mask.value, bank.inject_high.mask.value, bank.inject.mask.value)),
        device.inject_bank.eq(bank.inject.bank.value),
        device.inject_word.eq(bank.inject.word.value),
        device.inject_armed.eq(bank.inject.armed.value),
        bank.inject.armed.clear.eq(device.injected),
    ]


def _keep(m: Module, register: Any, first: Value, values: dict[str, Value]) -> None:
    """Stores values in the fields of their names, in the cycle that has the first."""
    for name, value in values.items():
        field = getattr(register, name)
        m.d.comb += [field.we.eq(first), field.next.eq(value)]
