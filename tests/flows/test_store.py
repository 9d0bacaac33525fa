"""Results are whole or absent, whatever happens to the process, the disk or the files."""

import errno
import json
import multiprocessing
import os
import signal
import time

import pytest

from flows.errors import NielloError, ToolError
from flows.store import Step, Store, digest_files, digest_of, publish


def writer(text="hello", inputs=None, files=("**/*",)):
    """A step that writes `text` to a file and a line to `runs`, so that runs can be counted."""

    def action(out):
        (out / "sub").mkdir()
        (out / "sub" / "result.txt").write_text(text)
        return {"length": len(text)}

    return Step("write", "design", inputs or {"text": text}, action, files)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "build")


def test_store_runs_a_step_once(store):
    first, second = store.run(writer()), store.run(writer())
    assert (first.cached, second.cached) == (False, True)
    assert second["sub/result.txt"].read_text() == "hello"
    assert second.metrics == {"length": 5}
    assert first.path == second.path == store.root / "design" / f"write-{writer().key[:12]}"


def test_store_keys_depend_on_inputs_alone(store):
    assert writer(inputs={"a": 1, "b": 2}).key == writer("other", inputs={"b": 2, "a": 1}).key
    assert writer(inputs={"a": 1}).key != writer(inputs={"a": 2}).key


def test_store_step_json_says_what_was_done(store):
    record = json.loads((store.run(writer()).path / "step.json").read_text())
    assert record["step"] == "write"
    assert record["owner"] == "design"
    assert record["key"] == writer().key
    assert record["inputs"] == {"text": "hello"}
    assert record["metrics"] == {"length": 5}
    assert list(record["outputs"]) == ["sub/result.txt"]


def test_store_force_runs_again(store):
    store.run(writer())
    assert store.run(writer(), force=True).cached is False
    assert store.run(writer()).cached is True


@pytest.mark.parametrize(
    "damage", ["change", "remove", "truncate_record", "empty_record", "other_record", "edited_record", "deep_record"]
)
def test_store_damaged_result_is_made_anew(store, damage):
    result = store.run(writer())
    file, record = result["sub/result.txt"], result.path / "step.json"
    if damage == "change":
        file.write_text("jello")
    elif damage == "remove":
        file.unlink()
    elif damage == "truncate_record":
        record.write_text(record.read_text()[:100])
    elif damage == "empty_record":
        record.write_text("")
    elif damage == "edited_record":
        record.write_text(record.read_text().replace('"length": 5', '"length": 6'))
    elif damage == "deep_record":
        record.write_text("[" * 100_000)
    else:
        record.write_text("[1, 2]")
    again = store.run(writer())
    assert again.cached is False
    assert again["sub/result.txt"].read_text() == "hello"


def test_store_touched_but_equal_file_is_kept(store):
    result = store.run(writer())
    os.utime(result["sub/result.txt"], (1, 1))
    assert store.run(writer()).cached is True


def test_store_failed_step_leaves_no_result_but_its_log(store):
    def action(out):
        log = out / "tool.log"
        log.write_text("what went wrong")
        raise ToolError("tool", "it broke", log)

    step = Step("fail", "design", {}, action)
    with pytest.raises(ToolError) as caught:
        store.run(step)
    assert store.find(step) is None
    assert caught.value.log == store.place(step).with_name(store.place(step).name + ".failed") / "tool.log"
    assert caught.value.log.read_text() == "what went wrong"
    assert str(caught.value).endswith(str(caught.value.log))


def test_store_step_after_a_failure_succeeds(store):
    healthy = []

    def action(out):
        (out / "file").write_text("x")
        if not healthy:
            raise NielloError("not yet")
        return {}

    step = Step("flaky", "design", {}, action)
    with pytest.raises(NielloError, match="^not yet$"):
        store.run(step)
    healthy.append(True)
    assert store.run(step).cached is False
    assert not list((store.root / "design").glob("*.failed"))


def _slow_step(started, release, root, outcome=None):
    def action(out):
        (out / "half").write_text("half")
        started.set()
        release.wait(20)
        (out / "whole").write_text("whole")
        return {}

    result = Store(root).run(Step("slow", "design", {}, action))
    if outcome is not None:
        outcome.put(result.cached)


def _start(root, outcome=None):
    context = multiprocessing.get_context("fork")
    started, release = context.Event(), context.Event()
    process = context.Process(target=_slow_step, args=(started, release, root, outcome))
    process.start()
    return process, started, release


def test_store_killed_run_leaves_nothing_that_is_taken_for_a_result(store):
    process, started, _ = _start(store.root)
    assert started.wait(20)
    os.kill(process.pid, signal.SIGKILL)
    process.join(20)
    step = Step("slow", "design", {}, lambda out: (out / "whole").write_text("new") and {})
    assert store.find(step) is None
    result = store.run(step)
    assert result.cached is False
    assert result["whole"].read_text() == "new"
    assert not (result.path / "half").exists()


def test_store_two_runs_at_once_do_the_work_once(store):
    outcome = multiprocessing.get_context("fork").Queue()
    first, started, release = _start(store.root, outcome)
    assert started.wait(20)
    second, _, second_release = _start(store.root, outcome)
    time.sleep(0.3)
    release.set()
    second_release.set()
    assert sorted([outcome.get(timeout=20), outcome.get(timeout=20)]) == [False, True]
    first.join(20)
    second.join(20)


def test_store_full_disk_is_one_line_and_leaves_no_result(store):
    def action(out):
        with open("/dev/full", "w") as handle:
            handle.write("x")
        return {}

    step = Step("full", "design", {}, action)
    with pytest.raises(NielloError) as caught:
        store.run(step)
    assert str(caught.value) == (
        f"no room left on the disk of {store.root} (hint: `niello clean` frees the build folder)"
    )
    assert store.find(step) is None


def test_store_success_on_a_full_disk_is_not_believed(store, monkeypatch):
    def no_room(folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("flows.store.require_room", no_room)
    with pytest.raises(NielloError, match=r"^no room left on the disk of "):
        store.run(writer())
    assert store.find(writer()) is None


def test_store_unwritable_place_is_one_line(tmp_path):
    (tmp_path / "build").write_text("a file where the folder should be")
    with pytest.raises(NielloError) as caught:
        Store(tmp_path / "build").run(writer())
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "build") in str(caught.value)


def test_store_lists_only_the_files_promised(store):
    def action(out):
        (out / "kept.txt").write_text("1")
        (out / "scratch.txt").write_text("2")
        return {}

    result = store.run(Step("pick", "design", {}, action, files=("kept.*",)))
    assert list(result.outputs) == ["kept.txt"]
    with pytest.raises(KeyError, match="has no output scratch.txt; it has kept.txt"):
        result["scratch.txt"]


def test_publish_replaces_what_stood_there(tmp_path):
    (tmp_path / "one").write_text("1")
    (tmp_path / "two").write_text("2")
    link = tmp_path / "link"
    publish(tmp_path / "one", link)
    publish(tmp_path / "two", link)
    assert link.read_text() == "2"
    assert str(link.readlink()) == "two"


def test_digests_tell_names_and_contents_apart(tmp_path):
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("1")
    one = digest_files([tmp_path / "a"], relative_to=tmp_path)
    assert one != digest_files([tmp_path / "b"], relative_to=tmp_path)
    (tmp_path / "a").write_text("2")
    assert one != digest_files([tmp_path / "a"], relative_to=tmp_path)
    assert digest_of({"x": 1, "y": 2}) == digest_of({"y": 2, "x": 1})
