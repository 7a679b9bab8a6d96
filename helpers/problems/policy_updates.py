"""The praise problem: a language model of four words, and a reader who tires of praise.

The model looks at the previous word alone, so it is a table of 4 × 4 logits; "." starts and ends
a response. There are 9,841 responses, so that every expectation can be taken exactly.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

WORDS = (".", "the", "film", "great")
STOP, GREAT = 0, 3
LENGTH = 8  # words in a response at most, a final "." included; then it is cut off
LIKED = 3  # so many "great" please the reader by 1 point each
COST = 3.0  # and every further one costs this much

# Row: the word before. Column: the word that follows. Written down by hand.
OLD_PROBABILITIES = (
    (0.05, 0.50, 0.30, 0.15),
    (0.05, 0.05, 0.70, 0.20),
    (0.35, 0.30, 0.15, 0.20),
    (0.35, 0.20, 0.30, 0.15),
)


class Responses(NamedTuple):
    """tokens: "." and then the words. mask: real words, `tokens[:, 1:]` until the final ".".
    score: what the reader gives each response.
    """

    tokens: Int[Tensor, "response time"]
    mask: Bool[Tensor, "response time-1"]
    score: Float[Tensor, " response"]

    def text(self, index: int) -> str:
        """One response as a reader sees it."""
        real = self.tokens[index, 1:][self.mask[index]]
        return " ".join(WORDS[token] for token in real.tolist())


def old_table() -> Float[Tensor, "word word"]:
    """Logits of the old policy, in float64: the word before in rows, the next in columns."""
    return torch.tensor(OLD_PROBABILITIES, dtype=torch.float64).log()


def points(praise: Int[Tensor, "*leading"]) -> Float[Tensor, "*leading"]:
    """The reader's score of a response with so many "great" in it."""
    liked = praise.clamp(max=LIKED)
    return (liked - COST * (praise - liked)).double()


def every_response() -> Responses:
    """All responses that the model can write, each once."""
    words = range(1, len(WORDS))
    bodies = itertools.chain.from_iterable(
        itertools.product(words, repeat=length) for length in range(LENGTH + 1)
    )
    return _scored(torch.tensor([_padded(body) for body in bodies]))


def _padded(body: tuple[int, ...]) -> list[int]:
    return [STOP, *body, *[STOP] * (LENGTH - len(body))]


def _scored(tokens: Int[Tensor, "response time"]) -> Responses:
    ended_before = (tokens[:, 1:-1] == STOP).cumsum(-1).bool()
    first_word = torch.zeros_like(ended_before[:, :1])
    mask = ~torch.cat([first_word, ended_before], dim=1)
    return Responses(tokens, mask, points((tokens == GREAT).sum(-1)))


def draw_responses(
    table: Float[Tensor, "word word"], count: int, generator: torch.Generator
) -> Responses:
    """`count` responses written by the policy with these logits."""
    probabilities = table.detach().softmax(-1)
    tokens = torch.full((count, 1), STOP)
    for place in range(LENGTH):
        word = torch.multinomial(probabilities[tokens[:, -1]], 1, generator=generator)
        ended = (tokens[:, -1:] == STOP) & (place > 0)
        tokens = torch.cat([tokens, word.masked_fill(ended, STOP)], dim=1)
    return _scored(tokens)


def praise_distribution(
    table: Float[Tensor, "*leading word word"],
) -> Float[Tensor, "*leading praise"]:
    """Probability that a response holds 0, 1, … LENGTH times "great": exact and differentiable."""
    following = table.softmax(-1)
    alive = following.new_zeros(*table.shape[:-1], LENGTH + 1)  # by last word, by praise so far
    alive[..., STOP, 0] = 1.0
    ended = torch.zeros_like(alive[..., STOP, :])
    for _ in range(LENGTH):
        arrived = torch.einsum("...pn,...pw->...wn", alive, following)
        ended = ended + arrived[..., STOP, :]
        praised = arrived[..., GREAT:, :].roll(1, dims=-1)
        nobody = torch.zeros_like(praised)
        alive = torch.cat([nobody, arrived[..., STOP + 1 : GREAT, :], praised], dim=-2)
    return ended + alive.sum(-2)


def true_return(table: Float[Tensor, "*leading word word"]) -> Float[Tensor, "*leading"]:
    """Mean score of the responses that this policy writes, by dynamic programming: no sampling."""
    return praise_distribution(table) @ points(torch.arange(LENGTH + 1))


def exact_advantage(
    old: Float[Tensor, "word word"], responses: Responses
) -> Float[Tensor, "response time-1"]:
    """How much each word changed the score that the old policy can expect; 0 in the padding."""
    place = torch.arange(LENGTH + 1)
    praise = (responses.tokens == GREAT).cumsum(-1)
    expected = _expected_scores(old)[place, responses.tokens, praise]
    ended = (responses.tokens == STOP) & (place > 0)
    expected = torch.where(ended, points(praise), expected)
    return expected.diff(dim=-1)


