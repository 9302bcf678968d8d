"""The user's own models: what comes in is what was promised, and half-way failures leave nothing behind."""

from __future__ import annotations

import hashlib
import http.client
import http.server
import json
import threading
from urllib.request import HTTPSHandler, build_opener

import numpy as np
import pytest
from VertebraLabelingLib.core.errors import CancelledError, ModelError, UsageError
from VertebraLabelingLib.engines import fetch as fetching
from VertebraLabelingLib.engines import store
from VertebraLabelingLib.engines.store import UserModel, UserModels
from VertebraLabelingLib.engines.weights import load_weights, save_weights

METHODS = ("sites", "integral-regression")


def weight_file(path, value=0.5, model="sites", **metadata):
    """A weight file and its hash."""
    return path, save_weights(path, {"a": np.full((3, 2), value, np.float32)}, {"model": model, **metadata})


@pytest.fixture
def models(tmp_path):
    return UserModels(tmp_path / "models", METHODS)


def left_in(models):
    return sorted(path.name for path in models.folder.iterdir()) if models.folder.exists() else []


def test_a_folder_that_is_not_there_holds_no_model_and_is_not_made_by_looking(models):
    assert models.entries() == ()
    assert not models.folder.exists()


def test_an_imported_file_is_copied_pinned_and_listed(models, tmp_path):
    path, sha256 = weight_file(tmp_path / "Müllers Gewichte (2).npz", version="1.2.0")
    entry = models.import_file(path)
    size = path.stat().st_size
    assert entry == UserModel(f"sites-{sha256[:12]}", "sites", "1.2.0", sha256, size, "Müllers Gewichte (2).npz")
    path.unlink()
    assert UserModels(models.folder).entries() == (entry,)
    np.testing.assert_array_equal(load_weights(models.verified_path(entry.id)).arrays["a"], np.full((3, 2), 0.5))


def test_the_same_file_twice_is_one_model_and_others_stay(models, tmp_path):
    first = models.import_file(weight_file(tmp_path / "a.npz")[0])
    other = models.import_file(weight_file(tmp_path / "b.npz", 0.25, "integral-regression")[0])
    assert models.import_file(weight_file(tmp_path / "c.npz")[0]) == first
    assert models.entries() == (first, other)


def test_a_lost_file_can_be_imported_again(models, tmp_path):
    path, sha256 = weight_file(tmp_path / "a.npz")
    entry = models.import_file(path)
    (models.folder / f"{sha256}.npz").unlink()
    with pytest.raises(ModelError, match="missing or was altered; import it again"):
        models.verified_path(entry.id)
    models.import_file(path)
    assert models.verified_path(entry.id).is_file()
    assert len(models.entries()) == 1


def test_an_altered_file_is_refused(models, tmp_path):
    entry = models.import_file(weight_file(tmp_path / "a.npz")[0])
    weight_file(models.folder / f"{entry.sha256}.npz", 0.75)
    with pytest.raises(ModelError, match="was altered"):
        models.verified_path(entry.id)


def test_importing_again_repairs_an_altered_file(models, tmp_path):
    path, sha256 = weight_file(tmp_path / "a.npz")
    entry = models.import_file(path)
    (models.folder / f"{sha256}.npz").write_bytes(b"altered")
    assert models.import_file(path) == entry
    assert models.verified_path(entry.id).read_bytes() == path.read_bytes()
    assert models.entries() == (entry,)


def test_removing_deletes_the_file_and_the_entry(models, tmp_path):
    first = models.import_file(weight_file(tmp_path / "a.npz")[0])
    second = models.import_file(weight_file(tmp_path / "b.npz", 0.25)[0])
    models.remove(first.id)
    assert models.entries() == (second,)
    assert left_in(models) == sorted([f"{second.sha256}.npz", "models.json"])
    with pytest.raises(ModelError, match="none of your models"):
        models.remove(first.id)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"\x80\x04 a pickle", b"{}"])
def test_a_foreign_file_is_refused_by_name_and_leaves_nothing(models, tmp_path, content):
    path = tmp_path / "foreign.npz"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"'foreign\.npz' is not a weight file"):
        models.import_file(path)
    assert left_in(models) == []


def test_weights_of_a_network_that_nobody_can_choose_are_refused(models, tmp_path):
    path, _ = weight_file(tmp_path / "c.npz", model="corridor")
    with pytest.raises(ModelError, match="holds weights for 'corridor'; choose a file for one of: sites, integral"):
        models.import_file(path)
    assert left_in(models) == []


def test_a_file_that_is_too_large_or_not_there_is_refused(models, tmp_path, monkeypatch):
    path, _ = weight_file(tmp_path / "a.npz")
    monkeypatch.setattr(store, "LARGEST_FILE_BYTES", 10)
    with pytest.raises(ModelError, match="larger than any weight file"):
        models.import_file(path)
    with pytest.raises(ModelError, match="cannot be read"):
        models.import_file(tmp_path / "absent.npz")


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"models": [{"id": "x"}]}', '{"models": 3}', '{"models": [{"sha256": "../../x"}]}']
)
def test_a_damaged_list_is_named(models, text):
    models.folder.mkdir()
    (models.folder / "models.json").write_text(text)
    with pytest.raises(ModelError, match=r"models\.json' is damaged; delete it"):
        models.entries()


