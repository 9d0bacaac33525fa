"""The DFU suffix: 16 bytes at a firmware file's end that say which device it is for (USB DFU 1.1, appendix B)."""

from __future__ import annotations

import struct
import zlib

SUFFIX_BYTES = 16
DFU_SPECIFICATION = 0x0100
"""bcdDFU: files that follow the DFU specification itself."""


def add_suffix(firmware: bytes, vendor: int, product: int, *, device: int = 0xFFFF) -> bytes:
    """The firmware with its suffix.

    Parameters
    ----------
    vendor, product : USB ids, 16 bits each
    device : bcdDevice, 16 bits; 0xFFFF for any release

    The suffix is bcdDevice, idProduct, idVendor, bcdDFU (16 bits each, low byte first), the bytes `UFD`, its own
    length, and the CRC-32 of everything before it, not inverted at the end, low byte first.

    Raises
    ------
    ValueError
        If an id does not fit 16 bits.
    """
    for name, value in (("vendor", vendor), ("product", product), ("device", device)):
        if not 0 <= value <= 0xFFFF:
            raise ValueError(f"{name} must be in 0..0xFFFF, not {value:#x}")
    head = struct.pack("<4H3sB", device, product, vendor, DFU_SPECIFICATION, b"UFD", SUFFIX_BYTES)
    checked = firmware + head
    return checked + struct.pack("<I", zlib.crc32(checked) ^ 0xFFFFFFFF)


def read_suffix(file: bytes) -> tuple[int, int]:
    """Vendor and product of a file with a suffix.

    Raises
    ------
    ValueError
        If there is no suffix, or its CRC is wrong.
    """
    if len(file) < SUFFIX_BYTES or file[-8:-5] != b"UFD" or file[-5] != SUFFIX_BYTES:
        raise ValueError("the file has no DFU suffix")
    _, product, vendor, _ = struct.unpack("<4H", file[-SUFFIX_BYTES:-8])
    (crc,) = struct.unpack("<I", file[-4:])
    if crc != zlib.crc32(file[:-4]) ^ 0xFFFFFFFF:
        raise ValueError("the CRC in the file's DFU suffix is wrong")
    return vendor, product
