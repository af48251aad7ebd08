import base64
import json
import shutil
import subprocess
import zlib
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from carla_rl.report.pack import Table, pack, unpack


def test_the_bytes_by_hand() -> None:
    # 3, 5, 4 differenced: 3, 2, -1; zigzag: 6, 4, 1. 300 alone: zigzag 600 = 4 * 128 + 88
    data = zlib.decompress(base64.b64decode(pack([Table("a", np.array([3, 5, 4]), down=1), Table("b", np.array([30.0]), 0.1)])))
    end = 4 + int.from_bytes(data[:4], "little")
    assert json.loads(data[4:end]) == [
        {"name": "a", "shape": [3], "grain": 1.0, "down": 1, "across": 0},
        {"name": "b", "shape": [1], "grain": 0.1, "down": 0, "across": 0},
    ]
    assert data[end:] == bytes([6, 4, 1, 128 + 88, 4])


@given(
    values=hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=7), elements=st.floats(-1e4, 1e4)),
    down=st.integers(0, 2),
    across=st.integers(0, 2),
)
def test_numbers_come_back_rounded_to_their_grain(values: np.ndarray, down: int, across: int) -> None:
    back = unpack(pack([Table("first", np.array([1, -1])), Table("t", values, 0.01, down, across)]))
    assert back["first"].tolist() == [1, -1]
    assert back["t"].shape == values.shape
    np.testing.assert_allclose(back["t"], values, atol=0.005001, rtol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e12])
def test_what_cannot_be_packed_is_an_error(bad: float) -> None:
    with pytest.raises(ValueError, match="table t"):
        pack([Table("t", np.array([0.0, bad]))])


def test_the_page_reads_the_same_numbers() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node, to run the page's own reader outside a browser")
    tables = [
        Table("ints", np.array([-1, 0, 1, 63, 64, -64, -65, 2**30, -(2**30)])),
        Table("plan", np.linspace(-5, 40, 60).reshape(6, 10) ** 2 / 40, 0.05, 1, 2),
        Table("empty", np.zeros((0, 3)), 0.1, 2),
        Table("moves", np.cumsum(np.ones((9, 2)) * (0.13, -0.31), axis=0), 0.02, 2),
    ]
    text = pack(tables)
    program = (files("carla_rl.report") / "static" / "unpack.js").read_text()
    program += (
        f'unpack("{text}").then((found) => console.log(JSON.stringify(Object.entries(found).map(([n, t]) => [n, Array.from(t.values)]))))'
    )
    done = subprocess.run([node, "-e", program], capture_output=True, text=True, check=True, timeout=60)
    mine = unpack(text)
    for name, values in json.loads(done.stdout):
        np.testing.assert_allclose(values, mine[name].ravel(), rtol=1e-12, atol=1e-12)
    assert len(json.loads(done.stdout)) == len(tables)
