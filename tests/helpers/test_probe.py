"""What a function did is written down whole: values, gradients, changed inputs, exceptions."""

import copy
import subprocess
import sys

import numpy as np
import torch
from torch.autograd import forward_ad
from torch.autograd import grad as derive
from torch.autograd.forward_ad import make_dual, unpack_dual

from helpers.cases import Case, build_inputs, make
from helpers.observed import NO_NUMBER
from helpers.probe import BY_HAND, ask
from helpers.shapes import shaped


def one(function, grad=(), probe="call", **inputs):
    return ask(function, [Case("", inputs, grad=grad, probe=probe)])[0]


def test_value_gradient_and_constants():
    def product(x, y):
        return x * y.detach()

    answer = one(product, ("x", "y"), x=torch.tensor([1.0, 2.0]), y=torch.tensor([3.0, 5.0]))
    assert torch.equal(answer["value"], torch.tensor([3.0, 10.0]))
    assert torch.equal(answer["gradient of x"], torch.tensor([3.0 * 0.5, 5.0 * 1.5]))
    assert answer["gradient of y"] is None


def test_the_callers_tensors_are_never_changed():
    given = torch.tensor([1.0, float("nan")])
    answer = one(lambda x: x.add_(1), x=given)
    assert answer["changed inputs"] == ["x"]
    assert given[0] == 1.0


def test_a_graph_that_is_cut_in_place_is_a_change():
    def cut(x, y):
        return x * y.detach_()

    assert one(cut, ("x", "y"), x=torch.ones(2), y=torch.ones(2))["changed inputs"] == ["y"]
    assert (
        one(lambda x, y: x * y.detach(), ("x", "y"), x=torch.ones(2), y=torch.ones(2))[
            "changed inputs"
        ]
        == []
    )


def test_a_loss_of_tokens_is_asked_of_each_alone():
    logits = torch.tensor([0.5, -0.5, 1.0])
    inputs = {"logits": logits, "ref_logits": logits.flip(0)}

    def of_each(logp, ref_logp):
        return 0.5 * (logp - ref_logp.detach()) ** 2

    def of_all(logp, ref_logp):
        return of_each(logp.log_softmax(-1), ref_logp.log_softmax(-1))

    def gradient(function, probe):
        return one(function, ("logits",), probe, **inputs)["gradient of logits"]

    together = gradient(of_each, "per_token")
    assert torch.allclose(gradient(of_each, "token_alone"), together)
    assert torch.allclose(gradient(of_all, "per_token"), together, atol=1e-6)
    assert not gradient(of_all, "token_alone").any()


def test_numpys_numbers_in_a_tuple_are_numbers():
    answer = one(lambda x: (np.float64(x), np.float32(x)), x=2.0)
    assert (answer["value 0"], answer["value 1"]) == (2.0, 2.0)
    assert one(lambda x: [np.ones(2)], x=2.0)["value 0"]["$kind"] == "numpy"


