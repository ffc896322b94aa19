"""The instructor's commentary, ``docs/commentary.md``: built by ``build.py`` from the notebook's source.

For each question the answer, the rubric, the known mistakes with the sentence that names each, and
what credit they get; and the remarks for the instructor that stand in the source.
"""

from __future__ import annotations

import re
from typing import Any

from autograder.assignment.mistakes import CATALOGUE
from autograder.assignment.questions import QUESTIONS, Question

HEAD = """# Commentary for instructors

Answers, rubrics, and what goes wrong. Built by `make notebook` from `autograder/source/explore_Adam.py`,
`autograder/assignment/questions.py` and `autograder/assignment/mistakes`: change it there. The mistakes are
those that `check` and the grader know, each with the sentence that a student reads; {...} is filled with what was
seen. The share is what is left of the points; several mistakes in a rule are found one by one, and leave the product
of their shares. Errors, and answers that are no numbers, are told apart as well.
"""
EVERYWHERE = ("exception", "returned_none", "not_numbers")
REFERENCES = """## References

- I. Loshchilov and F. Hutter, *Decoupled Weight Decay Regularization*, ICLR 2019, arXiv 1711.05101.
- D. Kingma and J. Ba, *Adam: A Method for Stochastic Optimization*, ICLR 2015, arXiv 1412.6980.
- A. Kosson, B. Messmer and M. Jaggi, *Rotational Equilibrium: How Weight Decay Balances Learning Across
  Neural Networks*, arXiv 2305.17212.
- T. van Laarhoven, *L2 Regularization versus Batch and Weight Normalization*, arXiv 1706.05350: the
  effective learning rate of scale-invariant weights.
- G. Zhang, C. Wang, B. Xu and R. Grosse, *Three Mechanisms of Weight Decay Regularization*, ICLR 2019,
  arXiv 1810.12281: what decay does with and without normalisation.
"""


def commentary(instructor: Any) -> str:
    """The commentary, from the instructor's notebook."""
    parts, heading = [HEAD], ""
    for cell in instructor.cells:
        question = QUESTIONS.get(cell.metadata.get("nbgrader", {}).get("grade_id", ""))
        remark = "instructor" in cell.metadata.get("tags", [])
        if cell.cell_type == "markdown" and not question and not remark:
            titles = re.findall(r"^##+ (.*)", cell.source, re.MULTILINE)
            heading = titles[-1] if titles else heading
            continue
        if not (question or remark):
            continue
        if heading:
            parts.append(f"## {heading}\n")
            heading = ""
        if question is None:
            parts.append(cell.source + "\n")
        elif question.kind == "written":
            parts.append(f"### `{question.name}`: {question.points} points\n\n{cell.source}\n")
        else:
            parts.append(_function(question, cell.source))
    return "\n".join([*parts, REFERENCES])


def _function(question: Question, source: str) -> str:
    """A code question: its solution, and a table of what goes wrong."""
    code = re.sub(r" *### (?:BEGIN|END) SOLUTION\n?", "", source).rstrip()
    lines = [
        f"### `{question.name}`: {question.points} points\n",
        f"```python\n{code}\n```\n",
        "| what goes wrong | share |",
        "| --- | --- |",
    ]
    for mistake in CATALOGUE:
        if question.name in mistake.variants and mistake.id not in EVERYWHERE:
            share = question.credit.get(mistake.id, 0)
            lines.append(f"| {mistake.sentence.replace('|', '&#124;')} | {share:.0%} |")
    return "\n".join([*lines, ""])
