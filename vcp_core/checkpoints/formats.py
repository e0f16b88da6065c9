"""Recognise the format of a file by its bytes. The sender chose its name, so the name proves nothing."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import BinaryIO, Literal

from vcp_core.catalog.errors import DamagedCheckpoint, NotACheckpoint
from vcp_core.checkpoints.archives import OBJECT, READABLE, folder_of
from vcp_core.checkpoints.report import listed

Format = Literal["torch zip", "torch legacy", "pickle", "safetensors", "torchscript", "torch export"]

ZIP = b"PK\x03\x04"
PICKLE = b"\x80"  # protocol 2 and later
TORCH_LEGACY = (
    b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."  # torch/serialization.py, MAGIC_NUMBER
)
EXPORTED = ("archive_format", "serialized_exported_program.json")  # of torch.export since 2.8, and before
MAX_SAFETENSORS_HEADER = 100_000_000  # bytes; the safetensors format's own limit
RE_SAVE = "Save its weights with torch.save(model.state_dict(), 'weights.pt') and use that file."

OTHER_FORMATS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras, TensorFlow, or MATLAB)", "Convert it to PyTorch first."),
    (b"\x1f\x8b", "compressed (gzip)", "Unpack it with gunzip first."),
    (b"BZh", "compressed (bzip2)", "Unpack it with bunzip2 first."),
    (b"\xfd7zXZ\x00", "compressed (xz)", "Unpack it with unxz first."),
    (b"\x28\xb5\x2f\xfd", "compressed (Zstandard)", "Unpack it with unzstd first."),
    (b"\x04\x22\x4d\x18", "compressed (LZ4)", "Unpack it with unlz4 first."),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "Unpack it with `7z x` and pass the file in it."),
    (b"Rar!\x1a\x07", "a RAR archive", "Unpack it with `unrar x` and pass the file in it."),
    (b"GGUF", "a GGUF file, which holds language models", "Export the PyTorch weights instead."),
    (b"\x93NUMPY", "one NumPy array", RE_SAVE),
)
# Suffixes of files with weights.
WEIGHTS = (".pt", ".pt2", ".pth", ".pyth", ".ckpt", ".tar", ".bin", ".safetensors")


def identify(path: Path) -> Format:
    """Recognise the format of a file.

    Raises:
        NotACheckpoint: If the file has another format. The message says which, and what to do.
        DamagedCheckpoint: If the file has a known format, but is cut off before its contents can be listed.

    >>> from vcp_core.samples import sample_path
    >>> identify(sample_path())
    'safetensors'
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b"<!DOCTYPE html><title>Sign in</title>"), file.flush()
    ...     try:
    ...         identify(Path(file.name))
    ...     except NotACheckpoint as error:
    ...         print(error)
    a web page: the download gave a page (a login, a notice) instead of the file.
    """
    with path.open("rb") as file:
        head = file.read(512)  # a tar's magic stands at bytes 257 to 261, in a header of 512
        size = file.seek(0, os.SEEK_END)
        if not head:
            raise NotACheckpoint("the file is empty. Was it saved, or downloaded, to its end?")
        if any(magic.startswith(head) for magic in (ZIP, TORCH_LEGACY)):
            raise DamagedCheckpoint(f"cut off after {size} bytes. Copy it again.")
        if head.startswith(ZIP):
            return _identify_zip(file, size)
        if head.startswith(TORCH_LEGACY):
            return "torch legacy"
        if head.startswith(PICKLE) and 2 <= head[1] <= 5:
            return "pickle"
        if head[8:9] == b"{":  # safetensors: eight bytes give the length of a header in JSON
            return _identify_safetensors(int.from_bytes(head[:8], "little"), size)
        raise _something_else(head, is_tar=head[257:262] == b"ustar")


def _identify_zip(file: BinaryIO, size: int) -> Format:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            # Bit 0 of an entry's flags says that it is encrypted.
            encrypted = any(entry.flag_bits & 1 for entry in archive.infolist())
            packed_otherwise = any(entry.compress_type not in READABLE for entry in archive.infolist())
            begins = min((entry.header_offset for entry in archive.infolist()), default=0)
    except zipfile.BadZipFile as error:
        raise DamagedCheckpoint(
            f"a zip archive of {size:,} bytes without its end: truncated or corrupt. Copy it again."
        ) from error
    except (UnicodeDecodeError, NotImplementedError) as error:
        raise DamagedCheckpoint(
            f"a zip archive of {size:,} bytes whose list of entries makes no sense ({error}): corrupt. "
            "Copy it again."
        ) from error
    if encrypted:
        raise NotACheckpoint("an encrypted zip archive. Unpack it with its password and pass the file in it.")
    if packed_otherwise:
        raise NotACheckpoint(
            "a zip archive compressed in a way that is not read here (Deflate64 or Zstandard, most likely). "
            "Unpack it and pass the file in it. If it unpacks to a folder with data.pkl, pack that with "
            "`zip -0 -r`."
        )
    parts = {part for name in names for part in name.replace("\\", "/").split("/")}
    if OBJECT in parts and ("constants.pkl" in parts or "code" in parts):
        return "torchscript"
    if not parts.isdisjoint(EXPORTED) or {"models", "weights"} <= parts:
        return "torch export"
    if OBJECT in parts and begins:  # the last archive does not begin at byte 0, so others come before it
        raise NotACheckpoint(
            "several archives one after the other: a part of a distributed checkpoint (.distcp). Join its "
            "folder: `python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER weights.pt`."
        )
    if OBJECT in parts and folder_of(names) is not None:
        return "torch zip"
    if "model.weights.h5" in parts:
        raise NotACheckpoint("a Keras archive. Convert it to PyTorch first.")
    if any(name.endswith(".npy") for name in names):
        raise NotACheckpoint(f"NumPy arrays (.npz). {RE_SAVE}")
    inside = [name for name in names if name.endswith(WEIGHTS) and not name.startswith("__MACOSX")]
    if inside:
        raise NotACheckpoint(f"a zip archive with {listed(inside)} in it. Unpack it and pass that file.")
    raise NotACheckpoint("a zip archive without weights. If a checkpoint is in it, unpack it first.")


def _identify_safetensors(header_bytes: int, size: int) -> Format:
    if header_bytes > MAX_SAFETENSORS_HEADER:
        raise NotACheckpoint("of no format known here (PyTorch and safetensors are). " + RE_SAVE)
    if header_bytes + 8 > size:
        raise DamagedCheckpoint(
            f"safetensors cut off after {size:,} bytes, inside its header. Copy it again."
        )
    return "safetensors"


def _something_else(head: bytes, *, is_tar: bool) -> NotACheckpoint:
    for magic, what, advice in OTHER_FORMATS:
        if head.startswith(magic):
            return NotACheckpoint(f"{what}, not PyTorch or safetensors. {advice}")
    if is_tar:
        return NotACheckpoint("a tar archive. Unpack it and pass the file in it.")
    # Both are protobuf. A SavedModel is version 1, then graphs; ONNX is version 3 or later, then a producer.
    if head.startswith(b"\x08\x01\x12"):
        return NotACheckpoint("a TensorFlow SavedModel, not PyTorch. Convert it to PyTorch first.")
    if head[:1] == b"\x08" and (b"onnx" in head or b"pytorch" in head or head[2:3] == b"\x12"):
        return NotACheckpoint(
            f"an ONNX model. It may have lost the names of its weights, so it is not supported. {RE_SAVE}"
        )
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if text.startswith(b"--") and b"content-disposition:" in text:
        return NotACheckpoint(
            "a whole web form (multipart) with the file inside. Store only the form's part that is the file, "
            "or send the file alone with `curl -T FILE`."
        )
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return NotACheckpoint("a web page: the download gave a page (a login, a notice) instead of the file.")
    if text.startswith(b"version https://git-lfs"):
        return NotACheckpoint("a Git LFS pointer, not the file itself. Run `git lfs pull`.")
    if all(byte >= 32 or byte in b"\r\n\t" for byte in head):
        begin = head[:40].decode("utf-8", "replace").strip()
        return NotACheckpoint(f"plain text, beginning {begin!r}. Pass a PyTorch or safetensors file.")
    return NotACheckpoint(f"of no format known here (PyTorch and safetensors are): it begins {head[:8]!r}.")
