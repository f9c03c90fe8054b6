"""Objects seen from above: sets of labelled scenes, detectors, their scores, and detection over scenes of any size.

Rules. A label is a node of a taxonomy and never a bare number. Coordinates are pixels from the top left corner until
the last step, which writes longitudes and latitudes. Images are read in windows, so that memory does not grow with the
scene; only their headers are read to import a set. What a set never labelled is never taught as absent.

boxes        labelled images as values              taxonomy     the tree of answers
data         reads, checks and keeps sets           formats/     one file per label format
gallery      the images of a folder, by header      pixels       windows of any raster as 8-bit RGB
duplicates   the same ground in two sets            train, evaluate, predict, export: one verb each

Nothing is imported here: ask `casemate.modalities.find("imagery")` for a module.
"""
