"""The DFU suffix, against the standard's own description and a CRC worked bit by bit."""

from __future__ import annotations

import random

import pytest

from boards.dfu import add_suffix, read_suffix


def crc_by_bits(content: bytes) -> int:
    """CRC-32 of USB DFU 1.1 appendix B: polynomial 04C11DB7 reflected, start FFFFFFFF, not inverted at the end."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return crc


@pytest.mark.parametrize("size", [0, 1, 15, 16, 1000])
def test_suffix_has_the_standards_fields(size):
    firmware = random.Random(size).randbytes(size)
    file = add_suffix(firmware, 0x1209, 0x5AF0, device=0x0234)
    assert file[:size] == firmware
    suffix = file[size:]
    assert suffix[:12] == bytes([0x34, 0x02, 0xF0, 0x5A, 0x09, 0x12, 0x00, 0x01]) + b"UFD" + bytes([16])
    assert int.from_bytes(suffix[12:], "little") == crc_by_bits(file[:-4])
    assert len(suffix) == 16
    assert read_suffix(file) == (0x1209, 0x5AF0)


def test_suffix_is_for_any_release_unless_told():
    assert add_suffix(b"", 1, 2)[:2] == b"\xff\xff"


@pytest.mark.parametrize("position", [0, 3, 4, 12, 19])
def test_damage_is_noticed(position):
    file = bytearray(add_suffix(b"bits", 0x1209, 0x5AF0))
    file[position] ^= 1
    message = "the file has no DFU suffix" if position in (12,) else "the CRC in the file's DFU suffix is wrong"
    with pytest.raises(ValueError, match=f"^{message}$"):
        read_suffix(bytes(file))


def test_file_without_suffix_is_refused():
    with pytest.raises(ValueError, match=r"^the file has no DFU suffix$"):
        read_suffix(b"short")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ((0x10000, 0), "vendor must be in 0..0xFFFF, not 0x10000"),
        ((0, -1), "product must be in 0..0xFFFF, not -0x1"),
    ],
)
def test_id_that_is_no_16_bit_number_is_refused(ids, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        add_suffix(b"", *ids)
