"""Advanced: options kept on this computer, the user's own weights, software, diagnostics; and exports that refuse."""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import partial

import pytest
import slicer
from panel_support import FakeDialogs, FakeJob, loaded_panel, points_node, volume_node, wait_until
from VertebraLabelingLib.app import dependencies, installed, machine_settings
from VertebraLabelingLib.core.errors import VertebraLabelingError
from VertebraLabelingLib.engines import weights
from VertebraLabelingLib.engines.weights import MANIFEST_NAME, MODELS_FOLDER
from VertebraLabelingLib.methods.registry import METHODS


@pytest.fixture
def models_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(machine_settings, "models_folder", lambda: tmp_path / "Models")
    return tmp_path / "Models"


@pytest.fixture
def opened(scene, models_folder):
    FakeJob.made.clear()
    volume_node()
    return loaded_panel(FakeJob)


@pytest.fixture
def widget(opened):
    return opened[0]


@pytest.fixture
def weights_file(tmp_path):
    return shutil.copy(MODELS_FOLDER / "sites.npz", tmp_path / "mine.npz")


def texts(combo):
    return [combo.itemText(index) for index in range(combo.count)]


def test_every_method_is_offered_with_its_sentence(widget):
    assert [text.removesuffix(" (not installed)") for text in texts(widget.ui.methodComboBox)] == list(METHODS)
    for index, (name, sentence) in enumerate(METHODS.items()):
        assert f"{name}" in widget.ui.methodComboBox.toolTip and sentence in widget.ui.methodComboBox.toolTip
        widget.ui.methodComboBox.setCurrentIndex(index)
        assert widget.session.options.method == name
        assert widget.ui.methodLabel.text.startswith(sentence)


def test_a_method_without_weights_is_listed_as_not_installed(scene, models_folder, tmp_path, monkeypatch):
    manifest = {"models": [{"id": name, "file": "x", "sha256": "x"} for name in ("corridor", "sites")]}
    (tmp_path / MANIFEST_NAME).write_text(json.dumps(manifest))
    monkeypatch.setattr(weights, "listed_models", partial(weights.listed_models, tmp_path))
    widget, _dialogs = loaded_panel()
    shown = texts(widget.ui.methodComboBox)
    assert [name for name in METHODS if name in shown] == ["sites", "ensemble"]
    index = shown.index("multi-view (not installed)")
    widget.ui.methodComboBox.setCurrentIndex(index)
    assert widget.session.options.method == "multi-view"
    assert "not installed" in widget.ui.methodLabel.text
    widget.session.set_options(model_file=tmp_path / "mine.npz")
    assert widget.ui.methodLabel.text == METHODS["multi-view"], "weights of the user's own will do"
    widget.ui.methodComboBox.setCurrentIndex(0)
    assert widget.ui.methodLabel.text == METHODS["sites"]


def test_engine_and_device_are_kept_for_the_next_start_of_slicer(widget):
    widget.ui.engineComboBox.setCurrentIndex(2)
    widget.ui.deviceComboBox.setCurrentIndex(1)
    next_widget, _dialogs = loaded_panel()
    assert (next_widget.ui.engineComboBox.currentIndex, next_widget.ui.deviceComboBox.currentIndex) == (2, 1)
    assert (next_widget.session.options.engine, next_widget.session.options.device) == ("onnx", "cpu")


def test_a_setting_of_another_version_is_ignored(scene, models_folder):
    machine_settings.store("Engine", "tensorflow")
    widget, _dialogs = loaded_panel()
    assert widget.session.options.engine == "auto"


