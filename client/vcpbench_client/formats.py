"""What a file's first bytes say before it is sent: a text or an archive is no checkpoint.

The server decides what it takes, and a newer server may take more than this client knows. So the client
refuses only what is certainly something else. Its words are the server's (`vcp_core.checkpoints.formats`).
"""

from __future__ import annotations

from vcpbench_client.errors import NotACheckpoint

HEAD_BYTES = 512
RE_SAVE = "Save its weights with torch.save(model.state_dict(), 'weights.pt') and use that file."
BEGINNINGS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras, TensorFlow, or MATLAB)", "Convert it to PyTorch first."),
    (b"\x1f\x8b", "compressed (gzip)", "Unpack it with gunzip first."),
    (b"BZh", "compressed (bzip2)", "Unpack it with bunzip2 first."),
    (b"\xfd7zXZ\x00", "compressed (xz)", "Unpack it with unxz first."),
    (b"GGUF", "a GGUF file, which holds language models", "Export the PyTorch weights instead."),
    (b"\x93NUMPY", "one NumPy array", RE_SAVE),
)
WEB_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head")
TEXT = frozenset(range(32, 256)) | frozenset(b"\r\n\t")


def refuse_something_else(head: bytes) -> None:
    """Refuse a file by its first bytes.

    Args:
        head: The first `HEAD_BYTES` bytes, or the whole file if it is shorter.

    Raises:
        NotACheckpoint: If it is certainly no checkpoint. Says what it looks like, and what to do.
    """
    if not head:
        raise NotACheckpoint("the file is empty. Was it saved, or downloaded, to its end?")
    if head[8:9] == b"{":  # safetensors: the length of its header, then JSON
        return
    for magic, what, advice in BEGINNINGS:
        if head.startswith(magic):
            raise NotACheckpoint(f"{what}, not PyTorch or safetensors. {advice}")
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if text.startswith(WEB_PAGES):
        raise NotACheckpoint("a web page: the download gave a page (a login, a notice) instead of the file.")
    if text.startswith(b"version https://git-lfs"):
        raise NotACheckpoint("a Git LFS pointer, not the file itself. Run `git lfs pull`.")
    if TEXT.issuperset(head):
        begin = head[:40].decode("utf-8", "replace").strip()
        raise NotACheckpoint(f"plain text, beginning {begin!r}. Pass a PyTorch or safetensors file.")
