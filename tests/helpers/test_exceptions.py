"""What a library raises is told in a reader's words, and its own troubles never lead."""

import math

import numpy as np
import pytest
import torch

from helpers.exceptions import first_line, meaning
from helpers.probe import describe_error

X, T = torch.randn(2, 3, 5), torch.zeros(2, 3, dtype=torch.int64)
F, M = torch.ones(2, 3), torch.ones(2, 3, dtype=torch.bool)
LEAF = torch.ones(3, requires_grad=True)


def in_place():
    y = LEAF.exp()
    y.mul_(2)
    y.sum().backward()


def twice():
    y = LEAF.exp().sum()
    y.backward()
    y.backward()


RAISED = {
    "gather": [lambda: X.gather(-1, T), lambda: X[:, :-1].gather(-1, T[..., None])],
    "index of whole numbers": [
        lambda: X.gather(-1, F[..., None]),
        lambda: torch.nn.functional.one_hot(F, 5),
    ],
    "sizes": [
        lambda: F + torch.ones(2),
        lambda: torch.where(M, torch.ones(2), 0.0),
        lambda: F[M[:, :2]],
        lambda: torch.cat([F, X]),
    ],
    "axis": [lambda: torch.ones(3).sum(1), lambda: torch.ones(3)[:, 1:]],
    "position": [lambda: torch.ones(3)[5], lambda: [1][3]],
    "no graph": [
        lambda: F.sum().backward(),
        lambda: torch.autograd.grad(LEAF.sum(), torch.ones(3)),
    ],
    "not used": [lambda: torch.autograd.grad(LEAF.sum(), torch.ones(3, requires_grad=True))],
    "graph used twice": [twice],
    "changed in place": [in_place, lambda: LEAF.add_(1)],
    "not one number": [lambda: (LEAF * 2).backward()],
    "numpy": [lambda: LEAF.numpy(), lambda: np.exp(LEAF)],
    "if of many": [lambda: 1 if F > 0 else 2, lambda: min(F, 2 * F)],
    "one number of many": [lambda: math.exp(F), lambda: float(F), lambda: F.item()],
    "number in place of a tensor": [lambda: torch.exp(1.0), lambda: (0.5).exp()],
    "nothing in place of something": [lambda: None.clone(), lambda: None + 1],
    "no such attribute": [lambda: F.logsoftmax(-1), lambda: torch.nn.functional.logsoftmax(F)],
    "no such name": [lambda: undefined_name],  # noqa: F821
    "arguments": [lambda: torch.exp(), lambda: (lambda a: a)(), lambda: F.sum(dims=1)],
    "operation on another kind": [
        lambda: F ^ 2,
        lambda: 0.5 ^ 2,
        lambda: ~F,
        lambda: 1 - M,
        lambda: M.mean(),
        lambda: T.mean(),
    ],
    "dtypes": [lambda: F.double() @ torch.ones(3), lambda: LEAF.dot(torch.ones(3).double())],
    "matrix product": [lambda: F @ F, lambda: F.dot(F)],
    "reshape": [lambda: F.reshape(5), lambda: F.t().view(6)],
    "outside its domain": [lambda: 1 / 0, lambda: math.log(0), lambda: math.exp(1000)],
    "no solution": [
        lambda: torch.linalg.solve(torch.zeros(2, 2), torch.zeros(2)),
        lambda: np.linalg.inv(np.zeros((2, 2))),
    ],
    "classes second": [lambda: torch.nn.functional.cross_entropy(X, T)],
    "no distribution": [
        lambda: torch.multinomial(F - 10, 1),
        lambda: torch.distributions.Categorical(logits=F * math.nan),
    ],
    "unpacking": [lambda: exec("a, b = 1, 2, 3")],
    "another kind of thing": [lambda: F(2), lambda: list(5)],
}


@pytest.mark.parametrize(
    ("name", "function"), [(name, one) for name, several in RAISED.items() for one in several]
)
def test_an_exception_has_a_meaning(name, function):
    with pytest.raises(Exception) as raised:  # noqa: B017, PT011
        function()
    assert meaning(describe_error(raised.value))[0] == f"library: {name}"


def test_what_a_student_raises_is_not_explained():
    assert meaning(describe_error(ValueError("beta must be above 0"))) is None


def test_one_line_is_shown_and_no_call_to_report_a_bug():
    many = RuntimeError("first\nsecond\nthird")
    assert first_line(describe_error(many)) == "RuntimeError: first"
    own = RuntimeError('false INTERNAL ASSERT FAILED at "x.cpp":1, please report a bug to PyTorch.')
    assert first_line(describe_error(own)) == "RuntimeError: raised within the library"
    assert meaning(describe_error(own))[0] == "library: inside the library"


def test_what_is_quoted_of_an_answer_is_cleaned():
    forged = {"kinds": ["ShapeError"], "message": "\x1b[2Jk1: every case passes" + "x" * 10_000}
    _, says = meaning(forged)
    assert "\x1b" not in says
    assert len(says) < 500
