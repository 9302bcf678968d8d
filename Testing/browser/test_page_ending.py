"""How the viewer begins and ends on the user's computer: the token is in no command line, no correction is lost."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from desk import Desk
from page_files import LEVELS
from playwright.sync_api import expect
from VertebraLabelingLib.core.formats import read_points

pytestmark = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs Linux")
BROWSER = """#!{python}
import sys
from pathlib import Path
lines = [" ".join(sys.argv)]
for process in Path("/proc").glob("[0-9]*/cmdline"):
    try:
        lines.append(process.read_bytes().replace(b"\\0", b" ").decode("utf-8", "replace"))
    except OSError:
        pass
Path({log!r}).write_text("\\n".join(lines), encoding="utf-8")
"""


@pytest.fixture
def page(chromium):
    """A page that may lose its viewer."""
    context = chromium.new_context()
    yield context.new_page()
    context.close()


def test_the_browser_comes_to_the_page_and_no_command_line_holds_the_token(page, own_viewer, tmp_path):
    browser, log = tmp_path / "browser", tmp_path / "processes"
    browser.write_text(BROWSER.format(python=sys.executable, log=str(log)), encoding="utf-8")
    browser.chmod(0o755)
    with own_viewer(browser=browser) as viewer:
        desk = Desk(page, viewer, own_viewer.folder)
        while not log.exists() or not log.read_text(encoding="utf-8"):
            page.wait_for_timeout(100)
        told = log.read_text(encoding="utf-8")
        assert "VertebraLabelingLib.predict" in told, "the viewer itself is among the processes"
        assert viewer.token not in told
        address = told.splitlines()[0].split()[-1]
        assert urlsplit(address).scheme == "file"
        redirect = Path(url2pathname(urlsplit(address).path))
        assert redirect.stat().st_mode & 0o077 == 0
        page.goto(address)
        expect(desk["page"]).to_have_attribute("data-ready", "true")
        assert page.url == viewer.address
    assert not redirect.exists()


@pytest.fixture
def in_a_terminal():
    """What is started under nohup, as long test runs are, leaves SIGHUP alone, and so would the viewer."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_corrections_that_are_not_saved_are_kept_when_the_viewer_ends(page, own_viewer, in_a_terminal, name):
    folder = own_viewer.folder
    (folder / "phantom.unsaved.mrk.json").write_text("older", encoding="utf-8")
    with own_viewer(folder / "phantom.nii.gz") as viewer:
        desk = Desk(page, viewer, folder).open()
        desk.until(lambda state: state["ct"] and not state["opening"], "the CT")
        desk.open_points("truth.mrk.json")
        desk["shift-up"].click()
        desk.until(lambda state: state["unsaved"], "a correction")
        os.kill(viewer.process.pid, getattr(signal, name))
        assert viewer.process.wait(30) == 0
        told = viewer.process.stdout.read()
    kept = folder / "phantom.unsaved-2.mrk.json"
    assert f"not saved; they are now in {kept}" in told
    assert (folder / "phantom.unsaved.mrk.json").read_text(encoding="utf-8") == "older"
    assert [point.level.name for point in read_points(kept)] == ["T11", *LEVELS[:-1]]
