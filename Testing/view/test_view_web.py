"""The HTTP side: what is let in, one user at a time, uploads and downloads."""

from __future__ import annotations

import asyncio
import tempfile
from types import SimpleNamespace

import pytest

pytest.importorskip("aiohttp", reason="aiohttp, which comes with trame, is not installed")
pytest.importorskip("greenlet", reason="greenlet is not installed (pip install '.[dev]')")
import SimpleITK as sitk
from aiohttp import FormData, web
from aiohttp.test_utils import TestClient, TestServer
from small_ct import trunk_image
from VertebraLabelingLib.core.errors import UsageError
from VertebraLabelingLib.view import uploads
from VertebraLabelingLib.view.access import Access
from VertebraLabelingLib.view.folder import Folder
from VertebraLabelingLib.view.opener import Opener
from VertebraLabelingLib.view.uploads import MOST_FILES
from VertebraLabelingLib.view.web import Web, page_html
from VertebraLabelingLib.view.workspace import Workspace

TOKEN = "0a1b2c"
INDEX = '<head>\n<title>trame\n is here</title>\n<link rel="icon" href="logo.png" /></head>'


class FakeViewer:
    """Remembers what was uploaded, and opens all of it."""

    upload_limit_bytes = 1000
    curved_picture = None
    is_running = False

    def __init__(self):
        self.opened, self.told = [], []
        self.opener = self
        self.may_open = asyncio.Event()
        self.may_open.set()
        self.workspace = SimpleNamespace(
            tell=lambda *said: self.told.append(said),
            files=SimpleNamespace(export_to=self._export),
            message="No.",
            check_idle=self._check_idle,
            is_receiving=False,
            show_receiving=self._show_receiving,
        )

    def _check_idle(self):
        if self.is_running:
            raise UsageError("Wait for the run to end.")

    def _show_receiving(self, is_receiving):
        self.workspace.is_receiving = is_receiving

    def state(self):
        return {"points": []}

    async def open(self, path, within, name):
        assert within.root in (path, *path.parents)
        await self.may_open.wait()
        files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
        self.opened.append((path, [(file.name, file.read_bytes()) for file in files]))
        return ""

    def _export(self, folder, kind):
        if kind == "verse":
            return None
        (folder / "mïne.csv").write_text("L1")
        return folder / "mïne.csv"


def served(tmp_path, check, make_viewer=FakeViewer):
    """Run `check(client, viewer)` against a server on a free port."""

    async def go():
        (tmp_path / "index.html").write_text(INDEX)
        app, viewer = web.Application(), make_viewer()

        async def socket(request):
            answer = web.WebSocketResponse()
            await answer.prepare(request)
            async for _ in answer:
                pass
            return answer

        app.router.add_get(f"/{TOKEN}/ws", socket)
        server = TestServer(app, host="127.0.0.1")
        access = SimpleNamespace(token=TOKEN, port=0, refusal=lambda *args: Access(TOKEN, server.port).refusal(*args))
        Web(viewer, access, tmp_path, {"assets": str(tmp_path)}).mount(app)
        async with TestClient(server) as client:
            client.origin = f"http://127.0.0.1:{server.port}"
            await check(client, viewer)

    asyncio.run(go())


def test_without_the_token_everything_is_403(tmp_path):
    async def check(client, viewer):
        for path in ("/", "/state.json", "/ws", "/wrong/", "/assets/index.html", "/..%2f", f"/x/{TOKEN}/"):
            assert (await client.get(path)).status == 403, path
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            assert (await client.get(f"/{TOKEN}/", headers=headers)).status == 403
        assert (await client.post(f"/{TOKEN}/upload", headers={"Origin": "null"})).status == 403

    served(tmp_path, check)


@pytest.mark.parametrize(
    ("status", "method", "path", "headers"),
    [
        (200, "GET", f"/{TOKEN}/", {}),
        (200, "GET", f"/{TOKEN}/state.json", {}),
        (403, "GET", "/", {}),
        (403, "GET", f"/{TOKEN}/", {"Host": "evil.example"}),
        (403, "GET", f"/{TOKEN}/ws", {"Upgrade": "websocket"}),
        (404, "GET", f"/{TOKEN}/nothing", {}),
        (404, "GET", f"/{TOKEN}/curved.png", {}),
        (405, "DELETE", f"/{TOKEN}/", {}),
        (409, "GET", f"/{TOKEN}/download/verse", {}),
        (303, "POST", f"/{TOKEN}/take-over", {}),
    ],
)
def test_every_answer_is_guarded(tmp_path, status, method, path, headers):
    async def check(client, viewer):
        answer = await client.request(method, path, headers=headers, allow_redirects=False)
        assert answer.status == status
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "same-origin"

    served(tmp_path, check)


