"""`pim.flash_ecc` as arrays in and arrays out, for every engine: pages, and their codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.pim.flash_ecc_config import FlashEccConfig
from sim.common.beats import Beats, data_of
from sim.common.stimulus import last_flags
from sim.common.vectors import Arrays, ArraySpec, check_arrays
from sim.pim import flash_ecc_model

LATENCY_BY_BENCH = True

MOST_ITEMS = 40
"""Pages, each of up to 16 KiB."""

INPUTS = {
    "page": ArraySpec("int8", "(n, page_bytes)", "pages of weights; of decode, as they were read"),
    "code": ArraySpec("uint8", "(n, code_bytes)", "of decode alone: the pages' codes, as they were read"),
}
OUTPUTS = {"q": ArraySpec("uint8", "(n, bytes)", "decode: the repaired weights as bytes; encode: the codes")}


def inputs_of(config: FlashEccConfig) -> dict[str, ArraySpec]:
    """`INPUTS` of a design: an encoder takes no code."""
    return INPUTS if config.direction == "decode" else {"page": INPUTS["page"]}


def check(config: FlashEccConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `inputs_of` the config.

    Raises
    ------
    ValueError
        With one line that names array, expected and received.
    """
    check_arrays(inputs_of(config), arrays)
    for name, size in (("page", config.page_bytes), ("code", config.code_bytes)):
        if name in arrays and arrays[name].shape[1] != size:
            raise ValueError(f"{name} must have {size} bytes a page, not {arrays[name].shape[1]}")


def model(config: FlashEccConfig, arrays: Mapping[str, Any]) -> Arrays:
    """`OUTPUTS` by the golden model. Raises as `check`."""
    check(config, arrays)
    if config.direction == "encode":
        return {"q": np.stack([flash_ecc_model.encode(config, page) for page in arrays["page"]])}
    pairs = zip(arrays["code"], arrays["page"], strict=True)
    found = [flash_ecc_model.decode(config, code, page).weights for code, page in pairs]
    return {"q": np.stack(found).view(np.uint8)}


def pack(config: FlashEccConfig, arrays: Mapping[str, Any]) -> dict[str, Beats]:
    """Traffic of the stream `d`: the page, after its code where that is decoded. Raises as `check`."""
    check(config, arrays)
    parts = [arrays["page"].view(np.uint8)]
    if config.direction == "decode":
        parts.insert(0, arrays["code"])
    return {"d": Beats(np.concatenate(parts, axis=1).reshape(-1, 1))}


def output_bytes(config: FlashEccConfig) -> int:
    """Bytes that a page gives."""
    return config.code_bytes if config.direction == "encode" else config.page_bytes


def expected_beats(config: FlashEccConfig, arrays: Mapping[str, Any]) -> dict[str, int]:
    """Beats the stream `q` gives: one a byte."""
    return {"q": len(arrays["page"]) * output_bytes(config)}


def unpack(config: FlashEccConfig, arrays: Mapping[str, Any], outputs: Mapping[str, Beats]) -> Arrays:
    """`OUTPUTS` out of the traffic of the stream `q`. Raises as `data_of`."""
    data = data_of(outputs, "q", expected_beats(config, arrays)["q"], 1)
    return {"q": data.reshape(len(arrays["page"]), output_bytes(config)).copy()}


def last_of(config: FlashEccConfig, pages: int) -> npt.NDArray[np.bool_]:
    """TLAST of the stream `q`."""
    return last_flags([output_bytes(config)] * pages)


def operations(config: FlashEccConfig, arrays: Mapping[str, Any]) -> int:
    """Bytes that come in; no arithmetic is done."""
    return sum(int(array.size) for array in arrays.values())


def random_arrays(config: FlashEccConfig, seed: int, items: int) -> Arrays:
    """`inputs_of` the config for the seed: pages normal and extreme, of decode with errors of many rates.

    Raises
    ------
    ValueError
        If `items` is below 1.
    """
    if items < 1:
        raise ValueError(f"items must be at least 1, not {items}")
    rng = np.random.default_rng(seed)
    shape = (items, config.page_bytes)
    page = np.clip(np.rint(rng.normal(0, rng.choice([3.0, 12.0, 60.0], (items, 1)), shape)), -128, 127).astype(np.int8)
    page[1::4] = rng.choice(np.array([-128, 0, 127], np.int8), page[1::4].shape)
    page[2::8] = 0
    if config.direction == "encode":
        return {"page": page}
    code = np.stack([flash_ecc_model.encode(config, one) for one in page])
    rates = rng.choice([0.0, 1e-3, 1e-2, 0.1], (items, 1))
    return {"page": damaged(rng, page.view(np.uint8), rates).view(np.int8), "code": damaged(rng, code, rates)}


def damaged(
    rng: np.random.Generator, data: npt.NDArray[np.uint8], rates: float | npt.NDArray[np.float64]
) -> npt.NDArray[np.uint8]:
    """Bytes of which every bit is wrong with this chance, one for each row or one for all."""
    flips = rng.random((*data.shape, 8)) < np.asarray(rates)[..., None]
    return data ^ np.packbits(flips, axis=-1, bitorder="little")[..., 0]
