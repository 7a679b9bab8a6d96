"""First tries at `train_step`."""

import torch

from helpers.reference import (
    freeze_reference,
    grpo_loss,
    k3,
    masked_mean,
    penalized_loss,
    token_log_probs,
)

from . import right, told


def scores(network, tokens):
    return token_log_probs(network(tokens), tokens)


def step(policy, ref, optimizer, tokens, mask, old_logp, advantage, epsilon, beta, **pieces):
    """All of it, with a piece exchanged: `loss_of`, `kl_of`, `between` backward and step."""
    policy.eval()
    logp = scores(policy, tokens)
    with torch.no_grad():
        ref_logp = scores(ref, tokens)
    given = logp, old_logp, ref_logp, advantage, mask, epsilon, beta
    loss = pieces.get("loss_of", grpo_loss)(*given)
    kl = pieces.get("kl_of", lambda *one: masked_mean(k3(one[0], one[2]), one[4]))(*given)
    optimizer.zero_grad()
    loss.backward()
    pieces.get("between", lambda: None)()
    optimizer.step()
    return {"loss": loss.item(), "kl": kl.item()}


@right
def as_it_is_asked(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    given = policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
    return step(*given)


@right
def gathered_by_hand(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    optimizer.zero_grad(set_to_none=True)
    policy.eval()
    rows = tokens[:, 1:, None]
    logp = policy(tokens)[:, :-1].log_softmax(-1).gather(2, rows).squeeze(2)
    ref_logp = ref(tokens)[:, :-1].log_softmax(-1).gather(2, rows).squeeze(2).detach()
    loss = grpo_loss(logp, old_logp, ref_logp, advantage, response_mask, epsilon, beta)
    loss.backward()
    optimizer.step()
    kl = masked_mean(k3(logp, ref_logp), response_mask)
    return {"loss": float(loss), "kl": float(kl.detach())}


@told("put_in_training_mode", "dropout_on")
def dropout_left_on(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    policy.train()
    logp = scores(policy, tokens)
    with torch.no_grad():
        ref_logp = scores(ref, tokens)
    loss = grpo_loss(logp, old_logp, ref_logp, advantage, response_mask, epsilon, beta)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    kl = masked_mean(k3(logp, ref_logp), response_mask)
    return {"loss": loss.item(), "kl": kl.item()}


@told("dropout_on")
def mode_not_thought_of(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    logp = scores(policy, tokens)
    ref_logp = scores(ref, tokens).detach()
    loss = grpo_loss(logp, old_logp, ref_logp, advantage, response_mask, epsilon, beta)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "kl": masked_mean(k3(logp, ref_logp), response_mask).item()}


@told("zero_grad_forgotten")
def zero_grad_forgotten(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    policy.eval()
    logp = scores(policy, tokens)
    ref_logp = scores(ref, tokens).detach()
    loss = grpo_loss(logp, old_logp, ref_logp, advantage, response_mask, epsilon, beta)
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "kl": masked_mean(k3(logp, ref_logp), response_mask).item()}


@told("zero_grad_after_the_step")
def zero_grad_after_the_step(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    given = policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
    found = zero_grad_forgotten(*given)
    optimizer.zero_grad()
    return found


@told("not_moved")
def zero_grad_before_the_step(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    given = policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
    return step(*given, between=optimizer.zero_grad)


@told("not_moved")
def no_step(policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta):
    policy.eval()
    logp = scores(policy, tokens)
    ref_logp = scores(ref, tokens).detach()
    loss = grpo_loss(logp, old_logp, ref_logp, advantage, response_mask, epsilon, beta)
    optimizer.zero_grad()
    loss.backward()
    return {"loss": loss.item(), "kl": masked_mean(k3(logp, ref_logp), response_mask).item()}


@told("kl_over_all_places")
def kl_over_padding(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    given = policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
    return step(*given, kl_of=lambda *one: k3(one[0], one[2]).mean())


@told("kl_summed")
def kl_summed(policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta):
    given = policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
    return step(*given, kl_of=lambda *one: (k3(one[0], one[2]) * one[4]).sum())


@told("kl_of_k1")
def kl_is_k1(policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta):
    given = policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
    return step(*given, kl_of=lambda *one: masked_mean(one[0] - one[2], one[4]))


@told("kl_mean_of_responses")
def kl_per_sequence(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    def kl_of(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
        drift = torch.where(mask, k3(logp, ref_logp), 0.0)
        return (drift.sum(1) / mask.sum(1).clamp(min=1)).mean()

    given = policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
    return step(*given, kl_of=kl_of)


@told("kl_from_old")
def kl_from_old(policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta):
    given = policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
    return step(*given, kl_of=lambda *one: masked_mean(k3(one[0], one[1]), one[4]))


@told("kl_after_the_step")
def kl_after_the_step(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    given = policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
    found = step(*given)
    with torch.no_grad():
        kl = masked_mean(k3(scores(policy, tokens), scores(ref, tokens)), response_mask)
    return found | {"kl": kl.item()}


@told("kl_exchanged")
def kl_turned(policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta):
    given = policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
    return step(*given, kl_of=lambda *one: masked_mean(k3(one[2], one[0].detach()), one[4]))


@told("mask_moved_right")
def mask_shifted(policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta):
    shifted = torch.nn.functional.pad(response_mask, (1, 0))[:, :-1]
    return step(policy, ref, optimizer, tokens, shifted, old_logp, advantage, epsilon, beta)


@told("token_0_taken_for_padding")
def token_zero_taken_for_padding(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    mask = response_mask & (tokens[:, 1:] != 0)
    return step(policy, ref, optimizer, tokens, mask, old_logp, advantage, epsilon, beta)


@told("gradients_clipped")
def gradients_clipped(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    given = policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
    return step(*given, between=lambda: torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0))


@told("advantages_normalised_by_samples_and_eps")
def advantages_normalised(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    normal = (advantage - advantage.mean()) / (advantage.std() + 1e-4)
    return step(policy, ref, optimizer, tokens, response_mask, old_logp, normal, epsilon, beta)


@told("old_is_the_policy")
def old_computed_afresh(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    policy.eval()
    old = scores(policy, tokens).detach()
    return step(policy, ref, optimizer, tokens, response_mask, old, advantage, epsilon, beta)


@told("ref_updated")
def reference_is_an_average(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    given = policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
    found = step(*given)
    with torch.no_grad():
        for mine, theirs in zip(ref.parameters(), policy.parameters(), strict=True):
            mine.mul_(0.9).add_(0.1 * theirs)
    return found


@told("ref_updated")
def reference_synchronised(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    given = policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
    found = step(*given)
    ref.load_state_dict(policy.state_dict())
    return found


@told("ref_is_the_policy")
def reference_from_the_policy(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    ref = freeze_reference(policy)
    return step(policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta)


@told("objective_minimised")
def loss_turned(policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta):
    given = policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
    return step(*given, loss_of=lambda *one: -grpo_loss(*one))


@told("step_without_penalty")
def beta_not_used(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    return step(policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, 0.0)


@told("tensors_returned")
def tensors_returned(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    policy.eval()
    logp = scores(policy, tokens)
    ref_logp = scores(ref, tokens).detach()
    loss = grpo_loss(logp, old_logp, ref_logp, advantage, response_mask, epsilon, beta)
    kl = masked_mean(k3(logp, ref_logp), response_mask)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss, "kl": kl}


@told("pair_returned")
def a_pair_returned(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    given = policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
    found = step(*given)
    return found["loss"], found["kl"]


@told("kl_not_returned")
def only_the_loss(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    given = policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
    return {"loss": step(*given)["loss"]}


@told("kl_not_returned")
def another_key(policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta):
    given = policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
    found = step(*given)
    return {"loss": found["loss"], "kl_divergence": found["kl"]}


@told("library: *")
def scored_with_all_positions(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    logp = policy(tokens).log_softmax(-1).gather(2, tokens[..., None]).squeeze(2)
    ref_logp = ref(tokens).log_softmax(-1).gather(2, tokens[..., None]).squeeze(2)
    loss = grpo_loss(logp, old_logp, ref_logp, advantage, response_mask, epsilon, beta)
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "kl": 0.0}


@told("first_logits_dropped")
def same_token_scored(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    def own(network):
        return network(tokens).log_softmax(-1).gather(2, tokens[..., None]).squeeze(2)[:, 1:]

    policy.eval()
    logp, ref_logp = own(policy), own(ref).detach()
    loss = grpo_loss(logp, old_logp, ref_logp, advantage, response_mask, epsilon, beta)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "kl": masked_mean(k3(logp, ref_logp), response_mask).item()}


@told("mean_of_the_responses")
def per_sequence_loss_of_trl(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    def loss_of(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
        rows = zip(logp, old_logp, ref_logp, advantage, mask, strict=True)
        each = [grpo_loss(*(part[None] for part in row), epsilon, beta) for row in rows]
        return torch.stack(each).mean()

    given = policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
    return step(*given, loss_of=loss_of)


@told("means_of_two_halves")
def two_micro_batches(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    def loss_of(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
        given = logp, old_logp, ref_logp, advantage, mask
        pieces = zip(*(x.chunk(2) for x in given), strict=True)
        parts = [grpo_loss(*piece, epsilon, beta) for piece in pieces]
        return sum(parts) / len(parts)

    given = policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
    return step(*given, loss_of=loss_of)


@told("step_not_clipped")
def loss_of_the_lesson_before(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    def loss_of(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
        gains = advantage[:, None].expand(mask.shape)
        return penalized_loss(logp, old_logp, gains, k3(logp, ref_logp), mask, beta)

    given = policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
    return step(*given, loss_of=loss_of)


@told("mask_of_the_tokens")
def mask_made_of_the_tokens(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    mask = tokens[:, 1:] != 0
    return step(policy, ref, optimizer, tokens, mask, old_logp, advantage, epsilon, beta)


@told("two_updates_last_numbers")
def twice(policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta):
    given = policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
    step(*given)
    return step(*given)
