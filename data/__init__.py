"""Which data sets there are, where they come from, and a synthetic one that needs no download."""
