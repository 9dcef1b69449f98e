"""The recorded loss terms of the reference implementation: values and gradients agree to 1e-10.

The variant "subs" is recorded with -1e6 in place of minus infinity. Three routes must agree: a
DenseMixture of the recorded log-probabilities, our transform with true infinities, and a
HeadMixture, which never holds the log-probabilities.
"""

import re

import pytest
import torch

from di4c.latents import uniform_log_weights
from di4c.likelihood import DenseMixture, FunctionHead, HeadMixture, LogitsTransform
from di4c.losses import Target, consistency_loss, data_loss, distillation_loss, prefetch
from di4c.recipes import (
    CIFAR10,
    IMAGENET,
    OPENWEBTEXT,
    DistillationBelow,
    SeparateDistillation,
    Weight,
)
from tests.parity.recordings import description, tensors

TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}
LAWS = ("student_lam", "teacher", "student_mixture", "teacher_mixture")
CODES = {"dense": ("tauldr", "maskgit"), "subs": ("sdtt",)}  # codes of each variant


def data_weight(settings, schedule):
    """The weight alpha_t that a reference code calls by this name."""
    if schedule == "zero":
        return Weight(0.0)
    shape = {"none": "constant", "const": "constant"}.get(schedule, schedule)
    return Weight(settings.get("alpha_const", 1.0), shape)


def own_data_weight(settings):
    """The weight alpha_t that the settings of a reference code select."""
    return data_weight(settings, settings.get("alpha_t") or settings["time_schedule"])


def maskgit_distillation(settings):
    """The rule of MaskGIT, for t = 1 - r."""
    delta = settings["r_delta"]
    return DistillationBelow(delta, weight=1 / delta, inclusive=True)


def sdtt_distillation(settings):
    return DistillationBelow(settings["distil_delta"])


class Recorded:
    """One recorded variant, and the mixtures of its logits on one route."""

    def __init__(self, config, variant, route):
        self.config, self.variant, self.route = config, variant, route
        self.tensors = tensors("loss_components", f"{variant}/")
        self.subs, self.mask_state = variant == "subs", config["subs_mask_index"]
        self.logits = self["in/student_logits"].clone().requires_grad_()
        self.student = self.mixture(self.logits, self["in/x_t"] if self.subs else None)
        self.u_student = self.mixture(
            self["in/u_student_logits"], self["in/x_u"] if self.subs else None
        )

    def __getitem__(self, name):
        return self.tensors[name]

    @property
    def schedules(self):
        """Pairs (code, schedule) of every recorded alpha_t."""
        found = (re.fullmatch(r"out/(\w+)_time_coeff_(\w+)", name) for name in self.tensors)
        return [match.groups() for match in found if match]

    def log_probs(self, logits, x):
        """Log-probabilities (B, L, D, S) in the convention of the reference."""
        if not self.subs:
            return logits.log_softmax(-1)
        x = x if x.ndim == 3 else x[:, None]
        states = torch.arange(self.config["S"])
        free = torch.where(states == self.mask_state, logits - 1e6, logits).log_softmax(-1)
        fixed = torch.where(states == x[..., None], 0.0, -1e6)
        return torch.where((x == self.mask_state)[..., None], free, fixed)

    def mixture(self, logits, x):
        log_weights = uniform_log_weights(logits.shape[1])
        transform = LogitsTransform.subs(x, self.mask_state) if self.subs else LogitsTransform()
        if self.route == "recorded convention":
            return DenseMixture(self.log_probs(logits, x), log_weights)
        if self.route == "transform":
            return DenseMixture.from_logits(logits, log_weights, transform)
        head = FunctionHead(lambda rows: rows, self.config["S"])
        return HeadMixture(logits, head, log_weights, transform, positions_per_chunk=4)

    @property
    def x_t(self):
        return self["in/x_t"] if self.subs else None

    @property
    def log_teacher(self):
        return self.log_probs(self["in/teacher_logits"][:, None], self.x_t)[:, 0]

    @property
    def log_mixture_teacher(self):
        return self.mixture(self["in/teacher_lam_logits"], self.x_t).draw()[1]

    @property
    def consistency(self):
        return Target.from_samples(self["in/x0_sampled"], self.u_student.draw()[1])

    def data(self, log_teacher):
        return Target.from_samples(self["in/x0_clean"][:, None], log_teacher)

    def terms(self):
        """Every recorded loss of the student at t, by its name in the recording."""
        teacher, mixed = self.log_teacher, self.log_mixture_teacher
        data, data_mixed = self.data(teacher), self.data(mixed)
        consistency = self.consistency
        student = prefetch(self.student, [data, data_mixed, consistency], [teacher, mixed])
        split, split_mixed = data_loss(student, data), data_loss(student, data_mixed)
        step = consistency_loss(student, consistency)
        return {
            "data_loss_cor_cv": split.correlation,
            "data_loss_cor_nocv": data_loss(student, data, control_variate=False).total,
            "data_loss_indep": split.marginal,
            "data_loss_indep_mixture_teacher": split_mixed.marginal,
            "distil_loss": distillation_loss(student, teacher),
            "distil_loss_mixture_teacher": distillation_loss(student, mixed),
            "consis_loss_cor_cv": step.correlation,
            "consis_loss_cor_nocv": consistency_loss(student, consistency, False).total,
            "consis_loss_indep": step.marginal,
        }


