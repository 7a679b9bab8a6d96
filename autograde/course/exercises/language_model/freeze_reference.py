"""Make the reference: a frozen copy of the policy as it is now."""

import copy
import io
import math
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from helpers.cases import VALUES, Case, make

from ...draw import Draw
from ...exercise import Exercise
from .shared import lm_state, unigram

INDEPENDENT = "independent"

EVAL = "eval mode"

FROZEN = "no gradients"

KEPT = "policy as it was"

freeze_reference = Exercise(
    "freeze_reference",
    parts={VALUES: 1, INDEPENDENT: 1, EVAL: 1, FROZEN: 1, KEPT: 1},
    hints=(
        "`ref = policy` gives the same network a second name. What would train when you train the "
        "policy?",
        "Three things have to hold of the copy, and none may happen to the policy: numbers of its "
        "own, dropout off in every part, no parameter that collects gradients.",
        "The copy module of Python has a function that copies an object and all that it holds. A "
        "network has methods to switch requires_grad of all its parameters, and the mode of all "
        "its parts: call both on the copy.",
    ),
    advisory={
        EVAL: "the modes of parts without dropout",
        FROZEN: "which parameters require a gradient",
        KEPT: "modes, hooks and attributes, beyond scores and gradients",
    },
)


@freeze_reference.by_hand
def _() -> Iterator[Case]:
    policy = make("language_model", state=unigram(math.log(3), 0.0), dropout=0.5)
    inputs = {"policy": policy, "tokens": torch.tensor([[0, 1]]), "moves": unigram(-1.0, 1.0)}
    yield Case("two tokens, the first three times likelier", inputs, probe="frozen_copy")


@freeze_reference.drawn
def _(draw: Draw) -> Iterator[Case]:
    def case(title: str, dtype: torch.dtype = torch.float32, **options: Any) -> Case:
        policy = make("language_model", state=lm_state(draw, 6, 4, dtype), **options)
        inputs = {"policy": policy, "tokens": draw.integers(2, 5, below=6)}
        moves = lm_state(draw, 6, 4, dtype)  # by which the policy's numbers then change
        return Case(title, inputs | {"moves": moves}, probe="frozen_copy")

    yield case("a policy in training, dropout on", dropout=0.5)
    yield case("gradients of the last step in place", dropout=0.5, left_over=0.25)
    yield case("the policy's body in eval mode", dropout=0.5, evaluating=("body",))
    yield case("the policy's embedding frozen", dropout=0.5, frozen=("embedding.weight",))
    yield case("the head uses the embedding's weights", dropout=0.5, tied=True)
    yield case("a policy in eval mode", evaluating=("",), left_over=-1.0)
    yield case("float64", torch.float64, dropout=0.5)


def _scored_in_passing(policy: nn.Module, tokens: Tensor) -> Tensor:
    """The policy's own scores in eval mode, of which nothing is left to be seen in it."""
    modes = [(part, part.training) for part in policy.modules()]
    scores = policy.eval()(tokens).detach()
    for part, training in modes:
        part.training = training
    return scores


@freeze_reference.wrong(
    "This is the policy itself under a second name: it will move with every step, it was frozen, "
    "and its dropout is off. Copy it first."
)
def the_policy_itself(policy):
    return policy.requires_grad_(False).eval()


@freeze_reference.wrong(
    "The policy itself came back, or a new shell around the same parts (copy.copy), and nothing "
    "was changed: one network with two names. Copy all that it holds."
)
def nothing_done(policy):
    return policy


@freeze_reference.wrong(
    "The policy itself came back, or a new shell around the same parts (copy.copy), in eval mode "
    "and still trained. Copy all that it holds first."
)
def policy_in_eval_mode(policy):
    return policy.eval()


@freeze_reference.wrong(
    "The policy itself came back, or a new shell around the same parts (copy.copy), frozen: it can "
    "no longer be trained. Copy all that it holds first."
)
def policy_frozen(policy):
    return policy.requires_grad_(False)


@freeze_reference.wrong(
    "copy.copy makes a new network around the old parts: layers and parameters are still the "
    "policy's own, and what you did to them was done to it. Copy all that it holds."
)
def shallow_copy(policy):
    return copy.copy(policy).requires_grad_(False).eval()


