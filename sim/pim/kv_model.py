"""Golden model of `pim.kv`: a KV cache in pages of flash, and attention out of it in two steps, without a clock.

The scheme is InstInfer's (arXiv 2409.04992). Numerics, all in integers: scores are exact sums of products of int8. The
weight of a token is 2^-x with x = scale * (largest score - its score), cut to 12 fraction bits; 2^-x is a straight line
between 16 points of an octave, 15 fraction bits, whose fall is cut (floor), and then shifted and cut. An output is the
weighted mean of values, rounded to the nearest 1/256, halves up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hdl.pim.flash_config import FlashOp
from hdl.pim.kv_config import (
    EXPONENT_BITS,
    EXPONENTIAL,
    OUTPUT_BITS,
    SCALE_BITS,
    SEGMENTS,
    WEIGHT_BITS,
    KvConfig,
    KvOp,
    KvPages,
)
from sim.pim import flash_model

Ints = npt.NDArray[np.int64]
Int8s = npt.NDArray[np.int8]


@dataclass(frozen=True)
class KvCommand:
    """One command; r, k and scale are of QUERY alone. Any numbers will do: see `refusal`."""

    op: int
    head: int = 0
    r: int = 0
    k: int = 0
    scale: int = 0

    def data_bytes(self, config: KvConfig) -> int:
        """Bytes of data that the command comes with, done or not."""
        return {KvOp.APPEND: 2 * config.head_dim, KvOp.QUERY: config.head_dim}.get(self.op, 0)  # type: ignore[call-overload,no-any-return]


@dataclass(frozen=True)
class Attention:
    """What a query comes to.

    Attributes
    ----------
    channels : the r channels of the first step, ascending
    tokens : the k tokens of the second step, ascending
    weights : of these tokens, 15 fraction bits
    output : int16, (head_dim,), 8 fraction bits
    """

    channels: Ints
    tokens: Ints
    weights: Ints
    output: npt.NDArray[np.int16]


def largest(values: Ints, count: int) -> Ints:
    """Places of the `count` largest values (all, if there are fewer), ascending; of equal ones the first."""
    return np.sort(np.argsort(-values, kind="stable")[:count])


def power_of_two(exponents: Ints) -> Ints:
    """2^-x with 15 fraction bits, of x >= 0 with 12."""
    table = np.array(EXPONENTIAL, np.int64)
    octaves, rest = np.divmod(exponents, 1 << EXPONENT_BITS)
    segments, places = np.divmod(rest, (1 << EXPONENT_BITS) // SEGMENTS)
    falls = table[segments] - table[segments + 1]
    line = table[segments] - falls * places // ((1 << EXPONENT_BITS) // SEGMENTS)
    return np.asarray(line >> np.minimum(octaves, WEIGHT_BITS + 1))


def attention(q: Int8s, keys: Int8s, values: Int8s, r: int, k: int, scale: int) -> Attention:
    """Attention of one query in two steps.

    Parameters
    ----------
    q : int8, (head_dim,); keys, values : int8, (tokens, head_dim)
    r, k : channels and tokens of the two steps
    scale : of scores to exponents of 2, in 2^-24
    """
    wide_q, wide_keys = q.astype(np.int64), keys.astype(np.int64)
    channels = largest(np.abs(wide_q), r)
    tokens = largest(wide_keys[:, channels] @ wide_q[channels], k)
    scores = wide_keys[tokens] @ wide_q
    weights = power_of_two((scores.max() - scores) * scale >> SCALE_BITS - EXPONENT_BITS)
    total = int(weights.sum())
    raised = weights @ values[tokens].astype(np.int64) + 128 * total  # not negative
    output = ((raised << OUTPUT_BITS) + total // 2) // total - (128 << OUTPUT_BITS)
    return Attention(channels, tokens, weights, output.astype(np.int16))


@dataclass(frozen=True)
class Reading:
    """What a query reads.

    Attributes
    ----------
    tokens : of its head
    in_buffer : chosen tokens in the buffer
    pages, bytes : read out of flash, by kind of page
    """

    tokens: int
    in_buffer: int
    pages: tuple[int, ...]
    bytes: tuple[int, ...]


@dataclass
class Head:
    """The cache of a head: its keys and values, and the slots of flash that its full groups lie in."""

    keys: list[Int8s] = field(default_factory=list)
    values: list[Int8s] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)


@dataclass
class KvResult:
    """What commands gave.

    Attributes
    ----------
    outputs : int16, (head_dim,) each, one for each query that was done, in order
    attentions, readings : of the same queries
    done : of each command whether it was done
    refusals : bits of the status register that commands set, by name
    flash : commands to flash, in order
    flash_data : uint8, pages of the PROGRAMs among them
    """

    outputs: list[npt.NDArray[np.int16]] = field(default_factory=list)
    attentions: list[Attention] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    done: list[bool] = field(default_factory=list)
    refusals: set[str] = field(default_factory=set)
    flash: list[flash_model.Command] = field(default_factory=list)
    pages: list[npt.NDArray[np.uint8]] = field(default_factory=list)

    @property
    def flash_data(self) -> npt.NDArray[np.uint8]:
        return np.concatenate([np.zeros(0, np.uint8), *self.pages])


class KvCache:
    """The caches of all heads; every command adds to `result`."""

    def __init__(self, config: KvConfig):
        self.config = config
        self.result = KvResult()
        self._heads = [Head() for _ in range(config.heads)]
        self._slots_used = 0

    def length(self, head: int) -> int:
        """Tokens of a head."""
        return len(self._heads[head].keys)

    def do(self, command: KvCommand, data: Int8s) -> None:
        """Do a command with its data, or refuse it."""
        reason = self._refusal(command)
        self.result.done.append(not reason)
        if reason:
            self.result.refusals.add(reason)
        elif command.op == KvOp.CLEAR:
            self._clear()
        elif command.op == KvOp.APPEND:
            self._append(self._heads[command.head], *data.reshape(2, -1))
        else:
            self._query(self._heads[command.head], command, data)

    def _refusal(self, command: KvCommand) -> str:
        """The status bit that a command sets; "" if it can be done."""
        config = self.config
        if command.op not in set(KvOp):
            return "bad_command"
        if command.op == KvOp.CLEAR:
            return ""
        if command.head >= config.heads:
            return "bad_head"
        length = self.length(command.head)
        if command.op == KvOp.APPEND:
            ends_group = (length + 1) % config.group_tokens == 0
            return "full" if length == config.max_tokens or (ends_group and self._slots_used == config.slots) else ""
        fits = 1 <= command.r <= config.r_max and 1 <= command.k <= config.k_max
        return "" if fits and length else "bad_query"

    def _append(self, head: Head, key: Int8s, value: Int8s) -> None:
        config = self.config
        head.keys.append(key)
        head.values.append(value)
        if len(head.keys) % config.group_tokens:
            return
        keys, values = (np.array(one[-config.group_tokens :]) for one in (head.keys, head.values))
        for kind, elements in zip(KvPages, (keys.T, keys, values), strict=True):
            for number, page in enumerate(np.ascontiguousarray(elements).reshape(-1, config.page_bytes)):
                self._command(FlashOp.PROGRAM, self._page(self._slots_used, kind, number))
                self.result.pages.append(page.view(np.uint8))
        head.slots.append(self._slots_used)
        self._slots_used += 1

    def _clear(self) -> None:
        """Erase every block that has a programmed page."""
        config = self.config
        for block in range(config.blocks):
            for plane in range(config.planes):
                if block * config.block_pages * config.planes + plane < self._slots_used * config.group_pages:
                    self.result.flash.append(flash_model.Command(FlashOp.ERASE, plane, block * config.block_pages))
        self._heads = [Head() for _ in range(config.heads)]
        self._slots_used = 0

    def _query(self, head: Head, command: KvCommand, q: Int8s) -> None:
        config = self.config
        found = attention(q, np.array(head.keys), np.array(head.values), command.r, command.k, command.scale)
        self.result.attentions.append(found)
        self.result.outputs.append(found.output)
        in_buffer = int((found.tokens >= len(head.slots) * config.group_tokens).sum())
        spans: dict[KvPages, list[int]] = {kind: [] for kind in KvPages}
        for slot in head.slots:
            spans[KvPages.KEYS_BY_CHANNEL] += self._read(
                slot, KvPages.KEYS_BY_CHANNEL, found.channels, config.group_tokens
            )
        for kind in (KvPages.KEYS_BY_TOKEN, KvPages.VALUES):
            for group, slot in enumerate(head.slots):
                of_group = found.tokens[found.tokens // config.group_tokens == group] % config.group_tokens
                spans[kind] += self._read(slot, kind, of_group, config.head_dim)
        pages, read_bytes = (tuple(measure(spans[kind]) for kind in KvPages) for measure in (len, sum))
        self.result.readings.append(Reading(len(head.keys), in_buffer, pages, read_bytes))

    def _read(self, slot: int, kind: KvPages, units: Ints, unit_bytes: int) -> list[int]:
        """Of every page that holds any of these units (channels or tokens of a group), from the first to the last: the
        bytes of each read."""
        units_of_page = self.config.page_bytes // unit_bytes
        pages, spans = units // units_of_page, []
        for number in np.unique(pages):
            wanted = units[pages == number] % units_of_page
            first, last = int(wanted[0]), int(wanted[-1])
            spans.append((last + 1 - first) * unit_bytes)
            self._command(FlashOp.READ_SLICE, self._page(slot, kind, int(number)), first * unit_bytes, spans[-1])
        return spans

    def _page(self, slot: int, kind: KvPages, number: int) -> int:
        """Pages are numbered across the planes, so that neighbours lie on different ones."""
        return slot * self.config.group_pages + kind * self.config.kind_pages + number

    def _command(self, op: FlashOp, page: int, offset: int = 0, count: int = 0) -> None:
        place, plane = divmod(page, self.config.planes)
        self.result.flash.append(flash_model.Command(op, plane, place, offset, count))


def run(config: KvConfig, commands: Sequence[KvCommand], data: Int8s) -> KvResult:
    """What commands give, one after the other, to a cache and flash that are empty.

    Parameters
    ----------
    data : int8, (bytes,)
        Of APPEND the key and the value, of QUERY the query, done or not, in order.

    Raises
    ------
    ValueError
        If `data` are fewer or more than the commands take.
    """
    need = sum(command.data_bytes(config) for command in commands)
    if len(data) != need:
        raise ValueError(f"data must be {need} bytes, as the commands take, not {len(data)}")
    cache, start = KvCache(config), 0
    for command in commands:
        end = start + command.data_bytes(config)
        cache.do(command, data[start:end])
        start = end
    return cache.result
