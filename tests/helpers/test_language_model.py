"""The language model, its sampler, words and judges: what must hold of any of them, and by hand."""

import math
from collections import Counter
from itertools import pairwise

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from helpers.language_model import checkpoint, learning, sampling
from helpers.language_model.checkpoint import CheckpointError, load_into
from helpers.language_model.model import LanguageModel, Sizes
from helpers.language_model.ngram import KneserNey
from helpers.language_model.ratings import sentences, written
from helpers.language_model.sampling import sample
from helpers.language_model.scorers import Gold, Proxy
from helpers.language_model.scoring import response_log_probs
from helpers.language_model.vocabulary import END, END_TEXT, UNKNOWN, Vocabulary, pieces

TINY = Sizes(vocab=12, context=32, width=16, heads=2, layers=2)
SEEDS = range(3)
COUNTED = 2  # tokens counted together by the baseline that the shipped model must beat


def tiny(seed=0, dtype=torch.float32, sizes=TINY, sharpness=6.0):
    """A model with random weights, large enough that what came before matters; eval mode."""
    torch.manual_seed(seed)
    model = LanguageModel(sizes).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(sharpness if parameter.ndim == 2 else 1.0)
    return model.eval()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn_tokens(*shape, below=TINY.vocab, seed=0):
    return torch.randint(below, shape, generator=seeded(seed))


class TwoTokens(nn.Module):
    """END with probability 1/4, the other token with 3/4, whatever came before."""

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor([0.0, math.log(3)]))

    def forward(self, tokens):
        return self.logits.expand(*tokens.shape, -1)

    def extend(self, tokens, cache=None):
        return self(tokens), cache


class NeverUnknown(nn.Module):
    """END with probability 1/4, token 2 with 3/4, what is unknown never."""

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor([0.0, -torch.inf, math.log(3)]))

    def forward(self, tokens):
        return self.logits.expand(*tokens.shape, -1)


class TestModel:
    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_later_token_changes_no_earlier_logits(self, seed):
        model, tokens = tiny(seed, torch.float64), drawn_tokens(2, 9, seed=seed)
        before = model(tokens)
        for t in range(1, 9):
            changed = tokens.clone()
            changed[:, t] = (tokens[:, t] + 1) % TINY.vocab
            after = model(changed)
            torch.testing.assert_close(after[:, :t], before[:, :t], rtol=0, atol=1e-12)
            assert (after[:, t] - before[:, t]).abs().max() > 1e-3  # and the test can fail

    @pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
    def test_one_token_at_a_time_gives_the_logits_of_one_pass(self, dtype, atol):
        model, tokens = tiny(dtype=dtype), drawn_tokens(3, TINY.context)
        cache, parts = None, []
        for column in tokens.split(1, dim=1):
            logits, cache = model.extend(column, cache)
            parts.append(logits)
        torch.testing.assert_close(torch.cat(parts, dim=1), model(tokens), rtol=0, atol=atol)

    def test_a_prompt_at_once_and_then_one_token_gives_the_same(self):
        model, tokens = tiny(dtype=torch.float64), drawn_tokens(2, 7)
        _, cache = model.extend(tokens[:, :6])
        last, _ = model.extend(tokens[:, 6:], cache)
        torch.testing.assert_close(last, model(tokens)[:, 6:], rtol=0, atol=1e-12)

    def test_several_tokens_after_a_cache_are_refused(self):
        """They would see each other, later ones too."""
        model = tiny()
        _, cache = model.extend(drawn_tokens(1, 3))
        with pytest.raises(ValueError, match="one new token at a time"):
            model.extend(drawn_tokens(1, 2), cache)

    def test_rows_do_not_see_each_other(self):
        model, tokens = tiny(dtype=torch.float64), drawn_tokens(4, 8)
        alone = torch.cat([model(row[None]) for row in tokens])
        torch.testing.assert_close(alone, model(tokens), rtol=0, atol=1e-12)

    def test_beyond_the_context_is_said_in_one_pass_and_with_a_cache(self):
        model = tiny()
        _, cache = model.extend(drawn_tokens(1, 32))
        with pytest.raises(ValueError, match="33 tokens is longer than the model's context of 32"):
            model(drawn_tokens(1, 33))
        with pytest.raises(ValueError, match="use a shorter prompt or fewer new tokens"):
            model.extend(drawn_tokens(1, 1), cache)

    def test_dropout_is_on_in_training_alone(self):
        model, tokens = tiny(), drawn_tokens(2, 5)
        assert torch.equal(model(tokens), model(tokens))
        model.train()
        assert not torch.equal(model(tokens), model(tokens))

    def test_scored_log_probs_by_hand(self):
        found = response_log_probs(TwoTokens(), torch.tensor([[END, 1, 1, END]]))
        wanted = torch.tensor([[0.75, 0.75, 0.25]]).log()
        torch.testing.assert_close(found, wanted)


