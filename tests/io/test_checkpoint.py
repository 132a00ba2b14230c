"""Checkpoints: what goes in comes out, damage is noticed, and a killed save leaves the old file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from strict_cupy import to_host
from tinyseq.autograd.tensor import tensor
from tinyseq.errors import CheckpointError, DTypeError
from tinyseq.io import load_checkpoint, save_checkpoint
from tinyseq.nn import Linear

ROOT = Path(__file__).parent.parent.parent
DTYPES = "?bhiqBHIQefd"
SMALL = {"b": np.arange(3, dtype=np.float32), "a": np.array([[1, 2], [3, 4]]).T}


def same(a, b):
    return (
        a.dtype == b.dtype
        and a.shape == b.shape
        and np.asarray(a, order="C").tobytes() == np.asarray(b, order="C").tobytes()
    )


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=8).filter(
            lambda name: name != "__metadata__"
        ),
        st.sampled_from(DTYPES).flatmap(
            lambda dtype: arrays_of.arrays(
                np.dtype(dtype), arrays_of.array_shapes(min_dims=0, min_side=0, max_side=4)
            )
        ),
        max_size=4,
    )
)
def test_arrays_come_back_as_they_were(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("any") / "arrays.safetensors"
    save_checkpoint(path, arrays)
    found, meta = load_checkpoint(path)
    assert list(found) == list(arrays) and meta == {}
    assert all(same(found[name], arrays[name]) for name in arrays)


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_in_any_layout(tmp_path, dtype):
    whole = np.random.default_rng(0).integers(0, 2, (3, 4, 5)).astype(dtype)
    layouts = {
        "transposed": whole.T,
        "fortran": np.asfortranarray(whole),
        "strided": whole[::2, :, ::-1],
        "broadcast": np.broadcast_to(whole[0, 0], (2, 5)),
        "no dimensions": whole[1, 1, 1].reshape(()),
        "empty": whole[:0],
        "empty inside": whole[:, :0].T,
        "big endian": whole.astype(np.dtype(dtype).newbyteorder(">")),
        "read only": whole.copy(),
    }
    layouts["read only"].flags.writeable = False
    save_checkpoint(tmp_path / "x.safetensors", layouts)
    found, _ = load_checkpoint(tmp_path / "x.safetensors")
    for name, array in layouts.items():
        assert found[name].shape == array.shape and found[name].dtype == np.dtype(dtype), name
        np.testing.assert_array_equal(found[name], array, err_msg=name)
        assert found[name].flags.writeable


def test_special_numbers_keep_every_bit(tmp_path):
    values = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, 1 / 3])
    values = np.append(values, np.array([0x7FF8DEADBEEF0001], np.uint64).view(np.float64))
    save_checkpoint(tmp_path / "x.safetensors", {"x": values})
    assert same(load_checkpoint(tmp_path / "x.safetensors")[0]["x"], values)


def test_meta_is_what_json_can_hold(tmp_path):
    meta = {
        "text": 'é\n"\\\U0001f600\ud800',
        "big": 2**127 + 1,  # the state of a random generator
        "numbers": [0.1, 1e-320, float("inf")],
        "nested": {"a": [None, True, {}]},
    }
    save_checkpoint(tmp_path / "x.safetensors", {}, meta)
    assert load_checkpoint(tmp_path / "x.safetensors") == ({}, meta)


def test_every_array_library_and_tensors(tmp_path, xp):
    values = xp.arange(6, dtype=np.float32).reshape(2, 3).T
    save_checkpoint(tmp_path / "x.safetensors", {"raw": values, "tensor": tensor(values)})
    found, _ = load_checkpoint(tmp_path / "x.safetensors")
    for array in found.values():
        assert type(array) is np.ndarray
        np.testing.assert_array_equal(array, to_host(values))


def test_other_programs_can_read_it(tmp_path):
    from safetensors.numpy import load_file

    save_checkpoint(tmp_path / "x.safetensors", SMALL, {"step": 3})
    found = load_file(tmp_path / "x.safetensors")
    assert all(np.array_equal(found[name], SMALL[name]) for name in SMALL)


def test_saving_takes_the_place_of_the_old_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "folder" / "x.safetensors"
    for step in range(3):
        save_checkpoint(path, SMALL, {"step": step})
        assert load_checkpoint(path)[1] == {"step": step}
    assert os.listdir(path.parent) == ["x.safetensors"]
    assert path.stat().st_mode & 0o444 == 0o444 & ~_umask()  # as any other file, not private


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


# ---------------------------------------------------------------- damage


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, SMALL, {"step": 3})
    return path


def test_every_flipped_bit_is_noticed(saved):
    whole = bytearray(saved.read_bytes())
    for place in range(len(whole)):
        for bit in range(8):
            whole[place] ^= 1 << bit
            saved.write_bytes(whole)
            with pytest.raises(CheckpointError, match="x.safetensors"):
                load_checkpoint(saved)
            whole[place] ^= 1 << bit
    saved.write_bytes(whole)
    assert load_checkpoint(saved)[1] == {"step": 3}


def test_every_truncation_and_every_addition_is_noticed(saved):
    whole = saved.read_bytes()
    for end in range(len(whole)):
        saved.write_bytes(whole[:end])
        with pytest.raises(
            CheckpointError, match="x.safetensors is no checkpoint, or it is damaged"
        ):
            load_checkpoint(saved)
    saved.write_bytes(whole + b"\0")
    with pytest.raises(CheckpointError, match="damaged .* Take another one"):
        load_checkpoint(saved)


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04 a zip file", b"\x80\x04\x95pickle", b"\0" * 64, bytes(range(256)) * 8],
)
def test_another_file_is_no_checkpoint(tmp_path, content):
    (tmp_path / "x.bin").write_bytes(content)
    with pytest.raises(CheckpointError, match="x.bin is no checkpoint"):
        load_checkpoint(tmp_path / "x.bin")


def test_swapped_values_are_noticed(saved):
    """A file that is valid safetensors, with the values of another run under the old hash."""
    other = saved.with_name("other.safetensors")
    save_checkpoint(other, SMALL | {"b": SMALL["b"] + 1}, {"step": 3})
    mixed = bytearray(saved.read_bytes())
    mixed[-44:] = other.read_bytes()[-44:]
    assert len(mixed) == len(other.read_bytes()) and mixed != saved.read_bytes()
    saved.write_bytes(mixed)
    with pytest.raises(CheckpointError, match="its content does not match its hash"):
        load_checkpoint(saved)


def test_files_of_other_programs(tmp_path):
    from safetensors.numpy import save_file

    save_file({"w": np.ones(3)}, tmp_path / "plain.safetensors")
    save_file({"w": np.ones(3)}, tmp_path / "pt.safetensors", {"format": "pt"})
    for name in ("plain", "pt"):
        with pytest.raises(CheckpointError, match="tinyseq has not written it.*load_file"):
            load_checkpoint(tmp_path / f"{name}.safetensors")


@pytest.mark.oracle
def test_a_dtype_that_numpy_lacks(tmp_path):
    import torch
    from safetensors.torch import save_file

    save_file({"w": torch.ones(3, dtype=torch.bfloat16)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="tinyseq has not written it"):
        load_checkpoint(tmp_path / "x.safetensors")


def test_a_later_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tinyseq.io.checkpoint._VERSION", 2)
    save_checkpoint(tmp_path / "x.safetensors", SMALL)
    monkeypatch.undo()
    with pytest.raises(
        CheckpointError, match="has format 2, this version of tinyseq reads format 1"
    ):
        load_checkpoint(tmp_path / "x.safetensors")


def test_what_is_not_there(saved):
    folder = saved.parent
    with pytest.raises(CheckpointError, match="no checkpoint .*y.safe.*; .* has x.safetensors"):
        load_checkpoint(folder / "y.safetensors")
    (folder / "empty").mkdir()
    with pytest.raises(CheckpointError, match="has none at all"):
        load_checkpoint(folder / "empty" / "y.safetensors")
    with pytest.raises(CheckpointError, match="there is no folder"):
        load_checkpoint(folder / "nowhere" / "y.safetensors")
    with pytest.raises(CheckpointError, match="cannot read the checkpoint"):
        load_checkpoint(folder)


def test_a_checkpoint_of_another_model(saved):
    arrays, _ = load_checkpoint(saved)
    model = Linear(2, 3, seed=0)
    before = model.state_dict()
    arrays["weight"] = arrays.pop("a")
    with pytest.raises(
        CheckpointError, match=r"missing: bias; extra: b; shape: weight \(2, 2\) inst"
    ):
        model.load_state_dict(arrays)
    assert all(np.array_equal(before[name], value) for name, value in model.state_dict().items())


# ---------------------------------------------------------------- what cannot be saved


@pytest.mark.parametrize(
    ("arrays", "meta", "message"),
    [
        ({"x": np.ones(2, complex)}, {}, "x is complex128, which the format does not have"),
        ({"x": np.array([None])}, {}, "x is object, which the format does not have"),
        ({"x": ["a"]}, {}, "cannot make an array of numbers"),
        ({"x": np.ones(2, np.longdouble)}, {}, "x is .*128|float96"),
        ({3: np.ones(2)}, {}, "3 cannot be the name of an array"),
        ({"__metadata__": np.ones(2)}, {}, "cannot be the name"),
        ({"\ud800": np.ones(2)}, {}, "a name that UTF-8 cannot hold"),
        ({}, {"x": np.ones(2)}, "meta is what JSON can hold: .*ndarray"),
        ({}, {"x": np.float32(1)}, "meta is what JSON can hold"),
        ({}, {(1, 2): 3}, "meta is what JSON can hold: keys"),
    ],
)
def test_refuses_to_save(saved, arrays, meta, message):
    with pytest.raises(DTypeError, match=message):
        save_checkpoint(saved, arrays, meta)
    assert load_checkpoint(saved)[1] == {"step": 3}
    assert os.listdir(saved.parent) == ["x.safetensors"]


def test_a_failing_disk_leaves_the_old_file(saved, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="cannot write .*x.safetensors: No space left"):
        save_checkpoint(saved, SMALL, {"step": 4})
    monkeypatch.undo()
    assert load_checkpoint(saved)[1] == {"step": 3}
    assert os.listdir(saved.parent) == ["x.safetensors"]
    with pytest.raises(CheckpointError, match="cannot write"):
        save_checkpoint(saved / "below" / "a" / "file.safetensors", SMALL)


KILL = """
import json, os, random, signal, sys, time
import numpy as np
from tinyseq.io import load_checkpoint, save_checkpoint

