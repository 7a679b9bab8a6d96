"""A mistake without a name is told by how its numbers relate to the right ones."""

import math

import pytest
import torch

from helpers.cases import GRADIENT, RULES, VALUES, Case
from helpers.compare import judge
from helpers.probe import ask
from helpers.relations import relation
from helpers.verdict import WrongAnswer

PARTS = {VALUES: 2, GRADIENT: 1, RULES: 1}
X = torch.tensor([[0.5, -1.0, 2.0], [-0.25, 0.75, 3.0]])
CASES = [
    Case("six numbers", {"x": X, "y": X.flip(-1) + 0.1}, grad=("x", "y")),
    Case("three more", {"x": X[:1] - 0.7, "y": X[1:]}, grad=("x", "y")),
]


def right(x, y):
    return x * y.detach() + x


def told(answer, cases=CASES, wrong=()):
    verdict = judge("right", PARTS, cases, ask(answer, cases), ask(right, cases), wrong)
    assert verdict.status != "right"
    return dict(verdict.diagnoses)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda z: -z, "times -1"),
        (lambda z: z / 3, "times 0.3333"),
        (lambda z: z / math.log(2), "times 1.443"),
        (lambda z: z - 1, "shifted by -1"),
        (lambda z: z.abs(), "absolute"),
        (lambda z: z.clamp(min=0), "cut at 0"),
        (lambda z: z.clamp(max=0), "cut above 0"),
        (lambda z: z.clamp(-0.5, 0.7), "cut off"),
        (lambda z: z.exp(), "exponentials"),
        (lambda z: z**2, "squares"),
        (lambda z: 1 / z, "reciprocals"),
        (lambda z: z * (1 + 0.01 * z.cos()), "nearly"),
        (lambda z: z.half().float(), "nearly"),
        (lambda z: z.sum(), "sum"),
        (lambda z: z.mean(), "mean"),
        (lambda z: z.sum(-1), "row sums"),
        (lambda z: z.mean(-1), "row means"),
        (lambda z: z.sum(0), "column sums"),
        (lambda z: z.flatten(), "flattened"),
    ],
)
def test_what_was_done_to_the_right_numbers_is_told(change, name):
    diagnoses = told(lambda x, y: change(right(x, y)))
    assert list(diagnoses) == [name]
    assert diagnoses[name].endswith((".", "?"))


@pytest.mark.parametrize(
    ("got", "name"),
    [
        (lambda x: x.sum(-1)[..., None], "axis left"),
        (lambda x: x, "not summed"),
        (lambda x: x * x.shape[-1], "not averaged"),
    ],
)
def test_what_is_still_to_be_done_is_told(got, name):
    pairs = [(got(x), x.sum(-1)) for x in (X, X.T.contiguous() + 1)]
    assert relation(pairs)[0] == name


@pytest.mark.parametrize(
    "answer",
    [
        lambda x, y: right(x, y) * torch.arange(1, 4),
        lambda x, y: torch.full_like(x, math.nan),
        lambda x, y: torch.zeros_like(x),
        lambda x, y: x.to(torch.complex64),
        lambda x, y: right(x, y).to_sparse() * 2,
        lambda x, y: -right(x, y) if len(x) == 2 else x.sin() * y.cos(),
    ],
)
def test_nothing_is_made_up(answer):
    assert not told(answer)


def test_two_numbers_may_be_chance():
    assert relation([(torch.tensor([2.0, 4.0]), torch.tensor([1.0, 2.0]))]) is None
    assert relation([(torch.tensor([2.0] * 5), torch.tensor([1.0] * 5))]) is None


def test_equal_infinities_are_left_out():
    right = torch.tensor([1.0, 2.0, -3.0, math.inf])
    assert relation([(torch.tensor([2.0, 4.0, -6.0, math.inf]), right)])[0] == "times 2"
    assert relation([(torch.tensor([2.0, 4.0, -6.0, 1.0]), right)]) is None


def test_a_known_name_comes_first():
    known = WrongAnswer("negated", "It is.", ask(lambda x, y: -right(x, y), CASES))
    assert told(lambda x, y: -right(x, y), wrong=[known]) == {"negated": "It is."}


def test_gradients_that_miss_are_told():
    assert list(told(lambda x, y: right(x, y).detach())) == ["no gradient of x"]
    moving = told(lambda x, y: x * y + x)
    assert list(moving) == ["a gradient of y"]
    assert "detach it" in moving["a gradient of y"]
    assert not told(lambda x, y: right(x, y) - x.sin() + x.detach().sin())


def test_an_axis_too_many_or_too_few_is_told():
    says = told(lambda x, y: torch.zeros(3, 2, 5))["library: axes"]
    assert says == "What comes back has 3 axes and should have 2."
    assert "1 axis and" in told(lambda x, y: torch.zeros(7))["library: axes"]
    assert list(told(lambda x, y: right(x, y)[None, None])) == ["axis left"]
