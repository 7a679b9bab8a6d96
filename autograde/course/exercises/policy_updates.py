"""Exercises of lesson 01: from reward to an update, and why a large one breaks."""

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from helpers import reference
from helpers.cases import GRADIENT, RULES, VALUES, Case

from ..draw import Draw
from ..exercise import Exercise, Mistake, Quiz, tensor

INF, NAN = torch.inf, torch.nan
TEMPERATURE = "temperature"
LARGE = "large logits"
SINGLE = "a single token"
UNEQUAL = "rows of unequal length"
PADDING = "padding"
EMPTY = "nothing real"
UNLIKELY = "unlikely tokens"


# --- token_log_probs -----------------------------------------------------------------------------

token_log_probs = Exercise(
    "token_log_probs",
    parts={VALUES: 2, GRADIENT: 1, TEMPERATURE: 1, LARGE: 1, SINGLE: 1, RULES: 1},
    hints=(
        "Line the two tensors up first: which logits have no token to score, and which token has "
        "no logits that score it? Both slices must have time − 1 entries.",
        "Divide by the temperature before anything else, into a new tensor. log_softmax over the "
        "last axis is stable where log(softmax) is not.",
        "With log_probs of shape [batch, time − 1, vocab], log_probs.gather(-1, index) picks one "
        "entry of each row; the index is the shifted tokens with a last axis of length 1, which "
        "you remove again afterwards.",
    ),
)


@token_log_probs.by_hand
def _() -> Iterator[Case]:
    three_to_one = torch.tensor([3.0, 1.0]).log()
    logits = torch.stack([three_to_one, three_to_one.flip(0), three_to_one]).unsqueeze(0)
    tokens = torch.tensor([[1, 0, 0]])
    yield Case(
        "probabilities (3/4, 1/4), then (1/4, 3/4); tokens 1, 0, 0: log 3/4, log 1/4",
        {"logits": logits, "tokens": tokens},
        grad=("logits",),
    )
    yield Case(
        "the same at temperature 1/2: log 9/10, log 1/10",
        {"logits": logits, "tokens": tokens, "temperature": 0.5},
        part=TEMPERATURE,
        grad=("logits",),
    )
    # Rarer than any that is drawn among the values, so that a bound, or a constant added to a
    # probability, shows here or never among these.
    yield Case(
        "logits (0, 12), tokens 0, 0, 1: a token of 1 in 160,000 and a common one",
        {"logits": tensor([[0.0, 12.0]] * 3), "tokens": torch.tensor([[0, 0, 1]])},
        grad=("logits",),
    )
    rare = torch.tensor([[[1.0, -13.0, 0.0]] * 3], dtype=torch.float64)
    yield Case(
        "float64, a token of about 1e-6",
        {"logits": rare, "tokens": torch.tensor([[0, 1, 2]])},
        part=RULES,
        grad=("logits",),
    )
    steep = torch.tensor([[[1000.0, -1000.0, 0.0]] * 4])
    yield Case(
        "logits (1000, −1000, 0); tokens 0, 0, 1, 2: 0, −2000, −1000",
        {"logits": steep, "tokens": torch.tensor([[0, 0, 1, 2]])},
        part=LARGE,
        grad=("logits",),
        rtol=0.0,
        atol=1e-3,
    )
    low = torch.tensor([-1000.0, -1001.0, -1002.0]).expand(1, 4, 3)
    yield Case(
        "the same beside logits (−1000, −1001, −1002)",
        {"logits": torch.cat([steep, low]), "tokens": torch.tensor([[0, 0, 1, 2]] * 2)},
        part=LARGE,
        grad=("logits",),
        rtol=0.0,
        atol=1e-3,
    )
    yield Case(
        "two sequences of a single token: two empty rows",
        {"logits": torch.zeros(2, 1, 4), "tokens": torch.tensor([[1], [3]])},
        part=SINGLE,
    )


@token_log_probs.drawn
def _(draw: Draw) -> Iterator[Case]:
    def inputs(
        batch: int, time: int, vocab: int, scale: float = 1.5, dtype: torch.dtype = torch.float32
    ) -> dict[str, Tensor]:
        logits = draw.normal(batch, time, vocab, scale=scale, dtype=dtype).clamp(-4.0, 4.0)
        return {"logits": logits, "tokens": draw.integers(batch, time, below=vocab)}

    def warm(shape: tuple[int, int, int], temperature: float) -> dict:
        given = inputs(*shape)
        return given | {"logits": given["logits"].clamp(-2.0, 2.0), "temperature": temperature}

    score = ("logits",)
    yield Case("3 sequences of 5 tokens, vocabulary 7", inputs(3, 5, 7), grad=score)
    yield Case("1 sequence of 6 tokens, vocabulary 3", inputs(1, 6, 3), grad=score)
    yield Case("2 tokens: one log-probability a row", inputs(4, 2, 5), grad=score)
    yield Case("temperature 0.7", warm((2, 5, 6), 0.7), TEMPERATURE, score)
    yield Case("temperature 2.5, no gradient asked for", warm((3, 4, 5), 2.5), TEMPERATURE)
    yield Case("logits near ±1000", _near_thousand(draw), LARGE, score, rtol=0.0, atol=1e-3)
    yield Case("float64", inputs(2, 4, 5, dtype=torch.float64), RULES, score)


def _near_thousand(draw: Draw) -> dict[str, Tensor]:
    """Logits of −1000, 0 and 1000, a little apart; each kind of them is drawn."""
    level = torch.tensor([-1000.0, 0.0, 995.0, 1000.0])
    logits = level - draw.uniform(2, 5, 4, high=3.0) * level.sign()
    return {"logits": logits, "tokens": (torch.arange(5) + draw.integers(2, 1, below=4)) % 4}


@token_log_probs.wrong(
    "Each token was scored by the logits of its own place, which have already read it. The token "
    "at t + 1 is scored by the logits at t."
)
def scored_by_own_logits(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    log_probs = (logits / temperature).log_softmax(-1)
    return log_probs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)[:, 1:]