class TestSample:
    PROMPTS = ([END, 3], [END], [END, 5, 7, 2, 9])

    @pytest.mark.parametrize("seed", SEEDS)
    @pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
    def test_drawn_and_scored_log_probs_agree(self, seed, temperature):
        model = tiny(seed)
        found = sample(model, self.PROMPTS, 10, seeded(seed), temperature)
        log_probs = (model(found.tokens)[:, :-1] / temperature).log_softmax(dim=-1)
        scored = log_probs.gather(2, found.tokens[:, 1:, None]).squeeze(2)
        assert found.response_mask.any(dim=1).all()
        torch.testing.assert_close(
            found.logp, torch.where(found.response_mask, scored, 0.0), rtol=0, atol=2e-5
        )
        if temperature == 1:
            assert torch.allclose(response_log_probs(model, found.tokens), scored)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_response_ends_with_its_first_end_token_and_the_mask_with_it(self, seed):
        found = sample(tiny(seed, sharpness=3.0), self.PROMPTS * 8, 12, seeded(seed))
        assert END in found.tokens[:, 1:][found.response_mask]
        for row, mask, prompt in zip(
            found.tokens, found.response_mask, self.PROMPTS * 8, strict=True
        ):
            assert row[: len(prompt)].tolist() == prompt
            start, response = len(prompt) - 1, row[1:][mask].tolist()
            assert mask.nonzero().squeeze(1).tolist() == list(range(start, start + len(response)))
            assert END not in response[:-1]
            assert response[-1] == END or len(response) == 12
            assert (row[len(prompt) + len(response) :] == END).all()
        assert torch.equal(found.lengths, found.response_mask.sum(dim=1))

    def test_there_is_no_column_that_nobody_wrote_in(self):
        found = sample(TwoTokens(), [[END]] * 3, 30, seeded())
        assert found.lengths.max() < 30
        assert found.tokens.shape[1] == found.lengths.max() + 1 == found.logp.shape[1] + 1

    def test_each_prompt_goes_on_as_it_would_alone(self):
        """Near temperature 0 no draw matters: each row must be what its own prompt leads to."""
        model = tiny(1)
        together = sample(model, self.PROMPTS, 9, seeded(), temperature=1e-4)
        for i, prompt in enumerate(self.PROMPTS):
            alone = sample(model, [prompt], 9, seeded(5), temperature=1e-4)
            found = together.tokens[i, 1:][together.response_mask[i]]
            assert torch.equal(found, alone.tokens[0, 1:][alone.response_mask[0]])

    def test_each_prompt_goes_on_as_it_would_alone_with_the_same_draws(self, monkeypatch):
        """The draw at a position is fixed by its row and by how far the response is."""
        model, prompts, counts = tiny(2), list(self.PROMPTS), Counter()
        uniform = torch.rand(3, 40, generator=seeded())

        def draw_for(rows, starts):
            def draw(logits, generator):
                t, counts["t"] = counts["t"], counts["t"] + 1
                log_probs = logits.log_softmax(dim=-1)
                at = [
                    uniform[row, max(t - start, 0)] for row, start in zip(rows, starts, strict=True)
                ]
                token = (log_probs.exp().cumsum(1) < torch.stack(at)[:, None]).sum(1)
                token = token.clamp(max=TINY.vocab - 1)
                return token, log_probs.gather(1, token[:, None])[:, 0]

            return draw

        starts = [len(prompt) - 1 for prompt in prompts]
        monkeypatch.setattr(sampling, "_draw", draw_for(range(3), starts))
        together = sample(model, prompts, 9, seeded())
        for i, prompt in enumerate(prompts):
            counts.clear()
            monkeypatch.setattr(sampling, "_draw", draw_for([i], [starts[i]]))
            alone = sample(model, [prompt], 9, seeded())
            mask = together.response_mask[i]
            assert torch.equal(
                together.tokens[i, 1:][mask], alone.tokens[0, 1:][alone.response_mask[0]]
            )
            torch.testing.assert_close(
                together.logp[i][mask], alone.logp[0][alone.response_mask[0]], rtol=0, atol=1e-5
            )

    def test_equal_seeds_draw_equal_tokens_and_others_do_not(self):
        model = tiny(sharpness=1.0)
        first, again, other = (
            sample(model, self.PROMPTS, 12, seeded(seed)).tokens.tolist() for seed in (7, 7, 8)
        )
        assert first == again != other

    @pytest.mark.parametrize("temperature", [1.0, 0.6])
    def test_first_tokens_are_drawn_as_often_as_the_model_says(self, temperature):
        model, n = tiny(3, sharpness=4.0), 4000
        found = sample(model, [[END, 4]] * n, 1, seeded(), temperature)
        with torch.no_grad():
            wanted = n * (model(torch.tensor([[END, 4]]))[0, -1] / temperature).softmax(dim=-1)
        counts = torch.bincount(found.tokens[:, 2], minlength=TINY.vocab)
        chi_square = ((counts - wanted).square() / wanted).sum()
        assert wanted.min() > 5
        assert chi_square < 31.3  # 11 degrees of freedom: one fair sampler in a thousand is above

    def test_every_part_is_in_its_old_mode_after_it(self):
        model = tiny().train()
        model.blocks[0].eval()
        before = [part.training for part in model.modules()]
        seen = []
        model.register_forward_pre_hook(lambda *_: seen.append(None))
        model.norm.register_forward_pre_hook(
            lambda *_: seen.append(any(part.training for part in model.modules()))
        )
        sample(model, [[END]], 3, seeded())
        assert seen
        assert not any(seen)
        assert [part.training for part in model.modules()] == before

    def test_every_part_is_in_its_old_mode_after_an_exception(self):
        model = tiny().train()
        model.blocks[1].eval()
        before = [part.training for part in model.modules()]

        def fail(*_):
            raise RuntimeError("on purpose")

        model.norm.register_forward_pre_hook(fail)
        with pytest.raises(RuntimeError, match="on purpose"):
            sample(model, [[END]], 3, seeded())
        assert [part.training for part in model.modules()] == before

    def test_no_graph_is_kept_and_no_gradient_left(self):
        model = tiny()
        assert not sample(model, [[END]], 3, seeded()).logp.requires_grad
        assert all(parameter.grad is None for parameter in model.parameters())

    def test_another_end_token_ends_and_pads(self):
        found = sample(tiny(sharpness=2.0), [[3], [3, 1]] * 20, 20, seeded(), end=5)
        responses = [
            row[1:][mask] for row, mask in zip(found.tokens, found.response_mask, strict=True)
        ]
        assert any(0 in response[:-1] for response in responses)
        assert not any(5 in response[:-1] for response in responses)
        padding = found.tokens[:, 1:][~found.response_mask & (found.response_mask.cumsum(1) > 0)]
        assert (padding == 5).all()
        assert len(padding)

    @pytest.mark.parametrize("temperature", [0.0, -1.0])
    def test_a_temperature_that_is_not_above_0_is_said(self, temperature):
        with pytest.raises(ValueError, match="temperature: above 0"):
            sample(tiny(), [[END]], 3, seeded(), temperature)

    def test_nothing_is_computed_after_the_last_draw(self):
        """A long prompt's response ends at once; a short one's has all its tokens by then."""
        model, calls = TwoTokens(), []
        model.logits.data = torch.tensor([0.0, -50.0])  # always END
        extend = model.extend
        model.extend = lambda *args: calls.append(None) or extend(*args)
        sample(model, [[END], [END] * 9], 4, seeded())
        assert len(calls) == 9

    @pytest.mark.parametrize(
        ("prompts", "n_tokens", "said"),
        [
            ([], 3, "prompts: there must be at least one"),
            ([[END], []], 3, "none may be empty"),
            ([[END]], 0, "n_tokens: at least 1 is needed, not 0"),
            ([[END]], -2, "not -2"),
            ([[END] * 33], 1, "context of 32"),
        ],
    )
    def test_bad_input_is_said(self, prompts, n_tokens, said):
        with pytest.raises(ValueError, match=said):
            sample(tiny(), prompts, n_tokens, seeded())


