"""Where a node belongs: under the same transform and in the same place of the subject hierarchy as another node."""

from __future__ import annotations

import slicer

INPUT_VOLUME = "inputVolume"
"""Role of the reference from a points node to the volume it was made from."""


def place_beside(node, volume_node) -> None:
    """Put `node` where `volume_node` is, and remember the volume in it."""
    put_with(node, volume_node)
    node.SetNodeReferenceID(INPUT_VOLUME, volume_node.GetID())


def volume_of(node):
    """The volume that `place_beside` remembered; None when there is none, or when it left the scene."""
    return node.GetNodeReference(INPUT_VOLUME)


def put_with(node, other) -> None:
    """Give `node` the parent transform and the parent in the subject hierarchy (patient, study, folder) of `other`."""
    node.SetAndObserveTransformNodeID(other.GetTransformNodeID())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    parent = hierarchy.GetItemParent(_item(hierarchy, other))
    hierarchy.SetItemParent(_item(hierarchy, node), parent)


def _item(hierarchy, node) -> int:
    """The node's item; the application makes items by itself, a scene without the application does not."""
    return hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
