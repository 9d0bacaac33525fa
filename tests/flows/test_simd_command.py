"""`niello simd dot`: what it computes, what it refuses, and in which words."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import flows.simd
from flows.cli import app
from flows.errors import BadInput
from hdl.simd.modes import MODES, OUTPUT_FORMATS, STATUS
from sim.simd import mac_model

ONE = 0x3F800000


@pytest.fixture(autouse=True)
def mac_designs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two designs beside the named ones: `mac_all` with all formats, and `mac_posit` with few."""
    configs = {
        "mac_all": SimpleNamespace(modes=tuple(MODES), outputs=OUTPUT_FORMATS),
        "mac_posit": SimpleNamespace(modes=("p8_0", "p16_1", "nvfp4"), outputs=("p8_0", "p16_1")),
    }
    real = flows.simd.load_design

    def load(name: str) -> Any:
        if name not in configs:
            return real(name)
        return SimpleNamespace(name=name, block=SimpleNamespace(name="simd.mac"), config=configs[name])

    monkeypatch.setattr(flows.simd, "load_design", load)


def run(tmp_path: Path, items: Any, *options: str, mode: str = "p8_0", design: str = "mac_all") -> list[str]:
    """The command's arguments, with the items (or the text) in a file."""
    path = tmp_path / "in.json"
    path.write_text(items if isinstance(items, str) else json.dumps(items))
    return ["simd", "dot", "--design", design, "--format", mode, "--in", str(path), *options]


