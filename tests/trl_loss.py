"""TRL's losses, called as they stand: with neither a model nor a trainer."""

import warnings
from collections import defaultdict
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from trl.import_utils import TRLExperimentalWarning
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.utils import selective_log_softmax

with warnings.catch_warnings(action="ignore", category=TRLExperimentalWarning):
    from trl.experimental.gkd import GKDTrainer

__all__ = ["selective_log_softmax", "trl_defaults", "trl_divergence", "trl_grpo_loss"]


def trl_defaults() -> dict[str, Any]:
    """What each of GRPO's settings is where nobody sets it."""
    return {field.name: field.default for field in fields(GRPOConfig)}


def trl_divergence(logits: Tensor, ref_logits: Tensor) -> Tensor:
    """The sum of KL(policy ‖ ref) over all positions, as TRL's GKD has it at its beta of 1."""
    return GKDTrainer.generalized_jsd_loss(logits, ref_logits, beta=1, reduction="sum")


def trl_grpo_loss(
    logp: Tensor,
    old_logp: Tensor,
    ref_logp: Tensor,
    advantage: Tensor,
    mask: Tensor,
    epsilon: float,
    beta: float,
    kind: str = "bnpo",
    weighted: bool = False,
) -> Tensor:
    """`GRPOTrainer._compute_loss`, whole, with a stand-in for what it reads of its trainer.

    The stand-in for the model hands over `logp`, and zeros for the entropies: TRL logs them, and
    is spared their cost. kind: TRL's `loss_type`; "bnpo" is the mean over all real tokens.
    weighted: TRL's `use_bias_correction_kl`, k3 times the ratio; True is TRL's default since 1.10,
    False is the loss of GRPO's paper.
    """
    nothing = torch.zeros_like(logp)
    trainer = _trainer(epsilon, beta, kind, weighted)
    trainer._get_per_token_logps_and_entropies = lambda *_, **__: (logp, nothing.detach(), None)
    ids, real = torch.zeros_like(mask, dtype=torch.long), mask.long()
    inputs = {"prompt_ids": ids[:, :0], "prompt_mask": real[:, :0]}
    inputs |= {"completion_ids": ids, "completion_mask": real, "advantages": advantage}
    inputs |= {"old_per_token_logps": old_logp, "ref_per_token_logps": ref_logp}
    return GRPOTrainer._compute_loss(trainer, None, inputs | {"num_items_in_batch": real.sum()})


# One process, no accumulation, and TRL's default of every option that no argument stands for.
DEFAULTS = {
    "importance_sampling_level": "token",
    "top_entropy_quantile": 1.0,
    "off_policy_mask_threshold": None,
    "use_vllm": False,
    "aux_loss_enabled": False,
    "_entropy_bonus_enabled": False,
    "current_gradient_accumulation_steps": 1,
    "model": SimpleNamespace(training=True),
    "accelerator": SimpleNamespace(
        gather=lambda values: values, reduce=lambda values, reduction: values, num_processes=1
    ),
}


def _trainer(epsilon: float, beta: float, kind: str, weighted: bool) -> SimpleNamespace:
    named = {"beta": beta, "epsilon_low": epsilon, "epsilon_high": epsilon, "loss_type": kind}
    named["args"] = SimpleNamespace(
        delta=None, use_bias_correction_kl=weighted, steps_per_generation=1
    )
    return SimpleNamespace(**DEFAULTS, **named, _metrics=defaultdict(lambda: defaultdict(list)))
