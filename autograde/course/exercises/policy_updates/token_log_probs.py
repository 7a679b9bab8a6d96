"""Look up the log-probability of each token after the first, given those before it."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from helpers import reference
from helpers.cases import GRADIENT, RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise, tensor

TEMPERATURE = "temperature"

LARGE = "large logits"

SINGLE = "a single token"

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


@token_log_probs.right
def written_out(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    log_probs = (logits / temperature).log_softmax(-1)[:, :-1]
    return log_probs.gather(-1, tokens[:, 1:].unsqueeze(-1)).squeeze(-1)


token_log_probs.changed(
    "scored_by_own_logits",
    "[:, :-1]",
    "[:, 1:]",
    "Each token was scored by the logits of its own place, which have already read it. The token "
    "at t + 1 is scored by the logits at t.",
    of=written_out,
)


@token_log_probs.wrong(
    "The shift goes the wrong way: logits[:, 1:] score tokens[:, :-1] here, the past. Drop the "
    "last logits and the first token."
)
def shifted_backwards(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    log_probs = (logits[:, 1:] / temperature).log_softmax(-1)
    return log_probs.gather(-1, tokens[:, :-1, None]).squeeze(-1)


token_log_probs.changed(
    "token_already_read",
    "tokens[:, 1:]",
    "tokens[:, :-1]",
    "The logits are the right ones, the tokens are not: tokens[:, :-1] are those just read. Drop "
    "the first token, not the last.",
    of=written_out,
)


@token_log_probs.wrong(
    "As many log-probabilities as tokens came back: the shift is missing. The first token has no "
    "logits before it, so a row has time − 1 entries."
)
def not_shifted(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    log_probs = (logits / temperature).log_softmax(-1)
    return log_probs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)


token_log_probs.changed(
    "temperature_forgotten",
    "(logits / temperature)",
    "logits",
    "The temperature has no effect here: divide the logits by it.",
    of=written_out,
)
token_log_probs.changed(
    "temperature_multiplied",
    "/ temperature",
    "* temperature",
    "The logits were multiplied by the temperature: divide them by it.",
    of=written_out,
)


@token_log_probs.wrong(
    "The log-probabilities were divided by the temperature, so the probabilities no longer sum "
    "to 1. Divide the logits, before log_softmax."
)
def temperature_too_late(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return reference.token_log_probs(logits, tokens) / temperature


token_log_probs.changed(
    "softmax_then_log",
    ".log_softmax(-1)",
    ".softmax(-1).log()",
    "Right for ordinary logits, wrong for large ones: softmax rounds a small probability to 0 and "
    "its logarithm is −inf. log_softmax, or the logit minus logsumexp, keeps it.",
    of=written_out,
)


for _size in (6, 8, 10, 12):
    _cost = f"every unlikely token now costs the same −{_size * 2.302585:.1f} nats"
    for _name, _says, _instead in (
        ("constant_added", "The 1e-{} added inside the logarithm", ".softmax(-1).add(1e-{}).log()"),
        ("probability_clamped_at", "The clamp at 1e-{}", ".softmax(-1).clamp(min=1e-{}).log()"),
    ):
        token_log_probs.changed(
            f"{_name}_1e_{_size}",
            ".log_softmax(-1)",
            _instead.format(_size),
            f"{_says.format(_size)} hides the −inf, and {_cost}. Use log_softmax, which needs no "
            "such guard.",
            of=written_out,
        )


for _size in (6, 7, 8):
    token_log_probs.changed(
        f"constant_in_the_temperature_1e_{_size}",
        "/ temperature",
        f"/ (temperature + 1e-{_size})",
        f"About 1e-{_size} was added to the temperature, and float64 shows it. A temperature is "
        "above 0: divide by it as it is.",
        of=written_out,
    )


@token_log_probs.wrong(
    "Right for ordinary logits, infinite for large ones: exp(1000) overflows. Take the sum with "
    "torch.logsumexp, or use log_softmax: both subtract the largest logit first."
)
def log_of_summed_exp(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    scaled = logits / temperature
    return _chosen(scaled - scaled.exp().sum(-1, keepdim=True).log(), tokens)


token_log_probs.changed(
    "probabilities",
    ".log_softmax(-1)",
    ".softmax(-1)",
    "These are probabilities: the logarithm is missing.",
    of=written_out,
)
token_log_probs.changed(
    "not_normalised",
    ".log_softmax(-1)",
    "",
    "These are logits as they came: they are yet to be normalised, with log_softmax.",
    of=written_out,
)
token_log_probs.changed(
    "normalised_over_time",
    ".log_softmax(-1)",
    ".log_softmax(1)",
    "Normalised over the wrong axis: axis 1 is time. The probabilities of the words at one place "
    "sum to 1, so the axis is vocab, the last.",
    of=written_out,
)
token_log_probs.changed(
    "normalised_over_sliced_time",
    "(logits / temperature).log_softmax(-1)[:, :-1]",
    "(logits[:, :-1] / temperature).log_softmax(1)",
    "Normalised over the wrong axis: axis 1 is time, without its last place here. The "
    "probabilities of the words at one place sum to 1, so the axis is vocab, the last.",
    of=written_out,
)
token_log_probs.changed(
    "indexed_the_batch",
    "log_probs.gather(-1, tokens[:, 1:].unsqueeze(-1)).squeeze(-1)",
    "log_probs[tokens[:, 1:]]",
    "Tokens in square brackets index the first axis, the batch. They are to pick from the last: "
    "gather(-1, ...) does that, with the tokens given a last axis of length 1.",
    of=written_out,
)
token_log_probs.changed(
    "all_tokens_at_all_places",
    "log_probs.gather(-1, tokens[:, 1:].unsqueeze(-1)).squeeze(-1)",
    "log_probs[:, :, tokens[:, 1:]]",
    "Indexing with [:, :, tokens] takes all tokens at all places, one table for each place. "
    "gather(-1, ...) takes one token at each.",
    of=written_out,
)


def _pairs(logits: Tensor, tokens: Tensor, temperature: float) -> list[Tensor]:
    """At each place, every row's log-probability of every row's token."""
    log_probs = (logits / temperature).log_softmax(-1)
    return [log_probs[:, t, tokens[:, t + 1]] for t in range(tokens.shape[1] - 1)]


_EVERY_PAIR = (
    "as when probs[:, t, tokens[:, t + 1]] is taken at each t: with “:” every row meets the token "
    "of every row. torch.arange(batch) in its place pairs row with row; gather(-1, ...) does all "
    "places at once."
)


@token_log_probs.wrong(f"Three axes came back, {_EVERY_PAIR}")
def every_row_with_every_row(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    return torch.stack(_pairs(logits, tokens, temperature), dim=1)


@token_log_probs.wrong(f"Three axes came back, time the last, {_EVERY_PAIR}")
def every_row_with_every_row_last(
    logits: Tensor, tokens: Tensor, temperature: float = 1.0
) -> Tensor:
    return torch.stack(_pairs(logits, tokens, temperature), dim=-1)


token_log_probs.changed(
    "cross_entropy",
    "return log_probs",
    "return -log_probs",
    "The sign is turned: this is the cross-entropy, as F.cross_entropy and nll_loss give it. A "
    "log-probability is never above 0.",
    of=written_out,
)
token_log_probs.changed(
    "likeliest_token",
    "log_probs.gather(-1, tokens[:, 1:].unsqueeze(-1)).squeeze(-1)",
    "log_probs.amax(-1)",
    "This is the log-probability of the likeliest token. The one that was drawn is wanted: pick "
    "it with gather.",
    of=written_out,
)


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


token_log_probs.changed(
    "index_without_the_last_axis",
    "tokens[:, 1:].unsqueeze(-1)).squeeze(-1)",
    "tokens[:, 1:])",
    "gather wants an index with as many axes as what it picks from: the tokens lack the last one. "
    "Give them an axis of length 1, and take it away from the result.",
    of=written_out,
)
token_log_probs.changed(
    "log_softmax_of_probabilities",
    ".log_softmax(-1)",
    ".softmax(-1).log_softmax(-1)",
    "Normalised twice: log_softmax was given probabilities, where it wants logits. It does by "
    "itself what softmax and log would do.",
    of=written_out,
)
token_log_probs.changed(
    "summed_over_time",
    ".squeeze(-1)",
    ".squeeze(-1).sum(-1)",
    "Summed over the response: return one log-probability for each token.",
    of=written_out,
)
token_log_probs.changed(
    "axis_kept",
    ".squeeze(-1)",
    "",
    "The last axis is still there, with length 1: gather keeps it. Remove it with squeeze(-1).",
    of=written_out,
)
token_log_probs.changed(
    "detached",
    ".squeeze(-1)",
    ".squeeze(-1).detach()",
    "The value is right, but no gradient reaches the logits: the graph is cut, as by .detach(), "
    "no_grad() or numpy. This is the policy's side, the one that learns.",
    of=written_out,
)


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


token_log_probs.changed(
    "squeezed_everything",
    ".squeeze(-1)",
    ".squeeze()",
    "squeeze() without an axis removes every axis of length 1, the batch's or time's too. Say "
    "which: squeeze(-1).",
    of=written_out,
)
token_log_probs.changed(
    "in_place",
    "(logits / temperature)",
    "logits.div_(temperature)",
    "The logits were changed in place, as by /= or div_: the caller's tensor is no longer what it "
    "was. Compute a new one.",
    of=written_out,
)
token_log_probs.changed(
    "cast_to_float32",
    "(logits / temperature)",
    "(logits.float() / temperature)",
    "float64 came in and float32 went out: keep the dtype you are given.",
    of=written_out,
)


def _chosen(scores: Tensor, tokens: Tensor) -> Tensor:
    """The score at t of the token at t + 1."""
    return scores[:, :-1].gather(-1, tokens[:, 1:].unsqueeze(-1)).squeeze(-1)


_PICKED = "log_probs.gather(-1, tokens[:, 1:].unsqueeze(-1)).squeeze(-1)"
for _name, _line, _instead, _says in (
    (
        "normalised_over_the_batch",
        ".log_softmax(-1)",
        ".log_softmax(0)",
        "Normalised over the wrong axis: axis 0 is the batch, which F.softmax and F.log_softmax "
        "take, too, where none is named. The axis is vocab, the last.",
    ),
    (
        "temperature_twice",
        "(logits / temperature).log_softmax(-1)",
        "(logits / temperature).log_softmax(-1).div(temperature)",
        "The temperature was used twice, before the normalisation and after it. Divide the logits "
        "by it, once.",
    ),
    (
        "temperature_multiplied_too_late",
        "(logits / temperature).log_softmax(-1)",
        "logits.log_softmax(-1).mul(temperature)",
        "The log-probabilities were multiplied by the temperature: divide the logits by it, before "
        "log_softmax.",
    ),
    (
        "normaliser_without_temperature",
        "(logits / temperature).log_softmax(-1)",
        "(logits / temperature - logits.logsumexp(-1, keepdim=True))",
        "The temperature is in the logits, but not in the logsumexp that is subtracted: both want "
        "the divided logits.",
    ),
    (
        "only_the_largest_subtracted",
        "(logits / temperature).log_softmax(-1)",
        "(logits - logits.amax(-1, keepdim=True)).div(temperature)",
        "Only the largest logit was subtracted: the logarithm of the summed exponentials is "
        "missing, as log_softmax has it.",
    ),
    (
        "mean_cross_entropy",
        _PICKED,
        "-" + _PICKED.replace(".squeeze(-1)", "") + ".mean()",
        "One number came back, the mean cross-entropy, as F.cross_entropy has it by default. "
        'Return each log-probability: reduction="none", and the other sign.',
    ),
    (
        "running_sum",
        _PICKED,
        _PICKED + ".cumsum(-1)",
        "The log-probabilities were added up along the row: return that of each token alone.",
    ),
    (
        "log_of_logits",
        ".log_softmax(-1)",
        ".log()",
        "This is the logarithm of a logit, nan where it is below 0. A logit is no probability: "
        "log_softmax makes the logarithm of one from it.",
    ),
    (
        "quotient_of_exponentials",
        "(logits / temperature).log_softmax(-1)",
        "((logits / temperature).exp() / (logits / temperature).exp().sum(-1, keepdim=True)).log()",
        "Right for ordinary logits, nan for large ones: exp(1000) is inf, and inf / inf is nan. "
        "log_softmax subtracts the largest logit first.",
    ),
    (
        "one_maximum_for_all",
        "(logits / temperature).log_softmax(-1)",
        "(logits - logits.max()).div(temperature).exp().div("
        "(logits - logits.max()).div(temperature).exp().sum(-1, keepdim=True)).log()",
        "One maximum of all logits was subtracted: places whose own logits are far below it are "
        "left with exp(…) = 0. Each place wants its own maximum, as log_softmax(-1) takes it.",
    ),
    (
        "probability_clamped_at_a_step",
        ".log_softmax(-1)",
        ".softmax(-1).clamp(min=torch.finfo(logits.dtype).eps).log()",
        "The probabilities were clamped at the dtype's finfo.eps, as Categorical(probs=…) does it: "
        "every rarer token costs the same. Use log_softmax, or Categorical(logits=…).",
    ),
    (
        "every_token_of_the_vocabulary",
        _PICKED,
        "log_probs",
        "These are the log-probabilities of the whole vocabulary at each place: pick that of the "
        "token that came, with gather.",
    ),
    (
        "token_0_as_padding",
        _PICKED,
        _PICKED + " * (tokens[:, 1:] != 0)",
        "Where the token's number is 0, a 0 came back, as if it were padding. It is a token like "
        "any other here: nothing is masked.",
    ),
    (
        "rolled_and_not_cut",
        _PICKED,
        "(logits / temperature).log_softmax(-1).gather("
        "-1, tokens.roll(-1, dims=1).unsqueeze(-1)).squeeze(-1)",
        "One entry too many: the tokens were rolled round, so the last logits score the first "
        "token. They score nothing here: cut that entry off.",
    ),
    (
        "zero_at_the_end_of_some",
        _PICKED,
        "torch.cat([" + _PICKED + ", torch.zeros_like(logits[:, 1:2, 0])], dim=1)",
        "A zero was put at the end of each response of two tokens or more, for the last logits, "
        "which score nothing. Return time − 1 entries.",
    ),
    (
        "zero_in_front_of_some",
        _PICKED,
        "torch.cat([torch.zeros_like(logits[:, 1:2, 0]), " + _PICKED + "], dim=1)",
        "A zero was put in front of each response of two tokens or more, for the first token, "
        "which nothing scores. Return time − 1 entries.",
    ),
    (
        "cast_to_float64",
        "(logits / temperature)",
        "(logits.double() / temperature)",
        "float32 came in and float64 went out: keep the dtype you are given.",
    ),
):
    token_log_probs.changed(_name, _line, _instead, _says, of=written_out)


token_log_probs.changed(
    "log_sigmoid_taken",
    "(logits / temperature).log_softmax(-1)",
    "F.logsigmoid(logits / temperature)",
    "Each logit went through a sigmoid by itself, as if tokens did not exclude each other. One "
    "token follows: log_softmax over the vocabulary.",
    of=written_out,
)
token_log_probs.changed(
    "entropy_of_each_place",
    "log_probs.gather(-1, tokens[:, 1:].unsqueeze(-1)).squeeze(-1)",
    "-(log_probs.exp() * log_probs).sum(-1)",
    "These are entropies, one for each place: the token that came was not looked up.",
    of=written_out,
)


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
