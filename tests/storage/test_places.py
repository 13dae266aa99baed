"""Places are local paths, and lie where they belong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hprune.storage.places import below, local_path
from hprune.tasks.classification import Classification
from hprune.tasks.spec import TaskSpec


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a/b.csv", "a/b.csv"), ("/a/b", "/a/b"), ("file:///a/b", "/a/b"), ("FILE:///a", "/a"), ("a:b", "a:b"),
        ("file://localhost/a", "/a"), ("file:///a%20b", "/a%20b"), ("C:x", "C:x"), ("é 漢", "é 漢"), (Path("x"), "x"),
    ],
)  # fmt: skip
def test_a_local_path_is_taken(text: str, path: str) -> None:
    assert local_path(text, "out") == Path(path)


def test_the_home_folder_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert local_path("~/x", "out") == Path("/home/me/x")


@pytest.mark.parametrize(
    "text",
    ["s3://bucket/x", "gs://b", "memory://x", "hf://datasets/a/b", "https://x/y.csv", "zip::file:///a", "file://host/x",
     "simplecache::s3://b", "file://x"],
)  # fmt: skip
def test_another_storage_is_refused_and_a_way_out_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"^out=.* is not a path on this machine: .*mounted folder"):
        local_path(text, "out")


@pytest.mark.parametrize("text", ["", None, 3, True, [], "a\x00b", "a\nb", "\ud800"])
def test_what_is_no_path_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"^out must be a path"):
        local_path(text, "out")


@pytest.mark.parametrize("key", ["train_file", "validation_file", "test_file", "data_dir"])
def test_data_lie_on_this_machine(key: str) -> None:
    with pytest.raises(ValueError, match=f"^task.{key}=s3://b/x is not a path on this machine"):
        TaskSpec("own", Classification(), **{"train_file": "x.csv", key: "s3://b/x"})
    spec = TaskSpec("own", Classification(), **{"train_file": "x.csv", key: "file:///a/x.csv"})
    assert getattr(spec, key) == "/a/x.csv"


@pytest.mark.parametrize("command", ["score", "report", "export", "status"])
def test_results_lie_on_this_machine(command: str, run_command: Callable[..., tuple[int, str, str]]) -> None:
    more = {"export": ["out=x.csv"]}.get(command, [])
    code, _, err = run_command(command, "study=s", *more, "paths.root=memory://x")
    assert code == 1
    assert "paths.root=memory://x is not a path on this machine" in err


def test_links_may_stay_inside(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert below(tmp_path, "b") == tmp_path / "b"
    (tmp_path / "c").symlink_to("/etc")
    for name in ("c", "c/passwd", "../x", "/etc"):
        with pytest.raises(ValueError, match="leads out of its folder"):
            below(tmp_path, name)
