from hypothesis import given
from hypothesis import strategies as st

from carla_rl.scenario.hashing import unit, whole
from carla_rl.scenario.parts import belongs, digit, seed_in_part

PARTS = ("training", "validation", "evaluation")


@given(st.text())
def test_a_key_belongs_to_exactly_one_part(key: str) -> None:
    assert [part for part in PARTS if belongs(key, part)] == [PARTS[0] if digit(key) < 6 else PARTS[1] if digit(key) < 8 else PARTS[2]]
    assert belongs(key, "any")


@given(st.text(), st.text())
def test_seeds_of_different_parts_end_in_different_digits(one: str, other: str) -> None:
    last = [seed_in_part(part, one, other) % 10 for part in PARTS]
    assert last[0] in range(6)
    assert last[1] in (6, 7)
    assert last[2] in (8, 9)
    assert 0 <= seed_in_part("training", one, other) < 2**63


def test_parts_have_their_shares() -> None:
    counts = [sum(belongs(str(n), part) for n in range(2000)) for part in PARTS]
    assert sum(counts) == 2000
    assert 1100 < counts[0] < 1300
    assert all(320 < count < 480 for count in counts[1:])


def test_hashes_are_the_same_for_ever() -> None:
    # first eight bytes of SHA-256 of "'a'" 0x1f "1", without the last bit
    assert whole("a", 1) == int.from_bytes(bytes.fromhex("e08338c761eaefcb"), "big") >> 1
    assert whole("a", 1) != whole("a", "1") != whole("a1")


@given(st.integers())
def test_unit_lies_in_the_half_open_interval(n: int) -> None:
    assert 0.0 <= unit(n) < 1.0
