"""How anything is trained and evaluated, whatever it learns: what every modality would otherwise write again.

Rules. This room knows no modality: no images, no words, no networks. A modality says what one step is; here stand the
schedule of the steps, the processes that share them, the checkpoints from which a killed run goes on to the same bits,
and the reading of what a plan may ask. Formats are told here once: plans, checkpoints and fingerprints that were
written are read for ever. `parameters`, `schedule`, `recipes`, `settings`, `inputs`, `progress` and `fingerprints` are
light; PyTorch comes with `exact`, `parallel`, `checkpoint` and `moments`, which only a run imports (ADR 0012).
"""
