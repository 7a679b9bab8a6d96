"""First tries at `token_log_probs`."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch.distributions import Categorical

from . import right, told


def _picked(logp, tokens):
    return logp.gather(-1, tokens[..., None]).squeeze(-1)


@told("not_shifted")
def same_position_whole(logits, tokens, temperature=1.0):
    return _picked((logits / temperature).log_softmax(-1), tokens)


@told("scored_by_own_logits")
def same_position_without_the_first(logits, tokens, temperature=1.0):
    return _picked((logits / temperature).log_softmax(-1), tokens)[:, 1:]


@told("token_already_read")
def same_position_without_the_last(logits, tokens, temperature=1.0):
    return _picked((logits / temperature).log_softmax(-1), tokens)[:, :-1]


@told("shifted_backwards")
def shifted_the_other_way(logits, tokens, temperature=1.0):
    return _picked((logits[:, 1:] / temperature).log_softmax(-1), tokens[:, :-1])


@told("index_without_the_last_axis", "library: *")
def gather_without_an_axis(logits, tokens, temperature=1.0):
    logp = F.log_softmax(logits[:, :-1] / temperature, dim=-1)
    return torch.gather(logp, -1, tokens[:, 1:])


@told("index_without_the_last_axis", "library: *")
def gather_without_a_shift_of_logits(logits, tokens, temperature=1.0):
    logp = F.log_softmax(logits / temperature, dim=-1)
    return torch.gather(logp, 1, tokens[:, 1:])


@told("axis_kept")
def last_axis_left(logits, tokens, temperature=1.0):
    logp = (logits[:, :-1] / temperature).log_softmax(-1)
    return logp.gather(-1, tokens[:, 1:].unsqueeze(-1))


@told("zero_in_front")
def zeros_in_front(logits, tokens, temperature=1.0):
    logp = _picked((logits[:, :-1] / temperature).log_softmax(-1), tokens[:, 1:])
    return F.pad(logp, (1, 0))


@told("zero_at_the_end_of_some")
def zeros_behind(logits, tokens, temperature=1.0):
    logp = _picked((logits[:, :-1] / temperature).log_softmax(-1), tokens[:, 1:])
    return torch.cat([logp, torch.zeros_like(logp[:, :1])], dim=1)


@told("one_place_late")
def zero_in_place_of_the_first(logits, tokens, temperature=1.0):
    logp = _picked((logits[:, :-1] / temperature).log_softmax(-1), tokens[:, 1:])
    return torch.cat([torch.zeros_like(logp[:, :1]), logp[:, :-1]], dim=1)


@told("rolled_and_not_cut")
def rolled_as_verl_does(logits, tokens, temperature=1.0):
    return _picked((logits / temperature).log_softmax(-1), torch.roll(tokens, -1, dims=1))


@told("temperature_forgotten")
def without_temperature(logits, tokens, temperature=1.0):
    return _picked(logits[:, :-1].log_softmax(-1), tokens[:, 1:])


@told("temperature_multiplied")
def times_temperature(logits, tokens, temperature=1.0):
    return _picked((logits[:, :-1] * temperature).log_softmax(-1), tokens[:, 1:])


@told("temperature_too_late")
def temperature_after_log_softmax(logits, tokens, temperature=1.0):
    return _picked(logits[:, :-1].log_softmax(-1) / temperature, tokens[:, 1:])


@told("constant_in_the_temperature_1e_7")
def temperature_with_a_constant(logits, tokens, temperature=1.0):
    return _picked((logits[:, :-1] / (temperature + 1e-7)).log_softmax(-1), tokens[:, 1:])


@told("nearly")
def temperature_with_a_large_constant(logits, tokens, temperature=1.0):
    return _picked((logits[:, :-1] / (temperature + 1e-2)).log_softmax(-1), tokens[:, 1:])


@told("probabilities")
def probabilities(logits, tokens, temperature=1.0):
    return _picked((logits[:, :-1] / temperature).softmax(-1), tokens[:, 1:])


@told("softmax_then_log")
def log_of_softmax(logits, tokens, temperature=1.0):
    return _picked((logits[:, :-1] / temperature).softmax(-1).log(), tokens[:, 1:])


@told("constant_added_1e_10")
def log_of_softmax_and_a_constant(logits, tokens, temperature=1.0):
    p = torch.softmax(logits[:, :-1] / temperature, dim=-1)
    return torch.log(_picked(p, tokens[:, 1:]) + 1e-10)


@told("log_of_summed_exp")
def exponentials_summed(logits, tokens, temperature=1.0):
    scaled = logits[:, :-1] / temperature
    return _picked(scaled - scaled.exp().sum(-1, keepdim=True).log(), tokens[:, 1:])


@told("not_normalised")
def not_normalised(logits, tokens, temperature=1.0):
    return _picked(logits[:, :-1] / temperature, tokens[:, 1:])


@told("log_of_logits")
def log_of_logits(logits, tokens, temperature=1.0):
    return _picked((logits[:, :-1] / temperature).log(), tokens[:, 1:])


@told("normalised_over_sliced_time")
def normalised_over_time(logits, tokens, temperature=1.0):
    return _picked(F.log_softmax(logits[:, :-1] / temperature, dim=1), tokens[:, 1:])


@told("normalised_over_the_batch")
def normalised_over_the_batch(logits, tokens, temperature=1.0):
    return _picked(F.log_softmax(logits[:, :-1] / temperature, dim=0), tokens[:, 1:])


@told("cross_entropy")
def cross_entropy_of_each(logits, tokens, temperature=1.0):
    scaled = logits[:, :-1] / temperature
    return F.cross_entropy(scaled.transpose(1, 2), tokens[:, 1:], reduction="none")


@told("mean")
def cross_entropy_of_all(logits, tokens, temperature=1.0):
    scaled = (logits[:, :-1] / temperature).flatten(0, 1)
    return -F.cross_entropy(scaled, tokens[:, 1:].flatten())


@told("library: *")
def cross_entropy_without_transpose(logits, tokens, temperature=1.0):
    return -F.cross_entropy(logits[:, :-1] / temperature, tokens[:, 1:], reduction="none")


@told("flattened")
def in_one_row(logits, tokens, temperature=1.0):
    scaled = (logits[:, :-1] / temperature).flatten(0, 1)
    return -F.cross_entropy(scaled, tokens[:, 1:].flatten(), reduction="none")


@told("summed_over_time")
def summed_over_time(logits, tokens, temperature=1.0):
    return _picked((logits[:, :-1] / temperature).log_softmax(-1), tokens[:, 1:]).sum(-1)


@told("likeliest_token")
def likeliest_token(logits, tokens, temperature=1.0):
    return (logits[:, :-1] / temperature).log_softmax(-1).max(-1).values


@told("every_token_of_the_vocabulary")
def of_every_token(logits, tokens, temperature=1.0):
    return (logits[:, :-1] / temperature).log_softmax(-1)


@told("all_tokens_at_all_places")
def indexed_by_all_tokens(logits, tokens, temperature=1.0):
    return (logits[:, :-1] / temperature).log_softmax(-1)[:, :, tokens[:, 1:]]


@told("every_row_with_every_row")
def indexed_by_all_rows_tokens(logits, tokens, temperature=1.0):
    logp = (logits / temperature).log_softmax(-1)
    return torch.stack([logp[:, t, tokens[:, t + 1]] for t in range(tokens.shape[1] - 1)], dim=1)


@told("every_row_with_every_row_last")
def indexed_by_all_rows_tokens_time_last(logits, tokens, temperature=1.0):
    logp = (logits / temperature).log_softmax(-1)
    return torch.stack([logp[:, t, tokens[:, t + 1]] for t in range(tokens.shape[1] - 1)], dim=-1)


@told("detached")
def without_a_graph(logits, tokens, temperature=1.0):
    with torch.no_grad():
        return _picked((logits[:, :-1] / temperature).log_softmax(-1), tokens[:, 1:])


@told("in_place")
def divided_in_place(logits, tokens, temperature=1.0):
    logits.div_(temperature)
    return _picked(logits[:, :-1].log_softmax(-1), tokens[:, 1:])


@told("token_0_as_padding")
def token_0_as_padding(logits, tokens, temperature=1.0):
    logp = _picked((logits[:, :-1] / temperature).log_softmax(-1), tokens[:, 1:])
    return logp * (tokens[:, 1:] != 0)


@told("entropy_of_each_place")
def entropies(logits, tokens, temperature=1.0):
    logp = (logits[:, :-1] / temperature).log_softmax(-1)
    return -(logp.exp() * logp).sum(-1)


@told("cast_to_float32")
def in_float32(logits, tokens, temperature=1.0):
    return _picked((logits[:, :-1].float() / temperature).log_softmax(-1), tokens[:, 1:])


@told("library: *")
def temperature_of_tokens(logits, tokens, temperature=1.0):
    return Categorical(logits=logits[:, :-1] / temperature).log_prob(tokens)


@told("log_softmax_of_probabilities")
def softmax_twice(logits, tokens, temperature=1.0):
    return _picked((logits[:, :-1] / temperature).softmax(-1).log_softmax(-1), tokens[:, 1:])


@told("categorical_of_nothing")
def through_a_distribution(logits, tokens, temperature=1.0):
    return Categorical(logits=logits[:, :-1] / temperature).log_prob(tokens[:, 1:])


@right
def rolled_and_cut(logits, tokens, temperature=1.0):
    following = torch.roll(tokens, -1, dims=1)
    return _picked((logits / temperature).log_softmax(-1), following)[:, :-1]


@right
def minus_logsumexp(logits, tokens, temperature=1.0):
    scaled = logits[:, :-1] / temperature
    return _picked(scaled, tokens[:, 1:]) - scaled.logsumexp(-1)


@told("probability_clamped_at_a_step")
def distribution_of_probabilities(logits, tokens, temperature=1.0):
    policy = Categorical(probs=(logits / temperature).softmax(-1))
    return policy.log_prob(torch.roll(tokens, -1, dims=1))[:, :-1]


@told("quotient_of_exponentials")
def softmax_by_hand(logits, tokens, temperature=1.0):
    weights = torch.exp(logits[:, :-1] / temperature)
    return torch.log(_picked(weights / weights.sum(-1, keepdim=True), tokens[:, 1:]))


@told("one_maximum_for_all")
def softmax_by_hand_with_one_maximum(logits, tokens, temperature=1.0):
    scaled = logits / temperature
    weights = torch.exp(scaled - scaled.max())[:, :-1]
    return torch.log(_picked(weights / weights.sum(-1, keepdim=True), tokens[:, 1:]))
