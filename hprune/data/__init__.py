"""From texts to batches: tokenise once, mask by sample id, bucket by length."""
