"""The page of results: one HTML file that needs no network, with its figures and the numbers that they show."""
