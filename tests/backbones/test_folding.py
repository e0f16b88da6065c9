"""Networks without their batch normalisations give the same features."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.affordable import AFFORDABLE
from vcp_core.backbones import Backbone, build
from vcp_core.backbones.folding import folded
from vcp_core.catalog.backbones import BACKBONES

TINY = BACKBONES["r3d_tiny"]
# Normalisations that stay: jfzhang95's blocks normalise after a ReLU again, twice each, and in 3 shortcuts.
STAY = {"r3d_18_jfzhang95": 19, "r2plus1d_18_jfzhang95": 19}


def randomised(network: Backbone) -> Backbone:
    """A trained network's normalisations do something; a new one's do nothing."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm3d):
                assert module.running_mean is not None
                assert module.running_var is not None
                for tensor in (module.weight, module.running_var):
                    tensor.uniform_(0.5, 2, generator=generator)
                for tensor in (module.bias, module.running_mean):
                    tensor.normal_(0, 0.2, generator=generator)
    return network


def num_norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm3d) for module in network.modules())


def clips() -> Tensor:
    return torch.rand((2, 3, 8, 32, 32), generator=torch.Generator().manual_seed(7))


def assert_alike(network: Backbone, other: Backbone) -> None:
    with torch.inference_mode():
        ours, theirs = network.stages(clips()), other.stages(clips())
    for name, features_BD in theirs.items():
        largest = features_BD.abs().max()
        assert (ours[name] - features_BD).abs().max() < 1e-5 * largest, name


@pytest.mark.slow
@pytest.mark.parametrize("name", AFFORDABLE)
def test_every_backbone_gives_the_same_features_without_a_normalisation(name: str) -> None:
    network = randomised(build(name))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    fewer = folded(network)
    assert (fewer is network) == (num_norms(network) == 0)  # a family may have no batch norm
    assert num_norms(fewer) == STAY.get(name, 0)
    assert_alike(fewer, network)
    assert folded(fewer) is fewer
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


class Small(Backbone):
    """A convolution, a normalisation, and what a test makes of them."""

    def __init__(self, run: Callable[[Small, Tensor], list[Tensor]], *, affine: bool = True) -> None:
        super().__init__(TINY)
        self.conv = nn.Conv3d(3, 3, 3, padding=1, bias=True)
        self.norm, self.other = nn.BatchNorm3d(3, affine=affine), nn.BatchNorm3d(3)
        self._run = run

    def forward_stages(self, x_BCTHW: Tensor) -> list[Tensor]:
        maps = self._run(self, x_BCTHW)
        return [*maps, *[maps[-1]] * (len(TINY.stages) - len(maps))]


def test_a_bias_is_folded_too() -> None:
    network = randomised(Small(lambda net, x: [net.norm(net.conv(x))]).eval())
    fewer = folded(network)
    assert num_norms(fewer) == 1  # which nothing runs
    assert_alike(fewer, network)


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(lambda net, x: [made := net.conv(x), net.norm(made)], id="a stage ends before it"),
        pytest.param(lambda net, x: [net.norm(made := net.conv(x)) + made], id="a shortcut starts before it"),
        pytest.param(lambda net, x: [net.norm(net.conv(net.conv(x)))], id="the convolution runs twice"),
        pytest.param(lambda net, x: [net.norm(net.norm(net.conv(x)))], id="the normalisation runs twice"),
        pytest.param(lambda net, x: [net.norm(net.conv(x).relu_())], id="something lies between"),
        pytest.param(lambda net, x: [net.norm(x)], id="there is no convolution"),
    ],
)
def test_a_normalisation_stays_where_folding_would_change_the_features(
    run: Callable[[Small, Tensor], list[Tensor]],
) -> None:
    network = randomised(Small(run).eval())
    kept = folded(network)
    assert num_norms(kept) == 2
    assert_alike(kept, network)


def test_a_normalisation_without_weights_of_its_own_stays() -> None:
    network = Small(lambda net, x: [net.norm(net.conv(x))], affine=False).eval()
    assert num_norms(folded(network)) == 2
