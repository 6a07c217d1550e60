"""Batched worlds: N parallel simulations of one model behind one protocol."""
