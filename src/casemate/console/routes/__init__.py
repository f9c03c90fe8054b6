"""The routes, one file for each part of OpenAI's API; each a function of an `Ask`, listed here in one table."""

from casemate.console.desk import Route
from casemate.console.routes import chat, completions, detections, files, models, state, vector_stores, vectors

__all__ = ["ROUTES"]

ROUTES: tuple[Route, ...] = (
    *state.ROUTES,
    *models.ROUTES,
    *chat.ROUTES,
    *completions.ROUTES,
    *vectors.ROUTES,
    *files.ROUTES,
    *detections.ROUTES,
    *vector_stores.ROUTES,
)
