"""Tests of the page in headless Chromium; `make test-view` runs them in an environment of their own.

Elsewhere (`make test`) trame-slicer or Playwright is not installed, or there is no Chromium, and none is collected.
CHROMIUM=<path> in the environment names the browser.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from needs import CHROMIUM, MISSING

if MISSING:
    collect_ignore_glob = ["test_*.py"]
else:
    pytest.register_assert_rewrite("desk", "viewer_process")
    from desk import Desk, browser, desk_of
    from page_files import phantom_folder
    from viewer_process import running_viewer


def pytest_report_header() -> str | None:
    return f"browser tests: not collected, {', '.join(MISSING)} missing" if MISSING else None


@pytest.fixture(scope="session")
def chromium():
    with browser(CHROMIUM) as started:
        yield started


@pytest.fixture(scope="session")
def shared_desk(chromium, tmp_path_factory) -> Iterator[Desk]:
    """A viewer on the phantom and a page on it, for all tests that leave both as they were."""
    folder = phantom_folder(tmp_path_factory.mktemp("folder"))
    log = tmp_path_factory.mktemp("log") / "viewer.log"
    with running_viewer(log, folder / "phantom.nii.gz") as viewer, desk_of(chromium, viewer, folder) as desk:
        yield desk


@pytest.fixture
def desk(shared_desk: Desk) -> Iterator[Desk]:
    """The phantom with its eight true points, T12 to S2, as they come from their file."""
    shared_desk.open_points("truth.mrk.json")
    yield shared_desk
    shared_desk.stays_at_home()


@pytest.fixture
def own_viewer(tmp_path):
    """Starts further viewers on a folder with the phantom: `with own_viewer("--upload-limit", 1) as viewer`."""
    folder = phantom_folder(tmp_path / "folder")

    def start(*arguments: str | int | Path, **options):
        return running_viewer(tmp_path / "viewer.log", *arguments, "--folder", folder, **options)

    start.folder = folder
    return start