def test_a_request_that_names_no_page_is_refused(tmp_path):
    async def check(client, viewer):
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(f"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\nConnection: close\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        assert answer.startswith("HTTP/1.1 403 ")
        assert "Content-Security-Policy: " in answer

    served(tmp_path, check)


OWN = {"'self'", "'none'", "'unsafe-inline'", "'unsafe-eval'", "blob:", "data:", "ws://127.0.0.1:0", "ws://localhost:0"}
"""What the policy may allow: nothing of another host."""


def policy_of(answer):
    """What may come from where: {"script-src": {"'self'", ...}, ...}."""
    parts = answer.headers["Content-Security-Policy"].split(";")
    return {kind: set(sources) for kind, *sources in (part.split() for part in parts)}


def test_the_page_comes_with_a_policy_that_loads_nothing_from_elsewhere(tmp_path):
    async def check(client, viewer):
        answer = await client.get(f"/{TOKEN}/")
        assert answer.status == 200
        policy = policy_of(answer)
        assert policy["default-src"] == policy["frame-ancestors"] == {"'none'"}
        assert policy["script-src"] == {"'self'", "'unsafe-inline'", "'unsafe-eval'"}
        assert set().union(*policy.values()) <= OWN
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert "<title>Vertebra Labeling</title>" in await answer.text()

    served(tmp_path, check)


def test_files_beside_the_served_folders_are_not_reached(tmp_path):
    (tmp_path / "www").mkdir()
    (tmp_path / "secret").write_text("1")

    async def check(client, viewer):
        for path in (f"/{TOKEN}/../secret", f"/{TOKEN}/%2e%2e/secret", f"/{TOKEN}/assets/..%2f..%2fsecret"):
            assert (await client.get(path)).status in (403, 404), path

    served(tmp_path / "www", check)


def test_a_second_tab_is_told_so_and_may_take_over(tmp_path):
    async def check(client, viewer):
        first = await client.ws_connect(f"/{TOKEN}/ws", headers={"Origin": client.origin})
        second = await client.get(f"/{TOKEN}/")
        assert "open in another tab" in await second.text()
        refused = await client.get(
            f"/{TOKEN}/ws", headers={"Origin": client.origin, "Upgrade": "websocket", "Connection": "Upgrade"}
        )
        assert refused.status == 409
        taken = await client.post(f"/{TOKEN}/take-over", headers={"Origin": client.origin})
        assert "<title>Vertebra Labeling</title>" in await taken.text()
        assert (await first.receive(timeout=5)).type.name in ("CLOSED", "CLOSE", "ERROR", "CLOSING")
        await client.ws_connect(f"/{TOKEN}/ws", headers={"Origin": client.origin})

    served(tmp_path, check)


def form(*files):
    data = FormData(quote_fields=False)
    for name, content in files:
        data.add_field("file", content, filename=name)
    return data


def test_an_upload_is_opened_and_gone_afterwards(tmp_path):
    async def check(client, viewer):
        assert (await client.post(f"/{TOKEN}/upload", data=form(("../a.nrrd", b"123")))).status == 200
        assert (await client.post(f"/{TOKEN}/upload", data=form(("1.dcm", b"1"), ("2.dcm", b"2")))).status == 200
        assert [files for _path, files in viewer.opened] == [[("a.nrrd", b"123")], [("1.dcm", b"1"), ("2.dcm", b"2")]]
        assert not any(path.exists() for path, _files in viewer.opened)
        assert viewer.told == []

    served(tmp_path, check)


@pytest.mark.parametrize(
    ("files", "status", "part"),
    [
        ([("a.nrrd", b"1" * 2000)], 413, "larger than"),
        ([("a.nrrd", b"1"), ("b.nrrd", b"1")], 400, "no one scan"),
        ([("a.dcm", b"1"), ("a.dcm", b"2")], 400, "twice"),
        ([], 400, "no file"),
    ],
)
def test_an_upload_that_is_refused_is_told_on_the_page(tmp_path, files, status, part):
    async def check(client, viewer):
        data = form(*files) if files else form_without_files()
        answer = await client.post(f"/{TOKEN}/upload", data=data)
        assert answer.status == status
        assert part in viewer.told[0][0]
        assert viewer.told[0][1] == "error"
        assert viewer.opened == []

    served(tmp_path, check)


def test_files_that_could_not_be_opened_now_are_not_sent(tmp_path):
    async def check(client, viewer):
        viewer.is_running = True
        answer = await client.post(f"/{TOKEN}/announce?files=1&bytes=1")
        assert (answer.status, await answer.text()) == (400, "Wait for the run to end.")

    served(tmp_path, check)


def test_files_of_one_name_from_two_folders_are_kept_apart_and_those_of_one_together(tmp_path):
    async def check(client, viewer):
        names = ("0/s/a/1.dcm", "0/s/b/1.dcm", "0/s/b/2.dcm")
        series = form(*[(name, name.encode()) for name in names])
        assert (await client.post(f"/{TOKEN}/upload", data=series)).status == 200
        assert [(name.rpartition("/")[2], name.encode()) for name in names] == viewer.opened[0][1]
        pair = form(("0/s/a.raw", b"1"), ("0/s/a.mhd", b"2"), ("0/s/b/note.txt", b"3"))
        assert (await client.post(f"/{TOKEN}/upload", data=pair)).status == 200
        assert viewer.opened[1][1] == [("a.mhd", b"2")]
        twice = form(("0/s/1.dcm", b"1"), ("0/s/1.dcm", b"2"))
        assert "1.dcm came twice" in await (await client.post(f"/{TOKEN}/upload", data=twice)).text()

    served(tmp_path, check)


@pytest.mark.parametrize(
    ("said", "status", "part"),
    [
        ("files=1&bytes=1000", 200, "ok"),
        ("files=2&bytes=1001", 413, "larger than"),
        ("files=0&bytes=0", 400, "No file"),
        (f"files={MOST_FILES}&bytes=0", 200, "ok"),
        (f"files={MOST_FILES + 1}&bytes=0", 400, f"more than {MOST_FILES} files"),
        ("unread=IM%201", 400, "cannot read 'IM 1'"),
        ("files=many&bytes=1", 400, "reload"),
        ("", 400, "reload"),
    ],
)
def test_what_would_be_refused_is_refused_when_it_is_announced(tmp_path, said, status, part):
    async def check(client, viewer):
        answer = await client.post(f"/{TOKEN}/announce?{said}")
        assert answer.status == status
        assert part in (sentence := await answer.text())
        assert viewer.told == ([] if status == 200 else [(sentence, "error")])

    served(tmp_path, check)


def test_one_upload_at_a_time(tmp_path):
    async def check(client, viewer):
        viewer.may_open.clear()
        first = asyncio.create_task(client.post(f"/{TOKEN}/upload", data=form(("a.nrrd", b"1"))))
        await asyncio.sleep(0.2)
        second = await client.post(f"/{TOKEN}/upload", data=form(("b.nrrd", b"2")))
        assert second.status == 409
        assert "wait" in await second.text()
        assert (await client.post(f"/{TOKEN}/announce?files=1&bytes=1")).status == 409
        viewer.may_open.set()
        assert (await first).status == 200
        assert (await client.post(f"/{TOKEN}/upload", data=form(("c.nrrd", b"3")))).status == 200
        assert [files[0][0] for _, files in viewer.opened] == ["a.nrrd", "c.nrrd"]

    served(tmp_path, check)


def test_after_an_upload_that_was_broken_off_another_one_may_come(tmp_path):
    async def check(client, viewer):
        _, writer = await asyncio.open_connection("127.0.0.1", client.port)
        kind = "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 900\r\n"
        head = f"POST /{TOKEN}/upload HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\n{kind}\r\n"
        part = '--b\r\nContent-Disposition: form-data; name="file"; filename="a.nrrd"\r\n\r\n'
        writer.write((head + part).encode())
        await writer.drain()
        await asyncio.sleep(0.2)
        assert (await client.post(f"/{TOKEN}/upload", data=form(("b.nrrd", b"2")))).status == 409
        writer.close()
        await asyncio.sleep(0.2)
        assert (await client.post(f"/{TOKEN}/upload", data=form(("b.nrrd", b"2")))).status == 200

    served(tmp_path, check)


def test_no_endless_number_of_files_comes_in_one_upload(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_FILES", 3)

    async def check(client, viewer):
        files = [(f"{number}.dcm", b"1") for number in range(4)]
        assert (await client.post(f"/{TOKEN}/upload", data=form(*files[:3]))).status == 200
        answer = await client.post(f"/{TOKEN}/upload", data=form(*files))
        assert answer.status == 400
        assert "more than 3 files" in await answer.text()

    served(tmp_path, check)


def test_a_form_within_the_form_is_refused(tmp_path):
    inner = b'--i\r\nContent-Disposition: form-data; name="file"; filename="a.nrrd"\r\n\r\n1\r\n--i--\r\n'
    body = b"--b\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n" + inner + b"\r\n--b--\r\n"

    async def check(client, viewer):
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        assert (await client.post(f"/{TOKEN}/upload", data=body, headers=headers)).status == 400

    served(tmp_path, check)


@pytest.fixture
def real_viewer(scene, tmp_path):
    """A viewer that opens what comes, as the real one does."""
    workspace = Workspace(scene, Folder(tmp_path))
    yield SimpleNamespace(workspace=workspace, opener=Opener(workspace), upload_limit_bytes=10**7)
    workspace.close()


def ct_files(folder, name):
    folder.mkdir()
    sitk.WriteImage(trunk_image(), str(folder / name), useCompression=name.endswith(".nhdr"))
    return [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]


@pytest.mark.parametrize("name", ["a.nii.gz", "a.mhd", "a.nhdr", "a.img"])
def test_a_ct_of_one_or_two_files_is_opened(tmp_path, real_viewer, name):
    files = ct_files(tmp_path / "made", name)

    async def check(client, viewer):
        answer = await client.post(f"/{TOKEN}/upload", data=form(*files))
        assert (answer.status, await answer.text()) == (200, "ok")
        assert viewer.workspace.session.input_volume.GetName() == "a"

    served(tmp_path, check, lambda: real_viewer)


@pytest.mark.parametrize(
    ("files", "part"),
    [
        ([("wrong.nii", b"1")], "wrong.nii"),
        ([("x.mrk.json", b"{")], "CT"),
        ([("a.mhd", b"ObjectType = Image\nNDims = 3\nElementDataFile = /etc/hostname\n")], "outside of the folder"),
        ([("1.dcm", b"1"), ("2.dcm", b"2")], "DICOM"),
    ],
)
def test_an_upload_that_cannot_be_opened_is_no_success(tmp_path, real_viewer, files, part):
    async def check(client, viewer):
        answer = await client.post(f"/{TOKEN}/upload", data=form(*files))
        assert answer.status == 400
        assert part in (told := await answer.text())
        assert tempfile.gettempdir() not in told
        assert (viewer.workspace.message, viewer.workspace.message_kind) == (told, "error")
        assert viewer.workspace.session.input_volume is None

    served(tmp_path, check, lambda: real_viewer)


def form_without_files():
    data = FormData()
    data.add_field("x", "1", content_type="text/plain")
    return data


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=b", "multipart/form-data", "text/plain"])
def test_an_upload_that_is_no_form_is_refused(tmp_path, kind):
    async def check(client, viewer):
        answer = await client.post(f"/{TOKEN}/upload", data=b"rubbish", headers={"Content-Type": kind})
        assert answer.status == 400
        assert viewer.told[0][1] == "error"

    served(tmp_path, check)


def test_an_upload_of_unknown_length_ends_at_the_limit(tmp_path):
    async def endless():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.nrrd"\r\n\r\n'
        for _ in range(100):
            yield b"x" * 100
        yield b"\r\n--b--\r\n"

    async def check(client, viewer):
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = await client.post(f"/{TOKEN}/upload", data=endless(), headers=headers)
        assert answer.status == 413
        assert viewer.opened == []

    served(tmp_path, check)


def test_a_download_is_the_file_and_a_refusal_its_sentence(tmp_path):
    async def check(client, viewer):
        answer = await client.get(f"/{TOKEN}/download/csv")
        assert await answer.text() == "L1"
        assert (
            answer.headers["Content-Disposition"] == "attachment; filename=\"m?ne.csv\"; filename*=UTF-8''m%C3%AFne.csv"
        )
        assert (await client.get(f"/{TOKEN}/download/verse")).status == 409
        assert (await client.get(f"/{TOKEN}/download/exe")).status == 404
        assert (await client.get(f"/{TOKEN}/curved.png")).status == 404

    served(tmp_path, check)


def test_the_page_bears_the_viewers_name_style_and_keys(tmp_path):
    (tmp_path / "index.html").write_text(INDEX)
    text = page_html(tmp_path / "index.html")
    assert "trame" not in text
    assert 'src="page/page.js"' in text
    assert 'href="page/page.css"' in text
