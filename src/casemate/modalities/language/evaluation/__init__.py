"""How models of language are scored: retrieval, answers, recognition of print, and under attack.

Rules. The model is measured alone, as it came: what the assistant adds (retrieval over the site's documents, checking
of every sentence, filters) is not in these figures. Judges are rules on words, the same for everybody, and say nothing
of meaning. What has no set to be measured on is null, which the gate reads as "not evaluated". A share of few attacks
has an interval that says so, even where none succeeded. An evaluation that was stopped goes on from the answers that
it has.
"""
