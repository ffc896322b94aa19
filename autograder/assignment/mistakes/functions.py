"""What goes wrong on paper and in reading tables: Questions 1(a)(i), 1(b) and 2(b)iii."""

from __future__ import annotations

from autograder.assignment.answer_sources import TABLES, mistake

FACTOR = ("weight_decay_factor",)
M_T = ("preconditioner",)
PENALTY = ("scaled_penalty_gradient",)
EXAMPLE = ("counterexample",)
GOOD, BEST = ("good_fraction",), ("best_accuracy",)
RUNS = "table['val_accuracy']"

FUNCTION_MISTAKES = (
    # --- weight_decay_factor ---
    mistake(
        "divided_by_lr",
        "The learning rate divides where it should not: follow the factor in front of θ once more through "
        "one step of eq. (3).",
        (FACTOR, [{"factor": "l2 / lr"}, {"factor": "lr / l2"}]),
    ),
    mistake(
        "one_alone",
        "Only one of λ_ℓ2 and η is used: multiply out the step on the penalised loss and see what stands "
        "in front of θ.",
        (FACTOR, [{"factor": "l2"}, {"factor": "lr"}]),
    ),
    mistake(
        "keeps_instead_of_removes",
        "This is the share of θ that stays: λ_w is the share that is removed.",
        (FACTOR, [{"factor": "1 - lr * l2"}]),
    ),
    mistake(
        "added",
        "λ_ℓ2 and η are added: the penalty's gradient reaches θ through the step, which scales it.",
        (FACTOR, [{"factor": "lr + l2"}]),
    ),
    mistake(
        "power_wrong",
        "A power too many: in one step the penalty's gradient is scaled by η once, and λ_ℓ2 enters as it is.",
        (FACTOR, [{"factor": "lr**2 * l2"}, {"factor": "lr * l2**2"}, {"factor": "(lr * l2) ** 0.5"}]),
    ),
    mistake(
        "factor_two",
        "Off by a factor of two: the half in front of the penalty is there to meet the 2 that the square brings down.",
        (FACTOR, [{"factor": "lr * l2 / 2"}, {"factor": "2 * lr * l2"}]),
        (
            PENALTY,
            [{"gradient": "2 * l2 * np.linalg.solve(M, theta)"}, {"gradient": "l2 / 2 * np.linalg.solve(M, theta)"}],
        ),
    ),
    mistake(
        "wrong_sign",
        "The sign is wrong: the penalty grows away from zero, and the decay pulls towards it.",
        (FACTOR, [{"factor": "-lr * l2"}]),
        (PENALTY, [{"gradient": "-l2 * np.linalg.solve(M, theta)"}]),
    ),
    # --- preconditioner ---
    mistake(
        "factor_missing",
        "The factor made of β2 and t is missing: G_t is a sum, v_t an average, and v̂_t a corrected one.",
        (M_T, [{"factor": "1"}]),
    ),
    mistake(
        "numerator_missing",
        "The bias correction is missing: Algorithm 2 divides v_t by 1 − β2^t before it takes the root.",
        (M_T, [{"factor": "(1 - beta2) ** -0.5"}, {"factor": "np.sqrt((1 - beta2**2) / (1 - beta2))"}]),
    ),
    mistake(
        "denominator_missing",
        "The weight with which v takes in each new g² is missing: compare v_t with G_t for t = 1.",
        (M_T, [{"factor": "np.sqrt(1 - beta2**t)"}]),
    ),
    mistake(
        "factor_inverted",
        "The factor of β2 and t stands upside down: check it with t large and all gradients equal to 1.",
        (
            M_T,
            [
                {"factor": "np.sqrt((1 - beta2) / (1 - beta2**t))"},
                {"factor": "np.sqrt((1 - beta2) * (1 - beta2**t))"},
                {"factor": "1 / np.sqrt(1 - beta2**t)"},
            ],
        ),
    ),
    mistake(
        "factor_without_root",
        "The root is missing over the factor of β2 and t: everything that makes up v̂_t goes under it.",
        (
            M_T,
            [
                {"factor": "(1 - beta2**t) / (1 - beta2)"},
                {"factor": "(1 - beta2) / (1 - beta2**t)"},
                {"factor": "np.sqrt(1 - beta2**t) / (1 - beta2)"},
            ],
        ),
    ),
    mistake(
        "inverse_missing",
        "The inverse is missing: M_t multiplies the gradient that Algorithm 2 divides.",
        (
            M_T,
            [
                {"M": "factor * np.diag(np.diag(G) ** 0.5)"},
                {"M": "np.diag(np.diag(G) ** 0.5) / factor"},
                {"M": "factor * np.diag(np.diag(G))"},
            ],
        ),
    ),
    mistake(
        "root_missing_in_M",
        "The square root over the sum of squares is missing: M_t should scale like one over a gradient.",
        (M_T, [{"M": "factor * np.diag(1 / np.diag(G))"}, {"M": "factor**2 * np.diag(1 / np.diag(G))"}]),
    ),
    mistake(
        "full_matrix",
        "The whole of G_t is used: Algorithm 2 treats each coordinate on its own, so only the diagonal matters.",
        (
            M_T,
            [
                {"M": "factor * abs(G) ** -0.5"},
                {"M": "factor * np.sign(G) * abs(G) ** -0.5"},
                {"M": "factor * np.linalg.pinv(G)"},
                {"M": "factor * (lambda w, U: (U * w.clip(1e-9) ** -0.5) @ U.T)(*np.linalg.eigh(G))"},
            ],
        ),
    ),
    mistake(
        "oldest_weighs_most",
        "The weights run backwards: in G_t the newest gradient has weight 1 and the oldest the smallest.",
        (
            M_T,
            [
                {"G": "sum(beta2 ** (tau - 1) * np.outer(g, g) for tau, g in enumerate(grads, start=1))"},
                {"G": "sum(beta2**tau * np.outer(g, g) for tau, g in enumerate(grads, start=1))"},
            ],
        ),
    ),
    mistake(
        "exponent_off_by_one",
        "The exponents in G_t are off by one: the newest gradient has weight 1.",
        (M_T, [{"G": "sum(beta2 ** (t - tau) * np.outer(g, g) for tau, g in enumerate(grads))"}]),
    ),
    mistake(
        "sum_not_decayed",
        "The sum is not decayed: an older gradient should count for less.",
        (M_T, [{"G": "grads.T @ grads"}, {"G": "grads.T @ grads / t"}]),
    ),
    mistake(
        "last_gradient_only",
        "Only the last gradient is used: G_t sums over all rows of grads.",
        (
            M_T,
            [
                {"M": "np.diag(1 / abs(grads[-1]))"},
                {"G": "np.outer(grads[-1], grads[-1])"},
                {"G": "np.outer(grads[0], grads[0])"},
            ],
        ),
    ),
    mistake(
        "squares_of_sum",
        "The gradients are summed before they are squared: G_t sums the outer products.",
        (
            M_T,
            [
                {
                    "G": "np.outer(sum(beta2 ** (t - tau) * g for tau, g in enumerate(grads, start=1)), "
                    "sum(beta2 ** (t - tau) * g for tau, g in enumerate(grads, start=1)))"
                },
                {"G": "np.outer(grads.sum(axis=0), grads.sum(axis=0))"},
            ],
        ),
    ),
    mistake(
        "diagonal_as_vector",
        "The numbers are right, but they are a vector: M_t is a matrix that has them on its diagonal.",
        (M_T, [{"M": "factor * np.diag(G) ** -0.5"}]),
    ),
    mistake(
        "zeros_inverted",
        "Off the diagonal stand infinities: the zeros there were inverted as well, so do that before a matrix is made.",
        (M_T, [{"M": "factor * np.diag(np.diag(G)) ** -0.5"}]),
    ),
    mistake(
        "rows_for_columns",
        "Rows and columns are exchanged: each row of grads is the gradient of one step.",
        (M_T, [{"t": "len(grads.T)\ngrads = grads.T"}]),
    ),
    # --- scaled_penalty_gradient ---
    mistake(
        "not_inverted",
        "M itself is used where its inverse belongs: ‖M^(−1/2)θ‖² is a quadratic form in θ; write it as "
        "one before you differentiate.",
        (PENALTY, [{"gradient": "l2 * M @ theta"}]),
    ),
    mistake(
        "root_of_M_left",
        "A root of M is left: the norm is squared, so M^(−1/2) comes in twice.",
        (
            PENALTY,
            [
                {"gradient": "l2 * (lambda w, U: (U * w**-0.5) @ U.T)(*np.linalg.eigh(M)) @ theta"},
                {"gradient": "l2 * theta / np.sqrt(np.diag(M))"},
                {"gradient": "l2 * np.sqrt(np.linalg.inv(M)) @ theta"},
            ],
        ),
    ),
    mistake(
        "inverse_twice",
        "M is inverted twice over: M^(−1/2) comes in twice, M^(−1) once.",
        (PENALTY, [{"gradient": "l2 * np.linalg.solve(M @ M, theta)"}]),
    ),
    mistake(
        "l2_missing",
        "λ_ℓ2 is missing: it stands in front of the penalty and so in front of its gradient.",
        (PENALTY, [{"gradient": "np.linalg.solve(M, theta)"}]),
    ),
    mistake(
        "M_missing",
        "M is missing: this is the gradient of the plain ℓ2 penalty, or what is left once M has been applied.",
        (PENALTY, [{"gradient": "l2 * theta"}]),
    ),
    mistake(
        "diagonal_only",
        "This is right when M is diagonal, and M may be any symmetric positive definite matrix.",
        (PENALTY, [{"gradient": "l2 * theta / np.diag(M)"}]),
    ),
    mistake(
        "inverted_elementwise",
        "M is inverted number by number: the inverse of a matrix is something else.",
        (
            PENALTY,
            [
                {"gradient": "l2 * (1 / M) @ theta"},
                {"gradient": "l2 * M**-1.0 @ theta"},
                {"gradient": "l2 * theta / M"},
            ],
        ),
    ),
    mistake(
        "elementwise_product",
        "A matrix and a vector are multiplied number by number, which * does in numpy: a matrix acts on a vector by @.",
        (PENALTY, [{"gradient": "l2 * np.linalg.inv(M) * theta"}]),
    ),
    mistake(
        "penalty_not_gradient",
        "This is the penalty, one number: its gradient has one number for each coordinate of θ.",
        (
            PENALTY,
            [
                {"gradient": "l2 / 2 * theta @ np.linalg.solve(M, theta)"},
                {"gradient": "l2 * theta @ np.linalg.solve(M, theta)"},
            ],
        ),
    ),
    # --- counterexample ---
    mistake(
        "multiple_of_identity",
        "M is a multiple of the identity, and for those a λ_ℓ2 does fit: its diagonal needs two different numbers.",
        (EXAMPLE, [{"M": "np.diag([2.0, 2.0])"}]),
    ),
    mistake(
        "not_positive_definite",
        "M should be symmetric with positive eigenvalues, as Algorithm 2's is: this one is not.",
        (
            EXAMPLE,
            [{"M": "np.diag([1.0, -2.0])"}, {"M": "np.diag([1.0, 0.0])"}, {"M": "np.array([[1.0, 1.0], [0.0, 2.0]])"}],
        ),
    ),
    mistake(
        "one_k_fits",
        "For both θ the product Mθ is {k} times θ, so one λ_ℓ2 serves both: choose θ that M treats differently.",
        (
            EXAMPLE,
            [
                {"theta_b": "3 * theta_a"},
                {"theta_b": "theta_a"},
                {
                    "M": "np.diag([1.0, 1.0, 3.0])",
                    "theta_a": "np.array([1.0, 0.0, 0.0])",
                    "theta_b": "np.array([1.0, 2.0, 0.0])",
                },
            ],
        ),
    ),
    mistake(
        "zero_theta",
        "A θ of zeros proves nothing, since decay leaves it where it is under every λ: use two that are not zero.",
        (EXAMPLE, [{"theta_b": "np.zeros(2)"}, {"theta_a": "np.zeros(2)", "theta_b": "np.zeros(2)"}]),
    ),
    mistake(
        "not_finite",
        "M and both θ should hold finite numbers, and some here are infinite or not a number.",
        (EXAMPLE, [{"M": "np.diag([1.0, np.inf])"}, {"theta_a": "np.array([np.nan, 1.0])"}]),
    ),
    mistake(
        "not_a_triple",
        "A counterexample is three things, M, θ_a and θ_b, and this is {got}.",
        (EXAMPLE, [{"return": "M, theta_a"}, {"return": "M"}]),
    ),
    mistake(
        "shapes_do_not_fit",
        "The shapes do not fit: M should be n × n and both θ of length n, in the order M, θ_a, θ_b, and "
        "they are {got}.",
        (
            EXAMPLE,
            [
                {"return": "theta_a, theta_b, M"},
                {"M": "np.eye(3)"},
                {"M": "np.array([1.0, 2.0])"},
                {"theta_b": "np.array([0.0, 1.0, 0.0])"},
            ],
        ),
    ),
    # --- good_fraction and best_accuracy ---
    mistake(
        "count_not_share",
        "This is how many settings are good: the question asks for their share of all settings.",
        (GOOD, [{"return": "good.sum()"}, {"return": "good.value_counts()[True]"}]),
    ),
    mistake(
        "runs_not_settings",
        "Single runs are counted: a setting is one learning rate with one decay, and its accuracy is the "
        "mean over seeds.",
        (
            GOOD,
            [
                {"return": "good.sum() / len(table)"},
                {"return": f"({RUNS} >= threshold).mean()"},
                {"return": f"({RUNS} >= threshold).sum()"},
                {"return": "(table['val_accuracy'].dropna() >= threshold).mean()"},
            ],
        ),
        (BEST, [{"return": f"{RUNS}.max()"}, {"mean": "runs['val_accuracy'].max()"}]),
    ),
    mistake(
        "more_than_threshold",
        "A setting exactly at the threshold counts as good: at least, not more than.",
        (GOOD, [{"good": "accuracy > threshold"}]),
    ),
    mistake(
        "best_seed",
        "Each setting is judged by its best seed: its accuracy is the mean over seeds.",
        (GOOD, [{"mean": "runs['val_accuracy'].max()"}, {"accuracy": "runs['val_accuracy'].max()"}]),
    ),
    mistake(
        "worst_seed",
        "Each setting is judged by its worst seed: its accuracy is the mean over seeds.",
        (TABLES, [{"mean": "runs['val_accuracy'].min()"}, {"accuracy": "runs['val_accuracy'].min()"}]),
    ),
    mistake(
        "median_not_mean",
        "Each setting is judged by the median over seeds: its accuracy is the mean.",
        (TABLES, [{"mean": "runs['val_accuracy'].median()"}, {"accuracy": "runs['val_accuracy'].median()"}]),
    ),
    mistake(
        "diverged_ignored",
        "Diverged runs are left out: a setting with a diverged run is of no use to anyone and counts as 0.",
        (TABLES, [{"accuracy": "mean"}]),
        (GOOD, [{"accuracy": "mean.dropna()"}]),
    ),
    mistake(
        "diverged_run_as_zero",
        "A diverged run counts as 0 and is then averaged away: it makes the whole setting count as 0.",
        (TABLES, [{"mean": "runs['val_accuracy'].sum() / runs.size()", "accuracy": "mean"}]),
    ),
    mistake(
        "diverged_dropped",
        "Settings that diverged are dropped from the count: they are settings too, and not good ones.",
        (GOOD, [{"accuracy": "mean[~runs['diverged'].any()]"}]),
    ),
    mistake(
        "one_knob_only",
        "The runs are averaged over a whole row or column of the map: a setting is one learning rate with one decay.",
        (
            TABLES,
            [
                {"runs": "table.groupby('lr')"},
                {"runs": "table.groupby('lr')", "accuracy": "mean"},
                {"runs": "table.groupby('decay')", "accuracy": "mean"},
            ],
        ),
    ),
    mistake(
        "mean_of_all",
        "This is an average over all settings: the question asks for the best of them.",
        (BEST, [{"return": "accuracy.mean()"}, {"return": f"{RUNS}.mean()"}, {"return": "mean.mean()"}]),
    ),
    mistake(
        "worst_setting",
        "This is the worst setting, not the best.",
        (BEST, [{"return": "mean.min()"}, {"return": f"{RUNS}.min()"}]),
    ),
    mistake(
        "other_column",
        "Another column is used: the question is about val_accuracy.",
        (
            TABLES,
            [{"mean": "runs['train_accuracy'].mean()"}, {"mean": "runs['train_accuracy'].mean()", "accuracy": "mean"}],
        ),
        (
            BEST,
            [
                {"return": "runs['val_loss'].mean().min()"},
                {"return": "table['val_loss'].min()"},
                {"return": "table['train_accuracy'].max()"},
            ],
        ),
    ),
    mistake(
        "per_cent",
        "This is in per cent: give a number between 0 and 1.",
        (GOOD, [{"return": "100 * good.mean()"}]),
        (BEST, [{"return": "100 * accuracy.max()"}]),
    ),
    mistake(
        "rounded",
        "The number is rounded: give it back as it is, and round where you print it.",
        (GOOD, [{"return": "round(good.mean(), 2)"}, {"return": "round(good.mean(), 1)"}]),
        (BEST, [{"return": "round(accuracy.max(), 2)"}]),
    ),
    mistake(
        "bad_share",
        "This is the share of settings below the threshold: the question asks for the others.",
        (GOOD, [{"good": "accuracy < threshold"}]),
    ),
    mistake(
        "setting_not_accuracy",
        "This is the setting, not its accuracy: the question asks how good it is.",
        (BEST, [{"return": "accuracy.idxmax()"}, {"return": "accuracy.argmax()"}]),
    ),
)
