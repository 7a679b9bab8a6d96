"""Exercises of lesson 06: the same update on a language model."""

import copy
import io
import math
import pickle
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical
from torch.nn import functional as F  # noqa: N812, its usual name

from helpers import reference
from helpers.cases import GRADIENT, RULES, VALUES, Case, make

from ..draw import Draw
from ..exercise import Exercise, Mistake, Quiz, tensor

INF, NAN = torch.inf, torch.nan
INDEPENDENT = "independent"
EVAL = "eval mode"
FROZEN = "no gradients"
KEPT = "policy as it was"
LAST = "the last real token"
CONSTANT = "a constant"
PADDING = "padding"
EMPTY = "nothing real"
TIES = "ties and single samples"
CLIP = "beyond the clip"
PENALTY = "penalty"
UNEQUAL = "rows of unequal length"
KL = "kl"
DROPOUT = "dropout"
LEFT_OVER = "gradients left over"
REF = "reference untouched"
SEVERAL = "several steps"

Optimizer = torch.optim.Optimizer


# --- freeze_reference ----------------------------------------------------------------------------

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


def _lm_state(
    draw: Draw, vocab: int, width: int, dtype: torch.dtype = torch.float64
) -> dict[str, Tensor]:
    """Weights of a language model, as the "language_model" maker wants them."""
    return {
        "embedding.weight": draw.normal(vocab, width, dtype=dtype),
        "body.1.weight": draw.normal(width, width, scale=0.7, dtype=dtype),
        "body.1.bias": draw.normal(width, scale=0.3, dtype=dtype),
        "head.weight": draw.normal(vocab, width, scale=0.6, dtype=dtype),
        "head.bias": draw.normal(vocab, scale=0.3, dtype=dtype),
        "decay": torch.tensor(0.5, dtype=dtype),
    }


def _unigram(*bias: float) -> dict[str, Tensor]:
    """A language model with these logits whatever came before."""
    wide, vocab = tensor([0.0, 0.0], dtype=torch.float64), len(bias)
    return {
        "embedding.weight": wide.repeat(vocab, 1),
        "body.1.weight": wide.repeat(2, 1),
        "body.1.bias": wide[0],
        "head.weight": wide.repeat(vocab, 1),
        "head.bias": tensor(*bias, dtype=torch.float64),
        "decay": torch.tensor(0.5, dtype=torch.float64),
    }


@freeze_reference.by_hand
def _() -> Iterator[Case]:
    policy = make("language_model", state=_unigram(math.log(3), 0.0), dropout=0.5)
    inputs = {"policy": policy, "tokens": torch.tensor([[0, 1]]), "moves": _unigram(-1.0, 1.0)}
    yield Case("two tokens, the first three times likelier", inputs, probe="frozen_copy")


@freeze_reference.drawn
def _(draw: Draw) -> Iterator[Case]:
    def case(title: str, dtype: torch.dtype = torch.float32, **options: Any) -> Case:
        policy = make("language_model", state=_lm_state(draw, 6, 4, dtype), **options)
        inputs = {"policy": policy, "tokens": draw.integers(2, 5, below=6)}
        moves = _lm_state(draw, 6, 4, dtype)  # by which the policy's numbers then change
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
    "The policy itself came back, as it was: one network with two names. (copy.copy is no better: "
    "a new shell around the same parts.) Copy all that it holds."
)
def nothing_done(policy):
    return policy


@freeze_reference.wrong(
    "The policy itself came back, in eval mode and still trained: one network with two names. Copy "
    "it first."
)
def policy_in_eval_mode(policy):
    return policy.eval()


