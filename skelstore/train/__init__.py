"""Code shared by the data sets for PyTorch, MMAction2 and PYSKL."""
