"""The port between a channel and its device."""

from __future__ import annotations

from amaranth.lib.wiring import In, Member, Out

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import FIELDS

COMMAND_BITS = 4
BANK_BITS = 4
ROW_BITS = FIELDS["row"]
COLUMN_BITS = FIELDS["col"]


def device_port(config: ChannelConfig) -> dict[str, Member]:
    """The members, as the device has them.

    A command comes with all that belongs to it, in one cycle; 0 is none. Answers come `config.device_latency_cycles`
    after RD and RDMAC, whether anybody wants them or not.

    command : of `hdl.pim.commands.Command`
    bank : of ACT, PRE, RD, WR, MACB; the first of ACTG
    bank_mask : of MAC, WRMAC, RDMAC
    row : of ACT, ACTG
    col : of RD, WR, MACB, MAC, WRGB
    gb, acc, buf : bank of the global buffer, accumulator set, row buffer
    data : a column, of WR and WRGB
    bias : of WRMAC: one for each bank, bank 0 in the least significant bits
    read_valid, read_data : a column, of RD
    result_valid, result : of RDMAC: one for each bank, 0 for those outside of the mask; the checksum above them
    """
    return {
        "command": In(COMMAND_BITS),
        "bank": In(BANK_BITS),
        "bank_mask": In(config.banks),
        "row": In(ROW_BITS),
        "col": In(COLUMN_BITS),
        "gb": In(1),
        "acc": In(1),
        "buf": In(1),
        "data": In(config.column_bits),
        "bias": In(config.bias_bits),
        "read_valid": Out(1),
        "read_data": Out(config.column_bits),
        "result_valid": Out(1),
        "result": Out(config.result_bits),
    }
