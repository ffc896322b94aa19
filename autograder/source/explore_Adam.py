# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Why AdamW exists
#
# `torch.optim.Adam` and `torch.optim.AdamW` both have an argument `weight_decay`, and it does not mean
# the same in both. In Adam it adds the gradient of an ℓ2 penalty, which Adam then rescales. In AdamW it
# shrinks the weights directly. Is that a detail?
#
# You will find out in three moves:
#
# 1. **On paper.** For SGD the two are one and the same. For adaptive methods they cannot be.
# 2. **In code.** You write Adam with ℓ2 regularisation, and AdamW: one line apart, at different places.
# 3. **On a map.** You train a few hundred small networks with *your* two rules, and see what that line
#    does to the search for good hyperparameters.
#
# It takes one or two evenings. Each exercise says what a right result looks like, how hard it is
# (★ to ★★★), how long it may take and what it is worth. Hints are folded: open one, think, and open the
# next only if you need it. After each function comes a cell with `check`: it says *right*, or names the
# mistake. Run the cells from top to bottom. The exercises add up to 255 minutes, the optional parts not counted.
#
# **When a check fails**, *Run All Cells* stops there, and what it says stands under that cell (look for `check(…)` with a
# message below it). To go on past an open question, click the cell after it and choose *Run → Run Selected Cell and All Below*.

# %% [markdown] tags=["instructor"]
# **For the instructor.** Cells such as this one stand in the commentary alone, and model answers and rubrics do not
# reach the student. Points stand in `autograder/points.toml`. Written answers ask for a derivation or for the reading of a student's own
# maps, so they are graded by hand; the functions beside them are graded automatically. Neither
# presupposes the other: a wrong function next to a right derivation loses the function's points only.
#
# **What students get wrong on paper, and what helps.** `check` names what is wrong in code; in office hours it is these.
#
# - *1(a)(i): "so weight decay and ℓ2 are the same."* Ask for λ_w in numbers at η = 0.1 and at η = 0.01, with the same λ_ℓ2.
# - *1(a)(ii): the penalty is taken out of g and put into m*, or the decay keeps its η. Ask which lines a change of η or β1 touches:
#   it should be none that holds λ_w. Whoever claims that the two are equivalent with momentum can run both for two steps.
# - *1(b)(i): the sum begins with α^t, or (1−β2) is forgotten.* Let them write v_1 and v_2 out, and compare with G_1 and G_2.
# - *1(b)(ii): one θ is checked*, and for an eigenvector of M a λ fits. Point at "for every θ", and ask for two θ that need different λ.
# - *1(b)(iii): M^{−1/2}θ is differentiated as if M were a number.* Have the norm written as θᵀM^{−1}θ first; then say what changes from
#   step to step.
# - *2(a): the paper's AdamW "is" PyTorch's.* Set η to a tenth in both and compare the decay of one step.
# - *2(b): the highest accuracy is taken for the finding.* Both peaks are about equally high. Cover the colours, and ask along which
#   line one would walk to stay in the good region.

# %% folded=true
# Installs the package if it is not there: in Colab from the zip file that came with this notebook, else from its folder.
import importlib.util
import subprocess
import sys
from pathlib import Path

if not importlib.util.find_spec("adamw_pset"):
    home = str(next(Path().glob("*.zip"), "."))
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", home], check=True)

from itertools import count
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from adamw_pset import (
    State,
    TableError,
    card_table,
    check,
    curves,
    describe,
    heatmaps,
    kindly,
    log_grid,
    make_data,
    open_map,
    open_questions,
    playground,
    reveal_slopes,
    reveal_turns,
    self_test,
    show,
    side_by_side,
    summary,
    sweep,
    tuning_card,
)

for name, unwritten in open_questions().items():
    globals().setdefault(name, unwritten)  # so that check can say: still open

self_test()

# %% [markdown]
# ## Symbols and conventions
#
# | symbol | code | meaning |
# | --- | --- | --- |
# | $\theta$ | `theta` | parameters, of any shape |
# | $g$ | `grad` | gradient of the **unregularised** loss at $\theta_{t-1}$ |
# | $\eta$ | `lr` | learning rate |
# | $\lambda_{\ell_2}$ | `l2` | penalty factor: adds $\frac{\lambda_{\ell_2}}{2}\lVert\theta\rVert^2$ to the loss |
# | $\lambda_w$ | `weight_decay` | decay factor: the fraction of $\theta$ that a step removes; **not** multiplied by $\eta$ |
# | $\beta_1, \beta_2, \varepsilon$ | `beta1`, `beta2`, `eps` | momentum factor, second-moment factor, small constant |
# | $t, m, v$ | `state.t`, `state.m`, `state.v` | step count, first moment, second moment |
# | $M_t, G_t(\alpha)$ | `M`, `G` | preconditioner; decayed sum of outer products of gradients |
#
# Five conventions. If you know PyTorch, you will trip over at least one of them.
#
# 1. **Decay.** $\lambda_w$ is used as it stands. PyTorch, Optax, Keras and timm multiply theirs by the learning
#    rate, $\lambda_w = \eta\,\lambda_{\text{torch}}$, so our AdamW is `torch.optim.AdamW(lr=η, weight_decay=λ_w/η)`.
# 2. **Momentum.** Algorithm 1 below writes $m \leftarrow (1-\beta_1)m + \beta_1 g$, and there $\beta_1 = 1$ means *no* momentum.
#    Algorithm 3 (Adam) writes $m \leftarrow \beta_1 m + (1-\beta_1)g$. Both are kept as they were published. PyTorch's SGD
#    writes $b \leftarrow \mu b + g$; with $\mu = 1-\beta_1$ and $\eta_{\text{torch}} = \eta\beta_1$ it is our Algorithm 1.
# 3. **$\varepsilon$** stands outside the square root, after bias correction.
# 4. **Order.** Decay and update both act on $\theta_{t-1}$.
# 5. **Schedules.** A schedule $s_t$ multiplies $\eta$ and the decoupled $\lambda_w$. It does not multiply $\lambda_{\ell_2}$.
#
# An update rule is a plain function, `rule(theta, grad, state, *, lr, ...)`. It returns the new
# `(theta, state)` and changes nothing in place. `State(t, m, v)` is a named tuple, and
# `State.zeros(theta)` is the state before the first step.

# %% [markdown]
# # Question 1: on paper, with numbers
#
# Three equations to start from:
#
# $$\text{(1) weight decay:}\quad \theta_{t+1} = (1-\lambda_w)\,\theta_t - \eta\nabla L(\theta_t)$$
#
# $$\text{(2) ℓ2 regularisation:}\quad L_{\text{reg}}(\theta) = L(\theta) + \tfrac{\lambda_{\ell_2}}{2}\lVert\theta\rVert^2
# \qquad\qquad \text{(3) SGD:}\quad \theta_{t+1} = \theta_t - \eta\nabla L(\theta_t)$$

# %% [markdown]
# ## 1(a)(i) SGD does not care
#
# ★☆☆ · 15 minutes · {{points written_1a_i}} points for the derivation, {{points weight_decay_factor}} for the function
#
# **Goal.** Show that SGD, eq. (3), on the regularised loss, eq. (2), takes exactly the steps of weight
# decay, eq. (1), on the plain loss. Which $\lambda_w$ makes them equal? What happens to a well-tuned $\lambda_{\ell_2}$ when you
# change $\eta$?
#
# **A right result** is a chain of equalities from eq. (3) on $L_{\text{reg}}$ to eq. (1) on $L$, from which
# $\lambda_w$ can be read off, and a sentence on $\eta$.
#
# <details><summary>Hint 1</summary>
#
# Put $L_{\text{reg}}$ in the place of $L$ in eq. (3). Nothing else happens.
# </details>
# <details><summary>Hint 2</summary>
#
# What is the gradient of $\frac12\lVert\theta\rVert^2$? Then collect everything that multiplies $\theta_t$.
# </details>
#
# Test your formula first:


