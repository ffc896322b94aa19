"""The instructor's side of the problem set: questions, known mistakes, and what is built from them."""
