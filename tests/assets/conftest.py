"""What the tests of the code location share: the location itself, and a workspace on which the main job has run."""

import shutil
from pathlib import Path

import dagster as dg
import pytest

from assets.build import build_defs
from tests.assets.workspaces import DONE_AS_OF, resource_of, run, write_history
from tests.support.places import Place, make_place


@pytest.fixture(scope="session")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    """The whole code location, as workspace.yaml loads it."""
    folder = tmp_path_factory.mktemp("location")
    return build_defs({"workspace": resource_of(make_place(folder))})


@pytest.fixture(autouse=True)
def own_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore DAGSTER_HOME afterwards: the main job names its instance by it."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "nowhere"))


@pytest.fixture(scope="session")
def _done_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("done")
    place = make_place(folder)
    write_history(place.source.path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(folder / "nowhere"))
        launched = run(place, as_of=DONE_AS_OF)
    assert launched.faults == ()
    return folder


@pytest.fixture
def done(_done_once: Path, tmp_path: Path) -> Place:
    """A workspace of two repositories on which the main job has run as of `DONE_AS_OF`."""
    shutil.copytree(_done_once, tmp_path / "done")
    return make_place(tmp_path / "done")
