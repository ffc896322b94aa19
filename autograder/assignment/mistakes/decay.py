"""What goes wrong with the decay in update rules."""

from __future__ import annotations

from autograder.assignment.answer_sources import mistake

SGDW, ADAM_L2, ADAMW = ("sgdw",), ("adam_l2",), ("adamw",)
DECOUPLED = ("sgdw", "adamw")
PULLS = ("theta.sign()", "theta.abs()", "theta.norm()", "theta / theta.norm()", "theta**3")

DECAY_MISTAKES = (
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
        (
            ADAMW,
            [
                {"g": "grad + weight_decay * theta", "theta": "theta - STEP"},
                {"g": "grad + weight_decay / lr * theta", "theta": "theta - STEP"},
            ],
        ),
    ),
    mistake(
        "decay_decoupled",
        "The decay acts on θ directly: that is decoupled weight decay, and here it should be the gradient "
        "of an ℓ2 penalty, part of g before anything is done with g.",
        (
            ADAM_L2,
            [{"g": "grad", "theta": "(1 - l2) * theta - STEP"}, {"g": "grad", "theta": "(1 - lr * l2) * theta - STEP"}],
        ),
    ),
    mistake(
        "decay_in_buffer",
        "The decay runs through the momentum buffer, so that it is remembered from step to step: m should "
        "see the gradient of the unregularised loss and nothing else.",
        (
            SGDW,
            [
                {"g": "grad + weight_decay * theta", "theta": "theta - STEP"},
                {"g": "grad + weight_decay / lr * theta", "theta": "theta - STEP"},
                {"m": "(1 - beta1) * state.m + beta1 * g + weight_decay * theta", "theta": "theta - STEP"},
            ],
        ),
        (
            ADAMW,
            [
                {"m": "beta1 * state.m + (1 - beta1) * (g + weight_decay * theta)", "theta": "theta - STEP"},
                {"m": "beta1 * state.m + (1 - beta1) * g + weight_decay * theta", "theta": "theta - STEP"},
            ],
        ),
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
        (
            ADAMW,
            [
                {"theta": "theta - (lr * m_hat + weight_decay * theta) / (v_hat.sqrt() + eps)"},
                {"theta": "theta - lr * (m_hat + weight_decay * theta) / (v_hat.sqrt() + eps)"},
            ],
        ),
    ),
    mistake(
        "penalty_after_moments",
        "The penalty's gradient is added only after the moments have been formed: Adam on the penalised "
        "loss sees it from its first line on, in m and in v.",
        (
            ADAM_L2,
            [
                {"g": "grad", "m_hat": "m / (1 - beta1**t) + l2 * theta"},
                {"g": "grad", "theta": "theta - STEP - lr * l2 * theta / (v_hat.sqrt() + eps)\nm = m + l2 * theta"},
            ],
        ),
    ),
    mistake(
        "penalty_in_one_moment",
        "The penalty's gradient reaches only one of the two moments: m and v are both made of the gradient "
        "of the penalised loss.",
        (ADAM_L2, [{"v": "beta2 * state.v + (1 - beta2) * grad**2"}, {"m": "beta1 * state.m + (1 - beta1) * grad"}]),
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
        (
            ADAM_L2,
            [
                {"g": "grad + l2 / 2 * theta**2"},
                {"g": "grad + l2 / 2 * (theta**2).sum()"},
                {"g": "grad + l2 * theta**2"},
            ],
        ),
    ),
    mistake(
        "decay_wrong_sign",
        "The decay has the wrong sign: it pushes θ away from zero, where it should pull θ towards zero.",
        (
            DECOUPLED,
            [{"theta": "(1 + weight_decay) * theta - STEP"}, {"theta": "(1 + lr * weight_decay) * theta - STEP"}],
        ),
        (ADAM_L2, [{"g": "grad - l2 * theta"}]),
    ),
    mistake(
        "decay_on_new_theta",
        "The decay acts on the new θ, after the gradient step: decay and step should both start from "
        "the θ that came in.",
        (
            DECOUPLED,
            [
                {"theta": "theta - STEP\ntheta = (1 - weight_decay) * theta"},
                {"theta": "theta - STEP\ntheta = (1 - lr * weight_decay) * theta"},
            ],
        ),
    ),
    mistake(
        "decay_twice",
        "The decay acts twice, once through the gradient and once on θ: one of the two belongs to the other optimizer.",
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
    mistake(
        "decay_not_proportional",
        "The decay is not proportional to θ: it should pull each coordinate towards zero by the same share of itself.",
        (DECOUPLED, [{"theta": f"theta - STEP - weight_decay * {pull}"} for pull in PULLS]),
        (ADAM_L2, [{"g": f"grad + l2 * {pull}"} for pull in PULLS]),
    ),
    mistake(
        "decay_of_gradient",
        "The decay shrinks or stretches the gradient or the step, not the weights: it is θ that should decay.",
        (
            DECOUPLED,
            [
                {"theta": "theta - (1 - weight_decay) * STEP"},
                {"theta": "theta - (1 + weight_decay) * STEP"},
                {"theta": "theta - STEP - weight_decay * grad"},
            ],
        ),
        (SGDW, [{"theta": "theta - STEP - weight_decay * m"}]),
        (ADAMW, [{"theta": "theta - STEP - weight_decay * m_hat"}]),
        (ADAM_L2, [{"g": "(1 - l2) * grad"}, {"g": "(1 + l2) * grad"}]),
    ),
    mistake(
        "decay_divided_by_lr",
        "The decay is divided by the learning rate: the factor is used as it stands, without η.",
        (DECOUPLED, [{"theta": "(1 - weight_decay / lr) * theta - STEP"}]),
        (ADAM_L2, [{"g": "grad + l2 / lr * theta"}]),
    ),
    mistake(
        "decay_divides",
        "θ is divided by a number above one: close to eq. (1) when λ_w is small, but not the same.",
        (DECOUPLED, [{"theta": "theta / (1 + weight_decay) - STEP"}, {"theta": "(theta - STEP) / (1 + weight_decay)"}]),
    ),
    mistake(
        "decay_factor_two",
        "The decay is off by a factor of two: λ_w is itself the share of θ that goes, with no half and no 2.",
        (
            DECOUPLED,
            [{"theta": "(1 - weight_decay / 2) * theta - STEP"}, {"theta": "(1 - 2 * weight_decay) * theta - STEP"}],
        ),
    ),
    mistake(
        "decay_changes_with_t",
        "The decay depends on the step count: each step removes the same share of θ, the first as the last.",
        (
            DECOUPLED,
            [
                {"theta": "(1 - weight_decay) ** t * theta - STEP"},
                {"theta": "(1 - weight_decay * t) * theta - STEP"},
                {"theta": "(1 - weight_decay * (t == 1)) * theta - STEP"},
                {"theta": "(1 - weight_decay / t) * theta - STEP"},
            ],
        ),
        (ADAM_L2, [{"g": "grad + l2 * t * theta"}, {"g": "grad + l2 * (t == 1) * theta"}]),
    ),
    mistake(
        "decay_times_beta",
        "The decay is multiplied by β1: that is what the detour through the buffer did to it, and SGDW's "
        "decay does not take it.",
        (
            SGDW,
            [
                {"theta": "(1 - beta1 * weight_decay) * theta - STEP"},
                {"theta": "(1 - lr * beta1 * weight_decay) * theta - STEP"},
            ],
        ),
    ),
)
