"""The browser is sent to the page without the token in the command line of any process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "http://127.0.0.1:8123/0a1b2c3d4e/"
BROWSER = """#!{python}
import sys
from pathlib import Path
Path({log!r}).write_text("\\n".join(sys.argv))
"""
OPEN = """
import sys
from pathlib import Path
from VertebraLabelingLib.view.redirect import open_page
open_page({address!r}, Path({folder!r}))
"""


@pytest.mark.skipif(os.name == "nt", reason="the browser of this test is a script")
def test_the_browser_gets_a_private_file_that_goes_on_to_the_page(tmp_path):
    log, browser, folder = tmp_path / "log", tmp_path / "browser", tmp_path / "private"
    folder.mkdir()
    browser.write_text(BROWSER.format(python=sys.executable, log=str(log)))
    browser.chmod(0o755)
    code = OPEN.format(address=ADDRESS, folder=str(folder))
    environment = {**os.environ, "BROWSER": str(browser), "PYTHONPATH": str(ROOT / "VertebraLabeling")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
    told = log.read_text()
    (path,) = folder.iterdir()
    assert told.splitlines()[-1] == path.as_uri()
    assert "0a1b2c3d4e" not in told
    assert path.stat().st_mode & 0o777 == 0o600
    assert f'content="0; url={ADDRESS}"' in path.read_text()


def test_a_file_that_somebody_else_has_put_there_is_not_used(tmp_path, monkeypatch):
    from VertebraLabelingLib.view import redirect

    monkeypatch.setattr(redirect.webbrowser, "open", lambda _: pytest.fail("opened"))
    (tmp_path / "open.html").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        redirect.open_page(ADDRESS, tmp_path)
    assert not (tmp_path / "elsewhere").exists()
