"""The house rules that a machine can check: who imports whom, what text may say, generated files up to date."""

import ast
import subprocess
import sys
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("hdl", "sim", "boards", "flows", "tests", "bench")

# What each package may import of ours. `sim` reads of `hdl` only what holds no gateware: configs and data tables.
ARROWS = {
    "hdl": ("hdl",),
    "sim": (
        "sim",
        "hdl.common.config",
        "hdl.common.block",
        "hdl.common.registers",
        "hdl.common.format_table",
        "hdl.*.*config",
        "hdl.*.*_words",
        "hdl.*.modes",
        "hdl.attention.formats",
        "hdl.*.cells",
        "hdl.*.cell_files",
        "hdl.*.netlist",
        "hdl.*.netlist_json",
        "hdl.*.neuromorphic",
        "hdl.*.processor_image",
        "hdl.*.network_packets",
        "hdl.*.timing",
        "hdl.*.commands",
        "hdl.*.device_latency",
        "hdl.*.violations",
    ),
    "boards": ("boards", "hdl", "sim"),
    "flows": ("flows", "boards", "hdl", "sim"),
}


def sources(package):
    return sorted(path for path in (ROOT / package).rglob("*.py"))


def our_imports(path):
    """Every module of ours that a file imports, at any depth, with the line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides the arrow"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if is_module(name) else node.module for name in inner]
        else:
            continue
        for name in names:
            if name.split(".")[0] in PACKAGES:
                yield node.lineno, name


def is_module(name):
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def allowed(name, patterns):
    for pattern in patterns:
        wanted, got = pattern.split("."), name.split(".")
        if all(fnmatchcase(g, w) for w, g in zip(wanted, got, strict=False)) and len(got) >= len(wanted):
            return True
    return False


@pytest.mark.parametrize("package", ARROWS)
def test_imports_follow_the_arrows(package):
    assert sources(package)
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sources(package)
        for line, name in our_imports(path)
        if not allowed(name, ARROWS[package])
    ]
    assert wrong == []


def test_golden_models_import_no_gateware():
    for path in (ROOT / "sim").glob("*/*_model.py"):
        tree = ast.parse(path.read_text())
        roots = {
            name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module])
        }
        assert roots <= {
            "__future__",
            "collections",
            "dataclasses",
            "functools",
            "heapq",
            "math",
            "numpy",
            "typing",
            "hdl",
            "sim",
        }


def test_sources_stay_readable():
    long = {
        str(path.relative_to(ROOT)): lines
        for package in PACKAGES
        for path in sources(package)
        if (lines := path.read_text().count("\n")) > 400
    }
    assert long == {}


def test_lock_files_name_no_host():
    for lock in ROOT.glob("requirements*.lock"):
        text = lock.read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text


def test_every_dependency_has_its_reason():
    text = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(text)
    named = [*project["project"]["dependencies"]]
    for group in [*project["project"]["optional-dependencies"].values(), *project["dependency-groups"].values()]:
        named += group
    lines = text.splitlines()
    assert [name for name in named if not any(f'"{name}"' in line and "#" in line for line in lines)] == []


def verilog_is_the_same_for_any_hash_seed(tmp_path, names):
    """The files of these designs, written under two hash seeds, are equal, and name no folder of this machine."""
    script = (
        "import sys; from pathlib import Path; from flows.load import load_design;"
        "from flows.verilog import write_rtl\n"
        "for name in sys.argv[2:]: write_rtl(load_design(name), Path(sys.argv[1]))"
    )
    written = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        environment = {"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": seed, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-c", script, str(folder), *names], check=True, env=environment, cwd=tmp_path)
        written.append({path.name: path.read_bytes() for path in sorted(folder.iterdir())})
    assert written[0] == written[1]
    assert len(written[0]) >= 3 * len(names)
    for name, content in written[0].items():
        assert str(ROOT).encode() not in content, f"{name} names a folder of this machine"


def test_verilog_is_the_same_for_any_hash_seed(tmp_path):
    verilog_is_the_same_for_any_hash_seed(tmp_path, ["dot_int8x4", "min_max"])


@pytest.mark.deep
def test_verilog_of_every_design_is_the_same_for_any_hash_seed(tmp_path):
    from flows.load import named_designs

    verilog_is_the_same_for_any_hash_seed(tmp_path, list(named_designs()))


def test_generated_tables_are_fresh():
    from flows.docs import pages, stale

    assert pages()
    assert [str(page.relative_to(ROOT)) for page in stale()] == [], "`make docs` renews them"
