"""The divergence term at size, beside TRL's code on the same tensors: time, memory, error.

Each figure is of one forward and one backward pass, from given logits to their gradient. Run as
`python -m tests.bench_divergence`; about 2 minutes and 2 GB on 2 cores with nothing else to do.
"""

import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from trl.trainer.utils import selective_log_softmax

from helpers.reference import categorical_kl, grpo_loss, token_log_probs
from tests.trl_loss import trl_divergence, trl_grpo_loss

SIZES = {151_936: 64, 32_768: 256}  # vocabulary: positions to score in each of BATCH rows
BATCH = 4
KINDS = ("log-probs", "loss", "exact KL")
DTYPES = (torch.float32, torch.bfloat16)
EPSILON, BETA = 0.2, 0.04
RUNS = 7
AIMS = {"time": 1.0, "peak": 0.6}

EXPLAINED = f"""
Each from given logits to their gradient; TRL is handed the scored positions alone.
  log-probs  token_log_probs | trl.trainer.utils.selective_log_softmax
  loss       token_log_probs of policy and ref, then grpo_loss (k3, beta {BETA})
             | selective_log_softmax of both, then GRPOTrainer._compute_loss as it stands, with
             loss_type "bnpo" and a stand-in for the trainer; the entropies it logs are spared
  exact KL   categorical_kl | GKDTrainer.generalized_jsd_loss, beta 1
TRL's own GRPO trainer starts from hidden states and never has the logits: another computation.

time   median of {RUNS} runs, both sides in turn, ms
peak   the most memory at once, GB: the logits given, their gradient, and all else that is made.
       In float32 TRL makes one copy beside the gradient: with none, 0.67x, or 0.75x of the loss
extra  the same without the logits given: the gradient, and what is made on the way to it
error  greatest distance from float64 on the same logits, of the value (log-prob, loss, KL) and of
       the gradient, this as a part of its greatest entry
Ours | TRL's, and the ratio. Aims: time {AIMS["time"]}x, peak {AIMS["peak"]}x, no larger error.
"""


