"""Slicer without the application: real MRML and real Qt, and stand-ins only where nothing real can be installed.

Real: `slicer-core` (scene, nodes, module logics, storage, displayable managers, `slicer.util`) and Qt (PySide6).
Stand-ins: `slicer.app` (app.py, layout.py, io.py), `slicer.modules` (modules.py), the base classes (base.py),
`slicer.i18n`, `slicer.packaging` (packaging.py, installs nothing), the custom widgets (widgets.py, node_combo_box.py).
api.json says what the real ones have; tests hold the stand-ins against it, and lint.py the module's code.
"""
