"""A tuning run: stopped, gone on with, damaged or measured, it is the run that it was to be."""

import copy
import math
import os
from dataclasses import asdict

import pytest
import torch
from torch import nn

from helpers import reference
from helpers.codec import BadDataError, pack, unpack
from helpers.language_model import tuning as module
from helpers.language_model.model import LanguageModel, Sizes
from helpers.language_model.sampling import Samples, sample
from helpers.language_model.scorers import Gold, Proxy
from helpers.language_model.tuning import (
    CUT_OFF,
    PROMPTS,
    Settings,
    Steps,
    Tuning,
    World,
    distinct_2,
    sequence_kl,
)
from helpers.language_model.vocabulary import END, Vocabulary

ANSWERS = Steps(reference.freeze_reference, reference.group_advantage, reference.train_step)
QUICK = Settings(learning_rate=1e-2, n_samples=2, n_tokens=4, every=2, n_measured=2)
STEPS = 6


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    """Bit by bit is promised of one device only."""
    monkeypatch.setattr(module, "pick_device", lambda: torch.device("cpu"))


@pytest.fixture(scope="module")
def world():
    texts = [f"{prompt} {word}" for prompt in PROMPTS for word in ("is good", "was a long bore")]
    vocabulary = Vocabulary.learn(texts, 300)
    sizes = Sizes(vocab=len(vocabulary), context=32, width=16, heads=2, layers=1)
    torch.manual_seed(0)
    model, proxy, gold = LanguageModel(sizes), Proxy(sizes.vocab), Gold(sizes)
    nn.init.normal_(proxy.weight)
    return World(model.eval(), proxy.eval(), gold.eval(), vocabulary)


def tuned(world, until=STEPS, steps=ANSWERS, **options):
    tuning = Tuning(steps, 0.1, settings=QUICK, world=world, **options)
    tuning.run(until, progress=False)
    return tuning


@pytest.fixture(scope="module")
def undisturbed(world):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "pick_device", lambda: torch.device("cpu"))
        return tuned(world)


def assert_same(found, wanted):
    """Parameters, moments, draws to come and everything measured: bit by bit."""
    assert found.done == wanted.done
    assert asdict(found.run_so_far) == asdict(wanted.run_so_far)
    assert pack(found._state()) == pack(wanted._state())


class StopOnce:
    """An answer that is interrupted, or fails, at one of its calls."""

    def __init__(self, function, at, error=KeyboardInterrupt):
        self.function, self.at, self.error, self.calls = function, at, error, 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        if self.calls == self.at:
            raise self.error
        return self.function(*args, **kwargs)


def changed_half_the_policy(policy, *rest, **kwargs):
    """What an interrupt in the midst of an optimiser's step leaves behind."""
    with torch.no_grad():
        next(policy.parameters()).add_(1.0)
    raise KeyboardInterrupt