# %% question="weight_decay_factor"
def weight_decay_factor(l2, lr):
    """The λ_w with which weight decay takes the steps of SGD on the ℓ2-regularised loss."""
    ### BEGIN SOLUTION
    factor = lr * l2
    return factor
    ### END SOLUTION


# %% check="weight_decay_factor"
check("weight_decay_factor", weight_decay_factor)

# %% [markdown] leads_to="written_1a_i"
# Now write the derivation into the next cell (double-click it; `$...$` makes formulas).

# %% [markdown] written="written_1a_i"
# **Model answer.** The gradient of the regularised loss is ∇L_reg(θ) = ∇L(θ) + λ_ℓ2 θ, because the gradient
# of ½‖θ‖² is θ. SGD on it:
#
# θ_{t+1} = θ_t − η(∇L(θ_t) + λ_ℓ2 θ_t) = (1 − ηλ_ℓ2)θ_t − η∇L(θ_t).
#
# This is eq. (1) with **λ_w = η·λ_ℓ2**, at every step and for every θ. The two knobs are coupled: the decay
# that acts is a product, so with a new η the old λ_ℓ2 decays by another amount, and has to be tuned again.
#
# **Rubric.** Gradient of the penalty, factor ½ handled: {{share written_1a_i 2/6}}. Substitution into eq. (3) and
# terms in θ_t collected: {{share written_1a_i 2/6}}. λ_w = ηλ_ℓ2 stated: {{share written_1a_i 1/6}}. A new η asks for
# a new λ_ℓ2: {{share written_1a_i 1/6}}.

# %% [markdown]
# ## 1(a)(ii) SGDW: decay past the momentum
#
# ★★☆ · 25 minutes · {{points written_1a_ii}} points for the explanation, {{points sgdw}} for the function
#
# **Algorithm 1, SGD with momentum on the ℓ2-regularised loss**
#
# $$\begin{aligned}
# g_t &\leftarrow \nabla L_{\text{reg}}(\theta_{t-1}) = \nabla L(\theta_{t-1}) + \lambda_{\ell_2}\theta_{t-1} \\
# m_t &\leftarrow (1-\beta_1)\,m_{t-1} + \beta_1 g_t \\
# \theta_t &\leftarrow \theta_{t-1} - \eta\, m_t
# \end{aligned}$$
#
# and here it is as an update rule:


# %%
def sgd(theta, grad, state, *, lr, l2=0.0, beta1=1.0):
    """Algorithm 1: SGD with momentum; grad is the gradient of the unregularised loss."""
    t = state.t + 1
    g = grad + l2 * theta
    m = (1 - beta1) * state.m + beta1 * g
    theta = theta - lr * m
    return theta, State(t, m, state.v)


# %% [markdown]
# **Goal.** Change it into **SGDW**: momentum stays, and the decay passes through neither the learning rate
# nor the momentum buffer. In words: which lines change, and why must the decay leave the gradient?
#
# **A right result** moves the decay, and leaves the rest as it is. With `weight_decay=0` it is Algorithm 1 with
# `l2=0`.
#
# <details><summary>Hint 1</summary>
#
# Follow $\lambda_{\ell_2}$ through Algorithm 1. Into which quantities does it leak, and which of them is remembered until
# the next step?
# </details>
# <details><summary>Hint 2</summary>
#
# Eq. (1) says where the decay belongs. Put $m_t$ where it has the gradient.
# </details>


# %% question="sgdw"
def sgdw(theta, grad, state, *, lr, weight_decay, beta1=1.0):
    """SGD with momentum and decoupled weight decay."""
    ### BEGIN SOLUTION
    t = state.t + 1
    g = grad
    m = (1 - beta1) * state.m + beta1 * g
    theta = (1 - weight_decay) * theta - lr * m
    return theta, State(t, m, state.v)
    ### END SOLUTION


# %% check="sgdw"
check("sgdw", sgdw)

# %% [markdown]
# **Equal, or nearly?** One often reads that ℓ2 and weight decay are equivalent for SGD "even with momentum".
# Look at the numbers before you believe it. The next cell runs Algorithm 1 with ℓ2 and your SGDW on the same
# small problem, and prints how far apart they are after each step.


# %% folded=true
# Algorithm 1 and your SGDW side by side: how far apart they are after each step.
def trajectory(rule, steps=4, **hyper):
    """θ_1 … θ_steps from θ_0 = (2, 1) on L(θ) = ½(θ_1 − 1)² + 2(θ_2 + 1)², a bowl."""
    theta = torch.tensor([2.0, 1.0], dtype=torch.float64)
    state, path = State.zeros(theta), []
    for _ in range(steps):
        grad = torch.tensor([1.0, 4.0]) * (theta - torch.tensor([1.0, -1.0]))
        theta, state = rule(theta, grad, state, **hyper)
        path.append(theta)
    return torch.stack(path)


def gap(beta1, factor):
    """Between ℓ2 and weight decay, after each step; λ_w is ``factor`` times that of (i)."""
    weight_decay = factor * weight_decay_factor(l2=0.5, lr=0.1)
    penalised = trajectory(sgd, lr=0.1, l2=0.5, beta1=beta1)
    decayed = trajectory(sgdw, lr=0.1, weight_decay=weight_decay, beta1=beta1)
    return [f"{distance:.1e}" for distance in (penalised - decayed).norm(dim=1)]


with kindly():  # one line, and no traceback, if something is amiss
    gaps = {
        ("no momentum (β1 = 1)", "λ_w = that of (i)"): gap(1.0, 1.0),
        ("momentum (β1 = 0.2)", "λ_w = that of (i)"): gap(0.2, 1.0),
        ("momentum (β1 = 0.2)", "λ_w = half of it"): gap(0.2, 0.5),
        ("momentum (β1 = 0.2)", "λ_w = β1 times it"): gap(0.2, 0.2),
    }
pd.DataFrame(gaps, index=[f"after step {t}" for t in range(1, 5)]).T

# %% [markdown]
# - Without momentum ($\beta_1 = 1$) the gap is zero up to rounding: the identity of (i) is **exact**.
# - With momentum, the first step leaves you no choice: it agrees only for $\beta_1$ times the $\lambda_w$ of (i). And with just this
#   $\lambda_w$ the two part at the **second** step, because the penalty's gradient of step 1 is still in the buffer,
#   while the decay of step 1 is gone. So **no $\lambda_w$** keeps them together.
#
# "Equivalent even with momentum" is an approximation. It is a good one where $\theta$ changes little over the buffer's
# memory of about $1/\beta_1$ steps: then what a step puts into the buffer comes out again, piece by piece, over the next steps,
# the pieces add up to the whole, and the $\lambda_w$ of (i) is about right.

# %% [markdown] leads_to="written_1a_ii"
# **In words** (the next cell): which lines change, why the decay must leave the gradient and the buffer, and what the
# numbers above say about momentum.

# %% [markdown] written="written_1a_ii"
# **Model answer.** Two lines change. The gradient loses its penalty, g_t ← ∇L(θ_{t−1}), the buffer stays
# m_t ← (1−β1)m_{t−1} + β1 g_t, and the last line becomes **θ_t ← (1−λ_w)θ_{t−1} − η m_t**.
#
# In Algorithm 1 the term λ_ℓ2 θ_{t−1} enters g_t, so it is multiplied by β1 and by η, and it is remembered in m:
# old weights go on being subtracted in later steps. In SGDW each step removes exactly the fraction λ_w of the
# current θ_{t−1}, whatever η and β1 are. The exact identity of (i) holds for β1 = 1 only. With momentum the two agree in
# step 1 only for λ_w = ηβ1λ_ℓ2 and then part in step 2 by η(1−β1)β1λ_ℓ2 θ_0.
#
# **Rubric.** The changed lines: {{share written_1a_ii 2/4}}. Why the decay must leave gradient and
# buffer (scaled by η, remembered): {{share written_1a_ii 1/4}}. Says that with momentum the two are not
# identical, with a reason or numbers: {{share written_1a_ii 1/4}}.

