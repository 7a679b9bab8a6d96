"""Packed data comes back as it was, and nothing else is taken for it."""

import pickle

import pytest
import torch

from helpers import codec
from helpers.codec import BadDataError, pack, unpack


def test_a_tree_comes_back_as_it_was():
    tree = {
        "text": "π ‖ ref",
        "numbers": [1, 2.5, None, True, float("inf")],
        "empty": torch.zeros(2, 0),
        "scalar": torch.tensor(3.0, dtype=torch.float64),
        "mask": torch.tensor([True, False]),
        "nested": [{"half": torch.ones(2, 2, dtype=torch.bfloat16).T}],
    }
    back = unpack(pack(tree))
    assert back["text"] == tree["text"]
    assert back["numbers"] == tree["numbers"]
    for name in ("empty", "scalar", "mask"):
        assert torch.equal(back[name], tree[name])
        assert back[name].dtype == tree[name].dtype
    assert torch.equal(unpack(pack(torch.ones(()).expand(1))), torch.ones(1))
    assert torch.equal(back["nested"][0]["half"], tree["nested"][0]["half"])


def test_equal_trees_are_equal_bytes():
    tree = {"b": torch.arange(3), "a": [torch.ones(2), "x"]}
    assert pack(tree) == pack({"b": torch.arange(3), "a": [torch.ones(2), "x"]})
    assert pack(tree) != pack({"b": torch.arange(3), "a": [torch.ones(2), "y"]})


def test_the_order_of_a_dict_is_kept():
    assert list(unpack(pack({"b": 1, "a": torch.ones(1), "c": 2}))) == ["b", "a", "c"]


def test_one_tensor_in_two_places():
    shared = torch.arange(4)
    back = unpack(pack([shared, shared[1:]]))
    assert torch.equal(back[1], torch.tensor([1, 2, 3]))


@pytest.mark.parametrize("data", [b"", b"\x00" * 40, pickle.dumps({"a": 1}), pack([1])[:-3]])
def test_other_bytes_are_refused(data):
    with pytest.raises(BadDataError):
        unpack(data)


def test_a_reference_to_a_tensor_that_is_not_there_is_refused():
    with pytest.raises(BadDataError):
        unpack(pack({"$tensor": "t00007"}))
    with pytest.raises(BadDataError):
        unpack(pack({"$tensor": ["a", "list"]}))
    with pytest.raises(BadDataError):
        unpack(pack({"a": torch.ones(2), "b": {"$tensor": ["float32", 1, [2]]}}))


@pytest.mark.parametrize(
    "shape",
    [
        [1] * (codec.MOST_DIMENSIONS + 1),
        [2**40, 2**40],
        [10**30, 0],
        [-1],
        [codec.MOST_EMPTY + 1, 0],
        [2**15, 2**15, 0],
    ],
)
def test_a_shape_that_no_answer_has_is_refused(shape):
    with pytest.raises(BadDataError):
        unpack(pack({"a": torch.ones(1), "b": {"$tensor": ["float32", 0, shape]}}))


def test_an_empty_tensor_keeps_its_shape():
    assert unpack(pack(torch.zeros(3, 0, 2))).shape == (3, 0, 2)


def test_a_tree_beyond_what_is_asked_for_is_refused():
    data = pack({"a": "b" * 100})
    assert unpack(data, 200) == unpack(data)
    with pytest.raises(BadDataError, match="larger than 100 bytes"):
        unpack(data, 100)


def test_many_references_to_one_tensor_take_no_more_memory():
    back = unpack(pack([torch.ones(8), *({"$tensor": ["float32", 0, [8]]} for _ in range(50))]))
    assert len({tensor.untyped_storage().data_ptr() for tensor in back}) == 1


def test_floats_of_8_bits():
    small = [torch.tensor([1.5, -2.0]).to(torch.float8_e4m3fn) for _ in range(2)]
    assert unpack(pack(small))[1].float().tolist() == [1.5, -2.0]
