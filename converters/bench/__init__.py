"""Benchmarks of reading: a store compared with other ways to keep skeletons, on any set of annotations."""
