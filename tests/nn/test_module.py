"""Modules: names, state_dict, copies, training and moving."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from tinyseq import nn
from tinyseq.errors import (
    CheckpointError,
    ConfigError,
)


def parameter(*shape: int, seed: int = 0) -> nn.Parameter:
    return nn.Parameter(np.random.default_rng(seed).normal(size=shape))


class Net(nn.Module):
    """Attributes of every kind, set in no alphabetical order."""

    def __init__(self) -> None:
        self.z = nn.Linear(2, 3, seed=0)
        self.count = 7
        self.b = parameter(4)
        self.layers = [nn.Linear(3, 3, seed=1), [nn.Linear(3, 1, bias=False, seed=2)]]
        self.heads = {"mean": nn.Linear(3, 1, seed=3), "scale": parameter(1)}
        self.a = nn.Linear(1, 1, seed=4)

    def __call__(self, x: Any) -> Any:
        x = self.layers[1][0](self.layers[0](self.z(x)))
        return self.a(x)


NAMES = [
    "z.weight",
    "z.bias",
    "b",
    "layers.0.weight",
    "layers.0.bias",
    "layers.1.0.weight",
    "heads.mean.weight",
    "heads.mean.bias",
    "heads.scale",
    "a.weight",
    "a.bias",
]


def test_parameters_are_named_in_the_order_in_which_they_were_set():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert list(net.state_dict()) == NAMES
    assert [p.name for p in net.parameters()] == NAMES


def test_children_and_modules():
    net = Net()
    assert [n for n, _ in net.named_children()] == [
        "z", "layers.0", "layers.1.0", "heads.mean", "a"
    ]  # fmt: skip
    outer = nn.Module()
    outer.net = net
    assert [n for n, _ in outer.named_modules()] == [
        "", "net", "net.z", "net.layers.0", "net.layers.1.0", "net.heads.mean", "net.a"
    ]  # fmt: skip


def test_names_follow_a_module_into_another():
    outer = nn.Module()
    outer.net = Net()
    assert [p.name for p in outer.parameters()] == ["net." + name for name in NAMES]


def test_a_replaced_or_deleted_attribute_is_no_longer_a_parameter():
    net = Net()
    net.a = None
    del net.b
    assert [n for n, _ in net.named_parameters()] == [
        n for n in NAMES if n != "b" and n[:2] != "a."
    ]


def test_what_is_appended_to_a_list_is_found():
    net = Net()
    net.layers.append(nn.Linear(1, 1))
    assert "layers.2.weight" in net.state_dict()


def test_no_call_of_super_init_is_needed():
    assert nn.Module().state_dict() == {}
    assert nn.Module().training


def test_a_shared_parameter_is_given_once_and_saved_under_both_names():
    net = nn.Module()
    net.encoder, net.decoder = nn.Linear(3, 3, seed=0), nn.Linear(3, 3, seed=1)
    net.decoder.weight = net.encoder.weight
    assert [n for n, _ in net.named_parameters()] == [
        "encoder.weight", "encoder.bias", "decoder.bias"
    ]  # fmt: skip
    state = net.state_dict()
    assert set(state) == {"encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias"}
    np.testing.assert_array_equal(state["decoder.weight"], state["encoder.weight"])
    assert net.encoder.weight.name == "encoder.weight"
    x = np.ones((1, 3), "f4")
    (net.encoder(x) + net.decoder(x)).sum().backward()
    np.testing.assert_array_equal(net.encoder.weight.grad, 2)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other.decoder.weight is other.encoder.weight


def test_a_shared_module_is_one_module():
    shared = nn.Linear(2, 2)
    net = nn.Module()
    net.first, net.second = shared, shared
    assert len(net.parameters()) == 2
    assert len(list(net.named_modules())) == 2


def test_a_link_back_to_the_parent_does_no_harm():
    parent = nn.Module()
    parent.child = nn.Linear(2, 2)
    parent.child.parent = parent
    parent.own = parameter(1)
    assert [n for n, _ in parent.named_parameters()] == ["child.weight", "child.bias", "own"]
    assert [p.name for p in parent.parameters()] == ["child.weight", "child.bias", "own"]
    assert [n for n, _ in parent.named_modules()] == ["", "child"]
    parent.load_state_dict(parent.state_dict())
    parent.eval()
    assert not parent.child.training
    other = copy.deepcopy(parent)
    assert other.child.parent is other


def test_a_module_is_shown_with_its_parameters():
    assert repr(nn.Linear(2, 3)) == "Linear(weight=(3, 2), bias=(3,))"


def test_a_state_dict_is_a_copy():
    net = Net()
    state = net.state_dict()
    state["b"][:] = 0
    assert net.b.data.all()
    assert all(type(a) is np.ndarray for a in state.values())


def test_loading_what_does_not_fit_lists_everything_and_changes_nothing():
    net = Net()
    before = net.state_dict()
    state = {name: np.zeros_like(a) for name, a in before.items()}
    del state["z.weight"], state["heads.scale"]
    state["z.waight"] = np.zeros(3)
    state["old"] = np.zeros(3)
    state["b"] = np.zeros(5)
    state["a.weight"] = np.zeros((1, 2))
    with pytest.raises(CheckpointError) as caught:
        net.load_state_dict(state)
    text = str(caught.value)
    assert "missing: z.weight, heads.scale" in text
    assert "extra: z.waight, old" in text
    assert "b (5,) instead of (4,)" in text and "a.weight (1, 2) instead of (1, 1)" in text
    assert "Net" in text
    for name, a in net.state_dict().items():
        np.testing.assert_array_equal(a, before[name])


@pytest.mark.parametrize("wrong", [np.array(["x"] * 4), np.array([1j] * 4), [None] * 4])
def test_loading_what_is_no_number_changes_nothing(wrong: Any):
    net = Net()
    before = net.state_dict()
    state = {name: np.zeros_like(a) for name, a in before.items()} | {"b": wrong}
    with pytest.raises(CheckpointError, match="no real numbers: b"):
        net.load_state_dict(state)
    for name, a in net.state_dict().items():
        np.testing.assert_array_equal(a, before[name])


def test_loading_a_part_is_possible_but_shapes_must_fit():
    net = Net()
    before = net.state_dict()
    net.load_state_dict({"b": np.ones(4), "old": np.ones(1)}, strict=False)
    assert (net.b.data == 1).all()
    np.testing.assert_array_equal(net.z.weight.data, before["z.weight"])
    with pytest.raises(CheckpointError, match="instead of"):
        net.load_state_dict({"b": np.ones(3)}, strict=False)


def test_loading_keeps_dtype_and_array_library(xp: Any):
    net = nn.Linear(2, 3, seed=0)
    state = {n: a.astype(np.float64) for n, a in net.state_dict().items()}
    net.to("numpy" if xp is np else "cupy")
    net.load_state_dict(state)  # from the host
    assert net.weight.dtype == np.float32 and isinstance(net.weight.data, xp.ndarray)
    net.load_state_dict({n: xp.asarray(a) for n, a in state.items()})
    host = nn.Linear(2, 3, seed=1)
    host.load_state_dict(net.state_dict())  # and back
    np.testing.assert_array_equal(host.weight.data, state["weight"].astype(np.float32))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_has_the_values_names_and_flags_and_nothing_else(copied: Any):
    net = Net()
    net.b.requires_grad_(False)
    net.eval()
    net(np.ones((1, 2), "f4")).sum().backward()
    other = copied(net)
    for (name, p), (other_name, q) in zip(
        net.named_parameters(), other.named_parameters(), strict=True
    ):
        assert (name, p.name, p.symbol, p.requires_grad) == (
            other_name, q.name, q.symbol, q.requires_grad
        )  # fmt: skip
        np.testing.assert_array_equal(p.data, q.data)
        assert q.grad is None and q is not p
    assert not other.training and not other.a.training
    other.b.assign(np.zeros(4))
    assert net.b.data.any()


def test_a_model_can_be_pickled_with_its_generator():
    model = nn.SequenceModel(
        nn.Stacked([nn.LSTMCell(2, 3, seed=0), nn.GRUCell(3, 3, seed=1)], dropout=0.5, seed=2),
        nn.Linear(3, 2, seed=3),
        nn.mse,
    )
    other = pickle.loads(pickle.dumps(model))
    x = np.ones((4, 1, 2), "f4")
    np.testing.assert_array_equal(model(x)[0].data, other(x)[0].data)


def test_train_and_eval_reach_everything_inside():
    net = Net()
    assert net.eval() is net
    assert not any(m.training for _, m in net.named_modules())
    assert net.train() is net
    assert all(m.training for _, m in net.named_modules())


@pytest.mark.parametrize("dtype", [np.float64, "float64", np.dtype("f8"), float, "f8"])
def test_to_another_dtype(dtype: Any):
    net = Net()
    before = net.state_dict()
    assert net.to(dtype) is net
    assert all(p.dtype == np.float64 for p in net.parameters())
    assert [p.name for p in net.parameters()] == NAMES
    np.testing.assert_array_equal(net.z.weight.data, before["z.weight"].astype(float))
    net.to(np.float16)
    assert all(p.dtype == np.float16 for p in net.parameters())


@pytest.mark.parametrize("target", ["gpu", "int32", np.int64, 3, None, "complex64"])
def test_to_somewhere_unknown(target: Any):
    with pytest.raises(ConfigError, match="'numpy', 'cupy' or"):
        Net().to(target)


def test_there_and_back(xp: Any):
    net = Net()
    before = net.state_dict()
    target = "numpy" if xp is np else "cupy"
    net.to(target)
    assert all(isinstance(p.data, xp.ndarray) for p in net.parameters())
    net.to("numpy")
    for name, a in net.state_dict().items():
        np.testing.assert_array_equal(a, before[name])
    net(np.ones((1, 2), "f4")).sum().backward()
