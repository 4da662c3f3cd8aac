"""The packages of ``skelstore[draw]``, imported when they are needed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from skelstore.errors import MissingPackageError


def pillow() -> Any:
    """The modules ``Image``, ``ImageChops``, ``ImageDraw``, ``ImageFont`` and ``GifImagePlugin`` of Pillow.

    Raises MissingPackageError, which says what to install, if it cannot be imported.
    """
    if not vars(_PILLOW):
        try:
            from PIL import GifImagePlugin, Image, ImageChops, ImageDraw, ImageFont
        except ImportError as error:
            raise _missing("png, gif and mp4", "Pillow", error) from error
        vars(_PILLOW).update(
            Image=Image, ImageChops=ImageChops, ImageDraw=ImageDraw, ImageFont=ImageFont, GifImagePlugin=GifImagePlugin
        )
    return _PILLOW


def pyav() -> Any:
    """The module ``av``. Raises MissingPackageError, which says what to install, if it cannot be imported."""
    try:
        import av
    except ImportError as error:
        raise _missing("mp4 and --video", "PyAV", error) from error
    return av


_PILLOW = SimpleNamespace()


def _missing(what: str, package: str, error: ImportError) -> MissingPackageError:
    return MissingPackageError(
        f"{what} need {package}, which cannot be imported ({error}): pip install 'skelstore[draw]'; svg and the "
        "terminal (-o -) need no package"
    )
