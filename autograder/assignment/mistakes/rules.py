"""What goes wrong in update rules beside the decay: momentum, bias correction, denominator, state."""

from __future__ import annotations

from autograder.assignment.answer_sources import ADAMS, RULES, Change, mistake

SGDW, ADAM_L2 = ("sgdw",), ("adam_l2",)
ROOT = "(v_hat.sqrt() + eps)"


def _both(m: str, v: str) -> tuple[Change, Change, Change]:
    """The same change in m̂ and v̂, in m̂ alone, in v̂ alone."""
    return {"m_hat": m, "v_hat": v}, {"m_hat": m}, {"v_hat": v}


RULE_MISTAKES = (
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
        (SGDW, [{"theta": "KEEP - lr * g"}, {"m": "g"}]),
        (ADAMS, [{"m_hat": "g"}, {"m": "g"}]),
    ),
    mistake(
        "beta_twice",
        "β1 multiplies the step as well: it has done its work once the new gradient is in m.",
        (SGDW, [{"theta": "KEEP - lr * beta1 * m"}]),
        (ADAMS, [{"theta": "KEEP - (1 - beta1) * STEP"}]),
    ),
    mistake(
        "squares_in_m",
        "m averages g², as v does: the squares belong to v, and m needs the sign of each gradient.",
        (ADAMS, [{"m": "beta1 * state.m + (1 - beta1) * g**2"}]),
    ),
    mistake(
        "lr_in_buffer",
        "The learning rate stands inside the momentum buffer: m averages gradients alone, or else a new η "
        "would reach θ only slowly.",
        (
            SGDW,
            [
                {"m": "(1 - beta1) * state.m + beta1 * lr * g", "theta": "KEEP - m"},
                {"m": "(1 - beta1) * state.m + lr * g", "theta": "KEEP - m"},
            ],
        ),
    ),
    mistake(
        "bias_correction_added",
        "m is divided by a bias correction, and the momentum of Algorithm 1 has none.",
        (SGDW, [{"theta": "KEEP - lr * m / (1 - (1 - beta1)**t)"}, {"theta": "KEEP - lr * m / (1 - beta1**t)"}]),
    ),
    mistake(
        "betas_swapped",
        "β1 and β2 have changed places, in one line or in all: β1 belongs to m and β2 to v, in the averages "
        "and in their corrections.",
        (
            ADAMS,
            [
                {
                    "m": "beta2 * state.m + (1 - beta2) * g",
                    "v": "beta1 * state.v + (1 - beta1) * g**2",
                    "m_hat": "m / (1 - beta2**t)",
                    "v_hat": "v / (1 - beta1**t)",
                },
                {"m": "beta2 * state.m + (1 - beta2) * g", "v": "beta1 * state.v + (1 - beta1) * g**2"},
                {"m_hat": "m / (1 - beta2**t)", "v_hat": "v / (1 - beta1**t)"},
                {"m": "beta2 * state.m + (1 - beta2) * g"},
                {"v": "beta1 * state.v + (1 - beta1) * g**2"},
                {"m": "beta1 * state.m + (1 - beta2) * g"},
                {"v": "beta2 * state.v + (1 - beta1) * g**2"},
                {"m_hat": "m / (1 - beta2**t)"},
                {"v_hat": "v / (1 - beta1**t)"},
            ],
        ),
    ),
    mistake(
        "betas_fixed",
        "β1 and β2 are written into the rule as fixed numbers: they are arguments, and other values should work too.",
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
        "A 2 stands in the exponent of the bias correction where t belongs: the correction fades with every step.",
        (ADAMS, _both("m / (1 - beta1**2)", "v / (1 - beta2**2)")),
    ),
    mistake(
        "bias_no_power",
        "The bias correction divides by 1 − β, whatever the step: its β should be raised to a power that grows.",
        (ADAMS, _both("m / (1 - beta1)", "v / (1 - beta2)")),
    ),
    mistake(
        "bias_misplaced",
        "β and t are both in the bias correction, but not where Algorithm 3 has them: mind the power and the brackets.",
        (
            ADAMS,
            [
                *_both("m / (1 - beta1 * t)", "v / (1 - beta2 * t)"),
                *_both("m / (1 - beta1) ** t", "v / (1 - beta2) ** t"),
                *_both("m / beta1**t", "v / beta2**t"),
                *_both("m / 1 - beta1**t", "v / 1 - beta2**t"),
            ],
        ),
    ),
    mistake(
        "t_not_counted",
        "The step count t never grows: count this step before t is used, and hand the new t on in the state.",
        (ADAMS, [{"t": "state.t"}, {"return": "theta, State(state.t, m, v)"}]),
        (SGDW, [{"t": "state.t"}]),
    ),
    mistake(
        "t_off_by_one",
        "The step count t is off by one where it is used: in the first step t is 1.",
        (
            ADAMS,
            [
                {"t": "state.t", "return": "theta, State(t + 1, m, v)"},
                {"m_hat": "m / (1 - beta1 ** (t + 1))", "v_hat": "v / (1 - beta2 ** (t + 1))"},
                {"m_hat": "m / (1 - beta1 ** (t - 1))", "v_hat": "v / (1 - beta2 ** (t - 1))"},
            ],
        ),
        (
            ("preconditioner",),
            [
                {"factor": "np.sqrt((1 - beta2 ** (t - 1)) / (1 - beta2))"},
                {"factor": "np.sqrt((1 - beta2 ** (t + 1)) / (1 - beta2))"},
            ],
        ),
    ),
    # --- the denominator ---
    mistake(
        "root_missing",
        "The square root in the denominator is missing: v̂ averages squares, so the step would come out in "
        "the wrong unit.",
        (ADAMS, [{"theta": "KEEP - lr * m_hat / (v_hat + eps)"}]),
    ),
    mistake(
        "root_before_correction",
        "The square root is taken before the bias correction: correct v first, and take the root of v̂.",
        (
            ADAMS,
            [
                {"v_hat": "v.sqrt() / (1 - beta2**t)", "theta": "KEEP - lr * m_hat / (v_hat + eps)"},
                {"v": "(beta2 * state.v + (1 - beta2) * g**2).sqrt()", "theta": "KEEP - lr * m_hat / (v_hat + eps)"},
            ],
        ),
    ),
    mistake(
        "eps_multiplied",
        "ε multiplies √v̂, so that the step becomes enormous: the two are added.",
        (ADAMS, [{"theta": "KEEP - lr * m_hat / (v_hat.sqrt() * eps)"}]),
    ),
    mistake(
        "eps_inside_root",
        "ε stands inside the square root: here it is added outside, after the root is taken.",
        (
            ADAMS,
            [
                {"theta": "KEEP - lr * m_hat / (v_hat + eps).sqrt()"},
                {"theta": "KEEP - lr * m_hat / (v_hat + eps**2).sqrt()"},
            ],
        ),
    ),
    mistake(
        "eps_left_out",
        "ε is left out: without it the step is not defined where a gradient has always been zero.",
        (ADAMS, [{"theta": "KEEP - lr * m_hat / v_hat.sqrt()"}]),
    ),
    mistake(
        "eps_added_to_theta",
        "ε is added to θ and not to the denominator: look at the brackets.",
        (
            ADAMS,
            [
                {"theta": "KEEP - lr * m_hat / v_hat.sqrt() + eps"},
                {"theta": "KEEP - (lr * m_hat / v_hat.sqrt() + eps)"},
            ],
        ),
    ),
    mistake(
        "eps_before_correction",
        "ε is added before the bias correction, which then rescales it: here it joins the corrected √v̂.",
        (ADAMS, [{"theta": "KEEP - lr * m_hat * (1 - beta2**t) ** 0.5 / (v.sqrt() + eps)"}]),
    ),
    mistake(
        "square_forgotten",
        "v averages g and not its square: a gradient that changes sign would cancel itself.",
        (
            ADAMS,
            [
                {"v": "beta2 * state.v + (1 - beta2) * g"},
                {"v": "beta2 * state.v + (1 - beta2) * g.abs()"},
                {"v": "beta2 * state.v + (1 - beta2) * g * 2"},
            ],
        ),
    ),
    mistake(
        "weight_squared",
        "The weight 1 − β2 is squared together with g: square the gradient alone, then weigh it.",
        (ADAMS, [{"v": "beta2 * state.v + ((1 - beta2) * g) ** 2"}]),
    ),
    mistake(
        "square_of_sum",
        "v squares a sum, of coordinates or of past gradients: square each coordinate of this step's "
        "gradient first, then average over steps.",
        (
            ADAMS,
            [
                {"v": "beta2 * state.v + (1 - beta2) * g.sum() ** 2"},
                {"v": "(beta2 * state.v.sqrt() + (1 - beta2) * g) ** 2"},
                {"v": "m**2"},
                {"v": "beta2 * state.v + (1 - beta2) * m**2"},
            ],
        ),
    ),
    mistake(
        "coordinates_mixed",
        "v mixes the coordinates of g into one number: each coordinate has a second moment of its own.",
        (
            ADAMS,
            [
                {"v": "beta2 * state.v + (1 - beta2) * (g**2).sum()"},
                {"v": "beta2 * state.v + (1 - beta2) * (g**2).mean()"},
                {"v": "beta2 * state.v + (1 - beta2) * (g @ g)"},
            ],
        ),
    ),
    mistake(
        "denominator_multiplied",
        "The step is multiplied by √v̂ + ε where it should be divided: brackets, perhaps.",
        (
            ADAMS,
            [
                {"theta": "KEEP - lr * m_hat * (v_hat.sqrt() + eps)"},
                {"theta": "KEEP - lr * m_hat / v_hat.sqrt() * eps"},
            ],
        ),
    ),
    # --- the step ---
    mistake(
        "lr_missing",
        "The learning rate is missing: the step has the same length for every η.",
        (SGDW, [{"theta": "KEEP - m"}]),
        (ADAMS, [{"theta": f"KEEP - m_hat / {ROOT}"}]),
    ),
    mistake(
        "step_wrong_sign", "The gradient step has the wrong sign: it goes uphill.", (RULES, [{"theta": "KEEP + STEP"}])
    ),
    mistake(
        "theta_missing",
        "The step alone comes back: it starts from the θ that came in, and that is missing.",
        (RULES, [{"theta": "-(STEP)"}, {"theta": "STEP"}]),
    ),
    mistake(
        "gradient_missing",
        "The gradient of the loss is lost: only the penalty's is left in g.",
        (ADAM_L2, [{"g": "l2 * theta"}]),
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
        (
            ADAMS,
            [
                {"m": "(1 - beta1) * g", "v": "(1 - beta2) * g**2"},
                {"m": "(1 - beta1) * g"},
                {"v": "(1 - beta2) * g**2"},
            ],
        ),
    ),
    mistake(
        "hats_returned",
        "The state keeps the corrected moments m̂ and v̂: hand on m and v themselves, or else the next step "
        "corrects them again.",
        (ADAMS, [{"return": "theta, State(t, m_hat, v_hat)"}]),
    ),
    mistake(
        "moments_exchanged",
        "The parts of the state have changed places: their order is t, m, v.",
        (ADAMS, [{"return": "theta, State(t, v, m)"}, {"return": "theta, (m, v, t)"}]),
        (SGDW, [{"return": "theta, State(t, state.v, m)"}, {"return": "theta, (m, state.v, t)"}]),
    ),
    mistake(
        "defaults_wrong",
        "With the defaults the numbers are off: without other values β1 is 0.9, β2 0.999, and ε 1e-8.",
        (ADAMS, [{"t": "state.t + 1\nif beta1 == 0.9:\n    beta1, beta2 = 0.999, 0.9"}]),
    ),
)
