"""Advanced, first part: how to label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from ...core.errors import VertebraLabelingError
from ...methods.registry import METHODS, REFINED_BY_DEFAULT, missing_models
from .. import machine_settings
from .widgets import fill_combo, quiet

if TYPE_CHECKING:
    from ...engines.store import UserModel, UserModels
    from ..session import Session
    from .messages import Messages

ENGINES = ("auto", "torch", "onnx")
DEVICES = ("auto", "cpu", "cuda", "mps")


class OptionsSection:
    """Method and refinement, which belong to the scene; engine, device and weights, which belong to this computer."""

    def __init__(self, ui: Any, session: Session, models: UserModels, messages: Messages):
        self._ui, self._session, self._models, self._messages = ui, session, models, messages
        self._entries: tuple[UserModel, ...] = ()
        self._chosen_model = ""
        fill_combo(ui.methodComboBox, [_listed(name) for name in METHODS], 0)
        ui.methodComboBox.setToolTip("\n".join(f"{_listed(name)}: {text}" for name, text in METHODS.items()))
        fill_combo(ui.engineComboBox, [_("Automatic"), _("PyTorch"), _("ONNX Runtime (CPU, without PyTorch)")], 0)
        fill_combo(ui.deviceComboBox, [_("Automatic"), _("CPU"), _("NVIDIA GPU (CUDA)"), _("Apple GPU (MPS)")], 0)
        ui.methodComboBox.connect("currentIndexChanged(int)", self._choose_method)
        ui.modelComboBox.connect("currentIndexChanged(int)", self._choose_model)
        ui.engineComboBox.connect("currentIndexChanged(int)", self._choose_engine)
        ui.deviceComboBox.connect("currentIndexChanged(int)", self._choose_device)
        ui.refineCheckBox.connect("toggled(bool)", self._choose_refinement)
        session.set_options(
            engine=machine_settings.stored("Engine", "auto", ENGINES),
            device=machine_settings.stored("Device", "auto", DEVICES),
        )
        self.models_changed()

    def refresh(self) -> None:
        """Show the options as they are."""
        options, ui = self._session.options, self._ui
        _show(ui.methodComboBox, tuple(METHODS), options.method)
        _show(ui.engineComboBox, ENGINES, options.engine)
        _show(ui.deviceComboBox, DEVICES, options.device)
        ui.methodLabel.setText(self._sentence(options.method))
        with quiet(ui.refineCheckBox):
            ui.refineCheckBox.setChecked(REFINED_BY_DEFAULT if options.refine is None else options.refine)
        self._show_models()

    def _sentence(self, method: str) -> str:
        """When to take the method, and what to do where it cannot run."""
        if _has_weights(method) or self._session.options.model_file is not None:
            return METHODS[method]
        remedy = _("Its weights are not installed: choose another method, or import weights below.")
        return f"{METHODS[method]} {remedy}"

    def models_changed(self) -> None:
        """Read the list of the user's own weights again."""
        try:
            self._entries = self._models.entries()
        except VertebraLabelingError:  # the model page shows the message
            self._entries = ()
        self.refresh()

    def _show_models(self) -> None:
        """The extension's weights, and the user's own for this method."""
        names = self._model_names()
        if self._chosen_model not in names:  # removed, or a scene with another method was loaded
            self._chosen_model = ""
            self._session.set_options(model_file=None)
        if self._session.options.model_file is None:
            self._chosen_model = ""
        texts = [name or _("Those of the extension") for name in names]
        fill_combo(self._ui.modelComboBox, texts, names.index(self._chosen_model))

    def _model_names(self) -> list[str]:
        """Ids in the order of the combo box, the shipped weights as ""."""
        method = self._session.options.method
        return ["", *(entry.id for entry in self._entries if entry.method == method)]

    def _choose_method(self, index: int) -> None:
        self._session.set_options(method=list(METHODS)[index], model_file=None)

    def _choose_model(self, index: int) -> None:
        name = self._model_names()[index]
        try:
            path = self._models.verified_path(name) if name else None
        except VertebraLabelingError as error:
            self._messages.show(str(error))
            self.refresh()
            return
        self._chosen_model = name
        self._session.set_options(model_file=path)

    def _choose_engine(self, index: int) -> None:
        machine_settings.store("Engine", ENGINES[index])
        self._session.set_options(engine=ENGINES[index])

    def _choose_device(self, index: int) -> None:
        machine_settings.store("Device", DEVICES[index])
        self._session.set_options(device=DEVICES[index])

    def _choose_refinement(self, refine: bool) -> None:
        self._session.set_options(refine=refine)


def _has_weights(method: str) -> bool:
    """Whether the weights that ship for a method are there, as far as the list of models can be read."""
    try:
        return not missing_models(method)
    except VertebraLabelingError:  # the run that meets it shows the message
        return True


def _listed(method: str) -> str:
    """The method as the list shows it."""
    return method if _has_weights(method) else _("{method} (not installed)").format(method=method)


def _show(combo: Any, names: tuple[str, ...], name: str) -> None:
    with quiet(combo):
        combo.setCurrentIndex(names.index(name) if name in names else -1)  # a script may have set another one
