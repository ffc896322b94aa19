"""The answers: the reference rules and, for Question 1(b), the preconditioner.

A student's bundle leaves this folder out, and nothing else is an answer.
"""

from adamw_pset.optimizers.rules import adam, adam_l2, adamw, adamw_torch, rmsprop, sgd, sgdw

__all__ = ["adam", "adam_l2", "adamw", "adamw_torch", "rmsprop", "sgd", "sgdw"]
