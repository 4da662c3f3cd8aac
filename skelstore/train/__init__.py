"""Code of the data sets for PyTorch, MMAction2, PYSKL and the GCN code bases."""
