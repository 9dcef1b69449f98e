"""The recorded loss terms of the reference implementation, values and gradients, to 1e-10.

Recorded with -1e6 for minus infinity ("subs"), which a DenseMixture takes as it is; our transform
writes true infinities, and a HeadMixture never holds the log-probabilities: all must agree.
"""

import pytest
import torch

from di4c.latents import uniform_log_weights
from di4c.likelihood import DenseMixture, FunctionHead, HeadMixture, LogitsTransform
from di4c.losses import Target, consistency_loss, data_loss, distillation_loss, prefetch
from di4c.recipes import CIFAR10, IMAGENET, OPENWEBTEXT, SeparateDistillation, Weight

TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}
MASK_STATE = 4
UNIFORM = uniform_log_weights(4)

# Recorded name: the weight, and whether it was recorded over r = 1 - t.
DATA_WEIGHTS = {
    "tauldr_time_coeff_none": (Weight(shape="constant"), False),
    "tauldr_time_coeff_zero": (Weight(0.0), False),
    "tauldr_time_coeff_sigmoid": (CIFAR10.data_weight, False),
    "tauldr_time_coeff_linear": (Weight(shape="linear"), False),
    "maskgit_time_coeff_sigmoid": (IMAGENET.data_weight, True),
    "maskgit_time_coeff_linear": (Weight(0.1, "linear"), True),
    "maskgit_time_coeff_const": (Weight(0.1, "constant"), True),
    "sdtt_time_coeff_sigmoid": (OPENWEBTEXT.data_weight, False),
}
LAWS = ("student_lam", "teacher", "student_mixture", "teacher_mixture")


class Recorded:
    """One variant of the fixture, and the mixtures that its logits stand for."""

    def __init__(self, tensors, variant, route):
        self.tensors = {
            name.removeprefix(f"{variant}/"): tensor
            for name, tensor in tensors.items()
            if name.startswith(f"{variant}/")
        }
        self.subs, self.route = variant == "subs", route
        self.logits = self["in/student_logits"].clone().requires_grad_()
        self.student = self.mixture(self.logits, self["in/x_t"] if self.subs else None)
        self.u_student = self.mixture(
            self["in/u_student_logits"], self["in/x_u"] if self.subs else None
        )

    def __getitem__(self, name):
        return self.tensors[name]

    def log_probs(self, logits, x):
        """Log-probabilities (B, L, D, S) in the reference's own convention."""
        if not self.subs:
            return logits.log_softmax(-1)
        x = x if x.ndim == 3 else x[:, None]
        is_mask = torch.arange(5) == MASK_STATE
        free = torch.where(is_mask, logits - 1e6, logits).log_softmax(-1)
        fixed = torch.where(torch.arange(5) == x[..., None], 0.0, -1e6)
        return torch.where((x == MASK_STATE)[..., None], free, fixed)

    def mixture(self, logits, x):
        log_weights = UNIFORM if logits.shape[1] == 4 else uniform_log_weights(logits.shape[1])
        transform = LogitsTransform.subs(x, MASK_STATE) if self.subs else LogitsTransform()
        if self.route == "recorded convention":
            return DenseMixture(self.log_probs(logits, x), log_weights)
        if self.route == "transform":
            return DenseMixture.from_logits(logits, log_weights, transform)
        head = FunctionHead(lambda rows: rows, 5)
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
        """Every recorded loss of the student at t, by its recorded name."""
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


@pytest.fixture(params=[(v, r) for v in ("dense", "subs") for r in ROUTES], ids=" ".join)
def recorded(request, loss_components):
    return Recorded(loss_components, *request.param)


def test_every_loss_and_its_gradient(recorded):
    for name, loss in recorded.terms().items():
        torch.testing.assert_close(loss, recorded[f"out/{name}"], **TOLERANCE, msg=_named(name))
        (grad,) = torch.autograd.grad(loss.sum(), recorded.logits, retain_graph=True)
        torch.testing.assert_close(grad, recorded[f"grad/{name}"], **TOLERANCE, msg=_named(name))


def test_log_probabilities(recorded):
    """Those of the student, and the marginals that targets are made of."""
    if isinstance(recorded.student, DenseMixture):
        for name, mixture in (("t", recorded.student), ("u", recorded.u_student)):
            expected = recorded[f"out/log_p0{name}_student_lam"]
            _assert_same_law(mixture.log_probs.detach(), expected)
    _assert_same_law(recorded.log_teacher, recorded["out/log_p0t_teacher"])
    _assert_same_law(recorded.student.draw()[1], recorded["out/log_p0t_student_mixture"])
    _assert_same_law(recorded.log_mixture_teacher, recorded["out/log_p0t_teacher_mixture"])


