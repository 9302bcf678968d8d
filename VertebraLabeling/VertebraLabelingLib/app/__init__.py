"""The Slicer side: the scene, the child process and the panel; the only part that touches slicer, vtk and qt."""