path, kills = sys.argv[1], int(sys.argv[2])
folder = os.path.dirname(path)
rng = random.Random(0)

def save(generation):
    arrays = {name: np.full(100_000, generation) for name in "abcd"}
    save_checkpoint(path, arrays, {"generation": generation})

save(0)
found, advanced, cut_short = 0, 0, 0
for _ in range(kills):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        generation = found
        while True:
            generation += 1
            save(generation)
            os.write(writer, generation.to_bytes(8, "little"))
    os.close(writer)
    time.sleep(rng.uniform(0.0, 0.06))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with open(reader, "rb") as pipe:
        told = pipe.read()
    confirmed = int.from_bytes(told[-8:], "little") if told else found
    arrays, meta = load_checkpoint(path)
    assert meta["generation"] in (confirmed, confirmed + 1), (meta, confirmed)
    assert all((array == meta["generation"]).all() for array in arrays.values())
    advanced += meta["generation"] > found
    found = meta["generation"]
    left = [name for name in os.listdir(folder) if name.endswith(".tmp")]
    cut_short += len(left)
    for name in left:
        os.unlink(os.path.join(folder, name))
print(json.dumps({"saves": found, "advanced": advanced, "cut_short": cut_short}))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL needs a POSIX system")
def test_a_save_that_is_killed_leaves_the_old_file_or_the_new_one(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILL, str(tmp_path / "x.safetensors"), "60"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    print(counts)
    # Some kills must have met a file half written, and between them files must have been replaced.
    assert counts["cut_short"] >= 3 and counts["advanced"] >= 3