@freeze_reference.wrong(
    "The policy itself came back, frozen: it can no longer be trained. Copy it first."
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
    "The policy was frozen before it was copied, and stays so: nothing can train it any more. "
    "Freeze the copy alone."
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
    "A state_dict came back: numbers, and the policy's own ones, as state_dict does not copy. "
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


# --- kl_shaped_rewards ---------------------------------------------------------------------------

kl_shaped_rewards = Exercise(
    "kl_shaped_rewards",
    parts={VALUES: 2, LAST: 2, PADDING: 1, EMPTY: 1, CONSTANT: 1, RULES: 1},
    hints=(
        "Two rewards, added: a price at every real token, and a score at one token of each row. "
        "Write them as two tensors [batch, time].",
        "A response need not begin at 0 nor end at the end: its last real token is the True after "
        "which no True follows. cumsum over the mask, from the right, counts the True from each "
        "place on.",
        "With flip(1) before and after cumsum, the last real token is where the mask is True and "
        "that count is 1. torch.where(last, score[:, None], 0.0) puts the score there; choose the "
        "price with torch.where too, and detach the sum.",
    ),
    advisory={CONSTANT: "that no gradient arrives"},
)
THREE = ("score", "logp", "ref_logp")


@kl_shaped_rewards.by_hand
def _() -> Iterator[Case]:
    def case(title: str, mask: list[bool], part: str = VALUES, **changed: Any) -> Case:
        inputs = {
            "score": tensor(1.0),
            "logp": tensor([-1.0, -2.0, -3.0]),
            "ref_logp": tensor([-3.0, -1.0, -3.5]),
            "mask": torch.tensor([mask]),
            "beta": 0.1,
        }
        return Case(title, inputs | changed, part)

    yield case("log-ratios 2, −1, 0.5, score 1, beta 0.1: −0.2, 0.1, 0.95", [True, True, True])
    yield case("the same without a price: 0, 0, 1", [True, True, True], beta=0.0)
    # Sizes that the drawn cases never reach: no bound is seen by luck alone.
    wide = {"logp": tensor([-1.0, -8.0, -3.0]), "ref_logp": tensor([-7.0, -2.0, -3.0])}
    for score in (8.0, -8.0):
        title = f"log-ratios 6, −6, 0, score {score:g}: −0.6, 0.6, {score:g}".replace("-", "−")
        yield case(title, [True, True, True], **wide, score=tensor(score))
    yield case("the third is padding: −0.2, 1.1, 0", [True, True, False], LAST)
    yield case("the first is the prompt: 0, 0.1, 0.95", [False, True, True], LAST)
    yield case("one real token in the middle: 0, 1.1, 0", [False, True, False], LAST)
    for poison in (INF, NAN):
        changed = {"logp": tensor([-1.0, -2.0, poison]), "ref_logp": tensor([-3.0, -1.0, poison])}
        yield case(f"{poison} in the padding", [True, True, False], PADDING, **changed)
    yield case("nothing real: 0, 0, 0", [False, False, False], EMPTY)
    sure = {"logp": tensor([-1.0, -2.0, 0.0]), "ref_logp": tensor([-3.0, -1.0, -0.5])}
    yield case("the last token is certain: −0.2, 0.1, 0.95", [True, True, True], LAST, **sure)
    far = {"logp": tensor([-1.0, -26.0, -3.0]), "ref_logp": tensor([-16.0, -1.0, -3.0])}
    far |= {"score": tensor(-40.0)}
    title = "log-ratios 15, −25, 0, score −40: −1.5, 2.5, −40"
    yield case(title, [True, True, True], RULES, **far)
    far = {"logp": tensor([-1.0, -71.0, -3.0]), "ref_logp": tensor([-71.0, -1.0, -3.0])}
    for score in (5000.0, -5000.0):
        title = f"log-ratios 70, −70, 0, score {score:g}: −7, 7, {score:g}".replace("-", "−")
        yield case(title, [True, True, True], RULES, **far, score=tensor(score))


@kl_shaped_rewards.drawn
def _(draw: Draw) -> Iterator[Case]:
    def inputs(mask: Tensor, beta: float = 0.3, dtype: torch.dtype = torch.float32) -> dict:
        ref_logp = draw.logp(*mask.shape, dtype=dtype)
        return {
            "score": draw.normal(len(mask), dtype=dtype) + 0.5,
            "logp": ref_logp + draw.normal(*mask.shape, scale=0.8, dtype=dtype),
            "ref_logp": ref_logp,
            "mask": mask,
            "beta": beta,
        }

    whole, lengths = torch.ones(4, 4, dtype=torch.bool), draw.lengths_mask(4, 7)
    yield Case("4 responses of 4 tokens", inputs(whole))
    yield Case("beta 2.5", inputs(whole[:, :3], 2.5))
    yield Case("rows of unequal length", inputs(lengths), LAST)
    place = torch.arange(7)
    responses = lengths.roll(2, dims=1) & (place >= 2)
    responses[:, 2:4] = True  # two real tokens at least: a single one is a case of its own
    yield Case("a prompt of two tokens in front", inputs(responses), LAST)
    pieces = ([0, 1, 1, 0, 1, 0], [1, 0, 1, 0, 0, 1], [1, 1, 0, 1, 1, 0], [0, 1, 0, 1, 0, 0])
    holes = torch.tensor(pieces, dtype=torch.bool)
    yield Case("responses with gaps in them", inputs(holes), LAST)
    poisoned = inputs(responses)
    for name, poison in (("logp", NAN), ("ref_logp", -INF)):
        poisoned[name] = poisoned[name].masked_fill(~responses, poison)
    yield Case("nan and inf in prompt and padding", poisoned, PADDING)
    some = lengths.clone()
    some[1] = False
    yield Case("one row with nothing real", inputs(some), EMPTY)
    yield Case("score, logp and ref_logp with a graph", inputs(lengths), CONSTANT, THREE)
    yield Case("float64", inputs(lengths, dtype=torch.float64), RULES)


def _last(mask: Tensor) -> Tensor:
    """True at the last True of each row."""
    return mask & (mask.flip(1).cumsum(1).flip(1) == 1)


def _shaped(
    given: tuple,
    price: Callable[[Tensor, Tensor], Tensor] = torch.sub,
    last: Callable[[Tensor], Tensor] = _last,
) -> Tensor:
    """The rewards with another price of a token, or the score at other places."""
    score, logp, ref_logp, mask, beta = given
    logp, ref_logp, score = logp.detach(), ref_logp.detach(), score.detach()
    costs = (beta * price(logp, ref_logp)).masked_fill(~mask, 0.0)
    return score[:, None].expand_as(logp).masked_fill(~last(mask), 0.0) - costs


@kl_shaped_rewards.wrong(
    "The price has the wrong sign: drift is paid for here. It is −beta · (logp − ref_logp): what "
    "the policy made likelier than the reference costs."
)
def drift_rewarded(*given):
    return _shaped(given, lambda logp, ref_logp: ref_logp - logp)


@kl_shaped_rewards.wrong("The price was not weighted: multiply the log-ratio by beta.")
def price_without_beta(score, logp, ref_logp, mask, beta):
    return reference.kl_shaped_rewards(score, logp, ref_logp, mask, 1.0)


@kl_shaped_rewards.wrong("The price is missing: only the score came back.")
def score_alone(score, logp, ref_logp, mask, beta):
    return reference.kl_shaped_rewards(score, logp, ref_logp, mask, 0.0)


@kl_shaped_rewards.wrong("The score is missing: add it to the last real token of each row.")
def price_alone(score, logp, ref_logp, mask, beta):
    return reference.kl_shaped_rewards(torch.zeros_like(score), logp, ref_logp, mask, beta)


@kl_shaped_rewards.wrong(
    "The score was written over the price of the last real token. Both belong there: add it."
)
def score_in_place_of_the_price(*given):
    score, _, _, mask, _ = given
    return torch.where(_last(mask), score[:, None], _shaped(given)).detach()


@kl_shaped_rewards.wrong(
    "Every real token got the score. It judges the response as a whole and is paid once, at its "
    "last real token."
)
def score_on_every_token(*given):
    return _shaped(given, last=lambda mask: mask)


@kl_shaped_rewards.wrong(
    "The score was shared out over the tokens. It is paid whole, at the last real token."
)
def score_shared_out(score, logp, ref_logp, mask, beta):
    share = score / mask.sum(1).clamp(min=1)
    return _shaped((share, logp, ref_logp, mask, beta), last=lambda mask: mask)


@kl_shaped_rewards.wrong(
    "The score went to the last place of the row, [:, -1], which is padding where a response is "
    "shorter. It belongs to the last place where the mask is True."
)
def score_at_the_end_of_the_row(*given):
    end = torch.arange(given[3].shape[1]) == given[3].shape[1] - 1
    return _shaped(given, last=lambda mask: end.expand_as(mask))


@kl_shaped_rewards.wrong(
    "The last place of the row was taken for the last real token, so a response that ends before "
    "gets no score."
)
def score_lost_with_padding(*given):
    end = torch.arange(given[3].shape[1]) == given[3].shape[1] - 1
    return _shaped(given, last=lambda mask: end & mask)


@kl_shaped_rewards.wrong(
    "mask.sum(1) − 1 is the last real place only if the row begins with the response. With a "
    "prompt in front, or a gap, the last True is further on."
)
def score_at_the_count(*given):
    def counted(mask: Tensor) -> Tensor:
        place = torch.arange(mask.shape[1])
        return (place == mask.sum(1, keepdim=True) - 1) & mask.any(1, keepdim=True)

    return _shaped(given, last=counted)


@kl_shaped_rewards.wrong(
    "mask.sum(1) − 1 is −1 in a row with nothing real, which is the row's last place; and with a "
    "prompt in front, or a gap, it is not the last real place. Look for the last True."
)
def score_at_the_count_or_the_end(*given):
    def counted(mask: Tensor) -> Tensor:
        place = torch.arange(mask.shape[1])
        return place == (mask.sum(1, keepdim=True) - 1) % mask.shape[1]

    return _shaped(given, last=counted)


@kl_shaped_rewards.wrong(
    "The score went to the first gap's edge: the last token of the first unbroken piece. A later "
    "True may follow; take the last one of the row."
)
def score_at_the_end_of_the_first_piece(*given):
    def first_end(mask: Tensor) -> Tensor:
        ends = mask & ~F.pad(mask, (0, 1))[:, 1:]
        return ends & (ends.cumsum(1) == 1)

    return _shaped(given, last=first_end)


@kl_shaped_rewards.wrong(
    "The count of real tokens from here on is 1 in a gap before the last real token too, so the "
    "score was paid there as well. Ask for both: the mask is True, and the count is 1."
)
def score_in_the_last_gap_too(*given):
    return _shaped(given, last=lambda mask: mask.flip(1).cumsum(1).flip(1) == 1)


@kl_shaped_rewards.wrong(
    "The score went to the end of every piece of the response: it was paid more than once in a row "
    "with gaps. Take the last True of the row."
)
def score_at_the_end_of_every_piece(*given):
    return _shaped(given, last=lambda mask: mask & ~F.pad(mask, (0, 1))[:, 1:])


@kl_shaped_rewards.wrong(
    "The score went to the first real token: argmax of a mask finds the first True. It is paid at "
    "the last."
)
def score_at_the_first_token(*given):
    return _shaped(given, last=lambda mask: mask & (mask.cumsum(1) == 1))


@kl_shaped_rewards.wrong(
    "A row with nothing real got its score at the end: there an index of −1, or an argmax of 0 "
    "after a flip, is the last place. Such a row is all zeros."
)
def empty_row_scored_at_the_end(*given):
    def found(mask: Tensor) -> Tensor:
        last = mask.shape[1] - 1 - mask.flip(1).int().argmax(1, keepdim=True)
        return torch.arange(mask.shape[1]) == last

    return _shaped(given, last=found)


@kl_shaped_rewards.wrong(
    "A row with nothing real got its score at place 0: the largest index of no True came out as 0. "
    "Such a row is all zeros."
)
def empty_row_scored_at_the_start(*given):
    def found(mask: Tensor) -> Tensor:
        place = torch.arange(mask.shape[1])
        return place == (place * mask).amax(1, keepdim=True)

    return _shaped(given, last=found)


@kl_shaped_rewards.wrong(
    "The sum of all prices was charged at the last real token. Charge each token for its own "
    "drift: then credit can be given token by token."
)
def price_at_the_end(score, logp, ref_logp, mask, beta):
    gap = torch.where(mask, logp - ref_logp, 0.0).sum(1)
    return _shaped((score - beta * gap, logp, ref_logp, mask, 0.0)).detach()


@kl_shaped_rewards.wrong(
    "The price was divided by the length of the response. Each token pays for its own drift whole."
)
def price_divided_by_length(score, logp, ref_logp, mask, beta):
    length = mask.sum(1, keepdim=True).clamp(min=1)
    return _shaped((score, logp / length, ref_logp / length, mask, beta))


@kl_shaped_rewards.wrong(
    "The price is k3. In the reward it is the log-ratio itself, k1: its expectation is the same, "
    "and as a constant it gives the right gradient through the advantage."
)
def price_k3(*given):
    return _shaped(given, lambda logp, ref_logp: (ref_logp - logp).expm1() - ref_logp + logp)


@kl_shaped_rewards.wrong(
    "The price is k2, half the square. In the reward it is the log-ratio itself, which may be "
    "negative."
)
def price_k2(*given):
    return _shaped(given, lambda logp, ref_logp: (logp - ref_logp).square() / 2)


@kl_shaped_rewards.wrong(
    "The price was kept from being negative. A token that the policy made rarer than the "
    "reference earns something: without that, the prices do not average to a KL."
)
def price_never_negative(*given):
    return _shaped(given, lambda logp, ref_logp: (logp - ref_logp).clamp(min=0))


@kl_shaped_rewards.wrong("The price is the size of the log-ratio. It keeps its sign.")
def price_of_the_size(*given):
    return _shaped(given, lambda logp, ref_logp: (logp - ref_logp).abs())


@kl_shaped_rewards.wrong(
    "exp was taken: the price is the ratio of probabilities. It is the log-ratio, logp − ref_logp."
)
def price_of_the_ratio(*given):
    return _shaped(given, lambda logp, ref_logp: (logp - ref_logp).exp())


@kl_shaped_rewards.wrong(
    "beta was multiplied into the score too. It weighs the price of drift alone."
)
def score_times_beta(score, logp, ref_logp, mask, beta):
    return reference.kl_shaped_rewards(beta * score, logp, ref_logp, mask, beta)


@kl_shaped_rewards.wrong(
    "The score was laid along time, as [batch] meets [batch, time] from the right: give it a "
    "second axis, score[:, None]."
)
def score_along_time(score, logp, ref_logp, mask, beta):
    price = torch.where(mask, -beta * (logp - ref_logp), 0.0)
    return (price + torch.where(_last(mask), score, 0.0)).detach()


@kl_shaped_rewards.wrong("One number for each response came back: return one for each token.")
def summed_up(score, logp, ref_logp, mask, beta):
    return reference.kl_shaped_rewards(score, logp, ref_logp, mask, beta).sum(1)


@kl_shaped_rewards.wrong("The mask was not used for the price: padding and prompt are charged too.")
def padding_charged(score, logp, ref_logp, mask, beta):
    price = -beta * (logp - ref_logp)
    return (price + torch.where(_last(mask), score[:, None], 0.0)).detach()


@kl_shaped_rewards.wrong(
    "The mask was multiplied in. What stands in the padding may be inf or nan, and 0 · inf is nan: "
    "choose with torch.where."
)
def price_times_mask(score, logp, ref_logp, mask, beta):
    price = -beta * (logp - ref_logp) * mask
    return (price + torch.where(_last(mask), score[:, None], 0.0)).detach()


def _leaking(constants: tuple[str, ...], *given: Any) -> Tensor:
    """The rewards where only these inputs were detached."""
    named = dict(zip((*THREE, "mask", "beta"), given, strict=True))
    for name in constants:
        named[name] = named[name].detach()
    price = torch.where(named["mask"], named["logp"] - named["ref_logp"], 0.0)
    paid = torch.where(_last(named["mask"]), named["score"][:, None], 0.0)
    return paid - named["beta"] * price


for _leaks in (("logp",), ("score",), ("ref_logp",), THREE, ("score", "logp"), THREE[1:]):
    kl_shaped_rewards.mistakes.append(
        Mistake(
            f"gradient_reaches_{'_and_'.join(_leaks)}",
            f"A gradient reaches {' and '.join(_leaks)}. A reward is "
            "what the world paid, a constant: it acts through the advantage. Detach the result.",
            partial(_leaking, tuple(name for name in THREE if name not in _leaks)),
        )
    )


@kl_shaped_rewards.wrong(
    "Rewards were added up from each token to the end: that is the return-to-go, which comes "
    "later. Return each token's own reward."
)
def rewards_to_go(*given):
    return reference.kl_shaped_rewards(*given).flip(1).cumsum(1).flip(1)


@kl_shaped_rewards.wrong(
    "Padding behind the last real token was paid the score too: the count of real tokens so far is "
    "full there as well. Ask for both, the count and the mask."
)
def score_on_the_padding_behind(*given):
    return _shaped(given, last=lambda mask: mask.cumsum(1) == mask.sum(1, keepdim=True))


@kl_shaped_rewards.wrong("float64 came in and float32 went out: keep the dtype you are given.")
def rewards_cast_to_float32(score, logp, ref_logp, mask, beta):
    given = (values.float() for values in (score, logp, ref_logp))
    return reference.kl_shaped_rewards(*given, mask, beta)


@kl_shaped_rewards.wrong(
    "An input was changed in place: the caller's logp is another tensor afterwards. Compute a new "
    "one."
)
def logp_changed_in_place(score, logp, ref_logp, mask, beta):
    with torch.no_grad():
        logp -= ref_logp
    return reference.kl_shaped_rewards(score, logp, torch.zeros_like(logp), mask, beta)


@kl_shaped_rewards.wrong("beta was squared: the price is beta · (logp − ref_logp).")
def beta_squared(score, logp, ref_logp, mask, beta):
    return reference.kl_shaped_rewards(score, logp, ref_logp, mask, beta**2)


@kl_shaped_rewards.wrong(
    "Each row's price was shared out evenly over its real tokens. Each token pays for itself: the "
    "reward then says which one drifted."
)
def price_shared_out(score, logp, ref_logp, mask, beta):
    gap = (logp - ref_logp).masked_fill(~mask, 0.0)
    shared = gap.sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
    nothing = torch.zeros_like(logp)
    return reference.kl_shaped_rewards(score, shared.expand_as(logp), nothing, mask, beta)


@kl_shaped_rewards.wrong(
    "The score was paid one token early: at the place before the last True. The last real token "
    "gets it."
)
def score_one_early(*given):
    return _shaped(given, last=lambda mask: F.pad(_last(mask), (0, 1))[:, 1:])


@kl_shaped_rewards.right
def token_by_token(score, logp, ref_logp, mask, beta):
    rewards = torch.zeros_like(logp)
    for b in range(len(logp)):
        real = mask[b].nonzero().flatten().tolist()
        for t in real:
            rewards[b, t] = -beta * (logp[b, t].item() - ref_logp[b, t].item())
        if real:
            rewards[b, real[-1]] += score[b].item()
    return rewards


@kl_shaped_rewards.right
def with_scatter_add(score, logp, ref_logp, mask, beta):
    with torch.no_grad():
        rewards = (logp - ref_logp).masked_fill(~mask, 0.0) * -beta
        place = torch.arange(mask.shape[1], device=mask.device)
        last = torch.where(mask, place, -1).amax(1)
        paid = score.masked_fill(last < 0, 0.0)
        return rewards.scatter_add(1, last.clamp(min=0)[:, None], paid[:, None])


@kl_shaped_rewards.right
@torch.no_grad()
def with_index_put(score, logp, ref_logp, mask, beta):
    rewards = logp.new_zeros(logp.shape)
    rewards[mask] = beta * (ref_logp[mask] - logp[mask])
    rows = mask.any(1).nonzero().squeeze(1)
    backwards = mask.flip(1).to(torch.uint8).argmax(1)
    rewards[rows, mask.shape[1] - 1 - backwards[rows]] += score[rows]
    return rewards


@kl_shaped_rewards.right
def with_one_hot(score, logp, ref_logp, mask, beta):
    time = mask.shape[1]
    last = (torch.arange(1, time + 1) * mask).max(dim=1).values
    at = F.one_hot(last, time + 1)[:, 1:].to(logp.dtype)
    gap = torch.nan_to_num(logp, 0.0, 0.0, 0.0) - torch.nan_to_num(ref_logp, 0.0, 0.0, 0.0)
    return torch.einsum("b,bt->bt", score, at).detach() - beta * (gap * mask).detach()


# --- group_advantage -----------------------------------------------------------------------------

group_advantage = Exercise(
    "group_advantage",
    parts={VALUES: 3, TIES: 2, RULES: 1},
    hints=(
        "Each row is a group: mean and standard deviation are taken along which axis, so that each "
        "row has its own?",
        "The sample standard deviation divides by n − 1. What is 0/0, and which group has that? A "
        "single response has nothing to be compared with: its advantage is 0.",
        "keepdim=True keeps mean and deviation beside their row. For a group of one, use "
        "correction=0 in std, or return zeros; eps is added to the deviation, outside the root.",
    ),
)


@group_advantage.by_hand
def _() -> Iterator[Case]:
    def case(title: str, rewards: list, part: str = VALUES, **options: float) -> Case:
        atol = 1e-3 if part == TIES else None
        return Case(title, {"rewards": tensor(*rewards), **options}, part, atol=atol)

    yield case("rewards 1 and 3, deviation √2: −0.7071, 0.7071", [[1.0, 3.0]])
    yield case("two groups, each with its own mean", [[1.0, 3.0], [12.0, 10.0]])
    yield case("eps 1, rewards 0, 2, 4: deviation 2, so −2/3, 0, 2/3", [[0.0, 2.0, 4.0]], eps=1.0)
    yield case("eps 4, more than the deviation", [[1.0, 3.0]], eps=4.0)
    yield case("0.001 and 0.003: here eps counts", [[0.001, 0.003]])
    yield case("0 and 0.0005, far below the deviations so far", [[0.0, 0.0005]])
    yield case("means of exactly 0 and 1", [[-1.0, 1.0], [0.0, 2.0]])
    yield case("all below 0, and all above 1", [[-3.0, -1.0], [5.0, 2.0]])
    yield case("0 and 0.00001: apart, if only just", [[0.0, 0.00001]])
    alone = [[0.0] * 7 + [1.0], [1.0] * 7 + [0.0]]
    yield case("one of eight right, one of eight wrong: ±2.474 for it", alone)
    alone = [[0.0] * 119 + [1.0], [1.0] * 119 + [0.0]]
    yield case("one of 120: ±10.85 for it", alone, RULES)
    yield case("rewards of thousands", [[500.0, 0.0, 3000.0], [-500.0, 0.0, -3000.0]], RULES)
    yield case("all alike: 0", [[0.5, 0.5, 0.5, 0.5]], TIES)
    yield case("all 0: 0", [[0.0, 0.0, 0.0]], TIES)
    yield case("a tied group beside another one", [[2.0, 2.0], [1.0, 3.0]], TIES)
    yield case("one response: 0", [[3.0], [-1.0]], TIES)


@group_advantage.drawn
def _(draw: Draw) -> Iterator[Case]:
    shift = draw.normal(3, 1, scale=5.0)
    yield Case("3 groups of 5", {"rewards": draw.normal(3, 5) + shift})
    yield Case("4 groups of 4", {"rewards": draw.normal(4, 4) * 2})
    yield Case("eps 0.5", {"rewards": draw.normal(2, 6), "eps": 0.5})
    tied = draw.normal(3, 4)
    tied[1] = 0.25
    yield Case("the middle group tied", {"rewards": tied}, TIES, atol=1e-3)
    yield Case("groups of one", {"rewards": draw.normal(4, 1)}, TIES, atol=1e-3)
    yield Case("float64", {"rewards": draw.normal(3, 5, dtype=torch.float64)}, RULES)


def _gain(rewards: Tensor) -> Tensor:
    return rewards - rewards.mean(1, keepdim=True)


def _deviation(rewards: Tensor) -> Tensor:
    """Sample standard deviation of each row; 0 for a row of one."""
    freedom = max(rewards.shape[1] - 1, 1)
    return (_gain(rewards).square().sum(1, keepdim=True) / freedom).sqrt()


@group_advantage.wrong(
    "This is the standard deviation with n below. The sample standard deviation divides by n − 1: "
    "it is what torch.std does when it is not told otherwise."
)
def population_deviation(rewards, eps=1e-4):
    return _gain(rewards) / (rewards.std(1, correction=0, keepdim=True) + eps)


@group_advantage.wrong(
    "Only the mean was taken away. Divide by the standard deviation of the group too."
)
def mean_alone(rewards, eps=1e-4):
    return _gain(rewards)


@group_advantage.wrong("The group's mean was not taken away: all responses get pushed one way.")
def mean_forgotten(rewards, eps=1e-4):
    return rewards / (_deviation(rewards) + eps)


@group_advantage.wrong(
    "Mean and deviation were taken over the whole batch. Each row is a group of responses to one "
    "prompt, and is compared with itself: dim=1."
)
def over_the_batch(rewards, eps=1e-4):
    gain = rewards - rewards.mean()
    return gain / (gain.square().sum().div(max(gain.numel() - 1, 1)).sqrt() + eps)


@group_advantage.wrong(
    "Each group has its own mean, but the deviation is that of the whole batch. Take it along the "
    "samples too: dim=1."
)
def deviation_of_the_batch(rewards, eps=1e-4):
    centre = rewards - rewards.mean()
    return _gain(rewards) / (centre.square().sum().div(max(centre.numel() - 1, 1)).sqrt() + eps)


@group_advantage.wrong(
    "The wrong axis: responses to different prompts were compared (dim=0). The samples of a group "
    "lie along dim=1."
)
def along_the_groups(rewards, eps=1e-4):
    return reference.group_advantage(rewards.T.contiguous(), eps).T


@group_advantage.wrong(
    "mean(0) and std(0) compare responses to different prompts, and with one prompt alone std(0) "
    "is nan. The samples of a group lie along dim=1: keepdim=True keeps both beside their row."
)
def along_the_first_axis(rewards, eps=1e-4):
    gain = rewards - rewards.mean(0)
    variance = gain.square().sum(0) / torch.tensor(rewards.shape[0] - 1)
    return gain / (variance.sqrt() + eps)


@group_advantage.wrong(
    "keepdim=True is missing: mean and deviation of the groups lie along the samples, one to each "
    "column, or do not fit at all. Keep them beside their row."
)
def keepdim_forgotten(rewards, eps=1e-4):
    return (rewards - rewards.mean(1)) / (_deviation(rewards).squeeze(1) + eps)


@group_advantage.wrong("The variance was used: take its root, the standard deviation.")
def variance_used(rewards, eps=1e-4):
    return _gain(rewards) / (_deviation(rewards).square() + eps)


@group_advantage.wrong(
    "eps stands under the root. It is added to the standard deviation, after the root."
)
def eps_under_the_root(rewards, eps=1e-4):
    return _gain(rewards) / (_deviation(rewards).square() + eps).sqrt()


@group_advantage.wrong("eps was used as a lower bound of the deviation. It is added to it, always.")
def eps_as_a_bound(rewards, eps=1e-4):
    return _gain(rewards) / _deviation(rewards).clamp(min=eps)


@group_advantage.wrong(
    "eps is missing, or another number stands in its place: add the argument to the deviation."
)
def eps_not_used(rewards, eps=1e-4):
    return reference.group_advantage(rewards, 1e-8)


@group_advantage.wrong(
    "eps = 1e-4 was written into the formula: when another eps is given, it is not used."
)
def eps_written_in(rewards, eps=1e-4):
    return reference.group_advantage(rewards, 1e-4)


@group_advantage.wrong("eps is 1e-4 when it is not given: keep the default of the signature.")
def another_default(rewards, eps=1e-8):
    return reference.group_advantage(rewards, eps)


@group_advantage.wrong(
    "eps is missing. A group without spread, all alike, is then 0/0 = nan: add eps to the "
    "deviation."
)
def eps_forgotten(rewards, eps=1e-4):
    return _gain(rewards) / _deviation(rewards)


@group_advantage.wrong(
    "Right but for a group of one: its sample standard deviation is 0/0 = nan, and nan + eps is "
    "nan. Such a group gets 0."
)
def deviation_of_one(rewards, eps=1e-4):
    gain = _gain(rewards)
    variance = gain.square().sum(1, keepdim=True) / torch.tensor(rewards.shape[1] - 1)
    return gain / (variance.sqrt() + eps)


@group_advantage.wrong(
    "A group of one kept its reward. With nothing to compare it with, its advantage is 0."
)
def single_reward_kept(rewards, eps=1e-4):
    return rewards if rewards.shape[1] == 1 else reference.group_advantage(rewards, eps)


@group_advantage.wrong(
    "A tied group kept its rewards. Where all responses are equally good, there is nothing to "
    "learn: 0."
)
def tied_rewards_kept(rewards, eps=1e-4):
    tied = _deviation(rewards) == 0
    return torch.where(tied, rewards, reference.group_advantage(rewards, eps))


@group_advantage.wrong(
    "Each reward was compared with the mean of the others, its own left out. That is another "
    "baseline, by n/(n − 1) larger: here the mean is of the whole group."
)
def own_reward_left_out(rewards, eps=1e-4):
    n = rewards.shape[1]
    return _gain(rewards) * (n / max(n - 1, 1)) / (_deviation(rewards) + eps)


@group_advantage.wrong("The middle reward (median) was taken away. The baseline is the mean.")
def median_taken_away(rewards, eps=1e-4):
    middle = rewards.quantile(0.5, dim=1, keepdim=True)
    return (rewards - middle) / (_deviation(rewards) + eps)


@group_advantage.wrong(
    "The spread is the range, largest minus smallest. It is the sample standard deviation."
)
def divided_by_the_range(rewards, eps=1e-4):
    return _gain(rewards) / (rewards.amax(1, keepdim=True) - rewards.amin(1, keepdim=True) + eps)


@group_advantage.wrong(
    "The spread is the mean distance from the mean. It is the sample standard deviation: squares, "
    "divided by n − 1, and the root."
)
def mean_distance(rewards, eps=1e-4):
    return _gain(rewards) / (_gain(rewards).abs().mean(1, keepdim=True) + eps)


@group_advantage.wrong(
    "The deviation is that of the mean: it was divided by √n. The spread of the rewards is wanted."
)
def error_of_the_mean(rewards, eps=1e-4):
    return _gain(rewards) / (_deviation(rewards) / math.sqrt(rewards.shape[1]) + eps)


@group_advantage.wrong("The sign is turned: a better response must have the larger advantage.")
def advantage_turned(rewards, eps=1e-4):
    return -reference.group_advantage(rewards, eps)


@group_advantage.wrong("float64 came in and float32 went out: keep the dtype you are given.")
def advantage_cast_to_float32(rewards, eps=1e-4):
    return reference.group_advantage(rewards.float(), eps)


@group_advantage.wrong(
    "rewards was changed in place: the caller's tensor holds something else. Compute a new one."
)
def rewards_changed_in_place(rewards, eps=1e-4):
    found = reference.group_advantage(rewards, eps)
    rewards -= rewards.mean(1, keepdim=True)
    return found


@group_advantage.wrong(
    "This is a layer norm: it divides by the population's deviation, with eps under the root. "
    "Divide by the sample's, n − 1 under the sum, plus eps."
)
def layer_norm_taken(rewards: Tensor, eps: float = 1e-4) -> Tensor:
    return F.layer_norm(rewards, rewards.shape[-1:], eps=eps)


@group_advantage.wrong(
    "The rewards were stretched to lie between 0 and 1. An advantage says how far above the "
    "group's mean: half of a group is below it."
)
def stretched_to_one(rewards: Tensor, eps: float = 1e-4) -> Tensor:
    least, most = rewards.amin(-1, keepdim=True), rewards.amax(-1, keepdim=True)
    return (rewards - least) / (most - least + eps)


@group_advantage.wrong(
    "The rewards went through a softmax: weights that sum to 1. An advantage is (r − mean) / (std "
    "+ eps), negative for half of the group."
)
def softmax_of_the_group(rewards: Tensor, eps: float = 1e-4) -> Tensor:
    return rewards.softmax(-1)


@group_advantage.wrong(
    "The best reward was taken away in place of the group's mean, and nothing was divided by the "
    "deviation."
)
def behind_the_best(rewards: Tensor, eps: float = 1e-4) -> Tensor:
    return rewards - rewards.amax(-1, keepdim=True)


@group_advantage.wrong("The advantages were cut off at ±1: there is no bound.")
def cut_off_at_one(rewards: Tensor, eps: float = 1e-4) -> Tensor:
    return reference.group_advantage(rewards, eps).clamp(-1, 1)


@group_advantage.wrong(
    "A group whose mean is 0 or 1 got 0, as if all of it were wrong or all right. Rewards need not "
    "be 0 or 1: a group is tied where all its rewards are alike."
)
def nothing_where_the_mean_is_0_or_1(rewards: Tensor, eps: float = 1e-4) -> Tensor:
    mean = rewards.mean(1, keepdim=True)
    found = reference.group_advantage(rewards, eps)
    return found.masked_fill((mean == 0) | (mean == 1), 0.0)


@group_advantage.wrong(
    "Groups whose deviation is small got 0. Only a tied group has nothing to teach: eps takes care "
    "of the small deviations."
)
def small_spreads_dropped(rewards: Tensor, eps: float = 1e-4) -> Tensor:
    found = reference.group_advantage(rewards, eps)
    return found.masked_fill(_deviation(rewards) < 1e-4, 0.0)


@group_advantage.right
def with_torch_std(rewards, eps=1e-4):
    if rewards.shape[1] < 2:
        return torch.zeros_like(rewards)
    return (rewards - rewards.mean(1, True)) / (rewards.std(1, keepdim=True) + eps)


@group_advantage.right
def with_statistics(rewards, eps=1e-4):
    found = torch.zeros_like(rewards)
    for i, row in enumerate(rewards.tolist()):
        if len(row) > 1:
            mean, spread = statistics.fmean(row), statistics.stdev(row)
            scaled = [(reward - mean) / (spread + eps) for reward in row]
            found[i] = torch.tensor(scaled, dtype=rewards.dtype)
    return found


@group_advantage.right
def by_the_norm(rewards, eps=1e-4):
    rows = []
    for row in rewards:
        centred = row - row.mean()
        rows.append(centred / (centred.norm() / max(len(row) - 1, 1) ** 0.5 + eps))
    return torch.stack(rows)


@group_advantage.right
def from_population_variance(rewards, eps=1e-4):
    n = rewards.size(1)
    mean = torch.einsum("gs->g", rewards)[:, None] / n
    variance = ((rewards - mean) ** 2).mean(1, keepdim=True) * n / max(n - 1, 1)
    return (rewards - mean) / (torch.sqrt(variance) + eps)


@group_advantage.right
def by_pairs(rewards, eps=1e-4):
    n = rewards.shape[1]
    gaps = rewards[:, :, None] - rewards[:, None, :]
    variance = gaps.square().sum((1, 2)) / (2 * n * max(n - 1, 1))
    return gaps.mean(2) / (variance.sqrt()[:, None] + eps)


# --- grpo_loss -----------------------------------------------------------------------------------

grpo_loss = Exercise(
    "grpo_loss",
    parts={VALUES: 2, GRADIENT: 2, CLIP: 1, PENALTY: 1, UNEQUAL: 1, PADDING: 1, EMPTY: 1, RULES: 1},
    hints=(
        "You have written both halves: a clipped surrogate in lesson 05, k3 in lesson 02. Which of "
        "them does the objective add, which does it subtract, and what is the sign of a loss?",
        "One advantage for each response: advantage[:, None] lies along its tokens. Only logp is "
        "differentiable. Take one sum over all real tokens, and divide by how many there are.",
        "Replace the padding of the four tensors with torch.where(mask, …, 0.0) before exp. Then "
        "minimum of ratio · A and clamped ratio · A, less beta times expm1(δ) − δ with δ = "
        "ref_logp − logp; sum, count of True with clamp(min=1), and the sign.",
    ),
)
CONSTANTS = ("old_logp", "ref_logp", "advantage")
ALL_FOUR = ("logp", *CONSTANTS)


@grpo_loss.by_hand
def _() -> Iterator[Case]:
    two = math.log(2)

    def case(title: str, part: str, mask: list, beta: float = 0.0, **changed: list) -> Case:
        shape = torch.tensor(mask)
        old = torch.full(shape.shape, -1.5)
        inputs = {"logp": old.clone(), "old_logp": old.clone(), "ref_logp": old.clone()}
        inputs |= {"advantage": torch.ones(len(mask)), "mask": shape, "epsilon": 0.2, "beta": beta}
        inputs |= {name: tensor(*values) for name, values in changed.items()}
        return Case(title, inputs, part, ("logp",))

    one, up = [[True]], [[two - 1.5]]
    yield case("nothing has moved, advantage 3: −3", VALUES, one, advantage=[3.0])
    yield case("ratio 2, advantage 1: −1.2", CLIP, one, logp=up, ref_logp=up)
    yield case("ratio 2, advantage −1: 2", CLIP, one, logp=up, ref_logp=up, advantage=[-1.0])
    near = dict.fromkeys(("logp", "ref_logp"), [[math.log(1.25) - 1.5]])
    yield case("ratio 1.25, advantage 1: −1.2", RULES, one, **near)
    title = "advantage 3, twice as likely under ref, beta 1/2: −(3 − (1 − log 2)/2) = −2.8466"
    yield case(title, PENALTY, one, 0.5, ref_logp=up, advantage=[3.0])
    rows = [[True, True, True], [True, False, False]]
    title = "3 tokens of advantage 1, one of −2: −(3 − 2)/4 = −0.25"
    yield case(title, UNEQUAL, rows, advantage=[1.0, -2.0])
    yield case("3 tokens of advantage 1, one of 0: −3/4", UNEQUAL, rows, advantage=[1.0, 0.0])
    for poison in (INF, NAN):
        poisoned = dict.fromkeys(("logp", "old_logp", "ref_logp"), [[-1.5, poison]])
        title = f"{poison} in the padding: −1"
        yield case(title, PADDING, [[True, False]], 0.5, **poisoned)
    yield case("no real token at all: 0", EMPTY, [[False, False]], 0.5)
    yield from _far_grpo_cases(case)
    extreme = {"logp": [[-1.5, -1e4]], "old_logp": [[-1.5, -2e4]], "ref_logp": [[-1.5, 0.0]]}
    yield case("±10,000 in the padding: −1", PADDING, [[True, False]], 0.5, **extreme)


def _far_grpo_cases(case: Callable[..., Case]) -> Iterator[Case]:
    """Sizes that the drawn cases never reach: no bound is seen by luck alone."""
    one, rare = [[True]], [[-66.5]]  # 65 nats below the others
    title = "65 nats above old, advantage −1: −(−e⁶⁵)"
    yield case(title, CLIP, one, old_logp=rare, advantage=[-1.0])
    back = dict.fromkeys(("logp", "ref_logp"), [[-26.5]])
    title = "25 nats below old, advantage 10¹²: −10¹² e⁻²⁵"
    yield case(title, CLIP, one, **back, advantage=[1e12])
    down = dict.fromkeys(("logp", "old_logp"), rare)
    title = "65 nats rarer than under ref, beta 10⁻²⁰, advantage 0"
    yield case(title, PENALTY, one, 1e-20, **down, advantage=[0.0])
    title = "65 nats likelier than under ref, beta 1, advantage 0: 64"
    yield case(title, PENALTY, one, 1.0, ref_logp=rare, advantage=[0.0])
    never = dict.fromkeys(("logp", "old_logp", "ref_logp"), [[-120.0]])
    title = "a token of probability e⁻¹²⁰ under all three, beta 1/2: −1"
    yield case(title, RULES, one, 0.5, **never)
    for advantage, part in (
        (-3.0, VALUES),
        (40.0, CLIP),
        (-40.0, CLIP),
        (4e3, RULES),
        (-4e3, RULES),
    ):
        title = f"nothing has moved, advantage {advantage:g}: {-advantage:g}".replace("-", "−")
        yield case(title, part, one, advantage=[advantage])


@grpo_loss.drawn
def _(draw: Draw) -> Iterator[Case]:
    def inputs(
        mask: Tensor, beta: float = 0.0, spread: float = 0.05, dtype: torch.dtype = torch.float32
    ) -> dict[str, Any]:
        old_logp = draw.logp(*mask.shape, dtype=dtype)
        sign = torch.tensor([1.0, -1.0], dtype=dtype).repeat(len(mask))[: len(mask)]
        moved = draw.uniform(*mask.shape, low=-2.0, high=2.0, dtype=dtype)
        drift = draw.uniform(*mask.shape, low=-2.0, high=2.0, dtype=dtype)
        # The farthest are always there, for both signs of the advantage: no bound is seen by luck.
        moved[:, 0], moved[:, 1] = 2.1, -2.1  # times a spread it is on no bound
        drift[0, -1], drift[0, -2] = 3.2, -3.2
        logp = old_logp + spread * moved
        return {
            "logp": logp,
            "old_logp": old_logp,
            "ref_logp": logp - drift,
            "advantage": sign * draw.uniform(len(mask), low=0.3, high=2.0, dtype=dtype),
            "mask": mask,
            "epsilon": 0.2,
            "beta": beta,
        }

    whole, lengths = torch.ones(4, 4, dtype=torch.bool), draw.lengths_mask(4, 7)
    lengths[:, :2] = True
    yield Case("4 responses of 4 tokens, near old, beta 0", inputs(whole), grad=ALL_FOUR)
    yield Case("4 responses of 3 tokens, no gradient asked for", inputs(whole[:, :3]))
    far = inputs(torch.ones(4, 6, dtype=torch.bool), spread=0.6)
    yield Case("far from old, both signs of the advantage", far, CLIP, ALL_FOUR)
    yield Case("epsilon 0.1", far | {"epsilon": 0.1}, CLIP, ("logp",))
    yield Case("beta 0.7", inputs(whole, 0.7), PENALTY, ALL_FOUR)
    yield Case("beta 2.5", inputs(whole, 2.5), PENALTY, ALL_FOUR)
    yield Case("rows of unequal length", inputs(lengths, 0.7, 0.4), UNEQUAL, ("logp",))
    some = lengths.clone()
    some[1] = False
    yield Case("one row with nothing real", inputs(some, 0.7, 0.4), UNEQUAL, ("logp",))
    poisoned = inputs(lengths, 0.7, 0.4)
    for name, poison in zip(ALL_FOUR[:3], (NAN, -INF, INF), strict=True):
        poisoned[name] = poisoned[name].masked_fill(~lengths, poison)
    yield Case("nan and inf in the padding", poisoned, PADDING, ALL_FOUR)
    empty = inputs(torch.zeros(2, 3, dtype=torch.bool), 0.7)
    yield Case("nothing real, no gradient asked for", empty, EMPTY)
    double = inputs(lengths, 0.7, 0.4, torch.float64)
    yield Case("float64", double, RULES, ALL_FOUR)


def _clipped(logp: Tensor, old_logp: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
    """PPO's promise of each token, gradients reaching whatever came in."""
    ratio = (logp - old_logp).exp()
    return torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)


def _k3(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return torch.expm1(ref_logp - logp) - (ref_logp - logp)


def _averaged(gain: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, gain, 0.0).sum() / mask.sum().clamp(min=1)


def _grpo(
    given: tuple,
    promise: Callable[[Tensor, Tensor, Tensor, float], Tensor] = _clipped,
    penalty: Callable[[Tensor, Tensor], Tensor] = _k3,
    average: Callable[[Tensor, Tensor], Tensor] = _averaged,
    constants: tuple[str, ...] = CONSTANTS,
) -> Tensor:
    """The loss with one of its pieces replaced."""
    *tensors, mask, epsilon, beta = given
    named = dict(zip(ALL_FOUR, tensors, strict=True))
    named["advantage"] = named["advantage"][:, None]
    for name, values in named.items():
        kept = values.detach() if name in constants else values
        named[name] = torch.where(mask, kept, 0.0)
    logp, old_logp, ref_logp, advantage = named.values()
    gain = promise(logp, old_logp, advantage, epsilon) - beta * penalty(logp, ref_logp)
    return -average(gain, mask)


@grpo_loss.wrong(
    "The sign is turned: this is the objective, which is to be maximised. An optimiser minimises."
)
def objective_returned(*given):
    return -reference.grpo_loss(*given)


@grpo_loss.wrong(
    "The penalty has the wrong sign: minimising this loss rewards drift from the reference. The "
    "loss, a negative, holds + beta · k3."
)
def drift_rewarded_in_the_loss(*given):
    return reference.grpo_loss(*given[:-1], -given[-1])


@grpo_loss.wrong("The penalty was not weighted: multiply k3 by beta.")
def loss_without_beta(*given):
    return reference.grpo_loss(*given[:-1], 1.0)


@grpo_loss.wrong("The penalty is missing: beta and ref_logp were not used.")
def loss_without_penalty(*given):
    return reference.grpo_loss(*given[:-1], 0.0)


@grpo_loss.wrong(
    "k3 has its arguments exchanged. For tokens drawn from the policy, δ = ref_logp − logp and "
    "k3 = exp(δ) − 1 − δ; the other way round it is no estimate of KL(policy ‖ ref)."
)
def k3_turned(*given):
    return _grpo(given, penalty=lambda logp, ref_logp: _k3(ref_logp, logp))


@grpo_loss.wrong(
    "The penalty is k1, logp − ref_logp. As a loss its expected gradient is 0 on the policy's own "
    "tokens: it holds nothing back. Here it is k3."
)
def k1_in_the_loss(*given):
    return _grpo(given, penalty=torch.sub)


@grpo_loss.wrong("The penalty is k2, half the squared log-ratio. GRPO's is k3: exp(δ) − 1 − δ.")
def k2_in_the_loss(*given):
    return _grpo(given, penalty=lambda logp, ref_logp: (logp - ref_logp).square() / 2)


@grpo_loss.wrong(
    "− 1 is missing in k3: exp(δ) − δ is 1 where the policy has not moved. The gradient is right, "
    "the value is not."
)
def k3_without_the_one(*given):
    return _grpo(given, penalty=lambda logp, ref_logp: _k3(logp, ref_logp) + 1)


@grpo_loss.wrong(
    "In k3, δ was added where it is subtracted: exp(δ) − 1 − δ is never below 0, and touches 0 "
    "where the policy has not moved."
)
def k3_with_delta_added(*given):
    return _grpo(given, penalty=lambda logp, ref_logp: _k3(logp, ref_logp) + 2 * (ref_logp - logp))


@grpo_loss.wrong(
    "The penalty was detached and changes no gradient. It acts through its gradient alone: leave "
    "k3 in the graph."
)
def k3_detached(*given):
    return _grpo(given, penalty=lambda logp, ref_logp: _k3(logp, ref_logp).detach())


@grpo_loss.wrong(
    "The penalty compares the policy with old. It is charged for drift from ref: ref_logp."
)
def drift_from_old(*given):
    logp, old_logp, _, *others = given
    return reference.grpo_loss(logp, old_logp, old_logp, *others)


@grpo_loss.wrong(
    "The ratio compares the policy with ref. It corrects for who drew the tokens: old_logp."
)
def ratio_to_ref(*given):
    logp, _, ref_logp, *others = given
    return reference.grpo_loss(logp, ref_logp, ref_logp, *others)


@grpo_loss.wrong(
    "old and ref are exchanged: the ratio is against old, which drew the tokens, and k3 against "
    "ref."
)
def old_and_ref_exchanged(*given):
    logp, old_logp, ref_logp, *others = given
    return reference.grpo_loss(logp, ref_logp, old_logp, *others)


@grpo_loss.wrong("Nothing is clipped: epsilon was not used.")
def loss_not_clipped(*given):
    return _grpo(given, lambda logp, old, advantage, epsilon: (logp - old).exp() * advantage)


@grpo_loss.wrong(
    "The minimum was taken of the ratios, before multiplying by the advantage: right for positive "
    "advantages only. Compare ratio · A with clipped ratio · A."
)
def advantage_outside_the_minimum(*given):
    def promise(logp: Tensor, old: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
        return _clipped(logp, old, torch.ones_like(logp), epsilon) * advantage

    return _grpo(given, promise)


@grpo_loss.wrong(
    "Of the two promises the larger was taken. The objective takes the minimum; a maximum belongs "
    "to the two losses, with their sign turned."
)
def larger_promise(*given):
    return _grpo(given, lambda logp, old, advantage, eps: -_clipped(logp, old, -advantage, eps))


@grpo_loss.wrong(
    "Only the clipped promise was used: the minimum with ratio · A is missing, and a token that "
    "went the wrong way has no gradient to bring it back."
)
def clipped_promise_alone(*given):
    def promise(logp: Tensor, old: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
        return (logp - old).exp().clamp(1 - epsilon, 1 + epsilon) * advantage

    return _grpo(given, promise)


@grpo_loss.wrong(
    "The penalty went into the advantage, so it is weighted and clipped with it. The clip is for "
    "the surrogate; beta · k3 is subtracted after it."
)
def penalty_in_the_advantage(*given):
    logp, old_logp, ref_logp, advantage, mask, epsilon, beta = given
    logp, old_logp, ref_logp, advantage = (
        torch.where(mask, values, 0.0)
        for values in (logp, old_logp.detach(), ref_logp.detach(), advantage.detach()[:, None])
    )
    gain = _clipped(logp, old_logp, advantage - beta * _k3(logp, ref_logp), epsilon)
    return -_averaged(gain, mask)


@grpo_loss.wrong("The ratio is upside down: this is old over policy. exp(logp − old_logp).")
def loss_ratio_inverted(*given):
    return _grpo(given, lambda logp, old, advantage, eps: _clipped(-logp, -old, advantage, eps))


@grpo_loss.wrong(
    "exp is missing: logp − old_logp is the logarithm of the ratio, 0 where nothing has changed."
)
def loss_of_log_ratios(*given):
    def promise(logp: Tensor, old: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
        ratio = logp - old
        return torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)

    return _grpo(given, promise)


@grpo_loss.wrong(
    "One ratio for the whole response: the mean of its log-ratios was taken before exp. Here each "
    "token has its own ratio, and its own clip."
)
def ratio_of_the_response(*given):
    mask = given[4]

    def promise(logp: Tensor, old: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
        gap = (logp - old).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
        return _clipped(gap.expand_as(logp), torch.zeros_like(logp), advantage, epsilon)

    return _grpo(given, promise)


@grpo_loss.wrong(
    "This is the mean of the responses' means, as GRPO's paper has it: a token of a long response "
    "counts less than one of a short. Here it is one sum and one count for the whole batch."
)
def mean_of_responses(*given):
    def average(gain: Tensor, mask: Tensor) -> Tensor:
        sums = torch.where(mask, gain, 0.0).sum(1)
        return (sums / mask.sum(1).clamp(min=1)).mean()

    return _grpo(given, average=average)


@grpo_loss.wrong("Summed, not averaged: divide by the number of real tokens.")
def loss_summed(*given):
    return reference.grpo_loss(*given) * given[4].sum()


@grpo_loss.wrong(
    "The tokens were summed and divided by the number of responses: a batch of long responses "
    "takes larger steps. Divide by the number of real tokens."
)
def divided_by_responses(*given):
    return reference.grpo_loss(*given) * given[4].sum() / len(given[4])


@grpo_loss.wrong(
    "The sum is right, the count is not: this divides by all places, padding included."
)
def divided_by_all_places(*given):
    return _grpo(given, average=lambda gain, mask: torch.where(mask, gain, 0.0).mean())


@grpo_loss.wrong("The mask was not used: padding counts like real tokens.")
def loss_mask_ignored(*given):
    return reference.grpo_loss(*given[:4], torch.ones_like(given[4]), *given[5:])


@grpo_loss.wrong(
    "The promise is masked, the penalty is not: it is the mean over real tokens and padding alike."
)
def penalty_over_padding(*given):
    logp, _, ref_logp, *_, beta = given
    kl = _k3(logp, ref_logp.detach()).mean()
    return reference.grpo_loss(*given[:-1], 0.0) + beta * kl


@grpo_loss.wrong(
    "The mask was multiplied in. What stands in the padding may be inf or nan, and 0 · inf is nan: "
    "choose with torch.where."
)
def loss_times_mask(*given):
    logp, old_logp, ref_logp, advantage, mask, epsilon, beta = given
    promise = _clipped(logp, old_logp.detach(), advantage.detach()[:, None], epsilon)
    gain = promise - beta * _k3(logp, ref_logp.detach())
    return -(gain * mask).sum() / mask.sum().clamp(min=1)


@grpo_loss.wrong(
    "The gradient is nan: the padding was replaced after exp, too late. The gradient "
    "of a branch that is not chosen is still computed, so replace before exp as well."
)
def loss_replaced_too_late(*given):
    logp, old_logp, ref_logp, advantage, mask, epsilon, beta = given
    promise = _clipped(logp, old_logp.detach(), advantage.detach()[:, None], epsilon)
    return -_averaged(promise - beta * _k3(logp, ref_logp.detach()), mask)


@grpo_loss.wrong(
    "Right until no token is real: the mean of nothing is 0/0 = nan. Keep the count from being 0."
)
def loss_of_nothing(*given):
    return _grpo(given, average=lambda gain, mask: gain[mask].mean())


@grpo_loss.wrong(
    "The advantages were laid along time, as [batch] meets [batch, time] from the right: give them "
    "a second axis, advantage[:, None]."
)
def advantage_along_time(*given):
    logp, old_logp, ref_logp, advantage, mask, epsilon, beta = given
    logp, old_logp, ref_logp = (
        torch.where(mask, values, 0.0) for values in (logp, old_logp.detach(), ref_logp.detach())
    )
    ratio, advantage = (logp - old_logp).exp(), advantage.detach()
    promise = torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)
    return -_averaged(promise - beta * _k3(logp, ref_logp), mask)


@grpo_loss.wrong(
    "The promise was detached: only the penalty is left to learn from. Of the four, old_logp, "
    "ref_logp and advantage are the constants."
)
def promise_detached(*given):
    return _grpo(given, lambda *inputs: _clipped(*inputs).detach())


@grpo_loss.wrong("No gradient reaches logp: it was detached.")
def logp_detached(*given):
    return reference.grpo_loss(given[0].detach(), *given[1:])


def _leaking_loss(constants: tuple[str, ...], *given: Any) -> Tensor:
    """The loss where only these inputs were detached."""
    return _grpo(given, constants=constants)


for _leaks in (
    *((name,) for name in CONSTANTS),
    CONSTANTS[:2],
    CONSTANTS[1:],
    CONSTANTS[::2],
    CONSTANTS,
):
    grpo_loss.mistakes.append(
        Mistake(
            f"loss_leaks_to_{'_and_'.join(_leaks)}",
            f"A gradient reaches {' and '.join(_leaks)}. Only logp is "
            "differentiable: detach the others.",
            partial(_leaking_loss, tuple(name for name in CONSTANTS if name not in _leaks)),
        )
    )


@grpo_loss.wrong(
    "A Python number came back: .item() and float() cut the graph, and there is nothing left to "
    "differentiate. Return the tensor."
)
def grpo_as_a_number(*given):
    return reference.grpo_loss(*given).item()


@grpo_loss.wrong(
    "The penalty was counted twice: once in the objective and once more beside it. It is "
    "subtracted once."
)
def penalty_twice(*given):
    return reference.grpo_loss(*given[:-1], 2 * given[-1])


@grpo_loss.wrong(
    "logp itself stands for old_logp, so every ratio is 1 and nothing is ever clipped. old_logp "
    "was noted when the tokens were drawn: use it."
)
def old_is_the_present_policy(*given):
    return reference.grpo_loss(given[0], given[0].detach(), *given[2:])


@grpo_loss.wrong(
    "Only ratios above 1 + epsilon were clipped. With a negative advantage it is the lower bound, "
    "1 − epsilon, that takes the incentive away."
)
def clipped_above_only(*given):
    def promise(logp: Tensor, old: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
        ratio = (logp - old).exp()
        return torch.minimum(ratio * advantage, ratio.clamp(max=1 + epsilon) * advantage)

    return _grpo(given, promise)


@grpo_loss.wrong(
    "k3 without − δ: exp(δ) − 1 is not 0 at its least, and tokens that the policy overrates are "
    "paid for. k3 is exp(δ) − 1 − δ."
)
def delta_forgotten(*given):
    return _grpo(given, penalty=lambda logp, ref_logp: torch.expm1(ref_logp - logp))


@grpo_loss.wrong("float64 came in and float32 went out: keep the dtype you are given.")
def grpo_cast_to_float32(*given):
    return reference.grpo_loss(*(values.float() for values in given[:4]), *given[4:])


@grpo_loss.wrong(
    "An input was changed in place: the caller's old_logp is another tensor afterwards. Compute a "
    "new one."
)
def old_logp_changed_in_place(*given):
    with torch.no_grad():
        given[1].sub_(1.0)
    return reference.grpo_loss(given[0] - 1.0, given[1], given[2] - 1.0, *given[3:])


@grpo_loss.wrong("beta was squared: the penalty is beta · k3.")
def loss_with_beta_squared(*given):
    return reference.grpo_loss(*given[:-1], given[-1] ** 2)


@grpo_loss.wrong("Half of the penalty is charged: it is beta · k3, with no ½.")
def half_the_penalty(*given):
    return reference.grpo_loss(*given[:-1], given[-1] / 2)


@grpo_loss.wrong("0.2 was written in for epsilon: the bounds are 1 − epsilon and 1 + epsilon.")
def epsilon_of_a_fifth(*given):
    return reference.grpo_loss(*given[:-2], 0.2, given[-1])


@grpo_loss.wrong(
    "The upper bound is 1.28 (clip-higher, DAPO's 0.28 in place of epsilon). Here both bounds are "
    "epsilon away from 1."
)
def loss_clipped_higher(*given):
    def promise(logp: Tensor, old: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
        ratio = (logp - old).exp()
        return torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1.28) * advantage)

    return _grpo(given, promise)


@grpo_loss.wrong(
    "A second clip bounds what a negative advantage may cost, at 3 times the advantage: that is "
    "dual-clip PPO. Here a bad token whose ratio has grown keeps its whole gradient."
)
def loss_clipped_twice(*given):
    def promise(logp: Tensor, old: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
        once = _clipped(logp, old, advantage, epsilon)
        return torch.where(advantage < 0, torch.maximum(once, 3 * advantage), once)

    return _grpo(given, promise)


@grpo_loss.wrong(
    "A constant clipped ratio weighs logp · advantage: that is CISPO. It keeps the gradient of "
    "every token; PPO's minimum takes it away beyond the bound."
)
def constant_ratio_times_logp(*given):
    def promise(logp: Tensor, old: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
        return (logp - old).exp().clamp(max=1 + epsilon).detach() * advantage * logp

    return _grpo(given, promise)


@grpo_loss.wrong(
    "Ratios above 5 were cut off (truncated weights) before the clip. For a negative advantage the "
    "minimum takes the ratio as it is, however large."
)
def loss_ratio_truncated(*given):
    def promise(logp: Tensor, old: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
        ratio = (logp - old).exp().clamp(max=5.0)
        return torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)

    return _grpo(given, promise)


@grpo_loss.wrong(
    "k3 was cut off at 10. A token that far from ref then has no gradient to bring it back: the "
    "penalty has no bound."
)
def k3_cut_off(*given):
    return _grpo(given, penalty=lambda logp, ref_logp: _k3(logp, ref_logp).clamp(max=10.0))


@grpo_loss.wrong(
    "The log-ratio to ref was clamped to ±20 before k3. A token that far away then has no gradient "
    "to bring it back: the penalty has no bound."
)
def k3_of_clamped_ratios(*given):
    def penalty(logp: Tensor, ref_logp: Tensor) -> Tensor:
        delta = (ref_logp - logp).clamp(-20.0, 20.0)
        return torch.expm1(delta) - delta

    return _grpo(given, penalty=penalty)


@grpo_loss.wrong(
    "k3 was weighted by the ratio policy/old. That is the unbiased form, an exercise of its own; "
    "here each token's k3 counts as it is."
)
def k3_weighted_by_the_ratio(*given):
    old_logp = torch.where(given[4], given[1].detach(), 0.0)

    def penalty(logp: Tensor, ref_logp: Tensor) -> Tensor:
        return (logp - old_logp).exp() * _k3(logp, ref_logp)

    return _grpo(given, penalty=penalty)


@grpo_loss.wrong(
    "The drift was charged twice: taken from the advantage, as in the reward, and once more in the "
    "loss. Here it is charged in the loss alone."
)
def penalty_in_both_places(*given):
    logp, old_logp, ref_logp, advantage, mask, epsilon, beta = given
    drift = torch.where(mask, _k3(logp, ref_logp).detach(), 0.0).sum(1)
    return reference.grpo_loss(
        logp, old_logp, ref_logp, advantage - beta * drift, mask, epsilon, beta
    )


@grpo_loss.wrong(
    "Responses of advantage 0 were left out. They pay for their drift, and their tokens count."
)
def tied_groups_masked(*given):
    counted = given[4] & (given[3].detach() != 0)[:, None]
    return reference.grpo_loss(*given[:4], counted, *given[5:])


@grpo_loss.wrong(
    "This is the mean of the means of two halves of the batch: a token of the half with fewer of "
    "them counts more. Take one sum and one count for the whole batch."
)
def mean_of_two_halves(*given):
    def average(gain: Tensor, mask: Tensor) -> Tensor:
        size = max((len(gain) + 1) // 2, 1)
        halves = [_averaged(*half) for half in zip(gain.split(size), mask.split(size), strict=True)]
        return torch.stack(halves).mean()

    return _grpo(given, average=average)


@grpo_loss.wrong(
    "exp(logp) / exp(old_logp) is 0/0 = nan for a token that both hold for very rare: each "
    "probability rounds to 0. Subtract first: exp(logp − old_logp)."
)
def loss_of_quotients(*given):
    def promise(logp: Tensor, old: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
        ratio = logp.exp() / old.exp()
        return torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)

    return _grpo(given, promise)


@grpo_loss.right
def grpo_of_chosen_tokens(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    if not mask.any():
        return logp[mask].sum()
    gains = advantage.detach()[:, None].expand_as(logp)[mask]
    logp, old_logp, ref_logp = logp[mask], old_logp[mask].detach(), ref_logp[mask].detach()
    ratio = torch.exp(logp - old_logp)
    loss = torch.max(-gains * ratio, -gains * torch.clip(ratio, 1 - epsilon, 1 + epsilon))
    gap = logp - ref_logp
    return (loss + beta * (torch.exp(-gap) + gap - 1)).mean()


@grpo_loss.right
def grpo_token_by_token(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    total, count = logp.new_zeros(()), 0
    for b, t in mask.nonzero().tolist():
        ratio = (logp[b, t] - old_logp[b, t].item()).exp()
        gain = advantage[b].item()
        bound = 1 + epsilon if gain > 0 else 1 - epsilon
        clipped = gain * ratio > gain * bound
        promise = torch.full_like(ratio, gain * bound) if clipped else ratio * gain
        delta = ref_logp[b, t].item() - logp[b, t]
        total = total + promise - beta * (delta.exp() - delta - 1)
        count += 1
    return -total / max(count, 1)


@grpo_loss.right
def grpo_with_relu(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    clean = (v.masked_fill(~mask, 0.0) for v in (logp, old_logp.detach(), ref_logp.detach()))
    logp, old_logp, ref_logp = clean
    gains = advantage.detach().unsqueeze(1)
    ratio = torch.exp(logp - old_logp)
    promise = ratio * gains - F.relu((ratio - 1) * gains.sign() - epsilon) * gains.abs()
    k3 = (ref_logp - logp).exp() - 1 + logp - ref_logp
    weight = mask.to(logp.dtype) / max(int(mask.sum()), 1)
    return torch.einsum("bt,bt->", beta * k3 - promise, weight)


@grpo_loss.right
def grpo_in_two_means(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    if mask.sum() == 0:
        return torch.zeros((), dtype=logp.dtype)
    rows = mask.nonzero()[:, 0]
    new, old, ref = (values.masked_select(mask) for values in (logp, old_logp, ref_logp))
    ratio, gains = (new - old.detach()).exp(), advantage.detach()[rows]
    low, high = 1 - epsilon, 1 + epsilon
    bounded = torch.where(gains > 0, ratio.clamp(max=high), ratio.clamp(min=low))
    return beta * torch.mean(_k3(new, ref.detach())) - torch.mean(bounded * gains)


# --- train_step ----------------------------------------------------------------------------------

train_step = Exercise(
    "train_step",
    parts={
        VALUES: 2,
        KL: 1,
        PADDING: 1,
        DROPOUT: 2,
        LEFT_OVER: 1,
        SEVERAL: 1,
        REF: 1,
        EMPTY: 1,
        RULES: 1,
    },
    hints=(
        "In order: switch dropout off, score the tokens with the policy and with ref, the loss, "
        "the step. Which of the two scorings needs a graph? Which numbers are to be returned?",
        "logits[:, t] scores tokens[:, t + 1], and old_logp and response_mask are laid out like "
        "that. old_logp is given: it is not what the policy says now. kl is a mean over real "
        "tokens, and 0 when there are none.",
        "policy.eval() first; ref under torch.no_grad(). Hand logp, old_logp, ref_logp, advantage "
        "and the mask to grpo_loss; take the mean of k3 from the same log-probabilities; then "
        "zero_grad, backward, step, and both numbers with .item().",
    ),
    advisory={
        REF: "that nothing of ref has changed",
        RULES: "that the numbers are plain ones",
    },
)


def _frozen_lm(state: dict[str, Tensor], **options: Any) -> dict[str, Any]:
    """A language model as freeze_reference would leave it."""
    names = [name for name in state if name != "decay"]
    return make("language_model", state=state, evaluating=("",), frozen=names, **options)


def _train_probe(part: str) -> str:
    """Whether the numbers that come back are plain ones is asked among the rules."""
    return "train_plain" if part == RULES else "train"


def _descent(lr: float = 0.5, **options: Any) -> dict[str, Any]:
    return make("sgd", of="policy", lr=lr, **options)


@train_step.by_hand
def _() -> Iterator[Case]:
    half = math.log(0.5)

    def case(
        title: str,
        part: str,
        old_logp: float = half,
        advantage: float = 1.0,
        beta: float = 0.0,
        epsilon: float = 0.2,
        lr: float = 1.0,
        policy: float = 0.0,
        ref: float = math.log(3),
    ) -> Case:
        inputs = {
            "policy": make("language_model", state=_unigram(policy, 0.0)),
            "ref": _frozen_lm(_unigram(ref, 0.0)),
            "optimizer": _descent(lr),
            "tokens": torch.tensor([[1, 0]]),
            "response_mask": torch.tensor([[True]]),
            "old_logp": tensor([old_logp], dtype=torch.float64),
            "advantage": tensor(advantage, dtype=torch.float64),
            "epsilon": epsilon,
            "beta": beta,
        }
        return Case(title, inputs, part, probe=_train_probe(part))

    title = "one token of probability 1/2, 3/4 under ref"
    yield case(f"{title}, beta 0: loss −1, kl 1/2 − log 3/2 = 0.0945", VALUES)
    yield case("the same with beta 2: loss −(1 − 2 · 0.0945) = −0.8109", VALUES, beta=2.0)
    yield case("old gave it 1/4: ratio 2, loss −1.2, no step", VALUES, math.log(0.25))
    yield case("and advantage −1: loss 2", VALUES, math.log(0.25), -1.0)
    yield case("ratio 2, epsilon 0.5: loss −1.5", VALUES, math.log(0.25), epsilon=0.5)
    title = "advantage 0, beta 2: loss 0.1891, and the penalty alone makes a step"
    yield case(title, VALUES, advantage=0.0, beta=2.0)
    # Sizes that the drawn cases never reach: no bound is seen by luck alone.
    for size, says in ((1e6, "1e6"), (-1e6, "−1e6")):
        title = f"advantage {says} at learning rate 1e-6: as far as with 1 and 1"
        yield case(title, VALUES, advantage=size, lr=1e-6)
    for nats, part in ((12, VALUES), (65, RULES)):
        short = math.exp(-nats)
        title = f"{nats} nats above old, advantage −1"
        yield case(title, part, half - nats, -1.0, lr=short)
        title = f"{nats} nats below old"
        yield case(title, part, half + nats, 1 / short)
        title = f"{nats} nats rarer than under ref, advantage 0"
        yield case(title, part, -nats, 0.0, short, policy=-nats, ref=0.0)
        yield case(f"{nats} nats likelier than under ref", part, beta=2.0, ref=-nats)


@train_step.drawn
def _(draw: Draw) -> Iterator[Case]:
    def case(
        title: str,
        part: str,
        mask: Tensor,
        beta: float,
        optimizer: dict | None = None,
        probe: str = "",
        dtype: torch.dtype = torch.float64,
        ref: Callable[..., dict] = _frozen_lm,
        size: float = 1.0,
        **options: Any,
    ) -> Case:
        batch, time = mask.shape
        state = _lm_state(draw, 5, 4, dtype)
        near = {
            name: value + 0.2 * draw.normal(*value.shape, dtype=dtype)
            for name, value in state.items()
            if name != "decay"
        }
        old_logp = -math.log(5) + draw.normal(batch, time, scale=0.5, dtype=dtype)
        sign = torch.tensor([1.0, -1.0], dtype=dtype).repeat(batch)[:batch]
        poisons = torch.tensor([NAN, INF, -INF], dtype=dtype).repeat(time)[:time]
        inputs = {
            "policy": make("language_model", state=state, **options),
            "ref": ref(near | {"decay": state["decay"]}, dropout=options.get("dropout", 0.0)),
            "optimizer": optimizer or _descent(),
            "tokens": draw.integers(batch, time + 1, below=5),
            "response_mask": mask,
            "old_logp": torch.where(mask, old_logp, poisons) if part == PADDING else old_logp,
            "advantage": size * sign * draw.uniform(batch, low=0.3, high=2.0, dtype=dtype),
            "epsilon": 0.2,
            "beta": beta,
        }
        tolerances = {"rtol": 1e-3, "atol": 2e-5} if dtype == torch.float32 else {}
        return Case(title, inputs, part, probe=probe or _train_probe(part), **tolerances)

    whole = torch.ones(4, 4, dtype=torch.bool)
    yield case("4 sequences of 5 tokens, beta 0", VALUES, whole, 0.0)
    yield case("beta 0.7, 6 tokens", VALUES, torch.ones(3, 5, dtype=torch.bool), 0.7)
    yield case("large advantages", VALUES, whole, 0.7, _descent(0.02), size=30.0)
    for value in (0.8, 0.0):
        alike = case(f"every advantage {value:g}", VALUES, whole, 0.7)
        alike.inputs["advantage"].fill_(value)
        yield alike
    place, lengths = torch.arange(6), draw.lengths_mask(4, 6)
    prompted = lengths & (place >= torch.tensor([0, 0, 0, 2])[:, None])
    prompted[1], prompted[2] = place < 3, (place > 0) & (place < 5)
    yield case("rows of unequal length, nan and inf in old_logp", PADDING, prompted, 0.7)
    some = prompted.clone()
    some[1] = False
    yield case("one row with nothing real", PADDING, some, 1.5)
    yield case("dropout is on at entry", DROPOUT, whole, 0.7, dropout=0.5)
    yield case(
        "dropout is on, the body in eval mode",
        DROPOUT,
        whole[:3],
        0.7,
        dropout=0.5,
        evaluating=("body",),
    )
    yield case("gradients from elsewhere at entry", LEFT_OVER, whole, 0.7, left_over=0.5)
    adam, momentum = make("adam", of="policy", lr=0.05), _descent(0.1, momentum=0.8)
    thrice = "train_thrice"
    yield case("three calls, momentum", SEVERAL, whole[:, :3], 0.7, momentum, thrice)
    yield case("three calls, Adam, tied weights", SEVERAL, whole, 0.4, adam, thrice, tied=True)
    loose = partial(make, "language_model", evaluating=("",))
    yield case(
        "ref's parameters require gradients",
        REF,
        whole,
        0.7,
        ref=lambda state, dropout: loose(state=state, dropout=dropout),
    )
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    yield case("nothing real: plain gradient descent stays", EMPTY, nothing, 0.7)
    yield case("float32", RULES, whole, 0.7, dtype=torch.float32)
    yield case("float64 with padding", RULES, lengths, 0.7)


def _scores(network: nn.Module, tokens: Tensor) -> Tensor:
    """Log-probability of each token after the first."""
    logs = network(tokens)[:, :-1].log_softmax(-1)
    return logs.gather(-1, tokens[:, 1:, None]).squeeze(-1)


def _stepped(optimizer: Optimizer, loss: Tensor, kl: Tensor) -> dict[str, float]:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "kl": kl.item()}


def _loss_and_kl(
    given: tuple,
    loss: Callable[..., Tensor] = reference.grpo_loss,
    penalty: Callable[[Tensor, Tensor], Tensor] = _k3,
    score: Callable[[nn.Module, Tensor], Tensor] = _scores,
) -> tuple[Tensor, Tensor]:
    """Loss and kl of a step with one of its pieces replaced; the mode is left to the caller."""
    policy, ref, _, tokens, mask, old_logp, advantage, epsilon, beta = given
    logp = score(policy, tokens)
    with torch.no_grad():
        ref_logp = score(ref, tokens)
    kl = _averaged(penalty(logp.detach(), ref_logp), mask)
    return loss(logp, old_logp, ref_logp, advantage, mask, epsilon, beta), kl


def _trained(given: tuple, *pieces: Callable, **more: Callable) -> dict[str, float]:
    """A step with one of its pieces replaced, dropout off."""
    given[0].eval()
    return _stepped(given[2], *_loss_and_kl(given, *pieces, **more))


@train_step.wrong(
    "Dropout was on while the policy scored: the log-probabilities are those of a network with "
    "holes, and the ratio is not 1 even before the first step. Call policy.eval() first."
)
def dropout_on(*given):
    return _stepped(given[2], *_loss_and_kl(given))


@train_step.wrong(
    "The policy was put in training mode before it scored: dropout was on, in every part. Score in "
    "eval mode; training needs gradients, not this mode."
)
def put_in_training_mode(*given):
    given[0].train()
    return _stepped(given[2], *_loss_and_kl(given))


@train_step.wrong(
    "`training` was set on the outermost module alone; dropout inside stays on. policy.eval() goes "
    "through all parts."
)
def outermost_mode_alone(*given):
    given[0].training = False
    return _stepped(given[2], *_loss_and_kl(given))


@train_step.wrong(
    "Only the dropout modules were put in eval mode. Networks also ask for the mode of the whole, "
    "in attention for instance: policy.eval()."
)
def dropout_modules_alone(*given):
    for part in given[0].modules():
        if isinstance(part, nn.Dropout):
            part.eval()
    return _stepped(given[2], *_loss_and_kl(given))


@train_step.wrong(
    "zero_grad is missing: backward adds to the gradients of the step before, and to what stood "
    "there at entry."
)
def zero_grad_forgotten(*given):
    given[0].eval()
    loss, kl = _loss_and_kl(given)
    loss.backward()
    given[2].step()
    return {"loss": loss.item(), "kl": kl.item()}


@train_step.wrong(
    "zero_grad comes after the step, so gradients that stood there at entry are used. Call it "
    "before backward."
)
def zero_grad_after_the_step(*given):
    found = zero_grad_forgotten(*given)
    given[2].zero_grad()
    return found


@train_step.wrong(
    "The policy has not moved: step() is missing, or zero_grad between backward and step has "
    "thrown the gradients away."
)
def not_moved(*given):
    given[0].eval()
    loss, kl = _loss_and_kl(given)
    return {"loss": loss.item(), "kl": kl.item()}


@train_step.wrong("step() was called twice: one step for each call.")
def two_steps_with_one_gradient(*given):
    found = _trained(given)
    given[2].step()
    return found


@train_step.wrong("Two updates were made, and the first one's numbers returned: one step a call.")
def two_updates(*given):
    found = _trained(given)
    _trained(given)
    return found


@train_step.wrong(
    "The mask was read one place too late: as if response_mask[:, t] spoke of tokens[:, t]. It "
    "speaks of tokens[:, t + 1], like old_logp; all three have the same shape."
)
def mask_one_late(*given):
    moved = F.pad(given[4], (0, 1))[:, 1:]
    return reference.train_step(*given[:4], moved, *given[5:])


@train_step.wrong(
    "The mask was moved one place to the right. response_mask[:, t] already speaks of "
    "tokens[:, t + 1]: it has the shape of logp and needs no shift."
)
def mask_moved_right(*given):
    old_logp = torch.where(given[4], given[5], 0.0)  # else the padding's poison would be named
    moved = F.pad(given[4], (1, 0))[:, :-1]
    return reference.train_step(*given[:4], moved, old_logp, *given[6:])


@train_step.wrong(
    "The shift is missing: logits[:, t] were asked for tokens[:, t], which they have already read. "
    "They score tokens[:, t + 1]."
)
def own_token_scored(*given):
    def score(network: nn.Module, tokens: Tensor) -> Tensor:
        logs = network(tokens)[:, :-1].log_softmax(-1)
        return logs.gather(-1, tokens[:, :-1, None]).squeeze(-1)

    return _trained(given, score=score)


@train_step.wrong(
    "The first logits were dropped in place of the last: logits[:, t + 1] have already read "
    "tokens[:, t + 1]. Take logits[:, :-1] with tokens[:, 1:]."
)
def first_logits_dropped(*given):
    def score(network: nn.Module, tokens: Tensor) -> Tensor:
        logs = network(tokens)[:, 1:].log_softmax(-1)
        return logs.gather(-1, tokens[:, 1:, None]).squeeze(-1)

    return _trained(given, score=score)


@train_step.wrong(
    "Logits were used as they came. A logit is a log-probability only up to a constant that "
    "differs from place to place: log_softmax over the vocabulary."
)
def logits_not_normalised(*given):
    return _trained(
        given,
        score=lambda network, tokens: (
            network(tokens)[:, :-1].gather(-1, tokens[:, 1:, None]).squeeze(-1)
        ),
    )


@train_step.wrong(
    "The probabilities were normalised over time (dim=1). The vocabulary lies along the last axis.",
    # Then the head's bias has no gradient, and Adam makes whole steps of its rounding.
    rough={"three calls, Adam, tied weights": math.inf},
)
def normalised_over_time(*given):
    def score(network: nn.Module, tokens: Tensor) -> Tensor:
        logs = network(tokens)[:, :-1].log_softmax(1)
        return logs.gather(-1, tokens[:, 1:, None]).squeeze(-1)

    return _trained(given, score=score)


@train_step.wrong(
    "The sign of the log-probabilities is turned: cross_entropy gives −log p. Both the ratio and "
    "k3 are then upside down."
)
def cross_entropy_not_negated(*given):
    return _trained(given, score=lambda network, tokens: -_scores(network, tokens))


@train_step.wrong(
    "The policy's own log-probabilities stand for old's, so every ratio is 1 and nothing is ever "
    "clipped. old_logp was noted when the tokens were drawn: use it."
)
def old_is_the_policy(*given):
    def loss(logp: Tensor, old_logp: Tensor, *others: Any) -> Tensor:
        return reference.grpo_loss(logp, logp.detach(), *others)

    return _trained(given, loss)


@train_step.wrong(
    "The ratio was taken against ref. It corrects for who drew the tokens, which is old: old_logp."
)
def old_is_ref(*given):
    def loss(logp: Tensor, old_logp: Tensor, ref_logp: Tensor, *others: Any) -> Tensor:
        return reference.grpo_loss(logp, ref_logp, ref_logp, *others)

    return _trained(given, loss)


@train_step.wrong(
    "The drift was measured from old, in the loss and in kl: k3 compares the policy with ref."
)
def ref_is_old(*given):
    policy, _, _, tokens, mask, old_logp, advantage, epsilon, beta = given
    policy.eval()
    logp, old = _scores(policy, tokens), torch.where(mask, old_logp, 0.0)
    kl = _averaged(_k3(logp.detach(), old), mask)
    loss = reference.grpo_loss(logp, old, old, advantage, mask, epsilon, beta)
    return _stepped(given[2], loss, kl)


@train_step.wrong(
    "ref was not asked: the policy was compared with itself, so kl is always 0 and the penalty has "
    "no gradient."
)
def ref_is_the_policy(*given):
    return reference.train_step(given[0], given[0], *given[2:])


@train_step.wrong(
    "In k3 policy and ref are exchanged, in the loss and in kl. For tokens of the policy it is "
    "exp(δ) − 1 − δ with δ = ref_logp − logp."
)
def policy_and_ref_exchanged(*given):
    return _trained(given, _loss_k3_turned, lambda logp, ref_logp: _k3(ref_logp, logp))


def _loss_k3_turned(*given: Any) -> Tensor:
    return _grpo(given, penalty=lambda logp, ref_logp: _k3(ref_logp, logp))


@train_step.wrong(
    "The penalty, and the kl returned, are k1 = logp − ref_logp: in a loss it holds nothing back. "
    "Both are k3."
)
def penalty_k1(*given):
    return _trained(given, lambda *inputs: _grpo(inputs, penalty=torch.sub), torch.sub)


@train_step.wrong("The penalty, and the kl returned, are k2, half the square. Both are k3.")
def penalty_k2(*given):
    return _trained(given, lambda *inputs: _grpo(inputs, penalty=_half_square), _half_square)


def _half_square(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (logp - ref_logp).square() / 2


@train_step.wrong("The kl returned is the mean of k1. Return the mean of k3.")
def kl_of_k1(*given):
    return _trained(given, penalty=torch.sub)


@train_step.wrong("The kl returned is the mean of k2. Return the mean of k3.")
def kl_of_k2(*given):
    return _trained(given, penalty=_half_square)


@train_step.wrong("In the kl returned policy and ref are exchanged: δ is ref_logp − logp.")
def kl_exchanged(*given):
    return _trained(given, penalty=lambda logp, ref_logp: _k3(ref_logp, logp))


@train_step.wrong(
    "The kl returned was measured after the step. It belongs to the loss beside it: take it from "
    "the log-probabilities of before."
)
def kl_after_the_step(*given):
    found = _trained(given)
    with torch.no_grad():
        return found | {"kl": _loss_and_kl(given)[1].item()}


@train_step.wrong(
    "Both loss and kl were measured after the step. They are those of before it, of which the "
    "gradient was taken."
)
def both_after_the_step(*given):
    _trained(given)
    with torch.no_grad():
        loss, kl = _loss_and_kl(given)
    return {"loss": loss.item(), "kl": kl.item()}


@train_step.wrong(
    "The kl returned is the mean over all places, prompt and padding too. "
    "Mask it as the loss is masked."
)
def kl_over_all_places(*given):
    given[0].eval()
    _, kl = _loss_and_kl((*given[:4], torch.ones_like(given[4]), *given[5:]))
    return reference.train_step(*given) | {"kl": kl.item()}


@train_step.wrong(
    "The kl returned is summed over each response: the mean over real tokens is wanted."
)
def kl_of_responses(*given):
    mask, found = given[4], reference.train_step(*given)
    return found | {"kl": found["kl"] * mask.sum().item() / len(mask)}


@train_step.wrong(
    "The kl returned was multiplied by beta. It is in nats, and is of interest when beta is 0 too."
)
def kl_times_beta(*given):
    found = reference.train_step(*given)
    return found | {"kl": given[-1] * found["kl"]}


@train_step.wrong("The kl returned is 0/0 = nan when no token is real. It is 0 then.")
def kl_of_nothing(*given):
    found = reference.train_step(*given)
    return found if given[4].any() else found | {"kl": NAN}


@train_step.wrong(
    "When no token is real, loss and kl are nan: 0/0, and the gradients have spoilt every "
    "parameter. Keep the count from being 0."
)
def all_of_nothing(*given):
    given[0].eval()
    loss, kl = _loss_and_kl(given, lambda *inputs: _grpo(inputs, average=_chosen_mean))
    return _stepped(given[2], loss, kl if given[4].any() else kl * NAN)


def _chosen_mean(gain: Tensor, mask: Tensor) -> Tensor:
    return gain[mask].mean()


@train_step.wrong(
    "The policy went the wrong way: the objective was minimised. The loss is its negative."
)
def objective_minimised(*given):
    return _trained(given, lambda *inputs: -reference.grpo_loss(*inputs))


@train_step.wrong(
    "What is returned is the objective. `loss` is its negative, as grpo_loss gives it."
)
def objective_reported(*given):
    found = reference.train_step(*given)
    return found | {"loss": -found["loss"]}


@train_step.wrong(
    "The penalty has the wrong sign: drift from ref is rewarded. The loss holds + beta · k3."
)
def penalty_turned(*given):
    return reference.train_step(*given[:-1], -given[-1])


@train_step.wrong("The penalty was not weighted: beta was not used.")
def step_without_beta(*given):
    return reference.train_step(*given[:-1], 1.0)


@train_step.wrong("The penalty is missing from the loss: the step depends on beta and ref.")
def step_without_penalty(*given):
    return reference.train_step(*given[:-1], 0.0)


@train_step.wrong(
    "The penalty is in the loss, but without a gradient: it was detached, or computed under "
    "no_grad. Only ref's log-probabilities are constants there."
)
def step_with_a_constant_penalty(*given):
    def loss(logp: Tensor, old_logp: Tensor, ref_logp: Tensor, *others: Any) -> Tensor:
        *pieces, epsilon, beta = (logp, old_logp, ref_logp, *others)
        drift = _averaged(_k3(logp.detach(), ref_logp), others[1])
        return reference.grpo_loss(*pieces, epsilon, 0.0) + beta * drift

    return _trained(given, loss)


@train_step.wrong(
    "An optimiser of your own made the step. Use the one that came in: its kind, its learning rate "
    "and its memory are the caller's choice."
)
def step_of_an_own_optimizer(*given):
    own = torch.optim.Adam(given[0].parameters(), lr=1e-3)
    return reference.train_step(*given[:2], own, *given[3:])


@train_step.wrong("0.2 was written in for epsilon: the bounds are 1 − epsilon and 1 + epsilon.")
def step_with_an_own_epsilon(*given):
    return reference.train_step(*given[:-2], 0.2, given[-1])


@train_step.wrong(
    "The penalty was counted twice: grpo_loss holds beta · k3 already, and it was added once more."
)
def step_with_the_penalty_twice(*given):
    def loss(*pieces: Any) -> Tensor:
        return reference.grpo_loss(*pieces[:-1], 2 * pieces[-1])

    return _trained(given, loss)


@train_step.wrong("loss and kl were exchanged in what is returned.")
def numbers_exchanged(*given):
    found = reference.train_step(*given)
    return {"loss": found["kl"], "kl": found["loss"]}


@train_step.wrong("Nothing is clipped: epsilon was not used.")
def step_not_clipped(*given):
    return reference.train_step(*given[:-2], INF, given[-1])


@train_step.wrong(
    "The minimum was taken of the ratios, before multiplying by the advantage: right for positive "
    "advantages only. Compare ratio · A with clipped ratio · A."
)
def ratios_compared(*given):
    return _trained(given, advantage_outside_the_minimum)


@train_step.wrong(
    "Of the two promises the larger was taken. The objective takes the minimum; a maximum belongs "
    "to the two losses, with their sign turned."
)
def larger_of_the_two(*given):
    return _trained(given, larger_promise)


@train_step.wrong(
    "This is the mean of the responses' means, as GRPO's paper has it: a token of a long response "
    "counts less than one of a short. Here it is one sum and one count for the whole batch."
)
def mean_of_the_responses(*given):
    return _trained(given, mean_of_responses)


@train_step.wrong("The loss was summed over tokens, not averaged over the real ones.")
def summed_over_tokens(*given):
    return _trained(given, loss_summed)


@train_step.wrong(
    "The sum is right, the count is not: the loss divides by all places, padding included."
)
def averaged_over_all_places(*given):
    return _trained(given, divided_by_all_places)


@train_step.wrong("response_mask was not used: prompt and padding are trained on, too.")
def all_places_trained(*given):
    return reference.train_step(*given[:4], torch.ones_like(given[4]), *given[5:])


@train_step.wrong(
    "The mask was multiplied into the loss. What stands in the padding of old_logp may be inf or "
    "nan, and 0 · inf is nan: choose with torch.where, before exp."
)
def step_times_mask(*given):
    return _trained(given, loss_times_mask)


@train_step.wrong(
    "The padding of old_logp was replaced after exp: the loss is right, its gradient is nan, and "
    "so is every parameter after the step. Replace it before exp."
)
def step_replaced_too_late(*given):
    return _trained(given, loss_replaced_too_late)


@train_step.wrong(
    "The advantages were laid along time, as [batch] meets [batch, time] from the right: "
    "advantage[:, None] gives one to each response."
)
def advantages_along_time(*given):
    return _trained(given, advantage_along_time)


@train_step.wrong(
    "The advantages were normalised inside the step. They come as they are meant: use them as "
    "they are."
)
def advantages_normalised(*given):
    advantage = given[6]
    scaled = (advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-8)
    return reference.train_step(*given[:6], scaled, *given[7:])


@train_step.wrong(
    "Gradients have reached ref: score it under torch.no_grad(), or detach ref_logp. A reference "
    "that collects gradients is one optimiser away from moving, and costs a graph."
)
def ref_in_the_graph(*given):
    policy, ref, optimizer, tokens, mask, old_logp, advantage, epsilon, beta = given
    policy.eval()
    inputs = (_scores(policy, tokens), old_logp, _scores(ref, tokens), advantage, mask)
    kl = _averaged(_k3(inputs[0], inputs[2]), mask)
    loss = _grpo((*inputs, epsilon, beta), constants=("old_logp", "advantage"))
    return _stepped(optimizer, loss, kl)


@train_step.wrong(
    "ref was left in training mode: the next time it scores, its dropout is on. Leave it as it is."
)
def ref_left_in_training_mode(*given):
    found = reference.train_step(*given)
    given[1].train()
    return found


@train_step.wrong(
    "ref was made equal to the policy. The reference stays what it was before training: that is "
    "what drift is measured from."
)
def ref_updated(*given):
    found = reference.train_step(*given)
    given[1].load_state_dict(given[0].state_dict())
    return found


@train_step.wrong(
    "No gradient arrives: the policy was scored under torch.no_grad(). Only ref belongs there."
)
def policy_under_no_grad(*given):
    given[0].eval()
    with torch.no_grad():
        loss, kl = _loss_and_kl(given)
    return _stepped(given[2], loss, kl)


@train_step.wrong(
    "Tensors came back. Return plain numbers, with .item(): a tensor with a graph keeps all that "
    "it was computed from in memory."
)
def tensors_returned(*given):
    given[0].eval()
    loss, kl = _loss_and_kl(given)
    _stepped(given[2], loss, kl)
    return {"loss": loss, "kl": kl}


@train_step.wrong('What came back is no dict. Return one with "loss" and "kl".')
def no_dict_returned(*given):
    return reference.train_step(*given)["loss"]


@train_step.wrong('Two numbers came back, in an order. Return them by name: "loss" and "kl".')
def pair_returned(*given):
    return tuple(reference.train_step(*given).values())


@train_step.wrong('"kl" is missing from what is returned.')
def kl_not_returned(*given):
    return {"loss": reference.train_step(*given)["loss"]}


@train_step.wrong(
    "The gradients were clipped to a norm of 1 before the step. That is a brake of its own; this "
    "step takes the gradient of grpo_loss as it is."
)
def gradients_clipped(*given):
    policy, optimizer = given[0].eval(), given[2]
    loss, kl = _loss_and_kl(given)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
    optimizer.step()
    return {"loss": loss.item(), "kl": kl.item()}


@train_step.wrong(
    "old_logp was changed in place: the next step on this batch gets another one. Compute a new "
    "tensor: torch.where or masked_fill, without the underscore."
)
def old_logp_cleaned_in_place(*given):
    given[5].masked_fill_(~given[4], 0.0)
    return reference.train_step(*given)


@train_step.wrong(
    "No step was taken where every advantage is 0. There is nothing to promise then, but the "
    "penalty still pulls towards ref."
)
def no_step_without_advantage(*given):
    if given[6].any():
        return reference.train_step(*given)
    given[0].eval()
    loss, kl = _loss_and_kl(given)
    return {"loss": loss.item(), "kl": kl.item()}


@train_step.wrong(
    "Responses of advantage 0 were left out. They pay for their drift, and their tokens count."
)
def worthless_responses_masked(*given):
    def loss(*pieces: Any) -> Tensor:
        counted = pieces[4] & (pieces[3] != 0)[:, None]
        return reference.grpo_loss(*pieces[:4], counted, *pieces[5:])

    return _trained(given, loss)


@train_step.wrong(
    "Token 0 was taken for padding. Which tokens count is said by response_mask alone: 0 is a "
    "token like the others."
)
def token_0_taken_for_padding(*given):
    counted = given[4] & (given[3][:, 1:] != 0)
    return reference.train_step(*given[:4], counted, *given[5:])


@train_step.wrong(
    "The kl returned is a sum over real tokens divided by all places, prompt and padding too. "
    "Divide by the number of real tokens."
)
def kl_divided_by_all_places(*given):
    mask, found = given[4], reference.train_step(*given)
    return found | {"kl": found["kl"] * mask.sum().item() / mask.numel()}


@train_step.wrong(
    "The loss is the mean of the means of two halves of the batch: a token of the half with fewer "
    "of them counts more. One sum and one count, however many pieces the batch is scored in."
)
def means_of_two_halves(*given):
    return _trained(given, mean_of_two_halves)


@train_step.wrong(
    "In the loss k3 was cut off at 10: a token that far from ref has no gradient to bring it back. "
    "The penalty has no bound."
)
def step_with_k3_cut_off(*given):
    return _trained(given, k3_cut_off)


@train_step.wrong(
    "A second clip bounds what a negative advantage may cost, at 3 times the advantage: that is "
    "dual-clip PPO. Here a bad token whose ratio has grown keeps its whole gradient."
)
def step_clipped_twice(*given):
    return _trained(given, loss_clipped_twice)


@train_step.wrong(
    "The upper bound is 1.28 (clip-higher, DAPO's 0.28 in place of epsilon). Here both bounds are "
    "epsilon away from 1."
)
def step_clipped_higher(*given):
    return _trained(given, loss_clipped_higher)


@train_step.right
def step_with_cross_entropy(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    def score(network: nn.Module) -> Tensor:
        return -F.cross_entropy(
            network(tokens)[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none"
        )

    policy.eval()
    with torch.no_grad():
        ref_logp = score(ref)
    logp = score(policy)
    optimizer.zero_grad()
    loss = grpo_with_relu(logp, old_logp, ref_logp, advantage, response_mask, epsilon, beta)
    loss.backward()
    optimizer.step()
    policy.train()
    drift = (_k3(logp, ref_logp) * response_mask).sum() / response_mask.sum().clamp(min=1)
    return {"kl": drift.item(), "loss": loss.item(), "tokens": response_mask.sum()}


@train_step.right
def response_by_response(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    policy.train(False)
    policy.zero_grad()
    count, total, drift = max(int(response_mask.sum()), 1), 0.0, 0.0
    for row, real, old, gain in zip(tokens, response_mask, old_logp, advantage, strict=True):
        chosen = real.nonzero().squeeze(1)
        new = Categorical(logits=policy(row[None])[0, :-1]).log_prob(row[1:])[chosen]
        with torch.inference_mode():
            fixed = Categorical(logits=ref(row[None])[0, :-1]).log_prob(row[1:])[chosen]
        fixed = fixed.clone()
        ratio = (new - old[chosen]).exp()
        promise = torch.min(ratio * gain, ratio.clamp(1 - epsilon, 1 + epsilon) * gain)
        k3 = (fixed - new).exp() - 1 - (fixed - new)
        loss = (beta * k3 - promise).sum() / count
        loss.backward()
        total, drift = total + loss.item(), drift + k3.sum().item() / count
    optimizer.step()
    return {"loss": total, "kl": drift}


@train_step.right
def gradients_by_hand(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    modes = [module.training for module in policy.modules()]
    ref_logp = _scores(ref.eval(), tokens).detach()
    logp = _scores(policy.eval(), tokens)
    loss = grpo_of_chosen_tokens(logp, old_logp, ref_logp, advantage, response_mask, epsilon, beta)
    parameters = list(policy.parameters())
    found = torch.autograd.grad(loss, parameters)
    for parameter, gradient in zip(parameters, found, strict=True):
        parameter.grad = gradient
    optimizer.step()
    for module, mode in zip(policy.modules(), modes, strict=True):
        module.train(mode)
    drift = _k3(logp.detach(), ref_logp)[response_mask]
    return {"loss": loss.item(), "kl": drift.sum().item() / max(len(drift), 1)}


@train_step.right
def nothing_real_returns_early(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    if not response_mask.any():
        return {"loss": 0.0, "kl": 0.0}
    policy.eval()
    logp, ref_logp = _scores(policy, tokens), _scores(ref, tokens)
    scores = (logp, old_logp, ref_logp.detach())
    optimizer.zero_grad(set_to_none=False)
    loss = grpo_in_two_means(*scores, advantage, response_mask, epsilon, beta)
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "kl": _k3(logp, ref_logp)[response_mask].mean().item()}


# --- quiz ----------------------------------------------------------------------------------------

q06_reward_or_loss = Quiz(
    "q06_reward_or_loss",
    parts={VALUES: 1},
    forms=["A", "B", "C", "D"],
    hints=(
        "Follow one early token. In which of the two forms can it be charged for drift that comes "
        "later in its response?",
        "Lesson 04 differentiated k1 and k3 where the policy itself drew the tokens. What was the "
        "expected gradient of k3? And what is that of a reward that is a constant, weighted by the "
        "gradient of logp?",
        "A constant can teach: the score does nothing else. Cross out the answer that denies it. "
        "Then hold each of the others against the errors that the cell above the quiz prints.",
    ),
)
q06_reward_or_loss.distractor(
    "B",
    "They have the same expected value, and not the same gradient. k3 differentiated on the "
    "policy's own tokens gives that of KL(ref ‖ policy), token by token; k1 in the reward, with "
    "all that follows summed up, gives that of KL(policy ‖ ref).",
)
q06_reward_or_loss.distractor(
    "C",
    "A reward never has a gradient, the score has none either. It acts through the advantage, "
    "which weighs the gradient of logp: that is how any reward is learnt from.",
)
q06_reward_or_loss.distractor(
    "D",
    "It is the other way round: the log-ratio in the reward, negative or not, gives the gradient "
    "of KL(policy ‖ ref) in expectation. k3 as a loss gives that of KL(ref ‖ policy), and drops "
    "what a token leads to.",
)
