"""The two engines say the same with the weights that ship, and ONNX Runtime does so where there is no torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from phantoms import small_phantom
from scipy.special import expit

pytest.importorskip("onnxruntime")
pytest.importorskip("torch")

from VertebraLabelingLib import predict
from VertebraLabelingLib.core.errors import ModelError
from VertebraLabelingLib.core.formats import read_points
from VertebraLabelingLib.core.labelling import positions_of
from VertebraLabelingLib.core.prepare import AIR_HU, prepare
from VertebraLabelingLib.core.windows import crop
from VertebraLabelingLib.engines import onnx_network
from VertebraLabelingLib.engines.network import TorchNetwork, load_network, named_outputs
from VertebraLabelingLib.engines.weights import (
    MANIFEST_NAME,
    MODELS_FOLDER,
    Weights,
    find_model,
    load_model,
)
from VertebraLabelingLib.methods import corridor, global_to_local, integral_regression, sites
from VertebraLabelingLib.methods.integral_regression.settings import IntegralSettings, normaliser
from VertebraLabelingLib.methods.intensity import normalise
from VertebraLabelingLib.methods.refinement.refine import load_shipped
from VertebraLabelingLib.methods.registry import MEMBERS, method_of
from VertebraLabelingLib.methods.sites.reading import find_sites
from VertebraLabelingLib.methods.sites.settings import SitesSettings
from VertebraLabelingLib.pipeline import label_scan

BUILD = {
    "corridor": corridor.curve.build_network,
    "sites": sites.method.build_network,
    "integral-regression": integral_regression.method.build_network,
    "global-to-local": global_to_local.method.build_network,
}
LIBRARY = Path(predict.__file__).parents[1]
FUSED_VOXEL_TOLERANCE = 1e-3
# of raw maps; torch's GroupNorm adds up in single precision where the channels lie last, as on the CPU they do;
# measured: 2e-3 of coordinates and logits, 3.6e-3 (0.014 mm) of displacements
VOXEL_TOLERANCE = 5e-3
LOGIT_TOLERANCE = 5e-3
# displacements are mm on a grid of 4 mm
TOLERANCES = {"coordinates": VOXEL_TOLERANCE, "displacements_mm": 4 * VOXEL_TOLERANCE}
WITHOUT = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages!r}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Blocker())
from VertebraLabelingLib.predict import main
code = main(sys.argv[1:])
assert not set(sys.modules) & set({packages!r})
sys.exit(code)
"""


def phantom_window(weights: Weights) -> NDArray[np.float32]:
    """The middle of the phantom as the network wants it, (1, channels, z, y, x)."""
    settings = weights.metadata["network"]
    scan = prepare(small_phantom().scan, settings["spacing_mm"])
    start = (np.array(scan.hu.shape) - settings["window_zyx"]) // 2
    hu = crop(scan.hu, start, settings["window_zyx"], AIR_HU)
    if "hu_range" in settings:
        return normaliser(scan.hu, IntegralSettings.from_metadata(settings))(hu[None])
    return normalise(hu, settings["hu_ranges"])[None]


