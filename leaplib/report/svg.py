"""SVG files that a browser may open: an SVG is a page, and can hold scripts and load things, which ours never do."""

import re
from xml.etree.ElementTree import Element, ParseError, tostring

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

SVG = "{http://www.w3.org/2000/svg}"
NAMES = """svg g defs symbol use path rect circle ellipse line polyline polygon text tspan textPath image clipPath mask
    pattern marker linearGradient radialGradient stop style title desc filter feGaussianBlur feOffset feMerge
    feMergeNode feColorMatrix feBlend feFlood feComposite"""
SHOWN = {SVG + name for name in NAMES.split()}
WORDS = ("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}", "{http://purl.org/dc/elements/1.1/}",
         "{http://creativecommons.org/ns#}")  # fmt: skip
INSIDE = re.compile(r"#|data:image/(png|jpeg);base64,")  # what a reference may lead to
FOREIGN = re.compile(r"url\((?!\s*[\"']?#)|@import|\\", re.IGNORECASE)  # a backslash may hide the word
INSTRUCTION = re.compile(rb"<\?(?!xml\s)")  # as xml-stylesheet, which loads a file
EMPTY = b'<svg xmlns="http://www.w3.org/2000/svg"/>'


def harmless(data: bytes) -> bytes:
    """Return an SVG without scripts and without anything that loads something.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    bytes
        Equal to `data` where there is nothing to take out, as in all figures of matplotlib without links. An empty
        picture for what is no SVG: a browser would show an error instead.
    """
    try:
        root = fromstring(data)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return EMPTY
    if root.tag != SVG + "svg":
        return EMPTY
    changed = _clean(root) or INSTRUCTION.search(data) is not None
    return tostring(root, encoding="utf-8") if changed else data


def _clean(element: Element) -> bool:
    """Take out of an element, in place, what does more than draw; tell whether there was any."""
    bad = [name for name, value in element.attrib.items() if _acts(name.rpartition("}")[2].lower(), value)]
    for name in bad:
        del element.attrib[name]
    changed = bool(bad)
    if element.tag == SVG + "style" and FOREIGN.search(element.text or ""):
        element.text, changed = "", True
    for child in list(element):
        if child.tag in SHOWN:
            changed |= _clean(child)
        elif not _is_metadata(child):
            element.remove(child)
            changed = True
    return changed


def _acts(name: str, value: str) -> bool:
    """Tell whether an attribute runs or loads something."""
    if name == "href":
        return not INSIDE.match(value)
    return name.startswith("on") or FOREIGN.search(value) is not None


def _is_metadata(element: Element) -> bool:
    """Tell whether an element holds words about the picture, as matplotlib writes them, and nothing else."""
    return element.tag == SVG + "metadata" and all(
        part.tag.startswith(WORDS) for part in element.iter() if part is not element
    )