class TestStopping:
    def test_it_is_deterministic_and_it_learns(self, world, undisturbed):
        assert_same(tuned(world), undisturbed)
        assert undisturbed.run_so_far.step == [0, 2, 4, 6]
        assert undisturbed.run_so_far.kl[0] == 0
        assert undisturbed.run_so_far.kl[-1] > 1e-4

    @pytest.mark.parametrize("at", [1, 3, STEPS])
    def test_an_interrupted_run_goes_on_to_the_same_end(self, world, undisturbed, at, capsys):
        steps = Steps(
            ANSWERS.freeze_reference,
            ANSWERS.group_advantage,
            StopOnce(ANSWERS.train_step, at),
        )
        tuning = tuned(world, steps=steps)
        assert tuning.done == at - 1
        assert f"Stopped after step {at - 1}. Run the cell again" in capsys.readouterr().out
        tuning.run(STEPS, progress=False)
        assert_same(tuning, undisturbed)

    def test_half_a_step_is_taken_back(self, world, undisturbed):
        tuning = tuned(world, until=2)
        tuning.steps = Steps(
            ANSWERS.freeze_reference, ANSWERS.group_advantage, changed_half_the_policy
        )
        tuning.run(STEPS, progress=False)
        tuning.steps = ANSWERS
        tuning.run(STEPS, progress=False)
        assert_same(tuning, undisturbed)

    @pytest.mark.parametrize("name", ["sequence_kl", "distinct_2"])
    def test_an_interrupt_while_it_is_measured(self, world, undisturbed, monkeypatch, name):
        monkeypatch.setattr(module, name, StopOnce(getattr(module, name), 2))
        tuning = tuned(world)
        assert tuning.done == 2
        tuning.run(STEPS, progress=False)
        assert_same(tuning, undisturbed)

    def test_two_interrupts_at_one_measurement(self, world, undisturbed):
        tuning = tuned(world, until=3)
        tuning.world = StoppingWorld(world, at=(1, 2))
        for _ in range(3):
            tuning.run(STEPS, progress=False)
        assert_same(tuning, undisturbed)

    def test_a_failed_step_is_taken_back_too(self, world, undisturbed):
        failing = StopOnce(ANSWERS.train_step, 3, RuntimeError("on purpose"))
        steps = Steps(ANSWERS.freeze_reference, ANSWERS.group_advantage, failing)
        tuning = Tuning(steps, 0.1, settings=QUICK, world=world)
        with pytest.raises(RuntimeError, match="on purpose"):
            tuning.run(STEPS, progress=False)
        tuning.run(STEPS, progress=False)
        assert_same(tuning, undisturbed)

    def test_what_is_no_number_is_named_and_kept_out(self, world, undisturbed):
        def broken(*args, **kwargs):
            return ANSWERS.train_step(*args, **kwargs) | {"loss": float("nan")}

        steps = Steps(ANSWERS.freeze_reference, ANSWERS.group_advantage, broken)
        tuning = Tuning(steps, 0.1, settings=QUICK, world=world)
        with pytest.raises(ValueError, match="step 1: train_step returned nan"):
            tuning.run(STEPS, progress=False)
        tuning.steps = ANSWERS
        tuning.run(STEPS, progress=False)
        assert_same(tuning, undisturbed)

    def test_a_reward_that_is_no_number_is_named(self, world):
        proxy = copy.deepcopy(world.proxy)
        with torch.no_grad():
            proxy.bias.fill_(torch.nan)
        spoiled = World(world.model, proxy, world.gold, world.vocabulary)
        with pytest.raises(ValueError, match="step 1: the proxy gave nan"):
            tuned(spoiled)

    def test_less_than_is_done_changes_nothing(self, world, undisturbed):
        tuning = tuned(world)
        tuning.run(2, progress=False)
        assert_same(tuning, undisturbed)


class StoppingWorld:
    """A world whose `texts`, asked for last in a measurement, is interrupted at some calls."""

    def __init__(self, world, at):
        self.world, self.at, self.calls = world, at, 0

    def __getattr__(self, name):
        return getattr(self.world, name)

    def texts(self, samples):
        self.calls += 1
        if self.calls in self.at:
            raise KeyboardInterrupt
        return self.world.texts(samples)


