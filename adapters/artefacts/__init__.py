"""Content-addressed files behind obstore."""
