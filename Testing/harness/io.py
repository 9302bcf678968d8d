"""Stand-in for `slicer.app.coreIOManager()`: what `slicer.util` loads and saves, by the real storage nodes."""

from __future__ import annotations

from pathlib import Path

import qt

VOLUMES = (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd")
MARKUPS = (".mrk.json", ".fcsv")
TABLES = (".csv", ".tsv")
SCENES = (".mrml", ".mrb")
TYPES = {"VolumeFile": VOLUMES, "MarkupsFile": MARKUPS, "TableFile": TABLES, "SceneFile": SCENES}


class CoreIOManager(qt.QObject):
    """Volumes, markups, tables and scenes; anything else is refused."""

    def __init__(self):
        super().__init__()
        self._world = None

    def _set_world(self, world) -> None:
        self._world = world

    def fileType(self, file):
        name = str(file).lower()
        return next((kind for kind, endings in TYPES.items() if name.endswith(endings)), "NoFile")

    def fileWriterFileType(self, node, fileExtension=""):
        kinds = {
            "vtkMRMLVolumeNode": "VolumeFile",
            "vtkMRMLMarkupsNode": "MarkupsFile",
            "vtkMRMLTableNode": "TableFile",
        }
        return next((kind for name, kind in kinds.items() if node is not None and node.IsA(name)), "SceneFile")

    def fileWriterExtensions(self, node):
        return tuple(f"(*{ending})" for ending in TYPES[self.fileWriterFileType(node)])

    def extractKnownExtension(self, fileName, node=None):
        return next((end for ends in TYPES.values() for end in ends if str(fileName).lower().endswith(end)), "")

    def loadNodes(self, fileType, parameters, loadedNodes=None, userMessages=None):
        path = str(parameters["fileName"])
        node = self._load(fileType, path, parameters) if Path(path).is_file() else None
        if node and loadedNodes is not None:
            loadedNodes.AddItem(node)
        return bool(node)

    def _load(self, kind: str, path: str, parameters: dict):
        name = parameters.get("name") or Path(path).name.partition(".")[0]
        if kind == "VolumeFile":
            return self._world.logics["Volumes"].AddArchetypeVolume(path, name, int(parameters.get("labelmap", False)))
        if kind in ("MarkupsFile", "MarkupsFiducials"):
            return self._world.scene.GetNodeByID(self._world.logics["Markups"].LoadMarkups(path, name))
        if kind == "TableFile":
            return self._world.logics["Tables"].AddTable(path, name)
        if kind == "SceneFile":
            return self._load_scene(path, parameters.get("clear", True))
        raise NotImplementedError(f"the harness loads no {kind}")

    def _load_scene(self, path: str, clear: bool):
        scene = self._world.scene
        scene.SetURL(path)
        if path.endswith(".mrb"):
            return scene if scene.ReadFromMRB(path, clear) else None
        return scene if (scene.Connect() if clear else scene.Import()) else None

    def saveNodes(self, fileType, parameters, savedNodes=None, userMessages=None):
        path = str(parameters["fileName"])
        if fileType == "SceneFile":
            return self._save_scene(path)
        return self.exportNodes([parameters["nodeID"]], [path])

    def _save_scene(self, path: str) -> bool:
        scene = self._world.scene
        if path.endswith(".mrb"):
            return bool(scene.WriteToMRB(path, None))
        scene.SetURL(path)
        return bool(scene.Commit(path))

    def exportNodes(self, nodeIDs, fileNames, parameters=None, hardenTransforms=False, userMessages=None):
        written = [self._write(nodeID, str(path)) for nodeID, path in zip(nodeIDs, fileNames, strict=True)]
        return all(written)

    def _write(self, node_id: str, path: str) -> bool:
        node = self._world.scene.GetNodeByID(node_id)
        if not node.GetStorageNode():
            node.AddDefaultStorageNode(path)
        node.GetStorageNode().SetFileName(path)
        return bool(node.GetStorageNode().WriteData(node))
