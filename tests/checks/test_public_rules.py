"""Update rules in the styles of courses, tutorials and repositories: each deviation in them is named."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adamw_pset import State
from adamw_pset.checks.run_answer import observe
from adamw_pset.checks.verdicts import judge, numbers, single

HEADS = {
    "W": "def adamw(theta, grad, state, *, lr, weight_decay, beta1=0.9, beta2=0.999, eps=1e-8):",
    "L": "def adam_l2(theta, grad, state, *, lr, l2, beta1=0.9, beta2=0.999, eps=1e-8):",
    "S": "def sgdw(theta, grad, state, *, lr, weight_decay, beta1=1.0):",
}
QUESTIONS = {"W": "adamw", "L": "adam_l2", "S": "sgdw"}
MV = "t = state.t + 1\nm = beta1*state.m + (1-beta1)*grad\nv = beta2*state.v + (1-beta2)*grad*grad\n"
HATS = "mh = m/(1-beta1**t)\nvh = v/(1-beta2**t)\n"
GL = "t = state.t + 1\ng = grad + l2*theta\nm = beta1*state.m + (1-beta1)*g\nv = beta2*state.v + (1-beta2)*g**2\n"
OUT = "\nreturn theta, State(t, m, v)"
STEP = "theta = theta - lr*mh/(vh.sqrt()+eps)"
ALPHA = "a = lr*math.sqrt(1-beta2**t)/(1-beta1**t)\n"

# question, the mistakes in it, the body
PUBLIC = [
    # frameworks' conventions
    ("W", "", MV + ALPHA + "theta = theta - weight_decay*theta - a*m/(v.sqrt()+eps*math.sqrt(1-beta2**t))" + OUT),
    ("W", "decay_times_lr", MV + HATS + "theta = theta*(1-lr*weight_decay) - lr*mh/(vh.sqrt()+eps)" + OUT),
    ("W", "decay_times_lr", MV + HATS + "theta = theta - lr*(mh/(torch.sqrt(vh)+eps) + weight_decay*theta)" + OUT),
    (
        "W",
        "decay_times_lr eps_before_correction",
        MV + ALPHA + "theta = (1-lr*weight_decay)*theta - a*m/(v.sqrt()+eps)" + OUT,
    ),
    (
        "W",
        "decay_times_lr eps_inside_root",
        MV + HATS + "theta = theta - lr*(mh/(vh+eps).sqrt() + weight_decay*theta)" + OUT,
    ),
    ("W", "decay_times_lr decay_on_new_theta", MV + HATS + STEP + "\ntheta = theta - lr*weight_decay*theta" + OUT),
    (
        "W",
        "decay_times_lr decay_on_new_theta eps_before_correction",
        MV + ALPHA + "theta = theta - a*m/(v**0.5+eps)\ntheta = theta*(1-lr*weight_decay)" + OUT,
    ),
    ("W", "decay_times_lr bias_left_out", MV + "theta = theta - lr*(m/(v.sqrt()+eps) + weight_decay*theta)" + OUT),
    (
        "W",
        "decay_times_lr bias_no_power",
        MV + "mh = m/(1-beta1)\nvh = v/(1-beta2)\ntheta = theta - lr*mh/(vh.sqrt()+eps) - lr*weight_decay*theta" + OUT,
    ),
    (
        "W",
        "decay_times_lr bias_no_power eps_inside_root",
        MV + "theta = theta*(1-lr*weight_decay) - lr*(m/(1-beta1))/torch.sqrt(v/(1-beta2)+eps)" + OUT,
    ),
    ("W", "decay_times_lr eps_fixed", MV + HATS + "theta = theta*(1-lr*weight_decay) - lr*mh/(vh.sqrt()+1e-8)" + OUT),
    (
        "W",
        "decay_times_lr eps_fixed eps_inside_root",
        MV + HATS + "theta = theta - lr*mh/torch.sqrt(vh+1e-8) - lr*weight_decay*theta" + OUT,
    ),
    (
        "W",
        "betas_fixed",
        "t = state.t+1\nm = 0.9*state.m + 0.1*grad\nv = 0.999*state.v + 0.001*grad**2\n"
        "theta = (1-weight_decay)*theta - lr*(m/(1-0.9**t))/((v/(1-0.999**t)).sqrt()+eps)" + OUT,
    ),
    (
        "W",
        "betas_fixed eps_fixed decay_times_lr",
        "t = state.t+1\nm = 0.9*state.m + 0.1*grad\nv = 0.999*state.v + 0.001*grad**2\n"
        "theta = theta - lr*((m/(1-0.9**t))/((v/(1-0.999**t)).sqrt()+1e-8) + weight_decay*theta)" + OUT,
    ),
    ("W", "decay_through_gradient", "grad = grad + weight_decay*theta\n" + MV + HATS + STEP + OUT),
    (
        "W",
        "decay_through_gradient eps_before_correction",
        "grad = grad + weight_decay*theta\n" + MV + ALPHA + "theta = theta - a*m/(v.sqrt()+eps)" + OUT,
    ),
    (
        "W",
        "decay_through_gradient bias_left_out",
        "grad = grad.add(theta, alpha=weight_decay)\n" + MV + "theta = theta - lr*m/(v.sqrt()+eps)" + OUT,
    ),
    ("W", "decay_in_denominator", MV + HATS + "theta = theta - lr*(mh + weight_decay*theta)/(vh.sqrt()+eps)" + OUT),
    ("W", "decay_left_out", MV + HATS + STEP + OUT),
    ("W", "decay_left_out eps_inside_root", MV + HATS + "theta = theta - lr*mh/(vh+eps)**0.5" + OUT),
    ("W", "decay_of_gradient", "g = grad*(1-weight_decay)\n" + MV.replace("grad", "g") + HATS + STEP + OUT),
    ("W", "decay_of_gradient", MV + HATS + "theta = theta - lr*(1-weight_decay)*mh/(vh.sqrt()+eps)" + OUT),
    (
        "W",
        "decay_by_shape",
        MV + HATS + "if theta.dim() > 1:\n    theta = (1-weight_decay)*theta - lr*mh/(vh.sqrt()+eps)\n"
        "else:\n    " + STEP + OUT,
    ),
    (
        "W",
        "decay_by_shape decay_times_lr",
        MV + HATS + "wd = lr*weight_decay if theta.ndim > 1 else 0.0\n"
        "theta = (1-wd)*theta - lr*mh/(vh.sqrt()+eps)" + OUT,
    ),
    ("W", "decay_factor_two", MV + HATS + "theta = theta - 0.5*weight_decay*theta - lr*mh/(vh.sqrt()+eps)" + OUT),
    ("W", "decay_wrong_sign", MV + HATS + "theta = (1+weight_decay)*theta - lr*mh/(vh.sqrt()+eps)" + OUT),
    (
        "W",
        "decay_twice",
        "grad = grad + weight_decay*theta\n"
        + MV
        + HATS
        + "theta = (1-weight_decay)*theta - lr*mh/(vh.sqrt()+eps)"
        + OUT,
    ),
    # bias correction
    (
        "W",
        "hats_returned",
        MV + "m = m/(1-beta1**t)\nv = v/(1-beta2**t)\ntheta = (1-weight_decay)*theta - lr*m/(v.sqrt()+eps)" + OUT,
    ),
    (
        "W",
        "hats_returned decay_times_lr",
        MV + "m = m/(1-beta1**t)\nv = v/(1-beta2**t)\ntheta = (1-lr*weight_decay)*theta - lr*m/(v.sqrt()+eps)" + OUT,
    ),
    (
        "W",
        "t_off_by_one decay_times_lr",
        MV + "mh = m/(1-beta1**(t+1))\nvh = v/(1-beta2**(t+1))\n"
        "theta = (1-lr*weight_decay)*theta - lr*mh/(vh.sqrt()+eps)" + OUT,
    ),
    (
        "W",
        "t_not_counted",
        MV.replace("state.t + 1", "max(state.t, 1)")
        + HATS
        + "theta = (1-weight_decay)*theta - lr*mh/(vh.sqrt()+eps)"
        + OUT,
    ),
    (
        "W",
        "t_counted_too_often",
        "t = state.t\nm, v = state.m.clone(), state.v.clone()\nfor i in range(theta.numel()):\n"
        "    t += 1\n" + MV.partition("\n")[2] + HATS + "theta = (1-weight_decay)*theta - lr*mh/(vh.sqrt()+eps)" + OUT,
    ),
    (
        "W",
        "bias_square",
        MV + "mh = m/(1-beta1**2)\nvh = v/(1-beta2**2)\ntheta = (1-weight_decay)*theta - lr*mh/(vh.sqrt()+eps)" + OUT,
    ),
    (
        "W",
        "bias_multiplied",
        MV + "mh = m*(1-beta1**t)\nvh = v*(1-beta2**t)\ntheta = (1-weight_decay)*theta - lr*mh/(vh.sqrt()+eps)" + OUT,
    ),
    (
        "W",
        "betas_swapped",
        MV.replace("beta1", "b").replace("beta2", "beta1").replace("b*", "beta2*").replace("-b)", "-beta2)")
        + "theta = (1-weight_decay)*theta - lr*(m/(1-beta2**t))/((v/(1-beta1**t)).sqrt()+eps)"
        + OUT,
    ),
    (
        "W",
        "bias_twice decay_times_lr",
        MV + HATS + ALPHA + "theta = theta - a*mh/(vh.sqrt()+eps) - lr*weight_decay*theta" + OUT,
    ),
    # the moments
    (
        "W",
        "heavy_ball",
        MV.replace("(1-beta1)*grad", "grad") + HATS + "theta = (1-weight_decay)*theta - lr*mh/(vh.sqrt()+eps)" + OUT,
    ),
    (
        "W",
        "momentum_of_other_algorithm",
        "t = state.t+1\nm = (1-beta1)*state.m + beta1*grad\n"
        "v = (1-beta2)*state.v + beta2*grad**2\nmh = m/(1-(1-beta1)**t)\nvh = v/(1-(1-beta2)**t)\n"
        "theta = (1-weight_decay)*theta - lr*mh/(vh.sqrt()+eps)" + OUT,
    ),
    (
        "W",
        "square_forgotten",
        MV.replace("grad*grad", "grad.abs()") + HATS + "theta = (1-weight_decay)*theta - lr*mh/(vh.sqrt()+eps)" + OUT,
    ),
    (
        "W",
        "nesterov decay_times_lr",
        MV + "mh = beta1*m/(1-beta1**t) + (1-beta1)*grad/(1-beta1**t)\nvh = v/(1-beta2**t)\n"
        "theta = (1-lr*weight_decay)*theta - lr*mh/(vh.sqrt()+eps)" + OUT,
    ),
    (
        "W",
        "state_not_returned",
        MV + HATS + "theta = (1-weight_decay)*theta - lr*mh/(vh.sqrt()+eps)\nreturn theta, State(t, state.m, state.v)",
    ),
    (
        "W",
        "moments_exchanged",
        "m, v, t = state\nt = t + 1\nm = beta1*m + (1-beta1)*grad\nv = beta2*v + (1-beta2)*grad**2\n"
        + HATS
        + "theta = (1-weight_decay)*theta - lr*mh/(vh.sqrt()+eps)\nreturn theta, (m, v, t)",
    ),
    (
        "W",
        "gradient_clipped",
        "grad = torch.clamp(grad, -1.0, 1.0)\n"
        + MV
        + HATS
        + "theta = (1-weight_decay)*theta - lr*mh/(vh.sqrt()+eps)"
        + OUT,
    ),
    (
        "W",
        "gradient_clipped decay_times_lr",
        "n = grad.norm()\nif n > 1:\n    grad = grad/n\n"
        + MV
        + HATS
        + "theta = (1-lr*weight_decay)*theta - lr*mh/(vh.sqrt()+eps)"
        + OUT,
    ),
    ("W", "eps_floor", MV + HATS + "theta = (1-weight_decay)*theta - lr*mh/torch.clamp(vh.sqrt(), min=eps)" + OUT),
    ("W", "eps_added_to_theta", MV + HATS + "theta = (1-weight_decay)*theta - lr*mh/vh.sqrt() + eps" + OUT),
    ("W", "root_missing", MV + HATS + "theta = (1-weight_decay)*theta - lr*mh/(vh+eps)" + OUT),
    # Adam with ℓ2
    ("L", "", GL + HATS + STEP + OUT),
    ("L", "eps_before_correction", GL + ALPHA + "theta = theta - a*m/(v.sqrt()+eps)" + OUT),
    ("L", "eps_inside_root bias_left_out", GL + "theta = theta - lr*m/torch.sqrt(v+eps)" + OUT),
    ("L", "penalty_factor", GL.replace("l2*theta", "2*l2*theta") + HATS + STEP + OUT),
    ("L", "penalty_factor eps_fixed", GL.replace("l2*theta", "2*l2*theta") + HATS + STEP.replace("eps", "1e-8") + OUT),
    ("L", "decay_scaled", GL.replace("l2*theta", "l2*theta/32") + HATS + STEP + OUT),
    ("L", "decay_times_lr", GL.replace("l2*theta", "lr*l2*theta") + HATS + STEP + OUT),
    ("L", "decay_decoupled", MV + HATS + "theta = theta - lr*l2*theta - lr*mh/(vh.sqrt()+eps)" + OUT),
    ("L", "decay_decoupled eps_inside_root", MV + HATS + "theta = theta*(1-lr*l2) - lr*mh/(vh+eps).sqrt()" + OUT),
    ("L", "penalty_after_moments", MV + HATS + "theta = theta - lr*(mh + l2*theta)/(vh.sqrt()+eps)" + OUT),
    ("L", "penalty_in_one_moment", GL.replace("*g**2", "*grad**2") + HATS + STEP + OUT),
    ("L", "decay_by_shape", GL.replace("l2*theta", "(l2*theta if theta.ndim > 1 else 0)") + HATS + STEP + OUT),
    ("L", "penalty_itself", GL.replace("l2*theta", "l2/2*(theta**2).sum()") + HATS + STEP + OUT),
    ("L", "bias_no_power eps_inside_root", GL + "theta = theta - lr*m/(1-beta1)/torch.sqrt(v/(1-beta2)+eps)" + OUT),
    ("L", "state_ignored", GL.replace("beta1*state.m + ", "").replace("beta2*state.v + ", "") + HATS + STEP + OUT),
    # SGD with momentum
    ("S", "", "m = state.m + beta1*(grad-state.m)\nreturn theta - lr*m - weight_decay*theta, (state.t+1, m, state.v)"),
    (
        "S",
        "heavy_ball",
        "m = (1-beta1)*state.m + grad\nreturn (1-weight_decay)*theta - lr*m, State(state.t+1, m, state.v)",
    ),
    (
        "S",
        "heavy_ball decay_times_lr",
        "m = beta1*state.m + grad\nreturn (1-lr*weight_decay)*theta - lr*m, State(state.t+1, m, state.v)",
    ),
    (
        "S",
        "heavy_ball decay_in_buffer",
        "g = grad + weight_decay*theta\nm = beta1*state.m + g\nreturn theta - lr*m, State(state.t+1, m, state.v)",
    ),
    (
        "S",
        "momentum_of_other_algorithm decay_in_buffer",
        "m = beta1*state.m + (1-beta1)*(grad+weight_decay*theta)\nreturn theta - lr*m, State(state.t+1, m, state.v)",
    ),
    (
        "S",
        "velocity_heavy_ball",
        "m = beta1*state.m - lr*grad\nreturn theta + m - weight_decay*theta, (state.t+1, m, state.v)",
    ),
    (
        "S",
        "velocity_heavy_ball decay_times_lr",
        "m = (1-beta1)*state.m - lr*grad\nreturn theta*(1-lr*weight_decay) + m, (state.t+1, m, state.v)",
    ),
    (
        "S",
        "lr_in_buffer",
        "m = (1-beta1)*state.m + lr*beta1*grad\nreturn theta*(1-weight_decay) - m, (state.t+1, m, state.v)",
    ),
    (
        "S",
        "lr_in_heavy_ball decay_in_buffer",
        "m = (1-beta1)*state.m + lr*(grad + weight_decay*theta)\nreturn theta - m, (state.t+1, m, state.v)",
    ),
    (
        "S",
        "momentum_unused decay_times_lr",
        "return theta - lr*(grad + weight_decay*theta), State(state.t+1, state.m, state.v)",
    ),
    (
        "S",
        "nesterov heavy_ball",
        "m = (1-beta1)*state.m + grad\n"
        "return (1-weight_decay)*theta - lr*((1-beta1)*m + grad), State(state.t+1, m, state.v)",
    ),
    (
        "S",
        "betas_fixed",
        "m = 0.9*state.m + 0.1*grad\nreturn (1-weight_decay)*theta - lr*m, State(state.t+1, m, state.v)",
    ),
    (
        "S",
        "t_not_counted decay_times_lr",
        "m = (1-beta1)*state.m + beta1*grad\nreturn (1-lr*weight_decay)*theta - lr*m, State(state.t, m, state.v)",
    ),
    (
        "S",
        "decay_on_new_theta",
        "m = (1-beta1)*state.m + beta1*grad\ntheta = theta - lr*m\n"
        "return theta - weight_decay*theta, State(state.t+1, m, state.v)",
    ),
]


GIVEN = f"""
def sgd(theta, grad, state, *, lr, l2=0.0, beta1=1.0):
    m = (1-beta1)*state.m + beta1*(grad + l2*theta)
    return theta - lr*m, State(state.t+1, m, state.v)

