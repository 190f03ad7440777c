"""The read side: views as folds of one stream, the loop that applies them, and the queries on them."""
