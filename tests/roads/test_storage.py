"""The file form: what is written comes back, and a damaged file is refused with a sentence."""

import numpy as np
import pytest
from roads.handmade import handmade

from carla_rl.errors import UsageError
from carla_rl.roads.storage import load_network, save_network


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "town.npz"
    save_network(handmade(), path)
    return path


def rewrite(path, **changes):
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files} | changes
    np.savez_compressed(path, **{name: array for name, array in arrays.items() if array is not None})


def test_what_is_saved_is_loaded(saved):
    network, loaded = handmade(), load_network(saved)
    assert (loaded.town, loaded.source_sha256) == (network.town, network.source_sha256)
    for name, array in network.roads._asdict().items():
        np.testing.assert_array_equal(getattr(loaded.roads, name), array, err_msg=name)
        assert np.asarray(getattr(loaded.roads, name)).dtype == np.asarray(array).dtype
    assert len(loaded.crosswalks) == 1
    np.testing.assert_array_equal(loaded.crosswalks[0], network.crosswalks[0])


def test_the_same_network_gives_the_same_bytes(saved, tmp_path):
    save_network(handmade(), tmp_path / "again.npz")
    assert saved.read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_a_file_that_cannot_be_finished_leaves_the_old_one(saved, monkeypatch):
    before = saved.read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(UsageError, match="No space left"):
        save_network(handmade(), saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(saved, share):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(share * len(data))])
    with pytest.raises(UsageError, match=r"town\.npz"):
        load_network(saved)


def test_a_damaged_file_is_refused(saved):
    data = bytearray(saved.read_bytes())
    data[200:260] = bytes(60)
    saved.write_bytes(bytes(data))
    with pytest.raises(UsageError, match=r"town\.npz"):
        load_network(saved)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": np.int32(99)}, "version 99"),
        ({"version": None}, "version None"),
        ({"x": None}, "incomplete"),
        ({"x": np.zeros(3)}, "shape"),
        ({"succ": np.array([1, 99], np.int32)}, "beyond"),
        ({"succ_start": np.zeros(8, np.int32)}, "succ_start"),
        ({"x": np.array([object()])}, "readable"),
    ],
)
def test_a_file_that_is_no_network_is_refused(saved, changes, says):
    rewrite(saved, **changes)
    with pytest.raises(UsageError, match=says):
        load_network(saved)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(UsageError, match="no such"):
        load_network(tmp_path / "none.npz")
    with pytest.raises(UsageError, match="cannot write"):
        save_network(handmade(), tmp_path / "none" / "town.npz")


def test_another_kind_of_file_is_refused(tmp_path):
    path = tmp_path / "array.npy"
    np.save(path, np.zeros(3))
    with pytest.raises(UsageError, match=r"array\.npy"):
        load_network(path)
