"""One HTML file about a data set: ``skelstore report``."""