@freeze_reference.wrong(
    "The copy is still in training mode: its dropout is on, so it scores the same tokens "
    "differently each time. Call eval() on the copy."
)
def eval_forgotten(policy):
    return copy.deepcopy(policy).requires_grad_(False)


@freeze_reference.wrong(
    "The copy's parameters still require gradients. Copying under no_grad does not change that, "
    "nor does `ref.requires_grad = False`, an attribute that nobody reads: the method with an "
    "underscore, requires_grad_, switches all parameters."
)
def freezing_forgotten(policy):
    return copy.deepcopy(policy).eval()


@freeze_reference.wrong(
    "It is a copy, and nothing more: its dropout is on and its parameters require gradients."
)
def copied_only(policy):
    return copy.deepcopy(policy)


@freeze_reference.wrong(
    "The policy was put in eval mode, and then copied: the caller's network was changed, and the "
    "copy's parameters still require gradients. Call eval() and requires_grad_(False) on the copy."
)
def copied_in_eval_mode(policy):
    return copy.deepcopy(policy.eval())


@freeze_reference.wrong(
    "The policy was frozen, and then copied: nothing can train it any more, and the copy's dropout "
    "is on. Call requires_grad_(False) and eval() on the copy."
)
def copied_frozen(policy):
    return copy.deepcopy(policy.requires_grad_(False))


@freeze_reference.wrong(
    "`training` was set on the outermost module alone; the parts inside keep their own mode, "
    "dropout too. eval() goes through all of them."
)
def outermost_in_eval_mode(policy):
    ref = copy.deepcopy(policy).requires_grad_(False)
    ref.training = False
    return ref


@freeze_reference.wrong(
    "Only the direct parts were put in eval mode; the parts inside them, and the whole, were not. "
    "eval() goes through all of them."
)
def direct_parts_in_eval_mode(policy):
    ref = copy.deepcopy(policy).requires_grad_(False)
    for part in ref.children():
        part.training = False
    return ref


@freeze_reference.wrong(
    "Only the dropout modules were put in eval mode. Networks also ask for the mode of the whole, "
    "in attention for instance: call eval() on the copy."
)
def dropout_modules_only(policy):
    ref = copy.deepcopy(policy).requires_grad_(False)
    for part in ref.modules():
        if isinstance(part, nn.Dropout):
            part.eval()
    return ref


@freeze_reference.wrong(
    "The policy was put in eval mode: the caller's network was changed, and that is not this "
    "function's business. Call eval() on the copy."
)
def eval_on_the_policy_first(policy):
    return copy.deepcopy(policy.eval()).requires_grad_(False)


@freeze_reference.wrong(
    "The policy was frozen, and stays so: nothing can train it any more. Copy it first, and freeze "
    "the copy alone."
)
def policy_frozen_first(policy):
    return copy.deepcopy(policy.requires_grad_(False)).eval()


@freeze_reference.wrong(
    "Frozen and put in eval mode was the policy, and then it was copied: the copy is right, the "
    "policy is spoilt. Copy first, and change the copy."
)
def everything_done_to_the_policy_first(policy):
    return copy.deepcopy(policy.requires_grad_(False).eval())


@freeze_reference.wrong(
    "The policy was put in eval mode and then in training mode as a whole. Parts that were in eval "
    "mode before, or all of it, are not any more. Copy first: then nothing is to be undone."
)
def policy_put_in_training_mode(policy):
    ref = copy.deepcopy(policy.eval()).requires_grad_(False)
    policy.train()
    return ref


@freeze_reference.wrong(
    "The policy was frozen and then unfrozen as a whole: parameters that required no gradient "
    "before now do. Copy first: then nothing is to be undone."
)
def policy_unfrozen(policy):
    ref = copy.deepcopy(policy.requires_grad_(False)).eval()
    policy.requires_grad_(True)
    return ref


@freeze_reference.wrong(
    "The copy is right, but the policy's gradients are gone: leave them to whoever made them."
)
def gradients_of_the_policy_cleared(policy):
    policy.zero_grad()
    return copy.deepcopy(policy).requires_grad_(False).eval()


@freeze_reference.wrong(
    "A dict came back, as a state_dict is: numbers by name (the policy's own, unless copied). "
    "Return a network that can be called."
)
def state_returned(policy):
    return policy.state_dict()


