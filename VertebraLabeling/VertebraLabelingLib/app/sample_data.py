"""The phantom of this extension in Slicer's module Sample Data: a synthetic CT, T6 to S2, to try everything on."""

from __future__ import annotations

from pathlib import Path

from slicer.i18n import tr as _

FILE = Path(__file__).resolve().parents[2] / "Resources" / "SampleData" / "VertebraLabelingPhantom.nrrd"
SHA256 = "5ed133b5445ea7bdc6c14e2c63ff087881d88f9e8c6cbc0715526711a857dd2f"
"""Of the file, as `python -m training sample` prints it; with another one Slicer renews the copy in its cache."""


def register() -> None:
    """Offer the phantom in Sample Data; it ships with the extension, so nothing is downloaded.

    By its file address rather than by a `customDownloader`, which `SampleData.downloadSample(name)` does not call.
    """
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=_("Vertebra Labeling"),
        sampleName=FILE.stem,
        uris=FILE.as_uri(),
        checksums=f"SHA256:{SHA256}",
        fileNames=FILE.name,
        nodeNames=FILE.stem,
        thumbnailFileName=str(FILE.parents[1] / "Icons" / f"{FILE.stem}.png"),
    )