class TestNgram:
    ROWS = ([0, 1, 2, 1, 0], [0, 1, 1, 0], [0, 3, 2, 0])

    @pytest.mark.parametrize("order", [1, 2, 3, 4])
    @pytest.mark.parametrize("history", [[0], [1], [0, 1], [2, 1, 1], [4], [0, 4, 4], []])
    def test_probabilities_sum_to_one(self, order, history):
        counts = KneserNey(order, vocab=5).fit(self.ROWS)
        found = [counts.probability(history, token) for token in range(5)]
        assert sum(found) == pytest.approx(1, abs=1e-12)
        assert min(found) > 0

    def test_a_bigram_by_hand(self):
        """One row 0 1 1 0, discount 1/2. Pairs: 01, 11, 10, so that 1 follows two kinds and 0 one.

        Lowest: p(1) = (2 − ½)/3 + (½·2/3)/4 = 7/12, p(0) = (1 − ½)/3 + 1/12 = 1/4.
        After 1, seen twice, with two kinds: p(1 | 1) = (1 − ½)/2 + (½·2/2)·7/12 = 13/24.
        """
        counts = KneserNey(2, vocab=4, discount=0.5).fit([[0, 1, 1, 0]])
        assert counts.probability([], 1) == pytest.approx(7 / 12)
        assert counts.probability([], 0) == pytest.approx(1 / 4)
        assert counts.probability([], 3) == pytest.approx(1 / 12)
        assert counts.probability([1], 1) == pytest.approx(13 / 24)
        assert counts.probability([0, 1], 0) == pytest.approx(1 / 4 + 1 / 8)
        assert counts.probability([3], 1) == pytest.approx(7 / 12)  # nothing is known after 3

    def test_a_word_that_follows_one_word_only_is_unlikely_elsewhere(self):
        """What sets Kneser–Ney apart: 2 is commoner than 3, and 3 comes after more kinds."""
        rows = [[0, 1, 2]] * 6 + [[0, 4, 3], [0, 5, 3]]
        counts = KneserNey(2, vocab=6).fit(rows)
        assert counts.probability([], 2) < counts.probability([], 3)

    def test_without_data_it_is_uniform(self):
        counts = KneserNey(3, vocab=8)
        assert counts.perplexity([[0, 3, 5, 0]]) == pytest.approx(8)

    def test_it_expects_what_it_has_read(self):
        counts = KneserNey(2, vocab=5).fit(self.ROWS * 20)
        assert counts.perplexity(self.ROWS) < 2.5 < counts.perplexity([[0, 2, 3, 1, 4, 0]])