def _expected_scores(old: Float[Tensor, "word word"]) -> Float[Tensor, "place word praise"]:
    """The score that old can expect, from each place, last word and praise so far."""
    final = points(torch.arange(LENGTH + 1))
    scores = [final.expand(len(WORDS), -1)]
    for _ in range(LENGTH):
        scores.append(old.softmax(-1) @ _after_each_word(scores[-1]))
    return torch.stack(scores[::-1])


def _after_each_word(later: Float[Tensor, "word praise"]) -> Float[Tensor, "word praise"]:
    """The score to expect once a word is written; later: the one a place further on."""
    final = points(torch.arange(LENGTH + 1))
    praised = later[GREAT:].roll(-1, dims=-1)  # one "great" more
    return torch.cat([final[None], later[STOP + 1 : GREAT], praised])


def return_of_best_words(old: Float[Tensor, "word word"]) -> Float[Tensor, ""]:
    """The return of always writing the word with old's greatest advantage, in every prefix.

    J is linear in the probabilities after each prefix, so a policy with logits of its own for
    every prefix writes these words where J is greatest.
    """
    expected = _expected_scores(old)
    score = expected[LENGTH]
    for place in reversed(range(LENGTH)):
        best = _after_each_word(expected[place + 1]).argmax(0, keepdim=True)
        score = _after_each_word(score).gather(0, best).expand(len(WORDS), -1)
    return score[STOP, 0]


def best_response(old: Float[Tensor, "word word"]) -> str:
    """What is written by taking the word with old's greatest advantage, from the first on."""
    expected = _expected_scores(old)
    words, praise = [], 0
    for place in range(LENGTH):
        word = int(_after_each_word(expected[place + 1])[:, praise].argmax())
        words.append(WORDS[word])
        praise += word == GREAT
        if word == STOP:
            break
    return " ".join(words)


def response_chances(
    table: Float[Tensor, "word word"], responses: Responses
) -> Float[Tensor, " response"]:
    """The probability of each response, when the policy with these logits writes it."""
    before, word = responses.tokens[:, :-1], responses.tokens[:, 1:]
    return table.softmax(-1)[before, word].masked_fill(~responses.mask, 1.0).prod(-1)


def expected_scores(
    chance: Float[Tensor, " response"], responses: Responses
) -> Float[Tensor, "response time"]:
    """At each response and t, the mean score of the responses that begin with the same t words.

    chance: the probability of each response, by which the mean weighs it. All of them are counted.
    """
    return torch.stack(
        [_mean_of_alike(chance, responses, read) for read in range(1, LENGTH + 2)], dim=1
    )


def _mean_of_alike(
    chance: Float[Tensor, " response"], responses: Responses, read: int
) -> Float[Tensor, " response"]:
    """The mean score over the responses that have the same first `read` tokens as each one."""
    _, alike = responses.tokens[:, :read].unique(dim=0, return_inverse=True)
    total = torch.zeros(2, len(chance), dtype=chance.dtype)
    total.index_add_(1, alike, torch.stack([chance * responses.score, chance]))
    return (total[0] / total[1])[alike]


def expectation_weight(
    table: Float[Tensor, "word word"], responses: Responses
) -> Float[Tensor, "response 1"]:
    """Weights that turn a mean over all real words of `responses` into an expectation.

    With them, the mean is the expected sum over a response's words, when `table` writes it.
    """
    return response_chances(table, responses)[:, None] * responses.mask.sum()


def gradient_at(
    table: Float[Tensor, "word word"], objective: Callable[[Tensor], Tensor]
) -> Float[Tensor, "word word"]:
    """The gradient of the objective with respect to the logits, at `table`."""
    start = table.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(objective(start), start)
    return gradient


def divergence_from_old(
    old: Float[Tensor, "word word"], table: Float[Tensor, "*leading word word"]
) -> Float[Tensor, "*leading"]:
    """KL(old ‖ policy) of whole responses, in nats, exactly: summed over the words old writes."""
    categorical = torch.distributions.Categorical
    by_word = torch.distributions.kl_divergence(categorical(logits=old), categorical(logits=table))
    return by_word @ _visits(old)


def _visits(old: Float[Tensor, "word word"]) -> Float[Tensor, " word"]:
    """How often, in one response of old, each word is the one before the next."""
    following = old.softmax(-1)
    now = torch.zeros_like(following[0])
    now[STOP] = 1.0
    visits = now.clone()
    for _ in range(LENGTH - 1):
        now = (now @ following).index_fill(0, torch.tensor([STOP]), 0.0)
        visits = visits + now
    return visits


def agrees(made: Any, expected: Tensor) -> bool:
    """Whether what a reader wrote is this tensor: of its shape, and nearly its numbers."""
    if not isinstance(made, Tensor) or made.shape != expected.shape:
        return False
    return torch.allclose(made.to(expected), expected, rtol=1e-6, atol=1e-9)


def weight_of_penalty(
    objective: Any, promised: Float[Tensor, " step"], divergence: Float[Tensor, " step"]
) -> float | None:
    """The β of objective = promised − β·divergence; None where there is none for all steps."""
    made = torch.as_tensor(objective)
    if made.shape != promised.shape:
        return None
    beta = (promised - made) @ divergence / divergence.square().sum()
    return beta.item() if agrees(made, promised - beta * divergence) else None