def result_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    app(args=arguments, standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    return json.loads(lines[0])


def refusal(arguments: list[str]) -> str:
    with pytest.raises(BadInput) as caught:
        app(args=arguments, standalone_mode=False)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_simd_dot_gives_codes_and_names_of_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = [
        {"a": [0x40, 0x50], "b": [0x40, 0x50]},  # 1 * 1 + 1.5 * 1.5 = 3.25
        {"a": [], "b": []},
        {"a": [0x80], "b": [0x00]},  # NaR
        {"a": [0x7F, 0x01], "b": [0x7F, 0x01]},  # 4096 + 2**-12
        {"a": [0x01], "b": [0xFF]},  # -(2**-12)
    ]
    result = result_of(run(tmp_path, items), capsys)
    assert result == {
        "design": "mac_all",
        "format": "p8_0",
        "out_format": "p8_0",
        "engine": "model",
        "out": [0x6A, 0, 0x80, 0x7F, 0xFF],
        "status": [[], [], ["nar"], ["overflow"], ["underflow"]],
    }
    assert result_of(run(tmp_path, items, "--out-format", "fp32"), capsys)["out"][0] == 0x40500000


@pytest.mark.parametrize("mode", MODES)
def test_simd_dot_default_output_and_each_item_by_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    """Items of many lengths in one file come out as each of them alone."""
    rng = np.random.default_rng(1)
    block, bits = MODES[mode].block, MODES[mode].element.bits
    items, expected = [], []
    for length in [5, 40, 5, 0, 33, 1, 40]:
        item = {name: rng.integers(0, 1 << bits, length).tolist() for name in ("a", "b")}
        if block:
            count = -(-length // block.block_length)
            item |= {name: rng.integers(0, 256, count).tolist() for name in ("scale_a", "scale_b")}
        arrays = {name: np.array([codes], np.uint16 if bits > 8 else np.uint8) for name, codes in item.items()}
        alone = mac_model.dot(mode, arrays.pop("a"), arrays.pop("b"), **arrays)
        names = [name for bit, name in enumerate(STATUS) if int(alone.status[0]) >> bit & 1]
        expected.append((int(alone.codes[0]), names))
        items.append(item)
    result = result_of(run(tmp_path, items, mode=mode), capsys)
    assert list(zip(result["out"], result["status"], strict=True)) == expected
    assert result["out_format"] == ("fp32" if block else "int32" if mode.startswith("int") else mode)


def test_simd_dot_of_no_items_is_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for mode in ("p8_0", "nvfp4"):
        result = result_of(run(tmp_path, [], mode=mode), capsys)
        assert (result["out"], result["status"]) == ([], [])


def test_simd_dot_overflow_can_give_infinity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = [{"a": [0x7B], "b": [0x7B]}, {"a": [0x7C], "b": [0xBC]}]
    saturated = result_of(run(tmp_path, items, mode="e5m2"), capsys)
    assert (saturated["out"], saturated["status"]) == ([0x7B, 0xFC], [["overflow"], ["inf"]])
    infinite = result_of(run(tmp_path, items, "--overflow", "inf", mode="e5m2"), capsys)
    assert (infinite["out"], infinite["status"]) == ([0x7C, 0xFC], [["overflow"], ["inf"]])


def test_simd_dot_tensor_scales_of_nvfp4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = {"a": [2, 4], "b": [2, 3], "scale_a": [0x38], "scale_b": [0x38]}  # 1 * 1 + 2 * 1.5 = 4
    items = [
        plain,
        plain | {"tensor_scale_a": 0x3F000000},  # 0.5
        plain | {"tensor_scale_b": 0x3DCCCCCD},  # 13421773 * 2**-27, about 0.1
        plain | {"tensor_scale_a": ONE, "tensor_scale_b": 0x7FC00000},
        plain | {"tensor_scale_a": 0x7F800000, "tensor_scale_b": 0xBF800000},
    ]
    result = result_of(run(tmp_path, items, mode="nvfp4"), capsys)
    assert result["out"] == [0x40800000, 0x40000000, 0x3ECCCCCD, 0x7FC00000, 0xFF800000]
    assert result["status"] == [[], [], [], ["nan"], ["inf"]]
    narrow = result_of(run(tmp_path, items, "--out-format", "e4m3", mode="nvfp4"), capsys)
    assert narrow["out"] == [0x48, 0x40, 0x2D, 0x7F, 0xFE]
    assert narrow["status"] == [[], [], [], ["nan"], ["inf", "overflow"]]


ITEM = {"a": [1, 2], "b": [3, 4]}
BLOCK = ITEM | {"scale_a": [127], "scale_b": [127]}


@pytest.mark.parametrize(
    ("mode", "items", "message"),
    [
        ("int8", {"a": [1]}, """must be a list of items like {"a": [1], "b": [2]}, not {'a': [1]} (a map)"""),
        ("int8", "[1, 2", ":1:6: not JSON: Expecting ',' delimiter"),
        ("int8", "", ":1:1: not JSON: Expecting value"),
        ("int8", "[" * 100_000, "nested too deeply"),
        ("int8", '[{"a": [1], "b": [2], "a": [3]}]', "a stands twice in a map"),
        ("int8", [ITEM, 5], "item 1 must be a map with a and b, not 5"),
        ("int8", [ITEM, {"a": [1]}], "item 1: b is missing; it must be a list of codes of int8"),
        ("int8", [{}], "item 0: a is missing; it must be a list of codes of int8"),
        ("int8", [{"a": "1", "b": [1]}], "item 0: a must be a list of codes of int8, not '1' (a string)"),
        ("int8", [ITEM | {"scal_a": 1}], "item 0: scal_a is not a field; known: a, b"),
        ("mxfp4", [ITEM | {"scal_a": 1}], 'item 0: scal_a is not a field; did you mean "scale_a"?'),
        ("int8", [ITEM, {"a": [1, 2, 3], "b": [1, 2]}], "item 1: b must have the length of a, 3, not 2"),
        ("int8", [{"a": [1, -3], "b": [1, 2]}],
         "item 0: a[1] must be a code of int8, 0..255, not -3 "
         "(hint: codes are bits without a sign: two's complement of -3 is 253)"),
        ("int8", [{"a": [1, 256], "b": [1, 2]}], "item 0: a[1] must be a code of int8, 0..255, not 256"),
        ("int8", [{"a": [1, 2], "b": [1.0, 2]}],
         "item 0: b[0] must be a code of int8, 0..255, not 1.0 (hint: a code is the number's bits, not the number)"),
        ("int8", "[{\"a\": [NaN], \"b\": [1]}]",
         "item 0: a[0] must be a code of int8, 0..255, not nan (hint: a code is the number's bits, not the number)"),
        ("int8", [{"a": [1, True], "b": [1, 2]}], "item 0: a[1] must be a code of int8, 0..255, not True (a boolean)"),
        ("int8", [{"a": [1, None], "b": [1, 2]}], "item 0: a[1] must be a code of int8, 0..255, not nothing"),
        ("p16_1", [{"a": [65536], "b": [1]}], "item 0: a[0] must be a code of p16_1, 0..65535, not 65536"),
        ("fp4", [{"a": [1], "b": [16]}], "item 0: b[0] must be a code of fp4, 0..15, not 16"),
        ("mxfp6_e3m2", [BLOCK | {"a": [1, 64]}], "item 0: a[1] must be a code of e3m2, 0..63, not 64"),
        ("int8", [BLOCK], "item 0: scale_a is of block formats; int8 has no blocks"),
        ("mxfp4", [ITEM], "item 0: scale_a is missing; it must be a list of codes of e8m0"),
        ("mxfp4", [BLOCK | {"scale_b": [127, 127]}],
         "item 0: scale_b must have the length 1, a code for every 32 of a, not 2"),
        ("nvfp4", [BLOCK | {"a": [0] * 17, "b": [0] * 17}],
         "item 0: scale_a must have the length 2, a code for every 16 of a, not 1"),
        ("nvfp4", [BLOCK | {"scale_a": [256]}], "item 0: scale_a[0] must be a code of e4m3, 0..255, not 256"),
        ("mxfp4", [BLOCK | {"tensor_scale_a": ONE}], "item 0: tensor_scale_a is of nvfp4; mxfp4 has no tensor scale"),
        ("nvfp4", [BLOCK | {"tensor_scale_b": 1.0}],
         "item 0: tensor_scale_b must be a code of fp32, 0..4294967295, not 1.0 "
         "(hint: a code is the number's bits, not the number)"),
        ("int4", [{"a": [0] * (2**20 + 1), "b": [0] * (2**20 + 1)}],
         "item 0: a must have at most 1048576 codes, not 1048577"),
    ],
)  # fmt: skip
def test_simd_dot_refuses_wrong_items(tmp_path: Path, mode: str, items: Any, message: str) -> None:
    separator = "" if message.startswith(":") else ": "
    assert refusal(run(tmp_path, items, mode=mode)) == f"{tmp_path}/in.json{separator}{message}"


def test_simd_dot_refuses_files_it_cannot_read(tmp_path: Path) -> None:
    arguments = ["simd", "dot", "--design", "mac_all", "--format", "p8_0", "--in"]
    assert refusal([*arguments, str(tmp_path / "none.json")]) == f"{tmp_path}/none.json: no such file"
    assert refusal([*arguments, str(tmp_path)]) == f"{tmp_path}: a folder, not a JSON file"
    (tmp_path / "latin.json").write_bytes(b"[\xe9]")
    assert refusal([*arguments, str(tmp_path / "latin.json")]) == f"{tmp_path}/latin.json: not UTF-8 text (byte 1)"
    (tmp_path / "long.json").write_text("[" + "1" * 5000 + "]")
    assert re.match(r".*long\.json: Exceeds the limit \(4300 digits\)", refusal([*arguments, f"{tmp_path}/long.json"]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "p8"], f'--format must be one of {", ".join(MODES)}, not "p8"; did you mean "p8_0"?'),
        (["--out-format", "bf61"],
         f'--out-format must be one of {", ".join(OUTPUT_FORMATS)}, not "bf61"; did you mean "bf16"?'),
        (["--overflow", "wrap"], '--overflow must be one of saturate, inf, not "wrap"'),
        (["--engine", "modell"], f'--engine must be one of {", ".join(flows.simd.ENGINES)}, not "modell"; '
         'did you mean "model"?'),
        (["--design", "dot_int8x4"], "--design must be a simd.mac design; dot_int8x4 is simd.dot"),
        (["--design", "mac_posit", "--format", "int8", "--out-format", "p8_0"],
         "mac_posit has no operand format int8; it has p8_0, p16_1, nvfp4"),
        (["--design", "mac_posit", "--out-format", "fp16"], "mac_posit has no output format fp16; it has p8_0, p16_1"),
        (["--design", "mac_posit", "--format", "nvfp4"],
         "mac_posit has no output format fp32; it has p8_0, p16_1 (hint: --out-format names another)"),
    ],
)  # fmt: skip
def test_simd_dot_refuses_wrong_options(tmp_path: Path, options: list[str], message: str) -> None:
    assert refusal([*run(tmp_path, []), *options]) == message


