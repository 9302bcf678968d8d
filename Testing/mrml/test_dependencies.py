"""What is installed, told without importing it, and installed once, with one question; no test really installs."""

from __future__ import annotations

import subprocess
import sys
import time
import types

import pytest
import slicer
from VertebraLabelingLib.app import dependencies
from VertebraLabelingLib.app.dependencies import DependencyError, Package, install_light, install_torch, state, verify
from VertebraLabelingLib.app.process import launch_python

LIGHT = "onnxruntime>=1.20"


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder in place of all installed packages; `add` puts one there."""
    monkeypatch.setattr(sys, "path", [p for p in sys.path if "site-packages" not in p] + [str(tmp_path)])
    for name in [n for n in sys.modules if n.partition(".")[0] in ("torch", "onnxruntime", "matplotlib", "sklearn")]:
        monkeypatch.delitem(sys.modules, name)

    def add(name, version=None, code="raise RuntimeError('was imported')", metadata=None):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        if code is not None:
            (folder / "__init__.py").write_text(code)
        if version or metadata is not None:
            info = tmp_path / f"{name}-{version}.dist-info"
            info.mkdir()
            text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" if metadata is None else metadata
            (info / "METADATA").write_text(text)

    return add


def engine(found, name):
    return next(package for package in found.engines if package.name == name)


def test_nothing_installed_is_said_with_the_way_out(scene, site):
    found = state()
    assert found.engines == (Package("torch"), Package("onnxruntime"))
    assert not found.can_label
    assert "torch: not installed" in found.lines
    assert "Extension PyTorch: not installed" in found.lines
    assert found.lines[-1].endswith("install PyTorch or, the light way, ONNX Runtime.")


@pytest.mark.parametrize("name", ["torch", "onnxruntime"])
def test_one_engine_is_enough_and_is_not_imported(scene, site, name):
    site(name, "2.9.1")
    found = state()
    assert found.can_label
    assert engine(found, name) == Package(name, "2.9.1")
    assert f"{name}: 2.9.1" in found.lines
    assert name not in sys.modules
    assert not any("Nothing can run" in line for line in found.lines)


def test_a_package_that_comes_later_is_seen_at_once(scene, site):
    assert not state().can_label
    site("onnxruntime", "1.22.0")
    assert state().can_label


def test_an_old_torch_is_told_because_slicer_has_numpy_2(scene, site):
    site("torch", "2.2.2+cpu")
    found = state()
    assert not found.can_label
    assert "torch: 2.2.2+cpu, too old; 2.3 or newer is needed" in found.lines


@pytest.mark.parametrize(
    ("version", "fits"), [("2.3.0", True), ("2.13.0+cu128", True), ("3.0rc1", True), ("1.13", False)]
)
def test_versions_are_compared_as_numbers(scene, site, version, fits):
    site("torch", version)
    assert state().can_label is fits


@pytest.mark.parametrize(
    "parts",
    [
        {"version": "2.9.1", "code": None},
        {"version": "2.9.1", "metadata": ""},
        {"version": "2.9.1", "metadata": "Name: torch\n"},
        {"version": None},
    ],
    ids=["no files", "empty metadata", "no version", "no metadata"],
)
def test_a_half_installed_package_is_incomplete(scene, site, parts):
    site("torch", **parts)
    found = state()
    assert not found.can_label
    assert "incomplete; uninstall it and install it again" in engine(found, "torch").problem


def test_an_empty_folder_that_pip_left_behind_is_no_package(scene, site):
    site("torch", code=None)
    assert engine(state(), "torch") == Package("torch")


def test_what_only_some_functions_need_is_shown_but_not_needed(scene, site):
    site("onnxruntime", "1.22.0")
    found = state()
    assert [package.name for package in found.extras] == ["matplotlib", "scikit-learn"]
    assert "matplotlib: not installed (only for preview pictures of a batch)" in found.lines
    assert found.can_label


def test_the_extension_is_seen_however_slicer_has_loaded_it(scene, site, monkeypatch):
    module = types.ModuleType("PyTorchUtils")
    module.__file__ = "/extension/PyTorchUtils.py"
    monkeypatch.setitem(sys.modules, "PyTorchUtils", module)
    assert state().has_pytorch_extension


def answer(verification, patience_s=60.0):
    end = time.monotonic() + patience_s
    while (found := verification.poll()) is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def probing(torch="", onnxruntime=""):
    """Launches children that run these lines in place of the probe."""
    codes = {"torch": torch, "onnxruntime": onnxruntime}
    return lambda arguments: launch_python(["-c", codes[arguments[-1]]])


def test_an_import_in_a_child_tells_what_metadata_cannot(scene, site):
    site("torch", "2.9.1")
    site("onnxruntime", "1.22.0")
    broken = """print('{"event": "package", "version": "", "problem": "broken: OSError: libcudart", "devices": []}')"""
    works = """print('{"event": "package", "version": "1.22.0", "problem": "", "devices": ["cpu"]}')"""
    found = answer(verify(probing(broken, works)))
    assert found.is_verified
    assert engine(found, "torch") == Package("torch", "2.9.1", "broken: OSError: libcudart")
    assert engine(found, "onnxruntime") == Package("onnxruntime", "1.22.0", "", ("cpu",))
    assert "onnxruntime: 1.22.0, cpu" in found.lines
    assert found.can_label


def test_a_package_whose_import_ends_the_program_is_told_and_the_other_still_counts(scene, site):
    site("torch", "2.9.1")
    site("onnxruntime", "1.22.0")
    works = """print('{"event": "package", "version": "1.22.0", "problem": "", "devices": ["cpu"]}')"""
    found = answer(verify(probing("import os; os._exit(134)", works)))
    assert "its import ends the program (exit code 134)" in engine(found, "torch").problem
    assert found.can_label


def test_asking_does_not_wait_and_closing_ends_the_children(scene, site):
    check = verify(probing("import time; time.sleep(600)", "import time; time.sleep(600)"))
    start = time.perf_counter()
    assert check.poll() is None
    assert time.perf_counter() - start < 0.2
    check.close()
    assert all(child._process.poll() is not None for child in check._children.values())


@pytest.mark.slow
def test_the_real_probe_says_what_is_here(scene):
    found = answer(verify())
    for package in found.engines:
        assert package.is_usable == bool(package.version)
        assert ("cpu" in package.devices) == package.is_usable


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("", "broken: AttributeError"),
        ("raise OSError('libtorch.so: cannot open')", "broken: OSError: libtorch.so"),
        ("import torchgen_that_is_missing", "incomplete: No module named 'torchgen_that_is_missing'"),
        ("__version__ = '2.9.1'", "broken: AttributeError"),
    ],
    ids=["empty", "library", "part", "hollow"],
)
def test_the_probe_names_what_is_broken(site, code, problem):
    from VertebraLabelingLib.engines.probe import _torch_devices, probe

    site("torch", code=code)
    assert probe("torch", _torch_devices)["problem"].startswith(problem)


def test_the_probe_of_a_package_that_is_not_there(site):
    from VertebraLabelingLib.engines.probe import probe

    assert probe("torch", list) == {"version": "", "problem": "not installed", "devices": []}


class Packaging(types.ModuleType):
    """slicer.packaging as in 5.12: `ensure` is what pip_ensure does."""

    def __init__(self, ensure):
        super().__init__("slicer.packaging")
        self.calls, self._ensure = [], ensure

    def load_requirements(self, path):
        lines = path.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line and not line.startswith("#")]

    def pip_ensure(self, requirements, constraints=None, prompt_install=True, requester=None):
        self.calls.append((requirements, prompt_install, requester))
        self._ensure()


@pytest.fixture
def packaging(monkeypatch):
    def put(ensure):
        module = Packaging(ensure)
        monkeypatch.setattr(slicer, "packaging", module, raising=False)
        monkeypatch.setitem(sys.modules, "slicer.packaging", module)
        return module

    return put


def raising(error):
    def ensure():
        raise error

    return ensure


def test_the_light_way_asks_once_for_one_package(scene, site, packaging):
    module = packaging(lambda: site("onnxruntime", "1.22.0"))
    assert install_light().can_label
    assert module.calls == [([LIGHT], True, "VertebraLabeling")]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("User declined package installation"), "not installed: User declined package installation."),
        (subprocess.CalledProcessError(1, "pip install"), "returned non-zero exit status 1."),
        (TypeError(), "TypeError"),
    ],
    ids=["declined", "pip", "odd"],
)
def test_a_failed_installation_is_a_sentence_and_is_not_repeated(scene, site, packaging, error, reason):
    module = packaging(raising(error))
    with pytest.raises(DependencyError, match="ONNX Runtime was not installed") as caught:
        install_light()
    assert reason in str(caught.value)
    assert len(module.calls) == 1


def test_an_installation_that_installs_nothing_is_told(scene, site, packaging):
    packaging(lambda: None)
    with pytest.raises(DependencyError, match="was not installed; see Slicer's Python console"):
        install_light()


def test_slicer_before_5_12_is_told(scene, monkeypatch):
    monkeypatch.delattr(slicer, "packaging", raising=False)
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    with pytest.raises(DependencyError, match=r"needs Slicer 5\.12"):
        install_light()


def extension(monkeypatch, install):
    """The module of the extension PyTorch, whose logic installs by `install`."""
    module = types.ModuleType("PyTorchUtils")
    module.__file__ = "PyTorchUtils.py"
    module.PyTorchUtilsLogic = type("PyTorchUtilsLogic", (), {"installTorch": staticmethod(install)})
    monkeypatch.setitem(sys.modules, "PyTorchUtils", module)


def test_without_the_extension_the_way_to_it_is_told(scene, monkeypatch):
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    with pytest.raises(DependencyError, match=r"Extension Manager, install 'PyTorch', restart Slicer"):
        install_torch()


def test_torch_comes_through_the_extension_with_a_version_that_fits(scene, site, monkeypatch):
    calls = []

    def install(askConfirmation=False, forceComputationBackend=None, torchVersionRequirement=None):
        calls.append((askConfirmation, forceComputationBackend, torchVersionRequirement))
        site("torch", "2.9.1")
        return types.ModuleType("torch")

    extension(monkeypatch, install)
    assert engine(install_torch(), "torch").is_usable
    assert calls == [(True, None, ">=2.3")]


def test_an_extension_that_knows_fewer_options_is_asked_once_with_those(scene, site, monkeypatch):
    calls = []

    def install(askConfirmation=False):
        calls.append(askConfirmation)
        site("torch", "2.9.1")
        return types.ModuleType("torch")

    extension(monkeypatch, install)
    assert install_torch().can_label
    assert calls == [True]


@pytest.mark.parametrize("error", [TypeError("argument of type 'NoneType' is not iterable"), OSError("[WinError 206]")])
def test_a_torch_that_cannot_be_installed_is_told_with_the_way_out(scene, site, monkeypatch, error):
    calls = []

    def install(**_):
        calls.append(1)
        raise error

    extension(monkeypatch, install)
    with pytest.raises(DependencyError, match=r"PyTorch was not installed: .*PyTorch Utils, uninstall"):
        install_torch()
    assert calls == [1]


def test_a_torch_that_is_declined_or_incomplete_is_told(scene, site, monkeypatch):
    extension(monkeypatch, lambda **_: None)
    with pytest.raises(DependencyError, match="answered with no"):
        install_torch()
    extension(monkeypatch, lambda **_: types.ModuleType("torch"))
    with pytest.raises(DependencyError, match="not installed completely"):
        install_torch()


def test_offline_instructions_name_the_package_and_no_address(scene):
    text = dependencies.offline_instructions()
    assert text.count(LIGHT) == 2
    assert "://" not in text


def test_what_a_run_imports_slicer_bundles():
    """The networks' engine aside; test_job.py has the proof by a run with everything else forbidden (slow)."""
    code = """
import importlib, sys
before = set(sys.modules)
for name in ("predict", "pipeline", "outputs", "record", "core.readers", "core.formats", "methods.sites",
             "methods.integral_regression", "methods.refinement", "engines.network", "engines.weights"):
    importlib.import_module("VertebraLabelingLib." + name)
names = {name.partition(".")[0] for name in set(sys.modules) - before if getattr(sys.modules[name], "__spec__", None)}
print(*(name for name in names - set(sys.stdlib_module_names) if not name.startswith("_")))
"""
    pytest.importorskip("scipy", reason="this environment lacks what Slicer bundles")
    output, _ = launch_python(["-c", code]).communicate(timeout=120)
    found = set(output.decode().splitlines()[-1].split())
    assert "SimpleITK" in found
    assert found <= {"VertebraLabelingLib", "numpy", "scipy", "SimpleITK", "charset_normalizer"}
