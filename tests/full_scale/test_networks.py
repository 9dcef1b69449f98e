"""Networks as samplers and losses use them, students that start from teachers, presets."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from di4c.likelihood import DenseMixture, HeadMixture
from di4c.objective import Di4CObjective
from di4c.processes import MaskedProcess
from di4c.recipes import CIFAR10, IMAGENET, OPENWEBTEXT
from full_scale.models.model_file import Misfit
from full_scale.models.network import Network, latent_parameters, start_student, unwrap
from full_scale.models.presets import (
    PRESETS,
    GaussianProcessConfig,
    MaskedProcessConfig,
    from_json,
    preset,
    to_json,
)
from tests.helpers.tiny_models import (
    DENOISERS,
    DIT,
    MASKGIT,
    UNET,
    VQGAN,
    built,
    each_denoiser,
    network_of,
    states,
    times,
)

RECIPES = {"unet": CIFAR10, "maskgit": IMAGENET, "dit": OPENWEBTEXT}


@pytest.mark.parametrize(
    ("name", "teacher", "student"),
    [
        ("tauldr-cifar10", 35_749_766, 39_066_630),
        ("maskgit-imagenet", 174_160_874, 174_620_906),
        ("sdtt-owt", 169_627_218, 169_627_218 + 460_032),
    ],
)
def test_published_parameter_counts(name, teacher, student):
    entry = preset(name)
    with torch.device("meta"):
        networks = entry.network.build(), entry.student().build()
    assert [sum(p.numel() for p in n.parameters()) for n in networks] == [teacher, student]


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    entry = PRESETS[name]
    for config in (entry.network, entry.process):
        if config is not None:
            assert from_json(json.loads(json.dumps(to_json(config)))) == config
    if entry.process is None:
        with pytest.raises(ValueError, match="is a VQGAN and has no student"):
            entry.student()
    else:
        assert entry.student() == replace(entry.network, latent=True)
        assert entry.process.num_states == entry.network.num_states


def test_the_digits_are_small_and_end_in_noise():
    entry = preset("digits")
    for config in (entry.network, entry.student()):
        assert 200_000 < sum(p.numel() for p in config.build().parameters()) < 650_000
    process = entry.process.build()
    assert (process.num_states, entry.network.num_dims) == (17, 64)
    gap = 0.5 * (process.transition(0.0, 1.0) - process.prior()).abs().sum(1)
    assert float(gap.max()) < 1e-4


def test_unknown_names_are_errors():
    with pytest.raises(ValueError, match="preset must be one of tauldr-cifar10"):
        preset("cifar")
    for kind in ("resnet", None, {}, [[]]):
        with pytest.raises(ValueError, match="kind must be one of unet"):
            from_json({"kind": kind})
    with pytest.raises(ValueError, match="dit config has no depth"):
        from_json({"kind": "dit", "depth": 3})
    with pytest.raises(ValueError, match="schedule must be one of 'arccos'"):
        MaskedProcessConfig(4, "cosine")


@each_denoiser
def test_the_mixture_holds_what_the_denoiser_returns(config):
    """Each latent has its own x_t. The network is called once for all latents, or once for each."""
    labels = torch.tensor([1, 2])
    network = network_of(replace(config, latent=True), dtype=torch.float64, labels=labels)
    x_t, t = states(network, 2, 3), times(2)
    latents = torch.rand(2, 3, dtype=torch.float64)
    mixture = network.mixture(x_t, t, latents)
    assert isinstance(mixture, HeadMixture)
    log_probs = torch.stack([network.denoise(x_t[:, i], t, latents[:, i]) for i in range(3)], 1)
    dense = DenseMixture(log_probs, mixture.log_weights)
    num_values = log_probs.shape[-1]
    x_0 = torch.randint(num_values, (2, 4, x_t.shape[-1]))
    torch.testing.assert_close(mixture.gather(x_0), dense.gather(x_0), rtol=1e-9, atol=1e-9)


@each_denoiser
@pytest.mark.parametrize("name", ["control_variate", "plain"])
def test_the_objective_of_each_recipe(config, name):
    """One step of each published recipe with a teacher and a student of its kind of network."""
    kind = next(kind for kind, entry in DENOISERS.items() if entry is config)
    recipe = replace(RECIPES[kind], num_latents=3)
    if name == "plain":
        recipe = replace(recipe, control_variate=False, data_control_variate=False)
    labels = torch.tensor([0, 1])
    teacher = network_of(config, labels=labels)
    student = network_of(replace(config, latent=True), seed=3, labels=labels)
    x_0 = states(student, 2).clamp_max(student.process.num_values - 1)
    objective = Di4CObjective(student.process, student.mixture, teacher.mixture, recipe)
    loss = objective(x_0, generator=torch.Generator().manual_seed(0)).loss
    assert bool(loss.isfinite().all())
    loss.sum().backward()
    gradients = [p.grad for p in student.backbone.parameters() if p.grad is not None]
    assert all(bool(g.isfinite().all()) for g in gradients)
    assert all(p.grad is None for p in teacher.backbone.parameters())


def test_the_mask_of_maskgit_may_be_excluded():
    network = network_of(MASKGIT)
    without = replace(network, keep_mask=False)
    x_t, t = states(network, 2), times(2)
    kept, excluded = network.denoise(x_t, t), without.denoise(x_t, t)
    torch.testing.assert_close(kept[..., :-1].log_softmax(-1), excluded)


def test_no_class_is_a_class_of_its_own():
    network = network_of(MASKGIT)
    x_t, t = states(network, 2), times(2)
    unconditional = network.denoise(x_t, t)
    named = network.given(torch.full((2,), MASKGIT.num_classes)).denoise(x_t, t)
    torch.testing.assert_close(unconditional, named, rtol=0, atol=0)
    assert not torch.equal(unconditional, network.given(torch.tensor([0, 1])).denoise(x_t, t))


def test_maskgit_has_a_bias_for_each_position():
    """The one-hot features have the effect of a bias for each position."""
    backbone = built(MASKGIT, dtype=torch.float64)
    features = backbone(torch.zeros(2, 4, dtype=torch.long))
    hidden = features[..., : MASKGIT.hidden_size]
    num_states = MASKGIT.num_states
    plain = hidden @ backbone.token.weight[:num_states].T + backbone.bias[:4, :num_states]
    torch.testing.assert_close(features @ backbone.head().weight.T, plain)


def test_the_noise_level_counts_only_where_it_is_asked_for():
    x_t = torch.full((2, 6), DIT.num_states - 1)
    t = torch.tensor([0.2, 0.9], dtype=torch.float64)
    for config in (DIT, replace(DIT, time_conditioning=True)):
        network = network_of(config)
        first, second = network.denoise(x_t, t), network.denoise(x_t, t.flip(0))
        assert torch.equal(first, second) != config.time_conditioning


def test_processes_that_do_not_fit_are_errors():
    masked, gaussian = MaskedProcess(7), GaussianProcessConfig(9).build()
    with pytest.raises(ValueError, match="process has 8 states and the backbone 9"):
        Network(UNET.build(), masked)
    with pytest.raises(ValueError, match="process must not be masked for a U-Net"):
        Network(UNET.build(), MaskedProcess(8))
    with pytest.raises(ValueError, match="process must be masked for a MaskGIT"):
        Network(MASKGIT.build(), GaussianProcessConfig(17).build())
    with pytest.raises(ValueError, match="backbone must be a DenoiserBackbone"):
        Network(VQGAN.build(), gaussian)
    wrapped = nn.Sequential()
    wrapped.module = UNET.build()
    assert unwrap(wrapped) is wrapped.module


def test_wrong_inputs_are_errors():
    t = times(2)
    x_t = torch.zeros(2, 4, dtype=torch.long)
    with pytest.raises(ValueError, match="x_t must have 72 coordinates, 3 x 4 x 6; got 4"):
        network_of(UNET).denoise(x_t, t)
    with pytest.raises(ValueError, match="x_t must have 4 tokens; got 3"):
        network_of(MASKGIT).denoise(x_t[:, 1:], t)
    for config in (MASKGIT, DIT):
        with pytest.raises(ValueError, match="latent must be None for a network"):
            network_of(config).denoise(x_t, t, torch.rand(2))
        with pytest.raises(ValueError, match="latent must be one number for each row"):
            network_of(replace(config, latent=True)).denoise(x_t, t, torch.rand(2, 3))
    pixels = torch.zeros(2, 72, dtype=torch.long)
    with pytest.raises(ValueError, match="latent must be None for"):
        network_of(UNET).denoise(pixels, t, torch.rand(2))
    with pytest.raises(ValueError, match="latent must be given to"):
        network_of(replace(UNET, latent=True)).denoise(pixels, t)
    with pytest.raises(ValueError, match=r"labels must hold one class for each .*; got 3 for 2"):
        network_of(MASKGIT, labels=torch.arange(3)).denoise(x_t, t)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: replace(UNET, height=5), "height must be divisible by 2"),
        (lambda: replace(UNET, time_features=7), "time_features must be even, at least 4; got 7"),
        (lambda: replace(DIT, noise_features=5), "noise_features must be even, at least 2; got 5"),
        (lambda: replace(UNET, multipliers=()), "multipliers must hold one entry for each scale"),
        (lambda: replace(VQGAN, multipliers=()), "multipliers must be at least 1 long; got"),
        (lambda: replace(MASKGIT, num_heads=5), "num_heads must divide hidden_size = 12"),
        (lambda: replace(DIT, num_heads=4), "num_heads must divide hidden_size = 12 into even"),
    ],
)
def test_impossible_sizes_are_errors(change, message):
    with pytest.raises(ValueError, match=message):
        change()


# Students start from teachers


@each_denoiser
def test_a_student_starts_as_its_teacher(config):
    """The U-Net does so for every latent, the transformers do so without a latent."""
    teacher = network_of(config)
    student_backbone = replace(config, latent=True).build().eval()
    start_student(student_backbone, teacher.backbone.state_dict())
    student = Network(student_backbone, teacher.process)
    x_t, t = states(teacher, 3), times(3)
    expected = teacher.denoise(x_t, t)
    if config is UNET:
        for latent in (torch.zeros(3), torch.rand(3)):
            torch.testing.assert_close(student.denoise(x_t, t, latent), expected, rtol=0, atol=0)
    else:
        torch.testing.assert_close(student.denoise(x_t, t), expected, rtol=0, atol=0)
        assert not torch.equal(student.denoise(x_t, t, torch.rand(3)), expected)


@each_denoiser
def test_only_the_latent_may_be_missing(config):
    teacher = built(config).state_dict()
    student = replace(config, latent=True).build()
    names = latent_parameters(config)
    assert all("latent" in name or "context" in name for name in names)
    before = {name: student.state_dict()[name].clone() for name in names}
    start_student(student, teacher)
    for name, value in student.state_dict().items():
        assert torch.equal(value, before[name] if name in names else teacher[name])
    first = next(iter(teacher))
    broken = dict(teacher)
    broken["surplus"] = broken.pop(first)
    with pytest.raises(Misfit, match=r"missing: .*unexpected: surplus") as caught:
        start_student(student, broken)
    assert (caught.value.missing, caught.value.unexpected) == ([first], ["surplus"])
    with pytest.raises(Misfit, match="of another shape"):
        start_student(student, teacher | {first: torch.zeros(1)})
    with pytest.raises(ValueError, match="student must be built from a config with latent=True"):
        start_student(config.build(), teacher)


@each_denoiser
def test_a_second_round_starts_from_a_student(config):
    first, second = (built(replace(config, latent=True), seed) for seed in (1, 2))
    start_student(second, first.state_dict())
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)
    )
    partly = first.state_dict()
    partly.pop(min(latent_parameters(config)))
    with pytest.raises(Misfit, match="missing: "):
        start_student(second, partly)
