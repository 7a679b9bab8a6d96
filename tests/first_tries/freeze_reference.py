"""First tries at `freeze_reference`."""

import copy

import torch

from . import right, told


@right
def in_a_loop(policy):
    ref = copy.deepcopy(policy)
    for parameter in ref.parameters():
        parameter.requires_grad = False
    ref.eval()
    return ref


@right
def trl_create_reference_model(policy):
    ref = copy.deepcopy(policy)
    for name, _ in list(ref.named_parameters()):
        ref.get_parameter(name).requires_grad_(False)
    return ref.train(False)


@told("nothing_done")
def the_policy_itself(policy):
    return policy


@told("the_policy_itself")
def frozen_itself(policy):
    policy.eval()
    for parameter in policy.parameters():
        parameter.requires_grad = False
    return policy


@told("shallow_copy")
def shallow_copy(policy):
    ref = copy.copy(policy)
    ref.eval()
    for parameter in ref.parameters():
        parameter.requires_grad = False
    return ref


@told("eval_forgotten")
def eval_forgotten(policy):
    return copy.deepcopy(policy).requires_grad_(False)


@told("freezing_forgotten")
def gradients_forgotten(policy):
    return copy.deepcopy(policy).eval()


@told("copied_only", "eval_forgotten", "freezing_forgotten")
def copy_alone(policy):
    return copy.deepcopy(policy)


@told("eval_on_the_policy_first")
def policy_put_in_eval_mode_first(policy):
    policy.eval()
    ref = copy.deepcopy(policy)
    ref.requires_grad_(False)
    return ref


@told("policy_frozen_first", "freezing_forgotten")
def policy_frozen_by_mistake(policy):
    ref = copy.deepcopy(policy).eval()
    policy.requires_grad_(False)
    return ref


@told("policy_frozen_first")
def policy_frozen_first(policy):
    policy.requires_grad_(False)
    return copy.deepcopy(policy).eval()


@told("library: *")
def new_network_of_the_class(policy):
    ref = type(policy)()
    ref.load_state_dict(policy.state_dict())
    return ref.eval().requires_grad_(False)


@told("state_returned")
def state_dict_returned(policy):
    return copy.deepcopy(policy.state_dict())


@told("data_shared")
def parameters_shared(policy):
    ref = copy.deepcopy(policy)
    for mine, theirs in zip(ref.parameters(), policy.parameters(), strict=True):
        mine.data = theirs.data
    return ref.eval().requires_grad_(False)


@told("nothing_returned")
def nothing_returned(policy):
    ref = copy.deepcopy(policy)
    ref.eval()
    ref.requires_grad_(False)


@told("method_returned")
def returns_what_eval_is(policy):
    ref = copy.deepcopy(policy)
    ref.requires_grad_(False)
    return ref.eval


@told("function_returned")
def a_function_under_no_grad(policy):
    ref = copy.deepcopy(policy).eval()

    def score(tokens):
        with torch.no_grad():
            return ref(tokens)

    return score


@told("outermost_in_eval_mode")
def top_level_mode_only(policy):
    ref = copy.deepcopy(policy)
    ref.training = False
    return ref.requires_grad_(False)


@told("last_parameter_left")
def all_but_the_last_frozen(policy):
    ref = copy.deepcopy(policy).eval()
    for parameter in list(ref.parameters())[:-1]:
        parameter.requires_grad = False
    return ref


@told("no sentence")
def weights_set_to_zero(policy):
    ref = copy.deepcopy(policy).eval().requires_grad_(False)
    with torch.no_grad():
        for parameter in ref.parameters():
            parameter.zero_()
    return ref


@told("freezing_forgotten")
def requires_grad_set_on_the_module(policy):
    ref = copy.deepcopy(policy)
    ref.requires_grad = False
    return ref.eval()


@told("freezing_forgotten")
def no_grad_around_the_copy(policy):
    with torch.no_grad():
        ref = copy.deepcopy(policy)
    return ref.eval()


@told("eval_on_the_policy_first", "eval_forgotten")
def policy_put_in_eval_mode_after(policy):
    ref = copy.deepcopy(policy)
    policy.eval()
    return ref.requires_grad_(False)


@told("policy_in_eval_mode", "shallow_copy", "freezing_forgotten")
def shallow_copy_in_eval_mode(policy):
    return copy.copy(policy).eval()


@told("dropout_of_the_copy_removed")
def dropout_set_to_zero(policy):
    ref = copy.deepcopy(policy)
    for part in ref.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    return ref.requires_grad_(False)


@told("parts_in_eval_mode_alone")
def children_in_eval_mode(policy):
    ref = copy.deepcopy(policy).requires_grad_(False)
    for child in ref.children():
        child.eval()
    return ref