def test_weights_are_imported_chosen_and_removed(opened, weights_file, models_folder):
    widget, dialogs = opened
    dialogs.path = weights_file
    assert not widget.ui.removeModelButton.enabled
    widget.ui.importModelButton.click()
    sha256 = hashlib.sha256(weights_file.read_bytes()).hexdigest()
    assert sha256 in widget.ui.modelsTable.item(0, 2).toolTip()
    assert len(texts(widget.ui.modelComboBox)) == 2

    widget.ui.modelComboBox.setCurrentIndex(1)
    widget.ui.labelButton.click()
    assert FakeJob.made[0].request.model_file.read_bytes() == weights_file.read_bytes()
    widget.ui.labelButton.click()
    assert wait_until(lambda: not widget.session.is_running, 5)

    widget.ui.methodComboBox.setCurrentIndex(1)
    assert len(texts(widget.ui.modelComboBox)) == 1
    assert widget.session.options.model_file is None

    widget.ui.modelsTable.selectRow(0)
    dialogs.answer = False
    widget.ui.removeModelButton.click()
    assert widget.ui.modelsTable.rowCount == 1
    dialogs.answer = True
    widget.ui.removeModelButton.click()
    assert widget.ui.modelsTable.rowCount == 0
    assert not list(models_folder.glob("*.npz"))


def test_the_chosen_weights_are_not_used_any_more_once_they_are_removed(opened, weights_file):
    widget, dialogs = opened
    dialogs.path = weights_file
    widget.ui.importModelButton.click()
    widget.ui.modelComboBox.setCurrentIndex(1)
    widget.ui.modelsTable.selectRow(0)
    widget.ui.removeModelButton.click()
    assert widget.session.options.model_file is None
    assert widget.ui.modelComboBox.currentIndex == 0


def test_the_chosen_weights_are_not_used_for_the_method_of_another_scene(opened, weights_file):
    widget, dialogs = opened
    dialogs.path = weights_file
    widget.ui.importModelButton.click()
    widget.ui.modelComboBox.setCurrentIndex(1)
    other = next(name for name in METHODS if name != widget.session.options.method)
    widget.session.state.method = other
    assert widget.session.options.model_file is None
    assert widget.ui.methodComboBox.currentText == other
    assert texts(widget.ui.modelComboBox) == ["Those of the extension"]


def test_a_file_that_is_no_weight_file_is_refused_beside_the_button(opened, tmp_path):
    widget, dialogs = opened
    dialogs.path = tmp_path / "letter.npz"
    dialogs.path.write_text("not weights")
    widget.ui.importModelButton.click()
    assert "letter.npz" in widget.ui.modelStatusLabel.text
    assert widget.ui.modelsTable.rowCount == 0
    assert not dialogs.failures


def test_a_download_needs_an_address_and_the_hash_and_compares_it(widget, weights_file):
    assert not widget.ui.downloadModelButton.enabled
    widget.ui.modelAddressEdit.setText(weights_file.as_uri())
    widget.ui.modelHashEdit.setText("0" * 64)
    assert widget.ui.downloadModelButton.enabled
    widget.ui.downloadModelButton.click()
    assert "SHA-256" in widget.ui.modelStatusLabel.text
    assert widget.ui.modelsTable.rowCount == 0
    widget.ui.modelHashEdit.setText(hashlib.sha256(weights_file.read_bytes()).hexdigest())
    widget.ui.downloadModelButton.click()
    assert widget.ui.modelsTable.rowCount == 1


def test_altered_weights_are_refused_when_they_are_chosen(opened, weights_file, models_folder):
    widget, dialogs = opened
    dialogs.path = weights_file
    widget.ui.importModelButton.click()
    (stored,) = models_folder.glob("*.npz")
    stored.chmod(0o600)
    stored.write_bytes(b"altered")
    widget.ui.modelComboBox.setCurrentIndex(1)
    assert dialogs.failures
    assert widget.session.options.model_file is None
    assert widget.ui.modelComboBox.currentIndex == 0


def test_the_folder_is_opened(opened, models_folder):
    widget, dialogs = opened
    widget.ui.modelFolderButton.click()
    assert dialogs.opened == [models_folder]


def test_what_is_installed_is_shown_and_checked_in_a_child(widget):
    for line in dependencies.state().lines:
        assert line in widget.ui.dependencyLabel.text
    widget.ui.checkButton.click()
    assert not widget.ui.checkButton.enabled
    assert wait_until(lambda: widget.ui.dependencyMessageLabel.text == "Checked.", 120)
    assert widget.ui.checkButton.enabled


