"""One file a score: a pure function from Dynamics to one number a sample.

The contract: the number of a sample depends on that sample alone, not on the others or on how many there are, so that a
score goes through any number of samples in pieces. `Dynamics` holds `correct` and the columns that `needs` in
the score's YAML names; the others are None.
"""
