"""Tests of the viewer without trame; those that need a scene run on the harness, as Testing/mrml."""

import pytest
from harness import fixtures
from harness.fixtures import scene

__all__ = ["scene"]

ON_THE_HARNESS = (
    "test_view_workspace.py",
    "test_view_web.py",
    "test_view_opening.py",
    "test_view_opener.py",
    "test_view_rescue.py",
    "test_view_series.py",
)


@pytest.fixture
def workspace(scene, tmp_path):
    """One whose runs are fakes, with a folder of its own."""
    from session_support import FakeJob
    from VertebraLabelingLib.view.folder import Folder
    from VertebraLabelingLib.view.workspace import Workspace

    FakeJob.made.clear()
    (tmp_path / "folder").mkdir()
    workspace = Workspace(scene, Folder(tmp_path / "folder"), make_job=FakeJob, make_refine_job=FakeJob)
    yield workspace
    workspace.close()


def pytest_pycollect_makemodule(module_path, parent):
    """Skip what needs a scene where the harness cannot start."""
    return fixtures.pytest_pycollect_makemodule(module_path, parent) if module_path.name in ON_THE_HARNESS else None
