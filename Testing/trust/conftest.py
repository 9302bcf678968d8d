"""The shipped networks and a small phantom labelled by them, once per session."""

from __future__ import annotations

import pytest
from phantoms import small_phantom
from trust_support import FixedMethod
from VertebraLabelingLib import options, predict
from VertebraLabelingLib.options import Labeller
from VertebraLabelingLib.pipeline import LabelledScan

from training.phantom import Phantom


@pytest.fixture(scope="session")
def labeller() -> Labeller:
    """The default method with the weights that ship, on the CPU."""
    return Labeller.load(predict.parser().parse_args(["label", "ct", "--output", "a.mrk.json", "--device", "cpu"]))


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    """Lumbar spine and sacrum, T12-S2."""
    return small_phantom()


@pytest.fixture(scope="session")
def labelled(labeller: Labeller, phantom: Phantom) -> LabelledScan:
    """The phantom as it is labelled when nothing is wrong with it."""
    return labeller.label(phantom.scan)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> FixedMethod:
    """In the place of the networks a method that always finds four vertebrae."""
    method = FixedMethod()
    monkeypatch.setattr(options, "load_method", lambda *_: method)
    return method
