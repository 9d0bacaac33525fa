"""From an instruction's 64 bits to what the lanes work with."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Value
from amaranth.lib import data
from amaranth.utils import bits_for

from hdl.common.arithmetic import wire
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import ACC, BUF, FIELDS, GB, LAST, Op

MACS = (Op.MAC_ABK, Op.MAC_SBK)
SINGLES = (Op.MAC_SBK, Op.RD, Op.WR)
BANK_LANE = (Op.MAC_ABK, *SINGLES)
REGISTER_LANE = (Op.WR_GB, Op.WR_BIAS, Op.RD_MAC)
COLUMNS = (*BANK_LANE, Op.WR_GB)
"""Operations with a command for each column of a range."""

SETS = (*MACS, Op.WR_BIAS, Op.RD_MAC)
BUFFERS = (*MACS, Op.WR_GB)


def bank_bits(config: ChannelConfig) -> int:
    """Of a bank's number."""
    return max(1, bits_for(config.banks - 1))


def entry_layout(config: ChannelConfig) -> data.StructLayout:
    """A decoded instruction. `col` is that of the next command, `left` how many there are, modulo its width; of REFRESH
    it counts refreshes. `final`: the next is the last."""
    return data.StructLayout(
        {
            **{op.name.lower(): 1 for op in Op},
            "banks": 1,
            "registers": 1,
            "single": 1,
            "final": 1,
            "skip": 1,
            "illegal": 1,
            "mask": config.banks,
            "bank": bank_bits(config),
            "row": bits_for(config.rows - 1),
            "col": FIELDS["col"],
            "left": FIELDS["count"],
            "acc": 1,
            "gb": 1,
            "buf": 1,
            "last": 1,
        }
    )


def decode(m: Module, config: ChannelConfig, word: Value) -> dict[str, Value]:
    """The fields of `entry_layout`, of an instruction."""
    field, place = {}, 0
    for name, bits in FIELDS.items():
        field[name] = word[place : place + bits]
        place += bits
    flag = {name: (field["flags"] & bit).any() for name, bit in (("acc", ACC), ("gb", GB), ("buf", BUF))}
    is_op = {op: wire(m, field["op"] == op, f"is_{op.name.lower()}") for op in Op}

    def among(*ops: Op) -> Value:
        return Cat(is_op[op] for op in ops).any()

    mask = field["bank_mask"][: config.banks]
    columns, single = wire(m, among(*COLUMNS), "has_columns"), wire(m, among(*SINGLES), "is_single")
    # A count of 0 is 256, which is too many columns.
    end = wire(m, field["col"] + field["count"], "end_column")

    has_row = among(*BANK_LANE)
    illegal = [
        ~among(*Op),
        columns & ((end > config.columns) | (field["count"] == 0)),
        has_row & (field["row"] >= config.rows),
        (has_row | among(Op.WR_BIAS, Op.RD_MAC)) & ~mask.any(),
        single & ~_at_most_one(m, mask),
    ]
    if config.accumulators == 1:
        illegal.append(among(*SETS) & flag["acc"])
    if config.gb_banks == 1:
        illegal.append(among(*BUFFERS) & flag["gb"])
    if config.row_buffers == 1:
        illegal.append(is_op[Op.MAC_ABK] & flag["buf"])
    if not config.refresh:
        illegal.append(is_op[Op.REFRESH])
    ours = field["ch_mask"][config.channel]
    wrong = wire(m, Cat(illegal).any(), "is_illegal")
    return {
        **{op.name.lower(): is_op[op] for op in Op},
        "banks": has_row,
        "registers": among(*REGISTER_LANE),
        "single": single,
        "final": (field["count"] == 1) | among(Op.WR_BIAS, Op.RD_MAC),
        "skip": wrong | ~ours,
        "illegal": wrong & ours,
        "mask": mask,
        "bank": _number(mask),
        "row": field["row"],
        "col": field["col"],
        "left": field["count"],
        "acc": flag["acc"] if config.accumulators == 2 else Const(0, 1),
        "gb": flag["gb"] if config.gb_banks == 2 else Const(0, 1),
        "buf": flag["buf"] & is_op[Op.MAC_ABK] if config.row_buffers == 2 else Const(0, 1),
        "last": (field["flags"] & LAST).any(),
    }


def _at_most_one(m: Module, mask: Value) -> Value:
    """Whether no two bits are set: none of a group of four, and no two groups."""
    groups = [mask[low : low + 4] for low in range(0, len(mask), 4)]
    one_each = [Cat(group == code for code in (0, 1, 2, 4, 8) if code < 1 << len(group)).any() for group in groups]
    used = wire(m, Cat(group.any() for group in groups), "used_groups")
    return Cat(one_each).all() & Cat(used == code for code in (0, 1, 2, 4, 8) if code < 1 << len(used)).any()


def _number(mask: Value) -> Value:
    """The place of the one bit that is set."""
    places = range(max(1, bits_for(len(mask) - 1)))
    return Cat(Cat(mask[bank] for bank in range(len(mask)) if bank >> place & 1).any() for place in places)
