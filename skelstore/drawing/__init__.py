"""Drawing annotations: SVG and text without further packages; PNG, GIF and MP4 with ``skelstore[draw]``.

A joint at (x, y) in pixels of the image is drawn at (x s, y s), where s is the width of the drawing divided by the
width of the image. docs/drawing.md describes the pictures.
"""

from skelstore.drawing.svg import frame_svg, strip_svg

__all__ = ["frame_svg", "strip_svg"]
