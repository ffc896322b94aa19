"""The problem set: questions, known mistakes, and what builds notebooks and numbers from them."""
