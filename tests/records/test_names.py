from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from carla_rl.records.names import file_stem, new_run_id


def test_a_run_id_tells_kind_date_and_time() -> None:
    assert new_run_id("ppo-delta", datetime(2026, 2, 18, 19, 30)).startswith("ppo-delta-20260218-193000-")
    assert len({new_run_id("evaluate", datetime(2026, 2, 18)) for _ in range(20)}) == 20


def test_plain_ids_stay_readable() -> None:
    assert file_stem("ring-3#0") == "ring-3-r0"
    assert file_stem("ring/3#12").startswith("ring_3-")
    assert file_stem("..#0") != ".."


@given(st.text(min_size=1), st.text(min_size=1), st.integers(0, 99), st.integers(0, 99))
def test_names_are_safe_and_differ_where_the_ids_do(a: str, b: str, i: int, j: int) -> None:
    one, other = f"{a}#{i}", f"{b}#{j}"
    assert (file_stem(one) == file_stem(other)) == (one == other)
    assert not set(file_stem(one)) & set('/\\\0:*?"<>|# ')
    assert not file_stem(one).startswith(".")
