"""Language models of the Hugging Face kind: as teacher and student, saved, loaded and refused."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers import BartConfig, BartForConditionalGeneration, PretrainedConfig

from di4c import Di4CObjective, FixedGap, MaskedProcess, Recipe, StartTerm, Weight
from di4c.recipes import DistillationBelow
from full_scale.models.huggingface import as_base, build, load_model, open_base, write_adapter
from full_scale.models.language.latent import Adapter, LatentLanguageModel
from full_scale.models.language.network import LanguageNetwork
from tests.helpers.refusals import assert_refused
from tests.helpers.tiny_language import MOST, letters, tiny, write_tiny

KINDS = ["ModernBert", "Bert", "Roberta", "Esm"]  # ESM has no plain linear head
RECIPE = Recipe(
    times=FixedGap(0.2),
    data_weight=Weight(0.5, "constant"),
    distillation=DistillationBelow(0.3),
    num_latents=3,
    start=StartTerm(0.0, data_weight=1.0),
)
TOKENS = torch.tensor([[2, 9, 10, 11, 3], [2, 12, 13, 3, 0]])
FIXED = torch.tensor([[True, True, False, False, False], [True, False, False, False, False]])
VALID = torch.tensor([[True] * 5, [True] * 4 + [False]])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def opened(kind="ModernBert", **options):
    return as_base(tiny(kind, **options).eval(), letters())


def shaken(model):
    """Other values for everything that is trained, so that student and teacher differ."""
    with torch.no_grad():
        for parameter in model.trained().values():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=seeded(1)))
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_the_student_starts_as_the_teacher(kind):
    """With its latent, without it, and with the adapters off: the logits of the plain model."""
    plain = tiny(kind).eval()
    with torch.no_grad():
        logits = plain(input_ids=TOKENS, attention_mask=VALID.long()).logits
    model, process = build(opened(kind), Adapter(rank=2))
    assert process.mask_state == 1
    for options in ({}, {"latent": torch.rand(2)}, {"adapted": False}):
        features = model(TOKENS, VALID, **options)
        found = features if model.head_layer is None else model.head_layer(features)
        torch.testing.assert_close(found[VALID], logits[VALID])
    masked = TOKENS.masked_fill(~FIXED & VALID, 1)
    with torch.no_grad():
        logits = plain(input_ids=masked, attention_mask=VALID.long()).logits
    logits[..., 1] = -torch.inf  # a mask is never predicted
    found = LanguageNetwork(model, process, VALID).denoise(masked, torch.ones(2).double())
    where = masked == 1
    torch.testing.assert_close(found[where], logits.log_softmax(-1)[where])


@pytest.mark.parametrize("latent", ["added", "token"])
def test_the_latent_and_the_adapters_move_the_student_alone(latent):
    latents = [torch.full((2,), z) for z in (0.1, 0.9)]
    for gain in (0.0, 1.0):  # whether components differ from the start
        model, _ = build(opened(), Adapter(rank=2, latent=latent, latent_gain=gain))
        one, other = (model(TOKENS, VALID, latent=z) for z in latents)
        assert one.equal(other) == (gain == 0)
    teacher = model(TOKENS, VALID, adapted=False)
    shaken(model)
    one, other = (model(TOKENS, VALID, latent=z).detach() for z in latents)
    assert float((one - other).abs().max()) > 1e-3
    assert float((model(TOKENS, VALID) - teacher).detach().abs().max()) > 1e-3
    assert model(TOKENS, VALID, adapted=False).equal(teacher)
    assert one.shape == teacher.shape


def test_padding_is_not_seen():
    model, _ = build(opened(), Adapter(rank=2))
    shaken(model)
    alone = model(TOKENS[1:, :4], None, torch.tensor([0.3]))
    together = model(TOKENS, VALID, torch.tensor([0.5, 0.3]))
    torch.testing.assert_close(together[1:, :4], alone)


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_the_objective_trains_what_is_to_be_trained(kind):
    model, process = build(opened(), Adapter(kind, rank=2, latent_gain=1.0))
    teacher = LanguageNetwork(model, process, VALID, adapted=False)
    if kind == "full":
        teacher = LanguageNetwork(model.frozen_copy(), process, VALID)
        with pytest.raises(ValueError, match="keep a copy"), model.without_adapters():
            pass
    student = LanguageNetwork(model, process, VALID)
    objective = Di4CObjective(process, student.mixture, teacher.mixture, RECIPE)
    found = objective(TOKENS, fixed=FIXED, valid=VALID, generator=seeded())
    found.loss.sum().backward()
    names = {name for name, p in model.named_parameters() if p.grad is not None}
    assert names == set(model.trained())
    if kind == "lora":
        assert all("lora" in name or name.startswith("latent.") for name in names)
    # Two forward passes in training mode are equal: there is no dropout.
    model.train()
    assert model(TOKENS).equal(model(TOKENS))


def test_what_is_saved_is_what_is_loaded(tmp_path):
    folder = write_tiny(tmp_path / "base")
    base = open_base(folder)
    model, _ = build(base, adapter := Adapter(rank=2))
    weights = {name: p.detach() for name, p in shaken(model).trained().items()}
    write_adapter(tmp_path / "a.safetensors", weights, base, adapter, {"step": 3})
    loaded = load_model(folder, tmp_path / "a.safetensors")
    latent = torch.rand(2)
    assert loaded.model(TOKENS, VALID, latent).equal(model(TOKENS, VALID, latent))
    assert (tmp_path / "a.safetensors").stat().st_size < 400_000
    words = loaded.complete(["un", "hello"], length=9, steps=3, generator=seeded())
    assert words[0].startswith("un")
    assert words[1].startswith("hello")
    assert words == loaded.complete(["un", "hello"], length=9, steps=3, generator=seeded())
    teacher = loaded.complete(["un"], length=9, steps=3, generator=seeded(), teacher=True)
    assert teacher[0].startswith("un")
    assert_refused(
        lambda: load_model(write_tiny(tmp_path / "other", seed=1), tmp_path / "a.safetensors"),
        "adapter .* was trained for .*base', whose weights differ from .*other'; give its own base",
    )
    assert_refused(
        lambda: load_model(folder, tmp_path / "a.safetensors", mask_token="[UNK]"),
        "adapter .* was trained with token 1 as the mask; got 4: give the same mask_token",
    )
    assert_refused(lambda: loaded.complete(["a" * 9], length=9, steps=1), "has 10 tokens and a row")
    assert_refused(
        lambda: loaded.complete([""], length=MOST + 1, steps=1), "length must be at most 16"
    )
    weights.pop(next(iter(weights)))
    write_adapter(tmp_path / "b.safetensors", weights, base, adapter, {})
    assert_refused(lambda: load_model(open_base(folder), tmp_path / "b.safetensors"), "1 tensors")


def test_other_models_are_refused_in_one_line(tmp_path):
    no_mask = write_tiny(tmp_path / "no-mask", mask=False)
    assert_refused(lambda: open_base(no_mask), "has no mask token; give .* with --mask-token")
    assert open_base(no_mask, mask_token="[MASK]").mask_state == 1
    assert_refused(lambda: open_base(no_mask, mask_token="[M]"), r"'\[M\]' is no token of")
    causal = write_tiny(tmp_path / "causal", "GPT2")
    assert_refused(lambda: open_base(causal), "is a gpt2, which is no masked language model")
    base = as_base(tiny("GPT2").eval(), letters())
    assert_refused(lambda: build(base, Adapter()), "GPT2LMHeadModel whose .* a causal model; give")
    sizes = {"d_model": 16, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "vocab_size": 31}
    base = as_base(BartForConditionalGeneration(BartConfig(**sizes)), letters())
    assert_refused(lambda: build(base, Adapter()), "makes no logits of inputs_embeds .*; give")
    base = opened("Esm")
    base.model.esm.embeddings.token_dropout = True  # mask tokens are set to 0, unless embedded
    assert_refused(lambda: build(base, Adapter()), "reads embeddings in another way .* ESM")
    assert_refused(lambda: as_base(tiny(rows=20), letters()), "31 tokens and model 'model' 20")
    assert_refused(lambda: as_base(tiny(rows=3000), letters()), "31 tokens and model 'model' 3000")
    assert_refused(lambda: open_base(tmp_path / "none"), "has no tokenizer that opens")
    with pytest.raises(FileNotFoundError):
        load_model(no_mask, tmp_path / "none.safetensors")


class Dream(PretrainedConfig):
    model_type = "Dream"


class OwnCode(nn.Module):
    """A model of the LLaDA kind: no config of ours, no head layer, its logits from tied weights."""

    def __init__(self, shift=False):
        super().__init__()
        self.inner, self.shifted = tiny(), shift
        self.config = Dream() if shift else PretrainedConfig()
        self.config.mask_token_id = 1

    def get_input_embeddings(self):
        return self.inner.get_input_embeddings()

    def forward(self, input_ids=None, inputs_embeds=None, attention_mask=None):
        logits = self.inner(
            input_ids=input_ids, inputs_embeds=inputs_embeds, attention_mask=attention_mask
        ).logits
        return (torch.cat([logits[:, 1:], logits[:, :1]], 1) if self.shifted else logits,)


@pytest.mark.parametrize("shift", [False, True])
def test_models_with_code_of_their_own(shift):
    base = as_base(OwnCode(shift).eval(), letters(mask=False))
    assert (base.mask_state, base.shift) == (1, shift)
    model, process = build(base, Adapter(rank=2))
    assert model.head_layer is None
    found = LanguageNetwork(model, process).denoise(TOKENS.masked_fill(~FIXED, 1), None)
    plain, same = build(opened(), Adapter(rank=2))
    expected = LanguageNetwork(plain, same).denoise(TOKENS.masked_fill(~FIXED, 1), None)
    torch.testing.assert_close(found[:, 1:], expected[:, 1:])
    student = LanguageNetwork(shaken(model), process)
    teacher = replace(student, adapted=False)
    objective = Di4CObjective(process, student.mixture, teacher.mixture, RECIPE)
    objective(TOKENS, fixed=FIXED, generator=seeded()).loss.sum().backward()


def test_bfloat16_weights_are_trained_in_float32():
    base = as_base(tiny().eval().bfloat16(), letters())
    model = LatentLanguageModel(base.model, Adapter(rank=2, latent_gain=1.0))
    assert {p.dtype for p in model.trained().values()} == {torch.float32}
    process = MaskedProcess(model.num_states, mask_state=1)
    student = LanguageNetwork(model, process, VALID)
    teacher = replace(student, adapted=False)
    objective = Di4CObjective(process, student.mixture, teacher.mixture, RECIPE)
    loss = objective(TOKENS, fixed=FIXED, valid=VALID, generator=seeded()).loss
    assert bool(loss.isfinite().all())
    loss.sum().backward()
