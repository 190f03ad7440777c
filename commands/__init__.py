"""The write side: one pipeline for every command, its ports, and the loops that issue commands."""
