"""The same training in JAX: jit, vmap over runs, scan over steps.  Prints seconds as JSON.

Run by ``sweep.py`` in an environment of its own: python jax_sweep.py RUNS STEPS
"""

import json
import math
import sys
import time
from itertools import pairwise

import jax
import jax.numpy as jnp

SIZES, BATCH, CLASSES = (40, 64, 64, 10), 64, 10
LR, DECAY, BETA1, BETA2, EPS = 3e-2, 1e-1, 0.9, 0.999, 1e-8


def loss(Ws, x, y):
    for W in Ws[:-1]:
        x = x @ W
        x = jax.nn.relu((x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-12))
    logits = x @ (4 * math.sqrt(CLASSES) * Ws[-1] / jnp.linalg.norm(Ws[-1]))
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()


def step(carry, batch):
    theta, m, v, t = carry
    t = t + 1
    g = jax.grad(loss)(theta, *batch)
    m = [BETA1 * a + (1 - BETA1) * b for a, b in zip(m, g, strict=True)]
    v = [BETA2 * a + (1 - BETA2) * b * b for a, b in zip(v, g, strict=True)]
    theta = [
        (1 - DECAY) * W - LR * (a / (1 - BETA1**t)) / (jnp.sqrt(b / (1 - BETA2**t)) + EPS)
        for W, a, b in zip(theta, m, v, strict=True)
    ]
    return (theta, m, v, t), None


def train(theta, x, y):
    zeros = [jnp.zeros_like(W) for W in theta]
    (theta, *_), _ = jax.lax.scan(step, (theta, zeros, zeros, 0.0), (x, y))
    return theta


def main(runs, steps):
    key = jax.random.key(0)
    theta = [jax.random.normal(key, (runs, n, k)) * math.sqrt(2 / n) for n, k in pairwise(SIZES)]
    x = jax.random.normal(key, (steps, BATCH, SIZES[0]))
    y = jax.random.randint(key, (steps, BATCH), 0, CLASSES)
    many = jax.jit(jax.vmap(train, in_axes=(0, None, None)))
    times = []
    for _ in range(3):
        start = time.perf_counter()
        jax.block_until_ready(many(theta, x, y))
        times.append(time.perf_counter() - start)
    print(json.dumps({"compile": times[0] - min(times[1:]), "run": min(times[1:]), "jax": jax.__version__}))


main(int(sys.argv[1]), int(sys.argv[2]))
