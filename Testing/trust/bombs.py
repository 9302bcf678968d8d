"""Small files out of which a gigabyte of zeros comes, and NIfTI-2 files, which SimpleITK does not write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

CHUNK_BYTES = 1 << 24
GIGABYTE = 64
"""Chunks."""


def deflated(head: bytes, chunks: int = GIGABYTE) -> bytes:
    """`head` and the zeros as a raw stream of deflate; pieces that end with a full flush may be put together."""
    return _piece(head) + _piece(bytes(CHUNK_BYTES)) * chunks + zlib.compressobj(wbits=-15).flush()


def _piece(data: bytes) -> bytes:
    packer = zlib.compressobj(1, wbits=-15)
    return packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)


def gzipped(head: bytes, chunks: int = GIGABYTE) -> bytes:
    """The same as a gzip file with true check sum and length (RFC 1952)."""
    check = _check_sum(zlib.crc32, head, chunks)
    ends = struct.pack("<2I", check, (len(head) + chunks * CHUNK_BYTES) % 2**32)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + deflated(head, chunks) + ends


def zlib_stream(head: bytes, chunks: int = GIGABYTE) -> bytes:
    """The same as MetaImage has it (RFC 1950)."""
    return b"\x78\x01" + deflated(head, chunks) + struct.pack(">I", _check_sum(zlib.adler32, head, chunks))


def _check_sum(kind, head: bytes, chunks: int) -> int:
    check = kind(head)
    for _ in range(chunks):
        check = kind(bytes(CHUNK_BYTES), check)
    return check


def nifti_2_header(size_ijk: Sequence[int], voxel_mm: float = 6.0, is_pair: bool = False) -> bytes:
    """544 bytes, or the 540 of a .hdr: 16-bit numbers, axes along LPS (NIfTI itself counts RAS)."""
    header = bytearray(540)
    struct.pack_into("<i8s2h", header, 0, 540, b"ni2\0\r\n\x1a\n" if is_pair else b"n+2\0\r\n\x1a\n", 4, 16)
    struct.pack_into("<8q", header, 16, 3, *size_ijk, 1, 1, 1, 1)
    struct.pack_into("<8d", header, 104, 1.0, *[voxel_mm] * 3, 1, 1, 1, 1)
    struct.pack_into("<q2d", header, 168, 0 if is_pair else 544, 1.0, 0.0)
    struct.pack_into("<2i", header, 344, 0, 1)
    for row, sign in enumerate((-1.0, -1.0, 1.0)):
        axis = [0.0] * 4
        axis[row] = sign * voxel_mm
        struct.pack_into("<4d", header, 400 + 32 * row, *axis)
    return bytes(header) if is_pair else bytes(header) + bytes(4)


def zipped(name: str, head: bytes, chunks: int = GIGABYTE) -> bytes:
    """The same as the one member of a ZIP archive (APPNOTE 4.3)."""
    data, member, size = deflated(head, chunks), name.encode(), len(head) + chunks * CHUNK_BYTES
    # version needed, flags, deflate, time, date, check sum, both sizes
    check = _check_sum(zlib.crc32, head, chunks)
    facts = struct.pack("<5H3I", 20, 0, 8, 0, 0x21, check, len(data), size)
    local = b"PK\3\4" + facts + struct.pack("<2H", len(member), 0) + member
    entry = b"PK\1\2" + struct.pack("<H", 20) + facts + struct.pack("<5H2I", len(member), 0, 0, 0, 0, 0, 0) + member
    end = b"PK\5\6" + struct.pack("<4H2IH", 0, 0, 1, 1, len(entry), len(local) + len(data), 0)
    return local + data + entry + end
