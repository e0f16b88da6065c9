"""List the globals that a pickle asks for. The pickle is only parsed: nothing in it is run."""

from __future__ import annotations

import _compat_pickle
import contextlib
import pickletools
import re
import zipfile
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from vcp_core.checkpoints.archives import BLOCK_BYTES, OBJECT, folder_of
from vcp_core.checkpoints.formats import RE_SAVE, Format

ZIPS: tuple[Format, ...] = ("torch zip", "torchscript")
LEGACY_PICKLES = 5  # magic number, version, system, the object, keys of storages; then raw numbers follow
FIRST_TEXTS = 8  # that a survey keeps
# Torch quotes the name of a refused global, and then searches for the words before "must be" in its own text.
# This takes the square of the name's length: 3 s for 17 kB, and all of the sandbox's time for 200 kB.
MAX_GLOBAL = 1_000
_LONG_WORD = re.compile(rb"\S{%d}" % (MAX_GLOBAL // 2))
TRUST = f"If you trust it, load it yourself. {RE_SAVE}"

_TORCHS_OWN = re.compile(
    r"collections\.(OrderedDict|Counter)|_codecs\.encode|torch(\.\w+)*\.(_\w+|\w*Storage|dtype)"
    r"|torch\.(Size|device|Tensor|strided|bool|complex\d+|b?float\w+|u?int\d+)"
)
# For globals of these names: what kind of file asks for them, and what to do with it.
EXPLANATIONS = (
    (
        r"torch\.distributed\.checkpoint\.",
        "the index of a distributed checkpoint, whose numbers lie in other files: ",
        "Join its folder with `python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER "
        "weights.pt`.",
    ),
    (
        r"torch\.distributed\._shard|torch\.distributed\.fsdp|torch\.distributed\._sharded",
        "one process's part of a network that FSDP sharded: ",
        "Save the whole with StateDictType.FULL_STATE_DICT, or with get_model_state_dict(model, "
        "options=StateDictOptions(full_state_dict=True)).",
    ),
    (
        r"torch\.distributed\.(_)?tensor|torch\.distributed\.device_mesh",
        "one process's part of a network of DTensors: ",
        "Save the whole with get_model_state_dict(model, options=StateDictOptions(full_state_dict=True)).",
    ),
    (
        r"torch_xla\.",
        "tensors that torch_xla keeps in files beside this one: ",
        "Save with torch_xla.core.xla_model.save(model.state_dict(), 'weights.pt').",
    ),
    (
        r"torch\.nn\.modules\.",
        "a whole module, as torch.save(model) writes it: ",
        "Where its code is at hand, run torch.save(torch.load(FILE, weights_only=False).state_dict(), "
        "'weights.pt') and use that file.",
    ),
    (
        r"transformers\.training_args",
        "a Trainer's arguments, which are no weights: ",
        "Pass model.safetensors or pytorch_model.bin of the same folder.",
    ),
)


def survey(path: Path, file_format: Format) -> Survey:
    """List what the pickles of a file ask for.

    >>> import pickle, tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(pickle.dumps(Path)), file.flush()
    ...     list(survey(Path(file.name), "pickle").names)
    ['pathlib.Path']
    """
    found = Survey()
    with _pickles(path, file_format) as file:
        for _ in range(LEGACY_PICKLES if file_format == "torch legacy" else 1):
            found.parse(file)
    return found


def with_long_global(path: Path, file_format: Format) -> Survey | None:
    """Survey a file that asks for a global with a name longer than `MAX_GLOBAL`; None for any other file.

    Only a zip archive whose pickle holds so long a word is parsed, because parsing takes as long as reading.
    """
    if file_format in ZIPS:
        with _pickles(path, file_format) as file:
            # A word that a block cuts in two has half of its length in one of them.
            if not any(_LONG_WORD.search(block) for block in iter(lambda: file.read(BLOCK_BYTES), b"")):
                return None
    found = survey(path, file_format)
    return found if any(len(name) > MAX_GLOBAL for name in found.names) else None


@contextlib.contextmanager
def _pickles(path: Path, file_format: Format) -> Iterator[IO[bytes]]:
    if file_format not in ZIPS:
        with path.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:
        folder = folder_of(archive.namelist()) or ""
        names = {name.replace("\\", "/"): name for name in archive.namelist()}
        with archive.open(names[folder + OBJECT]) as entry:
            yield entry


@dataclass
class Survey:
    """Follows the strings in a pickle, as far as needed to name the globals that are made from them.

    Attributes:
        protocol: The highest protocol that a pickle names.
        names: The globals, in the order of the pickle.
        whole: Whether every pickle was complete.
        texts: The first texts, in the order of the pickle.
    """

    protocol: int = 0
    names: dict[str, None] = field(default_factory=dict)
    whole: bool = True
    texts: list[str] = field(default_factory=list)

    def parse(self, file: IO[bytes]) -> None:
        """Parse one pickle, up to its end or to the first bytes that are no pickle."""
        # STACK_GLOBAL takes module and name from the stack. They are the last two strings before it.
        strings, memo = ["", ""], dict[int, str]()
        opcode = None
        try:
            argument: Any
            for opcode, argument, _ in pickletools.genops(file):
                if opcode.name == "PROTO":
                    self.protocol = max(self.protocol, argument)
                elif opcode.name == "GLOBAL":
                    self.names[_modern(*argument.split(" ", 1))] = None
                elif opcode.name == "STACK_GLOBAL":
                    self.names[_modern(*strings)] = None
                elif opcode.name == "MEMOIZE" or opcode.name.endswith("PUT"):
                    # MEMOIZE has no argument: it takes the next free number.
                    memo[len(memo) if argument is None else argument] = strings[-1]
                elif opcode.name.endswith("GET"):
                    strings = [strings[-1], memo.get(argument, "")]
                elif isinstance(argument, str):
                    strings = [strings[-1], argument]
                    self.texts += [argument] if len(self.texts) < FIRST_TEXTS else []
        # At broken bytes the parser raises ValueError, or any other error.
        except Exception as error:
            # These are pickletools' words for a pickle that ends too early.
            self.whole = self.whole and "exhausted" not in str(error) and "not enough data" not in str(error)

    def asked(self, known: Container[str]) -> list[str]:
        """List the globals that are neither known to be harmless nor torch's own."""
        return [name for name in self.names if name not in known and not _TORCHS_OWN.fullmatch(name)]

    def modern(self, name: str) -> str:
        """Give a global its name in Python 3. Torch's messages leave out the module of builtins."""
        module, _, short = name.rpartition(".")
        return _modern(module or "builtins", short)

    def explanation(self, names: Iterable[str]) -> tuple[str, str]:
        """Say what kind of file asks for these globals, and what to do."""
        every = [*names, *self.names]
        for pattern, what, advice in EXPLANATIONS:
            if any(re.match(pattern, name) for name in every):
                return what, advice
        return "", TRUST


def _modern(module: str, name: str) -> str:
    """Give a global its name in Python 3. Protocol 2 writes the name that it had in Python 2."""
    return f"{_compat_pickle.IMPORT_MAPPING.get(module, module)}.{name}"
