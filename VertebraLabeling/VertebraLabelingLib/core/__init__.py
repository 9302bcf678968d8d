"""The core: plain values in, plain values out; numpy and SimpleITK only, never torch, slicer or qt."""
