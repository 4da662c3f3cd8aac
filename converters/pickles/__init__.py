"""Reading pickles as data, without running any code that they name, and writing them."""