ROUTES = ("recorded convention", "transform", "head")


@pytest.fixture(scope="module")
def config():
    return description("loss_components")["config"]


@pytest.fixture(params=[(v, r) for v in CODES for r in ROUTES], ids=" ".join)
def recorded(request, config):
    return Recorded(config, *request.param)


def test_sizes(recorded, config):
    batch, latents, dim, states = recorded["in/student_logits"].shape
    assert (batch, latents, dim, states) == tuple(config[name] for name in "BLDS")


def test_every_loss_and_its_gradient(recorded):
    for name, loss in recorded.terms().items():
        torch.testing.assert_close(loss, recorded[f"out/{name}"], **TOLERANCE, msg=_named(name))
        (grad,) = torch.autograd.grad(loss.sum(), recorded.logits, retain_graph=True)
        torch.testing.assert_close(grad, recorded[f"grad/{name}"], **TOLERANCE, msg=_named(name))


def test_log_probabilities(recorded):
    """Log-probabilities of the student, and the marginals of the targets."""
    if isinstance(recorded.student, DenseMixture):
        for name, mixture in (("t", recorded.student), ("u", recorded.u_student)):
            expected = recorded[f"out/log_p0{name}_student_lam"]
            _assert_same_law(mixture.log_probs.detach(), expected)
    _assert_same_law(recorded.log_teacher, recorded["out/log_p0t_teacher"])
    _assert_same_law(recorded.student.draw()[1], recorded["out/log_p0t_student_mixture"])
    _assert_same_law(recorded.log_mixture_teacher, recorded["out/log_p0t_teacher_mixture"])


def test_tauldr_total(recorded, config):
    """L_distil at the small time + alpha_t L_corr + L_marginal + L_consis; gradient of the mean."""
    if recorded.subs:
        assert "out/tauldr_total" not in recorded.tensors
        return
    logits = recorded["in/mint_student_logits"].clone().requires_grad_()
    # Each latent has its own state: B L examples with one latent, averaged over the L latents.
    mint = recorded.mixture(logits[:, None], None)
    distil = distillation_loss(mint, recorded["in/mint_teacher_logits"].log_softmax(-1))
    distil = distil.unflatten(0, (config["B"], config["L"])).mean(1)
    torch.testing.assert_close(distil, recorded["out/mint_distil_loss"], **TOLERANCE)
    (grad,) = torch.autograd.grad(distil.sum(), logits, retain_graph=True)
    torch.testing.assert_close(grad, recorded["grad/mint_distil_loss"], **TOLERANCE)
    terms = recorded.terms()
    alpha = own_data_weight(config["tauldr"])(recorded["in/t"])
    total = distil + alpha * terms["data_loss_cor_cv"] + terms["data_loss_indep"]
    total = total + terms["consis_loss_cor_cv"] + terms["consis_loss_indep"]
    _assert_total(recorded, "tauldr_total", total, total.mean())