class TestVocabulary:
    def test_every_text_that_it_knows_comes_back_word_for_word(self):
        vocabulary = checkpoint.load_vocabulary()
        texts = [one.text for one in sentences()[::11]] + written()[::200]
        known = [text for text in texts if UNKNOWN not in vocabulary.encode(text)]
        assert len(known) > 200
        for text in known:
            found = vocabulary.decode(vocabulary.encode(text))
            assert pieces(found) == pieces(text)
            assert vocabulary.encode(found) == vocabulary.encode(text)

    def test_a_sentence_is_written_as_people_write(self):
        vocabulary = Vocabulary.learn(["it's a well-made (short) film, isn't it? $5!"], 300)
        text = "it's a well-made (short) film, isn't it? $5!"
        assert vocabulary.decode(vocabulary.encode(text)) == text

    def test_text_is_read_in_lower_case_after_the_token_that_begins_it(self):
        vocabulary = Vocabulary.learn(["a film"] * 3, 300)
        assert vocabulary.encode("A Film") == vocabulary.encode("a film")
        assert vocabulary.encode("a film")[0] == END
        assert vocabulary.encode("") == [END]

    def test_what_it_has_not_learned_is_read_as_unknown_and_left_out(self):
        vocabulary = Vocabulary.learn(["a film"], 260)
        assert vocabulary.encode("a größe film") == [END, 2, UNKNOWN, 3]
        assert vocabulary.decode(vocabulary.encode("a größe film")) == "a film"

    def test_what_is_read_as_a_special_token_is_text(self):
        vocabulary = Vocabulary.learn(["a film"], 260)
        assert END not in vocabulary.encode(f"a {END_TEXT} film")[1:]

    def test_only_words_that_are_known_are_taken_the_commonest_first(self):
        texts, known = ["bad bad good fine film"] * 2, ["bad film and good"]
        vocabulary = Vocabulary.learn(texts, 4, known)
        assert len(vocabulary) == 4
        assert [vocabulary.word(i) for i in (2, 3)] == ["bad", "film"]

    def test_a_batch_is_begun_ended_cut_and_padded(self):
        vocabulary = Vocabulary.learn(["good"] * 4, 262)
        good = vocabulary.encode("good")[1:]
        rows = vocabulary.batch(["good", "good good good good"], longest=4)
        assert rows.tolist() == [[END, *good, END, END][:4], [END, *(good * 4)][:4]]

    def test_it_comes_back_from_a_file(self, tmp_path):
        vocabulary = Vocabulary.learn(["a film", "a story"], 270)
        vocabulary.save(tmp_path / "v.json")
        again = Vocabulary.load(tmp_path / "v.json")
        assert len(again) == len(vocabulary) == 5
        assert again.encode("a story") == vocabulary.encode("a story")

    def test_learning_is_deterministic_and_end_is_token_0(self, tmp_path):
        texts = [one.text for one in sentences("film")[:200]]
        for name in ("a", "b"):
            Vocabulary.learn(texts, 500).save(tmp_path / name)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
        assert Vocabulary.load(tmp_path / "a").word(END) == END_TEXT


