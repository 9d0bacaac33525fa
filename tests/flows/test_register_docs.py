"""C header and pages: against the register map, a C compiler, and each other over two runs."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows.errors import NielloError
from flows.register_docs import c_header, html
from hdl.common.registers import RegisterError, load_registers

ROOT = Path(__file__).parents[2]
KINDS = ROOT / "tests" / "common" / "kinds.rdl"
PARAMETERS = {"BUILD": 9}


def compiled_offsets(folder, header, struct, names):
    """What a C compiler makes of the header: the offset of each register, then the struct's size."""
    lines = "".join(f'    printf("%zu\\n", offsetof({struct}, {name}));\n' for name in names)
    program = folder / "offsets.c"
    program.write_text(
        f'#include <stddef.h>\n#include <stdio.h>\n#include "{header.name}"\n'
        f'int main(void) {{\n{lines}    printf("%zu\\n", sizeof({struct}));\n    return 0;\n}}\n'
    )
    compiler = shutil.which("gcc") or shutil.which("cc") or "g++"
    options = ["-x", "c++"] if compiler == "g++" else ["-std=c11", "-x", "c"]
    command = [compiler, "-Wall", "-Wextra", "-Werror", *options, str(program), "-o", str(folder / "offsets")]
    subprocess.run(command, check=True)
    return [int(line) for line in subprocess.check_output([folder / "offsets"], text=True).split()]


def test_c_header_places_registers_where_the_file_says(tmp_path):
    header = tmp_path / "kinds_a.h"
    c_header(KINDS, PARAMETERS, header)
    names = ["constants", "scratch", "control", "status", "motion", "data", "marks"]
    expected = [0x00, 0x04, 0x08, 0x0C, 0x14, 0x18, 0x20, 0x24]
    assert compiled_offsets(tmp_path, header, "kinds_a_t", names) == expected


def test_c_header_agrees_with_the_register_map(tmp_path):
    header = tmp_path / "kinds_a.h"
    c_header(KINDS, PARAMETERS, header)
    macros = {
        name: int(value, 0) for name, value in re.findall(r"#define (\w+_(?:bm|bp|bw|reset)) (\S+)", header.read_text())
    }
    registers = load_registers(KINDS, PARAMETERS)
    expected = {}
    for register in registers.registers:
        for field in register.fields:
            prefix = f"KINDS_A__{register.name}__{field.name}".upper()
            expected |= {f"{prefix}_bm": field.mask, f"{prefix}_bp": field.low, f"{prefix}_bw": field.width}
            if not field.is_live:
                expected[f"{prefix}_reset"] = field.reset
    assert macros == expected
    assert macros["KINDS_A__CONSTANTS__BUILD_reset"] == 9
    offsets = compiled_offsets(tmp_path, header, "kinds_a_t", [register.name for register in registers.registers])
    assert offsets == [*(register.offset_bytes for register in registers.registers), registers.size_bytes]


def test_c_headers_of_two_designs_live_in_one_program(tmp_path):
    c_header(KINDS, {"BUILD": 1}, tmp_path / "one.h")
    c_header(KINDS, {"BUILD": 2}, tmp_path / "2-two.h")
    both = tmp_path / "both.h"
    both.write_text('#include "one.h"\n#include "2-two.h"\n')
    assert compiled_offsets(tmp_path, both, "_2_two_t", ["marks"]) == [0x20, 0x24]
    assert compiled_offsets(tmp_path, both, "one_t", ["marks"]) == [0x20, 0x24]


def digests(folder):
    """SHA-256 of every file below `folder`, by its path there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_register_docs_depend_on_the_file_alone(tmp_path):
    program = (
        "import sys\nfrom pathlib import Path\nfrom flows.register_docs import c_header, html\n"
        "rdl, out = map(Path, sys.argv[1:])\nout.mkdir(parents=True)\n"
        "c_header(rdl, {'BUILD': 9}, out / 'kinds.h')\nhtml(rdl, {'BUILD': 9}, out / 'pages')\n"
    )
    moved = tmp_path / "elsewhere" / "kinds.rdl"
    moved.parent.mkdir()
    shutil.copyfile(KINDS, moved)
    for seed, rdl in ((1, KINDS), (2, moved)):
        command = [sys.executable, "-c", program, str(rdl), str(tmp_path / str(seed) / ("deep" * seed))]
        subprocess.run(command, check=True, cwd=ROOT, env={"PYTHONHASHSEED": str(seed)})
    first, second = digests(tmp_path / "1" / "deep"), digests(tmp_path / "2" / "deepdeep")
    assert first == second
    assert {"kinds.h", "pages/index.html", "pages/data/offline.js"} <= set(first)


def test_register_pages_need_no_network_and_no_server(tmp_path):
    html(KINDS, PARAMETERS, tmp_path / "pages")
    index = (tmp_path / "pages" / "index.html").read_text()
    assert not re.search(r'(src|href)="(https?:)?//', index)
    assert "mathjax" not in index.lower()
    scripts = re.findall(r'<script src="([^"?]+)', index)
    assert scripts[0] == "data/offline.js"
    assert [name for name in scripts if not (tmp_path / "pages" / name).is_file()] == []
    offline = (tmp_path / "pages" / "data" / "offline.js").read_text()
    for file in [*tmp_path.glob("pages/content/*"), *tmp_path.glob("pages/*/*.json")]:
        assert f'"{file.relative_to(tmp_path / "pages").as_posix()}": ' in offline
    assert "Given by the build." in offline
    assert str(ROOT) not in index + offline


def test_register_docs_refuse_a_bad_file(tmp_path):
    gone = tmp_path / "gone.rdl"
    for write in (c_header, html):
        with pytest.raises(RegisterError, match=f"^{re.escape(str(gone))}: no such register file$"):
            write(gone, {}, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_register_pages_go_into_an_empty_folder_only(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(NielloError, match=f"^{re.escape(str(tmp_path))} is not empty$"):
        html(KINDS, PARAMETERS, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]