def test_tauldr_total(recorded):
    """L_distil at the small time + alpha_t L_corr + L_marginal + L_consis; gradient of the mean."""
    if recorded.subs:
        assert "out/tauldr_total" not in recorded.tensors
        return
    logits = recorded["in/mint_student_logits"].clone().requires_grad_()
    # One state for each latent: B L examples of one latent each, averaged over the L.
    mint = recorded.mixture(logits[:, None], None)
    distil = distillation_loss(mint, recorded["in/mint_teacher_logits"].log_softmax(-1))
    distil = distil.unflatten(0, (3, 4)).mean(1)
    torch.testing.assert_close(distil, recorded["out/mint_distil_loss"], **TOLERANCE)
    (grad,) = torch.autograd.grad(distil.sum(), logits, retain_graph=True)
    torch.testing.assert_close(grad, recorded["grad/mint_distil_loss"], **TOLERANCE)
    terms = recorded.terms()
    alpha = CIFAR10.data_weight(recorded["in/t"])
    assert CIFAR10.distillation == SeparateDistillation(weight=1.0)
    total = distil + alpha * terms["data_loss_cor_cv"] + terms["data_loss_indep"]
    total = total + terms["consis_loss_cor_cv"] + terms["consis_loss_indep"]
    _assert_total(recorded, "tauldr_total", total, total.mean())


def test_maskgit_total(recorded):
    """L_distil / .05 where t = 1 - r <= .05, otherwise L_consis; gradient of the mean."""
    if recorded.subs:
        assert "out/maskgit_total" not in recorded.tensors
        return
    total = _total_below(recorded, IMAGENET, 1 - recorded["in/r"])
    _assert_total(recorded, "maskgit_total", total, total.mean())
    distilled = IMAGENET.distillation.active(1 - recorded["in/r"])
    weight = IMAGENET.distillation.weight * distilled.double()
    torch.testing.assert_close(weight, recorded["out/maskgit_distil_weight"], **TOLERANCE)


def test_sdtt_total(recorded):
    """L_distil where t < .02, otherwise L_consis; gradient of the sum."""
    if not recorded.subs:
        assert "out/sdtt_total" not in recorded.tensors
        return
    total = _total_below(recorded, OPENWEBTEXT, recorded["in/t"])
    _assert_total(recorded, "sdtt_total", total, total.sum())


def test_data_weights(recorded):
    for name, (weight, backwards) in DATA_WEIGHTS.items():
        if f"out/{name}" in recorded.tensors:
            t = 1 - recorded["in/r"] if backwards else recorded["in/t"]
            torch.testing.assert_close(weight(t), recorded[f"out/{name}"], **TOLERANCE)


def test_nothing_recorded_is_left_out(recorded):
    names = {name.split("/", 1)[1] for name in recorded.tensors if not name.startswith("in/")}
    laws = {f"log_p0t_{law}" for law in LAWS} | {"log_p0u_student_lam"}
    totals = {"sdtt_total"} if recorded.subs else {"tauldr_total", "maskgit_total"}
    totals |= set() if recorded.subs else {"mint_distil_loss"}
    weights = {name for name in DATA_WEIGHTS if name.startswith("sdtt") == recorded.subs}
    weights |= set() if recorded.subs else {"maskgit_distil_weight"}
    assert names == recorded.terms().keys() | laws | totals | weights


def _total_below(recorded, recipe, t):
    """The total of a recipe that distils below a time and trains consistency above it."""
    terms, rule = recorded.terms(), recipe.distillation
    distilled = rule.weight * terms["distil_loss"]
    consistency = terms["consis_loss_cor_cv"] + terms["consis_loss_indep"]
    data = recipe.data_weight(t) * terms["data_loss_cor_cv"] + terms["data_loss_indep"]
    return data + torch.where(rule.active(t), distilled, consistency)


def _assert_total(recorded, name, total, reduced):
    torch.testing.assert_close(total, recorded[f"out/{name}"], **TOLERANCE)
    (grad,) = torch.autograd.grad(reduced, recorded.logits)
    torch.testing.assert_close(grad, recorded[f"grad/{name}"], **TOLERANCE)


def _assert_same_law(log_probs, expected):
    """Equal where there is mass; as good as minus infinity in both where there is none."""
    empty = expected < -1e5
    assert (log_probs[empty] < -1e5).all()
    torch.testing.assert_close(log_probs[~empty], expected[~empty], **TOLERANCE)


def _named(name):
    return lambda message: f"{name}: {message}"
