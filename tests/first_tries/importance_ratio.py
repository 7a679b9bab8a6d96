"""First tries at `importance_ratio`."""

import torch

from . import right, told


@told("ratio_of_logs")
def logs_divided(logp, old_logp):
    return logp / old_logp.detach()


@told("log_ratio")
def log_ratio(logp, old_logp):
    return logp - old_logp.detach()


@told("swapped")
def turned(logp, old_logp):
    return torch.exp(old_logp.detach() - logp)


@told("old_not_detached")
def old_not_detached(logp, old_logp):
    return torch.exp(logp - old_logp)


@told("old_not_detached", "quotient_of_exps")
def quotient_old_not_detached(logp, old_logp):
    return logp.exp() / old_logp.exp()


@told("quotient_of_exps")
def quotient_of_exponentials(logp, old_logp):
    return logp.exp() / old_logp.detach().exp()


@told("quotient_with_constant_1e_8")
def quotient_with_a_constant(logp, old_logp):
    return logp.exp() / (old_logp.detach().exp() + 1e-8)


@told("quotient_with_constant_1e_3")
def quotient_with_a_large_constant(logp, old_logp):
    return logp.exp() / (old_logp.detach().exp() + 1e-3)


@told("wrong_one_detached")
def wrong_one_detached(logp, old_logp):
    return torch.exp(logp.detach() - old_logp)


@told("everything_detached")
def all_detached(logp, old_logp):
    return torch.exp(logp - old_logp).detach()


@told("everything_detached")
def without_a_graph(logp, old_logp):
    with torch.no_grad():
        return torch.exp(logp - old_logp)


@told("policy_against_itself")
def policy_over_itself(logp, old_logp):
    return torch.exp(logp - logp.detach())


@told("clipped")
def clipped(logp, old_logp):
    return torch.exp(logp - old_logp.detach()).clamp(0.8, 1.2)


@told("cut off")
def cut_at_1(logp, old_logp):
    return torch.exp(logp - old_logp.detach()).clamp(max=1.0)


@told("log_ratio_clamped_at_20")
def log_ratio_clamped_at_20(logp, old_logp):
    return torch.exp((logp - old_logp.detach()).clamp(-20, 20))


@told("cut off")
def log_ratio_clamped_at_1(logp, old_logp):
    return torch.exp((logp - old_logp.detach()).clamp(-1, 1))


@told("of_whole_responses")
def of_the_sequence(logp, old_logp):
    return torch.exp((logp - old_logp.detach()).sum(-1))


@told("response_ratio_for_each_token")
def of_the_sequence_on_every_token(logp, old_logp):
    d = logp - old_logp.detach()
    return torch.exp(d.sum(-1, keepdim=True)).expand_as(d)


@told("geometric_mean_for_each_token")
def geometric_mean_as_gspo(logp, old_logp):
    d = logp - old_logp.detach()
    return torch.exp(d.mean(-1, keepdim=True)).expand_as(d)


@told("ratio_of_the_words_so_far")
def cumulated(logp, old_logp):
    return torch.exp((logp - old_logp.detach()).cumsum(-1))


@told("with_expm1")
def minus_1(logp, old_logp):
    return torch.expm1(logp - old_logp.detach())


@told("base_two")
def powers_of_2(logp, old_logp):
    return torch.exp2(logp - old_logp.detach())


@told("averaged")
def averaged(logp, old_logp):
    return torch.exp(logp - old_logp.detach()).mean()


@told("old_forgotten")
def policy_alone(logp, old_logp):
    return logp.exp()


@told("old_still_a_logarithm")
def old_still_a_logarithm(logp, old_logp):
    return logp.exp() / old_logp.detach()


@told("logs_added")
def logs_added(logp, old_logp):
    return torch.exp(logp + old_logp.detach())


@told("logarithms_again")
def logs_of_logs(logp, old_logp):
    return torch.exp(torch.log(logp) - torch.log(old_logp.detach()))


@told("exponential_of_a_quotient")
def exponential_of_a_quotient(logp, old_logp):
    return torch.exp(logp / old_logp.detach())


@told("difference_of_probabilities")
def difference_of_probabilities(logp, old_logp):
    return logp.exp() - old_logp.detach().exp()


@told("quotient_of_softmaxes")
def softmaxes_divided(logp, old_logp):
    return logp.softmax(-1) / old_logp.detach().softmax(-1)


@told("in_place")
def subtracted_in_place(logp, old_logp):
    return logp.sub_(old_logp.detach()).exp()


@told("quotient_of_exps", "old_changed_in_place")
def exponential_in_place(logp, old_logp):
    return torch.exp(logp) / old_logp.detach().exp_()


@told("library: *")
def misspelled(logp, old_logp):
    return torch.exp(logp - old_log_p.detach())  # noqa: F821


@told("library: *")
def of_a_distribution(logp, old_logp):
    return logp.probs / old_logp.probs


@told("roots")
def half_the_log_ratio(logp, old_logp):
    return torch.exp(logp - old_logp.detach()).sqrt()


@told("of_whole_responses")
def product_over_time(logp, old_logp):
    return torch.exp(logp - old_logp.detach()).prod(-1)


@right
def in_float64_and_back(logp, old_logp):
    return (logp.double() - old_logp.detach().double()).exp().to(logp.dtype)


@right
def through_no_grad(logp, old_logp):
    with torch.no_grad():
        minus = -old_logp
    return 1 + torch.expm1(logp + minus)
