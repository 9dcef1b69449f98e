"""Model files are loaded and sampled in three lines. A file that does not fit gives one line."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from di4c.latents import UniformLatent
from di4c.rng import SampleGenerators
from di4c.sampling_loop import prior_samples
from full_scale import load_model
from full_scale.models import DiTConfig, MaskGITConfig, UNetConfig, VQGANConfig
from full_scale.models.load import check_like
from full_scale.models.model_file import Model, read_model, write_model
from full_scale.models.presets import PRESETS, Preset
from full_scale.models.tensor_file import read_tensors, write_tensors
from tests.helpers.tiny_models import DENOISERS, DIT, MASKGIT, PROCESSES, UNET, VQGAN, save_model

ROOT = Path(__file__).parents[2]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=[f"{role} {kind}" for kind in DENOISERS for role in ("teacher", "student")])
def case(request, tmp_path):
    role, kind = request.param.split()
    config, student = DENOISERS[kind], role == "student"
    return save_model(tmp_path / "x.safetensors", config, student), config, student


def test_three_lines(case):
    path, config, student = case
    model = load_model(path)
    x = model.sample(4, steps=8, generator=generator())
    assert x.shape == (4, config.num_dims)
    assert x.min() >= 0
    assert x.max() < model.process.num_values  # no mask is left
    assert model.is_student == student
    assert model.latent == (UniformLatent() if student else None)


def test_samples_depend_on_the_generator_alone(case):
    path = case[0]
    draws = [load_model(path).sample(5, steps=3, generator=generator(s)) for s in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    model = load_model(path)
    together = model.sample(3, 2, generator=SampleGenerators(0, range(3)))
    alone = model.sample(1, 2, generator=SampleGenerators(0, [2]))
    assert torch.equal(together[2:], alone)


def test_weights_are_loaded_exactly(case):
    path, config, student = case
    model = load_model(path)
    saved, _ = read_tensors(path)
    state = model.backbone.state_dict()
    assert state.keys() == saved.keys()
    assert all(torch.equal(state[name], saved[name]) for name in saved)
    assert model.config == dataclasses.replace(config, latent=student)
    assert not model.backbone.training
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())


def test_loading_leaves_the_global_stream_alone(case):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    load_model(case[0])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_student_latents_are_drawn_anew_at_every_call(tmp_path, monkeypatch):
    model = load_model(save_model(tmp_path / "x.safetensors", UNET, student=True))
    seen = []
    forward = type(model.backbone).forward

    def recording_forward(self, x_t, t, labels, latent):
        seen.append(latent)
        return forward(self, x_t, t, labels, latent)

    monkeypatch.setattr(type(model.backbone), "forward", recording_forward)
    model.sample(4, steps=3, generator=generator())
    numbers = torch.cat([latent.flatten() for latent in seen])
    assert len(seen) == 3
    assert len(numbers.unique()) == 12


def test_one_step_is_the_argmax_of_one_call(tmp_path):
    """tauLDR counts network calls. The last call takes the most likely value."""
    model = load_model(save_model(tmp_path / "x.safetensors", UNET))
    start = prior_samples(model.process, 3, UNET.num_dims, generator=generator())
    expected = model.network.denoise(start, torch.ones(3)).argmax(-1)
    assert torch.equal(model.sample(3, steps=1, generator=generator()), expected)
    with pytest.raises(ValueError, match="steps must be at least 1; got 0"):
        model.sample(3, steps=0)


def test_options_of_the_sampler(tmp_path):
    model = load_model(save_model(tmp_path / "x.safetensors", MASKGIT))
    labels = torch.tensor([0, 1, 2, 0])
    plain = model.sample(4, 4, labels=labels, generator=generator())
    guided = model.sample(4, 4, labels=labels, guidance=9.0, generator=generator())
    assert not torch.equal(plain, guided)
    with pytest.raises(ValueError, match="guidance"):
        model.sample(4, 4, guidance=9.0)
    with pytest.raises(ValueError, match="sampler must be one of"):
        model.sample(4, 4, sampler="tau-leaping")


def test_dtype_and_device(tmp_path):
    path = save_model(tmp_path / "x.safetensors", DIT, student=True)
    wide, narrow = load_model(path, dtype=torch.float64), load_model(path, dtype=torch.bfloat16)
    assert {p.dtype for p in wide.backbone.parameters()} == {torch.float64}
    assert {p.dtype for p in narrow.backbone.parameters()} == {torch.bfloat16}
    x_t = torch.full((2, DIT.num_dims), DIT.num_states - 1)
    arguments = (x_t, torch.ones(2), torch.tensor([0.2, 0.7]))
    expected = load_model(path).network.denoise(*arguments)
    assert_close(wide.network.denoise(*arguments).float(), expected, rtol=1e-4, atol=1e-5)
    assert_close(narrow.network.denoise(*arguments), expected, rtol=0.1, atol=0.2)


def test_vqgan_encodes_and_decodes(tmp_path):
    model = load_model(save_model(tmp_path / "x.safetensors", VQGAN))
    assert (model.config.kind, model.process, model.is_student) == ("vqgan", None, False)
    images = torch.rand(2, 3, 8, 16, generator=generator()) * 2 - 1
    codes = model.encode(images)
    assert codes.shape == (2, 2 * 4)
    decoded = model.decode(codes, height=2)
    assert decoded.shape == images.shape
    assert decoded.abs().max() <= 1
    assert_close(decoded, model.backbone(images).clamp(-1, 1))
    assert model.decode(codes[:, :4]).shape == (2, 3, 8, 8)
    for height in (3, None):
        with pytest.raises(ValueError, match="height must divide the 8 codes"):
            model.decode(codes, height=height)
    with pytest.raises(ValueError, match=r"x\.safetensors is a VQGAN, which has no samples"):
        model.sample(1, 1)


def test_denoisers_do_not_decode(case):
    model = load_model(case[0])
    with pytest.raises(ValueError, match="and not a VQGAN; give a file made by: python -m"):
        model.decode(torch.zeros(1, 4, dtype=torch.long))
    with pytest.raises(ValueError, match="and not a VQGAN; give a file made by: python -m"):
        model.encode(torch.zeros(1, 3, 8, 8))


def test_folder_of_a_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="is the training finished"):
        load_model(tmp_path)
    path = save_model(tmp_path / "model.safetensors", UNET)
    assert load_model(str(tmp_path)).sha256 == load_model(path).sha256


def test_student_or_teacher(tmp_path):
    teacher = save_model(tmp_path / "teacher.safetensors", DIT)
    student = save_model(tmp_path / "student.safetensors", DIT, student=True)
    assert not load_model(teacher, student=False).is_student
    assert load_model(student, student=True).is_student
    with pytest.raises(ValueError, match=r"^teacher\.safetensors has no latent; give a student$"):
        load_model(teacher, student=True)
    with pytest.raises(ValueError, match=r"^student\.safetensors has a latent; give a teacher$"):
        load_model(student, student=False)


def test_model_of_the_preset(tmp_path, monkeypatch):
    for config in (*DENOISERS.values(), VQGAN):
        preset = Preset("the tiny one", config, PROCESSES[config])
        monkeypatch.setitem(PRESETS, "tiny", preset)
        path = save_model(tmp_path / "x.safetensors", config)
        assert load_model(path, like="tiny").config == config
        if config is not VQGAN:
            save_model(path, config, student=True)
            assert load_model(path, like="tiny").is_student


@pytest.mark.parametrize(
    ("config", "change", "message"),
    [
        (UNET, {"num_states": 8}, "num_states 9 instead of 8"),
        (UNET, {"height": 8}, "height 4 instead of 8"),
        (UNET, {"multipliers": (1, 1)}, r"multipliers \(1, 2\) instead of \(1, 1\)"),
        (DIT, {"num_states": DIT.num_states + 1}, "num_states"),
        (DIT, {"num_dims": 7}, "num_dims 6 instead of 7"),
        (MASKGIT, {"codebook_size": 17}, "codebook_size 16 instead of 17"),
        (MASKGIT, {"num_classes": 4}, "num_classes 3 instead of 4"),
    ],
)
def test_model_of_another_preset(config, change, message, tmp_path, monkeypatch):
    wanted = Preset("the wanted model", dataclasses.replace(config, **change))
    wanted = dataclasses.replace(wanted, process=PROCESSES[config])
    monkeypatch.setitem(PRESETS, "wanted", wanted)
    path = save_model(tmp_path / "x.safetensors", config)
    with pytest.raises(ValueError, match=rf"the wanted model: {message}.*; give a checkpoint") as e:
        load_model(path, like="wanted")
    assert "\n" not in str(e.value)


def test_model_of_another_kind(tmp_path):
    path = save_model(tmp_path / "x.safetensors", UNET)
    with pytest.raises(ValueError, match=r"is a unet model and MDLM and SDTT .* is a dit model"):
        load_model(path, like="sdtt-owt")
    with pytest.raises(ValueError, match="preset must be one of"):
        load_model(path, like="nonsense")
    save_model(path, VQGAN)
    with pytest.raises(ValueError, match=r"is a vqgan model and tauLDR .* is a unet model"):
        load_model(path, like="tauldr-cifar10")


def test_model_for_other_noise(tmp_path):
    path = save_model(tmp_path / "x.safetensors", UNET)
    model = read_model(path)
    noise = dataclasses.replace(PROCESSES[UNET], time_base=2.0)
    with pytest.raises(ValueError, match=r"time_base 1\.0 instead of 2\.0"):
        check_like(model, Preset("other noise", UNET, noise), "x")
    harmless = dataclasses.replace(PROCESSES[UNET], floor=1e-8, epsilon=1e-9)
    check_like(model, Preset("rounding", dataclasses.replace(UNET, dropout=0.5), harmless), "x")


def test_every_preset_is_like_itself_alone():
    """The configurations alone tell the published models apart."""
    for name, preset in PRESETS.items():
        model = Model(preset.network, preset.process, {}, "0" * 64, {})
        for other, wanted in PRESETS.items():
            if name == other:
                check_like(model, wanted, "x")
            else:
                with pytest.raises(ValueError, match="give a checkpoint of the preset"):
                    check_like(model, wanted, "x")


def test_files_that_are_no_models(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        load_model(tmp_path / "absent.safetensors")
    torch.save({"a": torch.ones(1)}, tmp_path / "x.pt")
    with pytest.raises(ValueError, match="convert it"):
        load_model(tmp_path / "x.pt")
    save_file({"a": torch.ones(1)}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match="convert it"):
        load_model(tmp_path / "x.safetensors")
    write_tensors(tmp_path / "x.safetensors", {}, {"another": "description"})
    with pytest.raises(ValueError, match="convert it"):
        load_model(tmp_path / "x.safetensors")


def test_truncated_file(tmp_path):
    path = save_model(tmp_path / "x.safetensors", UNET)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        load_model(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("input.weight"), r"missing: input\.weight"),
        (lambda state: state.update(more=torch.ones(1)), "unexpected: more"),
        (lambda state: state.update({"input.weight": torch.ones(2, 3)}), r"\(2, 3\) for \(8, 3"),
    ],
)
def test_weights_that_do_not_fit_the_config(change, message, tmp_path):
    model = read_model(save_model(tmp_path / "x.safetensors", UNET))
    state = dict(model.state)
    change(state)
    write_model(tmp_path / "x.safetensors", model.network, model.process, state, {})
    with pytest.raises(ValueError, match=rf"does not fit its config.*{message}"):
        load_model(tmp_path / "x.safetensors")


@pytest.mark.parametrize("cls", [UNetConfig, MaskGITConfig, DiTConfig, VQGANConfig])
def test_nothing_is_built_twice(cls):
    """Loading replaces all tensors of a network on the meta device, so it must have no buffers."""
    with torch.device("meta"):
        assert list(cls().build().buffers()) == []


def test_in_a_clean_interpreter(tmp_path):
    path = save_model(tmp_path / "x.safetensors", UNET, student=True)
    code = f"""
import torch
from full_scale import load_model
model = load_model({str(path)!r})
x = model.sample(4, steps=8, generator=torch.Generator().manual_seed(0))
print(x.sum().item())
"""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    expected = load_model(path).sample(4, steps=8, generator=generator()).sum().item()
    assert float(result.stdout) == expected
