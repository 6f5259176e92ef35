"""Stage 2: the cross-encoder, the features it is fused with, and the ranking losses."""
