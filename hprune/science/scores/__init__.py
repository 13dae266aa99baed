"""One file a score: a pure function from Dynamics to one number a sample."""
