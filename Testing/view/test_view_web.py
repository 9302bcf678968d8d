"""The HTTP side: what is let in, one user at a time, uploads and downloads."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

pytest.importorskip("aiohttp", reason="aiohttp, which comes with trame, is not installed")
from aiohttp import FormData, web
from aiohttp.test_utils import TestClient, TestServer
from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.view.access import Access
from VertebraLabelingLib.view.web import Web, page_html

TOKEN = "0a1b2c"
INDEX = '<head>\n<title>trame\n is here</title>\n<link rel="icon" href="logo.png" /></head>'


class FakeViewer:
    """Remembers what was uploaded; refuses a file called wrong.nii."""

    upload_limit_bytes = 1000
    curved_picture = None

    def __init__(self):
        self.opened, self.told = [], []
        self.workspace = SimpleNamespace(
            tell=lambda *said: self.told.append(said), export_to=self._export, message="No."
        )

    def state(self):
        return {"points": []}

    async def open_path(self, path, is_upload=False):
        if path.name == "wrong.nii":
            raise InputError("It is no CT.")
        files = [path] if path.is_file() else sorted(path.iterdir())
        self.opened.append((path, [(file.name, file.read_bytes()) for file in files]))

    def _export(self, folder, kind):
        if kind == "verse":
            return None
        (folder / "mine.csv").write_text("L1")
        return folder / "mine.csv"


def served(tmp_path, check):
    """Run `check(client, viewer)` against a server on a free port."""

    async def go():
        (tmp_path / "index.html").write_text(INDEX)
        app, viewer = web.Application(), FakeViewer()

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


def test_the_page_comes_with_a_policy_that_loads_nothing_from_elsewhere(tmp_path):
    async def check(client, viewer):
        answer = await client.get(f"/{TOKEN}/")
        assert answer.status == 200
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert "http:" not in answer.headers["Content-Security-Policy"]
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
        ([("wrong.nii", b"1")], 400, "It is no CT."),
        ([("a.dcm", b"1"), ("a.dcm", b"2")], 400, "twice"),
        ([], 400, "No file"),
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
        assert answer.headers["Content-Disposition"] == 'attachment; filename="mine.csv"'
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