@freeze_reference.wrong(
    "Nothing came back: `return` is missing. (If you use a loop to freeze, return after it.)"
)
def nothing_returned(policy):
    copy.deepcopy(policy).requires_grad_(False).eval()


@freeze_reference.wrong(
    "A function came back. Return a network: others ask it for its parameters and its mode."
)
def function_returned(policy):
    ref = copy.deepcopy(policy).requires_grad_(False).eval()
    return lambda tokens: ref(tokens)


@freeze_reference.wrong(
    "load_state_dict(…, assign=True) puts the policy's own tensors into the copy, so both move "
    "together. Without assign it copies the numbers."
)
def state_assigned(policy):
    ref = copy.deepcopy(policy)
    ref.load_state_dict(policy.state_dict(), assign=True)
    return ref.requires_grad_(False).eval()


@freeze_reference.wrong(
    "The copy's parameters got the policy's `.data`: the same memory, so both move together. "
    "Copy the numbers: clone() or copy_()."
)
def data_shared(policy):
    ref = copy.deepcopy(policy)
    for mine, theirs in zip(ref.parameters(), policy.parameters(), strict=True):
        mine.data = theirs.data
    return ref.requires_grad_(False).eval()


@freeze_reference.wrong(
    "A float64 policy gave a float32 reference: keep the dtype, or the two do not score alike."
)
def reference_cast_to_float32(policy):
    return copy.deepcopy(policy).float().requires_grad_(False).eval()


@freeze_reference.wrong(
    "The policy's own dropout was set to 0, and stays so: it will never train with dropout again. "
    "eval() on the copy is all that is needed."
)
def dropout_of_the_policy_removed(policy):
    for part in policy.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    return copy.deepcopy(policy).requires_grad_(False).eval()


@freeze_reference.wrong(
    "The policy itself is hidden inside what came back: it shows no parameters, and scores as the "
    "policy does after every step. Copy it first."
)
def policy_behind_a_wrapper(policy):
    class Wrapper(nn.Module):
        def forward(self, tokens):
            return _scored_in_passing(policy, tokens)

    return Wrapper().eval()


@freeze_reference.wrong(
    "The copy is made when it is first asked: by then the policy may have been trained. Copy it "
    "where the function is called."
)
def copied_at_the_first_call(policy):
    class Late(nn.Module):
        made = None

        def forward(self, tokens):
            if self.made is None:
                object.__setattr__(self, "made", [copy.deepcopy(policy).eval()])
            with torch.no_grad():
                return self.made[0](tokens)

    return Late().eval()


@freeze_reference.wrong(
    "Each time that the reference is asked, the policy is set back to what it was: nothing that "
    "it learns stays. Give the reference numbers of its own."
)
def policy_set_back_at_each_call(policy):
    kept = {name: value.clone() for name, value in policy.state_dict().items()}

    class Back(nn.Module):
        def forward(self, tokens):
            policy.load_state_dict(kept)
            return _scored_in_passing(policy, tokens)

    return Back().eval()


