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