# %% [markdown]
# ## 1(b)(i) Adaptive methods: the preconditioner
#
# ★★☆ · 25 minutes · {{points written_1b_i}} points for the derivation, {{points preconditioner}} for the function
#
# **Algorithm 2, RMSProp with bias correction**
#
# $$\begin{aligned}
# v_t &\leftarrow \beta_2 v_{t-1} + (1-\beta_2)\,g_t^2 \qquad\text{(element by element)} \\
# \hat v_t &\leftarrow v_t / (1-\beta_2^t) \\
# \theta_t &\leftarrow \theta_{t-1} - \eta\, g_t / (\sqrt{\hat v_t} + \varepsilon)
# \end{aligned}$$
#
# is one of many adaptive methods. They share a form: a matrix $M_t$, made from the gradients so far, multiplies the
# gradient.
#
# $$\text{(4)}\quad \theta_t \leftarrow \theta_{t-1} - \eta M_t g_t
# \qquad\qquad \text{(5)}\quad G_t(\alpha) = \sum_{\tau=1}^{t} \alpha^{t-\tau} g_\tau g_\tau^\top$$
#
# **Goal.** With $v_0 = 0$ and $\varepsilon = 0$, write the $M_t$ of Algorithm 2 with $G_t$ and $\beta_2$ alone. In code, the rows of `grads`
# are $g_1 \dots g_t$.
#
# **A right result** is a diagonal matrix. For t = 1 it is $\operatorname{diag}(1/|g_1|)$: bias correction makes the first step a step
# of the signs.
#
# <details><summary>Hint 1</summary>
#
# Unroll the recursion of $v_t$ until only $g_1 \dots g_t$ are left. Which sum is it?
# </details>
# <details><summary>Hint 2</summary>
#
# The diagonal of $g g^\top$ is $g^2$, element by element. Which $G_t(\alpha)$ has $v_t$ on its diagonal, and what stands
# in front?
# </details>
# <details><summary>Hint 3</summary>
#
# $M_t$ has $1/\sqrt{\hat v_t}$ on its diagonal. In numpy, `np.diag` takes the diagonal of a matrix, and makes a matrix of
# a diagonal.
# </details>


# %% question="preconditioner"
def preconditioner(grads, beta2):
    """M_t of Algorithm 2 (v_0 = 0, ε = 0), shape (n, n), from g_1 … g_t as rows, shape (t, n)."""
    grads = np.asarray(grads, dtype=float)
    ### BEGIN SOLUTION
    t = len(grads)
    G = sum(beta2 ** (t - k) * np.outer(g, g) for k, g in enumerate(grads, 1))
    factor = np.sqrt((1 - beta2**t) / (1 - beta2))
    M = factor * np.diag(np.diag(G) ** -0.5)
    return M
    ### END SOLUTION


# %% check="preconditioner"
check("preconditioner", preconditioner)

# %% [markdown]
# Other members of the family have another $M_t$, which is why eq. (5) leaves $\alpha$ open. AdaGrad forgets nothing, $\alpha = 1$:
# $M_t = \operatorname{diag}(\operatorname{diag}(G_t(1)))^{-1/2}$. Its full-matrix form keeps what stands beside the diagonal,
# $M_t = G_t(1)^{-1/2}$, and so do full-matrix methods with $\alpha < 1$ (Agarwal et al., in the list at the end). None of them is $kI$.

# %% [markdown] leads_to="written_1b_i"
# **The derivation** goes into the next cell: from $v_t$ to $G_t(\beta_2)$, then the bias correction.

# %% [markdown] written="written_1b_i"
# **Model answer.** Unrolled, v_t = (1−β2) Σ_τ β2^{t−τ} g_τ². The diagonal of g_τ g_τᵀ is g_τ², so
# v_t = (1−β2) · diag(G_t(β2)). Then v̂_t = (1−β2)/(1−β2^t) · diag(G_t(β2)), and Algorithm 2 with ε = 0 divides by √v̂_t:
#
# **M_t = √((1−β2^t)/(1−β2)) · diag(diag(G_t(β2)))^{−1/2}**
#
# (the inner diag takes the diagonal, the outer one makes a matrix of it).
#
# **Rubric.** v_t as a sum: {{share written_1b_i 2/6}}. Recognised as (1−β2)·diag G_t(β2):
# {{share written_1b_i 2/6}}. Bias correction and root, factor right side up: {{share written_1b_i 2/6}}.

# %% [markdown]
# ## 1(b)(ii) No penalty factor can do it
#
# ★★★ · 30 minutes · {{points written_1b_ii}} points for the proof, {{points counterexample}} for the example
#
# **Goal.** Prove: if $M_t \ne kI$ for every number k, then no $\lambda_{\ell_2}$ makes the adaptive method, eq. (4), on $L_{\text{reg}}$ take
# the steps of weight decay, $\theta_t \leftarrow (1-\lambda_w)\theta_{t-1} - \eta M_t g_t$, for any $\lambda_w > 0$. Before you do, find an example: a symmetric
# positive definite M and two vectors $\theta_a$ and $\theta_b$ for which no single pair $(\lambda_{\ell_2}, \lambda_w)$ works.
#
# **A right result**: any valid example is right, and two dimensions are enough. The proof ends with a condition on $M_t$.
# (In it, $M_t$ is a given matrix, the same in both methods.)
#
# <details><summary>Hint 1</summary>
#
# Write both updates with everything that multiplies $\theta$ collected. What do they have in common?
# </details>
# <details><summary>Hint 2</summary>Two matrices that give the same product with <em>every</em> vector are equal.</details>
# <details><summary>Hint 3</summary>
#
# For the example: along which directions does a diagonal $M$ act as a plain number? Take two with different numbers.
# </details>


# %% question="counterexample"
def counterexample():
    """(M, theta_a, theta_b): a matrix and two vectors, as numpy arrays."""
    ### BEGIN SOLUTION
    M = np.diag([1.0, 2.0])
    theta_a = np.array([1.0, 0.0])
    theta_b = np.array([0.0, 1.0])
    return M, theta_a, theta_b
    ### END SOLUTION


# %% check="counterexample"
check("counterexample", counterexample)

# %% [markdown] leads_to="written_1b_ii"
# **The proof** goes into the next cell.

# %% [markdown] written="written_1b_ii"
# **Model answer.** Eq. (4) on the regularised loss: θ_t = θ_{t−1} − ηM_t(g_t + λ_ℓ2 θ_{t−1}) = (I − ηλ_ℓ2 M_t)θ_{t−1} − ηM_t g_t.
# Weight decay: θ_t = (1−λ_w)θ_{t−1} − ηM_t g_t. The last terms are equal, so the two agree for every θ_{t−1} if and
# only if ηλ_ℓ2 M_t θ = λ_w θ for every θ, that is ηλ_ℓ2 M_t = λ_w I. As λ_w > 0, ηλ_ℓ2 is not zero, and
# M_t = λ_w/(ηλ_ℓ2) · I. This contradicts M_t ≠ kI.
#
# Example: M = diag(1, 2), θ_a = (1, 0), θ_b = (0, 1) need λ_w = ηλ_ℓ2 and λ_w = 2ηλ_ℓ2.
#
# **Rubric.** Both updates, terms in θ collected: {{share written_1b_ii 3/8}}. "For every θ" turned into an equality of
# matrices: {{share written_1b_ii 3/8}}. Contradiction, the case λ_ℓ2 = 0 excluded: {{share written_1b_ii 2/8}}. An example
# alone, without a proof: at most {{share written_1b_ii 2/8}}.