class TestRatings:
    def test_how_many_there_are_of_each(self):
        assert Counter(one.source for one in sentences()) == {
            "film": 10_605,
            "product": 3_708,
            "editorial": 5_190,
            "tweet": 4_200,
        }
        assert len(sentences("film", "tweet")) == 14_805

    def test_every_row_is_in_range_and_in_lower_case(self):
        for one in sentences():
            assert -4 <= min(one.ratings) <= max(one.ratings) <= 4
            assert -4 <= one.mean <= 4
            assert one.text == " ".join(one.text.lower().split()) != ""
            assert len(one.ratings) >= 14

    @pytest.mark.parametrize("source", ["film", "product", "editorial"])
    def test_the_mean_is_that_of_the_ratings(self, source):
        for one in sentences(source):
            assert one.mean == pytest.approx(sum(one.ratings) / len(one.ratings), abs=6e-4)

    def test_equal_texts_are_on_one_side_of_every_split(self):
        sides = {}
        for one in sentences():
            assert 0 <= one.tenth <= 9
            assert sides.setdefault(one.text, one.tenth) == one.tenth
        assert len(sides) < len(sentences())  # there are equal texts, so that this says something
        share = Counter(one.tenth for one in sentences())
        assert max(share.values()) < 1.1 * min(share.values())

    def test_proxy_gold_and_held_out_share_no_text(self):
        learn = [one for one in sentences() if one.tenth != 0]
        few, many = learning.split_raters(learn)
        texts = [{one.text for one in part} for part in (few, many)]
        held_out = {one.text for one in sentences() if one.tenth == 0}
        assert len(few) == learning.N_PROXY
        assert {one.source for one in few} == {"film"}
        assert len(few) + len(many) == len(learn)
        assert not texts[0] & texts[1]
        assert not held_out & (texts[0] | texts[1])


def tiny_gold(seed=0):
    torch.manual_seed(seed)
    gold = Gold(TINY)
    gold.reader.load_state_dict(tiny(seed).state_dict())
    return gold.eval()


def tiny_proxy(seed=0, dtype=torch.float32):
    proxy = Proxy(TINY.vocab).to(dtype)
    nn.init.normal_(proxy.weight, generator=seeded(seed))
    nn.init.constant_(proxy.bias, 0.3)
    return proxy


