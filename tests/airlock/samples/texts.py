"""Clean texts."""

from __future__ import annotations

SAMPLES = {
    "json": lambda: b'{"a": [1, 2, 3]}',
    "json lines": lambda: b'{"a": 1}\n{"a": 2}\n',
    "geojson": lambda: b'{"type": "FeatureCollection", "features": []}',
    "csv": lambda: b"a,b\n1,2\n",
    "xml": lambda: b"<annotation><object>plane</object></annotation>",
    "text": lambda: b"plane\nvessel\n",
}
