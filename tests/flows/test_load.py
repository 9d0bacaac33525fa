"""Everything that can be wrong with a design's file, by whole message."""

import json
import os

import pytest

from flows.catalog import BLOCKS
from flows.errors import BadInput
from flows.load import load_design, named_designs

BLOCK_NAMES = ", ".join(BLOCKS)

GOOD = "block: simd.dot\nparams:\n  lanes: 8\n"


def refusal(tmp_path, text, name="mine.yml"):
    path = tmp_path / name
    if isinstance(text, bytes):
        path.write_bytes(text)
    else:
        path.write_text(text)
    with pytest.raises(BadInput) as caught:
        load_design(str(path))
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(path), "FILE")


def test_load_reads_a_file_by_path(tmp_path):
    path = tmp_path / "mine.yml"
    path.write_text(GOOD + "target: {board: icebreaker, clock_mhz: 12}\nbudgets: {lut: 500, fmax_mhz: 20.5}\n")
    design = load_design(str(path))
    assert (design.name, design.top, design.block.name) == ("mine", "niello_mine", "simd.dot")
    assert design.config.lanes == 8
    assert (design.target.board, design.target.clock_mhz) == ("icebreaker", 12)
    assert (design.budgets.lut, design.budgets.fmax_mhz, design.budgets.dsp) == (500, 20.5, None)


def test_load_knows_the_named_designs():
    assert {"dot_int8x4", "dot_int8x16", "dot_int8x32"} <= set(named_designs())
    for name in named_designs():
        assert load_design(name).name == name


def test_load_identity_depends_on_the_parameters_alone(tmp_path):
    identities = {}
    for name, text in {
        "one": GOOD,
        "two": "# a comment\nparams: {lanes: 8}\nblock: simd.dot\nbudgets: {lut: 3}\n",
        "three": GOOD.replace("8", "9"),
    }.items():
        path = tmp_path / f"{name}.yml"
        path.write_text(text)
        identities[name] = load_design(str(path)).config_sha256
    assert identities["one"] == identities["two"] != identities["three"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "FILE: the file is empty; a design has at least `block:` and `params:`"),
        ("# nothing\n", "FILE: the file is empty; a design has at least `block:` and `params:`"),
        ("- a\n- b\n", "FILE: a design must be a map with block and params, not ['a', 'b'] (a list)"),
        ("hello\n", "FILE: a design must be a map with block and params, not 'hello' (a string)"),
        (
            "block: simd.dot\nparams:\n\tlanes: 8\n",
            "FILE:3:1: found character '\\t' that cannot start any token "
            "(hint: YAML takes spaces for indentation, not tabs)",
        ),
        ("block: [\n", "FILE:2:1: expected the node content, but found '<stream end>'"),
        (GOOD + "block: simd.dot\n", "FILE:4:1: block stands twice"),
        (b"block: \xff\n", "FILE: not UTF-8 text (byte 7)"),
        ("block: simd.dot\n? [1]\n: 2\n", "FILE:2:3: a key must be a name"),
        ("params: {lanes: 8}\n", f"FILE: block is missing; it must be one of {BLOCK_NAMES}"),
        (
            "block: simd.dto\n",
            f"FILE: block must be one of {BLOCK_NAMES}, not 'simd.dto' (a string); did you mean \"simd.dot\"?",
        ),
        ("block: [simd.dot]\n", f"FILE: block must be one of {BLOCK_NAMES}, not ['simd.dot'] (a list)"),
        ("block: simd.dot\n", "FILE: params.lanes is missing; it must be a whole number in 2..64"),
        ("block: simd.dot\nparams: [8]\n", "FILE: params must be a map of field: value, not [8] (a list)"),
        ("block: simd.dot\nparams:\n", "FILE: params must be a map of field: value, not nothing"),
        (GOOD + "  lane: 8\n", 'FILE: params.lane is not a field; did you mean "lanes"?'),
        (GOOD + "parms: {}\n", 'FILE: parms is not a field; did you mean "params"?'),
        (GOOD.replace("8", "65"), "FILE: params.lanes must be a whole number in 2..64, not 65"),
        (GOOD.replace("8", "1"), "FILE: params.lanes must be a whole number in 2..64, not 1"),
        (GOOD.replace("8", "8.0"), "FILE: params.lanes must be a whole number in 2..64, not 8.0"),
        (GOOD.replace("8", "'8'"), "FILE: params.lanes must be a whole number in 2..64, not '8' (a string)"),
        (GOOD.replace("8", "yes"), "FILE: params.lanes must be a whole number in 2..64, not True (a boolean)"),
        (GOOD.replace("8", "[8]"), "FILE: params.lanes must be a whole number in 2..64, not [8] (a list)"),
        (
            GOOD + "  tree_levels_per_stage: 4\n",
            "FILE: params.tree_levels_per_stage must be one of 1, 2, 3, not 4",
        ),
        (GOOD + "target: {bord: x}\n", 'FILE: target.bord is not a field; did you mean "board"?'),
        (GOOD + "target: {board: 3}\n", "FILE: target.board must be a string, not 3"),
        (GOOD + "target: {clock_mhz: 0}\n", "FILE: target.clock_mhz must be a number above 0 and at most 400, not 0"),
        (GOOD + "target: icebreaker\n", "FILE: target must be a map of field: value, not 'icebreaker' (a string)"),
        (GOOD + "budgets: {lut: -1}\n", "FILE: budgets.lut must be a whole number at least 0, not -1"),
        (GOOD + "budgets: {fmax: 1}\n", 'FILE: budgets.fmax is not a field; did you mean "fmax_mhz"?'),
    ],
)
def test_load_refuses_a_bad_file_in_one_line(tmp_path, text, message):
    assert refusal(tmp_path, text) == message


