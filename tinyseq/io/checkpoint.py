"""Checkpoints: arrays by name and some plain data, in one file that is whole or refused.

    save_checkpoint("run/last.safetensors", model.state_dict(), {"step": 100})
    arrays, meta = load_checkpoint("run/last.safetensors")
    model.load_state_dict(arrays)

The file is in the safetensors format, which other programs read too. Its metadata holds the plain
data as JSON and a hash of everything: names, dtypes, shapes, values and plain data. A file that was
cut off or changed by a single bit is not loaded. A save that is killed leaves the old file whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import Array, as_array, to_numpy
from tinyseq.errors import CheckpointError, DTypeError

_VERSION = 1
_DTYPES = {np.dtype(character) for character in "?bhiqBHIQefd"}


def save_checkpoint(
    path: str | Path, arrays: Mapping[str, Array], meta: Mapping[str, Any] | None = None
) -> None:
    """Write a checkpoint; whatever happens, ``path`` holds the old file or the new one, whole.

    The file is written beside ``path`` under another name, and takes its place when it has reached
    the disk. Folders are made as needed.

    Args:
        path: the file, by custom with the suffix .safetensors.
        arrays: arrays (or Tensors) by name; those of CuPy are copied to the host.
        meta: what JSON can hold, with strings as keys; tuples come back as lists.

    Raises:
        DTypeError: a dtype that the format does not have, or meta that JSON cannot hold.
        CheckpointError: the file cannot be written; the old one, if any, is as it was.
    """
    path = Path(path)
    host = {name: _plain(name, array) for name, array in arrays.items()}
    about = _to_json({"version": _VERSION, "arrays": list(host), "meta": dict(meta or {})})
    content = _serialized(host, {"tinyseq": about, "sha256": _digest(host, about)})
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise CheckpointError(
            f"cannot write the checkpoint {path}: {error.strerror or error}"
        ) from error


def load_checkpoint(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a checkpoint and check that it is what was saved.

    Returns:
        The arrays by name, in the order in which they were given, on the host and free to be
        changed; and the plain data.

    Raises:
        CheckpointError: there is no such file, it is damaged, or it was written by something else.
            Says which, and what to do.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {path}{_neighbours(path)}") from None
    except OSError as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    arrays, metadata = _deserialized(content, path)
    if "tinyseq" not in metadata or "sha256" not in metadata:
        raise _foreign(path)
    about = metadata["tinyseq"]
    if metadata["sha256"] != _digest(arrays, about):
        raise _damaged(path, "its content does not match its hash")
    plain = json.loads(about)
    if plain["version"] != _VERSION:
        raise CheckpointError(
            f"{path} has format {plain['version']}, this version of tinyseq reads format "
            f"{_VERSION}: install the version that wrote it"
        )
    return {name: arrays[name] for name in plain["arrays"]}, plain["meta"]


def _plain(name: str, array: Array) -> np.ndarray:
    """An array as the writer needs it: on the host, in C order, little-endian."""
    if not isinstance(name, str) or name == "__metadata__":
        raise DTypeError(f"checkpoint: {name!r} cannot be the name of an array")
    values = to_numpy(array.data if isinstance(array, Tensor) else as_array(array))
    if values.dtype.newbyteorder("=") not in _DTYPES:
        raise DTypeError(f"checkpoint: {name} is {values.dtype}, which the format does not have")
    # The writer takes the bytes as they lie in memory, and believes that they lie in C order.
    return np.asarray(values, dtype=values.dtype.newbyteorder("<"), order="C")


def _to_json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=True)
    except (TypeError, ValueError) as error:
        raise DTypeError(f"checkpoint: meta is what JSON can hold: {error}") from None


def _digest(arrays: Mapping[str, np.ndarray], about: str) -> str:
    """The hash of everything in a checkpoint."""
    digest = hashlib.sha256(about.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _serialized(arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    from safetensors.numpy import save

    try:
        return save(arrays, metadata)
    except UnicodeEncodeError as error:
        raise DTypeError(f"checkpoint: a name that UTF-8 cannot hold: {error.object!r}") from None


def _deserialized(content: bytes, path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = {name: array.copy() for name, array in load(content).items()}
    except KeyError:  # a dtype that NumPy does not have
        raise _foreign(path) from None
    except (SafetensorError, ValueError) as error:
        raise _damaged(path, str(error)) from None
    length = int.from_bytes(content[:8], "little")
    return arrays, json.loads(content[8 : 8 + length]).get("__metadata__") or {}


def _foreign(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} is a safetensors file, but tinyseq has not written it, or its header is damaged. "
        "Weights of another program: read them with safetensors.numpy.load_file and give them to "
        "load_state_dict."
    )


def _damaged(path: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"{path} is no checkpoint, or it is damaged ({what}). Take another one, such as the best "
        "or the last of the run, or train again."
    )


def _neighbours(path: Path) -> str:
    """What there is instead, for a message."""
    if not path.parent.is_dir():
        return f": there is no folder {path.parent}"
    found = sorted(p.name for p in path.parent.glob("*.safetensors"))
    return (
        f"; {path.parent} has {', '.join(found)}" if found else f"; {path.parent} has none at all"
    )


def _sync_folder(folder: Path) -> None:
    """Make the new name of a file reach the disk. Windows has no such call, and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
