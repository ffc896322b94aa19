"""What goes wrong in update rules beside the decay: momentum, bias correction, denominator, state."""

from __future__ import annotations

import itertools

from autograder.assignment.answer_sources import ADAMS, RULES, Change, mistake

SGDW, ADAM_L2 = ("sgdw",), ("adam_l2",)
AVERAGES = (("(1 - beta1)", "beta1"), ("beta1", "(1 - beta1)"))  # the weights of either algorithm
OTHER_LR = ("lr / t", "lr / t ** 0.5", "lr**2", "lr / 2", "0.001", "0.01", "0.1")
EPS_BESIDE = ("step + eps", "(step + eps)", "(step + lr * eps)")
BOUNDS = (0.1, 0.5, 1.0, 2.0, 3.0, 5.0)
AVERAGES_ALL = (*AVERAGES, ("0.9", "(1 - 0.9)"))  # or any other number, wherever it is fixed
OLD = [old for old, _ in AVERAGES_ALL]


def _both(m: str, v: str) -> list[Change]:
    """The same change in m̂, in v̂."""
    return [{"m_hat": m}, {"v_hat": v}]


RULE_MISTAKES = (
    # --- the state ---
    mistake(
        "state_not_returned",
        "An old m or v is handed on: a rule gives back θ and a State with the new t, m and v, or else the next step "
        "does not go on from this one.",
        (RULES, [{"return": "theta, state"}, {"return": "theta, State(t, state.m, state.v)"}]),
        (RULES, [{"t": "state.t + (state.t == 0)", "return": "theta, State(t, state.m, state.v)"}]),
    ),
    mistake(
        "hats_returned",
        "The state keeps the corrected moments m̂ and v̂: hand on m and v themselves, or else the next step "
        "corrects them again.",
        (ADAMS, [{"return": f"theta, State(t, {parts})"} for parts in ("m_hat, v_hat", "m_hat, v", "m, v_hat")]),
    ),
    mistake(
        "moments_exchanged",
        "The parts of the state have changed places: their order is t, m, v.",
        (ADAMS, [{"return": "theta, State(t, v, m)"}, {"return": "theta, (m, v, t)"}]),
        (SGDW, [{"return": "theta, State(t, state.v, m)"}, {"return": "theta, (m, state.v, t)"}]),
        (ADAMS, [{"t": "state.v + 1\nstate = State(state.m + 0, state.t, state.m)", "return": "theta, (m, v, t)"}]),
    ),
    mistake(
        "t_not_counted",
        "The step count t never grows: count this step before t is used, and hand the new t on in the state.",
        (RULES, [{"t": "state.t"}, {"t": "state.t + (state.t == 0)"}]),
        (ADAMS, [{"return": "theta, State(state.t, m, v)"}]),
    ),
    mistake(
        "t_reset",
        "The step count t is the same after every step: it goes on from the t of the state that came in.",
        (RULES, [{"t": "1"}, {"t": "0"}, {"t": "2"}]),
    ),
    mistake(
        "t_counted_too_often",
        "The step count t grows by more than one in a step: one call is one step, for all coordinates together.",
        (RULES, [{"t": "state.t + 2"}, {"t": "state.t + theta.reshape(-1).shape[0]"}, {"t": "state.t + len(theta)"}]),
    ),
    # --- the gradient ---
    mistake(
        "gradient_missing",
        "The gradient of the loss is lost: only the penalty's is left in g.",
        (ADAM_L2, [{"grad": "0 * grad"}]),
    ),
    mistake(
        "gradient_clipped",
        "The gradient is clipped or scaled before it is used: the rule takes the gradient itself, as it is.",
        (
            RULES,
            [
                *({"grad": f"grad.clip(-{bound}, {bound})"} for bound in BOUNDS),
                {"grad": "grad * min(1.0, 0.5 / (grad**2).sum() ** 0.5)"},  # or any other number
                {"grad": "grad / (grad**2).sum() ** 0.5"},
                {"grad": "grad / 32"},
            ],
        ),
    ),
    mistake(
        "gradient_sign",
        "Only the sign of the gradient, or of its average, is used: its size belongs in the step.",
        (RULES, [{"grad": "grad / abs(grad)"}, {"step": "lr * g / abs(g)"}, {"step": "lr * m / abs(m)"}]),
        (RULES, [{"step": "lr * g / abs(g)", "return": "theta, State(t, state.m, state.v)"}]),
    ),
    # --- momentum ---
    mistake(
        "momentum_of_other_algorithm",
        "A β stands where one minus it belongs, the momentum convention of the other algorithm: Algorithm 1 and "
        "Algorithm 3 use β1 the other way round.",
        (SGDW, [{"m": "beta1 * state.m + (1 - beta1) * g"}]),
        (
            ADAMS,
            [
                {"m": "(1 - beta1) * state.m + beta1 * g"},
                {"v": "(1 - beta2) * state.v + beta2 * g**2"},
                *_both("m / (1 - (1 - beta1) ** t)", "v / (1 - (1 - beta2) ** t)"),
            ],
        ),
    ),
    mistake(
        "heavy_ball",
        "m adds the new gradient with its full weight, as PyTorch's SGD does: here m is an average, whose "
        "two weights add up to one.",
        (SGDW, [{"m": "(1 - beta1) * state.m + g"}, {"m": "beta1 * state.m + g"}]),
        (ADAMS, [{"m": "beta1 * state.m + g"}, {"m": "(1 - beta1) * state.m + g"}]),
        (RULES, [{"m": "state.m + g"}, {"m": "0.9 * state.m + g"}]),
    ),
    mistake(
        "first_gradient_whole",
        "In the first step m or v takes in all of the gradient: its weights are the same in every step, and the zeros "
        "that it begins from count.",
        (RULES, [{"m": f"{old} * state.m + ({new} + (1 - {new}) * (state.t == 0)) * g"} for old, new in AVERAGES]),
        (ADAMS, [{"v": "beta2 * state.v + (1 - beta2 + beta2 * (state.t == 0)) * g**2"}]),
    ),
    mistake(
        "momentum_weights",
        "The two weights in m do not add up to one: m is an average of what it was and of the new gradient.",
        (RULES, [{"m": "beta1 * state.m + beta1 * g"}, {"m": "(1 - beta1) * state.m + (1 - beta1) * g"}]),
        (RULES, [{"m": f"{old} * state.m + 0.5 * g"} for old, _ in AVERAGES]),  # or any other number
        (SGDW, [{"m": "state.m + beta1 * g"}]),
        (ADAMS, [{"m": "state.m + (1 - beta1) * g"}]),
    ),
    mistake(
        "second_moment_unweighted",
        "v adds the new g² with its full weight: v is an average, whose two weights add up to one.",
        (ADAMS, [{"v": f"{old} * state.v + g**2"} for old in ("beta2", "1", "0.999")]),
    ),
    mistake(
        "momentum_unused",
        "The step uses the bare gradient: m is computed, or should be, and the step goes along it.",
        (SGDW, [{"step": "lr * g"}, {"step": "lr * g", "return": "theta, State(t, state.m, state.v)"}]),
        (ADAMS, [{"m_hat": "g"}, {"m_hat": "g / (1 - beta1**t)"}]),
        (RULES, [{"m": "g"}]),
    ),
    mistake(
        "nesterov",
        "The step mixes the new gradient once more into m, which is Nesterov's momentum: here it goes along m alone.",
        (SGDW, [{"step": f"lr * ({old} * m + {new} * g)"} for old, beta in AVERAGES for new in (beta, "1")]),
        (SGDW, [{"step": "(2 - beta1) * m - (1 - beta1) * state.m"}, {"step": "(1 + beta1) * m - beta1 * state.m"}]),
        (
            ADAMS,
            [
                {"m_hat": f"{m} + (1 - beta1) * g / (1 - beta1**t)"}
                for m in ("beta1 * m / (1 - beta1**t)", "beta1 * m / (1 - beta1 ** (t + 1))")
            ],
        ),
        (ADAMS, [{"m_hat": "(beta1 * m + g)"}, {"m_hat": "(beta1 * m + g) / (1 - beta1**t)"}]),
        (ADAMS, [{"m_hat": "m / (1 - beta1**t) + (1 - beta1) * g / (1 - beta1**t)"}]),
        (ADAMS, [{"m_hat": "beta1 * m + (1 - beta1) * g"}]),
    ),
    mistake(
        "beta_twice",
        "β1 multiplies the step as well: it has done its work once the new gradient is in m.",
        (SGDW, [{"step": "lr * beta1 * m"}]),
        (ADAMS, [{"step": "lr * (1 - beta1) * m_hat / denominator"}]),
    ),
    mistake(
        "old_moments_used",
        "The step uses the moments of the step before: first take the new gradient into m and v, then step.",
        (SGDW, [{"step": "lr * state.m"}]),
        (ADAMS, _both("state.m / (1 - beta1**t)", "state.v / (1 - beta2**t)")),
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
        (SGDW, [{"m": "(1 - beta1) * state.m + lr * beta1 * g", "step": "m"}]),
        (ADAMS, [{"m": "beta1 * state.m + lr * (1 - beta1) * g", "step": "m_hat / denominator"}]),
        (RULES, [{"m": f"{old} * state.m + lr * {new} * g"} for old, new in AVERAGES_ALL]),
    ),
    mistake(
        "lr_in_heavy_ball",
        "The buffer takes in the gradient at its full weight and with the learning rate in it: here m is an average of "
        "gradients, whose two weights add up to one, and η multiplies m afterwards.",
        (RULES, [{"m": f"{old} * state.m + lr * g"} for old in OLD]),
        (SGDW, [{"m": "(1 - beta1) * state.m + lr * g", "step": "m"}]),
        (ADAMS, [{"m": "beta1 * state.m + lr * g", "step": "m_hat / denominator"}]),
    ),
    mistake(
        "velocity",
        "The buffer is a velocity, with the learning rate and a minus sign in it: m averages gradients alone, or "
        "else a new η would reach θ only slowly.",
        (SGDW, [{"m": "(1 - beta1) * state.m - lr * beta1 * g", "update": "theta + step", "step": "m"}]),
        (
            ADAMS,
            [{"m": "beta1 * state.m - lr * (1 - beta1) * g", "update": "theta + step", "step": "m_hat / denominator"}],
        ),
        (RULES, [{"m": f"{old} * state.m - lr * {new} * g"} for old, new in AVERAGES_ALL]),
    ),
    mistake(
        "velocity_heavy_ball",
        "The buffer is a velocity, with the learning rate in it, and takes in each gradient at its full weight: m "
        "averages gradients alone, with two weights that add up to one.",
        (SGDW, [{"m": "(1 - beta1) * state.m - lr * g", "update": "theta + step", "step": "m"}]),
        (ADAMS, [{"m": "beta1 * state.m - lr * g", "update": "theta + step", "step": "m_hat / denominator"}]),
        (RULES, [{"m": f"{old} * state.m - lr * g"} for old in OLD]),
    ),
    mistake(
        "sign_in_buffer",
        "The buffer holds the gradients with the opposite sign: m is the average of the gradients themselves.",
        (SGDW, [{"m": "(1 - beta1) * state.m - beta1 * g"}]),
        (SGDW, [{"m": "(1 - beta1) * state.m - beta1 * g", "update": "theta + step"}]),
        (ADAMS, [{"m": "beta1 * state.m - (1 - beta1) * g"}]),
        (ADAMS, [{"m": "beta1 * state.m - (1 - beta1) * g", "update": "theta + step"}]),
    ),
    mistake(
        "bias_correction_added",
        "m is divided by a bias correction, and the momentum of Algorithm 1 has none.",
        (SGDW, [{"step": "lr * m / (1 - (1 - beta1)**t)"}, {"step": "lr * m / (1 - beta1**t)"}]),
    ),
    mistake(
        "betas_swapped",
        "β1 and β2 have changed places, in one line or in all: β1 belongs to m and β2 to v, in the averages "
        "and in their corrections.",
        (
            ADAMS,
            [
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
        "A β is written into the rule as a fixed number: β1 and β2 are arguments, and other values should work too.",
        (
            RULES,
            [
                {"m": f"0.9 * state.m {plus}{new}g"}
                for plus, new in itertools.product(("+ ", "+ lr * ", "- lr * "), ("(1 - 0.9) * ", ""))
            ],
        ),
        (ADAMS, [{"v": f"0.999 * state.v + {new}g**2"} for new in ("(1 - 0.999) * ", "")]),
        (ADAMS, [{"m_hat": f"m / (1 - {beta}**t)"} for beta in (0.9, 0.95)]),
        (ADAMS, [{"v_hat": f"v / (1 - {beta}**t)"} for beta in (0.999, 0.99, 0.98, 0.95, 0.9)]),
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
        (ADAMS, [{"step": "lr * (1 - beta1**t) / (1 - beta2**t) ** 0.5 * m / (v ** 0.5 + eps)"}]),
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
        (ADAMS, [{"step": "lr * (1 - beta2) ** 0.5 / (1 - beta1) * m / (v ** 0.5 + eps)"}]),
    ),
    mistake(
        "bias_twice",
        "The bias is corrected twice: a moment that has been divided by its correction needs no other.",
        (ADAMS, [{"m_hat": "m / (1 - beta1**t) ** 2"}]),
        (ADAMS, [{"step": "lr * (1 - beta2**t) ** 0.5 / (1 - beta1**t) * m_hat / denominator"}]),
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
                {"step": "lr * (1 - beta2**t) / (1 - beta1**t) * m / (v ** 0.5 + eps)"},
            ],
        ),
    ),
    mistake(
        "t_off_by_one",
        "The step count t is off by one where it is used: in the first step t is 1.",
        (ADAMS, [{"t": "state.t", "return": "theta, State(t + 1, m, v)"}]),
        (ADAMS, _both("m / (1 - beta1 ** (t - 1))", "v / (1 - beta2 ** (t - 1))")),
        (ADAMS, _both("m / (1 - beta1 ** (t + 1))", "v / (1 - beta2 ** (t + 1))")),
        (
            ("preconditioner",),
            [
                {"factor": "np.sqrt((1 - beta2 ** (t - 1)) / (1 - beta2))"},
                {"factor": "np.sqrt((1 - beta2 ** (t + 1)) / (1 - beta2))"},
            ],
        ),
    ),
    # --- the second moment ---
    mistake(
        "square_forgotten",
        "v does not average g² but another power of g: each coordinate's square is what belongs there.",
        (
            ADAMS,
            [
                {"v": f"beta2 * state.v + (1 - beta2) * {power}"}
                for power in ("g", "abs(g)", "g * 2", "g ** 0.5", "abs(g) ** 0.5", "g**3", "g**4")
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
                {"v": "(beta2 * state.v ** 0.5 + (1 - beta2) * g) ** 2"},
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
                {"v": "beta2 * state.v + (1 - beta2) * (g**2).sum() ** 0.5"},
            ],
        ),
    ),
    mistake(
        "largest_v_kept",
        "The largest v so far is kept, as in AMSGrad: here v is an average, which falls again after a large gradient.",
        (
            ADAMS,
            [
                {"v": "state.v + (g**2 - state.v).clip(0)"},
                {"v": "state.v + (1 - beta2) * (g**2 - state.v).clip(0)"},
                {"v_hat": "state.v + (v - state.v).clip(0)"},
                {"v_hat": "(state.v + (v - state.v).clip(0)) / (1 - beta2**t)"},
                {"v_hat": "state.v + (v / (1 - beta2**t) - state.v).clip(0)"},
            ],
        ),
    ),
    mistake(
        "second_moment_of_other",
        "v is what another optimizer has in its place, as AdaBelief, AdaMax or Yogi: here it averages g² with the "
        "weights β2 and 1 − β2.",
        (
            ADAMS,
            [
                {"v": "beta2 * state.v + (1 - beta2) * (g - m) ** 2"},
                {"v": "beta2 * state.v + (abs(g) - beta2 * state.v).clip(0)"},
                {"v": "state.v - (1 - beta2) * g**2 * (state.v - g**2) / abs(state.v - g**2)"},
            ],
        ),
    ),
    mistake(
        "state_ignored",
        "What the state remembers is not used: m and v go on from the m and v of the step before.",
        (SGDW, [{"m": "beta1 * g"}]),
        (ADAMS, [{"m": "(1 - beta1) * g"}, {"v": "(1 - beta2) * g**2"}, {"v": "g**2"}]),
    ),
    # --- the denominator ---
    mistake(
        "root_missing",
        "The square root in the denominator is missing: v̂ averages squares, so the step would come out in "
        "the wrong unit.",
        (ADAMS, [{"denominator": "v_hat + eps"}, {"denominator": "v_hat"}]),
    ),
    mistake(
        "root_before_correction",
        "√v is divided by the whole correction, not by its root: correct v once, and then take the root of v̂.",
        (ADAMS, [{"denominator": "v ** 0.5 / (1 - beta2**t) + eps"}]),
    ),
    mistake(
        "root_in_v",
        "v is handed on as its own square root: v averages squares, and the root is taken of v̂ alone.",
        (ADAMS, [{"v": "(beta2 * state.v + (1 - beta2) * g**2) ** 0.5", "denominator": "v_hat + eps"}]),
        (ADAMS, [{"v": "(beta2 * state.v + (1 - beta2) * g**2) ** 0.5"}]),
    ),
    mistake(
        "eps_multiplied",
        "ε multiplies √v̂, so that the step becomes enormous: the two are added.",
        (ADAMS, [{"denominator": "v_hat ** 0.5 * eps"}]),
    ),
    mistake(
        "eps_inside_root",
        "ε stands inside the square root: here it is added outside, after the root is taken.",
        (ADAMS, [{"denominator": "(v_hat + eps) ** 0.5"}, {"denominator": "(v_hat + eps**2) ** 0.5"}]),
        (ADAMS, [{"v": "beta2 * state.v + (1 - beta2) * g**2 + eps", "denominator": "v_hat ** 0.5"}]),
        (ADAMS, [{"v": "beta2 * state.v + (1 - beta2) * g**2 + eps"}]),
        (ADAMS, [{"v": "beta2 * state.v + (1 - beta2) * (g**2 + eps)", "denominator": "v_hat ** 0.5"}]),
        (ADAMS, [{"v": "beta2 * state.v + (1 - beta2) * (g**2 + eps)"}]),
    ),
    mistake(
        "eps_fixed",
        "ε is written into the rule as a fixed number: it is an argument, and other values should work too.",
        (ADAMS, [{"eps": eps} for eps in ("1e-8", "1e-7", "1e-6", "1e-5", "1e-3", "1e-9", "1e-10", "1e-12")]),
    ),
    mistake(
        "eps_left_out",
        "The ε that comes in has no effect: it is left out, or a fixed number stands in its place. Without any, the "
        "step is not defined where a gradient has always been zero.",
        (ADAMS, [{"denominator": "v_hat ** 0.5"}, {"denominator": "v_hat"}]),
    ),
    mistake(
        "eps_floor",
        "ε is a lower bound of the denominator: here it is added to √v̂.",
        (ADAMS, [{"denominator": "v_hat ** 0.5 + (eps - v_hat ** 0.5) * (v_hat ** 0.5 < eps)"}]),
        (ADAMS, [{"denominator": "(v_hat + (eps - v_hat) * (v_hat < eps)) ** 0.5"}]),
    ),
    mistake(
        "eps_added_to_theta",
        "ε is added to θ, or beside the fraction, and not to the denominator: look at the brackets.",
        (ADAMS, [{"update": f"theta - {step}"} for step in EPS_BESIDE]),
        (ADAMS, [{"update": f"theta - {step}", "denominator": "v_hat ** 0.5"} for step in EPS_BESIDE]),
    ),
    mistake(
        "eps_before_correction",
        "ε is added before the bias correction, which then rescales it: here it joins the corrected √v̂.",
        (
            ADAMS,
            [
                {"denominator": "(v ** 0.5 + eps) / (1 - beta2**t) ** 0.5"},
                {"denominator": "((v + eps) / (1 - beta2**t)) ** 0.5"},
            ],
        ),
    ),
    mistake(
        "denominator_multiplied",
        "The step is multiplied by √v̂ + ε where it should be divided: brackets, perhaps.",
        (ADAMS, [{"step": "lr * m_hat * denominator"}, {"step": "lr * m_hat / v_hat ** 0.5 * eps"}]),
    ),
    mistake(
        "not_divided",
        "The step is not divided by √v̂ + ε: that division is what makes this Adam.",
        (ADAMS, [{"step": "lr * m_hat"}]),
    ),
    # --- the step ---
    mistake(
        "lr_missing",
        "The learning rate is missing: the step has the same length for every η.",
        (SGDW, [{"step": "m"}]),
        (ADAMS, [{"step": "m_hat / denominator"}]),
    ),
    mistake(
        "lr_changed",
        "The learning rate is not used as it comes in: the step is η times the direction, at every t.",
        (SGDW, [{"step": f"{lr} * m"} for lr in OTHER_LR]),
        (ADAMS, [{"step": f"{lr} * m_hat / denominator"} for lr in OTHER_LR]),
    ),
    mistake(
        "step_clipped",
        "The step is clipped: what it is divided by bounds it well enough, and it is taken as it comes out.",
        (ADAMS, [{"theta": "KEEP - (STEP).clip(-lr, lr)"}]),
    ),
    mistake(
        "step_scaled",
        "The step goes the right way and is too long or too short, by one factor for all coordinates: look at what η "
        "is multiplied by.",
        (SGDW, [{"step": "lr / (1 + 0.01 * t) * m"}]),
        (ADAMS, [{"step": "lr / (1 + 0.01 * t) * m_hat / denominator"}]),
    ),
    mistake(
        "step_wrong_sign",
        "The gradient step has the wrong sign: it goes uphill.",
        (RULES, [{"update": "theta + step"}]),
    ),
    mistake(
        "theta_missing",
        "The step alone comes back: it starts from the θ that came in, and that is missing.",
        (RULES, [{"update": "-(step)", "place": "nowhere"}, {"update": "step", "place": "nowhere"}]),
        (RULES, [{"update": "step", "factor": "-1.0"}]),
    ),
    mistake("step_missing", "θ takes no step: nothing of the gradient reaches it.", (RULES, [{"update": "theta"}])),
    # --- how a rule is called ---
    mistake(
        "defaults_wrong",
        "With the defaults the numbers are off: without other values β1 is 0.9, β2 0.999, and ε 1e-8.",
        (ADAMS, [{"t": "state.t + 1\nif beta1 == 0.9:\n    beta1, beta2 = 0.999, 0.9"}]),
        (ADAMS, [{"t": "state.t + 1\nif eps == 1e-8:\n    eps = 1e-6"}]),
    ),
    mistake(
        "default_beta1_wrong",
        "Without a value for β1 the numbers are off: the default is 1, which means no momentum.",
        (SGDW, [{"t": "state.t + 1\nif beta1 == 1:\n    beta1 = 0.9"}]),
    ),
)
