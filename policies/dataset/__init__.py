"""Demonstrations and roll-outs on disk, LeRobotDataset v3.0, of which a crash loses little."""
