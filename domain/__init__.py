"""Events, states and decisions: pure functions over frozen data, without I/O, clock or randomness."""
