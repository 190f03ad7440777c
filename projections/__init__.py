"""The read side: views as folds of one stream, the loop that applies them, and queries."""