@dataclass(frozen=True)
class Case:
    """Inputs of one size, equal in every process."""

    kind: str
    vocab: int
    dtype: torch.dtype

    def drawn(self, seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        generator = torch.Generator(device).manual_seed(seed)
        return torch.empty(shape, dtype=dtype, device=device).normal_(generator=generator)

    @cached_property
    def shape(self) -> tuple[int, int]:
        return BATCH, SIZES.get(self.vocab, 8)

    @cached_property
    def logits(self) -> Tensor:
        return self._scores(0).requires_grad_()

    @cached_property
    def ref_logits(self) -> Tensor:
        """A little off the policy's, as a reference is; made in place, so that no more is held."""
        return self._scores(1).mul_(0.1).add_(self.logits.detach())

    def _scores(self, seed: int) -> Tensor:
        batch, time = self.shape
        return self.drawn(seed, batch, time + 1, self.vocab, dtype=self.dtype).mul_(3)

    @cached_property
    def for_trl(self) -> Tensor:
        """The same logits without the last, as a leaf: TRL does not pay for the cut."""
        return self.logits.detach()[:, :-1].requires_grad_()

    @cached_property
    def tokens(self) -> Tensor:
        return (self.drawn(2, *self.logits.shape[:2]).abs() * self.vocab).long() % self.vocab

    @cached_property
    def rest(self) -> dict[str, Tensor]:
        """What else the loss takes; old is a little off the policy, and each row ends earlier."""
        old_logp = token_log_probs(self.logits.detach(), self.tokens)
        ends = self.shape[1] - torch.arange(BATCH, device=old_logp.device)[:, None]
        return {
            "old_logp": old_logp + 0.1 * self.drawn(3, *self.shape),
            "advantage": self.drawn(4, BATCH),
            "mask": torch.arange(self.shape[1], device=old_logp.device) < ends,
        }

    def prepare(self) -> "Case":
        """Make all that is given, so that making it is not measured."""
        _ = self.logits, self.for_trl, self.tokens, self.rest
        if self.kind != "log-probs":
            _ = self.ref_logits
        return self

    def given_bytes(self) -> int:
        return (1 if self.kind == "log-probs" else 2) * self.logits.nbytes


def ours(case: Case) -> tuple[Tensor, Tensor]:
    """The value and the gradient of the logits."""
    if case.kind == "exact KL":
        value = categorical_kl(case.logits, case.ref_logits).mean()
        return _with_gradient(value, case.logits)
    logp = token_log_probs(case.logits, case.tokens)
    if case.kind == "log-probs":
        return _with_gradient(logp, case.logits)
    with torch.no_grad():
        ref_logp = token_log_probs(case.ref_logits, case.tokens)
    loss = grpo_loss(logp, ref_logp=ref_logp, **case.rest, epsilon=EPSILON, beta=BETA)
    return _with_gradient(loss, case.logits)


def trl(case: Case) -> tuple[Tensor, Tensor]:
    """The same by TRL's code."""
    if case.kind == "exact KL":
        value = trl_divergence(case.logits, case.ref_logits) / case.tokens.numel()
        return _with_gradient(value, case.logits)
    drawn = case.tokens[:, 1:]
    logp = selective_log_softmax(case.for_trl, drawn)
    if case.kind == "log-probs":
        return _with_gradient(logp, case.for_trl)
    with torch.no_grad():
        ref_logp = selective_log_softmax(case.ref_logits[:, :-1], drawn)
    loss = trl_grpo_loss(logp, ref_logp=ref_logp, **case.rest, epsilon=EPSILON, beta=BETA)
    return _with_gradient(loss, case.for_trl)


def _with_gradient(value: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    value.backward(torch.ones_like(value))
    gradient, logits.grad = logits.grad, None
    return value.detach(), gradient


SIDES: dict[str, Callable[[Case], tuple[Tensor, Tensor]]] = {"ours": ours, "trl": trl}


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds(run: Callable[[], object]) -> float:
    synchronise()
    started = time.perf_counter()
    run()
    synchronise()
    return time.perf_counter() - started


def times(case: Case) -> dict[str, float]:
    """The median of each side, after one run that does not count."""
    case.prepare()
    found = {side: [] for side in SIDES}
    for _ in range(RUNS + 1):
        for side, run in SIDES.items():
            found[side].append(seconds(lambda run=run: run(case)))
    return {side: statistics.median(taken[1:]) for side, taken in found.items()}


def memory(case: Case, side: str) -> float:
    """Bytes at the peak of one run beyond what was given; right in a process of its own alone."""
    SIDES[side](Case(case.kind, 64, case.dtype))  # what is loaded at the first call does not count
    case.prepare()
    before = _most_bytes()
    SIDES[side](case)
    return _most_bytes() - before


def _most_bytes() -> int:
    """The most that this process has held at once, on the device that computes."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def errors(case: Case) -> dict[str, tuple[float, float]]:
    """Each side's greatest distance from float64: of the value, and of the gradient."""
    case.prepare()
    exact, slope = _exact_value(case)
    found = {}
    for side, run in SIDES.items():
        value, gradient = run(case)
        far = (value.double() - exact).abs().max().item()
        found[side] = far, _gradient_error(case, slope, gradient)
    return found


def _exact_value(case: Case) -> tuple[Tensor, Tensor]:
    """In float64, one row at a time: the value, and its slope by each position's own."""
    values = torch.cat([_plain(case, row).detach() for row in range(BATCH)]).requires_grad_()
    total = values
    if case.kind == "exact KL":
        total = values.mean()
    elif case.kind == "loss":
        ref_logp = torch.cat([_plain(case, row, of_ref=True) for row in range(BATCH)])
        rest = {name: one.double() for name, one in case.rest.items() if name != "mask"}
        rest |= {"mask": case.rest["mask"], "epsilon": EPSILON, "beta": BETA}
        total = grpo_loss(values, ref_logp=ref_logp, **rest)
    return total.detach(), torch.autograd.grad(total.sum(), values)[0]


def _plain(case: Case, row: int, of_ref: bool = False, leaf: Tensor | None = None) -> Tensor:
    """What each position of one row is worth, by the plain formula."""
    if leaf is None:
        leaf = (case.ref_logits if of_ref else case.logits.detach())[row : row + 1].double()
    log_probs = leaf.log_softmax(dim=-1)
    if case.kind == "exact KL":
        log_ref = case.ref_logits[row : row + 1].double().log_softmax(dim=-1)
        return (log_probs.exp() * (log_probs - log_ref)).sum(dim=-1)
    drawn = case.tokens[row : row + 1, 1:, None]
    return log_probs[:, :-1].gather(-1, drawn).squeeze(-1)


def _gradient_error(case: Case, slope: Tensor, found: Tensor) -> float:
    """The greatest distance of any entry, as a part of the greatest entry."""
    far, greatest = 0.0, 0.0
    for row in range(BATCH):
        leaf = case.logits.detach()[row : row + 1].double().requires_grad_()
        (exact,) = torch.autograd.grad(_plain(case, row, leaf=leaf), leaf, slope[row : row + 1])
        exact = exact[0, : found.shape[1]]
        far = max(far, (found[row].double() - exact).abs().max().item())
        greatest = max(greatest, exact.abs().max().item())
    return far / greatest


def forward_bandwidth(case: Case) -> tuple[float, float]:
    """Bytes per second: of logits read by the forward of token_log_probs, and moved by a copy."""
    logits, tokens = case.logits.detach(), case.tokens
    target = torch.empty_like(logits)
    forward, copy = [], []
    for _ in range(RUNS + 1):
        forward.append(seconds(lambda: token_log_probs(logits, tokens)))
        copy.append(seconds(lambda: target.copy_(logits)))
    read, moved = logits[:, :-1].nbytes, 2 * logits.nbytes
    return read / statistics.median(forward[1:]), moved / statistics.median(copy[1:])


def main() -> None:
    """Print what is compared, a row for each size, and the forward's bandwidth."""
    print(EXPLAINED)
    context = multiprocessing.get_context("forkserver")  # imports once, and computes in children
    context.set_forkserver_preload(["tests.trl_loss", "helpers.reference"])
    with context.Pool(1, maxtasksperchild=1) as alone:
        print(f"{'':9}  vocab     dtype  {'time':^19}  {'peak':^17}  {'extra':^17}  error")
        for kind in KINDS:
            for vocab in SIZES:
                for dtype in DTYPES:
                    print(_row(alone, Case(kind, vocab, dtype)), flush=True)
        print("\nforward of token_log_probs, logits read per second over copy bandwidth:")
        for vocab in SIZES:
            for dtype in DTYPES:
                read, copied = alone.apply(forward_bandwidth, [Case("log-probs", vocab, dtype)])
                figures = f"{read / 1e9:.1f} of {copied / 1e9:.1f} GB/s: {read / copied:.2f}"
                print(f"  {vocab:7,} {str(dtype)[6:]:>9}  {figures}")


def _row(alone: multiprocessing.pool.Pool, case: Case) -> str:
    spent = alone.apply(times, [case])
    extra = {side: alone.apply(memory, [case, side]) for side in SIDES}
    peak = {side: extra[side] + case.given_bytes() for side in SIDES}
    far = alone.apply(errors, [case])
    parts = [f"{case.kind:9} {case.vocab:7,} {str(case.dtype)[6:]:>9}"]
    parts += [_compared(spent, 1e3, 0)]
    parts += [_compared(held, 1e-9, 2) for held in (peak, extra)]
    values, gradients = ({side: far[side][place] for side in SIDES} for place in range(2))
    parts += [f"{pair['ours']:.0e} | {pair['trl']:.0e}" for pair in (values, gradients)]
    return "  ".join(parts)


def _compared(figures: dict[str, float], unit: float, digits: int) -> str:
    mine, theirs = (figures[side] * unit for side in SIDES)
    return f"{mine:4.{digits}f} | {theirs:4.{digits}f} {mine / theirs:5.2f}x"


if __name__ == "__main__":
    main()
