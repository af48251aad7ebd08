import pytest

from carla_rl.ppo.adaptive import LR_FACTORS, PULLS, AdaptiveRate, Pull


def test_the_rate_falls_where_the_kl_is_large_and_rises_where_it_is_small():
    rate = AdaptiveRate(target=0.01)
    for kl, factor in ((0.021, 1 / 1.5), (0.019, 1 / 1.5), (0.006, 1 / 1.5), (0.004, 1.0), (0.0, 1.5)):
        rate.update(kl)
        assert rate.factor == pytest.approx(factor)


def test_the_rate_stays_within_its_bounds():
    rate = AdaptiveRate(target=0.01)
    for _ in range(20):
        rate.update(1.0)
    assert rate.factor == LR_FACTORS[0]
    for _ in range(30):
        rate.update(0.0)
    assert rate.factor == LR_FACTORS[1]


def test_a_fixed_pull_stays():
    pull = Pull(0.1, None)
    pull.update(100.0)
    assert pull.weight == 0.1


def test_an_adaptive_pull_holds_the_kl_near_its_target():
    pull = Pull(0.1, 2.0)
    for kl, weight in ((3.1, 0.15), (2.9, 0.15), (1.4, 0.15), (1.3, 0.1)):
        pull.update(kl)
        assert pull.weight == pytest.approx(weight)
    for _ in range(100):
        pull.update(0.0)
    assert pull.weight == PULLS[0]


@pytest.mark.parametrize(("one", "other"), [(AdaptiveRate(0.01), AdaptiveRate(0.01)), (Pull(0.1, 1.0), Pull(0.1, 1.0))])
def test_state_goes_on(one, other):
    one.update(1e3)
    other.load_state_dict(one.state_dict())
    assert other == one
