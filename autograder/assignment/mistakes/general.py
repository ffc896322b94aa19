"""What goes wrong in any answer: how it is called, what it returns, what it leaves behind."""

from __future__ import annotations

from adamw_pset.rule import CONTRACT
from autograder.assignment.answer_sources import ADAMS, CODE, FUNCTIONS, RULES, TABLES, mistake

SGDW, ADAM_L2, ADAMW = ("sgdw",), ("adam_l2",), ("adamw",)


def _contract(mistake: str) -> str:
    """What is said of a rule everywhere, in the symbols of the problem set."""
    return CONTRACT[mistake].replace("theta", "θ")


GENERAL_MISTAKES = (
    mistake(
        "constant",
        "The answer is the same whatever goes in: it is returned as it was, or is a fixed number.",
        (RULES, [{"theta": "theta", "return": "theta, state"}, {"theta": "0 * theta"}, {"return": "theta * 0, state"}]),
        (("weight_decay_factor",), [{"factor": "0.01"}, {"factor": "0.0"}]),
        (("preconditioner",), [{"M": "np.eye(grads.shape[1])"}, {"M": "np.zeros_like(G)"}]),
        (("scaled_penalty_gradient",), [{"gradient": "np.zeros_like(theta)"}]),
        (("good_fraction",), [{"return": "0.0"}, {"return": "1.0"}]),
        (("best_accuracy",), [{"return": "0.0"}, {"return": "1.0"}]),
    ),
    mistake(
        "changed_in_place",
        "{what} is changed in place, and whoever called still needs the old values: work on new ones "
        "(x = x − y, not x −= y).",
        (
            SGDW,
            [{"theta": "theta.mul_(1 - weight_decay).sub_(lr * m)"}, {"m": "state.m.mul_(1 - beta1).add_(beta1 * g)"}],
        ),
        (ADAM_L2, [{"g": "grad.add_(l2 * theta)"}, {"theta": "theta.sub_(STEP)"}]),
        (
            ADAMW,
            [
                {"theta": "theta.mul_(1 - weight_decay).sub_(STEP)"},
                {"v": "state.v.mul_(beta2).add_((1 - beta2) * g**2)"},
            ],
        ),
    ),
    mistake(
        "table_changed",
        "The table that came in is changed, by a new column, other values or rows that are gone: whoever called still "
        "needs it as it was, so work on table.copy().",
        (TABLES, [{"runs": "table.groupby(['lr', 'decay'])\ntable['good'] = 1"}]),
    ),
    mistake(
        "not_repeatable",
        "Called twice with the same arguments, the rule gives two different results: it remembers something "
        "outside the state.",
        (
            RULES,
            [{"t": "state.t + 1\nglobals()['calls'] = globals().get('calls', 0) + 1", "m": "calls * (state.m + g)"}],
        ),
        (SGDW, [{"m": "globals()['kept'] = (1 - beta1) * globals().get('kept', state.m) + beta1 * g\nm = kept"}]),
    ),
    mistake(
        "not_theta_and_state",
        f"A rule {_contract('not_theta_and_state')}.",
        (RULES, [{"return": "theta"}, {"return": "theta, t, m, state.v"}, {"return": "{'theta': theta}"}]),
        (RULES, [{"return": "None"}]),
    ),
    mistake("state_first", f"A rule {_contract('state_first')}.", (RULES, [{"return": "State(t, m, state.v), theta"}])),
    mistake(
        "state_assigned",
        "A State cannot be changed: make a new one for the next step.{where}",
        (RULES, [{"t": "state.t + 1\nstate.t = t"}, {"m": "0\nstate.m += grad"}]),
    ),
    mistake(
        "caret",
        "In Python a power is written **, and ^ is something else.{where}",
        (ADAMS, [{"m_hat": "m / (1 - beta1 ^ t)"}, {"v": "beta2 * state.v + (1 - beta2) * (g ^ 2)"}]),
        (("preconditioner",), [{"factor": "np.sqrt((1 - beta2 ^ t) / (1 - beta2))"}]),
    ),
    mistake(
        "state_incomplete",
        f"A rule {_contract('state_incomplete')}.",
        (RULES, [{"return": "theta, (t, m)"}, {"return": "theta, State(t, None, state.v)"}, {"return": "theta, m"}]),
    ),
    mistake(
        "not_a_tensor",
        f"A rule {_contract('not_a_tensor')}: wrap it in torch.as_tensor.",
        (
            RULES,
            [{"return": "theta.numpy(), State(t, m, state.v)"}, {"return": "float(theta.sum()), State(t, m, state.v)"}],
        ),
    ),
    mistake(
        "wrong_shape",
        f"A rule {_contract('wrong_shape')}: each coordinate is updated on its own.",
        (
            RULES,
            [{"theta": "(KEEP - STEP).sum()"}, {"theta": "(KEEP - STEP).unsqueeze(0)"}, {"theta": "(KEEP - STEP)[:1]"}],
        ),
    ),
    mistake(
        "wrong_dtype",
        f"A rule {_contract('wrong_dtype')}.",
        (
            RULES,
            [{"theta": "(KEEP - STEP).double()"}, {"theta": "(KEEP - STEP).int()"}, {"theta": "(KEEP - STEP).half()"}],
        ),
    ),
    mistake("exception", "Your code stopped with {error}{where}", (CODE, [{"return": "undefined_name"}])),
    mistake(
        "returned_none",
        "Nothing came back: is the return line missing?",
        ((*FUNCTIONS, "counterexample"), [{"return": "None"}]),
    ),
    mistake("not_numbers", "Numbers should come back, and this is {got}.", (FUNCTIONS, [{"return": "'0.9'"}])),
    mistake(
        "off_limits",
        "{error}.{anew}",
        (RULES, [{"return": "torch.optim.SGD([torch.nn.Parameter(theta)], lr=lr)"}]),
        (("best_accuracy",), [{"return": "__import__('adamw_pset').tuning_card(table)"}]),
    ),
    mistake(
        "numpy_arguments",
        "The arguments here are numpy arrays, which torch's functions and methods do not take: use numpy's, or "
        "torch.as_tensor(...) first. Your code stopped with {error}{where}",
        (("preconditioner",), [{"M": "torch.diag(np.diag(G))"}]),
        (("scaled_penalty_gradient",), [{"gradient": "l2 * theta.unsqueeze(0)"}]),
    ),
    mistake(
        "raise_left",
        "A raise NotImplementedError still stands above the answer, and nothing below it runs: delete it.{where}",
        (RULES, [{"t": "state.t + 1\nraise NotImplementedError"}]),
    ),
    mistake(
        "a_class",
        "This is a class, and a function is asked for: write def, with (theta, grad, state, *, lr, ...) for a rule; "
        "what is to be remembered goes into the state that it returns.",
    ),
    mistake("argument_name", "An argument is called by its name: call it {pairs}."),
    mistake("not_a_function", "A function is asked for, and this is {got}."),
    mistake("wrong_signature", "The function takes {got} and cannot be called as asked: {error}."),
    mistake("open", "This question is still open."),
    # --- seen by the grader alone ---
    mistake(
        "timed_out",
        "It takes too long: a right answer needs a fraction of a second. Is there a loop without an end in "
        "it, or the training of a network?",
    ),
    mistake("out_of_memory", "It needs more memory than it may have, and a right answer needs next to none."),
    mistake("crashed", "The process that ran it came to an end: {how}."),
)
