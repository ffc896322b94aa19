"""What the demo's students write: to each written question an answer that is right, half right or wrong."""

from __future__ import annotations

from collections.abc import Mapping

ANSWERS: Mapping[str, tuple[str, str, str]] = {
    "written_1a_i": (
        r"The gradient of the penalty is $\lambda_{\ell_2}\theta$, so $\theta_{t+1} = (1 - "
        r"\eta\lambda_{\ell_2})\theta_t - \eta\nabla L$ and $\lambda_w = \eta\lambda_{\ell_2}$. With another "
        r"$\eta$ the tuned $\lambda_{\ell_2}$ is off.",
        r"The gradient of the penalty is $\lambda_{\ell_2}\theta$, and SGD subtracts it. So they are the same.",
        r"$\lambda_w = \lambda_{\ell_2}$, because both shrink the weights.",
    ),
    "written_1a_ii": (
        r"The gradient loses its penalty and the last line becomes $\theta_t = (1-\lambda_w)\theta_{t-1} - "
        r"\eta m_t$. In the gradient the decay is scaled by $\eta$ and remembered in $m$. The table shows "
        r"that with momentum no $\lambda_w$ fits.",
        r"The last line becomes $\theta_t = (1-\lambda_w)\theta_{t-1} - \eta m_t$, and $g_t$ has no penalty.",
        "Nothing changes: for SGD both are equivalent, also with momentum.",
    ),
    "written_1b_i": (
        r"$v_t = (1-\beta_2)\sum_\tau \beta_2^{t-\tau} g_\tau^2$ is $(1-\beta_2)$ times the diagonal of "
        r"$G_t(\beta_2)$, so $M_t = \sqrt{(1-\beta_2^t)/(1-\beta_2)}\,\mathrm{diag}(G_t)^{-1/2}$.",
        r"$v_t = (1-\beta_2)\,\mathrm{diag}(G_t(\beta_2))$, and $M_t = \mathrm{diag}(G_t)^{-1/2}$.",
        r"$M_t = G_t(\beta_2)$, because it is the sum of the squares.",
    ),
    "written_1b_ii": (
        r"With ℓ2 the step holds $\eta\lambda_{\ell_2}M\theta$, with decay $\lambda_w\theta$. Equal **for "
        r"every** $\theta$ means $\eta\lambda_{\ell_2}M = \lambda_w I$. As $\lambda_w > 0$, $\lambda_{\ell_2} "
        r"\ne 0$ and $M$ would be a multiple of $I$.",
        r"$\eta\lambda_{\ell_2}M\theta = \lambda_w\theta$ cannot hold, as in my example with $M = "
        r"\mathrm{diag}(1, 2)$.",
        r"It fits with $\lambda_{\ell_2} = \lambda_w/\eta$.",
    ),
    "written_1b_iii": (
        r"The norm is $\theta^\top M_t^{-1}\theta$, its gradient $\lambda_{\ell_2} M_t^{-1}\theta$, and $M_t$ "
        r"in front cancels: $\lambda_w = \eta\lambda_{\ell_2}$. $M_t$ has positive entries on its diagonal. "
        "Odd: the loss changes at every step.",
        r"The gradient is $\lambda_{\ell_2}M_t^{-1}\theta$, and $M_t$ cancels.",
        "One divides the penalty by two.",
    ),
    "written_2b_i": (
        "The map of ℓ2 is a diagonal of slope about $-1.9$, that of AdamW a level band; both peak near 0.93. "
        "Loss has its valley at the same place, but is worse at its edge. With **ten times the learning "
        "rate** ℓ2 asks for a hundredth of the decay.",
        "One map is a diagonal, the other a band. The peaks are about equally high.",
        "AdamW is better, its map has more yellow.",
    ),
    "written_2b_ii": (
        "Easier: no label noise, all is higher and broader. Harder: labels at 30 % noise, peaks 0.81 and "
        "0.82, good share 0.1 and 0.2. The slopes stay, because decay and gradient balance in the same way.",
        "Harder: label noise of 30 %, both are lower. The slopes stay.",
        "On harder data AdamW wins.",
    ),
    "written_2b_iii": (
        "The best accuracies are equal within their intervals; the share of good settings is larger for "
        "AdamW, but on these ranges only. As the knobs are decoupled, one can be tuned after the other.",
        "Best accuracies are equal. AdamW has more good settings.",
        "ℓ2 cannot reach the accuracy of AdamW.",
    ),
}
RIGHT, HALF, WRONG = range(3)
COMMENTS = ("", "On the way, and a step is missing.", "Look at this again: the claim does not hold.")
SHARES = (1.0, 0.5, 0.0)  # of the points


def quality(student: int, question: int) -> int:
    """How good a student's answer is: the first are right throughout, the others differ."""
    return RIGHT if student <= 2 else (student * 7 + question * (3 + student % 4)) % 5 // 2


def answers(student: int) -> dict[str, str]:
    """What the student of this number writes, by question."""
    return {name: texts[quality(student, place)] for place, (name, texts) in enumerate(ANSWERS.items())}
