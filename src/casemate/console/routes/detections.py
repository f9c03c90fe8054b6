"""`POST /v1/detections`: a scene in, GeoJSON out, by a released detector.

Rules. A scene without a declared marking is refused. The law is that of every other answer: a release above who asks,
or an answer above them, is a release that does not exist.
"""

from __future__ import annotations

from starlette.datastructures import UploadFile
from starlette.responses import Response

from casemate.console.desk import Ask, Route
from casemate.console.faults import Fault


async def detections(ask: Ask[None]) -> Response:
    """Detect over a scene."""
    async with ask.form(most_fields=8) as form:
        scene, model = form.get("scene"), form.get("model")
        marking = ask.declared(form.get("marking") or None, "scene")
        if not isinstance(scene, UploadFile):
            raise Fault(400, "invalid_value", "The field 'scene' must be a file.", param="scene")
        if not isinstance(model, str):
            raise Fault(400, "invalid_value", "The field 'model' must name a release.", param="model")
        if marking is None:
            message = "A scene needs its marking: the field 'marking', or the header X-Casemate-Marking."
            raise Fault(400, "marking_required", message, param="marking")
        if unknown := sorted(set(form) - {"scene", "model", "marking"}):
            raise Fault(400, "invalid_value", f"There is no field {unknown[0][:60]!r}.", param=unknown[0][:60])
        source, name = scene.file, scene.filename or ""
        found = await ask.heavy(lambda: ask.desk.detect_sent(model, name, source, marking=marking))
    headers = ask.headers(found.marking, [found.release])
    return Response(found.geojson, media_type="application/geo+json", headers=headers)


_FORM = {
    "scene": "A picture: GeoTIFF, PNG or JPEG.",
    "model": "The release of a detector.",
    "marking": "The scene's marking; required, here or in the header X-Casemate-Marking.",
}
ROUTES = (Route("POST", "/v1/detections", detections, "A scene in, GeoJSON out", ("detect",), form=_FORM),)
