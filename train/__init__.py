"""LLaVA JSON in, a checkpoint that the ecosystem loads out."""
