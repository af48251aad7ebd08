import math

import torch

from carla_rl import gaussian


def test_log_prob_of_two_coordinates_by_hand():
    # z = (1, -2) with std (2, 0.5): -0.5 - ln 2 - 2 + ln 2 - ln(2 pi) = -2.5 - 1.8378771
    found = gaussian.log_prob(torch.tensor([3.0, -1.0]), torch.tensor([1.0, 0.0]), torch.log(torch.tensor([2.0, 0.5])))
    torch.testing.assert_close(found.item(), -4.3378771, atol=1e-6, rtol=0.0)


def test_entropy_of_a_unit_gaussian_is_half_log_two_pi_e_a_coordinate():
    torch.testing.assert_close(gaussian.entropy(torch.zeros(3)).item(), 3 * 1.4189385, atol=1e-6, rtol=0.0)
    torch.testing.assert_close(gaussian.entropy(torch.tensor([math.log(2.0)])).item(), 1.4189385 + 0.6931472, atol=1e-6, rtol=0.0)


def test_kl_by_hand():
    zero = torch.zeros(1)
    # Equal std 0.5, means one apart: 1 / (2 * 0.25) = 2.
    half = torch.log(torch.tensor([0.5]))
    assert gaussian.kl(torch.ones(1), half, zero, half).item() == 2.0
    # N(0, 2^2) from N(0, 1): (4 - 1) / 2 - ln 2.
    torch.testing.assert_close(
        gaussian.kl(zero, torch.log(torch.tensor([2.0])), zero, zero).item(), 1.5 - math.log(2.0), atol=1e-6, rtol=0.0
    )


def test_all_agree_with_torch_distributions():
    draw = torch.Generator().manual_seed(0)
    mean_p, mean_q, log_p, log_q, action = torch.randn(5, 64, 4, generator=draw, dtype=torch.float64)
    p, q = torch.distributions.Normal(mean_p, log_p.exp()), torch.distributions.Normal(mean_q, log_q.exp())
    torch.testing.assert_close(gaussian.log_prob(action, mean_p, log_p), p.log_prob(action).sum(-1))
    torch.testing.assert_close(gaussian.entropy(log_p), p.entropy().sum(-1))
    torch.testing.assert_close(gaussian.kl(mean_p, log_p, mean_q, log_q), torch.distributions.kl_divergence(p, q).sum(-1))


def test_bounded_lets_nothing_get_stuck_beyond_the_bounds():
    value = torch.tensor([-6.0, -6.0, 0.5, 2.0, 2.0], requires_grad=True)
    within = gaussian.bounded(value)
    assert within.tolist() == [-5.0, -5.0, 0.5, 1.0, 1.0]
    # descent goes against the gradient: back inside it may, farther out it may not
    within.backward(torch.tensor([-1.0, 1.0, 1.0, -1.0, 1.0]))
    assert value.grad.tolist() == [-1.0, 0.0, 1.0, 0.0, 1.0]


def test_independent_noise_is_the_generators_own():
    noise = gaussian.Noise(torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    for _ in range(3):
        assert torch.equal(noise.draw(4, 2), torch.randn((4, 2), generator=generator))


def test_correlated_noise_is_standard_normal_and_correlated_as_asked():
    noise = gaussian.Noise(torch.Generator().manual_seed(0), 0.6)
    drawn = torch.stack([noise.draw(2000, 3) for _ in range(40)])
    assert abs(drawn.mean().item()) < 0.02
    assert abs(drawn.std().item() - 1.0) < 0.01
    for lag in (1, 2, 3):
        assert abs((drawn[lag:] * drawn[:-lag]).mean().item() - 0.6**lag) < 0.02


def test_correlated_noise_by_hand_and_going_on_from_its_state():
    generator = torch.Generator().manual_seed(7)
    first, second = (torch.randn((2, 1), generator=generator) for _ in range(2))
    noise = gaussian.Noise(torch.Generator().manual_seed(7), 0.8)
    assert torch.equal(noise.draw(2, 1), first)
    state = noise.state_dict()
    torch.testing.assert_close(noise.draw(2, 1), 0.8 * first + 0.6 * second)
    again = gaussian.Noise(torch.Generator().manual_seed(1), 0.8)
    again.load_state_dict(state)
    torch.testing.assert_close(again.draw(2, 1), 0.8 * first + 0.6 * second)
    assert again.draw(3, 1).shape == (3, 1)