def test_torch_is_whole_after_functions_that_differentiate_were_refused():
    """In a fresh process, where torch imports more of itself while they are."""
    code = """
import torch
from helpers.cases import Case
from helpers.probe import ask
found = ask(lambda x: torch.func.grad(lambda y: (y * y).sum())(x),
            [Case("", {"x": torch.ones(2)}, probe="without_autograd")])
print(found[0]["error"]["message"])
torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
print(torch.func.grad(lambda y: y * y)(torch.tensor(3.0)).item())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "write the gradient out by hand" in done.stdout
    assert done.stdout.splitlines()[-1] == "6.0"


def test_a_nan_that_stays_is_no_change():
    assert one(lambda x: x + 1, x=torch.tensor([float("nan")]))["changed inputs"] == []


def test_an_exception_is_an_answer():
    answer = one(lambda x: x["no"], x=1.0)
    assert answer["error"]["kinds"][0] == "TypeError"
    assert one(lambda x: exit(3), x=1.0)["error"]["kinds"][0] == "SystemExit"


def test_renamed_parameters_are_filled_in_order():
    assert one(lambda a, b: a - b, logp=5.0, ref_logp=3.0)["value"] == 2.0


def test_parameters_in_another_order_are_filled_by_name():
    def difference(ref_logp, logp):
        return logp - ref_logp

    assert one(difference, logp=5.0, ref_logp=3.0)["value"] == 2.0


def test_containers_unfold():
    answer = one(lambda x: {"loss": x, "kl": [x, x + 1]}, x=1.0)
    assert answer["value 'loss'"] == 1.0
    assert answer["value 'kl' 1"] == 2.0


def test_a_wrong_shape_is_looked_at_behind_the_decorator():
    from jaxtyping import Float
    from torch import Tensor

    @shaped
    def scalar(x: Float[Tensor, " n"]) -> Float[Tensor, ""]:
        return x

    assert one(scalar, x=torch.ones(3))["value"].shape == (3,)


def test_a_backward_that_breaks_is_told():
    def broken(x):
        y = x.exp()
        y += 1  # exp needs its own result
        return y

    assert "RuntimeError" in one(broken, ("x",), x=torch.ones(2))["gradient of x"]["$kind"]


def test_a_module_and_an_optimiser_go_in_and_parameters_come_out():
    state = {"0.weight": torch.ones(1, 2), "0.bias": torch.zeros(1)}

    def step(network, optimizer):
        network(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        return [1.0]

    inputs = {"network": make("mlp", state=state), "optimizer": make("sgd", of="network", lr=0.5)}
    answer = one(step, **inputs)
    assert torch.equal(answer["network after: 0.weight"], torch.full((1, 2), 0.5))
    assert torch.equal(state["0.weight"], torch.ones(1, 2))


def test_random_numbers_of_the_caller_are_left_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one(lambda x: torch.rand(1), x=1.0)
    assert torch.equal(torch.get_rng_state(), before)


def forward_under_another_name(x):
    with forward_ad.dual_level():
        return unpack_dual((make_dual(x, torch.ones_like(x))) ** 2).tangent


def test_autograd_is_refused_where_the_gradient_is_to_be_written_out():
    def by_autograd(x):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad((x**2).sum(), x)[0]

    def forward(x):
        return torch.func.jacfwd(lambda y: y**2)(x).diagonal()

    def under_another_name(x):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return derive((x * 2).sum(), x)[0]

    def by_backward(x):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (x * 2).sum().backward()
        return x.grad

    def by_func(x):
        return torch.func.grad(lambda y: (y**2).sum())(x)

    def by_the_engine(x):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            total = x.exp().sum()
        engine = torch.autograd.Variable._execution_engine
        return engine.run_backward((total,), (torch.ones(()),), False, False, (x,))[0]

    given = torch.ones(2)
    ways = (by_autograd, forward, under_another_name, by_backward, by_func, by_the_engine)
    for way in ways:
        error = one(way, probe="without_autograd", x=given)["error"]
        assert error["message"] == BY_HAND, way
    assert one(forward_under_another_name, probe="without_autograd", x=given)["value"]["$kind"]
    answer = one(lambda x: 2 * x, probe="without_autograd", x=given)
    assert torch.equal(answer["value"], torch.full((2,), 2.0))


def test_a_weight_is_asked_to_weigh_a_loss():
    given = torch.tensor([[-1.0, 0.5]])
    answer = one(lambda x: x.detach().exp(), ("x",), "weighing", x=given)
    assert torch.equal(answer["value as the weights of a loss"], given.exp())
    assert answer["gradient of x"] is None

    def inferred(x):
        with torch.inference_mode():
            return x.exp()

    assert "value" in one(inferred, ("x",), x=given)
    assert "nference" in one(inferred, ("x",), "weighing", x=given)["error"]["message"]
    assert one(lambda x: 2.0, ("x",), "weighing", x=given)["value"] == 2.0


def test_a_token_loss_is_graded_by_its_expectation():
    logits = torch.tensor([0.3, -0.2, 1.0], dtype=torch.float64)
    ref = torch.zeros(3, dtype=torch.float64)
    both = ("logits", "ref_logits")
    first = one(lambda p, r: p - r.detach(), both, "per_token", logits=logits, ref_logits=ref)
    assert first["gradient of logits"].abs().max() < 1e-12  # k1 has no gradient on-policy
    other = one(
        lambda p, r: (p - r.detach()) ** 2 / 2, both, "per_token", logits=logits, ref_logits=ref
    )
    policy = logits.clone().requires_grad_()
    log_policy = policy.log_softmax(-1)
    divergence = (log_policy.exp() * (log_policy - ref.log_softmax(-1))).sum()
    wanted = torch.autograd.grad(divergence, policy)[0]
    assert torch.allclose(other["gradient of logits"], wanted, atol=1e-12)


# A response ends after the token 0, or after two: (0), (1, 0) and (1, 1); row 1 follows on a 1.
ENDING = {
    "logits": torch.tensor([[0.3, -0.2], [1.0, 0.5]], dtype=torch.float64),
    "ref_logp": torch.tensor([[-0.3, -9.0], [-1.4, -0.7], [-1.4, -0.7]], dtype=torch.float64),
    "padding": torch.full((3, 2), -5.0, dtype=torch.float64),
    "mask": torch.tensor([[True, False], [True, True], [True, True]]),
    "beginnings": torch.tensor([[0, 0], [0, 1], [0, 1]]),
    "tokens": torch.tensor([[0, 0], [1, 0], [1, 1]]),
}


def half_the_squared_log_ratio(logp, ref_logp, mask):
    return torch.where(mask, logp - ref_logp.detach(), 0.0).sum(1) ** 2 / 2


def responses(function, grad=("logits",), **others):
    return one(function, grad, "responses", **(ENDING | others))


def test_a_loss_of_responses_is_graded_by_its_expectation():
    """Against the divergence written as a sum over the three responses."""
    policy = ENDING["logits"].clone().requires_grad_()
    p, q = policy.softmax(-1), ENDING["ref_logp"]
    chances = torch.stack([p[0, 0], p[0, 1] * p[1, 0], p[0, 1] * p[1, 1]])
    price = chances.log() - torch.stack([q[0, 0], q[1].sum(), q[2].sum()])
    wanted = torch.autograd.grad((chances * price).sum(), policy)[0]
    for size in (1, 2, 3):
        answer = responses(half_the_squared_log_ratio, at_once=size)
        assert torch.allclose(answer["gradient of logits"], wanted, rtol=0, atol=1e-12)
        assert (answer["shape"], answer["loss dtype"]) == ("(3,)", "torch.float64")
        assert answer["changed inputs"] == []


def test_responses_are_asked_so_many_at_a_time():
    asked = []

    def counting(logp, ref_logp, mask):
        asked.append(len(mask))
        return half_the_squared_log_ratio(logp, ref_logp, mask)

    responses(counting)
    responses(counting, at_once=2)
    assert asked == [3, 2, 1]


def test_of_a_response_the_early_places_may_be_held_constant():
    late = responses(half_the_squared_log_ratio, since=1)["gradient of logits"]
    both = responses(half_the_squared_log_ratio)["gradient of logits"]
    assert not late[0].any()
    assert torch.equal(late[1], both[1])


def test_what_padding_and_empty_responses_get_is_seen():
    nothing = torch.zeros(3, 2, dtype=torch.bool)
    both = ("logits", "padding")
    assert not responses(half_the_squared_log_ratio, both)["gradient of padding"].any()
    answer = responses(lambda p, q, m: p.sum(1) + 1, both, mask=nothing)
    assert torch.equal(answer["gradient of padding"], torch.ones(3, 2).double())
    assert answer["loss of responses without a token"].tolist() == [-9.0] * 3


def test_of_a_loss_that_is_no_number_there_is_no_gradient():
    poison = torch.full((3, 2), torch.nan, dtype=torch.float64)
    answer = responses(lambda p, q, m: ((p - q) * m).sum(1), padding=poison)
    assert answer["gradient of logits"] == {"$kind": NO_NUMBER}
    good = responses(half_the_squared_log_ratio, padding=poison)["gradient of logits"]
    assert torch.equal(good, responses(half_the_squared_log_ratio)["gradient of logits"])


def test_what_is_changed_among_responses_is_listed():
    def zeroed(logp, ref_logp, mask):
        logp[~mask] = 0.0
        ref_logp[~mask] = 0.0
        return (logp - ref_logp).sum(1)

    def cut(logp, ref_logp, mask):
        return logp.detach_().sum(1)

    assert responses(zeroed)["changed inputs"] == ["logp", "ref_logp"]
    assert responses(zeroed, at_once=1)["changed inputs"] == ["logp", "ref_logp"]
    assert responses(cut)["changed inputs"] == ["logp"]


def test_another_shape_of_loss_is_looked_at():
    assert responses(lambda p, q, m: p.sum())["shape"] == "()"
    assert responses(lambda p, q, m: p * p.detach(), at_once=2)["shape"] == "(2, 2)"
    assert responses(lambda p, q, m: [p])["value 0"].shape == (3, 2)


def language_model(**options):
    state = {
        "embedding.weight": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)),
        "body.1.weight": torch.eye(4),
        "body.1.bias": torch.zeros(4),
        "head.weight": torch.ones(3, 4) * torch.arange(3.0)[:, None],
        "head.bias": torch.zeros(3),
        "decay": torch.tensor(0.5),
    }
    return make("language_model", state=state, **options)


MOVES = {
    "embedding.weight": torch.ones(3, 4),
    "body.1.weight": torch.eye(4),
    "body.1.bias": torch.ones(4),
    "head.weight": torch.ones(3, 4),
    "head.bias": torch.arange(3.0),
    "decay": torch.tensor(0.25),
}
TOKENS = torch.tensor([[0, 1, 2, 1]])


def test_the_small_language_model_looks_back_only_and_has_dropout_in_two_places():
    policy = build_inputs({"policy": language_model(dropout=0.5)}, ())["policy"]
    changed = TOKENS.clone()
    changed[0, 2] = 0
    logits = policy.eval()(TOKENS)
    assert torch.equal(logits[:, :2], policy(changed)[:, :2])
    assert not torch.equal(logits[:, 2:], policy(changed)[:, 2:])
    policy.training = True
    outer = policy(TOKENS)
    policy.train()
    assert torch.equal(policy(TOKENS), policy(TOKENS))  # the same mask each time
    assert not torch.equal(policy(TOKENS), outer)
    assert not torch.equal(outer, logits)


def test_what_a_frozen_copy_shares_and_what_was_done_to_the_policy_is_listed():
    def halfway(policy):
        ref = copy.deepcopy(policy.eval())
        ref.head.weight.data = policy.head.weight.data
        ref.head.requires_grad_(False)
        ref.body.train()
        return ref

    inputs = {"policy": language_model(), "tokens": TOKENS, "moves": MOVES}
    answer = one(halfway, probe="frozen_copy", **inputs)
    moved = answer["value 'independent': what moves with the policy"]
    assert moved == ["head.weight"]
    modes = answer["value 'eval mode': modules in training mode"]
    assert modes == ["body", "body.0", "body.1", "body.2"]
    trained = answer["value 'no gradients': parameters that require one"]
    assert trained == ["embedding.weight", "body.1.weight", "body.1.bias"]
    assert "mode of the whole" in answer["value 'policy as it was': what has changed"]


def test_steps_are_taken_in_a_row_and_ref_is_looked_at():
    def step(policy, ref, optimizer, tokens):
        optimizer.zero_grad()
        loss = policy(tokens).sum() + ref(tokens).sum()
        loss.backward()
        optimizer.step()
        ref.train()
        return {"loss": loss.item(), "kl": float("nan")}

    inputs = {
        "policy": language_model(),
        "ref": language_model(evaluating=("",)),
        "optimizer": make("adamw", of="policy", lr=0.1),
        "tokens": TOKENS,
    }
    answer = one(step, probe="train_thrice", **inputs)
    losses = [answer[f"value 'loss' at step {n}"] for n in (1, 2, 3)]
    assert losses[0] > losses[1] > losses[2]
    assert answer["value 'kl' at step 1"] == "nan"
    changes = answer["what has changed in ref"]
    assert "gradient of head.bias" in changes
    assert "mode of the whole" in changes
    assert "head.bias" not in changes