@pytest.mark.parametrize(
    ("button", "function"), [("installLightButton", "install_light"), ("installTorchButton", "install_torch")]
)
def test_an_installation_that_fails_is_told_beside_the_button_and_not_tried_again(
    widget, monkeypatch, button, function
):
    calls = []

    def refuse():
        calls.append(function)
        raise VertebraLabelingError("The question was answered with no.")

    monkeypatch.setattr(dependencies, function, refuse)
    getattr(widget.ui, button).click()
    assert calls == [function]
    assert widget.ui.dependencyMessageLabel.text == "The question was answered with no."


def test_without_an_engine_no_run_starts_and_the_way_to_one_is_shown(scene, models_folder, monkeypatch):
    nothing = installed.DependencyState((installed.Package("torch"), installed.Package("onnxruntime")), (), False)
    monkeypatch.setattr(installed, "state", lambda: nothing)
    volume_node()
    widget, _dialogs = loaded_panel()
    assert "Advanced" in widget.ui.statusLabel.text
    assert not widget.ui.labelButton.enabled
    assert "Advanced" in widget.ui.labelButton.toolTip


def test_offline_instructions_are_shown_on_demand(widget):
    assert widget.ui.offlineText.isHidden()
    widget.ui.offlineCheckBox.setChecked(True)
    assert not widget.ui.offlineText.isHidden()
    assert "onnxruntime" in widget.ui.offlineText.plainText


def test_diagnostics_are_copied_without_names_of_patients_or_paths(opened):
    widget, dialogs = opened
    widget.ui.inputSelector.currentNode().SetName("Doe^Jane")
    widget.ui.labelButton.click()
    FakeJob.made[0].log = "reading /home/jane/doe.nii.gz\n"
    FakeJob.made[0].finish(["L1", "L2"])
    assert wait_until(lambda: not widget.session.is_running, 5)
    widget.ui.diagnosticsButton.click()
    (text,) = dialogs.copied
    assert "VertebraLabeling" in text
    assert "engine: onnx" in text
    assert "Doe" not in text
    assert "jane" not in text


def test_exports_need_points_and_say_so(opened):
    widget, _dialogs = opened
    for name in ("exportMarkupsButton", "exportCsvButton", "exportVerseButton", "exportSrButton"):
        button = getattr(widget.ui, name)
        assert not button.enabled
        assert "no points" in button.toolTip


def test_an_export_that_cannot_be_is_told_beside_the_button(opened, tmp_path):
    widget, dialogs = opened
    widget.ui.pointsSelector.setCurrentNode(points_node("L1", "L2"))
    dialogs.path = tmp_path / "report.dcm"
    widget.ui.exportSrButton.click()
    assert "DICOM" in widget.ui.exportLabel.text
    assert not dialogs.path.exists()
    assert not dialogs.failures


def test_an_export_under_a_transform_says_in_whose_coordinates_it_is(opened, tmp_path):
    widget, dialogs = opened
    node = points_node("L1", "L2")
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetAndObserveTransformNodeID(transform.GetID())
    widget.ui.pointsSelector.setCurrentNode(node)
    dialogs.path = tmp_path / "points.csv"
    widget.ui.exportCsvButton.click()
    assert dialogs.path.exists()
    assert "transform" in widget.ui.exportLabel.text


def test_a_cancelled_file_dialog_does_nothing(opened):
    widget, dialogs = opened
    widget.ui.pointsSelector.setCurrentNode(points_node("L1", "L2"))
    dialogs.path = None
    widget.ui.exportCsvButton.click()
    widget.ui.importModelButton.click()
    assert widget.ui.exportLabel.text == ""
    assert widget.ui.modelStatusLabel.text == ""


def test_the_real_dialogs_are_safe_in_testing_mode_and_have_the_methods_of_the_fake(scene):
    from VertebraLabelingLib.app.dialogs import Dialogs

    dialogs = Dialogs()
    assert dialogs.ask("Replace them?") is False
    dialogs.failure("Out of memory.")
    public = {name for name in dir(Dialogs) if not name.startswith("_")}
    assert public == {name for name in dir(FakeDialogs) if not name.startswith("_")}