@freeze_reference.wrong(
    "The reference moves a part of the way to the policy each time that it is asked, as a running "
    "average does. It has to stay what the policy was."
)
def follows_the_policy(policy):
    class Average(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = copy.deepcopy(policy)

        def forward(self, tokens):
            with torch.inference_mode():
                for mine, theirs in zip(self.model.parameters(), policy.parameters(), strict=True):
                    mine.lerp_(theirs, 0.25)
            return self.model(tokens)

    return Average().eval().requires_grad_(False)


@freeze_reference.wrong(
    "The parameters were copied, the buffer `decay` was not: it is the policy's own. A network's "
    "state is parameters and buffers; copy both."
)
def buffer_shared(policy):
    ref = copy.deepcopy(policy)
    ref.decay = policy.decay
    return ref.requires_grad_(False).eval()


@freeze_reference.wrong(
    "The embedding's numbers are the policy's own, seen through a detached tensor: detach() cuts "
    "the graph and shares the memory. Copy the numbers: clone() or copy_()."
)
def embedding_detached_only(policy):
    ref = copy.deepcopy(policy).requires_grad_(False)
    ref.embedding.weight = nn.Parameter(policy.embedding.weight.detach(), requires_grad=False)
    return ref.eval()


@freeze_reference.wrong(
    "The policy's parameters themselves came along, their gradients switched off: two networks "
    "with one set of numbers, and the policy can no longer be trained. Copy the numbers."
)
def parameters_handed_on(policy):
    ref = copy.deepcopy(policy)
    for name, module in ref.named_modules():
        for key in list(module._parameters):
            setattr(module, key, policy.get_submodule(name)._parameters[key])
    return ref.requires_grad_(False).eval()


@freeze_reference.wrong(
    "A method came back, not what it returns: parentheses are missing behind its name."
)
def method_returned(policy):
    return copy.deepcopy(policy).requires_grad_(False).eval


def _frozen_where(policy: nn.Module, chosen: Callable[[str], bool]) -> nn.Module:
    ref = copy.deepcopy(policy).eval()
    for name, parameter in ref.named_parameters():
        if chosen(name):
            parameter.requires_grad_(False)
    return ref


@freeze_reference.wrong(
    "The copy's weights were frozen, its biases still require gradients: freeze every parameter."
)
def weights_frozen_alone(policy):
    return _frozen_where(policy, lambda name: not name.endswith("bias"))


@freeze_reference.wrong(
    "All of the copy's parameters were frozen but the head's: freeze every parameter."
)
def head_left_trainable(policy):
    return _frozen_where(policy, lambda name: not name.startswith("head"))


@freeze_reference.wrong(
    "All of the copy's parameters were frozen but the last one: freeze every parameter."
)
def last_parameter_left(policy):
    return _frozen_where(policy, lambda name: name != "head.bias")


@freeze_reference.wrong(
    "The copy's dropout modules were set to 0, but the copy is not in eval mode. Networks "
    "also ask for the mode of the whole: call eval() on the copy."
)
def dropout_of_the_copy_removed(policy):
    ref = copy.deepcopy(policy).requires_grad_(False)
    for part in ref.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    return ref


@freeze_reference.wrong(
    "The parts of the copy are in eval mode, the whole is not: call eval() on the copy itself."
)
def parts_in_eval_mode_alone(policy):
    ref = copy.deepcopy(policy).requires_grad_(False)
    for part in ref.children():
        part.eval()
    return ref


@freeze_reference.right
def parameter_by_parameter(policy):
    ref = copy.deepcopy(policy)
    for parameter in ref.parameters():
        parameter.requires_grad = False
    ref.train(False)
    return ref


@freeze_reference.right
def pickled(policy):
    ref = pickle.loads(pickle.dumps(policy))
    for parameter in ref.parameters():
        parameter.detach_()
        parameter.requires_grad_(False)
    return ref.eval()


@freeze_reference.right
def saved_and_loaded(policy):
    file = io.BytesIO()
    torch.save(policy, file)
    file.seek(0)
    return torch.load(file, weights_only=False).eval().requires_grad_(False)


@freeze_reference.right
def from_the_state(policy):
    ref = copy.deepcopy(policy)
    ref.load_state_dict({name: value.clone() for name, value in policy.state_dict().items()})
    for module in ref.modules():
        module.training = False
    return ref.requires_grad_(False)


@freeze_reference.right
def in_inference_mode(policy):
    with torch.inference_mode():
        return copy.deepcopy(policy).requires_grad_(False).eval()


@freeze_reference.right
def called_with_numbers_of_its_own(policy):
    class Frozen(nn.Module):
        def __init__(self):
            super().__init__()
            self.kept = {name: v.detach().clone() for name, v in policy.state_dict().items()}
            self.shell = copy.deepcopy(policy).requires_grad_(False)

        def forward(self, tokens):
            return torch.func.functional_call(self.shell, self.kept, (tokens,), tie_weights=False)

    return Frozen().eval()


@freeze_reference.right
def as_a_vector(policy):
    ref = copy.deepcopy(policy).requires_grad_(False)
    numbers = nn.utils.parameters_to_vector(policy.parameters()).detach().clone()
    nn.utils.vector_to_parameters(numbers, ref.parameters())
    return ref.eval()


@freeze_reference.right
def as_an_average_of_one(policy):
    return torch.optim.swa_utils.AveragedModel(policy).requires_grad_(False).eval()


@freeze_reference.right
def as_a_part_of_another(policy):
    return nn.Sequential(copy.deepcopy(policy)).eval().requires_grad_(False)