def adam(theta, grad, state, *, lr, beta1=0.9, beta2=0.999, eps=1e-8):
{textwrap.indent(MV + HATS + STEP + OUT, "    ")}
"""  # by the notebook
WHOLE = Path(__file__).with_name("public_rules.txt")


def written() -> Iterator[tuple[str, str, str]]:
    """The question, the mistakes and the code of each rule in the file."""
    for rule in WHOLE.read_text(encoding="utf-8").split("\n#= ")[1:]:
        heading, _, code = rule.partition("\n")
        question, _, expected = heading.partition(":")
        yield question, expected.strip(), code


def verdict(question: str, code: str) -> tuple[set[str], str]:
    """What is found in this code, and what is said."""
    space: dict[str, Any] = {"torch": torch, "np": np, "math": math, "State": State}
    exec(f"{GIVEN}\n{code}", space)
    worked = numbers()["questions"][question]
    found = judge(worked, observe("rule", worked["inputs"], space[question]))
    return set(single(found.mistake)), found.sentence


@pytest.mark.parametrize(("question", "expected", "body"), PUBLIC)
def test_every_deviation_is_named(question: str, expected: str, body: str) -> None:
    found, said = verdict(QUESTIONS[question], f"{HEADS[question]}\n{textwrap.indent(body, '    ')}\n")
    assert found == set(expected.split()), said


@pytest.mark.filterwarnings("ignore:.*__array_wrap__:DeprecationWarning")  # a student's numpy on tensors
@pytest.mark.parametrize(("question", "expected", "code"), list(written()))
def test_whole_rules_are_told_as_their_headings_say(question: str, expected: str, code: str) -> None:
    found, said = verdict(question, code)
    assert found == set(expected.split()), said


def test_nineteen_of_twenty_are_named() -> None:
    wrong = [expected for _, expected, _ in (*PUBLIC, *written()) if expected]
    assert len(wrong) >= 250
    assert sum(len(expected.split()) > 1 for expected in wrong) >= 140
    assert wrong.count("unknown") <= len(wrong) / 20
