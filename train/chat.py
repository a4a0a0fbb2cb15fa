"""Ask a trained model about an image, in the terminal."""

from __future__ import annotations