def test_a_hash_in_the_list_cannot_lead_out_of_the_folder(models, tmp_path):
    entry = models.import_file(weight_file(tmp_path / "a.npz")[0])
    listed = json.loads((models.folder / "models.json").read_text())
    listed["models"][0]["sha256"] = "../a"
    (models.folder / "models.json").write_text(json.dumps(listed))
    with pytest.raises(ModelError, match="damaged"):
        models.remove(entry.id)
    assert (tmp_path / "a.npz").exists()


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be made"):
        UserModels(tmp_path / "file" / "models").import_file(weight_file(tmp_path / "a.npz")[0])


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `files`; "/moved" sends on to `moved_to`, "/short" promises more than it gives."""

    files: dict[str, bytes]
    moved_to = ""

    def do_GET(self):
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", self.moved_to)
            self.end_headers()
        elif (content := self.files.get(self.path)) is None:
            self.send_error(404)
        else:
            self.send_response(200)
            if self.path != "/silent":
                self.send_header("Content-Length", str(len(content) * (2 if self.path == "/short" else 1)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *_):
        pass


class PlainHTTPS(HTTPSHandler):
    """Asks an https address without TLS, so that a test server needs no certificate."""

    def https_open(self, request):
        return self.do_open(http.client.HTTPConnection, request)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """(address, hash, handler class) of a local server that has a weight file at /a.npz, /short and /silent."""
    path, sha256 = weight_file(tmp_path / "a.npz", version="2.0.0")
    content = path.read_bytes()
    files = {"/a.npz": content, "/short": content, "/silent": content}
    handler = type("Handler", (Server,), {"files": files})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    secure = fetching._SecureRedirects
    monkeypatch.setattr(fetching, "opener", lambda: build_opener(PlainHTTPS, secure))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield f"https://127.0.0.1:{server.server_port}", sha256, handler
    server.shutdown()
    server.server_close()


def test_a_download_is_compared_and_kept(models, site):
    address, sha256, _ = site
    fractions = []
    entry = models.download(f"{address}/a.npz", f" {sha256.upper()}\n", lambda _, fraction: fractions.append(fraction))
    assert (entry.sha256, entry.version, entry.source) == (sha256, "2.0.0", f"{address}/a.npz")
    assert models.verified_path(entry.id).stat().st_size == entry.bytes
    assert fractions[0] == 0.0
    assert fractions[-1] == 1.0
    assert fractions == sorted(fractions)


def test_a_download_without_a_length_works_too(models, site):
    address, sha256, _ = site
    assert models.download(f"{address}/silent", sha256).sha256 == sha256


def test_a_wrong_hash_is_told_before_anything_is_interpreted(models, site, monkeypatch):
    address, sha256, _ = site
    monkeypatch.setattr(store, "load_weights", lambda *_: pytest.fail("interpreted"))
    with pytest.raises(ModelError, match=f"not the promised file .its SHA-256 is {sha256}.; nothing was kept"):
        models.download(f"{address}/a.npz", "0" * 64)
    assert left_in(models) == []


def test_a_download_cut_short_leaves_nothing(models, site):
    address, sha256, _ = site
    with pytest.raises(ModelError, match="The download failed"):
        models.download(f"{address}/short", sha256)
    assert left_in(models) == []


def test_a_cancelled_download_leaves_nothing(models, site):
    address, sha256, _ = site

    def stop(_, fraction):
        if fraction > 0:
            raise CancelledError("enough")

    with pytest.raises(CancelledError):
        models.download(f"{address}/a.npz", sha256, stop)
    assert left_in(models) == []


@pytest.mark.parametrize("path", ["/a.npz", "/silent"], ids=["promised", "sent"])
def test_too_much_is_refused(models, site, monkeypatch, path):
    address, sha256, _ = site
    monkeypatch.setattr(store, "LARGEST_FILE_BYTES", 100)
    with pytest.raises(ModelError, match="larger than 100 bytes"):
        models.download(address + path, sha256)
    assert left_in(models) == []


def test_failures_say_how_to_do_without_a_network(models, site):
    address, sha256, _ = site
    with pytest.raises(ModelError, match=r"answers 404 .*on another computer and import the file"):
        models.download(f"{address}/absent.npz", sha256)
    with pytest.raises(ModelError, match=r"download failed .*https://127.0.0.1:1/a.npz on another computer"):
        models.download("https://127.0.0.1:1/a.npz", sha256)


def test_a_server_may_send_on_to_https_only(models, site):
    address, sha256, handler = site
    handler.moved_to = f"{address}/a.npz"
    assert models.download(f"{address}/moved", sha256).sha256 == sha256
    models.remove(models.entries()[0].id)
    for place in (f"{address}/a.npz".replace("https", "http"), "file:///etc/hostname", "ftp://127.0.0.1/a.npz"):
        handler.moved_to = place
        with pytest.raises(ModelError, match="download failed"):
            models.download(f"{address}/moved", sha256)


@pytest.mark.parametrize(
    "address", ["http://x.org/a.npz", "ftp://x.org/a", "/tmp/a.npz", "https:///a", "", "https://[1"]
)
def test_other_addresses_are_refused(models, address):
    with pytest.raises(UsageError, match="begins with https://"):
        models.download(address, "0" * 64)


@pytest.mark.parametrize("sha256", ["", "abc", "g" * 64, "0" * 63])
def test_a_download_without_a_hash_is_refused(models, sha256):
    with pytest.raises(UsageError, match="needs the SHA-256"):
        models.download("https://x.org/a.npz", sha256)


def test_a_file_address_is_fetched_as_well(models, tmp_path):
    path, sha256 = weight_file(tmp_path / "a b.npz")
    assert models.download(path.as_uri(), sha256).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