def test_maskgit_total(recorded, config):
    """L_distil / r_delta where t = 1 - r <= r_delta, otherwise L_consis; gradient of the mean."""
    if recorded.subs:
        assert "out/maskgit_total" not in recorded.tensors
        return
    t, rule = 1 - recorded["in/r"], maskgit_distillation(config["maskgit"])
    total = _total_below(recorded, rule, own_data_weight(config["maskgit"]), t)
    _assert_total(recorded, "maskgit_total", total, total.mean())
    weight = rule.weight * rule.active(t).double()
    torch.testing.assert_close(weight, recorded["out/maskgit_distil_weight"], **TOLERANCE)


def test_sdtt_total(recorded, config):
    """L_distil where t < distil_delta, otherwise L_consis; gradient of the sum."""
    if not recorded.subs:
        assert "out/sdtt_total" not in recorded.tensors
        return
    rule, weight = sdtt_distillation(config["sdtt"]), own_data_weight(config["sdtt"])
    total = _total_below(recorded, rule, weight, recorded["in/t"])
    _assert_total(recorded, "sdtt_total", total, total.sum())


def test_data_weights(recorded, config):
    for code, schedule in recorded.schedules:
        t = 1 - recorded["in/r"] if code == "maskgit" else recorded["in/t"]
        found = data_weight(config[code], schedule)(t)
        torch.testing.assert_close(
            found, recorded[f"out/{code}_time_coeff_{schedule}"], **TOLERANCE
        )


def test_nothing_recorded_is_left_out(recorded):
    names = {name.split("/", 1)[1] for name in recorded.tensors if not name.startswith("in/")}
    laws = {f"log_p0t_{law}" for law in LAWS} | {"log_p0u_student_lam"}
    totals = {f"{code}_total" for code in CODES[recorded.variant]}
    weights = {f"{code}_time_coeff_{schedule}" for code, schedule in recorded.schedules}
    others = set() if recorded.subs else {"mint_distil_loss", "maskgit_distil_weight"}
    assert {code for code, _ in recorded.schedules} == {*CODES[recorded.variant]}
    assert names == recorded.terms().keys() | laws | totals | weights | others


def test_the_recipes_are_the_defaults_of_the_reference(config):
    if "reference_defaults" not in config:
        pytest.skip("the defaults of the reference are not recorded")
    tauldr, maskgit, sdtt = (
        config["reference_defaults"][code] for code in ("tauldr", "maskgit", "sdtt")
    )
    for recipe, settings in ((CIFAR10, tauldr), (IMAGENET, maskgit), (OPENWEBTEXT, sdtt)):
        assert recipe.num_latents == settings["L"]
        assert recipe.data_weight == own_data_weight(settings)
    first, gap = CIFAR10.times.first, (CIFAR10.times.shortest, CIFAR10.times.longest)
    assert (first, f"log-uniform in {[*gap]}") == (tauldr["min_time"], tauldr["delta_t"])
    # The reference page: half of the times are the smallest one, half uniform up to 0.02.
    assert CIFAR10.distillation == SeparateDistillation(tauldr["min_time"], last=0.02)
    assert IMAGENET.distillation == maskgit_distillation(maskgit)
    assert OPENWEBTEXT.distillation == sdtt_distillation(sdtt)
    assert f"min(1/{1 / OPENWEBTEXT.times.gap:.0f}, t/2)" == sdtt["delta_t"]


def _total_below(recorded, rule, data_weight, t):
    """Total of a rule that trains distillation below a time and consistency above it."""
    terms = recorded.terms()
    distilled = rule.weight * terms["distil_loss"]
    consistency = terms["consis_loss_cor_cv"] + terms["consis_loss_indep"]
    data = data_weight(t) * terms["data_loss_cor_cv"] + terms["data_loss_indep"]
    return data + torch.where(rule.active(t), distilled, consistency)


def _assert_total(recorded, name, total, reduced):
    torch.testing.assert_close(total, recorded[f"out/{name}"], **TOLERANCE)
    (grad,) = torch.autograd.grad(reduced, recorded.logits)
    torch.testing.assert_close(grad, recorded[f"grad/{name}"], **TOLERANCE)


def _assert_same_law(log_probs, expected):
    """Log-probabilities agree where there is mass; both are below -1e5 where there is none."""
    empty = expected < -1e5
    assert (log_probs[empty] < -1e5).all()
    torch.testing.assert_close(log_probs[~empty], expected[~empty], **TOLERANCE)


def _named(name):
    return lambda message: f"{name}: {message}"
