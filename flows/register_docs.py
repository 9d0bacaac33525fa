"""A block's registers for those who use it: C header and HTML pages, by PeakRDL, from the block's SystemRDL file.

Both depend on the file, its parameters and the output's name alone: no dates, no paths, no hash order. A block without
registers has a header of its ports' widths.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.errors import NielloError

UNUSED_FILES = ("launcher-*", ".launcher_data", "fonts/*/*.eot", "fonts/*/*.svg", "fonts/*/*.ttf", "fonts/*/*.woff")
"""What PeakRDL's pages do not need once they open without a web server: its launchers, and fonts for older browsers."""

OFFLINE_SCRIPT = """\
// Every page and index of this folder: a browser lets no page that was opened as a file fetch another.
const FILES = {files};
const online_fetch = window.fetch;
window.fetch = (path) => {{
    const text = FILES[String(path).split("?")[0]];
    return text === undefined ? online_fetch(path) : Promise.resolve(new Response(text));
}};
window.MathJax = {{Hub: {{Queue() {{}}, Config() {{}}}}}};
"""


def c_header(path: Path, parameters: Mapping[str, int], out_file: Path) -> None:
    """Writes the C header of the registers that `path` describes, elaborated with `parameters`.

    It has a packed struct of the registers, `<stem>_t`, and of each field mask, position, width and reset value,
    `<STEM>__<REGISTER>__<FIELD>_bm`, `_bp`, `_bw`, `_reset`. The stem is the output file's, made an identifier, so the
    headers of two designs of one block live in one program. For C11 and later, and C++.

    Raises
    ------
    RegisterError
        If the register file is wrong.
    """
    from peakrdl_cheader.c_standards import CStandard
    from peakrdl_cheader.exporter import CHeaderExporter

    from hdl.common.rdl import elaborate

    name = _stem(out_file)
    node = elaborate(path, parameters, name=name)
    with tempfile.TemporaryDirectory() as folder:
        header = Path(folder) / f"{name}.h"  # PeakRDL makes the include guard of the file's name
        CHeaderExporter().export(node, str(header), std=CStandard.gnu11, reuse_typedefs=False)
        out_file.write_text(header.read_text(encoding="utf-8"), encoding="utf-8")


def ports_header(ports: Sequence[Mapping[str, Any]], out_file: Path) -> None:
    """Writes the C header of a block that has no registers: the width of each port, in bits, `<STEM>__<PORT>_bw`.

    The stem is as in `c_header`; `ports` are those of `ports.json`.
    """
    name = _stem(out_file).upper()
    widths = "".join(f"#define {name}__{port['name'].upper()}_bw {port['width']}\n" for port in ports)
    text = f"// No registers: its streams are all that it has. Widths of the ports, in bits.\n\n{widths}"
    out_file.write_text(f"#ifndef {name}_H\n#define {name}_H\n\n{text}\n#endif // {name}_H\n", encoding="utf-8")


def _stem(out_file: Path) -> str:
    """A file's name without its suffix, as a C identifier."""
    return re.sub(r"\W|^(?=\d)", "_", out_file.stem, flags=re.ASCII)


def html(path: Path, parameters: Mapping[str, int], out_dir: Path) -> None:
    """Writes pages on the registers that `path` describes, elaborated with `parameters`: `out_dir`/index.html and more.

    They open as files, without a web server or network. `out_dir` is made if need be.

    Raises
    ------
    RegisterError
        If the register file is wrong.
    NielloError
        If there is something in `out_dir` already.
    """
    from markdown import Markdown  # type: ignore[import-untyped]
    from peakrdl_html import HTMLExporter

    from hdl.common.rdl import elaborate

    node = elaborate(path, parameters)
    if out_dir.exists() and any(out_dir.iterdir()):
        raise NielloError(f"{out_dir} is not empty")
    exporter = HTMLExporter(
        markdown_inst=Markdown(
            extensions=["extra", "admonition"]
        ),  # PeakRDL's default adds formulas, set from a network
        generate_source_links=False,
        user_context={"build_ts": 0},
    )
    exporter.export(node, str(out_dir))
    for pattern in UNUSED_FILES:
        for unused in out_dir.glob(pattern):
            shutil.rmtree(unused) if unused.is_dir() else unused.unlink()
    _open_as_files(out_dir)


def _open_as_files(folder: Path) -> None:
    """Let the index work from a disk: everything that it would fetch comes in a script, nothing from a network."""
    fetched = sorted([*folder.glob("content/*.html"), *folder.glob("data/*.json"), *folder.glob("search/*.json")])
    files = {file.relative_to(folder).as_posix(): file.read_text(encoding="utf-8") for file in fetched}
    script = OFFLINE_SCRIPT.format(files=json.dumps(files, indent=1))
    (folder / "data" / "offline.js").write_text(script, encoding="utf-8")

    index = folder / "index.html"
    text = index.read_text(encoding="utf-8")
    text = re.sub(r'\s*<script async src="https?://[^>]*></script>', "", text)
    text = re.sub(r'\s*<script type="text/x-mathjax-config">.*?</script>', "", text, flags=re.DOTALL)
    text, found = re.subn(r"(\s*<script src=)", r'\1"data/offline.js"></script>\1', text, count=1)
    if not found or re.search(r'(src|href)="https?://', text):
        raise NielloError("peakrdl-html: its index page has changed, and would need a network", hint="make setup")
    index.write_text(text, encoding="utf-8")