class TestScorers:
    TOKENS = torch.tensor([[END, 3, 5, 5, 7, END], [END, 1, 2, END, END, END]])

    @pytest.mark.parametrize("scorer", [tiny_proxy(), tiny_gold()])
    def test_padding_changes_nothing(self, scorer):
        longer = nn.functional.pad(self.TOKENS, (0, 9), value=END)
        torch.testing.assert_close(scorer(longer), scorer(self.TOKENS), rtol=0, atol=1e-6)
        alone = scorer(self.TOKENS[1:, :4])
        torch.testing.assert_close(alone, scorer(self.TOKENS)[1:], rtol=0, atol=1e-6)

    def test_a_row_of_padding_gets_the_bias(self):
        proxy, gold, nothing = tiny_proxy(), tiny_gold(), torch.zeros(2, 4, dtype=torch.int64)
        assert torch.equal(proxy(nothing), proxy.bias.expand(2))
        assert gold(nothing).tolist() == [0.0, 0.0]

    def test_order_is_nothing_to_the_proxy_and_something_to_gold(self):
        shuffled = torch.tensor([[END, 5, 7, 3, 5, END], [END, 2, 1, END, END, END]])
        proxy, gold = tiny_proxy(), tiny_gold()
        torch.testing.assert_close(proxy(shuffled), proxy(self.TOKENS), rtol=0, atol=1e-6)
        assert ((gold(shuffled) - gold(self.TOKENS)).abs() > 1e-3).all()

    def test_gold_is_rating_times_readable_times_various(self):
        rows = torch.tensor([[3, 4, 5, 6, 7], [3, 4, 5, 3, END], [3, 3, 3, UNKNOWN, END]])
        gold = tiny_gold()
        rating, readable = gold.judge(rows)
        various = torch.tensor([1.0, 0.5, 0.0])  # 5 of 5, 3 of 4, 1 of 3 are different
        torch.testing.assert_close(gold(rows), rating * readable.sigmoid() * various)

    def test_the_proxy_by_hand(self):
        proxy = Proxy(4)
        with torch.no_grad():
            proxy.weight.copy_(torch.tensor([100.0, 100.0, 1.0, -3.0]))
            proxy.bias.fill_(0.5)
        rows = torch.tensor([[END, 2, 2, 3, 2, END], [END, 2, UNKNOWN, 2, 2, END]])
        once = 0.5 + (1 - 3) / 2  # two words, each counted once
        torch.testing.assert_close(proxy(rows).detach(), torch.tensor([once, 0.5 + 1]))

    @pytest.mark.parametrize("ridge", [0.1, 1.0])
    def test_fit_is_where_the_gradient_is_zero(self, ridge):
        tokens = drawn_tokens(40, 7, seed=4)
        ratings = torch.randn(40, generator=seeded(5)) + 0.5
        proxy = Proxy(TINY.vocab)
        proxy.fit(tokens, ratings, ridge)
        assert proxy.bias.item() == pytest.approx(ratings.mean().item())
        loss = (proxy(tokens) - ratings).square().sum() + ridge * proxy.weight.square().sum()
        (gradient,) = torch.autograd.grad(loss, proxy.weight)
        assert gradient.abs().max() < 1e-3
        assert proxy.weight[END] == 0
        with torch.no_grad():  # and elsewhere it is not
            proxy.weight[3] += 0.1
        loss = (proxy(tokens) - ratings).square().sum() + ridge * proxy.weight.square().sum()
        assert torch.autograd.grad(loss, proxy.weight)[0].abs().max() > 0.1