def test_simd_dot_refuses_a_design_that_is_not_there(tmp_path: Path) -> None:
    assert refusal(run(tmp_path, [], design="mac_none")).startswith('no design "mac_none"')


def test_simd_dot_tensor_scales_need_fp32_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--out-format", "p16_1"]
    plain = run(tmp_path, [BLOCK | {"scale_a": [0x38], "scale_b": [0x38]}], *options, mode="nvfp4", design="mac_posit")
    assert result_of(plain, capsys)["status"] == [[]]
    scaled = run(tmp_path, [BLOCK | {"tensor_scale_a": ONE}], *options, mode="nvfp4", design="mac_posit")
    assert refusal(scaled) == (
        "mac_posit has no output format fp32; it has p8_0, p16_1 (hint: tensor scales are applied to results in fp32)"
    )


def test_simd_dot_refuses_as_a_command(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("niello")
    arguments = ["simd", "dot", "--design", "dot_int8x4", "--format", "p8_0", "--in", str(tmp_path / "none.json")]
    done = subprocess.run([str(command), *arguments], capture_output=True, text=True, check=False)
    message = "--design must be a simd.mac design; dot_int8x4 is simd.dot"
    assert (done.returncode, done.stderr) == (2, f"niello: {message}\n")
    assert json.loads(done.stdout) == {"error": message, "exit": 2}


@pytest.mark.deep
def test_simd_dot_rtl_gives_the_json_of_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Items of many lengths, an empty one among them, through the Verilog of a named design."""
    rng = np.random.default_rng(2)
    for mode, output, overflow in (("p8_0", None, "saturate"), ("p16_1", "fp4", "inf")):
        most = 1 << MODES[mode].element.bits
        items = [
            {name: rng.integers(0, most, length).tolist() for name in ("a", "b")} for length in [5, 0, 40, 5, 1, 0, 9]
        ]
        items += [{"a": [most - 1] * length, "b": [1] * length} for length in (1, 2)]
        options = ["--overflow", overflow, *(["--out-format", output] if output else [])]
        arguments = run(tmp_path, items, *options, mode=mode, design="mac_quad_core")
        expected = result_of(arguments, capsys)
        assert len(set(map(tuple, expected["status"]))) > 1
        assert result_of([*arguments, "--engine", "rtl"], capsys) == expected | {"engine": "rtl"}
    assert result_of([*run(tmp_path, [], design="mac_quad_core"), "--engine", "rtl"], capsys)["out"] == []


def test_simd_dot_rtl_takes_what_the_design_has(tmp_path: Path) -> None:
    options = ["--engine", "rtl", "--out-format", "fp4"]
    arguments = run(tmp_path, [BLOCK], *options, mode="mxfp4", design="mac_quad_core")
    assert refusal(arguments) == "mac_quad_core has no operand format mxfp4; it has fp4, p4_1, p8_0, p16_1"
