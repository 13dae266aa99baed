"""The notebooks run from top to bottom on small studies, are stored without outputs, and their tables are right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import nbclient
import nbformat
import numpy as np
import pytest

from hprune.report import data_of_study
from hprune.reporting.frames import find_root, only_study, study_frame
from hprune.tasks.spec import TaskData

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture
def data(study_root: Path, monkeypatch: pytest.MonkeyPatch) -> TaskData:
    monkeypatch.chdir(study_root.parent)
    found = data_of_study(study_root, "toy")
    assert found is not None
    return found


def test_notebooks_are_stored_without_outputs() -> None:
    paths = list(NOTEBOOKS.glob("*.ipynb"))
    assert paths
    for path in paths:
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        assert cells
        assert all(not cell.outputs and cell.execution_count is None for cell in cells)


@pytest.fixture(scope="module")
def executed(cells_root: Path) -> dict[str, list[Any]]:
    """The outputs of each notebook, one after the other in a kernel that forgets in between: torch is imported once."""
    notebooks = {path.stem: nbformat.read(path, as_version=4) for path in sorted(NOTEBOOKS.glob("*.ipynb"))}
    together = nbformat.v4.new_notebook()
    for notebook in notebooks.values():
        together.cells += [*notebook.cells, nbformat.v4.new_code_cell("%reset -f")]
    names = {"HPRUNE_STUDY": "long", "HPRUNE_STUDIES": "long,short,more"}
    with pytest.MonkeyPatch.context() as patch:
        for key, value in {"HPRUNE_ROOT": str(cells_root), "PYTHONPATH": str(NOTEBOOKS.parent), **names}.items():
            patch.setenv(key, value)
        nbclient.NotebookClient(together, timeout=60, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
    return {
        name: [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
        for name, notebook in notebooks.items()
    }


# The message queue below Jupyter leaves its sockets to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("name", "figures"), [("comparison_of_scores", 5), ("score_histograms", 3), ("sensitivity", 6)]
)
def test_the_notebooks_run(name: str, figures: int, executed: dict[str, list[Any]]) -> None:
    outputs = executed[name]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == figures
    assert not any("This needs" in output.get("text", "") for output in outputs)
    shown = "".join(output.get("data", {}).get("text/html", "") for output in outputs)
    assert "sample 7 &lt;script&gt;run()" in shown
    assert "<script>run" not in shown, "texts are shown, never run"


@pytest.mark.parametrize(
    ("name", "figures", "needed"),
    [
        ("sensitivity", 1, ["sensitivity.runs=[2,4] sensitivity.epochs", "two cells", "experiment=sensitivity_epochs",
                            "sensitivity.retrain=corners", "experiment=sensitivity_samples"]),
        ("comparison_of_scores", 2, ["score study=toy score=el2n", "score study=toy score=aum", "report study=toy"]),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(
    name: str,
    figures: int,
    needed: list[str],
    study_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HPRUNE_ROOT", str(study_root))
    monkeypatch.chdir(NOTEBOOKS)  # the notebook goes elsewhere: to be undone
    with matplotlib.rc_context():
        matplotlib.use("agg")
        there: dict[str, Any] = {"display": print}
        for cell in nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells:
            if cell.cell_type == "code":
                exec(cell.source, there)
        drawn = len(plt.get_fignums())
        plt.close("all")
    said = capsys.readouterr().out
    assert drawn == figures
    assert all(text in said for text in needed), said


def test_every_figure_is_explained() -> None:
    """The cell before one that draws is a text."""
    for path in NOTEBOOKS.glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        drawing = [
            at for at, cell in enumerate(cells) if "plt.subplots(" in cell.source or "plt.figure(" in cell.source
        ]
        assert drawing
        near = [{cell.cell_type for cell in cells[at - 2 : at]} for at in drawing]
        assert all("markdown" in kinds for kinds in near), path


def test_study_frame(study_root: Path, data: TaskData) -> None:
    frame = study_frame(study_root, "toy", data)
    assert list(frame) == ["sample_id", "text", "label", "value", "length", "confidence", "variability"]
    assert frame["value"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert frame["label"].tolist() == ["y", "n"] * 6
    assert frame["length"].tolist() == [i + 2 for i in range(12)]
    assert (frame.loc[frame["value"] == 3, "confidence"] > 0.5).all()
    assert (frame.loc[frame["value"] == 0, "confidence"] < 0.5).all()
    assert frame["variability"].between(0, 0.5).all()


def test_confidence_and_variability_are_the_scores_of_these_names(study_root: Path, data: TaskData) -> None:
    import pyarrow.parquet as pq

    files = sorted(study_root.glob("runs/own/none/full-*/seed=[123]/record.*.parquet"))
    columns = np.stack([pq.read_table(file)[f"true_prob_{epoch}"].to_numpy() for file in files for epoch in (0, 1)])
    frame = study_frame(study_root, "toy", data)
    assert columns.shape == (6, 12)
    np.testing.assert_allclose(frame["confidence"], columns.mean(axis=0), rtol=1e-6)
    spread = columns.reshape(3, 2, 12).std(axis=1).mean(axis=0)
    np.testing.assert_allclose(frame["variability"], spread, rtol=1e-5)


def test_other_data_are_refused(study_root: Path, data: TaskData) -> None:
    other = TaskData(data.train, {}, data.label_names, data.text, "0" * 64, {})
    with pytest.raises(ValueError, match="belongs to other data"):
        study_frame(study_root, "toy", other)


def test_the_root_is_searched_upward(study_root: Path) -> None:
    below = study_root / "studies" / "toy"
    assert find_root(below) == study_root.resolve()
    assert find_root(Path("/"), str(study_root)) == study_root
    with pytest.raises(ValueError, match="no folder 'nowhere' with studies"):
        find_root(below, "nowhere")


def test_the_only_study_is_the_default(study_root: Path, tmp_path: Path) -> None:
    assert only_study(study_root) == "toy"
    assert only_study(tmp_path) == "demo"
