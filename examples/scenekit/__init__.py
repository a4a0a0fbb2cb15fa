"""The drawing kit behind ``examples/draw_scenes.py``: Pillow shapes in, COCO scenes out."""
