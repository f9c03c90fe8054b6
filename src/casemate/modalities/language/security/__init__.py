"""A chat model under attack: sets of attacks, and the rules that say whether one succeeded.

Rules. Attacks are data sets like others, with a version, a marking and a signature in the catalog. An attack that no
rule can judge is refused before any is tried, and one that was not tried counts for nothing. Rules look for words; they
take no pattern from a set, because a set is someone else's text. Each kind has its own figure: the share that
succeeds.
"""