# %% [markdown]
# ## 1(b)(iii) The penalty that would do it
#
# ★★★ · 30 minutes · {{points written_1b_iii}} points for the proof, {{points scaled_penalty_gradient}} for the function
#
# **Goal.** Take $M_t$ symmetric and positive definite, and change the penalty to
#
# $$\text{(6)}\quad \tfrac{\lambda_{\ell_2}}{2}\,\bigl\lVert M_t^{-1/2}\theta \bigr\rVert^2$$
#
# Show that eq. (4) on this loss is weight decay again, and give $\lambda_w$. Say why the $M_t$ of (i) may be taken as positive
# definite. And what is odd about a loss with this penalty?
#
# **A right result**: $\lambda_w$ looks familiar. In code, you return the penalty's gradient, and `M @` that gradient is a multiple
# of `theta`.
#
# <details><summary>Hint 1</summary>
#
# $\lVert A\theta\rVert^2 = \theta^\top A^\top A\,\theta$. What is $A^\top A$ here?
# </details>
# <details><summary>Hint 2</summary>
#
# The gradient of $\frac12\theta^\top B\theta$ is $B\theta$ if $B$ is symmetric. Then let $M_t$ act on it.
# </details>
# <details><summary>Hint 3</summary>
#
# $M$ need not be diagonal in the check. `np.linalg.solve(M, theta)` is $M^{-1}\theta$.
# </details>


# %% question="scaled_penalty_gradient"
def scaled_penalty_gradient(theta, M, l2):
    """Gradient of eq. (6) with respect to theta, shape (n,)."""
    ### BEGIN SOLUTION
    gradient = l2 * np.linalg.solve(M, theta)
    return gradient
    ### END SOLUTION


# %% check="scaled_penalty_gradient"
check("scaled_penalty_gradient", scaled_penalty_gradient)

# %% [markdown] leads_to="written_1b_iii"
# **The proof** goes into the next cell, and a sentence each on why $M_t$ is positive definite and on what is odd.

# %% [markdown] written="written_1b_iii"
# **Model answer.** As M_t is symmetric positive definite, M_t^{−1/2} exists and is symmetric, and
# ‖M_t^{−1/2}θ‖² = θᵀM_t^{−1}θ. The penalty's gradient is λ_ℓ2 M_t^{−1}θ. Eq. (4):
# θ_t = θ_{t−1} − ηM_t(g_t + λ_ℓ2 M_t^{−1}θ_{t−1}) = (1 − ηλ_ℓ2)θ_{t−1} − ηM_t g_t, weight decay with
# **λ_w = ηλ_ℓ2**, as for SGD.
#
# The M_t of (i) is diagonal, so symmetric, and its entries 1/√v̂_t are positive and finite as soon as every coordinate has
# had a gradient that is not zero. The penalty depends on M_t, so the loss changes at every step: the method does not
# minimise any one function. Large past gradients mean a small entry of M_t, and so a *stronger* penalty on that weight: the
# reverse of what Adam does to plain ℓ2.
#
# **Rubric.** The norm as θᵀM_t^{−1}θ and its gradient: {{share written_1b_iii 3/8}}. Through M_t to λ_w = ηλ_ℓ2:
# {{share written_1b_iii 2/8}}. Why M_t is positive definite: {{share written_1b_iii 2/8}}. The loss changes at every
# step: {{share written_1b_iii 1/8}}.

# %% [markdown]
# # Question 2: in code
#
# ## 2(a) Adam with ℓ2, and AdamW
#
# ★★☆ · 30 minutes · {{points adam_l2}} + {{points adamw}} points
#
# **Algorithm 3, Adam**
#
# $$\begin{aligned}
# t &\leftarrow t + 1 \\
# g_t &\leftarrow \nabla L(\theta_{t-1}) \\
# m_t &\leftarrow \beta_1 m_{t-1} + (1-\beta_1)\,g_t \\
# v_t &\leftarrow \beta_2 v_{t-1} + (1-\beta_2)\,g_t^2 \\
# \hat m_t &\leftarrow m_t / (1-\beta_1^t) \\
# \hat v_t &\leftarrow v_t / (1-\beta_2^t) \\
# \theta_t &\leftarrow \theta_{t-1} - \eta\, \hat m_t / (\sqrt{\hat v_t} + \varepsilon)
# \end{aligned}$$
#
# and the same lines in code:


