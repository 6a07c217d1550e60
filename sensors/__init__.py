"""Real sensors behind one protocol: numbers with a stamp, an age and a specification."""
