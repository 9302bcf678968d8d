"""Who is let in, and what can be read and sent: requests as another program or another page would make them."""

from __future__ import annotations

import http.client
import socket

import pytest
from desk import desk_of

BOUNDARY = "----browser-tests"


@pytest.fixture(scope="module")
def viewer(shared_desk):
    return shared_desk.viewer


def ask(viewer, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, str]:
    """Status and text of the answer to a request whose path nobody tidies up; Host among the headers replaces it."""
    connection = http.client.HTTPConnection("127.0.0.1", viewer.port, timeout=60)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


def websocket(**headers: str) -> dict[str, str]:
    own = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}
    return {**own, "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==", **headers}


def form(name: str, content: bytes) -> tuple[bytes, str]:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
    return head + content + f"\r\n--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}"


@pytest.mark.parametrize("path", ["/", "/state.json", "/index.html", "/page/page.js", "/upload", "/ws", "//", "/x.ico"])
def test_without_the_token_there_is_nothing(viewer, path):
    status, text = ask(viewer, path)
    assert status == 403
    assert "token" in text
    assert viewer.token not in text


@pytest.mark.parametrize("part", ["", "state.json", "curved.png", "upload", "take-over", "ws", "download/csv"])
@pytest.mark.parametrize("change", ["shorter", "longer", "other", "case"])
def test_with_a_wrong_token_there_is_nothing(viewer, part, change):
    token = viewer.token
    wrong = {"shorter": token[:-1], "longer": token + "A", "other": "A" * len(token), "case": token.swapcase()}[change]
    for method in ("GET", "POST"):
        assert ask(viewer, f"/{wrong}/{part}", method, b"" if method == "POST" else None)[0] == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "0.0.0.0:{port}", "viewer.test:{port}"])
def test_another_host_name_is_refused(viewer, host):
    status, text = ask(viewer, f"/{viewer.token}/state.json", Host=host.format(port=viewer.port))
    assert status == 403
    assert "phantom" not in text


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1"])
def test_another_pages_requests_are_refused(viewer, origin):
    origin = origin.format(port=viewer.port)
    before = viewer.state()
    content, kind = form("truth.mrk.json", b"{}")
    assert ask(viewer, f"/{viewer.token}/state.json", Origin=origin)[0] == 403
    assert ask(viewer, f"/{viewer.token}/upload", "POST", content, Origin=origin, Content_Type=kind)[0] == 403
    assert ask(viewer, f"/{viewer.token}/take-over", "POST", b"", Origin=origin)[0] == 403
    assert ask(viewer, f"/{viewer.token}/ws", **websocket(Origin=origin))[0] == 403
    assert viewer.state() == before


def test_a_websocket_without_an_origin_or_a_token_is_refused(viewer):
    assert ask(viewer, f"/{viewer.token}/ws", **websocket())[0] == 403
    assert ask(viewer, "/ws", **websocket(Origin=viewer.origin))[0] == 403


@pytest.mark.parametrize(
    "climb",
    ["../" * 12 + "etc/passwd", "..%2f" * 12 + "etc/passwd", "%2e%2e/" * 12 + "etc/passwd", "/etc/passwd",
     "..\\" * 12 + "etc\\passwd", "....//....//etc/passwd", "phantom.nii.gz", "../server.py", "%00"],
)  # fmt: skip
@pytest.mark.parametrize("below", ["", "page/", "download/", "rca/", "assets/"])
def test_no_file_beside_the_page_can_be_read(viewer, below, climb):
    status, text = ask(viewer, f"/{viewer.token}/{below}{climb}")
    assert status in (400, 403, 404)
    assert "root:" not in text
    assert "import" not in text


@pytest.mark.parametrize("place", ["../outside.mrk.json", "/etc/passwd", "link.mrk.json", "truth.mrk.json\0", "."])
@pytest.mark.parametrize("what", ["open", "points"])
def test_the_page_itself_reads_no_file_outside_the_folder(desk, what, place):
    outside, link = desk.folder.parent / "outside.mrk.json", desk.folder / "link.mrk.json"
    outside.write_bytes((desk.folder / "truth.mrk.json").read_bytes())
    link.symlink_to(outside)
    try:
        before = desk.state
        desk["shift-up"].click()
        desk["undo"].click()
        call = {"open": ["open", [place]], "points": ["act", ["points", place]]}[what]
        desk.page.evaluate("([name, values]) => window.trame.trigger(name, values)", call)
        state = desk.until(lambda s: s["message"]["kind"] == "error" and not s["opening"], "a refusal")
        assert [point["key"] for point in state["points"]] == [point["key"] for point in before["points"]]
        assert state["ct"] == before["ct"]
    finally:
        outside.unlink()
        link.unlink()


def test_an_upload_that_is_too_large_is_refused_and_changes_nothing(chromium, own_viewer, tmp_path):
    large = tmp_path / "large.nii.gz"
    large.write_bytes(b"\0" * 3_000_000)
    with (
        own_viewer(own_viewer.folder / "phantom.nii.gz", "--upload-limit", 1) as viewer,
        desk_of(chromium, viewer, own_viewer.folder) as desk,
    ):
        before = desk.until(lambda state: state["ct"] and not state["opening"], "the CT")
        desk.expects_refusal()
        desk.upload(large)
        desk.until_told("larger than 1 MB", "error")
        after = desk.state
        assert (after["ct"], after["points"]) == (before["ct"], before["points"])
        # one that does not say how large it is, in pieces
        content, kind = form("large.nii.gz", b"\0" * 3_000_000)
        connection = http.client.HTTPConnection("127.0.0.1", viewer.port, timeout=60)
        pieces = (content[i : i + 200_000] for i in range(0, len(content), 200_000))
        try:
            connection.request("POST", f"/{viewer.token}/upload", pieces, {"Content-Type": kind}, encode_chunked=True)
            status = connection.getresponse().status
        except (BrokenPipeError, ConnectionResetError):
            status = 413  # the viewer hung up before all of it had come
        assert status == 413
        assert desk.state["ct"] == before["ct"]


@pytest.mark.parametrize("name", ["../../up.mrk.json", "..\\up.mrk.json", "/tmp/up.mrk.json", "..", "a" * 300])
def test_the_name_of_an_upload_leads_nowhere(desk, name):
    before = sorted(desk.folder.parent.rglob("*"))
    content, kind = form(name, (desk.folder / "truth.mrk.json").read_bytes())
    status, _ = ask(desk.viewer, f"/{desk.viewer.token}/upload", "POST", content, Content_Type=kind)
    assert status in (200, 400, 413)
    assert sorted(desk.folder.parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"", "text/plain"), (b"rubbish", f"multipart/form-data; boundary={BOUNDARY}"), (b"", "multipart/form-data"),
     (f"--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}")],
    ids=["no form", "no parts", "no boundary", "empty form"],
)  # fmt: skip
def test_an_upload_that_is_no_form_is_refused(desk, content, kind):
    before = desk.state
    status, _ = ask(desk.viewer, f"/{desk.viewer.token}/upload", "POST", content, Content_Type=kind)
    assert 400 <= status < 500
    assert desk.state["points"] == before["points"]


def test_the_viewer_listens_on_this_computer_only(viewer):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; tells the address that other computers see
        address = probe.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this computer has no address but 127.0.0.1")
    with socket.socket() as other:
        other.settimeout(5)
        assert other.connect_ex((address, viewer.port)) != 0
