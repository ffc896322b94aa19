"""What goes wrong with the decay in update rules.

A decay is a pull on θ, a factor of it, and the place where it acts.  In its right place pull and factor
are named; in a wrong one the place is, and the factors η and 1/η, which other conventions give it there, are not.
"""

from __future__ import annotations

from autograder.assignment.answer_sources import RULES, mistake

SGDW, ADAM_L2, ADAMW = ("sgdw",), ("adam_l2",), ("adamw",)
DECOUPLED = ("sgdw", "adamw")
CORRECTED = "lr * (1 - beta2**t) ** 0.5 / (1 - beta1**t)"

FIXED = ("0.1", "0.01", "0.001", "lr * 0.1", "lr * 0.01", "lr * 0.001")

DECAY_MISTAKES = (
    mistake(
        "decay_left_out",
        "The decay has no effect: this is the rule without any, and the decay argument is never used.",
        (RULES, [{"place": "nowhere"}]),
    ),
    mistake(
        "decay_through_gradient",
        "The decay goes through the gradient: that is ℓ2 regularisation, and here the decay should be "
        "decoupled, touching neither g nor what is computed from it.",
        (ADAMW, [{"place": "g"}, {"place": "g", "factor": "1 / lr"}, {"place": "v"}]),
    ),
    mistake(
        "decay_decoupled",
        "The decay acts on θ directly: that is decoupled weight decay, and here it should be the gradient "
        "of an ℓ2 penalty, part of g before anything is done with g.",
        (ADAM_L2, [{"place": "theta"}, {"place": "theta", "factor": "lr"}, {"place": "new theta"}]),
    ),
    mistake(
        "decay_in_buffer",
        "The decay runs through the momentum buffer, so that it is remembered from step to step: m should "
        "see the gradient of the unregularised loss and nothing else.",
        (SGDW, [{"place": "g"}, {"place": "g", "factor": "1 / lr"}, {"place": "buffer"}]),
        (ADAMW, [{"place": "m"}, {"place": "buffer"}]),
    ),
    mistake(
        "decay_times_lr",
        "The decay is multiplied by the learning rate, which is the convention of PyTorch, Optax and Keras; "
        "here the decay factor is used as it stands, without η.",
        (RULES, [{"factor": "lr"}]),
        (ADAMW, [{"factor": CORRECTED}, {"factor": "lr / (1 - beta1**t)"}]),
        (DECOUPLED, [{"pull": "theta - theta / (1 + lr * DECAY)"}]),
    ),
    mistake(
        "decay_in_denominator",
        "The decay is divided by √v̂ + ε together with the gradient step: decoupled means that it is not "
        "rescaled by what the gradients have been.",
        (ADAMW, [{"place": "denominator"}, {"place": "numerator"}]),
    ),
    mistake(
        "penalty_after_moments",
        "The penalty's gradient is added only after the moments have been formed: Adam on the penalised "
        "loss sees it from its first line on, in m and in v.",
        (ADAM_L2, [{"place": "numerator"}, {"place": "denominator"}]),
    ),
    mistake(
        "penalty_in_one_moment",
        "The penalty's gradient reaches only one of the two moments: m and v are both made of the gradient "
        "of the penalised loss.",
        (ADAM_L2, [{"place": "m"}, {"place": "v"}]),
    ),
    mistake(
        "penalty_after_weight",
        "The penalty is added to m beside the weighted gradient: it is part of g, and weighted like the rest of it.",
        (ADAM_L2, [{"place": "buffer"}]),
    ),
    mistake(
        "penalty_factor",
        "The penalty's gradient is off by a factor of two: differentiate (λ_ℓ2/2)‖θ‖² once more, "
        "one coordinate at a time.",
        (ADAM_L2, [{"factor": "2.0"}, {"factor": "0.5"}]),
    ),
    mistake(
        "penalty_itself",
        "The penalty itself is added to the gradient: what a rule needs is the penalty's derivative.",
        (
            ADAM_L2,
            [{"pull": "DECAY / 2 * theta**2"}, {"pull": "DECAY / 2 * (theta**2).sum()"}, {"pull": "DECAY * theta**2"}],
        ),
    ),
    mistake(
        "decay_wrong_sign",
        "The decay has the wrong sign: it pushes θ away from zero, where it should pull θ towards zero.",
        (RULES, [{"factor": "-1.0"}]),
    ),
    mistake(
        "decay_on_new_theta",
        "The decay acts on the new θ, after the gradient step: decay and step should both start from "
        "the θ that came in.{alias}",
        (DECOUPLED, [{"place": "new theta"}]),
    ),
    mistake(
        "decay_twice",
        "The decay acts twice, once through the gradient and once on θ: one of the two belongs to the other optimizer.",
        (RULES, [{"place": "twice"}]),
        (ADAM_L2, [{"place": "twice", "factor": "lr"}]),
    ),
    mistake(
        "decay_keeps_lambda",
        "θ is multiplied by the decay factor, so that only that share is left: λ_w is the share of θ that "
        "goes, not the one that stays.",
        (DECOUPLED, [{"update": "-(step)", "factor": "-1.0"}]),
    ),
    mistake(
        "decay_subtracts_constant",
        "The decay subtracts the same number from every coordinate: weight decay removes a share of θ, "
        "more where θ is large.",
        (RULES, [{"pull": "DECAY + 0 * theta"}]),
    ),
    mistake(
        "decay_not_proportional",
        "The decay is not proportional to θ: it should pull each coordinate towards zero by the same share of itself.",
        (
            RULES,
            [
                {"pull": f"DECAY * {pull}"}
                for pull in (
                    "theta / abs(theta)",
                    "abs(theta)",
                    "(theta**2).sum() ** 0.5",
                    "theta / (theta**2).sum() ** 0.5",
                    "theta**3",
                )
            ],
        ),
        (DECOUPLED, [{"pull": f"DECAY * {pull}"} for pull in ("theta**2", "theta**2 / 2", "(theta**2).sum() / 2")]),
    ),
    mistake(
        "decay_of_gradient",
        "The decay shrinks or stretches the gradient or the step, not the weights: it is θ that should decay.",
        (RULES, [{"place": "g", "pull": "-DECAY * grad"}, {"place": "g", "pull": "DECAY * grad"}]),
        (DECOUPLED, [{"late": "-DECAY * step"}, {"late": "DECAY * step"}, {"pull": "DECAY * grad"}]),
        (DECOUPLED, [{"late": "DECAY * m"}, {"late": "lr * DECAY * grad"}, {"late": "DECAY * state.m"}]),
        (ADAMW, [{"late": "DECAY * m_hat"}]),
    ),
    mistake(
        "decay_divided_by_lr",
        "The decay is divided by the learning rate: the factor is used as it stands, without η.",
        (RULES, [{"factor": "1 / lr"}]),
    ),
    mistake(
        "decay_divides",
        "θ is divided by a number above one: close to eq. (1) when λ_w is small, but not the same.",
        (DECOUPLED, [{"pull": "theta - theta / (1 + DECAY)"}, {"pull": "theta - theta / (1 + lr * DECAY)"}]),
    ),
    mistake(
        "decay_factor_two",
        "The decay is off by a factor of two: λ_w is itself the share of θ that goes, with no half and no 2.",
        (DECOUPLED, [{"factor": "0.5"}, {"factor": "2.0"}]),
    ),
    mistake(
        "decay_scaled",
        "The decay is divided or multiplied by a fixed factor, a batch size perhaps: it is used as it stands.",
        (RULES, [{"factor": f"1 / {n}"} for n in (10, 16, 32, 50, 64, 100, 128, 256, 512, 1000)]),
        (RULES, [{"factor": "10.0"}, {"factor": "100.0"}]),
    ),
    mistake(
        "decay_fixed",
        "The decay is a fixed number: it comes in as an argument, and other values should work too.",
        (RULES, [{"update": f"(1 - {decay}) * theta - step", "place": "nowhere"} for decay in FIXED]),
        (ADAM_L2, [{"grad": f"grad + {decay} * theta", "place": "nowhere"} for decay in (0.1, 0.01, 0.001, 1e-4)]),
    ),
    mistake(
        "decay_share",
        "The decay takes a share of θ, but not the share that came in: something multiplies or divides λ_w, and "
        "nothing should.",
        (DECOUPLED, [{"factor": "lr / (1 + 0.01 * t)"}, {"factor": "lr**2"}]),
    ),
    mistake(
        "decay_by_shape",
        "The decay leaves θ undecayed when it is a vector, as some recipes do with biases: here every θ decays, "
        "whatever its shape.",
        (RULES, [{"factor": "1.0 * (len(theta.shape) > 1)"}]),
    ),
    mistake(
        "decay_changes_with_t",
        "The decay depends on the step count: each step removes the same share of θ, the first as the last.",
        (DECOUPLED, [{"pull": "theta - (1 - DECAY) ** t * theta"}, {"factor": "1 / t"}]),
        (RULES, [{"factor": "1.0 * t"}, {"factor": "1.0 * (t == 1)"}, {"factor": "1.0 * (t > 1)"}]),
    ),
    mistake(
        "decay_times_beta",
        "The decay is multiplied by β1 or 1 − β1: that is what a detour through the buffer would do to it, and it "
        "takes none.",
        (SGDW, [{"factor": "beta1"}, {"factor": "lr * beta1"}]),
        (ADAMW, [{"factor": "1 - beta1"}, {"factor": "lr * (1 - beta1)"}]),
    ),
)
