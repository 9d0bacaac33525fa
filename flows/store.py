"""Results by content: a step runs once for its inputs, and what it leaves is whole or absent.

A result lies in `build/<owner>/<step>-<key12>/`, with a `step.json` beside its files. The key is the SHA-256 of
everything the result depends on. A step works in a hidden folder that is renamed into place when all is written, under
a lock that dies with its process: a cut-off run leaves nothing that is taken for a result, and of two runs at once one
works and the other finds the result there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flows.errors import NielloError, ToolError
from flows.paths import shown

SCHEMA = 1
ROOM_BYTES = 256 * 1024


@dataclasses.dataclass(frozen=True)
class Step:
    """One step to be done.

    Attributes
    ----------
    name : what it is called on the screen and in its folder's name
    owner : the design, or `shared` for what serves several
    inputs : plain data that says everything the result depends on: hashes of files, options, versions
    action : called with the folder to write into; returns the metrics, plain data
    files : of what the action leaves, the files that others may rely on, relative; globs
    """

    name: str
    owner: str
    inputs: dict[str, Any]
    action: Callable[[Path], dict[str, Any]]
    files: tuple[str, ...] = ("**/*",)

    @property
    def key(self) -> str:
        """SHA-256 of the inputs."""
        return digest_of({"schema": SCHEMA, "step": self.name, "inputs": self.inputs})


@dataclasses.dataclass(frozen=True)
class Result:
    """A finished step: its folder, what it measured, and whether it was already there."""

    path: Path
    key: str
    seconds: float
    metrics: dict[str, Any]
    outputs: dict[str, str]
    cached: bool

    def __getitem__(self, name: str) -> Path:
        """The path of an output file."""
        if name not in self.outputs:
            raise KeyError(f"{self.path.name} has no output {name}; it has {', '.join(self.outputs)}")
        return self.path / name

    @property
    def digest(self) -> str:
        """SHA-256 over the outputs: equal outputs of different runs are equal inputs of the next step."""
        return digest_of(self.outputs)


class Store:
    """The results below one folder."""

    def __init__(self, root: Path):
        self.root = root

    def place(self, step: Step) -> Path:
        return self.root / step.owner / f"{step.name}-{step.key[:12]}"

    def find(self, step: Step) -> Result | None:
        """The result, if it is there and whole."""
        return _read(self.place(step), step.key)

    def run(self, step: Step, *, force: bool = False, on_start: Callable[[], None] = lambda: None) -> Result:
        """The result of a step: the one that is there, or a new one. `force` does it anew.

        Raises
        ------
        NielloError
            As the step raises it; what the step wrote so far then lies in `<folder>.failed`, where its log can be read.
        """
        place = self.place(step)
        if not force and (found := _read(place, step.key)):
            return found
        with disk_errors(self.root):
            place.parent.mkdir(parents=True, exist_ok=True)
            with self._lock(place):
                # Another process may have finished it while this one waited.
                if not force and (found := _read(place, step.key)):
                    return found
                on_start()
                return self._work(step, place)

    @contextlib.contextmanager
    def _lock(self, place: Path) -> Iterator[None]:
        """Holds the step for this process; the kernel lets go of it when the process ends, however it ends."""
        locks = self.root / ".locks"
        locks.mkdir(exist_ok=True)
        with open(locks / f"{place.parent.name}-{place.name}", "w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _work(self, step: Step, place: Path) -> Result:
        # We hold the lock, so a folder left under this name is of a process that died. Ours has a name of its own, as
        # tools of the dead one may live on for a while.
        work = place.with_name(f".{place.name}.{os.getpid()}.work")
        failed = place.with_name(f"{place.name}.failed")
        for old in (*place.parent.glob(f".{place.name}.*.work"), failed):
            _remove(old)
        work.mkdir()
        start = time.monotonic()
        try:
            metrics = step.action(work)
            require_room(work)
            record: dict[str, Any] = {
                "schema": SCHEMA,
                "step": step.name,
                "owner": step.owner,
                "key": step.key,
                "inputs": step.inputs,
                "seconds": round(time.monotonic() - start, 3),
                "metrics": metrics,
                "outputs": _outputs(work, step.files),
            }
            record["sha256"] = digest_of(record)
            _write_whole(work / "step.json", json.dumps(record, indent=1) + "\n")
        except BaseException as error:
            with contextlib.suppress(OSError):
                work.rename(failed)
                _redirect(error, work, failed)
            raise
        if place.exists():
            _remove(place)
        work.rename(place)
        result = _read(place, step.key)
        if result is None:
            raise NielloError(f"{step.name}: the result in {shown(place)} cannot be read back")
        return dataclasses.replace(result, cached=False)


def digest_of(content: Any) -> str:
    """SHA-256 of plain data, whatever the order of its maps."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def digest_files(paths: list[Path], *, relative_to: Path) -> str:
    """SHA-256 of the names and contents of files."""
    return digest_of({str(path.relative_to(relative_to)): _sha256(path) for path in paths})


def require_room(folder: Path) -> None:
    """Checks that the disk still takes something.

    Some tools end with success though the disk was full and what they wrote is cut off; but then there is no room after
    them, either.

    Raises
    ------
    OSError
        ENOSPC, if there is none.
    """
    probe = folder / ".room"
    try:
        with open(probe, "wb") as handle:
            handle.write(bytes(ROOM_BYTES))
            handle.flush()
            os.fsync(handle.fileno())
    finally:
        probe.unlink(missing_ok=True)


def publish(target: Path, link: Path) -> None:
    """Makes `link` a relative symbolic link to `target`, in one step, whatever stood there."""
    relative = os.path.relpath(target, link.parent)
    if link.is_symlink() and str(link.readlink()) == relative:
        return
    with disk_errors(link.parent):
        temporary = link.with_name(f".{link.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(relative)
        temporary.replace(link)


@contextlib.contextmanager
def disk_errors(where: Path, *, hint: str = "") -> Iterator[None]:
    """Turns what a disk can refuse into one line."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise NielloError(
                f"no room left on the disk of {shown(where)}", hint=hint or "`niello clean` frees the build folder"
            ) from None
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
            raise NielloError(
                f"cannot write {error.filename or where}: {error.strerror}",
                hint=hint or "NIELLO_BUILD names another build folder",
            ) from None
        raise


def _read(place: Path, key: str) -> Result | None:
    """The result in a folder, or None where there is none, it is damaged, or a file of it changed."""
    try:
        record = json.loads((place / "step.json").read_text())
        if record.pop("sha256") != digest_of(record) or record["key"] != key or record["schema"] != SCHEMA:
            return None
        for name, known in record["outputs"].items():
            status = (place / name).stat()
            if [status.st_size, status.st_mtime_ns] != known[1:] and _sha256(place / name) != known[0]:
                return None
        outputs = {name: known[0] for name, known in record["outputs"].items()}
        return Result(place, key, record["seconds"], record["metrics"], outputs, cached=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _outputs(folder: Path, patterns: tuple[str, ...]) -> dict[str, tuple[str, int, int]]:
    found = {}
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}):
        status = path.stat()
        found[str(path.relative_to(folder))] = (_sha256(path), status.st_size, status.st_mtime_ns)
    return found


def _sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _write_whole(path: Path, text: str) -> None:
    with open(path, "w") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def _redirect(error: BaseException, old: Path, new: Path) -> None:
    """The log that an error names has moved with its folder."""
    if isinstance(error, NielloError):
        error.message = error.message.replace(str(old), shown(new))
    if isinstance(error, ToolError) and error.log is not None:
        error.log = new / os.path.relpath(error.log, old)