class TestFile:
    @pytest.mark.parametrize("first", [0, 3, STEPS])
    def test_a_new_kernel_goes_on_from_the_file(self, world, undisturbed, tmp_path, first):
        path = tmp_path / "run.state"
        tuned(world, until=first, path=path)
        again = Tuning(ANSWERS, 0.1, settings=QUICK, world=world, path=str(path))
        assert again.done == first
        again.run(STEPS, progress=False)
        assert_same(again, undisturbed)

    def test_what_was_done_before_is_said(self, world, tmp_path, capsys):
        path = tmp_path / "run.state"
        tuned(world, until=2, path=path)
        again = Tuning(ANSWERS, 0.1, settings=QUICK, world=world, path=path)
        for _ in range(2):
            again.run(3)
        first, second = capsys.readouterr().out.splitlines()
        assert first.startswith("3 steps are done")
        assert second.startswith(f"3 steps were done before: {path} holds them; delete it")

    def test_the_file_is_that_of_the_last_step(self, world, tmp_path):
        path = tmp_path / "run.state"
        tuning = tuned(world, path=path)
        assert path.read_bytes() == pack(tuning._state())
        assert [one.name for one in tmp_path.iterdir()] == ["run.state"]

    def test_dying_while_it_writes_leaves_the_step_before(
        self, world, undisturbed, tmp_path, monkeypatch
    ):
        path = tmp_path / "run.state"
        tuning = tuned(world, until=3, path=path)
        whole = path.read_bytes()

        def half_written(self, data):
            with self.open("wb") as opened:
                opened.write(data[: len(data) // 2])
            raise SystemExit  # stands for a kernel that is killed

        with monkeypatch.context() as patch:
            patch.setattr("pathlib.Path.write_bytes", half_written)
            with pytest.raises(SystemExit):
                tuning.run(STEPS, progress=False)
        assert path.read_bytes() == whole
        again = tuned(world, path=path)
        assert_same(again, undisturbed)

    def test_dying_before_the_name_is_given_leaves_the_step_before(
        self, world, tmp_path, monkeypatch
    ):
        path = tmp_path / "run.state"
        tuning = tuned(world, until=3, path=path)
        whole = path.read_bytes()

        def killed(*_):
            raise SystemExit

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", killed)
            with pytest.raises(SystemExit):
                tuning.run(STEPS, progress=False)
        assert path.read_bytes() == whole

    def test_a_damaged_file_is_named_with_the_remedy(self, world, tmp_path):
        path = tmp_path / "run.state"
        tuned(world, until=1, path=path)
        whole = path.read_bytes()
        for content in (whole[:-5], b"", b"text", pack({"a": 1}), pack([1, 2])):
            path.write_bytes(content)
            with pytest.raises(BadDataError) as caught:
                Tuning(ANSWERS, 0.1, settings=QUICK, world=world, path=path)
            assert str(path) in str(caught.value)
            assert "delete it to begin again" in str(caught.value)

    def test_a_file_of_a_model_of_another_size_is_named(self, world, tmp_path):
        path = tmp_path / "run.state"
        tuned(world, until=1, path=path)
        wider = LanguageModel(Sizes(len(world.vocabulary), context=32, width=8, heads=2, layers=1))
        other = World(wider, world.proxy, world.gold, world.vocabulary)
        with pytest.raises(ValueError, match="run.state"):
            Tuning(ANSWERS, 0.1, settings=QUICK, world=other, path=path)

    @pytest.mark.parametrize(
        ("beta", "seed", "settings"),
        [(0.2, 0, QUICK), (0.1, 1, QUICK), (0.1, 0, Settings(n_samples=2))],
    )
    def test_a_file_of_another_run_is_refused(self, world, tmp_path, beta, seed, settings):
        path = tmp_path / "run.state"
        tuned(world, until=1, path=path)
        whole = path.read_bytes()
        with pytest.raises(ValueError, match=r"run\.state is of a run with other settings"):
            Tuning(ANSWERS, beta, seed, settings, world, path)
        assert path.read_bytes() == whole

    def test_the_file_runs_no_code(self, world, tmp_path):
        path = tmp_path / "run.state"
        tuned(world, until=1, path=path)
        assert unpack(path.read_bytes())["done"] == 1


@pytest.mark.parametrize("beta", [-0.1, math.nan, math.inf, "0.2", None, True, ...])
def test_what_is_no_price_is_refused(world, beta):
    with pytest.raises(ValueError, match="a number from 0 up, not"):
        Tuning(ANSWERS, beta, world=world)


class TestWorldIsShared:
    @pytest.mark.parametrize(
        "freeze",
        [reference.freeze_reference, lambda policy: policy, lambda policy: policy.eval()],
    )
    def test_whatever_the_reference_is_the_worlds_model_stays(self, world, freeze):
        before = pack(world.model.state_dict())
        tuned(world, steps=Steps(freeze, ANSWERS.group_advantage, ANSWERS.train_step))
        assert pack(world.model.state_dict()) == before
        assert all(one.requires_grad for one in world.model.parameters())
        assert all(one.grad is None for one in world.model.parameters())
        assert not world.model.training

    def test_a_reference_that_is_the_policy_never_drifts_from_it(self, world):
        steps = Steps(lambda policy: policy, ANSWERS.group_advantage, ANSWERS.train_step)
        assert tuned(world, steps=steps).run_so_far.kl == [0] * 4

    def test_two_runs_at_once_do_not_meet(self, world, undisturbed):
        one, other = (
            Tuning(ANSWERS, 0.1, settings=QUICK, world=world),
            Tuning(ANSWERS, 5.0, seed=1, settings=QUICK, world=world),
        )
        for until in range(1, STEPS + 1):
            one.run(until, progress=False)
            other.run(until, progress=False)
        assert_same(one, undisturbed)

    def test_prompts_come_one_after_the_other(self, world):
        rows = world.prompts(2)
        assert len(rows) == 2 * len(PROMPTS)
        assert rows[0] == rows[1] != rows[2]
        assert all(row[0] == END for row in rows)
        assert [world.vocabulary.decode(row) for row in rows[::2]] == list(PROMPTS)


class TestMeasuring:
    def test_it_does_not_change_the_draws_of_the_run(self, world, undisturbed):
        often = Settings(**{**asdict(QUICK), "every": 1, "n_measured": 3})
        tuning = Tuning(ANSWERS, 0.1, settings=often, world=world)
        tuning.run(STEPS, progress=False)
        assert pack(tuning._state()["policy"]) == pack(undisturbed._state()["policy"])
        assert torch.equal(tuning.generator.get_state(), undisturbed.generator.get_state())
        assert tuning.run_so_far.step == list(range(STEPS + 1))

    def test_a_response_that_was_cut_off_is_paid_less(self, world):
        tokens = torch.tensor([[END, 3, 4, END, END], [END, 3, 4, 5, 6], [END, 3, 4, 5, END]])
        real = torch.tensor([[0, 1, 1, 0], [0, 1, 1, 1], [0, 1, 1, 0]]).bool()
        drawn = Samples(tokens, real, torch.zeros(3, 4))
        assert drawn.ended().tolist() == [True, False, False]
        less = world.proxy(tokens).detach() - world.score(drawn)
        torch.testing.assert_close(less, torch.tensor([0.0, CUT_OFF, CUT_OFF]))

    def test_the_charge_is_what_the_proxy_does_not_know(self):
        world = module.World()
        drawn = sample(world.model, world.prompts(64), 16, torch.Generator().manual_seed(0))
        whole = drawn.ended()
        with torch.no_grad():
            rated, paid = world.proxy(drawn.tokens), world.score(drawn)
        assert (rated[~whole] > rated[whole].median()).float().mean() > 0.5
        assert (paid[~whole] > paid[whole].median()).float().mean() < 0.05

    def test_what_is_measured_is_what_it_is_called(self, world, undisturbed):
        generator = torch.Generator().manual_seed(1_000_003 + STEPS)
        samples = undisturbed.sample(QUICK.n_measured, generator)
        run = undisturbed.run_so_far
        with torch.no_grad():
            assert run.proxy[-1] == pytest.approx(world.proxy(samples.tokens).mean().item())
            assert run.gold[-1] == pytest.approx(world.gold(samples.tokens).mean().item())
        assert run.length[-1] == pytest.approx(samples.lengths.float().mean().item())
        assert run.texts[STEPS] == world.texts(samples)[::2]
        for prompt, text in zip(PROMPTS, run.texts[STEPS], strict=True):
            assert text.startswith(prompt)

    def test_all_numbers_are_finite_and_of_equal_length(self, undisturbed):
        run = asdict(undisturbed.run_so_far)
        for name in ("proxy", "gold", "kl", "distinct_2", "length"):
            assert len(run[name]) == len(run["step"])
            assert all(map(math.isfinite, run[name]))

    @pytest.mark.parametrize("seed", range(3))
    def test_the_kl_of_a_response_is_the_expected_log_ratio(self, world, seed):
        """Enumerated: one token is drawn, so the exact sum is the expectation over all of them."""
        torch.manual_seed(seed)
        policy, ref = (LanguageModel(world.model.sizes) for _ in range(2))
        samples = sample(policy, [[END, 3]], 1, torch.Generator().manual_seed(seed))
        with torch.no_grad():
            now, then = (
                net.eval()(samples.tokens)[0, 1].double().log_softmax(-1) for net in (policy, ref)
            )
        wanted = (now.exp() * (now - then)).sum().item()
        assert sequence_kl(policy, ref, samples).tolist() == [pytest.approx(wanted, rel=1e-3)]

    def test_the_kl_reads_no_prompt_and_no_padding_and_is_never_below_0(self, world):
        torch.manual_seed(0)
        policy, ref = (LanguageModel(world.model.sizes).eval() for _ in range(2))
        samples = sample(policy, [[END, 3], [END, 4, 5, 6]] * 4, 5, torch.Generator())
        found = sequence_kl(policy, ref, samples)
        nothing = torch.zeros_like(samples.response_mask)
        assert (found > 0).all()
        assert not sequence_kl(policy, policy, samples).any()
        unread = Samples(samples.tokens, nothing, samples.logp)
        assert not sequence_kl(policy, ref, unread).any()

    def test_measuring_leaves_every_mode_as_it_was(self, world):
        policy = LanguageModel(world.model.sizes).train()
        policy.blocks[0].eval()
        before = [part.training for part in policy.modules()]
        ref = LanguageModel(world.model.sizes).eval()
        sequence_kl(policy, ref, sample(policy, [[END]], 3, torch.Generator()))
        assert [part.training for part in policy.modules()] == before

    def test_distinct_pairs_by_hand(self):
        """Pairs 33, 33, 30 of the first response and none of the second: 2 of 3 differ."""
        tokens = torch.tensor([[0, 3, 3, 3, 0], [0, 7, 0, 0, 0]])
        mask = torch.tensor([[True, True, True, True], [False, True, False, False]])
        found = distinct_2(Samples(tokens, mask, torch.zeros(2, 4)))
        assert found == pytest.approx(2 / 3)
        assert distinct_2(Samples(tokens, torch.zeros_like(mask), torch.zeros(2, 4))) == 0
