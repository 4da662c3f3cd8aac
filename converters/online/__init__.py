"""Sources at URLs, and the data sets that others publish."""
