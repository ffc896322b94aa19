"""What goes wrong in update rules: decay, momentum, bias correction, the denominator, the state."""

from __future__ import annotations

from autograder.variants import ADAMS, RULES, Change, mistake

SGDW, ADAM_L2, ADAMW = ("sgdw",), ("adam_l2",), ("adamw",)
DECOUPLED = ("sgdw", "adamw")
ROOT = "(v_hat.sqrt() + eps)"


def _both(m: str, v: str) -> tuple[Change, Change, Change]:
    """The same change in m̂ and v̂, in m̂ alone, in v̂ alone."""
    return {"m_hat": m, "v_hat": v}, {"m_hat": m}, {"v_hat": v}


RULE_MISTAKES = (
    # --- the decay ---
    mistake(
        "decay_left_out",
        "The decay has no effect: this is the rule without any, and the decay argument is never used.",
        (DECOUPLED, [{"theta": "theta - STEP"}]),
        (ADAM_L2, [{"g": "grad"}]),
    ),
    mistake(
        "decay_through_gradient",
        "The decay goes through the gradient: that is ℓ2 regularisation, and here the decay should be "
        "decoupled, touching neither g nor what is computed from it.",
        (ADAMW, [{"g": "grad + weight_decay * theta", "theta": "theta - STEP"},
                 {"g": "grad + weight_decay / lr * theta", "theta": "theta - STEP"}]),
    ),
    mistake(
        "decay_decoupled",
        "The decay acts on θ directly: that is decoupled weight decay, and here it should be the gradient "
        "of an ℓ2 penalty, part of g before anything is done with g.",
        (ADAM_L2, [{"g": "grad", "theta": "(1 - l2) * theta - STEP"},
                   {"g": "grad", "theta": "(1 - lr * l2) * theta - STEP"}]),
    ),
    mistake(
        "decay_in_buffer",
        "The decay runs through the momentum buffer, so that it is remembered from step to step: m should "
        "see the gradient of the unregularised loss and nothing else.",
        (SGDW, [{"g": "grad + weight_decay * theta", "theta": "theta - STEP"},
                {"g": "grad + weight_decay / lr * theta", "theta": "theta - STEP"}]),
        (ADAMW, [{"m": "beta1 * state.m + (1 - beta1) * (g + weight_decay * theta)",
                  "theta": "theta - STEP"}]),
    ),
    mistake(
        "decay_times_lr",
        "The decay is multiplied by the learning rate, which is the convention of PyTorch, Optax and Keras; "
        "here the decay factor is used as it stands, without η.",
        (DECOUPLED, [{"theta": "(1 - lr * weight_decay) * theta - STEP"}]),
        (ADAM_L2, [{"g": "grad + lr * l2 * theta"}]),
    ),
    mistake(
        "decay_in_denominator",
        "The decay is divided by √v̂ + ε together with the gradient step: decoupled means that it is not "
        "rescaled by what the gradients have been.",
        (ADAMW, [{"theta": "theta - (lr * m_hat + weight_decay * theta) / (v_hat.sqrt() + eps)"},
                 {"theta": "theta - lr * (m_hat + weight_decay * theta) / (v_hat.sqrt() + eps)"}]),
    ),
    mistake(
        "penalty_after_moments",
        "The penalty's gradient is added only after the moments have been formed: Adam on the penalised "
        "loss sees it from its first line on, in m and in v.",
        (ADAM_L2, [{"g": "grad", "m_hat": "m / (1 - beta1**t) + l2 * theta"},
                   {"g": "grad", "theta": "theta - STEP - lr * l2 * theta / (v_hat.sqrt() + eps)\n"
                    "m = m + l2 * theta"}]),
    ),
    mistake(
        "penalty_in_one_moment",
        "The penalty's gradient reaches only one of the two moments: m and v are both made of the gradient "
        "of the penalised loss.",
        (ADAM_L2, [{"v": "beta2 * state.v + (1 - beta2) * grad**2"},
                   {"m": "beta1 * state.m + (1 - beta1) * grad"}]),
    ),
    mistake(
        "penalty_factor",
        "The penalty's gradient is off by a factor of two: differentiate (λ_ℓ2/2)‖θ‖² once more, "
        "one coordinate at a time.",
        (ADAM_L2, [{"g": "grad + 2 * l2 * theta"}, {"g": "grad + l2 / 2 * theta"}]),
    ),
    mistake(
        "penalty_itself",
        "The penalty itself is added to the gradient: what a rule needs is the penalty's derivative.",
        (ADAM_L2, [{"g": "grad + l2 / 2 * theta**2"}, {"g": "grad + l2 / 2 * (theta**2).sum()"},
                   {"g": "grad + l2 * theta**2"}]),
    ),
    mistake(
        "decay_wrong_sign",
        "The decay has the wrong sign: it pushes θ away from zero, where it should pull θ towards zero.",
        (DECOUPLED, [{"theta": "(1 + weight_decay) * theta - STEP"},
                     {"theta": "(1 + lr * weight_decay) * theta - STEP"}]),
        (ADAM_L2, [{"g": "grad - l2 * theta"}]),
    ),
    mistake(
        "decay_on_new_theta",
        "The decay acts on the new θ, after the gradient step: decay and step should both start from "
        "θ_{t-1}.",
        (DECOUPLED, [{"theta": "theta - STEP\ntheta = (1 - weight_decay) * theta"},
                     {"theta": "theta - STEP\ntheta = (1 - lr * weight_decay) * theta"}]),
    ),
    mistake(
        "decay_twice",
        "The decay acts twice, once through the gradient and once on θ: one of the two belongs to the "
        "other optimizer.",
        (DECOUPLED, [{"g": "grad + weight_decay * theta"}]),
        (ADAM_L2, [{"theta": "(1 - l2) * theta - STEP"}, {"theta": "(1 - lr * l2) * theta - STEP"}]),
    ),
    mistake(
        "decay_keeps_lambda",
        "θ is multiplied by the decay factor, so that only that share is left: λ_w is the share of θ that "
        "goes, not the one that stays.",
        (DECOUPLED, [{"theta": "weight_decay * theta - STEP"}]),
    ),
    mistake(
        "decay_subtracts_constant",
        "The decay subtracts the same number from every coordinate: weight decay removes a share of θ, "
        "more where θ is large.",
        (DECOUPLED, [{"theta": "theta - STEP - weight_decay"}]),
        (ADAM_L2, [{"g": "grad + l2"}]),
    ),
    # --- momentum ---
    mistake(
        "momentum_of_other_algorithm",
        "m mixes old and new with β1 in the place of 1 − β1, the momentum convention of the other "
        "algorithm: Algorithm 1 and Algorithm 3 use β1 the other way round.",
        (SGDW, [{"m": "beta1 * state.m + (1 - beta1) * g"}]),
        (ADAMS, [{"m": "(1 - beta1) * state.m + beta1 * g"}]),
    ),
    mistake(
        "heavy_ball",
        "m adds the new gradient with its full weight, as PyTorch's SGD does: here m is an average, whose "
        "two weights add up to one.",
        (SGDW, [{"m": "(1 - beta1) * state.m + g"}, {"m": "beta1 * state.m + g"}]),
        (ADAMS, [{"m": "beta1 * state.m + g"}]),
    ),
    mistake(
        "second_moment_unweighted",
        "v adds the new g² with its full weight: v is an average, whose two weights add up to one.",
        (ADAMS, [{"v": "beta2 * state.v + g**2"}, {"v": "state.v + g**2"}]),
    ),
    mistake(
        "momentum_unused",
        "The step uses the bare gradient: m is computed, or should be, and the step goes along it.",
        (SGDW, [{"theta": "KEEP - lr * g"}]),
        (ADAMS, [{"m_hat": "g"}]),
    ),
    mistake(
        "lr_in_buffer",
        "The learning rate stands inside the momentum buffer: m averages gradients alone, or else a new η "
        "would reach θ only slowly.",
        (SGDW, [{"m": "(1 - beta1) * state.m + beta1 * lr * g", "theta": "KEEP - m"},
                {"m": "(1 - beta1) * state.m + lr * g", "theta": "KEEP - m"}]),
    ),
    mistake(
        "bias_correction_added",
        "m is divided by a bias correction, and the momentum of Algorithm 1 has none.",
        (SGDW, [{"theta": "KEEP - lr * m / (1 - (1 - beta1)**t)"},
                {"theta": "KEEP - lr * m / (1 - beta1**t)"}]),
    ),
    mistake(
        "betas_swapped",
        "β1 and β2 have changed places: β1 belongs to m and β2 to v, in the averages and in their "
        "corrections.",
        (ADAMS, [{"m": "beta2 * state.m + (1 - beta2) * g", "v": "beta1 * state.v + (1 - beta1) * g**2",
                  "m_hat": "m / (1 - beta2**t)", "v_hat": "v / (1 - beta1**t)"},
                 {"m": "beta2 * state.m + (1 - beta2) * g", "v": "beta1 * state.v + (1 - beta1) * g**2"},
                 {"m_hat": "m / (1 - beta2**t)", "v_hat": "v / (1 - beta1**t)"}]),
    ),
    mistake(
        "betas_fixed",
        "β1 and β2 are written into the rule as fixed numbers: they are arguments, and other values should "
        "work too.",
        (ADAMS, [{"t": "state.t + 1\nbeta1, beta2 = 0.9, 0.999"}]),
        (SGDW, [{"t": "state.t + 1\nbeta1 = 0.1"}, {"t": "state.t + 1\nbeta1 = 0.9"}]),
    ),
    # --- bias correction and t ---
    mistake(
        "bias_left_out",
        "The bias correction is left out, for m, for v or for both: the moments begin at zero, and in the "
        "first steps that has to be made up for.",
        (ADAMS, _both("m", "v")),
    ),
    mistake(
        "bias_multiplied",
        "The bias correction is multiplied where it should divide: the moments are too small at first, so "
        "the correction must make them larger.",
        (ADAMS, _both("m * (1 - beta1**t)", "v * (1 - beta2**t)")),
    ),
    mistake(
        "bias_square",
        "A 2 stands in the exponent of the bias correction where t belongs: the correction fades with "
        "every step.",
        (ADAMS, _both("m / (1 - beta1**2)", "v / (1 - beta2**2)")),
    ),
    mistake(
        "bias_no_power",
        "The bias correction divides by 1 − β, whatever the step: its β should be raised to a power that "
        "grows.",
        (ADAMS, _both("m / (1 - beta1)", "v / (1 - beta2)")),
    ),
    mistake(
        "t_not_counted",
        "The step count t never grows: count this step before t is used, and hand the new t on in the "
        "state.",
        (ADAMS, [{"t": "state.t"}, {"return": "theta, State(state.t, m, v)"}]),
        (SGDW, [{"t": "state.t"}]),
    ),
    mistake(
        "t_off_by_one",
        "The step count t is off by one where it is used: in the first step t is 1.",
        (ADAMS, [{"t": "state.t", "return": "theta, State(t + 1, m, v)"},
                 {"m_hat": "m / (1 - beta1 ** (t + 1))", "v_hat": "v / (1 - beta2 ** (t + 1))"},
                 {"m_hat": "m / (1 - beta1 ** (t - 1))", "v_hat": "v / (1 - beta2 ** (t - 1))"}]),
    ),
    # --- the denominator ---
    mistake(
        "root_missing",
        "The square root in the denominator is missing: v̂ averages squares, so the step would come out in "
        "the wrong unit.",
        (ADAMS, [{"theta": "KEEP - lr * m_hat / (v_hat + eps)"}]),
    ),
    mistake(
        "eps_inside_root",
        "ε stands inside the square root: here it is added outside, after the root is taken.",
        (ADAMS, [{"theta": "KEEP - lr * m_hat / (v_hat + eps).sqrt()"},
                 {"theta": "KEEP - lr * m_hat / (v_hat + eps**2).sqrt()"}]),
    ),
    mistake(
        "eps_left_out",
        "ε is left out: without it the step is not defined where a gradient has always been zero.",
        (ADAMS, [{"theta": "KEEP - lr * m_hat / v_hat.sqrt()"}]),
    ),
    mistake(
        "eps_added_to_theta",
        "ε is added to θ and not to the denominator: look at the brackets.",
        (ADAMS, [{"theta": "KEEP - lr * m_hat / v_hat.sqrt() + eps"}]),
    ),
    mistake(
        "eps_before_correction",
        "ε is added before the bias correction, which then rescales it: here it joins the corrected √v̂.",
        (ADAMS, [{"theta": "KEEP - lr * m_hat * (1 - beta2**t) ** 0.5 / (v.sqrt() + eps)"}]),
    ),
    mistake(
        "square_forgotten",
        "v averages g and not its square: a gradient that changes sign would cancel itself.",
        (ADAMS, [{"v": "beta2 * state.v + (1 - beta2) * g"},
                 {"v": "beta2 * state.v + (1 - beta2) * g.abs()"}]),
    ),
    mistake(
        "square_of_sum",
        "v squares a sum, of coordinates or of past gradients: square each coordinate of this step's "
        "gradient first, then average over steps.",
        (ADAMS, [{"v": "beta2 * state.v + (1 - beta2) * g.sum() ** 2"},
                 {"v": "(beta2 * state.v.sqrt() + (1 - beta2) * g) ** 2"},
                 {"v": "m**2"}, {"v": "beta2 * state.v + (1 - beta2) * m**2"}]),
    ),
    mistake(
        "coordinates_mixed",
        "v mixes the coordinates of g into one number: each coordinate has a second moment of its own.",
        (ADAMS, [{"v": "beta2 * state.v + (1 - beta2) * (g**2).sum()"},
                 {"v": "beta2 * state.v + (1 - beta2) * (g**2).mean()"}]),
    ),
    mistake(
        "denominator_multiplied",
        "The step is multiplied by √v̂ + ε where it should be divided: brackets, perhaps.",
        (ADAMS, [{"theta": "KEEP - lr * m_hat * (v_hat.sqrt() + eps)"},
                 {"theta": "KEEP - lr * m_hat / v_hat.sqrt() * eps"}]),
    ),
    # --- the step ---
    mistake(
        "lr_missing",
        "The learning rate is missing: the step has the same length for every η.",
        (SGDW, [{"theta": "KEEP - m"}]),
        (ADAMS, [{"theta": f"KEEP - m_hat / {ROOT}"}]),
    ),
    mistake(
        "step_wrong_sign",
        "The gradient step has the wrong sign: it goes uphill.",
        (RULES, [{"theta": "KEEP + STEP"}]),
    ),
    # --- the state, and how a rule is called ---
    mistake(
        "state_not_returned",
        "The new state is not handed on: a rule gives back θ and a State with the new t, m and v, or else "
        "every step begins from nothing.",
        (RULES, [{"return": "theta"}, {"return": "theta, state"}]),
    ),
    mistake(
        "state_ignored",
        "What the state remembers is not used: m and v go on from the m and v of the step before.",
        (SGDW, [{"m": "beta1 * g"}]),
        (ADAMS, [{"m": "(1 - beta1) * g", "v": "(1 - beta2) * g**2"},
                 {"m": "(1 - beta1) * g"}, {"v": "(1 - beta2) * g**2"}]),
    ),
    mistake(
        "hats_returned",
        "The state keeps the corrected moments m̂ and v̂: hand on m and v themselves, or else the next step "
        "corrects them again.",
        (ADAMS, [{"return": "theta, State(t, m_hat, v_hat)"}]),
    ),
    mistake(
        "moments_exchanged",
        "m and v have changed places in the state: its order is t, m, v.",
        (ADAMS, [{"return": "theta, State(t, v, m)"}]),
    ),
    mistake(
        "defaults_wrong",
        "With the defaults the numbers are off: without other values β1 is 0.9, β2 0.999, and ε 1e-8.",
        (ADAMS, [{"t": "state.t + 1\nif beta1 == 0.9:\n    beta1, beta2 = 0.999, 0.9"}]),
    ),
)  # fmt: skip
