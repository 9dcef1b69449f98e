"""Calls of the library with numbers that are none: every weight, length of time and count.

The names are those of `tests.hard_use.wrong_calls`.
"""

NAN_OR_WORSE = "float('nan')", "float('inf')", "-1.0", "'a'", "None"
"""What no weight and no length of time is."""

NO_COUNT = "0", "-1", "2.5", "True", "'a'", "None"
"""What no count is."""

NUMBERS = (
    *(
        (make.format(value), named)
        for value in NAN_OR_WORSE
        for make, named in (
            ("Weight({})", "scale"),
            ("DistillationBelow({})", "time"),
            ("DistillationBelow(0.1, {})", "weight"),
            ("SeparateDistillation({})", "time"),
            ("SeparateDistillation(0.1, {})", "weight"),
            ("LogUniformGap(first={})", "first"),
            ("LogUniformGap(shortest={})", "shortest"),
            ("LogUniformGap(longest={})", "longest"),
            ("FixedGap({})", "gap"),
            ("FixedGap(0.1, {})", "first"),
            ("FixedRatio({})", "ratio"),
            ("SmallTimesOften({})", "split"),
            ("SmallTimesOften(0.1, {})", "share"),
            ("SmallTimesOften(0.1, 0.1, {})", "gap"),
            ("StartTerm({})", "weight"),
            ("StartTerm(data_weight={})", "data_weight"),
            ("StartTerm(end={})", "end"),
            ("KeptLatent(weight={})", "weight"),
            ("KeptLatent(start_share={})", "start_share"),
            ("ConfidenceTeacher({})", "temperature"),
            ("recipe(consistency_weight={})", "consistency_weight"),
            ("recipe(data_marginal_weight={})", "data_marginal_weight"),
            ("collapse_alarm(t([[[[-1.0]]]]), t([0.0]), threshold={})", "threshold"),
            ("LinearSchedule({})", "horizon"),
            ("LogLinearSchedule(epsilon={})", "epsilon"),
            ("ExponentialSchedule({})", "horizon"),
            ("ExponentialSchedule(1.0, {})", "rate"),
            ("uniform_grid(4, {})", "horizon"),
            ("uniform_grid(4, 1.0, {})", "start"),
            ("quadratic_grid(4, {})", "horizon"),
            ("psi_grid(CosineSchedule(), 4, {})", "theta"),
            ("phi_grid(CosineSchedule(), 4, {})", "weight"),
            ("call_grid(4, {})", "first"),
            ("call_grid(4, 0.1, {})", "horizon"),
            ("RateMatrixProcess(torch.zeros(2, 2), {})", "horizon"),
            ("RateMatrixProcess(torch.zeros(2, 2), floor={})", "floor"),
            ("RateMatrixProcess(torch.zeros(2, 2), epsilon={})", "epsilon"),
            ("two_state_process({}, 1.0)", "rate_up"),
            ("two_state_process(1.0, {})", "rate_down"),
            ("gaussian_process(8, rate_sigma={})", "rate_sigma"),
            ("gaussian_process(8, stationary_sigma={})", "stationary_sigma"),
            ("gaussian_process(8, time_base={})", "time_base"),
            ("gaussian_process(8, time_exponential={})", "time_exponential"),
            ("gaussian_process(8, horizon={})", "horizon"),
            ("exact.limit_n_tv(masked, law, {})", "stop"),
            ("exact.limit_direction(masked, law, tolerance={})", "tolerance"),
            ("AbsorbingPair(schedule=CosineSchedule(), weight={})", "weight"),
            ("LogitsTransform(soft_cap={} or 0.0)", "soft_cap"),
            ("masked.push(table.log_probs[0].exp(), 0.0, {})", "time"),
            ("ancestral(masked, denoiser, start, [0.0, {}])", "grid"),
            ("ancestral(masked, denoiser, start, [{}, 1.0])", "grid"),
        )
    ),
    *(
        (make.format(value), named)
        for value in NO_COUNT
        for make, named in (
            ("exact.states({}, 3)", "num_dims"),
            ("exact.states(2, {})", "num_states"),
            ("exact.parity_tv({}, 2)", "num_dims"),
            ("exact.repetition_tv(2, {})", "num_steps"),
            ("UniformPair(schedule=CosineSchedule(), theta=0.5).best_tv({})", "num_steps"),
            ("AbsorbingPair(schedule=CosineSchedule(), weight=0.5).best_tv({})", "num_steps"),
            ("MaskedPair(schedule=CosineSchedule(), p_0=law.view(3, 3)).best_tv({})", "num_steps"),
            ("exact.total_correlation(law, {}, 3)", "num_dims"),
            ("ExactDenoiser(masked, law, max_tables={})", "max_tables"),
            ("TableDenoiser(table.log_probs, {})", "num_states"),
            ("call_grid({}, 0.1)", "num_calls"),
            ("prior_samples(masked, {}, 3)", "num_samples"),
            ("prior_samples(masked, 2, {})", "num_dims"),
            ("confidence_sampling(masked, denoiser, start, {})", "num_steps"),
            ("ConfidenceTeacher(num_steps={})", "num_steps"),
            ("UniformLatent(({},))", "shape"),
            ("KeptLatent(pool={})", "pool"),
            ("KeptLatent(states={})", "states"),
            ("StartTerm(atoms={})", "atoms"),
            ("StartTerm(teacher_steps={})", "teacher_steps"),
            ("StartTerm(latent_factor={})", "latent_factor"),
            ("recipe(num_latents={})", "num_latents"),
            ("recipe(teacher_steps={})", "teacher_steps"),
            ("diagnostics.mixture_atoms(table.log_probs, t([1 / 16] * 16).log(), {})", "num_atoms"),
        )
    ),
)
"""Wrong calls, and the argument that the error names."""
