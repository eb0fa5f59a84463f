"""From the results of runs to tables, pictures, and one report of all of them."""
