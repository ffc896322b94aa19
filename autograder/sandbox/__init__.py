"""The grader's side of the wall."""