# %%
def adam(theta, grad, state, *, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """Algorithm 3: Adam, no decay."""
    t = state.t + 1
    g = grad
    m = beta1 * state.m + (1 - beta1) * g
    v = beta2 * state.v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    theta = theta - lr * m_hat / (v_hat.sqrt() + eps)
    return theta, State(t, m, v)


# %% [markdown]
# Question 1(b) was about Algorithm 2, which has no momentum. Adam adds momentum and its bias correction. You have seen
# that momentum turns an exact identity into an approximate one, and it is plausible that it does no more than that here: a
# weight with large past gradients is decayed less by ℓ2-Adam, with or without momentum. This is an **argument from
# plausibility**, not a proof; the maps below are the test.
#
# **Goal.** Write
#
# - `adam_l2`: Adam on the ℓ2-regularised loss. `grad` is the gradient of the *unregularised* loss, so the penalty's part is
#   yours to add.
# - `adamw`: Adam with decoupled weight decay, $\lambda_w$ as in eq. (1).
#
# **A right result** has the lines of `adam` with one of them changed, a different one in each. With no decay both *are* Adam.
#
# <details><summary>Hint 1</summary>Which line of Algorithm 3 first sees the loss? That is where a penalty enters.</details>
# <details><summary>Hint 2</summary>For AdamW look again at what you did in SGDW: the same line, and the same place in it.</details>
# <details><summary>Hint 3</summary>If check speaks of the learning rate, read convention 1 above once more.</details>


# %% question="adam_l2"
def adam_l2(theta, grad, state, *, lr, l2, beta1=0.9, beta2=0.999, eps=1e-8):
    """Adam on the ℓ2-regularised loss."""
    ### BEGIN SOLUTION
    t = state.t + 1
    g = grad + l2 * theta
    m = beta1 * state.m + (1 - beta1) * g
    v = beta2 * state.v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    theta = theta - lr * m_hat / (v_hat.sqrt() + eps)
    return theta, State(t, m, v)
    ### END SOLUTION


# %% check="adam_l2"
check("adam_l2", adam_l2)


# %% question="adamw"
def adamw(theta, grad, state, *, lr, weight_decay, beta1=0.9, beta2=0.999, eps=1e-8):
    """Adam with decoupled weight decay; weight_decay is not multiplied by lr."""
    ### BEGIN SOLUTION
    t = state.t + 1
    g = grad
    m = beta1 * state.m + (1 - beta1) * g
    v = beta2 * state.v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    theta = (1 - weight_decay) * theta - lr * m_hat / (v_hat.sqrt() + eps)
    return theta, State(t, m, v)
    ### END SOLUTION


# %% check="adamw"
check("adamw", adamw)

# %% [markdown]
# ### Optional: a playground
#
# Watch your two rules walk down a valley, for a learning rate and a decay that you set with two sliders. The cross is the
# minimum of the loss, the ring the origin, to which decay pulls.
#
# <details><summary>What to try</summary>
# A large decay with a small learning rate, then the same decay with ten times the learning rate. Which of the two rules still
# ends at about the same place? (Where there are no sliders, nine pictures show three learning rates and three decays.)
# </details>

# %% folded=true
# Two sliders, and the paths of your two rules.
with kindly():
    valley = playground(adam_l2, adamw)
valley

# %% [markdown]
# ## 2(b) The heat maps
#
# Now train the same small network at every point of a grid: 9 learning rates × 9 decays, 2 seeds, so 162 networks for
# each of your rules. A seed fixes the data, the initial weights and the batches, and they are the same for both rules.
#
# - **Data** (`make_data`): 10 classes in 40 dimensions, five Gaussian clusters each, 2,048 training points. A part
#   of the training labels is redrawn at random, so there is something to overfit; validation labels are clean.
# - **Network**: two hidden layers of 64, with a normalisation after every weight matrix, as in most networks of today.
#   So the *length* of a weight matrix does not change what the network computes. Only its direction does.
# - **Training**: 20 epochs, batches of 64, cosine schedule.

# %% [markdown]
# ### First, a prediction
#
# 5 minutes, not graded, and worth doing: a guess that you have written down is one that you learn from.
#
# Both axes of the maps are logarithmic. Take the best decay at each learning rate, and join them by a line. What is its
# **slope**, for each of your rules? Slope 0: the best decay does not depend on $\eta$. Slope −1: ten times the learning rate wants
# a tenth of the decay. Slope +1: ten times the decay. Replace each `...` by a number.

# %%
prediction = {"adam_l2": ..., "adamw": ...}

# %%
# The size of the experiment, in one place.
POINTS = 9  # learning rates, and decays
SIZE = {"seeds": 2, "epochs": 20}

LRS = log_grid(1e-3, 1e0, POINTS)
DECAYS = {"adam_l2": log_grid(1e-5, 1e1, POINTS), "adamw": log_grid(1e-3, 1e0, POINTS)}


def medium(seed):
    """The data of the maps, anew for each seed."""
    return make_data("medium", seed=seed)


def explore(rule, name="medium", **knobs):
    """Sweep a rule over its grid; finished runs are kept in the folder runs, and not trained twice.

    ``name`` is a difficulty (easy, medium, hard) or a name of your own; ``knobs`` go to make_data.
    """
    level = name if name in ("easy", "medium", "hard") else "medium"

    def task(seed):
        return make_data(level, seed=seed, **knobs)

    with kindly():
        grid = DECAYS.get(kind := getattr(rule, "__name__", ""))
        if grid is None:
            raise ValueError(f"give it adam_l2 or adamw, not {kind or rule!r}")
        for number in count(1):  # another rule, or other knobs: another file
            file = Path("runs") / f"{kind}_{name}_{number}.csv"
            try:
                return sweep(rule, LRS, grid, task, save=file, **SIZE)
            except TableError:
                continue


# %% [markdown]
# On two cores the next cell takes about half a minute.

# %%
table_l2 = explore(adam_l2)
table_w = explore(adamw)
with kindly():
    show(heatmaps(table_l2, table_w), f"{describe(table_l2)} {describe(table_w)}")

# %% [markdown]
# The same accuracy maps in words:

# %%
with kindly():
    for table in (table_l2, table_w):
        print(fill(describe(table), 88), end="\n\n")

# %% [markdown] attach="expected_maps.png"
# <details><summary>What to expect (open it after you have looked)</summary>
#
# ![Two heat maps of validation accuracy over learning rate and decay. Left, Adam with ℓ2: the good region is a diagonal
# stripe that falls from upper left to lower right. Right, AdamW: it is a horizontal band.](attachment:expected_maps.png)
#
# This is the same grid, with the same two seeds. If your rules are right, your maps are these, up to the
# small differences that rounding grows into during training. On a finer grid, 13 × 13
# with five seeds, the slopes were −1.92 [−2.12, −1.71] and 0.00 [−0.03, 0.03], and the best accuracies 0.934 and 0.942 (in brackets:
# 95 % intervals over seeds).
# </details>

# %% [markdown]
# ### Reveal: your prediction and the measurement
#
# The orange line has the slope that you predicted; the dashed one is fitted to the best decays, and the white one is the contour
# at accuracy 90 %. Two seeds are too few for an
# interval: with other seeds, or on another processor, expect your slopes to move by a tenth or two.

# %% folded=true
# Your slopes and the measured ones, over the accuracy maps.
with kindly():
    reveal_slopes({"adam_l2": table_l2, "adamw": table_w}, prediction)

# %% [markdown]
# ### Why
#
# 20 minutes, no points. Behind a normalisation only the *direction* of a weight matrix matters. So what a step does is to **turn**
# the matrix by an angle, and the sweep has measured it: column `turn`, in degrees a step, the mean over the matrices and the middle
# of training.
#
# **Predict first.** Suppose that in the good region turn $\propto \eta^a \lambda^b$. What are $a$ and $b$ for AdamW? Ten times the
# learning rate makes a step ten times as long; but what does it do to the length of the weights, once growth and decay balance? And
# then for Adam with ℓ2, where the decay passes through Adam's division? Replace each `...` by a number. (The derivation is the
# optional "law of slopes" below; a guess will do.)

# %%
prediction_of_turn = {"adamw": {"a": ..., "b": ...}, "adam_l2": {"a": ..., "b": ...}}

# %% folded=true
# Your powers and the measured ones, and lines of equal turn over the accuracy maps.
with kindly():
    reveal_turns({"adam_l2": table_l2, "adamw": table_w}, prediction_of_turn)

# %% [markdown]
# <details><summary>What to see (open it after you have looked)</summary>
#
# The lines of equal turn run along the ridge of both maps, and the good region lies between half and twice the turn of the best
# settings. And this turn is **the same for both rules**: 7.3 [6.7, 7.9] degrees a step for Adam with ℓ2 and
# 7.5 [6.5, 8.4] for AdamW (13 × 13 grid, five seeds). That is the whole lesson: there is a best turn. With AdamW the decay
# alone sets it (a = 0.00, b = 0.62), so learning rate and decay can be tuned one after the other. With ℓ2-Adam
# learning rate and decay set it together (a = 0.52, b = 0.26), so they cannot.
#
# Theory says 0 and 1/2 for AdamW, 2/3 and 1/3 for ℓ2-Adam. It assumes that a step removes little of the weights; here the best one
# removes a third, so b comes out higher for AdamW, and a and b lower for ℓ2-Adam, in proportion: −a/b = −2.00, and the map
# says −1.92 [−2.12, −1.71].
# </details>

# %% [markdown]
# ### Open a point of the map
#
# Each point of a map is a training run. Choose one with the sliders, and see its curves beside those of the best setting: accuracy
# and loss (validation solid, training with its noisy labels dashed), the turn of each step, and the length of the weights. Why is
# that corner dark? Put `adam_l2` and `table_l2` in the place of `adamw` and `table_w` for the other map.


# %% folded=true
# Two sliders, and the curves of the setting that they choose.
def follow(settings):
    """Train AdamW at a few settings once more, with their history."""
    return curves(adamw, settings, medium(0), epochs=SIZE["epochs"])


with kindly():
    opened = open_map(table_w, follow)
opened

# %% [markdown] tags=["instructor"]
# **Where the slopes come from.** Behind a normalisation the loss depends on θ/‖θ‖ only. So the gradient is orthogonal to θ
# and scales with 1/‖θ‖, and what counts is how far a step *turns* θ: the effective learning rate η_eff. Let u be the update
# without decay. As it is about orthogonal to θ, a step adds ‖u‖² to ‖θ‖², and decay removes about 2λ_w‖θ‖². In equilibrium
# they balance; write γ for the size of the gradient on the unit sphere, so ‖g‖ = γ/‖θ‖.
#
# | rule | growth of ‖θ‖² a step | removed a step | equilibrium | η_eff (turn a step) | slope |
# | --- | --- | --- | --- | --- | --- |
# | SGD + ℓ2 | η²γ²/‖θ‖² | 2ηλ_ℓ2‖θ‖² | ‖θ‖⁴ ∝ η/λ_ℓ2 | ηγ/‖θ‖² ∝ (ηλ_ℓ2)^{1/2} | −1 |
# | SGDW | η²γ²/‖θ‖² | 2λ_w‖θ‖² | ‖θ‖⁴ ∝ η²/λ_w | ηγ/‖θ‖² ∝ λ_w^{1/2} | 0 |
# | Adam + ℓ2 | ∝ η² | ∝ ηλ_ℓ2‖θ‖²·‖θ‖/γ | ‖θ‖³ ∝ η/λ_ℓ2 | η/‖θ‖ ∝ (η²λ_ℓ2)^{1/3} | −2 |
# | AdamW, eq. (1) | ∝ η² | 2λ_w‖θ‖² | ‖θ‖² ∝ η²/λ_w | η/‖θ‖ ∝ λ_w^{1/2} | 0 |
# | AdamW, PyTorch's λ | ∝ η² | 2ηλ‖θ‖² | ‖θ‖² ∝ η/λ | η/‖θ‖ ∝ (ηλ)^{1/2} | −1 |
#
# Adam's update has a size of about η a coordinate whatever the gradient, and Adam divides the penalty's gradient by
# √v̂ ≈ γ/‖θ‖ like any other: that is the additional factor ‖θ‖/γ, and the only difference between the third row and
# the last. A line of constant η_eff has the slope of the last column. Kosson, Messmer and Jaggi
# (arXiv 2305.17212) treat this balance with care.
#
# **Measured.** `sweep` records the turn of each run, the angle by which a step turns a weight matrix, and the card fits
# turn ∝ η^a λ^b over the settings within 2 points of the best (13 × 13 grids, five seeds):
#
# | rule | a, b in theory | a, b measured | −a/b | slope of the good region |
# | --- | --- | --- | --- | --- |
# | SGD + ℓ2 | 1/2, 1/2 | 0.50 [0.49, 0.51], 0.50 [0.50, 0.51] | −1.00 [−1.01, −0.99] | −0.99 [−1.02, −0.96] |
# | SGDW | 0, 1/2 | 0.00 [0.00, 0.00], 0.51 [0.49, 0.52] | 0.00 [0.00, 0.00] | 0.00 [−0.01, 0.02] |
# | Adam + ℓ2 | 2/3, 1/3 | 0.52 [0.51, 0.53], 0.26 [0.25, 0.27] | −2.00 [−2.04, −1.97] | −1.92 [−2.12, −1.71] |
# | AdamW, eq. (1) | 0, 1/2 | 0.00 [0.00, 0.00], 0.62 [0.60, 0.63] | 0.00 [−0.01, 0.00] | 0.00 [−0.03, 0.03] |
# | AdamW, PyTorch's λ | 1/2, 1/2 | 0.63 [0.61, 0.66], 0.63 [0.61, 0.66] | −1.00 [−1.01, −1.00] | −0.99 [−1.01, −0.97] |
#
# So the map's slope is that of the lines of equal turn, and the best settings of the two Adams turn the weights equally far:
# 7.3 [6.7, 7.9] degrees a step with ℓ2 and 7.5 [6.5, 8.4] with AdamW. *Where theory and measurement part:* theory
# takes a decay that removes little of the weights in a step, and for the SGDs a and b are as it says. The best decay of the Adams
# removes about a third, so b is above 1/2 for AdamW, and a and b are below 2/3 and 1/3 for ℓ2-Adam, in proportion: the lines of equal
# turn keep the slope −2. Farther from the best, where a step turns the weights by 20 degrees and more, the lines bend, and the
# slope of the good region is told no better than to two tenths: hence −1.9 and not −2. In a plain network the length of the weights
# matters too, and the good region does not follow the turn: there −a/b is −2.7 and −1.1, and the slopes are those below.
#
# **Our regime, and practice.** Weights learned with AdamW average over their last 1/λ_w steps. Our best setting averages over
# 0.08 [0.07, 0.10] epochs (the card's `best_timescale`); practice averages over one epoch and more, up to a good part of the training
# (Wang and Aitchison, arXiv 2405.13698). The task is small and its labels are noisy, so forgetting fast pays.
#
# **When decoupling helps, and when not.** It makes the two knobs independent where decay acts through η_eff, with a network
# that is normalised throughout. In a plain network the length of the weights matters, decay acts as a true
# regulariser, and the picture turns round: the best λ_ℓ2 hardly moves with η (slope −0.16 [−0.22, −0.10]), and the
# paper's λ_w has to move with it (+0.98 [0.95, 1.02]). With so little label noise that nothing overfits, decay does not
# matter at all. In the equilibrium of AdamW it is η_eff that is tuned by λ_w, and η sets how fast the equilibrium is reached and
# how large the weights are: and the band begins at any η whose 20 epochs get there, here already at 10^-3.

# %% [markdown]
# ### 2(b) i. Read the maps
#
# ★★☆ · 20 minutes · {{points written_2b_i}} points
#
# **Goal.** What is alike and what differs (1) between the two accuracy maps, (2) between the two loss maps? Is the setting of
# the best loss also that of the best accuracy? Refer to *your* maps, with numbers.
#
# **A right result** speaks of shape (where the good region lies and how it runs), of height (the best value) and of
# breadth (how much of the map is good), and says what the shape means for someone who has just changed $\eta$.
#
# <details><summary>Hint 1</summary>Cover all but one column of a map: where is the best decay? Now the next column.</details>
# <details><summary>Hint 2</summary>Accuracy counts right answers; loss also punishes wrong answers that were given with confidence.
# The training labels are noisy: how confident should a network be?</details>

# %% [markdown] leads_to="written_2b_i"
# **Your reading** goes into the next cell.

# %% [markdown] written="written_2b_i"
# **Model answer.** *Alike:* the best accuracies are close (about 0.94 and 0.95 on this grid of 9 × 9 with two seeds), and both maps have one
# connected good region which falls off on either side: too little decay overfits the noisy labels, too much stops
# the network from learning. *Different:* for ℓ2-Adam the region is a diagonal of slope about −2, so ten times η asks for
# a hundred times less λ_ℓ2; for AdamW it is a horizontal band of slope about 0. A larger share of AdamW's grid
# reaches 90 %. The loss maps show the same two shapes. Their best settings need not be those of the best accuracy: loss also
# depends on confidence. (Numbers are the student's own; accept any reading that agrees with the maps handed in.)
#
# **Rubric.** Shape of both accuracy maps, with slope or an equivalent: {{share written_2b_i 3/8}}. Best values and breadth
# compared, with numbers: {{share written_2b_i 2/8}}. Loss maps, and loss against accuracy: {{share written_2b_i 2/8}}.
# Consequence for retuning after a change of η: {{share written_2b_i 1/8}}.

# %% [markdown]
# ### 2(b) ii. Harder and easier data
#
# ★★☆ · 45 minutes, of which about two are waiting · {{points written_2b_ii}} points
#
# **Goal.** Turn the difficulty both ways, and report how the maps change. The knobs of `make_data`:
#
# | knob | medium | what it does |
# | --- | --- | --- |
# | `separation` | 8 | distance of the clusters from the origin; closer clusters overlap, and even the best classifier errs |
# | `label_noise` | 0.4 | share of training labels redrawn at random: what there is to overfit |
# | `classes` | 10 | more classes: more borders, fewer examples of each |
# | `clusters` | 5 | clusters in each class; with one, a linear classifier would do |
# | `n_train` | 2048 | fewer examples are easier to memorise and harder to learn from |
#
# `easy` has separation 9 and label noise 0.2, `hard` has 7 and 0.5.


# %%
with kindly():
    by_difficulty = {
        "easy": (explore(adam_l2, "easy"), explore(adamw, "easy")),
        "medium": (table_l2, table_w),
        "hard": (explore(adam_l2, "hard"), explore(adamw, "hard")),
    }
    words = [
        f"{level}: {describe(t)}" for level, pair in by_difficulty.items() for t in pair
    ]
    show(side_by_side(by_difficulty), " ".join(words))
    print("\n\n".join(fill(each, 88) for each in words))

# %% [markdown]
# Your turn: one knob at a time tells you more than two. Change the two lines, and look at your maps beside those of `medium`. Give
# each experiment a name; what has been trained is kept, also when you turn a knob back or mend a rule.

# %%
my_name = "no noise"  # of your experiment
my_knobs = {"label_noise": 0.0}  # for instance: no noise at all.  Then try others.
with kindly():
    mine = (explore(adam_l2, my_name, **my_knobs), explore(adamw, my_name, **my_knobs))
    compared = {"medium": (table_l2, table_w), my_name: mine}
    words = [
        f"{level}: {describe(t)}" for level, pair in compared.items() for t in pair
    ]
    show(side_by_side(compared), " ".join(words))

# %% [markdown]
# **A right result** says what you turned, which way, and what happened to the *height*, the *breadth* and the *slope* of the
# good region, for both rules. One of these three hardly changes. Which, and why?
#
# <details><summary>Hint 1</summary>The contour marks 90 %. Does the region shrink because its shape changes, or because the whole
# map sinks below the contour?</details>
# <details><summary>Hint 2</summary>The slope follows from how decay, gradient and length of the weights balance. Which of the knobs
# touches this balance?</details>

# %% [markdown] leads_to="written_2b_ii"
# **Your report** goes into the next cell.

# %% [markdown] written="written_2b_ii"
# **Model answer.** Harder data (closer clusters, more label noise): the best accuracy falls, and the region
# above 90 % shrinks or vanishes, for both rules. Easier data: both rise, the regions grow, and at last decay hardly matters: with
# no label noise there is little to overfit. The *slope* stays near −2 and 0 (on this grid, with two seeds, from −1.7 to −2.2
# for ℓ2-Adam, by data and by processor; where nearly everything is good, no slope can be told, and saying so is right), because it
# follows from the balance of growth and shrinkage of the weights and not from the data. More label noise moves the
# best decay; the region shifts and does not turn.
#
# **Rubric.** At least one harder and one easier task, knobs named: {{share written_2b_ii 3/8}}. Height and breadth for both
# rules, with numbers: {{share written_2b_ii 3/8}}. The slope stays: {{share written_2b_ii 1/8}}. A reason: {{share written_2b_ii 1/8}}.

# %% [markdown]
# ### 2(b) iii. What to conjecture about tuning
#
# ★★☆ · 30 minutes · {{points good_fraction}} + {{points best_accuracy}} points for the functions, {{points written_2b_iii}} for the
# conjecture
#
# **Goal.** Put what you saw into two numbers. `table` holds a row for each run, with the columns `lr`, `decay`, `seed`,
# `val_accuracy` and `diverged` among others. A *setting* is a pair (lr, decay); its accuracy is the mean over its seeds. If
# **any** of its runs diverged, the setting is of no use to anyone, and counts as accuracy 0.
#
# - `good_fraction(table, threshold)`: the share of all settings whose accuracy is **at least** `threshold`.
# - `best_accuracy(table)`: the accuracy of the best setting.
#
# <details><summary>Hint 1</summary>Both begin in the same way: one accuracy for each setting. Look at
# <code>table.groupby(["lr", "decay"])</code>.</details>
# <details><summary>Hint 2</summary><code>val_accuracy</code> is NaN where a run diverged, and <code>mean</code> skips NaN in silence.
# <code>["diverged"].any()</code> on the same groups tells you which settings to set to 0.</details>
# <details><summary>Hint 3</summary>A series has a method <code>mask(where, value)</code>. And what is the mean of a series of True and
# False?</details>

# %%
table_l2.head()


# %% question="good_fraction"
def good_fraction(table, threshold):
    """Share of the settings (lr, decay) whose mean validation accuracy is at least threshold."""
    ### BEGIN SOLUTION
    runs = table.groupby(["lr", "decay"])
    mean = runs["val_accuracy"].mean()
    accuracy = mean.mask(runs["diverged"].any(), 0.0)
    good = accuracy >= threshold
    return good.mean()
    ### END SOLUTION


# %% check="good_fraction"
check("good_fraction", good_fraction)


# %% question="best_accuracy"
def best_accuracy(table):
    """Mean validation accuracy of the best setting (lr, decay)."""
    ### BEGIN SOLUTION
    runs = table.groupby(["lr", "decay"])
    mean = runs["val_accuracy"].mean()
    accuracy = mean.mask(runs["diverged"].any(), 0.0)
    return accuracy.max()
    ### END SOLUTION


# %% check="best_accuracy"
check("best_accuracy", best_accuracy)

# %%
with kindly():
    for name, table in {"Adam with ℓ2": table_l2, "AdamW": table_w}.items():
        shares = ", ".join(
            f"{good_fraction(table, level):.0%} above {level:.0%}"
            for level in (0.85, 0.9, 0.92)
        )
        print(f"{name:13} best {best_accuracy(table):.3f}; {shares}")

# %% [markdown]
# The **tuning card** adds more: the slope; the separability of the map (1: the map is a product of a function of $\eta$ and one
# of λ, so the knobs can be tuned one after the other); what you lose on average if you do so; what to expect of the best of 8
# random settings; by how many degrees the best settings turn the weights in a step, and the powers $a$ and $b$ of
# turn $\propto \eta^a \lambda^b$, which make the slope $-a/b$. `best_timescale` is $1/\lambda_w$ of the best settings in epochs:
# over so many epochs their weights average. From three seeds on, 95 % intervals stand in brackets; two are too few for one.

# %%
with kindly():
    card = card_table(pd.concat([tuning_card(table_l2), tuning_card(table_w)]))
card

# %% [markdown]
# **Conjecture.** Is the best accuracy of the two rules different, beyond what two seeds can tell? How many settings are good, and
# how much of this depends on the ranges of the grid? You have time for ten trials on a new task: which rule do you take, and how
# do you search?
#
# <details><summary>Hint 1</summary>Keep apart: how high the peak is, and how hard it is to find.</details>
# <details><summary>Hint 2</summary>If a grid is made wider by settings that are all bad, what happens to the share of good ones?
# Which of the numbers on the card do not mind?</details>

# %% [markdown] leads_to="written_2b_iii"
# **Your conjecture** goes into the next cell.

# %% [markdown] written="written_2b_iii"
# **Model answer.** The peaks are about equally high: 0.934 [0.924, 0.943] and 0.942 [0.930, 0.955] on a fine grid with five seeds,
# intervals that overlap. What differs is how easily the peak is found. With AdamW a larger share of settings
# is good (0.38 against 0.24 above 90 %), and, what does not depend on the ranges, the region lies along the axes: one can
# fix η, tune λ_w, and keep it when η changes. With ℓ2-Adam the two have to be tuned together, along a diagonal. So with ten
# trials: AdamW, first one knob and then the other. Caveats: shares depend on the grid's ranges; this is one small,
# normalised network on synthetic data; on a plain network the picture turns round.
#
# **Rubric.** Best accuracies about equal, uncertainty mentioned: {{share written_2b_iii 2/6}}. Share of good settings, and that it depends
# on the ranges: {{share written_2b_iii 2/6}}. Decoupled knobs and a way to search: {{share written_2b_iii 2/6}}.

# %% [markdown]
# # Extensions (optional, no points)
#
# ## The law of slopes
#
# ★★★ · 45 minutes, with pencil and paper
#
# **Goal.** Where do the two slopes come from? Behind a normalisation the loss depends on $\theta/\lVert\theta\rVert$ alone. So the
# gradient is orthogonal to $\theta$ and has size $\gamma/\lVert\theta\rVert$, where $\gamma$ is its size on the unit sphere. The gradient step
# makes $\theta$ longer, decay makes it shorter, and after a while the two balance. What then decides how fast the network learns is by how large
# an angle a step turns $\theta$. Find this angle, as a function of $\eta$ and the decay, for Adam with ℓ2 and for AdamW, and from it the
# slope of the lines in the map along which it is constant. Then do the same for SGD with ℓ2, for SGDW, and for AdamW in PyTorch's convention.
#
# **A right result** is a table of five slopes. Two of them you have measured; the next cell measures PyTorch's.
#
# <details><summary>Hint 1</summary>
#
# Pythagoras: a step $u$ that is orthogonal to $\theta$ changes $\lVert\theta\rVert^2$ by $\lVert u\rVert^2$. How large is
# $u$ for SGD, and how large for Adam, whose every coordinate moves by about $\eta$ whatever the gradient?
# </details>
# <details><summary>Hint 2</summary>
#
# A step of decay that removes the fraction $\lambda$ of $\theta$ changes $\lVert\theta\rVert^2$ by about
# $-2\lambda\lVert\theta\rVert^2$. Set the sum of both changes to 0, solve for $\lVert\theta\rVert$, and put it into the
# angle $\lVert u\rVert/\lVert\theta\rVert$.
# </details>
# <details><summary>Hint 3</summary>
#
# Adam with ℓ2 divides the penalty's gradient by $\sqrt{\hat v}$ as well, which is about $\gamma/\lVert\theta\rVert$ (up
# to a constant). So which fraction of $\theta$ does it remove in a step?
# </details>
# <details><summary>The slopes (open it when you have five of your own)</summary>SGD with ℓ2: −1. SGDW: 0. Adam with ℓ2: −2. AdamW: 0. AdamW
# in PyTorch's convention: −1. Measured, on a 13 × 13 grid with five seeds: −0.99 [−1.02, −0.96], 0.00 [−0.01, 0.02], −1.92 [−2.12, −1.71],
# 0.00 [−0.03, 0.03], −0.99 [−1.01, −0.97]. And where the law's assumption fails? See below.</details>
#
# ## Three more maps
#
# Set `EXTENSIONS = True` to run them and the next extension: less than a minute for all together.
#
# **1. PyTorch's convention.** It multiplies the decay by the learning rate, $\lambda_w = \eta\,\lambda_{\text{torch}}$. Predict the slope from your AdamW
# map, then look.
#
# **2. The plain network.** Without normalisation the length of the weights matters. Which way do the two maps turn? What does this
# say about "decoupled decay makes the knobs independent"?
#
# **3. Real digits.** 8 × 8 pixels from scikit-learn, no download, with 30 % of the training labels redrawn.

# %%
EXTENSIONS = False


def adamw_torch(theta, grad, state, *, lr, torch_decay, **betas):
    """Your AdamW in PyTorch's convention: λ_w = η·λ_torch."""
    return adamw(theta, grad, state, lr=lr, weight_decay=lr * torch_decay, **betas)


if EXTENSIONS:
    with kindly():
        print("1. PyTorch's convention")
        in_torch = sweep(adamw_torch, LRS, log_grid(1e-2, 1e3, POINTS), medium, **SIZE)
        figure = heatmaps(table_w, in_torch, metrics=("val_accuracy",))
        show(figure, f"{describe(table_w)} {describe(in_torch)}")

        print("2. The plain network")
        low, decays = log_grid(1e-4, 1e-1, POINTS), log_grid(1e-5, 1e0, POINTS)
        plain = [
            sweep(rule, low, decays, medium, scale_invariant=False, **SIZE)
            for rule in (adam_l2, adamw)
        ]
        figure = heatmaps(*plain, metrics=("val_accuracy",))
        show(figure, " ".join(map(describe, plain)))

        print("3. Digits")
        from adamw_pset import load_digits_data

        def digits(seed):
            return load_digits_data(seed=seed)

        real = [
            sweep(rule, LRS, DECAYS[rule.__name__], digits, **SIZE)
            for rule in (adam_l2, adamw)
        ]
        figure = heatmaps(*real, metrics=("val_accuracy",))
        show(figure, " ".join(map(describe, real)))

# %% [markdown]
# <details><summary>What others found (open it after you have looked)</summary>
#
# Scale-invariant network, 13 × 13 grid, 5 seeds: PyTorch's convention has slope −0.99 [−1.01, −0.97], as λ_w = η·λ_torch says it
# must if the best λ_w stays where it is. Plain network: −0.16 [−0.22, −0.10] for Adam with ℓ2 and +0.98 [0.95, 1.02] for AdamW with
# λ_w as it stands. There λ_w has to grow with η, which is just what PyTorch's convention does for you. So decoupling alone does
# not make two knobs independent: it does so where decay acts by setting how far a step turns the weights.
# </details>
#
# ## Your AdamW in PyTorch
#
# What to take into your next project: `RuleOptimizer` makes your rule a `torch.optim.Optimizer`, for any module and any training
# loop. Below a small convolutional network learns the digits three times: with your `adamw`, with `torch.optim.AdamW` and the
# $\lambda_{\text{torch}} = \lambda_w/\eta$ that convention 1 asks for, and with `torch.optim.AdamW` and the same *number* typed in.
# Which two curves are one?

# %%
if EXTENSIONS:
    from adamw_pset import RuleOptimizer, load_digits_data

    def train(make_optimizer, epochs=20):
        """Validation loss after each epoch of an ordinary training loop."""
        torch.manual_seed(0)
        data, nn = load_digits_data(label_noise=0.4), torch.nn
        model = nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False),
            nn.GroupNorm(1, 8, affine=False),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False),
            nn.GroupNorm(1, 16, affine=False),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64, 10, bias=False),
            nn.LayerNorm(10, elementwise_affine=False),
        )
        optimizer, losses = make_optimizer(model.parameters()), []
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
        for _ in range(epochs):
            for batch in torch.randperm(len(data.x_train)).split(64):
                optimizer.zero_grad()
                logits = model(data.x_train[batch])
                nn.functional.cross_entropy(logits, data.y_train[batch]).backward()
                optimizer.step()
            cosine.step()
            with torch.no_grad():
                loss = nn.functional.cross_entropy(model(data.x_val), data.y_val)
            losses.append(float(loss))
        return losses

    torch.set_num_threads(1)  # with operations this small, threads only wait
    eta, lam = 0.01, 0.03
    of_torch = torch.optim.AdamW
    with kindly():
        losses = {
            "your adamw, λ_w = 0.03": train(
                lambda p: RuleOptimizer(p, adamw, lr=eta, weight_decay=lam)
            ),
            "torch.optim.AdamW, λ_w/η = 3": train(
                lambda p: of_torch(p, lr=eta, weight_decay=lam / eta)
            ),
            "torch.optim.AdamW, 0.03 typed in": train(
                lambda p: of_torch(p, lr=eta, weight_decay=lam)
            ),
        }
    figure, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for (name, values), style in zip(losses.items(), ("-", "--", ":"), strict=True):
        ax.plot(range(1, len(values) + 1), values, style, label=name, lw=2.4)
    ax.set(xlabel="epoch", ylabel="validation loss (nats)")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    words = [f"{name}: ends at {values[-1]:.4f}" for name, values in losses.items()]
    print("\n".join(words))
    show(figure, "Three validation losses by epoch. " + ". ".join(words))