@token_log_probs.wrong(
    "The shift goes the wrong way: logits[:, 1:] score tokens[:, :-1] here, the past. Drop the "
    "last logits and the first token."
)
def shifted_backwards(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    log_probs = (logits[:, 1:] / temperature).log_softmax(-1)
    return log_probs.gather(-1, tokens[:, :-1, None]).squeeze(-1)


@token_log_probs.wrong(
    "The logits are the right ones, the tokens are not: tokens[:, :-1] are those just read. Drop "
    "the first token, not the last."
)
def token_already_read(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    log_probs = (logits[:, :-1] / temperature).log_softmax(-1)
    return log_probs.gather(-1, tokens[:, :-1, None]).squeeze(-1)


@token_log_probs.wrong(
    "As many log-probabilities as tokens came back: the shift is missing. The first token has no "
    "logits before it, so a row has time − 1 entries."
)
def not_shifted(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    log_probs = (logits / temperature).log_softmax(-1)
    return log_probs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)


@token_log_probs.wrong("The temperature was not used: divide the logits by it.")
def temperature_forgotten(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return reference.token_log_probs(logits, tokens)


@token_log_probs.wrong("The logits were multiplied by the temperature: divide them by it.")
def temperature_multiplied(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return reference.token_log_probs(logits, tokens, 1 / temperature)


@token_log_probs.wrong(
    "The log-probabilities were divided by the temperature, so the probabilities no longer sum "
    "to 1. Divide the logits, before log_softmax."
)
def temperature_too_late(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return reference.token_log_probs(logits, tokens) / temperature


@token_log_probs.wrong(
    "Right for ordinary logits, wrong for large ones: softmax rounds a small probability to 0 and "
    "its logarithm is −inf. log_softmax, or the logit minus logsumexp, keeps it."
)
def softmax_then_log(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return _chosen((logits / temperature).softmax(-1).log(), tokens)


def _constant_added(
    size: float, logits: Tensor, tokens: Tensor, temperature: float = 1.0
) -> Tensor:
    return _chosen(((logits / temperature).softmax(-1) + size).log(), tokens)


def _probability_clamped(
    size: float, logits: Tensor, tokens: Tensor, temperature: float = 1.0
) -> Tensor:
    return _chosen((logits / temperature).softmax(-1).clamp(min=size).log(), tokens)


for _size in (6, 8, 10, 12):
    _cost = f"every unlikely token now costs the same −{_size * 2.302585:.1f} nats"
    for _name, _says, _answer in (
        ("constant_added", f"The 1e-{_size} added inside the logarithm", _constant_added),
        ("probability_clamped_at", f"The clamp at 1e-{_size}", _probability_clamped),
    ):
        _says += f" hides the −inf, and {_cost}. Use log_softmax, which needs no such guard."
        _wrong = Mistake(f"{_name}_1e_{_size}", _says, partial(_answer, 10.0**-_size))
        token_log_probs.mistakes.append(_wrong)


def _constant_in_the_temperature(
    size: float, logits: Tensor, tokens: Tensor, temperature: float = 1.0
) -> Tensor:
    return reference.token_log_probs(logits, tokens, temperature + size)


for _size in (6, 7, 8):
    token_log_probs.mistakes.append(
        Mistake(
            f"constant_in_the_temperature_1e_{_size}",
            f"About 1e-{_size} was added to the temperature, and float64 shows it. A temperature "
            "is above 0: divide by it as it is.",
            partial(_constant_in_the_temperature, 10.0**-_size),
        )
    )


@token_log_probs.wrong(
    "Right for ordinary logits, infinite for large ones: exp(1000) overflows. Take the sum with "
    "torch.logsumexp, or use log_softmax: both subtract the largest logit first."
)
def log_of_summed_exp(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    scaled = logits / temperature
    return _chosen(scaled - scaled.exp().sum(-1, keepdim=True).log(), tokens)


@token_log_probs.wrong("These are probabilities: the logarithm is missing.")
def probabilities(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return _chosen((logits / temperature).softmax(-1), tokens)


@token_log_probs.wrong(
    "These are logits as they came: they are yet to be normalised, with log_softmax."
)
def not_normalised(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return _chosen(logits / temperature, tokens)


@token_log_probs.wrong(
    "Normalised over the wrong axis: log_softmax(dim=1) runs over time. The probabilities of the "
    "words at one place sum to 1, so the axis is vocab, the last."
)
def normalised_over_time(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return _chosen((logits / temperature).log_softmax(1), tokens)


@token_log_probs.wrong(
    "Normalised over the wrong axis: log_softmax(1) of the sliced logits runs over time. The "
    "probabilities of the words at one place sum to 1, so the axis is vocab, the last."
)
def normalised_over_sliced_time(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    log_probs = (logits[:, :-1] / temperature).log_softmax(1)
    return log_probs.gather(-1, tokens[:, 1:, None]).squeeze(-1)


@token_log_probs.wrong(
    "Tokens in square brackets index the first axis, the batch. They are to pick from the last: "
    "gather(-1, ...) does that, with the tokens given a last axis of length 1."
)
def indexed_the_batch(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return (logits / temperature).log_softmax(-1)[:, :-1][tokens[:, 1:]]


@token_log_probs.wrong(
    "Indexing with [:, :, tokens] takes all tokens at all places, one table for each place. "
    "gather(-1, ...) takes one token at each."
)
def all_tokens_at_all_places(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return (logits[:, :-1] / temperature).log_softmax(-1)[:, :, tokens[:, 1:]]


@token_log_probs.wrong(
    "The sign is turned: this is the cross-entropy, as F.cross_entropy and nll_loss give it. A "
    "log-probability is never above 0."
)
def cross_entropy(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return -reference.token_log_probs(logits, tokens, temperature)


@token_log_probs.wrong(
    "This is the log-probability of the likeliest token. The one that was drawn is wanted: pick "
    "it with gather."
)
def likeliest_token(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return (logits[:, :-1] / temperature).log_softmax(-1).amax(-1)


@token_log_probs.wrong(
    "A zero was put in front, for the first token, which nothing scores. Return time − 1 entries."
)
def zero_in_front(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return F.pad(reference.token_log_probs(logits, tokens, temperature), (1, 0))


@token_log_probs.wrong(
    "A zero was put at the end, for the last logits, which score nothing. Return time − 1 entries."
)
def zero_at_the_end(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return F.pad(reference.token_log_probs(logits, tokens, temperature), (0, 1))


@token_log_probs.wrong(
    "Each log-probability stands one place late, with a zero in front of them, and the last is "
    "gone. The first entry is that of the second token."
)
def one_place_late(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return F.pad(reference.token_log_probs(logits, tokens, temperature), (1, 0))[:, :-1]


@token_log_probs.wrong(
    "gather wants an index with as many axes as what it picks from: the tokens lack the last one. "
    "Give them an axis of length 1, and take it away from the result."
)
def index_without_the_last_axis(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return (logits[:, :-1] / temperature).log_softmax(-1).gather(-1, tokens[:, 1:])


@token_log_probs.wrong(
    "Normalised twice: log_softmax was given probabilities, where it wants logits. It does by "
    "itself what softmax and log would do."
)
def log_softmax_of_probabilities(
    logits: Tensor, tokens: Tensor, temperature: float = 1.0
) -> Tensor:
    return _chosen((logits / temperature).softmax(-1).log_softmax(-1), tokens)


@token_log_probs.wrong("Summed over the response: return one log-probability for each token.")
def summed_over_time(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return reference.token_log_probs(logits, tokens, temperature).sum(-1)


@token_log_probs.wrong(
    "The last axis is still there, with length 1: gather keeps it. Remove it with squeeze(-1)."
)
def axis_kept(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return reference.token_log_probs(logits, tokens, temperature).unsqueeze(-1)


@token_log_probs.wrong(
    "The value is right, but no gradient reaches the logits: .detach(), no_grad() or numpy cut the "
    "graph. This is the policy's side, the one that learns."
)
def detached(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return reference.token_log_probs(logits, tokens, temperature).detach()


@token_log_probs.wrong(
    "Right except for a single token: torch.stack of an empty list raises. One gather does all "
    "places at once and gives an empty row by itself."
)
def stacked_over_time(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    log_probs = (logits / temperature).log_softmax(-1)
    rows = torch.arange(len(tokens))
    places = range(tokens.shape[1] - 1)
    return torch.stack([log_probs[rows, t, tokens[:, t + 1]] for t in places], dim=1)


@token_log_probs.wrong(
    "Right except for a single token: Categorical refuses logits without any place. Score all "
    "places and drop the last afterwards, or use gather, which gives an empty row by itself."
)
def categorical_of_nothing(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    policy = torch.distributions.Categorical(logits=logits[:, :-1] / temperature)
    return policy.log_prob(tokens[:, 1:])


@token_log_probs.wrong(
    "squeeze() without an axis removes every axis of length 1, the batch's or time's too. Say "
    "which: squeeze(-1)."
)
def squeezed_everything(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return reference.token_log_probs(logits, tokens, temperature).squeeze()


@token_log_probs.wrong(
    "The logits were changed in place (/= or div_): the caller's tensor is scaled again at every "
    "call. Divide into a new tensor."
)
def in_place(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    logits /= temperature
    return reference.token_log_probs(logits, tokens)


@token_log_probs.wrong("float64 came in and float32 went out: keep the dtype you are given.")
def cast_to_float32(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return reference.token_log_probs(logits.float(), tokens, temperature)


def _chosen(scores: Tensor, tokens: Tensor) -> Tensor:
    """The score at t of the token at t + 1."""
    return scores[:, :-1].gather(-1, tokens[:, 1:].unsqueeze(-1)).squeeze(-1)


@token_log_probs.wrong(
    "Each logit went through a sigmoid by itself, as if tokens did not exclude each other. One "
    "token follows: log_softmax over the vocabulary."
)
def log_sigmoid_taken(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    logs = F.logsigmoid(logits[:, :-1] / temperature)
    return logs.gather(-1, tokens[:, 1:].unsqueeze(-1)).squeeze(-1)


@token_log_probs.wrong(
    "These are entropies, one for each place: the token that came was not looked up."
)
def entropy_of_each_place(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    logs = (logits[:, :-1] / temperature).log_softmax(-1)
    return -(logs.exp() * logs).sum(-1)


@token_log_probs.right
def with_cross_entropy(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    scores = (logits[:, :-1] / temperature).transpose(1, 2)  # batch vocab time-1
    return -F.cross_entropy(scores, tokens[:, 1:], reduction="none")


@token_log_probs.right
def with_one_hot(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    log_probs = (logits[:, :-1] / temperature).log_softmax(-1)
    hot = F.one_hot(tokens[:, 1:], logits.shape[-1]).to(logits.dtype)
    return torch.einsum("btv,btv->bt", log_probs, hot)


@token_log_probs.right
def with_categorical(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    policy = torch.distributions.Categorical(logits=logits / temperature)
    return policy.log_prob(tokens.roll(-1, dims=1))[:, :-1]


@token_log_probs.right
def one_row_at_a_time(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    rows = []
    for scores, row in zip(logits, tokens, strict=True):
        log_probs = torch.log_softmax(scores / temperature, dim=-1)
        rows.append(log_probs[torch.arange(len(row) - 1), row[1:]])
    return torch.stack(rows)


@token_log_probs.right
def one_flat_table(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    table = (logits[:, :-1] / temperature).log_softmax(-1).flatten(0, 1)
    picked = table[torch.arange(len(table)), tokens[:, 1:].flatten()]
    return picked.reshape(tokens[:, 1:].shape)


@token_log_probs.right
def in_double_and_back(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return _chosen((logits.double() / temperature).log_softmax(-1), tokens).to(logits.dtype)


@token_log_probs.right
def largest_subtracted_by_hand(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    scaled = logits / temperature
    scaled = scaled - scaled.amax(-1, keepdim=True).detach()
    return _chosen(scaled - scaled.exp().sum(-1, keepdim=True).log(), tokens)


@token_log_probs.right
def filled_one_by_one(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    out = logits.new_zeros(tokens.shape[0], tokens.shape[1] - 1)
    for b in range(out.shape[0]):
        for t in range(out.shape[1]):
            out[b, t] = (logits[b, t] / temperature).log_softmax(0)[tokens[b, t + 1]]
    return out


# --- masked_mean ---------------------------------------------------------------------------------

masked_mean = Exercise(
    "masked_mean",
    parts={VALUES: 1, UNEQUAL: 1, PADDING: 1, EMPTY: 1, GRADIENT: 1, RULES: 1},
    hints=(
        "A sum over the real entries, divided by how many there are: one sum and one count for "
        "the whole batch.",
        "0 · inf is nan, so do not multiply by the mask. torch.where(mask, a, b) chooses between "
        "two values and never looks at the other one.",
        "torch.where(mask, x, 0.0) is safe to sum. Divide by the number of True in mask, and keep "
        "a count of 0 from dividing: clamp has a min.",
    ),
)


@masked_mean.by_hand
def _() -> Iterator[Case]:
    full = torch.ones(2, 2, dtype=torch.bool)
    yield Case(
        "nothing masked: the mean of 1, 2, 3, 6 is 3",
        {"x": tensor([1.0, 2.0], [3.0, 6.0]), "mask": full},
        grad=("x",),
    )
    yield Case(
        "nothing masked: the mean of −6, 0, 0, 2 is −1",
        {"x": tensor([-6.0, 0.0], [0.0, 2.0]), "mask": full},
        grad=("x",),
    )
    yield Case(
        "one real token a row: the mean of 1 and 3 is 2",
        {"x": tensor([1.0, 9.0], [3.0, 9.0]), "mask": torch.tensor([[True, False]] * 2)},
        grad=("x",),
    )
    yield Case(
        "the mean of 2049 and 1 is 1025: 16 bits cannot hold 2049",
        {"x": tensor([2049.0, 1.0]), "mask": full[:1]},
        grad=("x",),
    )
    yield Case(
        "float64, the mean of 16777217 and 1 is 8388609: 32 bits cannot hold 16777217",
        {"x": tensor([16777217.0, 1.0], dtype=torch.float64), "mask": full[:1]},
        part=RULES,
        grad=("x",),
    )
    yield Case(
        "rows of 3 and 1: the mean of 1, 2, 3 and 10 is 4, the mean of the rows' means 6",
        {
            "x": tensor([1.0, 2.0, 3.0], [10.0, 0.0, 0.0]),
            "mask": torch.tensor([[True, True, True], [True, False, False]]),
        },
        part=UNEQUAL,
        grad=("x",),
    )
    yield Case(
        "inf, −inf and nan where the mask is False: the mean of 1 and 3 is 2",
        {
            "x": tensor([1.0, INF, NAN], [-INF, 3.0, NAN]),
            "mask": torch.tensor([[True, False, False], [False, True, False]]),
        },
        part=PADDING,
        grad=("x",),
    )
    yield Case(
        "inf on a real token: the mean of 1 and inf is inf",
        {"x": tensor([1.0, INF]), "mask": full[:1]},
        part=PADDING,
    )
    none = torch.zeros(2, 2, dtype=torch.bool)
    yield Case(
        "no real token at all: 0",
        {"x": tensor([1.0, 2.0], [3.0, INF]), "mask": none},
        part=EMPTY,
        grad=("x",),
    )


@masked_mean.drawn
def _(draw: Draw) -> Iterator[Case]:
    def x(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return draw.normal(*shape, dtype=dtype) + 1.5

    halves = torch.arange(6) < torch.full((4, 1), 3)
    yield Case("4 rows, 3 of 6 tokens real", {"x": x(4, 6), "mask": halves}, grad=("x",))
    one = torch.ones(1, 1, dtype=torch.bool)
    yield Case("one row, one token", {"x": x(1, 1), "mask": one}, grad=("x",))
    yield Case("the same mask, no gradient asked for", {"x": x(4, 6), "mask": halves})
    lengths = draw.lengths_mask(4, 7)
    yield Case("rows of unequal length", {"x": x(4, 7), "mask": lengths}, UNEQUAL, ("x",))
    scattered = draw.scattered_mask(3, 6)
    yield Case("gaps between real tokens", {"x": x(3, 6), "mask": scattered}, UNEQUAL, ("x",))
    empty = draw.lengths_mask(3, 5)
    empty[1] = False
    yield Case("one of the rows has no real token", {"x": x(3, 5), "mask": empty}, UNEQUAL, ("x",))
    mask = _equal_rows(3, 5)
    for poison in (INF, NAN):
        poisoned = x(3, 5).masked_fill(~mask, poison)
        yield Case(f"{poison} in the padding", {"x": poisoned, "mask": mask}, PADDING, ("x",))
    double = {"x": x(3, 5, dtype=torch.float64), "mask": _equal_rows(3, 5)}
    yield Case("float64", double, part=RULES, grad=("x",))
    nothing = {"x": x(2, 3, dtype=torch.float64), "mask": torch.zeros(2, 3, dtype=torch.bool)}
    yield Case("float64, no real token", nothing, part=EMPTY)


def _equal_rows(batch: int, time: int) -> Tensor:
    """Three real tokens in each row, never in the same places as in the row before."""
    first = torch.arange(batch).unsqueeze(1)
    return (torch.arange(time) - first) % time < 3


def _count(mask: Tensor) -> Tensor:
    return mask.sum().clamp(min=1)


def _kept(x: Tensor, mask: Tensor) -> Tensor:
    return x.masked_fill(~mask, 0.0)


@masked_mean.wrong("The mask was not used: this is the mean over real tokens and padding alike.")
def mask_ignored(x: Tensor, mask: Tensor) -> Tensor:
    return x.mean()


@masked_mean.wrong(
    "The sum is right but the count is not: this divides by all places, padding included. Divide "
    "by the number of True."
)
def divided_by_all_places(x: Tensor, mask: Tensor) -> Tensor:
    return _kept(x, mask).mean()


@masked_mean.wrong(
    "This is the sum per row averaged over rows. Divide by the number of real tokens, not of rows."
)
def divided_by_rows(x: Tensor, mask: Tensor) -> Tensor:
    return _kept(x, mask).sum(-1).mean()


@masked_mean.wrong(
    "This is the mean of the rows' means: a token of a short response counts more than one of a "
    "long response. Sum over the whole batch, then divide once."
)
def mean_of_row_means(x: Tensor, mask: Tensor) -> Tensor:
    return (_kept(x, mask).sum(-1) / mask.sum(-1).clamp(min=1)).mean()


@masked_mean.wrong(
    "This is the mean of the rows' means, and a row with no real token made it nan. Sum over the "
    "whole batch, then divide once."
)
def mean_of_row_means_nan(x: Tensor, mask: Tensor) -> Tensor:
    return (_kept(x, mask).sum(-1) / mask.sum(-1)).mean()


@masked_mean.wrong(
    "This is the mean of the rows' means, rows without a real token left out. Tokens of short "
    "responses count more in it: sum over the whole batch, then divide once."
)
def mean_of_filled_rows_means(x: Tensor, mask: Tensor) -> Tensor:
    means = [row[real].mean() for row, real in zip(x, mask, strict=True) if real.any()]
    return torch.stack(means).mean() if means else x.new_zeros(())


@masked_mean.wrong(
    "Padding was taken to stand last: the first n entries of a row were summed, n being its number "
    "of real tokens. Use the mask itself, which may be True anywhere."
)
def padding_taken_to_be_last(x: Tensor, mask: Tensor) -> Tensor:
    first = torch.arange(mask.shape[1]) < mask.sum(1, keepdim=True)
    return _kept(x, first).sum() / _count(mask)


@masked_mean.wrong("One mean for each row came back. The mean is over the whole batch: one number.")
def one_mean_a_row(x: Tensor, mask: Tensor) -> Tensor:
    return _kept(x, mask).sum(-1) / mask.sum(-1).clamp(min=1)


@masked_mean.wrong("This is the sum: divide it by the number of real tokens.")
def summed(x: Tensor, mask: Tensor) -> Tensor:
    return _kept(x, mask).sum()


@masked_mean.wrong("The mask is turned round: this is the mean of the padding. True counts.")
def mask_inverted(x: Tensor, mask: Tensor) -> Tensor:
    return reference.masked_mean(x, ~mask)


@masked_mean.wrong(
    "The mask was multiplied with x, and 0 · inf is nan: padding reached the mean. Choose with "
    "torch.where or index with the mask instead."
)
def multiplied_by_mask(x: Tensor, mask: Tensor) -> Tensor:
    return (x * mask).sum() / _count(mask)


@masked_mean.wrong(
    "No real token is looked after; elsewhere the mask was multiplied with x, and 0 · inf is nan: "
    "padding reached the mean. Choose with torch.where or index with the mask instead."
)
def multiplied_but_for_nothing(x: Tensor, mask: Tensor) -> Tensor:
    return (x * mask).sum() / mask.sum() if mask.any() else x.new_zeros(())


@masked_mean.wrong(
    "nan_to_num replaces inf on real tokens too, by the largest float, and hides that something "
    "has overflowed. Choose by the mask, with torch.where, not by the value."
)
def replaced_by_value(x: Tensor, mask: Tensor) -> Tensor:
    return (torch.nan_to_num(x) * mask).sum() / _count(mask)


@masked_mean.wrong(
    "nan_to_num sets inf on real tokens to 0 as well, and hides that something has overflowed. "
    "Choose by the mask, with torch.where, not by the value."
)
def zeroed_by_value(x: Tensor, mask: Tensor) -> Tensor:
    return (torch.nan_to_num(x, 0.0, 0.0, 0.0) * mask).sum() / _count(mask)


@masked_mean.wrong(
    "nan_to_num around the mean turns 0 / 0 into 0, but a mean that is inf, or nan, on real tokens "
    "into an ordinary number too. Keep the count from being 0 instead."
)
def mean_replaced(x: Tensor, mask: Tensor) -> Tensor:
    return x[mask].mean().nan_to_num()


@masked_mean.wrong(
    "Right where some token is real; with none, 0 / 0 is nan. The mean of nothing is 0 here: keep "
    "the count from being 0."
)
def nothing_over_nothing(x: Tensor, mask: Tensor) -> Tensor:
    return _kept(x, mask).sum() / mask.sum()


def _constant_in_the_count(size: float, x: Tensor, mask: Tensor) -> Tensor:
    return _kept(x, mask).sum() / (mask.to(x.dtype).sum() + size)


def _constant_in_a_float32_count(size: float, x: Tensor, mask: Tensor) -> Tensor:
    return _kept(x, mask).sum() / (mask.sum() + size)


for _name, _says, _answer in (
    ("constant_in_the_count", "a float64 mean is off by it", _constant_in_the_count),
    (
        "constant_in_a_float32_count",
        "the sum of a bool mask turns float32 by it, which float64 shows",
        _constant_in_a_float32_count,
    ),
):
    for _size in (8, 6, 5):
        _wrong = Mistake(
            f"{_name}_1e_{_size}",
            f"About 1e-{_size} was added to the count, and {_says}. Keep a count of 0 from "
            "dividing with clamp, which leaves all others as they are.",
            partial(_answer, 10.0**-_size),
        )
        if (_name, _size) != ("constant_in_a_float32_count", 8):  # rounded away: no mistake
            masked_mean.mistakes.append(_wrong)


@masked_mean.wrong(
    "Right except with no real token: the 0 you return there is a plain Python number, through "
    "which no gradient goes. x.new_zeros(()) is a tensor of the dtype and the device of x."
)
def plain_zero(x: Tensor, mask: Tensor) -> Tensor | float:
    return x[mask].mean() if mask.any() else 0.0


@masked_mean.wrong(
    "1 was added to the count, which keeps it from being 0 and makes every other mean too small. "
    "Change the count only where it is 0."
)
def one_added_to_the_count(x: Tensor, mask: Tensor) -> Tensor:
    return _kept(x, mask).sum() / (mask.sum() + 1)


@masked_mean.wrong(
    "The value is right, but no gradient reaches x: .detach(), .item() or torch.tensor(...) around "
    "the result cut the graph."
)
def detached(x: Tensor, mask: Tensor) -> Tensor:
    return reference.masked_mean(x, mask).detach()


@masked_mean.wrong(
    "x was changed in place (x[~mask] = 0, masked_fill_): write the zeros into a new tensor."
)
def in_place(x: Tensor, mask: Tensor) -> Tensor:
    x[~mask] = 0.0
    return x.sum() / _count(mask)


@masked_mean.wrong("float64 came in and float32 went out: keep the dtype you are given.")
def cast_to_float32(x: Tensor, mask: Tensor) -> Tensor:
    return reference.masked_mean(x.float(), mask)


@masked_mean.wrong(
    "Right except with no real token: the 0 you return there is a fresh float32 tensor. "
    "x.new_zeros(()) has the dtype and the device of x."
)
def zero_of_another_dtype(x: Tensor, mask: Tensor) -> Tensor:
    return x[mask].mean() if mask.any() else torch.tensor(0.0)


@masked_mean.wrong(
    "This is the median of the real entries. Their mean is their sum by their number."
)
def median_of_the_real(x: Tensor, mask: Tensor) -> Tensor:
    return x[mask].median() if mask.any() else x.new_zeros(())


@masked_mean.wrong("The sum was divided by the root of the count: divide by the count.")
def divided_by_the_root(x: Tensor, mask: Tensor) -> Tensor:
    return _kept(x, mask).sum() / mask.sum().clamp(min=1).to(x.dtype).sqrt()


@masked_mean.right
def indexed(x: Tensor, mask: Tensor) -> Tensor:
    return x[mask].mean() if mask.any() else x.new_zeros(())


@masked_mean.right
def selected(x: Tensor, mask: Tensor) -> Tensor:
    return torch.masked_select(x, mask).sum() / max(int(mask.sum()), 1)


@masked_mean.right
def copied_then_cleared(x: Tensor, mask: Tensor) -> Tensor:
    x = x.clone()
    x[~mask] = 0
    return x.sum() / _count(mask)


@masked_mean.right
def token_by_token(x: Tensor, mask: Tensor) -> Tensor:
    total, count = x.new_zeros(()), 0
    for row, real in zip(x, mask, strict=True):
        for value, counts in zip(row, real, strict=True):
            if counts:
                total, count = total + value, count + 1
    return total / count if count else total


@masked_mean.right
def count_kept_from_zero(x: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, x, 0.0).sum() / (mask.sum() + 1e-8)  # whose float32 is the count


@masked_mean.right
def nan_left_out(x: Tensor, mask: Tensor) -> Tensor:
    return x.masked_fill(~mask, NAN).nanmean() if mask.any() else x.new_zeros(())


@masked_mean.right
def weighted_row_means(x: Tensor, mask: Tensor) -> Tensor:
    lengths = mask.sum(-1)
    means = torch.where(mask, x, torch.zeros_like(x)).sum(-1) / lengths.clamp(min=1)
    return torch.dot(means, lengths.to(x.dtype)) / _count(mask)


# --- importance_ratio ----------------------------------------------------------------------------

importance_ratio = Exercise(
    "importance_ratio",
    parts={VALUES: 1, GRADIENT: 1, UNLIKELY: 1, RULES: 1},
    hints=(
        "Both inputs are logarithms. What does a quotient of probabilities become when you have "
        "their logarithms?",
        "Subtract first, then exp: exp(logp) by itself is 0 for an unlikely token, and 0 / 0 is "
        "nan. One of the two is a constant: which policy is not being trained?",
        "A constant is a tensor that has left the graph: old_logp.detach(). Take logp minus that, "
        "and one more function of the difference.",
    ),
)


@importance_ratio.by_hand
def _() -> Iterator[Case]:
    both = ("logp", "old_logp")
    quarter, half = tensor([0.25]).log(), tensor([0.5]).log()
    yield Case("from 1/4 to 1/2: 2", {"logp": half, "old_logp": quarter}, grad=both)
    yield Case("from 1/2 to 1/4: 1/2", {"logp": quarter, "old_logp": half}, grad=both)
    yield Case("nothing changed: 1", {"logp": half, "old_logp": half}, grad=both)
    # Further apart than any that are drawn, so that a bound shows here or never among these.
    near, far = tensor([-0.5, -3.5]), tensor([-3.5, -0.5])
    yield Case("3 nats up and 3 nats down: e³ and e⁻³", {"logp": near, "old_logp": far}, grad=both)
    exact = {"logp": tensor([-15.0, -14.0], dtype=torch.float64)}
    exact["old_logp"] = exact["logp"].flip(1)
    yield Case("float64, tokens of about 1e-6: 1/e and e", exact, RULES, both)
    yield Case(
        "−120 against −121 and −121 against −120: e and 1/e",
        {"logp": tensor([-120.0, -121.0]), "old_logp": tensor([-121.0, -120.0])},
        part=UNLIKELY,
        grad=("logp",),
    )
    yield Case(
        "a token 25 nats likelier than it was: e to the 25",
        {"logp": tensor([-1.0, -2.0]), "old_logp": tensor([-26.0, -2.0])},
        part=UNLIKELY,
        grad=("logp",),
    )
    yield Case(
        "a token 75 nats likelier than it was: e to the 75",
        {"logp": tensor([-1.0, -2.0]), "old_logp": tensor([-76.0, -2.0])},
        part=UNLIKELY,
    )


@importance_ratio.drawn
def _(draw: Draw) -> Iterator[Case]:
    def inputs(*shape: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        return {name: draw.logp(*shape, dtype=dtype) for name in ("logp", "old_logp")}

    both = ("logp", "old_logp")
    yield Case("3 rows of 4 tokens", inputs(3, 4), grad=both)
    yield Case("one row of 5", inputs(1, 5), grad=both)
    yield Case("two rows of one token, no gradient asked for", inputs(2, 1))
    yield Case("an empty row", inputs(2, 0))
    yield Case("float64", inputs(2, 3, dtype=torch.float64), part=RULES, grad=both)
    far = {name: value - 110.0 for name, value in inputs(2, 3).items()}
    yield Case("log-probabilities below −110", far, UNLIKELY, ("logp",))


@importance_ratio.wrong("Turned over: this is old / policy. The policy being trained is on top.")
def swapped(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (old_logp.detach() - logp).exp()


@importance_ratio.wrong("This is the logarithm of the ratio: exp is still missing.")
def log_ratio(logp: Tensor, old_logp: Tensor) -> Tensor:
    return logp - old_logp.detach()


@importance_ratio.wrong(
    "The log-probabilities were divided. A quotient of probabilities is a difference "
    "of logarithms, then exp."
)
def ratio_of_logs(logp: Tensor, old_logp: Tensor) -> Tensor:
    return logp / old_logp.detach()


@importance_ratio.wrong("This is ratio − 1, from expm1. An unchanged token has a ratio of 1.")
def with_expm1(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp - old_logp.detach()).expm1()


@importance_ratio.wrong(
    "Log-probabilities are in nats, so the inverse is exp. This is exp2, a power of 2."
)
def base_two(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp - old_logp.detach()).exp2()


@importance_ratio.wrong(
    "The value is right, but a gradient flows into old_logp. The old policy drew the data and is "
    "fixed: detach it."
)
def old_not_detached(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp - old_logp).exp()


@importance_ratio.wrong(
    "The value is right, but the policy was held constant and old was not. Detach old_logp, "
    "leave logp in the graph."
)
def wrong_one_detached(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp.detach() - old_logp).exp()


@importance_ratio.wrong(
    "The value is right, but nothing can learn from it: no gradient reaches logp. Detach "
    "old_logp alone."
)
def everything_detached(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp - old_logp).exp().detach()


@importance_ratio.wrong(
    "Right for likely tokens only: exp(−120) is 0 in float32 and 0 / 0 is nan. Subtract the "
    "logarithms first, take exp once."
)
def quotient_of_exps(logp: Tensor, old_logp: Tensor) -> Tensor:
    return logp.exp() / old_logp.detach().exp()


@importance_ratio.wrong(
    "nan_to_num hides the 0 / 0: the ratio of two unlikely tokens came back as 0. Subtract the "
    "logarithms first, take exp once."
)
def quotient_with_nan_replaced(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp.exp() / old_logp.detach().exp()).nan_to_num()


def _quotient_with_constant(size: float, logp: Tensor, old_logp: Tensor) -> Tensor:
    return logp.exp() / (old_logp.detach().exp() + size)


for _size in (6, 8, 10, 12):
    importance_ratio.mistakes.append(
        Mistake(
            f"quotient_with_constant_1e_{_size}",
            f"About 1e-{_size} in the denominator hides the 0 / 0: an unlikely token now has a "
            "ratio of 0. Subtract the logarithms first, take exp once.",
            partial(_quotient_with_constant, 10.0**-_size),
        )
    )


def _log_ratio_clamped(bound: float, logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp - old_logp.detach()).clamp(-bound, bound).exp()


def _ratio_capped(bound: float, logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp - old_logp.detach()).exp().clamp(max=bound)


NOT_CLIPPED = (
    "Nothing is clipped in this exercise: a clamped ratio has no gradient, and its value is "
    "another one."
)
for _bound in (5, 10, 20):
    for _name, _says, _answer in (
        ("log_ratio_clamped", "The log-ratio was clamped before exp, to ±", _log_ratio_clamped),
        ("ratio_capped", "The ratio was cut off at ", _ratio_capped),
    ):
        _wrong = Mistake(
            f"{_name}_at_{_bound}", f"{_says}{_bound}. {NOT_CLIPPED}", partial(_answer, _bound)
        )
        importance_ratio.mistakes.append(_wrong)


@importance_ratio.wrong(
    "The policy was compared with itself, logp − logp.detach(): that is 1 whatever has changed. "
    "The denominator is old_logp, what the policy was when it drew the data."
)
def policy_against_itself(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp - logp.detach()).exp()


@importance_ratio.wrong(
    "Every token got one ratio, the geometric mean over its response. Each has its own: average "
    "nothing."
)
def geometric_mean_for_each_token(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp - old_logp.detach()).mean(-1, keepdim=True).exp().expand_as(logp)


@importance_ratio.wrong(
    "The ratio was clipped to 0.8 … 1.2. That belongs to PPO's objective, in a later lesson; the "
    "ratio itself is not clipped."
)
def clipped(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp - old_logp.detach()).exp().clamp(0.8, 1.2)


@importance_ratio.wrong(
    "The log-ratios were summed over the response: this is one ratio a row. Return one a token."
)
def of_whole_responses(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp - old_logp.detach()).sum(-1).exp()


@importance_ratio.wrong(
    "Every token of a row got the ratio of the whole response, the product of its tokens' ratios. "
    "Each token has its own: sum nothing."
)
def response_ratio_for_each_token(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp - old_logp.detach()).sum(-1, keepdim=True).exp().expand_as(logp)


@importance_ratio.wrong(
    "The ratios were summed over the response. Return one ratio for each token."
)
def ratios_summed(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp - old_logp.detach()).exp().sum(-1)


@importance_ratio.wrong(
    "The ratios were multiplied up along the row: this is the ratio of the words so far. Return "
    "that of each token alone."
)
def ratio_of_the_words_so_far(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp - old_logp.detach()).cumsum(-1).exp()


@importance_ratio.wrong(
    "softmax makes the row sum to 1. The log-probabilities are normalised already, each over its "
    "own vocabulary: take exp of the difference alone."
)
def softmax_of_the_difference(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp - old_logp.detach()).softmax(-1)


@importance_ratio.wrong(
    "Both inputs went through softmax, which normalises them over the tokens of a row. They are "
    "log-probabilities already: subtract them, then exp."
)
def quotient_of_softmaxes(logp: Tensor, old_logp: Tensor) -> Tensor:
    return logp.softmax(-1) / old_logp.detach().softmax(-1)


@importance_ratio.wrong("An input was changed in place (sub_, exp_, −=): compute a new tensor.")
def in_place(logp: Tensor, old_logp: Tensor) -> Tensor:
    return logp.sub_(old_logp.detach()).exp()


@importance_ratio.wrong("float64 came in and float32 went out: keep the dtype you are given.")
def cast_to_float32(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp.float() - old_logp.detach().float()).exp()


@importance_ratio.wrong(
    "This is 1 + (logp − old_logp), which is near the ratio only while little has moved. Take exp."
)
def first_order_only(logp: Tensor, old_logp: Tensor) -> Tensor:
    return 1 + (logp - old_logp.detach())


@importance_ratio.wrong("This is the policy's probability alone: divide by old's.")
def old_forgotten(logp: Tensor, old_logp: Tensor) -> Tensor:
    return logp.exp()


@importance_ratio.wrong(
    "The sign of the difference was dropped, so no ratio is below 1. A token that became less "
    "likely has one below 1."
)
def never_below_one(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp - old_logp.detach()).abs().exp()


@importance_ratio.wrong(
    "This is a sigmoid, policy / (policy + old). The ratio is policy / old: exp of the difference."
)
def sigmoid_of_the_difference(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp - old_logp.detach()).sigmoid()


@importance_ratio.right
def under_no_grad(logp: Tensor, old_logp: Tensor) -> Tensor:
    with torch.no_grad():
        old = old_logp.clone()
    return torch.exp(logp - old)


@importance_ratio.right
def inverse_of_the_inverse(logp: Tensor, old_logp: Tensor) -> Tensor:
    return 1 / torch.exp(old_logp.detach() - logp)


@importance_ratio.right
def quotient_in_double(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp.double().exp() / old_logp.detach().double().exp()).to(logp.dtype)


@importance_ratio.right
def token_by_token_ratio(logp: Tensor, old_logp: Tensor) -> Tensor:
    out = torch.zeros_like(logp)
    for b in range(logp.shape[0]):
        for t in range(logp.shape[1]):
            out[b, t] = torch.exp(logp[b, t] - old_logp[b, t].detach())
    return out


@importance_ratio.right
def square_of_the_root(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (0.5 * (logp - old_logp.detach())).exp().square()


@importance_ratio.right
def one_plus_expm1(logp: Tensor, old_logp: Tensor) -> Tensor:
    return 1 + torch.expm1(logp - old_logp.data)


# --- surrogate_objective -------------------------------------------------------------------------

surrogate_objective = Exercise(
    "surrogate_objective",
    parts={VALUES: 2, GRADIENT: 1, UNEQUAL: 1, PADDING: 1, EMPTY: 1, RULES: 1},
    hints=(
        "You have both pieces: importance_ratio for each token, masked_mean for the average. "
        "Advantage goes between them, as a constant.",
        "masked_mean keeps padding out of the value. The gradient goes back through exp and the "
        "product as well, and 0 · inf there is nan: padding must be gone before the arithmetic.",
        "Replace padding in logp, old_logp and advantage with torch.where(mask, ..., 0.0) first. "
        "Then ratio × detached advantage, then masked_mean of that.",
    ),
)

TENSORS = ("logp", "old_logp", "advantage")


@surrogate_objective.by_hand
def _() -> Iterator[Case]:
    full = torch.ones(1, 2, dtype=torch.bool)
    yield Case(
        "ratios 2 and 1/2, advantages 1 and −2: (2 − 1) / 2 = 1/2",
        {
            "logp": tensor([0.5, 0.25]).log(),
            "old_logp": tensor([0.25, 0.5]).log(),
            "advantage": tensor([1.0, -2.0]),
            "mask": full,
        },
        grad=TENSORS,
    )
    yield Case(
        "before any update every ratio is 1: the mean advantage, (3 − 1) / 2 = 1",
        {
            "logp": tensor([0.3, 0.6]).log(),
            "old_logp": tensor([0.3, 0.6]).log(),
            "advantage": tensor([3.0, -1.0]),
            "mask": full,
        },
        grad=TENSORS,
    )
    yield Case(
        "ratios 1, advantages 0 and 3: 3/2",
        {
            "logp": tensor([-1.0, -2.0]),
            "old_logp": tensor([-1.0, -2.0]),
            "advantage": tensor([0.0, 3.0]),
            "mask": full,
        },
        grad=TENSORS,
    )
    yield Case(
        "−120 against −121, and −1 against −26, advantages 1 and −1: (e − e²⁵) / 2",
        {
            "logp": tensor([-120.0, -1.0]),
            "old_logp": tensor([-121.0, -26.0]),
            "advantage": tensor([1.0, -1.0]),
            "mask": full,
        },
        part=GRADIENT,
        grad=("logp",),
    )
    yield Case(
        "−1 against −71, advantages −1 and 1: (1 − e⁷⁰) / 2",
        {
            "logp": tensor([-1.0, -1.0]),
            "old_logp": tensor([-71.0, -1.0]),
            "advantage": tensor([-1.0, 1.0]),
            "mask": full,
        },
        part=GRADIENT,
    )
    # Further apart than any that are drawn, so that a bound shows here or never among the values.
    yield Case(
        "3 nats up and 3 nats down, advantages 1, 2, −3 and −4: −(e³ + e⁻³) / 2",
        {
            "logp": tensor([-0.5, -3.5], [-0.5, -3.5]),
            "old_logp": tensor([-3.5, -0.5], [-3.5, -0.5]),
            "advantage": tensor([1.0, 2.0], [-3.0, -4.0]),
            "mask": full.expand(2, 2),
        },
        grad=TENSORS,
    )
    yield Case(
        "rows of 3 and 1, ratios 1, advantages 1, 2, 3 and 10: 4",
        {
            "logp": torch.full((2, 3), -1.0),
            "old_logp": torch.full((2, 3), -1.0),
            "advantage": tensor([1.0, 2.0, 3.0], [10.0, 0.0, 0.0]),
            "mask": torch.tensor([[True, True, True], [True, False, False]]),
        },
        part=UNEQUAL,
        grad=("logp",),
    )


@surrogate_objective.drawn
def _(draw: Draw) -> Iterator[Case]:
    def inputs(mask: Tensor, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        drawn = {name: draw.logp(*mask.shape, dtype=dtype) for name in ("logp", "old_logp")}
        advantage = draw.normal(*mask.shape, dtype=dtype) + 0.3
        return drawn | {"advantage": advantage, "mask": mask}

    full = torch.ones(3, 4, dtype=torch.bool)
    yield Case("3 rows of 4 real tokens", inputs(full), grad=TENSORS)
    half = torch.arange(6) < torch.full((4, 1), 3)
    yield Case("4 rows, 3 of 6 tokens real", inputs(half), grad=TENSORS)
    yield Case("the same, no gradient asked for", inputs(half))
    yield Case("unequal rows", inputs(draw.lengths_mask(4, 6)), UNEQUAL, ("logp",))
    yield Case("gaps between real tokens", inputs(draw.scattered_mask(3, 5)), UNEQUAL, ("logp",))
    for name in TENSORS:
        poisoned = inputs(_equal_rows(3, 5))
        fill = torch.tensor([INF, -INF, NAN]).repeat(5).reshape(3, 5)
        poisoned[name] = torch.where(poisoned["mask"], poisoned[name], fill)
        yield Case(f"inf and nan in the padding of {name}", poisoned, PADDING, ("logp",))
    mixed = inputs(_equal_rows(3, 4))
    for name, poison in zip(TENSORS, (NAN, -INF, INF), strict=True):
        mixed[name] = mixed[name].masked_fill(~mixed["mask"], poison)
    yield Case("inf and nan in the padding of all three", mixed, PADDING, ("logp",))
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    yield Case("no real token at all: 0", inputs(nothing), EMPTY, ("logp",))
    yield Case("float64, no real token", inputs(nothing, torch.float64), EMPTY)
    double = inputs(_equal_rows(3, 4), torch.float64)
    yield Case("float64", double, part=RULES, grad=TENSORS)


def _clean(mask: Tensor, *tensors: Tensor) -> list[Tensor]:
    return [tensor.masked_fill(~mask, 0.0) for tensor in tensors]


def _gains(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    """Ratio × advantage, 0 in the padding."""
    logp, old_logp, advantage = _clean(mask, logp, old_logp.detach(), advantage.detach())
    return (logp - old_logp).exp() * advantage


@surrogate_objective.wrong(
    "The sign is turned: this is a loss. J is maximised, so a good token made likelier raises it; "
    "the minus belongs to the optimiser's loss."
)
def negated(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    return -_gains(logp, old_logp, advantage, mask).sum() / _count(mask)


@surrogate_objective.wrong(
    "This is log-probability × advantage: its gradient agrees with J's while policy and old are "
    "the same, its value does not. Use the ratio."
)
def log_prob_times_advantage(
    logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor
) -> Tensor:
    logp, advantage = _clean(mask, logp, advantage.detach())
    return (logp * advantage).sum() / _count(mask)


@surrogate_objective.wrong("This uses the log-ratio. The ratio itself, its exp, is weighted.")
def log_ratio_times_advantage(
    logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor
) -> Tensor:
    logp, old_logp, advantage = _clean(mask, logp, old_logp.detach(), advantage.detach())
    return ((logp - old_logp) * advantage).sum() / _count(mask)


@surrogate_objective.wrong("The ratio is turned over: old / policy. The policy is on top.")
def ratio_swapped(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    logp, old_logp, advantage = _clean(mask, logp, old_logp.detach(), advantage.detach())
    return ((old_logp - logp).exp() * advantage).sum() / _count(mask)


@surrogate_objective.wrong(
    "The ratio is missing: this is the mean advantage, which does not know the policy at all."
)
def ratio_forgotten(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    return _clean(mask, advantage.detach())[0].sum() / _count(mask)


@surrogate_objective.wrong(
    "The policy was compared with itself, logp − logp.detach(): that ratio is 1 whatever has "
    "changed. The denominator is old_logp."
)
def policy_against_itself(
    logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor
) -> Tensor:
    logp, advantage = _clean(mask, logp, advantage.detach())
    return ((logp - logp.detach()).exp() * advantage).sum() / _count(mask)


@surrogate_objective.wrong(
    "The ratio was held constant, so nothing would be learnt: its gradient is the point. Detach "
    "old_logp and advantage, and log-probabilities take no other part in J."
)
def ratio_held_constant(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    weight = _gains(logp, old_logp, advantage, mask).detach()
    return (weight * _clean(mask, logp)[0]).sum() / _count(mask)


@surrogate_objective.wrong("The advantage is missing: this is the mean ratio.")
def advantage_forgotten(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    return _gains(logp, old_logp, torch.ones_like(logp), mask).sum() / _count(mask)


@surrogate_objective.wrong(
    "This is PPO's clipped objective. It comes in a later lesson: J here is ratio × advantage, "
    "unclipped."
)
def clipped_objective(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    logp, old_logp, advantage = _clean(mask, logp, old_logp.detach(), advantage.detach())
    ratio = (logp - old_logp).exp()
    gains = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
    return gains.sum() / _count(mask)


@surrogate_objective.wrong("The advantages were standardised first. They are used as given here.")
def advantage_standardised(
    logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor
) -> Tensor:
    real = advantage[mask].detach()
    scale = real.std(unbiased=False) + 1e-8 if mask.any() else 1.0
    centre = real.mean() if mask.any() else 0.0
    return _gains(logp, old_logp, (advantage - centre) / scale, mask).sum() / _count(mask)


@surrogate_objective.wrong(
    "The value is right, but a gradient flows into old_logp: the policy that drew the data is a "
    "constant."
)
def old_not_detached(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    logp, old_logp, advantage = _clean(mask, logp, old_logp, advantage.detach())
    return ((logp - old_logp).exp() * advantage).sum() / _count(mask)


@surrogate_objective.wrong(
    "The value is right, but a gradient flows into advantage: it was measured on the data and is "
    "a constant. Detach it."
)
def advantage_not_detached(
    logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor
) -> Tensor:
    logp, old_logp, advantage = _clean(mask, logp, old_logp.detach(), advantage)
    return ((logp - old_logp).exp() * advantage).sum() / _count(mask)


@surrogate_objective.wrong(
    "The value is right, but gradients flow into both old_logp and advantage. Both are constants: "
    "detach them."
)
def nothing_detached(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    logp, old_logp, advantage = _clean(mask, logp, old_logp, advantage)
    return ((logp - old_logp).exp() * advantage).sum() / _count(mask)


@surrogate_objective.wrong(
    "The value is right, but no gradient reaches logp, so nothing would be learnt. Detach "
    "old_logp and advantage alone."
)
def everything_detached(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    return reference.surrogate_objective(logp, old_logp, advantage, mask).detach()


@surrogate_objective.wrong(
    "The sum is over real tokens, the count is not: padding is in the mean. Divide by the number "
    "of True."
)
def divided_by_all_places(
    logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor
) -> Tensor:
    return _gains(logp, old_logp, advantage, mask).mean()


@surrogate_objective.wrong(
    "Each response was summed, and the sums averaged over responses. The mean is over all real "
    "tokens of the batch: sum once, divide once."
)
def divided_by_rows(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    return _gains(logp, old_logp, advantage, mask).sum(-1).mean()


@surrogate_objective.wrong("This is the sum over real tokens: divide it by how many there are.")
def summed(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    return _gains(logp, old_logp, advantage, mask).sum()


@surrogate_objective.wrong("The mask was not used: padding counts as if it were real.")
def mask_ignored(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    return reference.surrogate_objective(logp, old_logp, advantage, torch.ones_like(mask))


@surrogate_objective.wrong(
    "This is the mean of the rows' means: tokens of short responses count more. The mean is over "
    "all real tokens of the batch, as in masked_mean."
)
def mean_of_row_means(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    gains = _gains(logp, old_logp, advantage, mask)
    return (gains.sum(-1) / mask.sum(-1).clamp(min=1)).mean()


@surrogate_objective.wrong(
    "The mask was multiplied in, and 0 · inf is nan: padding reached the value. Replace padding "
    "with torch.where before any arithmetic."
)
def multiplied_by_mask(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    gains = (logp - old_logp.detach()).exp() * advantage.detach()
    return (gains * mask).sum() / _count(mask)


@surrogate_objective.wrong(
    "The inputs were multiplied by the mask, and 0 · inf is nan: what stands in padding reached "
    "the value. Replace it with torch.where instead."
)
def inputs_multiplied_by_mask(
    logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor
) -> Tensor:
    ratio = (logp * mask - old_logp.detach() * mask).exp()
    return (ratio * (advantage.detach() * mask) * mask).sum() / _count(mask)


@surrogate_objective.wrong(
    "The value is right, but the gradient is nan: the inputs were multiplied by the mask, and "
    "0 · inf is nan already. Replace padding with torch.where instead."
)
def inputs_multiplied_then_masked(
    logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor
) -> Tensor:
    ratio = (logp * mask - old_logp.detach() * mask).exp()
    return reference.masked_mean(ratio * (advantage.detach() * mask), mask)


@surrogate_objective.wrong(
    "The value is right, but the gradient is nan: padding was removed after exp, and going back "
    "through exp multiplies 0 by inf. Replace it in the inputs first, in logp above all."
)
def padding_removed_too_late(
    logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor
) -> Tensor:
    gains = (logp - old_logp.detach()).exp() * advantage.detach()
    return torch.where(mask, gains, 0.0).sum() / _count(mask)


@surrogate_objective.wrong(
    "Right where some token is real; with none, 0 / 0 is nan. J of nothing is 0: your masked_mean "
    "does that."
)
def nothing_over_nothing(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    return _gains(logp, old_logp, advantage, mask).sum() / mask.sum()


@surrogate_objective.wrong(
    "An input was changed in place to clear its padding (x[~mask] = 0, masked_fill_). Write into "
    "a new tensor."
)
def in_place(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    for values in (logp, old_logp, advantage):
        values[~mask] = 0.0
    return reference.surrogate_objective(logp, old_logp, advantage, mask)


@surrogate_objective.wrong("float64 came in and float32 went out: keep the dtype you are given.")
def cast_to_float32(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    floats = (values.float() for values in (logp, old_logp, advantage))
    return reference.surrogate_objective(*floats, mask)


@surrogate_objective.wrong(
    "This is (ratio − 1) × advantage: its gradient is J's, its value is not. The ratio itself is "
    "the weight."
)
def ratio_less_one(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    moved = torch.expm1((logp - old_logp.detach()).masked_fill(~mask, 0.0))
    return (moved * advantage.detach().masked_fill(~mask, 0.0)).sum() / _count(mask)


@surrogate_objective.wrong(
    "Only tokens with a positive advantage were counted. What was worse than expected is to become "
    "less likely: keep both signs."
)
def good_tokens_only(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    return _gains(logp, old_logp, advantage.clamp(min=0), mask).sum() / _count(mask)


@surrogate_objective.wrong(
    "Ratios and advantages were averaged apart, and the means multiplied. Multiply token by token, "
    "then average."
)
def product_of_means(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    ones = torch.ones_like(advantage)
    mean_ratio = _gains(logp, old_logp, ones, mask).sum() / _count(mask)
    return mean_ratio * advantage.detach().masked_fill(~mask, 0.0).sum() / _count(mask)


@surrogate_objective.wrong(
    "The advantages' mean was taken away first. They are what they are by the time they come in: "
    "use them unchanged."
)
def advantage_centred(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    mean = advantage.detach().masked_fill(~mask, 0.0).sum() / _count(mask)
    return _gains(logp, old_logp, advantage - mean, mask).sum() / _count(mask)


@surrogate_objective.right
def selected_first(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    ratio = torch.exp(logp[mask] - old_logp[mask].detach())
    return (ratio * advantage[mask].detach()).sum() / max(int(mask.sum()), 1)


@surrogate_objective.right
def as_a_dot_product(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    if not mask.any():
        return logp.new_zeros(())
    with torch.no_grad():
        old, gain = old_logp[mask], advantage[mask]
    return torch.einsum("n,n->", torch.exp(logp[mask] - old), gain) / mask.sum()


@surrogate_objective.right
def value_and_gradient_apart(
    logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor
) -> Tensor:
    logp, old_logp, advantage = _clean(mask, logp, old_logp.detach(), advantage.detach())
    ratio = (logp.detach() - old_logp).exp()
    moving = (logp - logp.detach()).exp()  # 1 in value, d logp in gradient
    return reference.masked_mean(ratio * moving * advantage, mask)


@surrogate_objective.right
def policy_alone_cleaned(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    # What is left of the padding meets a gradient of 0 at the first torch.where, and is dropped.
    ratio = (torch.where(mask, logp, 0.0) - old_logp.detach()).exp()
    return torch.where(mask, ratio * advantage.detach(), 0.0).sum() / _count(mask)


@surrogate_objective.right
def in_double_and_back(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    gains = _gains(logp.double(), old_logp.double(), advantage.double(), mask)
    return (gains.sum() / _count(mask)).to(logp.dtype)


@surrogate_objective.right
def row_by_row(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    total = logp.new_zeros(())
    for row, old, gain, real in zip(logp, old_logp, advantage, mask, strict=True):
        total = total + ((row[real] - old[real].detach()).exp() * gain[real].detach()).sum()
    return total / _count(mask)


# --- quizzes -------------------------------------------------------------------------------------

q01_penalty_role = Quiz(
    "q01_penalty_role",
    parts={VALUES: 1},
    hints=(
        "J − β·D is maximised and β is above 0. What does the optimiser lose by moving far from "
        "the old policy?",
        "At the old policy D is 0, and close by it is nearly flat. So what does the penalty do to "
        "a small step, and what to a large one?",
        "Look at the figure above: it changes which step is best, and neither the rewards nor the "
        "direction in which J rises.",
    ),
    forms=["A", "B", "C", "D"],
)
q01_penalty_role.distractor(
    "A",
    "The advantages in J are as they were: D says nothing about how good a response is. It only "
    "charges for the distance moved.",
)
q01_penalty_role.distractor(
    "C",
    "That would need an infinite β. D is 0 at the old policy and nearly flat close by, so a small "
    "step that raises J still pays.",
)
q01_penalty_role.distractor(
    "D",
    "The sign: D is subtracted from what is maximised, so moving far is charged for, not rewarded.",
)

q01_parameter_or_policy = Quiz(
    "q01_parameter_or_policy",
    parts={VALUES: 1},
    hints=(
        "What decides which responses the policy writes next: its parameters, or the "
        "probabilities they give?",
        "Look at the last figure: steps of the same length in the parameters. What differs?",
        "One of the steps changed no probability at all, another nearly all of it. Which of the "
        "answers says that?",
    ),
    forms=["A", "B", "C", "D"],
)
q01_parameter_or_policy.distractor(
    "A",
    "A squared distance of two parameter vectors is one subtraction for each parameter, cheaper "
    "than any divergence. Cost is not the reason.",
)
q01_parameter_or_policy.distractor(
    "B",
    "Σ (θ − θ_old)² has the gradient 2 (θ − θ_old): nothing is easier to differentiate.",
)
q01_parameter_or_policy.distractor(
    "C",
    "Which of two numbers in different units is smaller says nothing, and β rescales either one.",
)
