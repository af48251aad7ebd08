import numpy as np
import pytest
import torch
from torch import nn

from carla_rl.errors import UsageError
from carla_rl.policies.networks import by_rows, load_checked, mlp, mlp_sizes


def test_sizes_come_back_from_the_tensors():
    net = mlp((7, 5, 4, 2), nn.ReLU)
    assert [type(layer) for layer in net] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert mlp_sizes(net.state_dict(), "head", "f.pt") == [7, 5, 4, 2]


def test_named_faults():
    net = mlp((3, 4, 2), nn.ReLU)
    state = net.state_dict()
    with pytest.raises(UsageError, match=r"f\.pt: tensor head\.2\.weight has shape \(2, 9\), expected \(2, 4\)"):
        load_checked(net, state | {"2.weight": torch.zeros(2, 9)}, "head", "f.pt")
    with pytest.raises(UsageError, match=r"tensor head\.0\.bias is missing"):
        load_checked(net, {name: value for name, value in state.items() if name != "0.bias"}, "head", "f.pt")
    with pytest.raises(UsageError, match=r"tensor head\.9\.weight does not belong"):
        load_checked(net, state | {"9.weight": torch.zeros(1)}, "head", "f.pt")
    with pytest.raises(UsageError, match=r"head\.0\.weight is missing"):
        mlp_sizes({}, "head", "f.pt")
    with pytest.raises(UsageError, match="must be a matrix"):
        mlp_sizes({"0.weight": torch.zeros(3)}, "head", "f.pt")


@pytest.mark.parametrize(
    "sizes", [(315, 128, 128, 4), (315, 128, 128, 1), (177, 256, 128), (128, 256, 40), (64, 96, 20), (13, 17, 3), (363, 4), (7, 8, 1)]
)
def test_rows_have_the_same_bits_in_any_batch(sizes):
    torch.manual_seed(3)
    net = mlp(sizes, nn.SiLU)
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(1024, sizes[0])).astype(np.float32)
    whole = by_rows(net, inputs)
    with torch.inference_mode():
        np.testing.assert_allclose(whole, net(torch.from_numpy(inputs)).numpy(), atol=1e-5)
    for n in (0, 1, 2, 7, 64, 100):
        assert np.array_equal(by_rows(net, inputs[:n]), whole[:n]), n
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            order = rng.permutation(1024)
            assert np.array_equal(by_rows(net, inputs[order]), whole[order]), count
    finally:
        torch.set_num_threads(threads)
