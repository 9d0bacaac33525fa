"""The register map: what is read from SystemRDL, how words are packed, and what is refused."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from hdl.common.config import ConfigError
from hdl.common.registers import RegisterError, load_registers
from hdl.simd.config import DotConfig

HERE = Path(__file__).parent

# name: offset in bytes, fields as (name, low, width, sw, hw, reset, flags); by hand from kinds.rdl.
KINDS = {
    "constants": (0x00, [("magic", 0, 16, "r", "na", 0xC0DE, ""), ("build", 16, 8, "r", "r", 9, "")]),
    "scratch": (0x04, [("word", 0, 32, "rw", "na", 0x12345678, "")]),
    "control": (
        0x08,
        [
            ("enable", 0, 1, "rw", "r", 1, "swmod"),
            ("start", 1, 1, "w", "r", 0, "singlepulse"),
            ("stop", 2, 1, "rw", "r", 0, "singlepulse"),
            ("gain", 12, 8, "rw", "r", 0xA5, "swmod"),
            ("command", 24, 4, "w", "r", 3, "swmod"),
        ],
    ),
    "status": (
        0x0C,
        [
            ("events", 0, 4, "rw", "r", 0, "hwset woclr"),
            ("armed", 4, 2, "rw", "r", 0, "hwclr woset"),
            ("busy", 8, 1, "r", "w", 0, ""),
            ("seen", 16, 8, "r", "r", 0, "hwset rclr"),
            ("both", 28, 4, "rw", "rw", 6, "hwset hwclr"),
        ],
    ),
    "motion": (0x14, [("position", 0, 16, "rw", "rw", 0x0F0F, "we"), ("latched", 16, 16, "r", "w", 0, "we rclr")]),
    "data": (0x18, [("word", 0, 32, "r", "w", 0, "swacc")]),
    "marks": (0x20, [("marks", 0, 8, "rw", "r", 0, "hwset rclr swacc")]),
}
FLAGS = ("hwset", "hwclr", "we", "woclr", "woset", "rclr", "singlepulse", "swmod", "swacc")


def kinds():
    return load_registers(HERE / "kinds.rdl", {"BUILD": 9})


def test_registers_hold_what_the_file_says():
    found = {
        register.name: (
            register.offset_bytes,
            [
                (
                    field.name,
                    field.low,
                    field.width,
                    field.sw,
                    field.hw,
                    field.reset,
                    " ".join(f for f in FLAGS if getattr(field, f)),
                )
                for field in register.fields
            ],
        )
        for register in kinds().registers
    }
    assert found == KINDS
    assert list(found) == list(KINDS)


def test_register_map_describes_itself():
    registers = kinds()
    assert (registers.name, registers.title, registers.description) == (
        "kinds",
        "Field kinds",
        "A register file for tests.",
    )
    assert (registers.size_bytes, registers.address_bits) == (0x24, 6)
    assert registers["constants"].title == "Constants"
    assert registers["scratch"].title == "scratch"
    assert registers["constants"]["build"].description == "Given by the build."


def test_field_kinds_follow_from_the_properties():
    fields = {f"{register.name}.{field.name}": field for register in kinds().registers for field in register.fields}
    assert {name for name, field in fields.items() if field.is_live} == {"status.busy", "data.word"}
    assert {name for name, field in fields.items() if field.is_constant} == {"constants.magic", "constants.build"}
    unread = {"control.start", "control.stop", "control.command"}
    assert {name for name, field in fields.items() if not field.software_reads} == unread


def test_register_map_is_frozen_and_hashable():
    registers = kinds()
    with pytest.raises(FrozenInstanceError):
        registers.name = "other"
    assert hash(registers) == hash(kinds())
    assert registers == kinds()


def test_register_words_are_packed_by_field():
    status = kinds()["status"]
    assert status["both"].mask == 0xF0000000
    assert status.encode({"both": 0xA, "seen": 0x5C, "busy": 1}) == 0xA05C0100
    assert status.decode(0xA05C0132) == {"events": 2, "armed": 3, "busy": 1, "seen": 0x5C, "both": 0xA}
    assert status["seen"].decode(0xA05C0132) == 0x5C
    assert [register.reset for register in kinds().registers] == [0x9C0DE, 0x12345678, 0xA5001, 0x60000000, 0xF0F, 0, 0]


def test_field_refuses_a_value_that_does_not_fit():
    status = kinds()["status"]
    for value in (16, -1):
        with pytest.raises(ValueError, match=f"^both must be in 0..15, not {value}$"):
            status.encode({"both": value})


def test_lookup_knows_its_names():
    assert "status" in kinds()
    assert "satus" not in kinds()


def test_lookup_names_the_nearest():
    with pytest.raises(KeyError, match=r'^\'kinds has no register satus; did you mean "status"\?\'$'):
        kinds()["satus"]
    with pytest.raises(KeyError, match=r'^\'register status has no field bussy; did you mean "busy"\?\'$'):
        kinds()["status"]["bussy"]


def test_dot_registers_follow_the_config():
    config = DotConfig(lanes=16)
    assert [(register.name, register.offset_bytes) for register in config.registers.registers] == [
        ("identity", 0x00),
        ("shape", 0x04),
        ("status", 0x08),
        ("irq_enable", 0x0C),
        ("control", 0x10),
        ("vectors", 0x14),
        ("beats", 0x18),
        ("cycles", 0x1C),
    ]
    assert config.registers["identity"].reset.to_bytes(4, "little") == b"DOT8"
    assert config.registers["shape"]["lanes"].reset == 16
    assert config.model_copy(update={"lanes": 4}).registers["shape"]["lanes"].reset == 4


def test_registers_are_the_same_for_every_hash_seed():
    def text(seed):
        program = (
            "import sys, pathlib; from hdl.common.registers import *; print(load_registers(pathlib.Path(sys.argv[1])))"
        )
        environment = {"PYTHONHASHSEED": str(seed)}
        return subprocess.run(
            [sys.executable, "-c", program, HERE / "kinds.rdl"],
            env=environment,
            cwd=HERE.parents[1],
            capture_output=True,
            check=True,
        ).stdout

    assert text(1) == text(2)


def test_registers_are_read_again_when_the_file_changes(tmp_path):
    file = tmp_path / "one.rdl"
    for reset in (1, 2):
        file.write_text(f"addrmap one {{ reg {{ field {{ sw = rw; hw = r; reset = {reset}; }} x[7:0]; }} a @ 0; }};")
        assert load_registers(file)["a"]["x"].reset == reset


def test_registers_may_leave_some_out(tmp_path):
    file = tmp_path / "one.rdl"
    file.write_text(
        "addrmap one #(boolean FULL = false) {"
        " reg { field { sw = r; hw = na; reset = 1; } x[0:0]; } a @ 0;"
        " reg { ispresent = FULL; field { sw = r; hw = na; reset = 1; } x[0:0]; } b @ 4; };"
    )
    assert [register.name for register in load_registers(file).registers] == ["a"]
    assert load_registers(file).address_bits == 3
    assert [register.name for register in load_registers(file, {"FULL": True}).registers] == ["a", "b"]


READ = "field { sw = r; hw = na; reset = 0; }"
WRITE = "field { sw = w; hw = r; reset = 0; }"


def test_registers_of_maps_within_have_their_instances_names(tmp_path):
    path = tmp_path / "nested.rdl"
    part = "addrmap part {{ reg {{ {field} }} q @ 4; }};\n".format(
        field="field { sw = r; hw = na; reset = 3; } f[3:0];"
    )
    path.write_text(part + map_file("reg { field { sw = r; hw = w; } f; } own @ 0; part a @ 0x20; part b @ 0x40;"))
    found = load_registers(path)
    assert [(one.name, one.offset_bytes) for one in found.registers] == [("own", 0), ("a_q", 0x24), ("b_q", 0x44)]
    assert (found.size_bytes, found.address_bits) == (0x48, 7)
    path.write_text(part + map_file("part a[2] @ 0x20 += 0x10; part b @ 0x40;"))
    assert [(one.name, one.offset_bytes) for one in load_registers(path).registers] == [
        ("a0_q", 0x24),
        ("a1_q", 0x34),
        ("b_q", 0x44),
    ]
    for body, message in (
        (
            "part a[2][2] @ 0x20 += 0x10;",
            ": a is an array of more than one dimension; it must have one",
        ),
        ("part a @ 0x20; reg { field { sw = r; hw = w; } f; } a_q @ 0x40;", ": a_q is the name of two registers"),
    ):
        path.write_text(part + map_file(body))
        with pytest.raises(RegisterError, match=re.escape(f"{path}{message}")):
            load_registers(path)


def map_file(body):
    return f"addrmap m {{ {body} }};"


def register_file(body):
    return map_file(f"reg {{ {body} }} q @ 0;")


def field_file(properties):
    return register_file(f"field {{ {properties} }} f[3:0];")


REFUSED = [
    # what the compiler says
    (map_file("\n\nnonsense = 1;"), ":3: Unrecognized property 'nonsense'"),
    ("", ": Could not find any 'addrmap' components to elaborate"),
    (
        "\n" + field_file("sw = r; hw = na; reset = 16;"),
        ":2: The reset value (16) of field 'f' cannot fit within its width (4)",
    ),
    # structure
    (map_file(f"regfile {{ reg {{ {READ} f; }} q; }} g @ 0;"), ": g is a regfile; only registers are supported"),
    (
        map_file("external mem { mementries = 4; memwidth = 32; } t @ 0;"),
        ": t is a mem; only registers are supported",
    ),
    (map_file(f"signal {{}} s; reg {{ {READ} f; }} q @ 0;"), ": s is a signal; only registers are supported"),
    (map_file(f"reg {{ {READ} f; }} q[4] @ 0;"), ": q is an array; only single registers are supported"),
    (map_file(f"external reg {{ {READ} f; }} q @ 0;"), ": q is external; only internal registers are supported"),
    (register_file(f"signal {{}} s; {READ} f;"), ": q.s is a signal; only fields are supported"),
    (register_file(f"regwidth = 64; {READ} f;"), ": q.regwidth must be 32, not 64"),
    (register_file(f"accesswidth = 16; {READ} f;"), ": q.accesswidth must be 32, not 16"),
    (register_file(f"{READ} f[0:0]; {WRITE} g[0:0];"), ": q.g overlaps f at bit 0"),
    (map_file(f"reg {{ {READ} f; }} a @ 0; reg {{ {WRITE} f; }} b @ 0;"), ": b overlaps a at 0x0"),
    (map_file(f"reg {{ {READ} f; }} bus @ 0;"), ": bus: the name bus is reserved"),
    (register_file(f"{READ} lambda;"), ": q.lambda: the name lambda is reserved"),
    # properties
    (
        map_file(f"sharedextbus; reg {{ {READ} f; }} q @ 0;"),
        ": addrmap m.sharedextbus is not supported; known: addressing, alignment, desc, ispresent, name",
    ),
    (
        register_file(f"shared; {READ} f;"),
        ": q.shared is not supported; known: accesswidth, desc, ispresent, name, regwidth",
    ),
    (field_file("sw = rw; hw = r; reset = 0; swwe;"), ': q.f.swwe is not supported; did you mean "we"?'),
    (field_file("sw = rw1; hw = r; reset = 0;"), ": q.f.sw must be r, w or rw, not rw1"),
    (field_file("sw = rw; hw = r; reset = 0; onwrite = wot;"), ": q.f.onwrite must be woclr or woset, not wot"),
    (field_file("sw = rw; hw = r; reset = 0; onread = rset;"), ": q.f.onread must be rclr, not rset"),
    (
        field_file("sw = rw; hw = r; reset = 0; hwset; precedence = sw;"),
        ": q.f.precedence must be hw: a change by hardware wins over one by software",
    ),
    (
        register_file("field { sw = rw; hw = rw; reset = 0; } f[7:7]; field { sw = r; hw = w; } g[0:0]; f->we = g;"),
        ": q.f.we must be true or false, not a reference",
    ),
    (
        register_file("field { sw = rw; hw = r; } f[7:7]; field { sw = r; hw = w; } g[0:0]; f->reset = g;"),
        ": q.f.reset must be a number, not a reference",
    ),
    # combinations
    (field_file("sw = rw; hw = na; hwset; reset = 0;"), ": q.f: hw = na does not go with hwset, hwclr or we"),
    (
        field_file("sw = rw; hw = rw; reset = 0;"),
        ": q.f: software and hardware both write it: give it we, hwset or hwclr",
    ),
    (
        field_file("sw = r; hw = rw;"),
        ": q.f: hw = rw needs we, hwset or hwclr: a live field is the hardware's own wire",
    ),
    (field_file("sw = r; hw = w; rclr;"), ": q.f: rclr needs a stored field: give it we, hwset or hwclr"),
    (field_file("sw = r; hw = w; reset = 1;"), ": q.f: a live field has no reset value: it is the hardware's wire"),
    (field_file("sw = rw; hw = r;"), ": q.f: it needs a reset value"),
    (field_file("sw = r; hw = r; rclr; reset = 1;"), ": q.f: rclr needs a field that can change"),
    (
        field_file("sw = rw; hw = r; swmod; rclr; reset = 0;"),
        ": q.f: swmod does not go with rclr: swacc tells of reads",
    ),
    (field_file("sw = w; hw = r; swacc; reset = 0;"), ": q.f: swacc needs sw = r or rw"),
    (field_file("sw = r; hw = r; swmod; reset = 0;"), ": q.f: swmod needs sw = w or rw"),
    (
        register_file("field { sw = rw; hw = rw; singlepulse; we; reset = 0; } f;"),
        ": q.f: singlepulse needs hw = r",
    ),
    (
        register_file("field { sw = rw; hw = r; singlepulse; hwset; reset = 0; } f;"),
        ": q.f: singlepulse does not go with hwset, hwclr, we, woclr, woset or rclr",
    ),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[message[2:40] for _, message in REFUSED])
def test_registers_refuse_what_they_cannot_be(tmp_path, text, message):
    file = tmp_path / "bad.rdl"
    file.write_text(text)
    with pytest.raises(RegisterError, match=f"^{re.escape(str(file) + message)}$"):
        load_registers(file)


def test_registers_refuse_unknown_and_impossible_parameters(tmp_path):
    rdl = HERE / "kinds.rdl"
    with pytest.raises(ConfigError, match=f'^{re.escape(str(rdl))}: BILD is not a parameter; did you mean "BUILD"\\?$'):
        load_registers(rdl, {"BILD": 1})
    with pytest.raises(
        ConfigError, match=r"kinds.rdl:\d+: The reset value \(256\) of field 'build' cannot fit within its width \(8\)$"
    ):
        load_registers(rdl, {"BUILD": 256})
    file = tmp_path / "none.rdl"
    file.write_text(field_file("sw = r; hw = na; reset = 0;"))
    with pytest.raises(ConfigError, match=f"^{re.escape(str(file))}: X is not a parameter; it has none$"):
        load_registers(file, {"X": 1})


def test_registers_refuse_a_missing_file(tmp_path):
    file = tmp_path / "gone.rdl"
    with pytest.raises(RegisterError, match=f"^{re.escape(str(file))}: no such register file$"):
        load_registers(file)
    with pytest.raises(RegisterError, match=f"^{re.escape(str(tmp_path))}: no such register file$"):
        load_registers(tmp_path)
