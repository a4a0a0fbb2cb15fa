"""Annotations in, checked LLaVA instruction data out. Runs without torch."""