class TestCheckpoint:
    def test_what_is_saved_comes_back_to_half_precision_in_eval_mode(self, tmp_path):
        model = tiny().train()
        checkpoint.save(model, tmp_path / "m.safetensors")
        back = load_into(LanguageModel(TINY), tmp_path / "m.safetensors")
        assert not any(part.training for part in back.modules())
        for name, value in back.state_dict().items():
            assert value.dtype == torch.float32
            torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-3, atol=1e-6)

    def test_each_kind_of_damage_is_named_with_the_file_and_the_remedy(self, tmp_path):
        whole = tmp_path / "whole.safetensors"
        checkpoint.save(tiny(), whole)
        files = {name: tmp_path / name for name in ("missing", "truncated", "text", "wide", "few")}
        files["truncated"].write_bytes(whole.read_bytes()[:-100])
        files["text"].write_text("no tensors here")
        wide = LanguageModel(Sizes(vocab=12, context=32, width=32, heads=2, layers=2))
        checkpoint.save(wide, files["wide"])
        save_file({"norm.bias": torch.zeros(16)}, files["few"])
        for path in (*files.values(), tmp_path):
            with pytest.raises(CheckpointError) as caught:
                load_into(LanguageModel(TINY), path)
            assert str(path) in str(caught.value)
            assert "make pretrain" in str(caught.value)

    @pytest.mark.parametrize("content", [None, b"", b"{", b"[1, 2]", b"\xff\xfe"])
    def test_a_damaged_vocabulary_is_named_too(self, tmp_path, content):
        path = tmp_path / "vocabulary.json"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(CheckpointError, match="vocabulary.json.*make pretrain"):
            checkpoint.load_vocabulary(path)

    def test_parameters_are_counted_once(self):
        assert checkpoint.count_parameters(nn.Linear(3, 4)) == 16
        assert checkpoint.count_parameters(tiny()) == sum(
            value.numel() for value in tiny().state_dict().values()
        )


class TestPretrain:
    @pytest.mark.parametrize("seed", range(20))
    def test_spoiling_keeps_the_length_and_the_ends(self, seed):
        torch.manual_seed(seed)
        row = torch.tensor([END, 3, 5, 5, 7, 2, 9, END, END])
        before = row.clone()
        spoiled = learning.spoil(row)
        assert torch.equal(row, before)
        assert torch.equal(spoiled == END, row == END)
        assert set(spoiled.tolist()) <= set(row.tolist())

    def test_spoiling_shuffles_or_repeats(self):
        torch.manual_seed(0)
        row = torch.tensor([END, *range(1, 12), END])
        spoiled = [learning.spoil(row)[1:-1].tolist() for _ in range(200)]
        shuffled = [one for one in spoiled if sorted(one) == list(range(1, 12))]
        assert 70 < len(shuffled) < 130  # half of 200, give or take 4 standard deviations
        assert all(len(set(one)) <= 4 for one in spoiled if one not in shuffled)
        assert list(range(1, 12)) not in spoiled

    def test_a_sentence_of_one_word_can_be_spoiled(self):
        for seed in range(10):
            torch.manual_seed(seed)
            assert learning.spoil(torch.tensor([END, 4, END])).tolist() == [END, 4, END]

    def test_a_rating_that_is_not_known_teaches_none(self):
        rows = drawn_tokens(6, 7, seed=2).clamp(min=2)
        rows[:, -1] = rows[:, 0] = END
        unknown, readable = torch.full((6,), torch.nan), torch.tensor([0.0, 1.0] * 3)
        gold = tiny_gold()
        before = gold.head.weight.detach().clone()
        learning.teach_to_judge(gold, rows, unknown, readable, epochs=4, learning_rate=1e-2)
        ratio = (gold.head.weight.detach() / before)[0]
        torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))  # weights decay, alone
        assert not torch.allclose(gold.head.weight[1], before[1] * ratio[0])

    def test_perplexity_by_hand(self):
        """Two real tokens and an end, then an end alone; padding is not counted."""
        rows = torch.tensor([[END, 2, 2, END, END], [END, END, END, END, END]])
        wanted = math.exp(-(2 * math.log(0.75) + 2 * math.log(0.25)) / 4)
        assert learning.perplexity(NeverUnknown(), rows) == pytest.approx(wanted)

    def test_an_unknown_word_is_read_and_not_counted(self):
        rows = torch.tensor([[END, 2, UNKNOWN, 2, END]])
        wanted = math.exp(-(2 * math.log(0.75) + math.log(0.25)) / 3)
        assert learning.perplexity(NeverUnknown(), rows) == pytest.approx(wanted)

    def test_perplexity_of_a_row_cut_short_counts_all_its_tokens(self):
        rows = torch.tensor([[END, 2, 2, 2]])
        assert learning.perplexity(NeverUnknown(), rows) == pytest.approx(4 / 3)

    def test_perplexity_is_the_sum_of_the_scored_log_probs(self):
        model, rows = tiny(), torch.tensor([[END, 3, 5, 2, END, END], [END, 2, 2, 4, 9, END]])
        counted = torch.tensor([[True] * 4 + [False], [True] * 5])
        with torch.no_grad():
            mean = response_log_probs(model, rows)[counted].mean()
        assert learning.perplexity(model, rows) == pytest.approx(mean.neg().exp().item(), rel=1e-4)

    def test_counts_and_network_are_measured_on_the_same_tokens(self):
        rows = torch.tensor([[END, 1, 1, END, END], [END, 1, 1, 1, 1]])
        assert learning.plain(rows) == [[END, 1, 1, END], [END, 1, 1, 1, 1]]

    @pytest.mark.parametrize("n", [1, 31, 32, 100])
    def test_batches_hold_every_row_once_beside_rows_of_like_length(self, n):
        torch.manual_seed(0)
        lengths = torch.randint(1, 60, (n,))
        batches = list(learning._batches(lengths))
        assert sorted(torch.cat(batches).tolist()) == list(range(n))
        assert max(map(len, batches)) <= learning.BATCH
        spans = sorted((lengths[rows].min().item(), lengths[rows].max().item()) for rows in batches)
        assert all(first[1] <= second[0] for first, second in pairwise(spans))

    def test_a_few_steps_teach_it_its_text(self):
        torch.manual_seed(0)
        vocabulary = Vocabulary.learn(["a good film"] * 4, 270)
        model = LanguageModel(Sizes(vocab=270, context=16, width=16, heads=2, layers=1))
        rows = vocabulary.batch(["a good film"] * 8, 16)
        before = learning.perplexity(model, rows)
        learning._optimise(
            model,
            lambda batch: learning._surprise(model, rows[batch]) / 8,
            learning._lengths(rows),
            epochs=60,
            learning_rate=1e-2,
        )
        assert before > 200
        assert learning.perplexity(model, rows) < 3
        assert not model.training


