"""How maps are judged.

metrics (place, confidence, steadiness; which of them contrast moves), statistics (intervals, pairs), measure and benchmark (the
runner), results, summary and tables (what it writes, how it is read), verdicts (many at once), contrast (better, or only
sharper?), winner (the rule that picks one), controls and sanity (does a map depend on the network?), rounding (on the last
bit?), experiment_files and experiments (what was measured), speed (what it costs), machine (where it was measured).
May import: core, datasets, networks, methods.
"""