# %% [markdown]
# # To read on
#
# - I. Loshchilov and F. Hutter, *Decoupled Weight Decay Regularization*, ICLR 2019 ([arXiv 1711.05101](https://arxiv.org/abs/1711.05101)):
#   the paper behind this problem set; Figures 1 and 2 are its maps.
# - D. Kingma and J. Ba, *Adam*, ICLR 2015 ([1412.6980](https://arxiv.org/abs/1412.6980)): Algorithm 3, and why the moments are corrected
#   for their start at zero.
# - N. Agarwal et al., *Efficient Full-Matrix Adaptive Regularization* ([1806.02958](https://arxiv.org/abs/1806.02958)): what $M_t$ can be when
#   more than the diagonal of $G_t(\alpha)$ is kept, for Question 1(b).
# - A. Kosson, B. Messmer and M. Jaggi, *Rotational Equilibrium* ([2305.17212](https://arxiv.org/abs/2305.17212)): the balance of growth and
#   decay, and the turn a step, with care; for "Why" and the law of slopes.
# - X. Wang and L. Aitchison, *How to set AdamW's weight decay as you scale model and dataset size*
#   ([2405.13698](https://arxiv.org/abs/2405.13698)): weights learned with AdamW average over $1/\lambda_w$ steps, and how long that should be in
#   epochs. (Our best setting averages over a tenth of an epoch, practice over one epoch and more: a small, noisy task.)

# %% [markdown]
# # What is answered, what is open
#
# *Kernel → Restart Kernel and Run All Cells*, save, run the last cell once more, and hand in if nothing is open. Whether a written
# answer is *right* is read by a person; the table says only whether it is there.
#
# **No table below, after *Run All Cells*?** Then a cell above has stopped it. Scroll up to the last cell with a number in its
# brackets: what is open or wrong stands below it. To go on past it, click the cell after it and choose *Run → Run Selected Cell
# and All Below*.

# %%
summary(globals())
