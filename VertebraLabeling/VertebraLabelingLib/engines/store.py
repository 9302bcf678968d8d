"""The user's own weight files in one folder: imported, downloaded, checked, removed.

A file bears its SHA-256 as its name, and `MANIFEST_NAME` in the folder says what is known of it.  Nothing enters
before `load_weights` has accepted it, and nothing of a download is interpreted before its hash is right.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from ..core.errors import ModelError, UsageError
from ..core.files import atomic_write, require_writable_folder
from ..core.progress import Progress, silent
from .fetch import check_address, fetch
from .weights import LARGEST_FILE_BYTES, MANIFEST_NAME, MODEL_IDS, load_weights

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class UserModel:
    """One weight file of the user.

    id: method and the beginning of the hash.  method: what it is for.  version: as its maker wrote it, "" when unknown.
    bytes: size of the file.  source: where it came from, the name of an imported file or the address of a download.
    """

    id: str
    method: str
    version: str
    sha256: str
    bytes: int
    source: str

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.sha256):  # it becomes the name of a file
            raise ValueError(f"'{self.sha256}' is no SHA-256")


class UserModels:
    """The models in a folder, which is made when the first one comes in.

    methods: the models that are accepted.  Every method raises ModelError, in a sentence for the user, for a file that
    is none of those and for a damaged folder, and UsageError when the folder cannot be written.
    """

    def __init__(self, folder: Path, methods: Collection[str] = MODEL_IDS) -> None:
        self.folder = Path(folder)
        self._methods = tuple(methods)

    def entries(self) -> tuple[UserModel, ...]:
        """All models, the oldest first."""
        path = self.folder / MANIFEST_NAME
        try:
            models = json.loads(path.read_text(encoding="utf-8"))["models"]
            return tuple(UserModel(**values) for values in models)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelError(
                f"The list of your models '{path}' is damaged; delete it and import the models again."
            ) from error

    def import_file(self, path: Path) -> UserModel:
        """Copy a weight file into the folder; one that is there already is just returned."""
        path = Path(path)
        content = _content(path)
        return self._admitted(hashlib.sha256(content).hexdigest(), path.name, lambda file: file.write_bytes(content))

    def download(self, address: str, sha256: str, progress: Progress = silent) -> UserModel:
        """Fetch a weight file from an https or file address; `progress` may raise `CancelledError` to stop.

        sha256: the hash that the maker of the file has published.
        """
        sha256 = sha256.strip().lower()
        if not _SHA256.fullmatch(sha256):
            raise UsageError("A download needs the SHA-256 of the file (64 hexadecimal digits); ask its maker for it.")
        check_address(address)
        return self._admitted(sha256, address, lambda file: fetch(address, file, LARGEST_FILE_BYTES, progress))

    def verified_path(self, model_id: str) -> Path:
        """The file of a model, after a check that it still is what came in."""
        entry = self._known(model_id)
        if not self._is_whole(entry):
            raise ModelError(f"'{model_id}' is missing or was altered; import it again.")
        return self._path(entry.sha256)

    def remove(self, model_id: str) -> None:
        """Delete a model with its file."""
        entry = self._known(model_id)
        try:
            self._path(entry.sha256).unlink(missing_ok=True)
        except OSError as error:
            raise UsageError(
                f"'{model_id}' cannot be deleted ({error.strerror}); wait until no run uses it."
            ) from error
        self._write([other for other in self.entries() if other != entry])

    def _admitted(self, sha256: str, source: str, bring: Callable[[Path], object]) -> UserModel:
        """The entry of a file that `bring` writes to the path it is given; half-way failures leave nothing behind."""
        known = self.entries()
        if present := [entry for entry in known if entry.sha256 == sha256 and self._is_whole(entry)]:
            return present[0]
        self._make_folder()
        with atomic_write(self._path(sha256)) as temporary:
            bring(temporary)
            entry = self._judged(temporary, sha256, source)
        self._write([*(other for other in known if other.sha256 != sha256), entry])
        return entry

    def _is_whole(self, entry: UserModel) -> bool:
        """Whether its file is there as it came in; another one is replaced."""
        try:
            load_weights(self._path(entry.sha256), entry.sha256)
        except ModelError:
            return False
        return True

    def _judged(self, file: Path, sha256: str, source: str) -> UserModel:
        """What a file that came in is; ModelError when it is not the promised one or none of ours."""
        found = hashlib.sha256(file.read_bytes()).hexdigest()
        if found != sha256:
            raise ModelError(f"'{source}' is not the promised file (its SHA-256 is {found}); nothing was kept.")
        try:
            metadata = load_weights(file, sha256).metadata
        except ModelError as error:
            raise ModelError(str(error).replace(str(file), source)) from error
        method = metadata.get("model")
        if method not in self._methods:
            wanted = ", ".join(self._methods)
            raise ModelError(f"'{source}' holds weights for '{method}'; choose a file for one of: {wanted}.")
        version = str(metadata.get("version", ""))
        return UserModel(f"{method}-{sha256[:12]}", method, version, sha256, file.stat().st_size, source)

    def _known(self, model_id: str) -> UserModel:
        for entry in self.entries():
            if entry.id == model_id:
                return entry
        raise ModelError(f"'{model_id}' is none of your models; choose one of the list.")

    def _path(self, sha256: str) -> Path:
        return self.folder / f"{sha256}.npz"

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"The folder '{self.folder}' cannot be made ({error.strerror}); choose another one for models."
            ) from error
        require_writable_folder(self.folder)

    def _write(self, entries: list[UserModel]) -> None:
        with atomic_write(self.folder / MANIFEST_NAME) as temporary:
            text = json.dumps({"models": [asdict(entry) for entry in entries]}, indent=2)
            temporary.write_text(text + "\n", encoding="utf-8")


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise ModelError(f"'{path}' is larger than any weight file; choose another file.")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"'{path}' cannot be read ({error.strerror}); check the path and its permissions.") from error
