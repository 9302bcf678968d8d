"""The phantom that Slicer's module Sample Data offers: registered as that module wants it, found without a network."""

from __future__ import annotations

import hashlib
import sys
import types
from pathlib import Path
from urllib.request import urlretrieve

import pytest
import slicer
from harness import boot
from VertebraLabelingLib.app import sample_data


@pytest.fixture
def sources(monkeypatch):
    """What was registered in a stand-in for the module Sample Data, which takes the parameters of Slicer 5.12."""
    registered = []

    def registerCustomSampleDataSource(
        category="Custom", sampleName=None, uris=None, fileNames=None, nodeNames=None, customDownloader=None,
        thumbnailFileName=None, loadFileType="VolumeFile", loadFiles=None, loadFileProperties={}, checksums=None,  # noqa: B006 - as there
    ):  # fmt: skip
        registered.append(types.SimpleNamespace(**locals()))

    logic = types.SimpleNamespace(registerCustomSampleDataSource=registerCustomSampleDataSource)
    monkeypatch.setitem(sys.modules, "SampleData", types.SimpleNamespace(SampleDataLogic=logic))
    return registered


def test_it_is_registered_once_slicer_has_started(scene, sources):
    boot.load_module()
    assert sources == []
    slicer.app.startupCompleted.emit()
    (source,) = sources
    assert (source.category, source.sampleName) == ("Vertebra Labeling", "VertebraLabelingPhantom")
    assert Path(source.thumbnailFileName).is_file()


def test_it_is_fetched_without_a_network_and_loaded_as_sample_data_does(scene, sources, tmp_path):
    sample_data.register()
    (source,) = sources
    assert source.uris.startswith("file:///")
    path, _headers = urlretrieve(source.uris, tmp_path / source.fileNames)
    assert source.checksums == f"SHA256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert slicer.app.coreIOManager().loadNodes(
        source.loadFileType, {"fileName": str(path), "name": source.nodeNames, **source.loadFileProperties}
    )
    assert slicer.util.getNode("VertebraLabelingPhantom").GetImageData().GetDimensions() == (100, 73, 130)
