"""First tries at `k1`."""

import torch

from . import right, told


@told("ref_minus_policy")
def turned(logp, ref_logp):
    return ref_logp.detach() - logp


@told("ratio")
def ratio(logp, ref_logp):
    return torch.exp(logp - ref_logp.detach())


@told("ratio_less_1")
def ratio_minus_1(logp, ref_logp):
    return torch.exp(logp - ref_logp.detach()) - 1


@told("turned_ratio")
def turned_ratio(logp, ref_logp):
    return torch.exp(ref_logp.detach() - logp)


@told("plain_quotient")
def logs_divided(logp, ref_logp):
    return logp / ref_logp.detach()


@told("logarithms_taken_again")
def log_of_logs(logp, ref_logp):
    return torch.log(logp) - torch.log(ref_logp.detach())


@told("logarithms_divided")
def log_of_a_quotient_of_logs(logp, ref_logp):
    return torch.log(logp / ref_logp.detach())


@told("absolute_value")
def absolute(logp, ref_logp):
    return (logp - ref_logp.detach()).abs()


@told("clamped_at_zero")
def never_below_zero(logp, ref_logp):
    return (logp - ref_logp.detach()).clamp(min=0)


@told("averaged")
def averaged(logp, ref_logp):
    return (logp - ref_logp.detach()).mean()


@told("row sums")
def summed_over_the_last_axis(logp, ref_logp):
    return (logp - ref_logp.detach()).sum(-1)


@told("weighted_by_the_policy")
def weighted_by_the_policy(logp, ref_logp):
    return logp.exp() * (logp - ref_logp.detach())


@told("weighted_by_the_policy", "weighted_by_the_policy_held_constant")
def weighted_by_the_detached_policy(logp, ref_logp):
    return logp.detach().exp() * (logp - ref_logp.detach())


@told("reference_moves")
def ref_not_detached(logp, ref_logp):
    return logp - ref_logp


@told("policy_detached")
def policy_detached(logp, ref_logp):
    return logp.detach() - ref_logp


@told("everything_detached")
def all_detached(logp, ref_logp):
    return (logp - ref_logp).detach()


@told("everything_detached")
def without_a_graph(logp, ref_logp):
    with torch.no_grad():
        return logp - ref_logp


@told("k2_in_its_place")
def k2_instead(logp, ref_logp):
    return 0.5 * (logp - ref_logp.detach()) ** 2


@told("k3_in_its_place")
def k3_instead(logp, ref_logp):
    d = ref_logp.detach() - logp
    return torch.expm1(d) - d


@told("squares")
def squared(logp, ref_logp):
    return (logp - ref_logp.detach()).square()


@told("log_ratio_clamped_at_20")
def clamped_at_20_as_verl_does(logp, ref_logp):
    return (logp - ref_logp.detach()).clamp(-20, 20)


@told("log_ratio_clamped_at_1")
def clamped_at_1(logp, ref_logp):
    return (logp - ref_logp.detach()).clamp(-1, 1)


@told("times 0.5")
def halved(logp, ref_logp):
    return 0.5 * (logp - ref_logp.detach())


@told("difference_of_probabilities")
def difference_of_probabilities(logp, ref_logp):
    return logp.exp() - ref_logp.detach().exp()


@told("through_probabilities")
def log_of_exponentials(logp, ref_logp):
    return torch.log(logp.exp() / ref_logp.detach().exp())


@told("nearly")
def log_of_exponentials_with_a_constant(logp, ref_logp):
    return torch.log(logp.exp() + 1e-3) - torch.log(ref_logp.detach().exp() + 1e-3)


@told("normalised_again")
def normalised_again(logp, ref_logp):
    return logp.log_softmax(-1) - ref_logp.detach().log_softmax(-1)


@told("logarithms_added")
def added(logp, ref_logp):
    return logp + ref_logp.detach()


@told("logarithms_multiplied")
def multiplied(logp, ref_logp):
    return logp * ref_logp.detach()


@told("in_bits")
def in_bits(logp, ref_logp):
    return (logp - ref_logp.detach()) / 0.6931471805599453


@told("surprise_alone")
def policy_alone(logp, ref_logp):
    return -logp


@told("nothing_compared")
def policy_against_itself(logp, ref_logp):
    return logp - logp.detach()


@told("weighted_by_the_ratio")
def weighted_by_the_ratio(logp, ref_logp):
    d = logp - ref_logp.detach()
    return d.exp() * d


@told("changed_in_place")
def subtracted_in_place(logp, ref_logp):
    return logp.sub_(ref_logp.detach())


@told()
def whole_number(logp, ref_logp):
    return (logp - ref_logp.detach()).round()


@told("library: *")
def nothing_returned(logp, ref_logp):
    logp - ref_logp.detach()


@told("library: *")
def misspelled(logp, ref_logp):
    return logp - ref_logprob.detach()  # noqa: F821


@right
def through_torch(logp, ref_logp):
    return torch.sub(logp, ref_logp.detach().clone())


@right
def minus_the_turned_one(logp, ref_logp):
    return -(ref_logp.detach() - logp)