@pytest.mark.parametrize(
    "answer", ["{}/spine", ("{}/spine", "*.csv"), "{}/spine.csv"], ids=["PythonQt", "PySide", "whole"]
)
def test_the_save_dialog_adds_the_ending_and_remembers_the_folder(scene, tmp_path, monkeypatch, answer):
    import qt
    from VertebraLabelingLib.app.dialogs import Dialogs

    proposals = []
    chosen = answer.format(tmp_path) if isinstance(answer, str) else (answer[0].format(tmp_path), answer[1])

    def dialog(parent, title, proposal, pattern):
        proposals.append(proposal)
        return chosen

    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", dialog)
    assert Dialogs().save_path("Export", "CT.csv", ".csv") == tmp_path / "spine.csv"
    Dialogs().save_path("Export", "CT.csv", ".csv")
    assert proposals[1] == str(tmp_path / "CT.csv")
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *arguments: "")
    assert Dialogs().save_path("Export", "CT.csv", ".csv") is None


def test_a_proposed_file_name_has_no_character_that_a_system_refuses(scene, tmp_path, monkeypatch):
    import qt
    from VertebraLabelingLib.app.dialogs import Dialogs

    proposals = []
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *arguments: proposals.append(arguments[2]) or "")
    machine_settings.store("ExportFolder", str(tmp_path))
    Dialogs().save_path("Export", '4: CT a/b <"x"> vertebrae.csv', ".csv")
    assert proposals == [str(tmp_path / "4_ CT a_b __x__ vertebrae.csv")]


@pytest.mark.parametrize("replace", [True, False])
def test_a_file_of_which_the_save_dialog_did_not_know_is_replaced_only_when_the_user_says_so(
    scene, tmp_path, monkeypatch, replace
):
    import qt
    from VertebraLabelingLib.app.dialogs import Dialogs

    (tmp_path / "spine.csv").touch()
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *arguments: str(tmp_path / "spine"))
    questions = []
    monkeypatch.setattr(Dialogs, "ask", lambda self, question: questions.append(question) or replace)
    path = Dialogs().save_path("Export", "CT.csv", ".csv")
    assert path == (tmp_path / "spine.csv" if replace else None)
    assert len(questions) == 1
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *arguments: str(tmp_path / "spine.CSV"))
    assert Dialogs().save_path("Export", "CT.csv", ".csv") == tmp_path / "spine.CSV"


def test_a_download_can_be_cancelled(widget, weights_file, models_folder, monkeypatch):
    ui = widget.ui
    ui.modelAddressEdit.setText(weights_file.as_uri())
    ui.modelHashEdit.setText(hashlib.sha256(weights_file.read_bytes()).hexdigest())
    seen = []

    def click_cancel():
        seen.append((ui.downloadModelButton.text, ui.downloadModelButton.enabled, ui.importModelButton.enabled))
        ui.downloadModelButton.click()

    monkeypatch.setattr(slicer.app, "processEvents", click_cancel)
    ui.downloadModelButton.click()
    assert seen == [("Cancel", True, False)]
    assert "cancelled" in ui.modelStatusLabel.text
    assert ui.modelsTable.rowCount == 0
    assert not list(models_folder.iterdir())
    assert (ui.downloadModelButton.text, ui.importModelButton.enabled) == ("Download", True)
    monkeypatch.undo()
    monkeypatch.setattr(machine_settings, "models_folder", lambda: models_folder)
    ui.downloadModelButton.click()
    assert ui.modelsTable.rowCount == 1


def test_nothing_is_installed_while_a_run_goes_on(widget):
    buttons = [getattr(widget.ui, name) for name in ("checkButton", "installLightButton", "installTorchButton")]
    assert all(button.enabled for button in buttons)
    widget.ui.labelButton.click()
    assert not any(button.enabled for button in buttons)
    FakeJob.made[0].finish(["L1", "L2"])
    assert wait_until(lambda: not widget.session.is_running, 5)
    assert all(button.enabled for button in buttons)
