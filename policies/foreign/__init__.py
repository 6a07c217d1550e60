"""Policies that were trained elsewhere: their files read, their graphs made ours."""
