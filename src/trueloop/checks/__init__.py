"""Checks: each asks one question of what was measured, and answers pass, warn, fail or unknown.  They change nothing.

One file a theme; `catalogue.CATALOGUE` has them all by id.  A check is given plain measurements and knows neither
engines nor trainers, so that the same check serves a preflight, a running loop, the doctor and other libraries' logs.
"""