@pytest.fixture(scope="module")
def held_out():
    return [one for one in sentences("film") if one.tenth == 0]


class TestShipped:
    def test_the_model_is_better_than_counts_on_the_text_that_it_learned_from(self):
        vocabulary = checkpoint.load_vocabulary()
        reviews = [one.text for one in sentences("film", "product") if one.tenth != 0]
        seen = [text for i, text in enumerate(written()) if i % 20]
        learn = vocabulary.batch([*reviews, *seen], 48)
        rows = vocabulary.batch(written()[::20][:200], 48)
        counts = KneserNey(COUNTED, len(vocabulary)).fit(learning.plain(learn))
        found = learning.perplexity(checkpoint.load_model(), rows)
        assert found < counts.perplexity(learning.plain(rows))

    def test_all_its_words_are_ones_that_people_wrote(self):
        vocabulary = checkpoint.load_vocabulary()
        people = {piece for one in sentences() for piece in pieces(one.text)}
        assert {vocabulary.word(i) for i in range(2, len(vocabulary))} <= people

    def test_gold_is_not_taken_in_by_strings_of_liked_words(self):
        liked = "you love his love and it has love and you love his love and it"
        plain = "the acting is great and the story has a warm heart."
        rows = checkpoint.load_vocabulary().batch([liked, plain], 48)
        with torch.no_grad():
            string, sentence = checkpoint.load_gold()(rows).tolist()
        assert sentence > string + 0.3

    def test_gold_agrees_with_people_better_than_the_proxy_does(self, held_out):
        rows = checkpoint.load_vocabulary().batch([one.text for one in held_out], 48)
        means = torch.tensor([one.mean for one in held_out])
        with torch.no_grad():
            proxy, gold = (
                torch.corrcoef(torch.stack([scorer(rows), means]))[0, 1].item()
                for scorer in (checkpoint.load_proxy(), checkpoint.load_gold())
            )
        assert 0.2 < proxy < gold - 0.2
        assert gold > 0.6

    def test_its_vocabulary_is_the_size_of_the_model(self):
        assert len(checkpoint.load_vocabulary()) == checkpoint.SIZES.vocab