def test_load_refuses_a_bomb_of_aliases_at_once(tmp_path):
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{name}: &{name} [{', '.join([f'*{chr(ord(name) - 1)}'] * 9)}]" for name in "bcdefghi"]
    assert refusal(tmp_path, "\n".join(lines) + "\n") == "FILE: a is not a field; known: block, params, target, budgets"
    bomb = "block: simd.dot\nparams:\n  lanes:\n    x: &a [1, 1]\n"
    bomb += "".join(f"    x{n}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(12))
    message = refusal(tmp_path, bomb)
    assert message.startswith(
        "FILE: params.lanes must be a whole number in 2..64, not {'x': [1, 1], 'x0': [[...], [...]"
    )
    assert len(message) < 200


def test_load_refuses_what_is_no_regular_or_no_small_file(tmp_path):
    fifo = tmp_path / "pipe.yml"
    os.mkfifo(fifo)
    with pytest.raises(BadInput, match=r"pipe.yml: not a regular file$"):
        load_design(str(fifo))
    assert refusal(tmp_path, "#" * 1_000_001) == "FILE: must have at most 1,000,000 characters"


def test_load_takes_a_byte_order_mark_and_dos_line_ends(tmp_path):
    path = tmp_path / "mine.yml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load_design(str(path)).config.lanes == 8


def test_load_refuses_a_bad_file_name(tmp_path):
    assert refusal(tmp_path, GOOD, "My-Design.yml") == (
        "FILE: the file's name is the design's: it must be 1 to 63 of a-z, 0-9, _, a letter first, not 'My-Design'"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dot_int8x61", 'no design "dot_int8x61"; did you mean "dot_int8x16"?'),
        ("zzz", f'no design "zzz"; known: {", ".join(named_designs())}'),
        ("none/such.yml", "none/such.yml: no such file (hint: `niello list` shows the named designs)"),
    ],
)
def test_load_refuses_an_unknown_design(name, message):
    with pytest.raises(BadInput) as caught:
        load_design(name)
    assert str(caught.value) == message


def test_load_refuses_a_folder(tmp_path):
    (tmp_path / "folder.yml").mkdir()
    with pytest.raises(BadInput) as caught:
        load_design(str(tmp_path / "folder.yml"))
    assert str(caught.value) == f"{tmp_path}/folder.yml: a folder, not a YAML file"


def test_load_makes_a_design_of_a_pulse_netlist(tmp_path):
    """Pulses are no part of it; slots are as many as the longest delay has ticks, so that no pulse is lost."""
    netlist = [{"inst": "s", "cell": "SPLIT", "pins": {"a": "in", "q0": "x", "q1": "y"}}]
    designs = []
    for pulses in ([], [1, 20]):
        path = tmp_path / "split.json"
        path.write_text(json.dumps({"netlist": netlist, "inputs": {"in": pulses}}))
        designs.append(load_design(str(path)))
    assert (designs[0].name, designs[0].block.name) == ("split", "sfq.emulation")
    assert designs[0].config.slots == 64  # 6.3 ps
    assert designs[0].config_sha256 == designs[1].config_sha256
    message = refusal(tmp_path, json.dumps({"netlist": netlist}), "split.json")
    assert message == "FILE: wire in, received by s.a, is driven by nothing"
    assert refusal(tmp_path, '{"netlist": 3}', "split.json") == 'FILE: a netlist must be a map with a list "netlist"'
