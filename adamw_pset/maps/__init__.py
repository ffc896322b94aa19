"""Tables in, pictures and numbers out."""