def random_window(weights: Weights) -> NDArray[np.float32]:
    shape = phantom_window(weights).shape
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("window", [phantom_window, random_window])
@pytest.mark.parametrize("model", BUILD)
def test_both_engines_give_the_same_numbers(model, window):
    weights = load_model(model)
    image = window(weights)
    by_torch, by_onnx = (load_network(weights, BUILD[model], engine)(image) for engine in ("torch", "onnx"))
    assert by_torch.keys() == by_onnx.keys()
    for name, expected in by_torch.items():
        assert by_onnx[name].dtype == expected.dtype == np.float32
        tolerance = TOLERANCES.get(name, LOGIT_TOLERANCE)
        np.testing.assert_allclose(by_onnx[name], expected, rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_windows_together_give_what_each_gives_alone(engine):
    weights = load_model("corridor")
    network = load_network(weights, BUILD["corridor"], engine)
    windows = np.concatenate([phantom_window(weights), random_window(weights)])
    together = network(windows)["output"]
    for n in range(2):
        np.testing.assert_allclose(together[n : n + 1], network(windows[n : n + 1])["output"], atol=LOGIT_TOLERANCE)


@pytest.mark.parametrize("model", BUILD)
def test_convolutions_of_onednn_give_what_those_of_torch_give(model):
    import torch

    weights = load_model(model)
    image = phantom_window(weights)
    module = BUILD[model](weights.metadata["network"]).eval()
    module.load_state_dict({name: torch.from_numpy(array) for name, array in weights.arrays.items()})
    with torch.inference_mode():
        plain = named_outputs(module(torch.from_numpy(image)))
    kept = set(module.state_dict())
    for name, values in TorchNetwork(module)(image).items():
        np.testing.assert_allclose(values, plain[name].numpy(), rtol=0, atol=TOLERANCES.get(name, LOGIT_TOLERANCE))
    assert set(module.state_dict()) == kept, "a network that is being trained must stay as it is"


@pytest.mark.parametrize("method", MEMBERS)
def test_both_engines_put_the_fused_points_in_the_same_place(method):
    """What the user gets: every shipped network, windows fused, named; to a thousandth of the network's voxel."""
    weights, scan = load_model(method), small_phantom().scan
    by_torch, by_onnx = (
        label_scan(scan, method_of(weights, engine=engine)).labelling.points for engine in ("torch", "onnx")
    )
    assert [point.level for point in by_onnx] == [point.level for point in by_torch]
    assert len(by_torch) >= 3
    same, expected = positions_of(by_onnx), positions_of(by_torch)
    tolerance_mm = FUSED_VOXEL_TOLERANCE * weights.metadata["network"]["spacing_mm"]
    np.testing.assert_allclose(same, expected, rtol=0, atol=tolerance_mm)


def test_both_engines_refine_to_the_same_place():
    phantom = small_phantom()
    start = np.array(list(phantom.centroids.values())) + [2.0, -2.0, 1.0]
    by_torch, by_onnx = (load_shipped(engine=engine).positions(phantom.scan, start) for engine in ("torch", "onnx"))
    assert np.abs(by_torch - start).max() > 1.0, "nothing was refined"
    spacing_mm = load_model("refinement").metadata["network"]["spacing_mm"]
    np.testing.assert_allclose(by_onnx, by_torch, rtol=0, atol=FUSED_VOXEL_TOLERANCE * spacing_mm)


def test_both_engines_find_the_same_sites():
    weights = load_model("sites")
    settings = SitesSettings.from_metadata(weights.metadata["network"])
    image = phantom_window(weights)
    found = []
    for engine in ("torch", "onnx"):
        maps = load_network(weights, BUILD["sites"], engine)(image)
        found.append(find_sites(expit(maps["centre"][0]), maps["integral"][0], settings))
    (positions, scores), (same_positions, same_scores) = found
    assert len(positions) >= 3
    assert np.abs(positions - same_positions).max() <= FUSED_VOXEL_TOLERANCE * settings.spacing_mm
    np.testing.assert_allclose(scores, same_scores, atol=1e-4)


# --- from file to files -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ct(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("phantom") / "phantom.nii.gz"
    sitk.WriteImage(small_phantom().scan.to_sitk(), str(path))
    return path


def label_without(packages: set[str], ct: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """The command line in a process that cannot import these packages."""
    code = WITHOUT.format(packages=packages)
    command = [sys.executable, "-c", code, "label", str(ct), "--output", str(out / "a.mrk.json"), "--quiet"]
    environment = os.environ | {"PYTHONPATH": str(LIBRARY)}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def engine_of(out: Path) -> str:
    return json.loads((out / "a.run.json").read_text(encoding="utf-8"))["settings"]["engine"]


def test_a_phantom_gets_the_same_labels_with_torch_and_where_there_is_no_torch(ct, tmp_path):
    with_torch, without = tmp_path / "torch", tmp_path / "onnx"
    for out in (with_torch, without):
        out.mkdir()
    arguments = ["label", str(ct), "--output", str(with_torch / "a.mrk.json"), "--device", "cpu", "--quiet"]
    assert predict.main(arguments) == 0
    done = label_without({"torch"}, ct, without)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (engine_of(with_torch), engine_of(without)) == ("torch", "onnx")
    points, same = (read_points(out / "a.mrk.json") for out in (with_torch, without))
    assert [p.level for p in points] == [p.level for p in same]
    assert len(points) >= 3
    np.testing.assert_allclose(
        [p.position_lps_mm for p in same], [p.position_lps_mm for p in points], rtol=0, atol=2e-3
    )
    np.testing.assert_allclose([p.probability for p in same], [p.probability for p in points], atol=1e-3)


def test_without_any_engine_the_user_learns_what_to_install(ct, tmp_path):
    done = label_without({"torch", "onnxruntime"}, ct, tmp_path)
    assert done.returncode == ModelError.exit_code
    assert "pip install onnxruntime" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# --- the graphs -------------------------------------------------------------------------------------------------------


def with_network(weights: Weights, **changed: object) -> Weights:
    network = {**weights.metadata["network"], **changed}
    return replace(weights, metadata={**weights.metadata, "network": network})


@pytest.fixture(scope="module")
def sites_weights() -> Weights:
    return load_model("sites")


def test_own_weights_of_the_same_network_run(sites_weights):
    own = with_network(sites_weights, score_calibration=[1.5, 0.5])
    own = replace(own, arrays={name: 0 * array for name, array in own.arrays.items()}, path=Path("own.npz"))
    maps = onnx_network.load_onnx_network(own)(phantom_window(own))
    assert all(not values.any() for values in maps.values()), "the graph does not follow the weights"


@pytest.mark.parametrize(
    "change",
    [
        lambda w: with_network(w, window_zyx=[64, 64, 64]),
        lambda w: with_network(w, hu_ranges=[[-1000.0, 2000.0], [-100.0, 500.0]]),
        lambda w: replace(w, arrays={name: a for name, a in w.arrays.items() if name != "encoder.stem.0.weight"}),
        lambda w: replace(w, arrays={name: np.concatenate([a, a]) for name, a in w.arrays.items()}),
    ],
    ids=["window", "HU ranges", "a parameter less", "wider"],
)
def test_own_weights_of_another_network_need_torch(sites_weights, change):
    with pytest.raises(ModelError, match=r"other settings .* pip install torch"):
        onnx_network.load_onnx_network(replace(change(sites_weights), path=Path("own.npz")))


def test_weights_without_settings_do_not_fit(sites_weights):
    with pytest.raises(ModelError, match="do not fit"):
        load_network(replace(sites_weights, metadata={"model": "sites"}), BUILD["sites"], "onnx")


def test_a_graph_that_is_altered_or_was_never_registered_is_not_run(sites_weights, tmp_path, monkeypatch):
    shutil.copytree(MODELS_FOLDER, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(onnx_network, "find_model", partial(find_model, folder=tmp_path))
    (tmp_path / "sites.onnx").write_bytes((MODELS_FOLDER / "corridor.onnx").read_bytes())
    with pytest.raises(ModelError, match="altered"):
        onnx_network.load_onnx_network(sites_weights)
    manifest = json.loads((tmp_path / MANIFEST_NAME).read_text(encoding="utf-8"))
    models = [{key: value for key, value in entry.items() if key != "graph"} for entry in manifest["models"]]
    (tmp_path / MANIFEST_NAME).write_text(json.dumps({"models": models}), encoding="utf-8")
    with pytest.raises(ModelError, match="without an ONNX graph"):
        onnx_network.load_onnx_network(sites_weights)


@pytest.mark.parametrize("model", BUILD)
def test_a_shipped_graph_holds_settings_but_neither_weights_nor_paths(model):
    onnx = pytest.importorskip("onnx")
    content = find_model(model).graph.read()
    weights = load_model(model)
    graph = onnx.load_model_from_string(content)
    external = {t.name for t in graph.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL}
    assert external == {onnx_network.PREFIX + name for name in weights.arrays}
    assert len(content) < 100_000
    assert b"site-packages" not in content and b".py" not in content
    settings = {prop.key: prop.value for prop in graph.metadata_props}
    assert json.loads(settings["network"]) == weights.metadata["network"]
    assert settings["opset"] == str(graph.opset_import[0].version)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "network", "build"),
    [
        (
            "integral-regression",
            {"window_zyx": [16, 16, 16], "widths": [8, 8, 8, 8], "hidden": 4},
            integral_regression.method.build_network,
        ),
        ("global-to-local", {"window_zyx": [16, 8, 8], "widths": [8, 8]}, global_to_local.method.build_network),
    ],
    ids=["integral-regression", "global-to-local"],
)
def test_an_exported_graph_follows_weights_that_it_has_never_seen(model, network, build, tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    import torch
    from VertebraLabelingLib.engines.weights import load_weights, register_model, save_weights

    from training.onnx_export import graph_of
    from training.tasks import make_task

    task = make_task(model, network, {})
    graph = graph_of(task.build_network(), task.metadata())
    torch.manual_seed(1)
    metadata = {"model": task.model_id, "network": task.metadata()}
    save_weights(tmp_path / "own.npz", task.build_network().state_dict(), metadata)
    register_model(tmp_path / "own.npz", tmp_path, graph)
    monkeypatch.setattr(onnx_network, "find_model", partial(find_model, folder=tmp_path))
    weights = load_weights(tmp_path / "own.npz")
    image = random_window(weights)
    by_torch, by_onnx = (load_network(weights, build, e)(image) for e in ("torch", "onnx"))
    for name, expected in by_torch.items():
        np.testing.assert_allclose(by_onnx[name], expected, atol=1e-4)
