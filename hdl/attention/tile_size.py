"""Keys of a job's tiles: C, or 2C of a wide one."""

from __future__ import annotations

from amaranth.hdl import Const, Mux, Value, ValueLike

from hdl.attention.config import ArrayConfig


def tile_size(config: ArrayConfig, wide: ValueLike) -> Value:
    """Keys of a tile, and elements of a chunk."""
    return Mux(wide, 2 * config.lanes, config.lanes) if config.wide else Const(config.lanes)


def beyond_tile(config: ArrayConfig, value: Value, wide: ValueLike) -> Value:
    """Whether a number, not negative or taken as such, is that of a tile's keys or more."""
    beyond = value[config.lane_bits :].any()
    return Mux(wide, value[config.lane_bits + 1 :].any(), beyond) if config.wide else beyond


def whole_tiles(config: ArrayConfig, tiles: Value, wide: ValueLike) -> Value:
    """Keys of so many tiles."""
    keys = tiles << config.lane_bits
    return Mux(wide, keys << 1, keys) if config.wide else keys


def last_key(config: ArrayConfig, key: Value, wide: ValueLike) -> Value:
    """Whether a key is the last of its tile, or an element that of its chunk."""
    if not config.wide:
        return key[: config.lane_bits].all()
    return key[: config.lane_bits].all() & (key[config.lane_bits] | ~Value.cast(wide))


def next_key(config: ArrayConfig, key: Value, wide: ValueLike) -> Value:
    """The key after one, the first after the last."""
    following = (key + 1)[: len(key)]
    return Mux(wide, following, following[: config.lane_bits]) if config.wide else following


def bad_wide_job(config: ArrayConfig, job: Value) -> list[Value]:
    """Reasons for which a wide job is a bad one, whatever it does: what is not built, and sizes."""
    dual, sparse = job.dual, job.sparse
    if not config.wide:
        return [dual | sparse]
    odd = job.chunks[0] | ~job.chunks[2:].any()
    reasons = [dual & sparse, (dual | sparse) & odd]
    return reasons + ([] if config.dual_issue else [dual]) + ([] if config.sparse else [sparse])
