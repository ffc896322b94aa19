"""``check("adamw", adamw)`` says right, or names the mistake."""

from adamw_pset.checks.verdicts import CheckFailed, NotAnswered, check, example, open_questions, summary

__all__ = ["CheckFailed", "NotAnswered", "check", "example", "open_questions", "summary"]
