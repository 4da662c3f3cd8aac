"""Coverage-guided fuzzing: ``python -m tests.fuzz pickles|stores|documents``."""
