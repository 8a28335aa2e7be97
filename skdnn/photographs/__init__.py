"""From files, Pillow images and arrays to levels in 0..255; knows no vector."""

from ._errors import name_of
from ._files import PHOTOGRAPHS, known_formats
from ._lists import image_list
from ._reading import read_levels

__all__ = ["PHOTOGRAPHS", "image_list", "known_formats", "name_of", "read_levels"]
